"""The video track of a media file: frames in order, forward only, with their true timestamps."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any, Generic, TypeVar

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from .orientation import exif_orientation, frame_orientation, upright
from .source import MAX_BACKWARD, MAX_GAP, Source, Stream

BLACK_LUMA = 16  # of 255: a frame that is darker than this on average is black
THREADS = 2  # decode ahead while the caller works on the last frames; more cost memory and gain little
TIMESTAMP_ROUNDING = 1e-3  # seconds: containers round their timestamps to a millisecond

# timestamp in seconds or None, duration in seconds or 0, function that returns the frame (H, W, 3) uint8 RGB
Frame = TypeVar("Frame")
RawFrame = tuple[float | None, float, Callable[[], np.ndarray]]


class VideoTrack:
    """The video track of one clip, read from its start by each call of `sample`.

    PyAV reads it. decord takes over where PyAV does not know the container or the codec. In the other order more
    would go wrong: decord gives the same pixels, but it loses the first frames of streams without an index and the
    timestamps of AVI with B-frames, converts frames that nobody asked for, and needs 150 MB for long files.

    Args:
        reader: "pyav" or "decord".
        frames: function that reads the raw frames from the start.
        stream: what is read; None: its length has to be counted.
        trim_black: look for the first frame that is not black.

    Attributes:
        reader: "pyav" or "decord".
        start: timestamp of the first frame in the file, in seconds; None when the file has no timestamps.
        length: seconds from the first frame to the end of the last, according to the packets of the file.
        lead: seconds from the first frame to the first that is not black, 0 if all are or `trim_black` is off.

    Raises:
        ValueError: no frame can be decoded.
    """

    def __init__(self, reader: str, frames: Callable[[], Iterator[RawFrame]], stream: Stream | None, trim_black: bool):
        self.reader = reader
        self._raw_frames = frames
        self.start: float | None = None  # `_frames` reads it
        lead = None
        for time, _, to_rgb in self._frames():
            if not trim_black or not _is_black(to_rgb()):
                lead = time
                break
            lead = 0.0
        if lead is None:
            raise ValueError("no frame can be decoded")
        self.lead: float = lead
        if stream is not None:
            self.length = stream.length_from(self.start)
        else:
            time, duration, _ = deque(self._frames(), maxlen=1)[0]
            self.length = time + duration

    def sample(self, fps: float, start: float) -> Iterator[tuple[float, np.ndarray]]:
        """For each tick of a clock the last frame at or before it, each frame only once.

        Args:
            fps: ticks per second.
            start: seconds from the first frame to the first tick.

        Yields:
            Seconds since the first tick, and the frame (H, W, 3) uint8 RGB; only these frames are converted.
        """
        clock: FrameClock[Callable[[], np.ndarray]] = FrameClock(fps)
        for time, duration, to_rgb in self._frames():
            if time >= start and (chosen := clock.add(time - start, duration, to_rgb)):
                yield chosen[0], chosen[1]()
        if chosen := clock.end():
            yield chosen[0], chosen[1]()

    def _frames(self) -> Iterator[tuple[float, float, Callable[[], np.ndarray]]]:
        """Raw frames with times that start at 0 and increase strictly, whatever the timestamps say."""
        last, shift = None, 0.0
        for stamp, duration, to_rgb in self._raw_frames():
            duration = duration if 0 < duration <= MAX_GAP else 0.04
            if last is None:
                self.start, shift = stamp, -(stamp or 0.0)
                time = 0.0
            else:
                following = last + duration
                time = following if stamp is None else stamp + shift
                if not -MAX_BACKWARD < time - last <= MAX_GAP:
                    shift, time = shift + following - time, following
                if time <= last:
                    time = last + duration / 2
            last = time
            yield time, duration, to_rgb


class FrameClock(Generic[Frame]):
    """Chooses from frames, which come one after the other, for each tick of a clock the last at or before it.

    The clock starts at time 0. No frame is chosen twice.

    Args:
        fps: ticks per second.
    """

    def __init__(self, fps: float):
        self.fps = fps
        self._last: tuple[float, float, Frame] | None = None

    def add(self, time: float, duration: float, frame: Frame) -> tuple[float, Frame] | None:
        """The time of the frame before and that frame, if it is chosen, now that the next one is known."""
        last, self._last = self._last, (time, duration, frame)
        return self._chosen(last, time) if last else None

    def end(self) -> tuple[float, Frame] | None:
        """The same of the last frame, which is shown for its duration."""
        last, self._last = self._last, None
        return self._chosen(last, last[0] + last[1]) if last else None

    def _chosen(self, last: tuple[float, float, Frame], until: float) -> tuple[float, Frame] | None:
        return (last[0], last[2]) if _ticks_before(last[0], self.fps) < _ticks_before(until, self.fps) else None


def open_video(source: Source, streams: list[Stream] | None, trim_black: bool) -> VideoTrack | None:
    """The first video stream that can be decoded.

    Args:
        source: the file.
        streams: what is in it, None if PyAV cannot tell.
        trim_black: look for the first frame that is not black.
    """
    video = [stream for stream in streams or () if stream.kind == "video"]
    for stream in video:
        if stream.decodable:
            try:
                return VideoTrack("pyav", partial(_read_pyav, source, stream), stream, trim_black)
            except ValueError:
                continue
    # decord may crash on damaged data, so it does not get what PyAV knows and cannot decode
    if streams is None or not all(stream.decodable for stream in video):
        try:
            return VideoTrack("decord", partial(_read_decord, source), None, trim_black)
        except ValueError:
            pass
    return None


def _read_pyav(source: Source, stream: Stream) -> Iterator[RawFrame]:
    converter = VideoReformatter()  # kept, because making one takes longer than converting a small frame
    orientation = exif_orientation(source) if stream.picture else None
    for frame in source.decode(stream, THREADS):
        if not isinstance(frame, av.VideoFrame):
            continue
        duration = float(frame.duration * frame.time_base) if frame.time_base else 0.0

        def to_rgb(frame: av.VideoFrame = frame) -> np.ndarray:
            width = round(frame.width * stream.pixel_aspect)  # square pixels: faces are as wide as they were
            stored = converter.reformat(frame, width, format="rgb24", threads=1).to_ndarray()
            return upright(stored, orientation or frame_orientation(frame))

        yield frame.time, duration, to_rgb


def _read_decord(source: Source) -> Iterator[RawFrame]:
    import torch  # noqa: F401, I001  decord crashes on damaged files when it is loaded before torch
    import decord

    try:
        with _quiet(decord):
            reader = decord.VideoReader(source.path, num_threads=1)
        # one frame after the other: seeking and skipping are where decord loses or repeats frames
        for index in range(len(reader)):
            frame = reader.next()
            begin, end = reader.get_frame_timestamp(index)
            yield float(begin), float(end - begin), partial(_unpadded, frame)
    except (decord.DECORDError, RuntimeError, AssertionError, IndexError, StopIteration):
        return


def _unpadded(raw: Any) -> np.ndarray:
    """A frame of decord; one that it has turned by 90 degrees has the padding of its lines in place of a third."""
    frame = raw.asnumpy()
    height, width = frame.shape[:2]
    return frame.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)


def _is_black(frame: np.ndarray) -> bool:
    luma = frame[::4, ::4] @ np.array([0.299, 0.587, 0.114])
    return bool(luma.mean() < BLACK_LUMA)


def _ticks_before(time: float, fps: float) -> int:
    """How many of the ticks 0, 1/fps, 2/fps, ... come before a frame that is shown at `time`."""
    return int(np.ceil((time - TIMESTAMP_ROUNDING) * fps))


@contextmanager
def _quiet(decord: ModuleType) -> Iterator[None]:
    """Discard what C libraries write to the standard error stream while the block runs."""
    decord.logging.set_level(decord.logging.QUIET)
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


__all__ = ["FrameClock", "VideoTrack", "open_video"]
