"""Jitter and shimmer: how much the periods and amplitudes of neighboring glottal cycles differ."""

import math

import numpy as np
import torch
from torch import Tensor

from .frontend_pitch_av_emotion import parabola

CYCLE_REACH = 3  # cycles on both sides of the frame's center
SMOOTHING_STEPS = (1, 2, 4, 2, 1)  # samples at 16 kHz between the taps 1/4, 1/2, 1/4
TOLERANCE = 0.2  # a peak is searched for within this fraction of the period
# Praat: neighboring cycles whose ratio exceeds these are a tracking error, not jitter or shimmer
MAX_PERIOD_FACTOR = 1.3
MAX_AMPLITUDE_FACTOR = 1.6


class Bell:
    """A window about 0.5 ms wide that removes the formants' ripple from glottal peaks and resamples to about 8 kHz.

    Both references match whole cycles instead of peaks; with this width the result is closest to theirs.
    """

    def __init__(self, sampling_rate: int):
        kernel = np.ones(1)
        for step in SMOOTHING_STEPS:
            step = max(1, round(step * sampling_rate / 16000))
            kernel = np.convolve(kernel, np.pad([1.0], step) / 2 + np.eye(2 * step + 1)[[0, -1]].sum(0) / 4)
        self.every = max(1, round(sampling_rate / 8000))  # samples of which one is kept
        self.reach = len(kernel) // 2
        self.block = 32 * self.every
        weights = np.zeros((2 * self.block, 32))
        for i in range(32):
            weights[i * self.every :][: len(kernel), i] = kernel
        self.weights = torch.from_numpy(weights.astype(np.float32))
        self.kernel = self.weights[: len(kernel), 0]

    def __call__(self, signal: Tensor, margin: int) -> Tensor:
        """The smooth signal of `signal` (samples,) between `margin` zeros: its sample m is at `reach + every * m`.

        Computed as two matrix products on blocks of samples: several times faster than a convolution.
        """
        blocks = signal[: len(signal) // self.block * self.block].view(-1, self.block)
        smooth = signal.new_zeros(len(blocks) * 32 + 2 * margin)
        inner = smooth[margin : len(smooth) - margin].view(-1, 32)
        weights = self.weights.to(signal)
        torch.mm(blocks, weights[: self.block], out=inner)
        inner[:-1].addmm_(blocks[1:, : 2 * self.reach], weights[self.block :][: 2 * self.reach])
        return smooth


def perturbation(
    signal: Tensor, bell: Bell, center: Tensor, first: Tensor, last: Tensor, period: Tensor, mean: Tensor
) -> dict[str, Tensor]:
    """Local jitter and shimmer of N voiced frames.

    The highest peak (or the lowest trough, if that is farther from the mean) near the frame's center is one cycle;
    the `CYCLE_REACH` cycles before and after it have theirs near whole periods from there.

    Args:
        signal: (samples,), the clips one after the other.
        bell: the window that smooths it for the peak search.
        center: (N,), sample at the center of each frame.
        first: (N,), start of its clip, relative to `center`.
        last: (N,), end of its clip, relative to `center`.
        period: (N,), in samples.
        mean: (N,), the offset of the waveform, which does not count as amplitude.

    Returns:
        `jitter_local` and `shimmer_local`, the mean difference of neighboring periods and amplitudes over their
        mean, and `shimmer_local_db`, the mean absolute level difference of neighboring amplitudes; 0 for a frame of
        fewer than three cycles.
    """
    result = period.new_zeros(3, len(period))
    period = period / bell.every
    shortest, longest = (float(end) for end in torch.aminmax(period)) if len(period) else (1.0, 1.0)
    margin = math.ceil((CYCLE_REACH + 2) * longest)  # no position is outside this
    smooth = bell(signal, margin)
    base = (center - bell.reach) // bell.every + margin
    first, last = first / bell.every, last / bell.every
    octave = torch.log2(period / shortest).floor().long()  # frames of similar periods are processed together
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

    Positions are relative to the frame's center, sample `base` of `smooth` (samples,), as float32 cannot resolve the
    samples of a long recording. The clip lasts from `first` to `last`.
    """

    def sample(start: Tensor, size: Tensor, most: float) -> Tensor:
        """Waveform (N, cycles, points) from `start` (N, cycles) for `size` (N,) samples; the last one is repeated."""
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

    steps = torch.cat([torch.arange(-CYCLE_REACH, 0), torch.arange(1, CYCLE_REACH + 1)]).to(period)
    start = (seed + (steps - TOLERANCE) * period[:, None]).round().long()
    values = sample(start, 2 * TOLERANCE * period, 2 * TOLERANCE * longest)
    position, height = highest(values.mul_(sign[:, None, None]), start)
    position = torch.cat([position[:, :CYCLE_REACH], seed, position[:, CYCLE_REACH:]], dim=1)
    height = torch.cat([height[:, :CYCLE_REACH], seed_height, height[:, CYCLE_REACH:]], dim=1)

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
    """Which neighbors differ by less than a factor: (N, n) to (N, n - 1)."""
    before, after = values[:, :-1], values[:, 1:]
    return (after < factor * before) & (before < factor * after)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum(-1) / where.sum(-1).clamp(min=1)


def _change(values: Tensor, comparable: Tensor) -> Tensor:
    """Mean absolute difference (N,) of the neighbors of `values` (N, n) that are `comparable` (N, n - 1)."""
    return _mean(values.diff(dim=-1).abs(), comparable)


__all__ = ["CYCLE_REACH", "Bell", "perturbation", "perturbation_of"]
