"""Pitch: F0 candidates of a frame, the smoothest path through them, and the exact peak of the chosen one."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

NUM_CANDIDATES = 5  # per frame
LAG_GROUP = 12  # lags, about 1 ms, of which at most one is a candidate; at most 16
ZOOM_POINTS, ZOOM_BINS = 5, 32
# costs of the path (Boersma 1993), stated for 100 frames per second
OCTAVE_COST = 0.01
OCTAVE_JUMP_COST = 0.35
VOICING_CHANGE_COST = 0.14
# frames of a block in which the path is searched, and those it also reads on both sides
PATH_BLOCK, PATH_CONTEXT = 64, 32


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
        acf: (lags + 4, N), normalized; a multiple of `LAG_GROUP` lags, and two more on both sides.
        first_lag: lag of `acf[2]`, in steps.
        preference: (lags,), added to the height of a peak to make its strength; below -1 excludes a lag.

    Returns:
        Lag in steps, height and strength of the peaks (K, N). A strength of -1 means that there is no such peak.
    """
    # A narrow peak between two lags is higher than at either, and more so for shorter lags: the choice favors these.
    # In-place comparisons return 0 and 1 as floats and are several times faster than `where`.
    top = acf[2:-2]
    is_peak = torch.maximum(acf[1:-3], acf[3:-1]).le_(top)
    score = (top + (5 * preference + 1)[:, None]).clamp_(min=0).mul_(is_peak)
    # The highest of each group of lags, then the highest of these: faster than a search among all. The place in the
    # group is kept in the four lowest bits, as positive floats are ordered like their bits.
    place = torch.arange(
        LAG_GROUP, device=acf.device, dtype=torch.int32 if acf.dtype == torch.float32 else torch.int64
    )
    score = score.view(place.dtype).unflatten(0, (-1, LAG_GROUP))
    score = score.bitwise_and_(~15).bitwise_or_(place[:, None]).amax(1)
    score, group = score.T.contiguous().topk(NUM_CANDIDATES, dim=-1)
    score, group = score.T.contiguous(), group.T.contiguous()
    return refine(acf, group * LAG_GROUP + (score & 15), score > 15, first_lag, preference)


def refine(
    acf: Tensor, index: Tensor, is_peak: Tensor, first_lag: int, preference: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Exact lag, height and strength of the candidates `index` (K, N) of [`find_candidates`], if they are peaks."""
    around = [acf.gather(0, index + i) for i in range(5)]
    offset, _ = parabola(*around[1:4])
    height = _interpolate(around, offset)
    strength = torch.where(is_peak, height.clamp(max=1) + preference[index], -1)
    return index + first_lag + offset, height, strength


def best_path(strength: Tensor, octave: Tensor, frame_mask: Tensor, cost_scale: float) -> Tensor:
    """Path of highest strength through the F0 candidates (Viterbi; Boersma 1993).

    The path of a frame depends on its block of `PATH_BLOCK` frames and on `PATH_CONTEXT` frames on both sides. So the
    blocks are searched in parallel, and a long recording can be cut between blocks.

    Args:
        strength: (B, T, K + 1), "unvoiced" last.
        octave: (B, T, K), log2 of the candidates' F0.
        frame_mask: (B, T), False for padded frames, which do not change the path.
        cost_scale: 10 ms / frame shift.

    Returns:
        Index (B, T) of the chosen candidate; K means unvoiced.
    """
    num_clips, num_frames, _ = strength.shape
    blocks = -(-num_frames // PATH_BLOCK)
    pad = (PATH_CONTEXT, blocks * PATH_BLOCK - num_frames + PATH_CONTEXT)
    span = PATH_BLOCK + 2 * PATH_CONTEXT

    def cut(values: Tensor) -> Tensor:
        """(B, T, n) to (span, n, B * blocks)."""
        values = F.pad(values, (0, 0, *pad)).unfold(1, span, PATH_BLOCK)  # (B, blocks, n, span)
        return values.permute(3, 2, 0, 1).flatten(2).contiguous()

    strength, octave = cut(strength), cut(octave)
    real = cut(frame_mask[..., None].to(octave))  # (span, 1, M)
    strength = strength * real
    count = octave.shape[1]
    jump = octave.new_full((span - 1, count + 1, count + 1, octave.shape[2]), VOICING_CHANGE_COST * cost_scale)
    torch.sub(octave[:-1, :, None], octave[1:, None], out=jump[:, :-1, :-1])  # (step, from, to, M)
    jump[:, :-1, :-1].abs_().mul_(OCTAVE_JUMP_COST * cost_scale)
    jump[:, -1, -1] = 0
    jump *= (real[1:] * real[:-1])[:, None]  # no cost next to padding
    total, origins = strength[0], []
    for cost, gain in zip(jump, strength[1:], strict=True):
        best, origin = (total[:, None] - cost).max(dim=0)
        total = best + gain
        origins.append(origin)
    path = total.argmax(dim=0)
    steps = [path]
    for origin in reversed(origins):
        path = origin.gather(0, path[None])[0]
        steps.append(path)
    chosen = torch.stack(steps[::-1][PATH_CONTEXT : PATH_CONTEXT + PATH_BLOCK])  # (PATH_BLOCK, M)
    return chosen.view(PATH_BLOCK, num_clips, blocks).permute(1, 2, 0).reshape(num_clips, -1)[:, :num_frames]


def zoom(power: Tensor, lag: Tensor, bin_hz: float, step: float, gain: Tensor) -> tuple[Tensor, Tensor]:
    """The autocorrelation's peak near a lag, computed from the power spectrum and so at any resolution.

    Args:
        power: (N, bins), a multiple of `ZOOM_BINS`.
        lag: (N,), approximate lag of the peak in seconds.
        bin_hz: distance of the bins in Hz.
        step: distance in seconds of the `ZOOM_POINTS` lags at which the autocorrelation is computed.
        gain: (lags,), factors of the autocorrelation, two per step.

    Returns:
        Lag of the peak in seconds and its height relative to lag zero, each (N,).
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
