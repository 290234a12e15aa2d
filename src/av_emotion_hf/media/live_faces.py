"""Faces in frames that arrive one by one, with the names of their persons, of which the last seconds are held."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..models.pictures_av_emotion import to_picture
from .detector import FaceDetector
from .follower import PersonFollower
from .live_audio import seconds_of
from .persons import FaceFrame
from .video import FrameClock

DURATION = 0.04  # seconds for which a frame is shown of which that is not known
MAX_DURATION = 1.0  # seconds: between frames that are further apart none was shown
NEAR = 1e-6  # seconds: rounding of times
MIN_SIDE = 16  # pixels: nothing is seen in smaller frames


class LiveFaces:
    """Follows the persons in the frames of one recording; the same come out however they are divided into calls.

    Args:
        fps: frames per second that are looked at; further ones are left out.
        detector: finds the faces.
        crop_size: side of the crops in pixels.
        margin: see [`face_windows`].

    Attributes:
        given: seconds of the last frame that was given; -1 before the first.
        end: seconds up to which persons are known.
        shown: seconds at which the last frame ends, as far as that is known.
    """

    def __init__(self, fps: float, detector: FaceDetector, crop_size: int, margin: float = 0.3):
        self.detector = detector
        self.given, self.end, self.shown = -1.0, 0.0, 0.0
        self._origin: float | None = None  # time of the first frame, at which the clock starts
        self._clock: FrameClock[tuple[float, np.ndarray]] = FrameClock(fps)
        self._follower = PersonFollower(detector, crop_size, margin)
        self._held: deque[FaceFrame] = deque()

    @property
    def is_given(self) -> bool:
        """Whether there was any frame."""
        return self._origin is not None

    def check(self, frames: Iterable[Any]) -> list[tuple[float, np.ndarray]]:
        """Times and pictures (H, W, 3) uint8 RGB; nothing changes yet.

        Args:
            frames: pairs of seconds and a picture of any type that [`to_picture`] accepts.

        Raises:
            InputError: there is something else, or a time is not later than the one before.
        """
        try:
            pairs = list(frames)
        except TypeError:
            raise InputError(
                f"frames given as a {type(frames).__name__}: give a list of pairs, frames=[(seconds, image), ...]"
            ) from None
        found: list[tuple[float, np.ndarray]] = []
        for pair in pairs:
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise InputError(
                    f"a frame given as a {type(pair).__name__}: give pairs, frames=[(seconds, image), ...]"
                )
            last = found[-1][0] if found else self.given
            time = seconds_of(pair[0], last)
            if time <= last:
                raise InputError(
                    f"a frame at {time:g} s: goes back, as the one before was at {last:g} s; give frames in the order "
                    "of time"
                )
            try:
                picture = to_picture(pair[1], f"the frame at {time:g} s")
            except ValueError as error:
                raise InputError(str(error)) from error
            if min(picture.shape[:2]) < MIN_SIDE:
                raise InputError(
                    f"the frame at {time:g} s of shape {picture.shape}: has fewer than {MIN_SIDE} pixels on a side; "
                    "give the whole picture (H, W, 3)"
                )
            found.append((time, picture))
        return found

    def add(self, frames: Sequence[tuple[float, np.ndarray]]) -> None:
        """Take frames that were checked. They are copied: a camera may write the next one into the same memory."""
        chosen = []
        for time, picture in frames:
            if self._origin is None:
                self._origin = time
            duration = time - self.given if self.given >= 0 else DURATION
            duration = duration if duration <= MAX_DURATION else DURATION
            found = self._clock.add(time - self._origin, duration, (time, picture.copy()))
            chosen += [found[1]] if found else []
            self.given, self.shown = time, time + duration
        self._follow(chosen)

    def flush(self, until: float | None = None) -> None:
        """Settle the persons of all frames so far, as no more come up to a time in seconds."""
        found = self._clock.end()
        self._follow([found[1]] if found else [])
        self._hold(self._follower.flush())
        self.end = max(self.end, self.shown if until is None else until)

    def cut(self, start: float, end: float) -> list[FaceFrame]:
        """The frames from `start` up to before `end`, in seconds."""
        return [frame for frame in self._held if start - NEAR <= frame.time < end - NEAR]

    def drop_before(self, time: float) -> None:
        """Forget the frames before a time in seconds."""
        while self._held and self._held[0].time < time - NEAR:
            self._held.popleft()

    def _follow(self, chosen: list[tuple[float, np.ndarray]]) -> None:
        if chosen:
            times, pictures = zip(*chosen, strict=True)
            self._hold(self._follower.add(times, pictures))

    def _hold(self, frames: Iterable[FaceFrame]) -> None:
        for frame in frames:
            self._held.append(frame)
            self.end = max(self.end, frame.time)


__all__ = ["LiveFaces"]
