"""Pitch: F0 candidates of a frame, the smoothest path through them, and the exact peak of the one that was chosen."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

NUM_CANDIDATES = 5  # per frame
GROUP = 12  # lags of which one is a candidate at most, about 1 ms; at most 16
ZOOM_POINTS, ZOOM_BINS = 5, 32
# costs of the path (Boersma 1993), stated for 100 frames per second
OCTAVE_COST = 0.01
OCTAVE_JUMP_COST = 0.35
VOICING_CHANGE_COST = 0.14
# the path is found in blocks of frames that read so many more on both sides
BLOCK, CONTEXT = 64, 32


def parabola(left: Tensor, top: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Offset in steps (-0.5 to 0.5) and height of the vertex through three equidistant points."""
    curvature = left - 2 * top + right
    offset = (0.5 * (left - right) / curvature.clamp(max=-1e-30)).clamp(-0.5, 0.5)
    return offset, top - 0.25 * (left - right) * offset


def _interpolate(points: list[Tensor], x: Tensor) -> Tensor:
    """Value at `x` of the polynomial through five points at -2, -1, 0, 1 and 2; a parabola is too low."""
    a, b, c, d, e = points
    even, odd = b + d - 2 * c, d - b
    wide_even, wide_odd = a + e - 2 * c, e - a
    return c + x * (
        (8 * odd - wide_odd) / 12
        + x * ((16 * even - wide_even) / 24 + x * ((wide_odd - 2 * odd) / 12 + x * (wide_even - 4 * even) / 24))
    )


def find_candidates(acf: Tensor, first_lag: int, preference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The highest peaks of autocorrelations.

    Args:
        acf: (lags + 4, N), normalised; the lags in question with two more on both sides, a multiple of `GROUP`.
        first_lag: lag of `acf[2]`, in steps.
        preference: (lags,), added to the height of a peak to make its strength; below -1 for lags that do not count.

    Returns:
        Lag in steps, height and strength of the peaks (K, N). A strength of -1 says that there is no such peak.
    """
    # Between two lags a narrow peak is higher than at either, the more so the shorter the lag is: the choice is
    # generous to these. In-place comparisons give 0 and 1 as floats and are several times faster than `where`.
    top = acf[2:-2]
    is_peak = torch.maximum(acf[1:-3], acf[3:-1]).le_(top)
    score = (top + (5 * preference + 1)[:, None]).clamp_(min=0).mul_(is_peak)
    # The highest of each few neighbouring lags, then the highest of these: faster than a search among all. The place
    # in the group stands in the four lowest bits, as the order of positive floats is that of their bits.
    place = torch.arange(GROUP, device=acf.device, dtype=torch.int32 if acf.dtype == torch.float32 else torch.int64)
    score = score.view(place.dtype).unflatten(0, (-1, GROUP))
    score = score.bitwise_and_(~15).bitwise_or_(place[:, None]).amax(1)
    score, group = score.T.contiguous().topk(NUM_CANDIDATES, dim=-1)
    score, group = score.T.contiguous(), group.T.contiguous()
    return refine(acf, group * GROUP + (score & 15), score > 15, first_lag, preference)


def refine(
    acf: Tensor, index: Tensor, is_peak: Tensor, first_lag: int, preference: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Exact lag, height and strength of the peaks `index` (K, N) of [`find_candidates`], where they are peaks."""
    around = [acf.gather(0, index + i) for i in range(5)]
    offset, _ = parabola(*around[1:4])
    height = _interpolate(around, offset)
    strength = torch.where(is_peak, height.clamp(max=1) + preference[index], -1)
    return index + first_lag + offset, height, strength


def best_path(strength: Tensor, octave: Tensor, frame_mask: Tensor, cost_scale: float) -> Tensor:
    """Path of highest strength through the F0 candidates (Viterbi; Boersma 1993).

    The path of a frame depends on its block of `BLOCK` frames and on `CONTEXT` frames on both sides: that makes the
    search parallel, and lets a long recording be cut at the block's ends.

    Args:
        strength: (B, T, K + 1), that of "unvoiced" last.
        octave: (B, T, K), log2 of the candidates' F0.
        frame_mask: (B, T), False for padded frames, which leave the path as it is.
        cost_scale: 10 ms / frame shift.

    Returns:
        Index (B, T) of the chosen candidate; K means unvoiced.
    """
    num_clips, num_frames, _ = strength.shape
    blocks = -(-num_frames // BLOCK)
    pad = (CONTEXT, blocks * BLOCK - num_frames + CONTEXT)
    span = BLOCK + 2 * CONTEXT

    def cut(values: Tensor) -> Tensor:
        """(B, T, n) to (span, n, B * blocks)."""
        values = F.pad(values, (0, 0, *pad)).unfold(1, span, BLOCK)  # (B, blocks, n, span)
        return values.permute(3, 2, 0, 1).flatten(2).contiguous()

    strength, octave = cut(strength), cut(octave)
    real = cut(frame_mask[..., None].to(octave))  # (span, 1, M)
    strength = strength * real
    count = octave.shape[1]
    jump = octave.new_full((span - 1, count + 1, count + 1, octave.shape[2]), VOICING_CHANGE_COST * cost_scale)
    torch.sub(octave[:-1, :, None], octave[1:, None], out=jump[:, :-1, :-1])  # (step, from, to, M)
    jump[:, :-1, :-1].abs_().mul_(OCTAVE_JUMP_COST * cost_scale)
    jump[:, -1, -1] = 0
    jump *= (real[1:] * real[:-1])[:, None]  # a free choice beside padding
    total, origins = strength[0], []
    for cost, gain in zip(jump, strength[1:], strict=True):
        best, origin = (total[:, None] - cost).max(dim=0)
        total = best + gain
        origins.append(origin)
    path = total.argmax(dim=0)
    chosen = [path]
    for origin in reversed(origins):
        path = origin.gather(0, path[None])[0]
        chosen.append(path)
    chosen = torch.stack(chosen[::-1][CONTEXT : CONTEXT + BLOCK])  # (BLOCK, M)
    return chosen.view(BLOCK, num_clips, blocks).permute(1, 2, 0).reshape(num_clips, -1)[:, :num_frames]


def zoom(power: Tensor, lag: Tensor, bin_hz: float, step: float, gain: Tensor) -> tuple[Tensor, Tensor]:
    """The autocorrelation's peak near a lag, from the power spectrum itself, so at any resolution.

    Args:
        power: (N, bins), a multiple of `ZOOM_BINS`.
        lag: (N,), where the peak is about, in seconds.
        bin_hz: distance of the bins.
        step: distance in seconds of the `ZOOM_POINTS` lags at which the autocorrelation is computed.
        gain: table (lags,) of what the autocorrelation is multiplied with, two entries per step.

    Returns:
        Lag of the peak in seconds and its height relative to lag zero, both (N,).
    """
    middle = ZOOM_POINTS // 2
    lags = lag[:, None] + step * torch.arange(-middle, middle + 1, device=lag.device).to(lag)
    # cos((32 a + b) phase) from cosines and sines of 32 a phase and of b phase: far fewer of them
    angle = (2 * math.pi * bin_hz) * lags[..., None]
    fine = angle * torch.arange(ZOOM_BINS, device=lag.device).to(lag)
    coarse = angle * (ZOOM_BINS * torch.arange(power.shape[1] // ZOOM_BINS, device=lag.device).to(lag))
    parts = torch.cat([fine.cos(), fine.sin()], dim=1) @ power.unflatten(1, (-1, ZOOM_BINS)).transpose(1, 2)
    parts[:, :ZOOM_POINTS] *= coarse.cos()
    acf = torch.addcmul(parts[:, :ZOOM_POINTS], parts[:, ZOOM_POINTS:], coarse.sin_(), value=-1).sum(-1)
    at = (lags * (2 / step)).clamp(0, len(gain) - 2)
    below = at.long()
    acf = acf * torch.lerp(gain[below], gain[below + 1], at - below)
    best = acf[:, 1:-1].argmax(-1, keepdim=True) + 1
    offset, _ = parabola(*(acf.gather(-1, best + i)[:, 0] for i in (-1, 0, 1)))
    offset = offset + (best[:, 0] - middle)
    height = _interpolate(list(acf.unbind(-1)), offset)
    return lag + offset * step, height / power.sum(-1).clamp(min=1e-30)


__all__ = ["best_path", "find_candidates", "parabola", "refine", "zoom"]
