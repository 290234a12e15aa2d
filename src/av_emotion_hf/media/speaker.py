"""Which of several faces is the speaker's."""

from collections.abc import Iterator

import numpy as np

from .clip import Clip

SPEAKERS = ("size", "speech")
MOUTH = (slice(0.62, 0.92), slice(0.3, 0.7))  # rows and columns of a square crop, as shares of its side
EVIDENCE = 0.2  # correlation from which on a mouth counts as moving with the sound
MIN_FRAMES = 10  # fewer say nothing
LEVEL_RATE = 100  # sound levels per second
SILENCE = -60.0  # decibels below full scale; nothing quieter is told apart


def sound_levels(clip: Clip, window: float) -> Iterator[np.ndarray]:
    """Level of the sound in each hundredth of a second (m,) in decibels, window after window of `window` seconds."""
    block = min(window, 10.0)
    hop = clip.sampling_rate // LEVEL_RATE
    held: list[np.ndarray] = []
    for samples in clip.audio(block):
        power = np.add.reduceat(samples.astype(np.float64) ** 2, np.arange(0, len(samples), hop)) / hop
        held.append(np.maximum(10 * np.log10(power + 1e-12), SILENCE))
        if window == block:
            yield held.pop()
    if held:
        yield np.concatenate(held)


def speech_evidence(crops: np.ndarray, times: np.ndarray, levels: np.ndarray) -> float:
    """How well a mouth moves with the sound: their correlation, in [-1, 1]; 0 where nothing moves or sounds.

    The movement is the logarithm of the mean change of grey from frame to frame in the part of the crop where the
    mouth is. The sound may run up to one frame ahead or behind.

    Args:
        crops: (n, S, S, 3) uint8, square face crops.
        times: (n,) seconds since the start of the levels.
        levels: (m,) as from [`sound_levels`].
    """
    if len(crops) < MIN_FRAMES or not len(levels):
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


def choose_speaker(sizes: dict[int, float], evidence: dict[int, float]) -> int:
    """Number of the face whose mouth moves with the sound, if one does enough, else of the largest for longest.

    Args:
        sizes: area times frames of each face, by the number of its track.
        evidence: see [`speech_evidence`], for each of them; empty where the sound is not asked.
    """
    best = max(evidence, key=evidence.get, default=None)
    if best is not None and evidence[best] >= EVIDENCE:
        return best
    return max(sizes, key=sizes.get)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 1e-9 else 0.0
