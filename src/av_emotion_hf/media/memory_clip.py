"""Images in memory that are searched for faces as a clip is."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np


@dataclass
class MemoryClip:
    """Images that [`face_windows`] and [`track_faces`] accept in place of a [`Clip`].

    Attributes:
        images: (n, H, W, 3) uint8 RGB.
        times: (n,) float64, seconds, increasing.
        waveform: (samples,) float32, mono; of length 0 for none.
        sampling_rate: of the waveform, in Hz.
    """

    images: np.ndarray
    times: np.ndarray
    waveform: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    sampling_rate: int = 16_000
    has_video: bool = True

    @property
    def has_audio(self) -> bool:
        """Whether there is a waveform."""
        return len(self.waveform) > 0

    def frames(self, batch_size: int = 32) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate over batches: timestamps (k,) in seconds, and frames (k, H, W, 3) uint8 RGB."""
        for i in range(0, len(self.images), batch_size):
            yield self.times[i : i + batch_size], self.images[i : i + batch_size]

    def audio(self, block: float = 10.0) -> Iterator[np.ndarray]:
        """Iterate over blocks of `block` seconds of the waveform."""
        size = round(block * self.sampling_rate)
        for i in range(0, len(self.waveform), size):
            yield self.waveform[i : i + size]


__all__ = ["MemoryClip"]
