"""Cuts of a video: where one shot ends and the next begins."""

from collections import deque

import numpy as np

SIDE = 32  # pixels of the pictures that are compared
MIN_CHANGE = 6.0  # of 255, mean over pixels and colors: less is no cut
MOTION = 2.5  # factor over the largest change in the frames before
REACH = 4  # of how many frames that is


class ShotDetector:
    """Tells the first frame of each shot from the others, frame after frame.

    A cut changes the picture much more than what moved in the frames before it. Fades and dissolves are
    not cuts. A jerk may count as one, which costs little: [`PersonNames`] finds the same persons behind it.
    """

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._changes: deque[float] = deque(maxlen=REACH)

    def starts_shot(self, frame: np.ndarray) -> bool:
        """Whether a frame (H, W, 3) uint8 is the first of a shot; the first frame of all is not."""
        small = _small(frame)
        last, self._last = self._last, small
        if last is None:
            return False
        change = float(np.abs(small - last).mean())
        moved = max(self._changes) if len(self._changes) == REACH else max([MIN_CHANGE, *self._changes])
        self._changes.append(change)
        return change > max(MIN_CHANGE, MOTION * (moved + 1))


def _small(frame: np.ndarray) -> np.ndarray:
    """A frame as (SIDE, SIDE, 3) float32."""
    import cv2

    step = max(1, min(frame.shape[:2]) // (4 * SIDE))  # the mean of some of the pixels is enough
    return cv2.resize(frame[::step, ::step], (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


__all__ = ["ShotDetector"]
