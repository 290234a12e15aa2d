"""Images in memory that are searched for faces as a clip is."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass
class MemoryClip:
    """Images that [`face_windows`] and [`track_faces`] accept in place of a [`Clip`].

    Attributes:
        images: (n, H, W, 3) uint8 RGB.
        times: (n,) float64, seconds, increasing.
    """

    images: np.ndarray
    times: np.ndarray
    has_video: bool = True
    has_audio: bool = False

    def frames(self, batch_size: int = 32) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate over batches: timestamps (k,) in seconds, and frames (k, H, W, 3) uint8 RGB."""
        for i in range(0, len(self.images), batch_size):
            yield self.times[i : i + batch_size], self.images[i : i + batch_size]


__all__ = ["MemoryClip"]
