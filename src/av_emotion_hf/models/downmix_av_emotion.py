"""Mono from any number of channels, so that the voice survives: one weight per channel for a whole recording.

A plain mean makes a voice in one of six channels 16 dB quieter, and silences one whose channels have opposite signs.
"""

from collections.abc import Sequence

import numpy as np

SILENCE = 1e-4  # 80 dB below full scale: what stays below it is not audio
INAUDIBLE = 1e-4  # a channel with this fraction of the power of the loudest, 40 dB less, adds its noise only
CANCELED = 0.5  # of the power that unrelated channels would have; two equal ones reach it at a correlation of -0.5
SAME_POWER = 0.99  # of the loudest channel's power: rounding does not decide which one is the loudest
ROUNDING = 1e-14  # power that double precision may leave of a constant
BLOCK = 1 << 16  # samples that are summed in double precision at a time

# Recommendation ITU-R BS.775, downward mixing to mono (1/0); a single rear channel counts as one of the front.
HALF_POWER = 0.5**0.5
ITU_WEIGHTS = {
    **dict.fromkeys(("FL", "FR", "BC"), HALF_POWER),
    **dict.fromkeys(("BL", "BR", "SL", "SR"), 0.5),
    "FC": 1.0,
}
OTHER = 0.5  # of a channel that BS.775 does not name
LOW_FREQUENCY = ("LFE", "LFE2")  # BS.775 leaves it out
AMBISONIC = "AMBI"  # of these AMBI0 is the microphone that hears all directions alike, so the mono signal

# What FFmpeg takes for the layout of so many channels where the file names none (`av_channel_layout_default`).
DEFAULT_LAYOUTS: dict[int, tuple[str, ...]] = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "LFE"),
    4: ("FL", "FR", "FC", "BC"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


def to_mono(samples: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
    """Mono of a whole recording, in which the voice is as loud as in the channels that hold it.

    Args:
        samples: `(C, n)` floats. Values that are not finite stay, where the channel that holds them is heard.
        names: of the channels, as FFmpeg calls them (`FL`, `FR`, `FC`, `LFE`, ...); `None` where they are unknown.

    Returns:
        `(n,)` float32. One channel alone is returned as it is, and so is what all channels have in common.
    """
    if len(samples) == 1:
        return np.asarray(samples[0], np.float32)
    total = None
    for first in range(0, samples.shape[1], BLOCK):
        total = add_moments(total, samples[:, first : first + BLOCK])
    return mix(samples, channel_weights(names, covariance_of(total, len(samples))))


def mix(samples: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted sum `(n,)` float32 of channels `(C, n)`; a channel of weight 0 is not looked at."""
    heard = np.flatnonzero(weights)
    return weights[heard].astype(np.float32) @ samples[heard].astype(np.float32, copy=False)


def channel_weights(names: Sequence[str] | None, covariance: np.ndarray) -> np.ndarray:
    """How much of each channel of a recording goes into mono.

    They are those of ITU-R BS.775, for a recording in which not all channels are in use or of the same polarity:

    - A channel that is silent, or 40 dB below the loudest, gets no weight. The others sum to 1, so that a voice in one
      channel alone, or the same voice in all, keeps its level.
    - Where nothing is heard but the low-frequency channel, it is taken.
    - Where channels cancel each other (a microphone of opposite polarity), those that oppose the loudest are inverted.
      They do when the mix has less than half of the power that it would have if the channels had nothing in common:
      for two channels of the same power, when their correlation is below -0.5.

    Args:
        names: of the channels, as FFmpeg calls them; `None`, or names that are all `NONE`, for FFmpeg's default layout
            of so many channels, or for equal weights where there is none.
        covariance: `(C, C)` of the samples of the whole recording, full scale 1.

    Returns:
        `(C,)` float64, whose absolute values sum to 1.
    """
    weights = _layout_weights(names, len(covariance))
    power = np.where(np.diag(covariance) > ROUNDING, np.diag(covariance), 0.0)
    loudest = power[weights > 0].max()
    if loudest < SILENCE**2 <= power.max():
        weights, loudest = np.where(weights > 0, 0.0, 1.0), power.max()
    threshold = INAUDIBLE * loudest
    if loudest >= SILENCE**2:
        threshold = max(threshold, SILENCE**2)
    weights = np.where(power >= threshold, weights, 0.0)
    weights = weights / weights.sum()
    if loudest and weights @ covariance @ weights < CANCELED * (weights**2 @ power):
        reference = int(np.argmax((weights > 0) & (power >= SAME_POWER * loudest)))
        weights = np.where(covariance[reference] < 0, -weights, weights)
    return weights


def add_moments(total: np.ndarray | None, samples: np.ndarray) -> np.ndarray:
    """Sums over the blocks of a recording, from which [`covariance_of`] follows, in constant memory.

    Args:
        total: what this function returned for the blocks before; `None` for the first.
        samples: `(C, n)` floats; values that are not finite count as 0.

    Returns:
        `(C + 1, C + 1)` float64: products of the channels, and of each with a channel of ones.
    """
    finite = np.where(np.isfinite(samples), samples, 0.0)
    block = np.concatenate([np.ones((1, samples.shape[1])), finite], dtype=np.float64)
    return block @ block.T + (0.0 if total is None else total)


def covariance_of(total: np.ndarray | None, channels: int) -> np.ndarray:
    """Covariance `(C, C)` of the channels, from the sums of [`add_moments`]; zeros where nothing was summed."""
    if total is None or not total[0, 0]:
        return np.zeros((channels, channels))
    mean = total[0, 1:] / total[0, 0]
    return total[1:, 1:] / total[0, 0] - np.outer(mean, mean)


def _layout_weights(names: Sequence[str] | None, channels: int) -> np.ndarray:
    """The weights `(C,)` of the channels of a layout, whatever they hold; at least one is not 0."""
    if names is None or set(names) == {"NONE"}:
        names = DEFAULT_LAYOUTS.get(channels, ("",) * channels)
    if any(name.startswith(AMBISONIC) for name in names):
        weights = np.array([float(name == AMBISONIC + "0") for name in names])
    else:
        weights = np.array([0.0 if name in LOW_FREQUENCY else ITU_WEIGHTS.get(name, OTHER) for name in names])
    return weights if weights.any() else np.ones(channels)


__all__ = ["SILENCE", "add_moments", "channel_weights", "covariance_of", "mix", "to_mono"]
