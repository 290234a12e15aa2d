"""The acoustic front-end as one graph of fixed operations, for `torch.export` and ONNX.

The same descriptors as in `frontend_spectral_av_emotion` and `frontend_voice_av_emotion`, within rounding. There, only
frames that may be voiced are analyzed, in blocks, and spectra are Fourier transforms. Here, all frames are analyzed at
once, and spectra are products with cosines and sines, which every runtime supports. It is slower, and its memory grows
with the clip.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .descriptors_av_emotion import FORMANT_NAMES, VOICE_NAMES, VOICED_ONLY
from .frontend_perturbation_av_emotion import CYCLE_REACH, perturbation_of
from .frontend_pitch_av_emotion import (
    LAG_GROUP,
    NUM_CANDIDATES,
    OCTAVE_JUMP_COST,
    PATH_BLOCK,
    PATH_CONTEXT,
    VOICING_CHANGE_COST,
    refine,
)
from .frontend_spectral_av_emotion import SpectralAnalysis
from .frontend_voice_av_emotion import VoiceAnalysis

SPARE_FRAMES = 2  # after the clips, so that no length in the graph is ever 1, which would be a special case
SPARE = 1.1  # the exact period may be this much longer than that of the lowest F0


def trace_spectrum(
    analysis: SpectralAnalysis, padded: Tensor, reach: int, filterbank: Tensor, compression: Tensor
) -> dict[str, Tensor]:
    """Selected descriptors (B, T) by name; arguments as for the analysis itself."""
    if analysis.wanted <= VOICE_NAMES:
        return {}
    weights = torch.cat([torch.relu(filterbank), analysis.sums], dim=1)
    real, imaginary = _spectra(padded, analysis.window, analysis.n_fft, analysis.shift, reach)
    grid = real.shape[:2]
    power = (real.square() + imaginary.square()).flatten(0, 1)
    columns = analysis.columns(analysis.of_power(power, False, weights), compression)
    columns = {name: column.unflatten(0, grid) for name, column in columns.items()}
    if "spectral_flux" in columns:  # the first frame has no change
        columns["spectral_flux"] = F.pad(columns["spectral_flux"][:, 1:], (1, 0))
    if "zero_crossing_rate" in analysis.wanted:
        positive = _frames_only(padded, analysis.frame_length, analysis.shift, reach) > 0
        change = (positive[:, 1:] != positive[:, :-1]).to(padded)
        columns["zero_crossing_rate"] = F.avg_pool1d(change, analysis.frame_length - 1, analysis.shift)
    return columns


def trace_voice(
    voice: VoiceAnalysis, padded: Tensor, reach: int, lengths: Tensor, frame_mask: Tensor
) -> dict[str, Tensor]:
    """Selected descriptors (B, T) of the voice by name, and `voiced`; arguments as for the analysis itself.

    Raises:
        ValueError: formants are selected, whose search has no fixed number of steps.
    """
    wanted = voice.wanted
    if not wanted & VOICE_NAMES:
        return {}
    if wanted & FORMANT_NAMES:
        raise ValueError(
            f"descriptors {sorted(wanted & FORMANT_NAMES)} need formants, which cannot be exported; remove them from "
            "`descriptors` of the configuration"
        )
    real, imaginary = _spectra(padded, voice.window, voice.n_fft, voice.shift, reach)
    grid = real.shape[:2]
    real, imaginary = real.flatten(0, 1), imaginary.flatten(0, 1)  # (N, bins), N = B * T
    low = voice.offset_response.shape[0]
    offset = real[:, :1]
    response = F.pad(voice.offset_response, (0, 0, 0, real.shape[1] - low))
    power = (real - offset * response[:, 0]).square() + (imaginary - offset * response[:, 1]).square()
    cpp = _cepstral_peak(voice, power) if "cpp_db" in wanted else offset[:, 0]
    power = F.pad(power, (0, voice.bins - power.shape[1]))

    acf = voice.acf_basis @ power[:, : voice.acf_basis.shape[1]].T
    lag, height, strength = _candidates(acf[1:] / acf[0].clamp(min=1e-30), voice.lags.start, voice.lag_preference)
    lag = (lag * voice.lag_step).T
    loud = power.sum(-1).sqrt()
    unvoiced = voice.voicing_threshold + (2 - 2 * loud / voice.silence).clamp(min=0)
    by_clip = torch.cat([strength, unvoiced[None]]).T.unflatten(0, grid)
    octave = -torch.log2(lag).unflatten(0, grid)
    path = _best_path(by_clip, octave, frame_mask, 0.01 * voice.sampling_rate / voice.shift).flatten()
    voiced = path < NUM_CANDIDATES
    chosen = torch.where(voiced, path, strength.argmax(0))[:, None]
    lag, height = (values.gather(-1, chosen)[:, 0] for values in (lag, height.T))
    columns = {"voiced": voiced.to(lag), "voicing_probability": height.clamp(0, 1), "cpp_db": cpp}

    found = voice.quality([power], lag)
    if wanted & {"jitter_local", "shimmer_local", "shimmer_local_db"}:
        period = voice.sampling_rate / found["f0"]
        found |= _perturbation(voice, padded, reach, lengths, grid[1], period, offset[:, 0] / voice.window.sum())
    columns |= {name: torch.where(voiced, found[name], 0) for name in wanted & set(VOICED_ONLY)}
    return {name: column.unflatten(0, grid) for name, column in columns.items()}


def _frames_only(padded: Tensor, length: int, shift: int, reach: int) -> Tensor:
    """The samples (B, n) from the first to the last frame of the clips, `length` samples every `shift` samples."""
    count = padded.shape[1] // shift - 2 * reach
    start = reach * shift - length // 2
    return padded[:, start : start + (count - 1) * shift + length]


def _spectra(padded: Tensor, window: Tensor, n_fft: int, shift: int, reach: int) -> tuple[Tensor, Tensor]:
    """Real and imaginary part (B, T, bins) of the spectra of all frames."""
    length = window.shape[0]
    step = torch.arange(n_fft, device=padded.device)
    angle = (2 * math.pi / n_fft) * step
    place = step[: n_fft // 2 + 1, None] * step[:length] % n_fft  # exact, unlike a product of floats
    waves = torch.cat([angle.cos()[place], -angle.sin()[place]]) * window
    samples = _frames_only(padded, length, shift, reach)[:, None]
    real, imaginary = F.conv1d(samples, waves[:, None], stride=shift).transpose(1, 2).chunk(2, dim=-1)
    return real, imaginary


def _cepstral_peak(voice: VoiceAnalysis, power: Tensor) -> Tensor:
    """As `VoiceAnalysis` computes it, with the inverse transform as a product with cosines."""
    step = torch.arange(voice.n_fft, device=power.device)
    angle = (2 * math.pi / voice.n_fft) * step
    bins = step[: power.shape[1], None]
    weight = torch.where((bins == 0) | (bins == voice.n_fft // 2), 1.0, 2.0) / voice.n_fft
    cosines = angle.cos()[bins * step[slice(*voice.quefrencies)] % voice.n_fft] * weight
    return voice.prominence((10 * torch.log10(power + voice.power_floor)) @ cosines)


def _candidates(acf: Tensor, first_lag: int, preference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `find_candidates`, without arithmetic on the bits of floats."""
    top = acf[2:-2]
    is_peak = torch.maximum(acf[1:-3], acf[3:-1]) <= top
    score = (top + (5 * preference + 1)[:, None]).clamp(min=0) * is_peak
    score, place = score.unflatten(0, (-1, LAG_GROUP)).max(dim=1)
    score, group = score.T.topk(NUM_CANDIDATES, dim=-1)
    index = group * LAG_GROUP + place.T.gather(1, group)
    return refine(acf, index.T, score.T > 0, first_lag, preference)


def _best_path(strength: Tensor, octave: Tensor, frame_mask: Tensor, cost_scale: float) -> Tensor:
    """As `best_path`, with the same arguments."""
    clips, count, states = strength.shape
    blocks = count // PATH_BLOCK + 2  # one more than needed, as a graph for any length must not have a single block
    steps = PATH_BLOCK * torch.arange(blocks, device=strength.device)[:, None] + torch.arange(
        PATH_BLOCK + 2 * PATH_CONTEXT, device=strength.device
    )

    def cut(values: Tensor) -> Tensor:
        """(B, T, n) to (span, n, B * blocks)."""
        values = F.pad(values, (0, 0, PATH_CONTEXT, blocks * PATH_BLOCK - count + PATH_CONTEXT))
        return values[:, steps].permute(2, 3, 0, 1).flatten(2)

    strength, octave, real = cut(strength), cut(octave), cut(frame_mask[..., None].to(octave))
    change = torch.full((states, states), VOICING_CHANGE_COST * cost_scale, device=strength.device)
    change = change * F.pad(strength.new_zeros(states - 1, states - 1), (0, 1, 0, 1), value=1.0)
    change = change * (1 - F.pad(strength.new_ones(1, 1), (states - 1, 0, states - 1, 0)))
    jump = (OCTAVE_JUMP_COST * cost_scale) * (octave[:-1, :, None] - octave[1:, None]).abs()
    jump = F.pad(jump, (0, 0, 0, 1, 0, 1)) + change[..., None]
    chosen = _search(strength * real, jump * (real[1:] * real[:-1])[:, None])[PATH_CONTEXT : PATH_CONTEXT + PATH_BLOCK]
    path = chosen.unflatten(1, (clips, blocks)).permute(1, 2, 0).flatten(1)
    return path[:, torch.arange(count, device=path.device)]


def _search(strength: Tensor, jump: Tensor) -> Tensor:
    """The search of `best_path`: path (steps, M) by gains (steps, states, M) and costs (steps - 1, from, to, M).

    It consists of loops, as a graph of single steps would take minutes to export.
    """
    from torch._higher_order_ops import scan

    def forward(total: Tensor, given: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        gain, cost = given
        best, origin = (total[:, None] - cost).max(dim=0)
        return best + gain, origin

    def backward(state: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
        state = origin.gather(0, state[None])[0]
        return state, state.clone()

    total, origins = scan(forward, strength[0].contiguous(), (strength[1:], jump))
    last = total.argmax(dim=0)
    _, before = scan(backward, last, origins.flip(0))
    return torch.cat([before.flip(0), last[None]])


def _perturbation(
    voice: VoiceAnalysis, padded: Tensor, reach: int, lengths: Tensor, count: int, period: Tensor, mean: Tensor
) -> dict[str, Tensor]:
    """Jitter and shimmer (N,) of all frames, as if each were voiced."""
    bell = voice.bell
    longest = SPARE * voice.sampling_rate / voice.f0_min / bell.every
    margin = math.ceil((CYCLE_REACH + 2) * longest)
    smooth = F.conv1d(padded.flatten()[None, None], bell.kernel.to(padded)[None, None], stride=bell.every)[0, 0]
    smooth = F.pad(smooth, (margin, margin))
    slots = count + 2 * reach
    clip = torch.arange(padded.shape[0], device=padded.device)[:, None]
    frame = torch.arange(count, device=padded.device)
    center = ((clip * slots + frame + reach) * voice.shift).flatten()
    first = (-frame * voice.shift).expand(padded.shape[0], -1).flatten()
    last = (lengths[:, None] - 1 - frame * voice.shift).flatten()
    base = (center - bell.reach) // bell.every + margin
    found = perturbation_of(smooth, longest, base, first / bell.every, last / bell.every, period / bell.every, mean)
    return dict(zip(("jitter_local", "shimmer_local", "shimmer_local_db"), found, strict=True))


__all__ = ["SPARE_FRAMES", "trace_spectrum", "trace_voice"]
