"""Glottal cycles: how much neighbouring periods and amplitudes of a voice differ."""

import math

import numpy as np
import torch
from torch import Tensor

from .frontend_pitch_av_emotion import parabola

REACH = 3  # cycles on both sides of the frame's centre
SMOOTHING_STEPS = (1, 2, 4, 2, 1)  # samples at 16 kHz between the taps 1/4, 1/2, 1/4
TOLERANCE = 0.2  # a peak is looked for within this share of the period
# Praat: neighbouring cycles whose ratio exceeds these are a tracking error, neither jitter nor shimmer
MAX_PERIOD_FACTOR = 1.3
MAX_AMPLITUDE_FACTOR = 1.6


class Bell:
    """A window about 0.5 ms wide, which takes the formants' ripple off the glottal peaks, and leaves 8 kHz or so.

    Both references match whole cycles instead of peaks; with this width the result is nearest to theirs.
    """

    def __init__(self, sampling_rate: int):
        kernel = np.ones(1)
        for step in SMOOTHING_STEPS:
            step = max(1, round(step * sampling_rate / 16000))
            kernel = np.convolve(kernel, np.pad([1.0], step) / 2 + np.eye(2 * step + 1)[[0, -1]].sum(0) / 4)
        self.every = max(1, round(sampling_rate / 8000))  # samples of which one stays
        self.reach = len(kernel) // 2
        self.block = 32 * self.every
        weights = np.zeros((2 * self.block, 32))
        for i in range(32):
            weights[i * self.every :][: len(kernel), i] = kernel
        self.weights = torch.from_numpy(weights.astype(np.float32))
        self.kernel = self.weights[: len(kernel), 0]

    def __call__(self, signal: Tensor, margin: int) -> Tensor:
        """The smooth signal of one (samples,) between `margin` zeros: sample m belongs to `reach + every * m`.

        As two products with matrices, each on blocks of samples: several times faster than a convolution.
        """
        blocks = signal[: len(signal) // self.block * self.block].view(-1, self.block)
        smooth = signal.new_zeros(len(blocks) * 32 + 2 * margin)
        inner = smooth[margin : len(smooth) - margin].view(-1, 32)
        weights = self.weights.to(signal)
        torch.mm(blocks, weights[: self.block], out=inner)
        inner[:-1].addmm_(blocks[1:, : 2 * self.reach], weights[self.block :][: 2 * self.reach])
        return smooth


def perturbation(
    signal: Tensor, bell: Bell, centre: Tensor, first: Tensor, last: Tensor, period: Tensor, mean: Tensor
) -> dict[str, Tensor]:
    """Local jitter and shimmer of N voiced frames.

    The highest peak (or the lowest trough, if that is farther from the mean) near the frame's centre is one cycle;
    the `REACH` cycles before and after it have theirs near whole periods from there.

    Args:
        signal: (samples,), in which the clips stand one after the other.
        bell: what smooths it for the search of peaks.
        centre: (N,), sample at the centre of each frame.
        first: (N,), where its clip begins, counted from there.
        last: (N,), where its clip ends, counted from there.
        period: (N,), in samples.
        mean: (N,), the offset of the waveform, which is no part of the amplitude.

    Returns:
        `jitter_local` and `shimmer_local`, the mean difference of neighbouring periods and amplitudes over their
        mean, and `shimmer_local_db`, the mean absolute level difference of neighbouring amplitudes; 0 where a frame
        has less than three cycles.
    """
    result = period.new_zeros(3, len(period))
    period = period / bell.every
    shortest, longest = (float(end) for end in torch.aminmax(period)) if len(period) else (1.0, 1.0)
    margin = math.ceil((REACH + 2) * longest)  # no position is outside of this
    smooth = bell(signal, margin)
    base = (centre - bell.reach) // bell.every + margin
    first, last = first / bell.every, last / bell.every
    octave = torch.log2(period / shortest).floor().long()  # frames of similar periods are worked on together
    for i in octave.unique().tolist():
        of = (octave == i).nonzero()[:, 0]
        result[:, of] = perturbation_of(
            smooth, shortest * 2 ** (i + 1), *(values[of] for values in (base, first, last, period, mean))
        )
    return dict(zip(("jitter_local", "shimmer_local", "shimmer_local_db"), result, strict=True))


def perturbation_of(
    smooth: Tensor, longest: float, base: Tensor, first: Tensor, last: Tensor, period: Tensor, mean: Tensor
) -> Tensor:
    """Jitter, shimmer and shimmer in dB (3, N) of frames whose periods lie between `longest` / 2 and `longest`.

    Positions count from the frame's centre, sample `base` of all of `smooth` (samples,): float32 could not tell the
    samples of a long recording apart. The clip lasts from `first` to `last`.
    """

    def sample(start: Tensor, size: Tensor, most: float) -> Tensor:
        """Waveform (N, cycles, points) from `start` (N, cycles) on for `size` (N,) samples, the last one repeated."""
        points = torch.arange(math.ceil(most) + 1, device=start.device)
        points = base[:, None] + torch.minimum(points, size[:, None].round().long())
        return smooth[start[..., None] + points[:, None]]

    def highest(values: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Position and height (N, cycles) of the highest of `values` (N, cycles, points), the first at `start`."""
        best = start + values.argmax(-1)
        around = (base[:, None] + best)[..., None] + torch.arange(-1, 2, device=best.device)
        offset, height = parabola(*((smooth[around] - mean[:, None, None]) * sign[:, None, None]).unbind(-1))
        return best + offset, height

    start = (-0.5 * period).round().long()[:, None]
    values = sample(start, period, longest)
    sign = torch.where(values.amax((1, 2)) - mean >= mean - values.amin((1, 2)), 1.0, -1.0).to(period)
    seed, seed_height = highest(values * sign[:, None, None], start)

    steps = torch.cat([torch.arange(-REACH, 0), torch.arange(1, REACH + 1)]).to(period)
    start = (seed + (steps - TOLERANCE) * period[:, None]).round().long()
    values = sample(start, 2 * TOLERANCE * period, 2 * TOLERANCE * longest)
    position, height = highest(values.mul_(sign[:, None, None]), start)
    position = torch.cat([position[:, :REACH], seed, position[:, REACH:]], dim=1)
    height = torch.cat([height[:, :REACH], seed_height, height[:, REACH:]], dim=1)

    real = (position > first[:, None]) & (position < last[:, None]) & (height > 0)
    whole = real[:, 1:] & real[:, :-1]  # cycles with both ends
    periods = position.diff(dim=-1)
    comparable = whole[:, 1:] & whole[:, :-1] & _similar(periods, MAX_PERIOD_FACTOR)
    jitter = _change(periods, comparable) / _mean(periods, whole).clamp(min=1)
    comparable = whole & _similar(height, MAX_AMPLITUDE_FACTOR)
    shimmer = _change(height, comparable) / _mean(height, real).clamp(min=1e-9)
    level = 20 * torch.log10(height.clamp(min=1e-9))
    return torch.stack([jitter, shimmer, _change(level, comparable)])


def _similar(values: Tensor, factor: float) -> Tensor:
    """Which neighbours differ by less than a factor: (N, n) to (N, n - 1)."""
    before, after = values[:, :-1], values[:, 1:]
    return (after < factor * before) & (before < factor * after)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum(-1) / where.sum(-1).clamp(min=1)


def _change(values: Tensor, comparable: Tensor) -> Tensor:
    """Mean absolute difference (N,) of the neighbours of `values` (N, n) that are `comparable` (N, n - 1)."""
    return _mean(values.diff(dim=-1).abs(), comparable)


__all__ = ["REACH", "Bell", "perturbation", "perturbation_of"]
