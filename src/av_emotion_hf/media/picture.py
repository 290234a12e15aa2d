"""The picture track of a media file: frames in order, forward only, with their true timestamps."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import decord
import numpy as np

# Program and transport streams carry no index. decord seeks in them and lands behind the first group of pictures,
# so that every frame comes too late; OpenCV reads them straight through.
_PROGRAM_STREAMS = (b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")
_TRANSPORT_SYNC = ((0, 188), (4, 196))

# what decord raises for files that it cannot read
DECODE_ERRORS = (decord.DECORDError, RuntimeError, AssertionError, IndexError)


@contextmanager
def quiet() -> Iterator[None]:
    """Send what C libraries write to the standard error stream to nowhere, for the length of the block."""
    decord.logging.set_level(decord.logging.QUIET)
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Picture:
    """The picture track of one clip.

    decord reads it. OpenCV takes over where decord is known to go wrong: streams without an index, timestamps that
    make no sense, and a decoder that stops half way (HEVC with several frames in flight, damaged files).

    Args:
        path: an absolute path, which FFmpeg cannot take for an address.

    Attributes:
        timestamps: (frames,) float64, seconds, strictly increasing, the first is 0.
        duration: seconds from the first frame to the end of the last.
        indexed: whether the container has an index; its timestamps then start at zero.

    Raises:
        ValueError: no frame can be decoded.
    """

    def __init__(self, path: str):
        self.path = path
        self._decord_until: int | None = None  # first frame that only OpenCV can give; None: not met yet
        self.indexed = not _has_no_index(path)
        times = self._decord_times() if self.indexed else None
        if times is None:
            self._decord_until = 0
            times = self._opencv_times()
        step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        self.timestamps = times - times[0]
        self.duration = float(self.timestamps[-1]) + step
        if next(self.read([0]), None) is None:
            raise ValueError("no frame can be decoded")

    def read(self, indices: list[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield `(index, frame (H, W, 3) uint8 RGB)` for increasing indices; stop early where the file is damaged."""
        done = 0
        for index, frame in self._read_decord(indices):
            done += 1
            yield index, frame
        if done < len(indices):
            yield from self._read_opencv(indices[done:])

    def _decord_times(self) -> np.ndarray | None:
        """Timestamps as decord tells them, None where it cannot or where they cannot be true."""
        try:
            reader = self._decord_reader()
            times = reader.get_frame_timestamp(range(len(reader)))[:, 0].astype(np.float64)
        except DECODE_ERRORS:
            return None
        return times if _plausible(times) else None

    def _opencv_times(self) -> np.ndarray:
        import cv2

        times = []
        with self._opencv_reader() as reader:
            while reader.grab():
                times.append(reader.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            fps = reader.get(cv2.CAP_PROP_FPS)
        if not times:
            raise ValueError("no frame can be decoded")
        times = np.asarray(times)
        return times if _plausible(times) else np.arange(len(times)) / (fps if 1 <= fps <= 1000 else 25.0)

    def _read_decord(self, indices: list[int]) -> Iterator[tuple[int, np.ndarray]]:
        if self._decord_until == 0:
            return
        wanted = iter(indices)
        target = next(wanted, None)
        position = 0
        try:
            reader = self._decord_reader()
            # One frame after the other: seeking and skipping are where decord loses or repeats frames.
            while target is not None and position != self._decord_until:
                frame = reader.next()
                if position == target:
                    yield position, frame.asnumpy()
                    target = next(wanted, None)
                position += 1
        except (*DECODE_ERRORS, StopIteration):
            self._decord_until = position

    def _read_opencv(self, indices: list[int]) -> Iterator[tuple[int, np.ndarray]]:
        import cv2

        with self._opencv_reader() as reader:
            position = -1
            for index in indices:
                while position < index:
                    if not reader.grab():
                        return
                    position += 1
                ok, frame = reader.retrieve()
                if not ok:
                    return
                yield index, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def _decord_reader(self) -> decord.VideoReader:
        with quiet():
            return decord.VideoReader(self.path, num_threads=1)

    @contextmanager
    def _opencv_reader(self):
        import cv2

        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        with quiet():
            reader = cv2.VideoCapture(self.path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        try:
            yield reader
        finally:
            reader.release()


def sample_indices(timestamps: np.ndarray, fps: float, duration: float) -> list[int]:
    """Frames that are on screen at the ticks 0, 1/fps, 2/fps, ...: the last at or before each tick, each only once.

    Args:
        timestamps: (frames,) seconds, increasing from 0.
        fps: ticks per second.
        duration: seconds until the last frame ends; ticks end before it.

    Returns:
        Increasing frame indices, never more than there are frames.
    """
    early = 1e-3  # containers round their timestamps to a millisecond
    ticks = np.arange(max(1, int(np.ceil((duration - early) * fps)))) / fps
    return np.unique(np.searchsorted(timestamps, ticks + early, side="right") - 1).tolist()


def _plausible(times: np.ndarray) -> bool:
    return bool(np.isfinite(times).all() and abs(times[0]) < 1e6 and (np.diff(times) > 0).all())


def _has_no_index(path: str) -> bool:
    with Path(path).open("rb") as file:
        head = file.read(256)
    return head.startswith(_PROGRAM_STREAMS) or any(
        head[a : a + 1] == head[b : b + 1] == b"G" for a, b in _TRANSPORT_SYNC
    )
