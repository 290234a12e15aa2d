"""Which of several faces is the speaker's."""

from collections.abc import Iterator

import numpy as np

from .clip import Clip
from .memory_clip import MemoryClip

MOUTH = (slice(0.62, 0.92), slice(0.3, 0.7))  # rows and columns of a square crop, as fractions of its side
MIN_EVIDENCE = 0.2  # correlation from which on a mouth counts as moving with the audio
MIN_MOUTH_FRAMES = 10  # fewer say nothing
LEVEL_RATE = 100  # audio levels per second
LOWEST_LEVEL = -60.0  # decibels below full scale; anything quieter counts as this


def audio_levels(clip: Clip | MemoryClip, window: float) -> Iterator[np.ndarray]:
    """Level of the audio in each hundredth of a second (m,) in decibels, window after window of `window` seconds."""
    block = min(window, 10.0)
    hop = clip.sampling_rate // LEVEL_RATE
    held: list[np.ndarray] = []
    for samples in clip.audio(block):
        power = np.add.reduceat(samples.astype(np.float64) ** 2, np.arange(0, len(samples), hop)) / hop
        held.append(np.maximum(10 * np.log10(power + 1e-12), LOWEST_LEVEL))
        if window == block:
            yield held.pop()
    if held:
        yield np.concatenate(held)


def speech_evidence(crops: np.ndarray, times: np.ndarray, levels: np.ndarray) -> float:
    """How well a mouth moves with the audio: their correlation, in [-1, 1]; 0 if nothing moves or can be heard.

    The movement is the logarithm of the mean change of gray from frame to frame in the part of the crop that shows
    the mouth. The audio may run up to one frame ahead or behind.

    Args:
        crops: (n, S, S, 3) uint8, square face crops.
        times: (n,) seconds since the start of the levels.
        levels: (m,) as returned by [`audio_levels`].
    """
    if len(crops) < MIN_MOUTH_FRAMES or not len(levels):
        return 0.0
    side = crops.shape[1]
    rows, columns = (slice(int(part.start * side), int(part.stop * side)) for part in MOUTH)
    mouth = crops[:, rows, columns].mean(axis=3, dtype=np.float32)
    movement = np.log1p(np.abs(np.diff(mouth, axis=0)).mean(axis=(1, 2)))
    index = np.clip((times[1:, None] * LEVEL_RATE + np.arange(-5, 5)).astype(int), 0, len(levels) - 1)
    level = levels[index].mean(axis=1)
    return max(
        _correlation(movement, level), _correlation(movement[1:], level[:-1]), _correlation(movement[:-1], level[1:])
    )


def choose_speaker(sizes: dict[str, float], evidence: dict[str, float]) -> str:
    """The face whose mouth moves best with the audio, if well enough, else of the largest for longest.

    Args:
        sizes: area times frames of each face, by the person's name.
        evidence: of each face, see [`speech_evidence`]; empty if the audio does not matter.
    """
    best = max(evidence, key=evidence.__getitem__, default=None)
    if best is not None and evidence[best] >= MIN_EVIDENCE:
        return best
    return max(sizes, key=sizes.__getitem__)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 1e-9 else 0.0


__all__ = ["audio_levels", "choose_speaker", "speech_evidence"]
