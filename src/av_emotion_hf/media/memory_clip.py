"""Frames in memory, in the place of a clip: for the search of faces."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass
class FrameSequence:
    """Frames that [`face_windows`] and [`track_faces`] take as they take a clip.

    Attributes:
        pictures: (n, H, W, 3) uint8 RGB.
        times: (n,) float64, seconds, rising.
    """

    pictures: np.ndarray
    times: np.ndarray
    has_picture: bool = True
    has_sound: bool = False

    def frames(self, batch_size: int = 32) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Times (k,) and frames (k, H, W, 3), some at a time."""
        for i in range(0, len(self.pictures), batch_size):
            yield self.times[i : i + batch_size], self.pictures[i : i + batch_size]


__all__ = ["FrameSequence"]
