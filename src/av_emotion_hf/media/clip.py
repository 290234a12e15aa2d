"""A media clip: its waveform, and its frames with timestamps."""

import codecs
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError
from .picture import Picture, sample_indices
from .sound import SAMPLING_RATE, read_audio_file, read_sound_track, to_mono_16k

BLACK_LUMA = 16  # of 255: a frame that is darker than this on average is black


class ClipError(InputError):
    """A source that is no clip; the message is one line that names the source, the rule and the remedy."""


@dataclass
class Clip:
    """What `open_clip` returns: the sound in memory, the picture read anew by each call of `frames`.

    Attributes:
        name: path of the file, or "<bytes>".
        duration: seconds, of the longer of both tracks, counted from behind the black start.
        lead_black: seconds of black that were cut from the start of both tracks.
        waveform: (samples,) float32 in [-1, 1], mono, 16 kHz; None without a sound track.
        fps: highest number of frames per second that `frames` gives.
        sampling_rate: of the waveform, in Hz.
    """

    name: str
    duration: float
    lead_black: float
    waveform: np.ndarray | None = field(repr=False)
    fps: float
    sampling_rate: int = SAMPLING_RATE
    _picture: Picture | None = field(default=None, repr=False)
    _first_frame: int = field(default=0, repr=False)
    _copy: object = field(default=None, repr=False)  # the file that holds the bytes; deleted together with the clip

    @property
    def has_picture(self) -> bool:
        """Whether there is a picture track of which at least one frame can be decoded."""
        return self._picture is not None

    @property
    def has_sound(self) -> bool:
        return self.waveform is not None

    def audio(self, block: float = 10.0):
        step = round(block * self.sampling_rate)
        for start in range(0, 0 if self.waveform is None else len(self.waveform), step):
            yield self.waveform[start : start + step]

    def frames(self, batch_size: int = 32) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read the picture from its start to its end in bounded memory; nothing comes without a picture track.

        For each tick of the clock at `fps` comes the last frame at or before it. A source with fewer frames per
        second gives each of its frames once.

        Args:
            batch_size: frames that are held in memory at a time.

        Yields:
            Timestamps (n,) float64 in seconds, counted from behind the black start, and frames (n, H, W, 3) uint8 RGB.

        Raises:
            ValueError: `batch_size` is not positive.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: at least one frame has to be read at a time; use 1 or more")
        if self._picture is None:
            return
        start = self._picture.timestamps[self._first_frame]
        times = self._picture.timestamps[self._first_frame :] - start
        wanted = sample_indices(times, self.fps, self._picture.duration - start)
        batch: list[tuple[float, np.ndarray]] = []
        for index, frame in self._picture.read([self._first_frame + i for i in wanted]):
            if batch and (len(batch) == batch_size or frame.shape != batch[0][1].shape):
                yield _stack(batch)
                batch = []
            batch.append((times[index - self._first_frame], frame))
        if batch:
            yield _stack(batch)


def open_clip(source: str | os.PathLike | bytes, fps: float = 10.0, trim_black: bool = True) -> Clip:
    """Open a media file of any container that decord or soundfile reads.

    A track that cannot be read counts as absent: what is left is a clip with sound only or with picture only.

    Args:
        source: path of a file, or its content.
        fps: frames per second that `Clip.frames` gives at most.
        trim_black: cut black frames from the start, and as much from the sound. A clip that is black from beginning
            to end is left as it is.

    Raises:
        ClipError: no such file, a folder, an empty file, a text file, or neither sound nor picture can be read.
        InputError: `fps` is not positive.
    """
    if not 0 < fps < float("inf"):
        raise InputError(f"fps={fps}: frames per second have to be positive; use 10, for instance")
    name, path, copy = _check_source(source)

    audio = read_audio_file(path)
    picture = None if audio else _open_picture(path)
    if audio is None:
        # the timestamps of streams without an index start anywhere, and both tracks together
        audio = read_sound_track(path, align=picture is None or picture.indexed)
    waveform = to_mono_16k(*audio) if audio else None
    if picture and waveform is not None and len(picture.timestamps) == 1:
        picture = None  # the cover of a song, not a video
    if picture is None and (waveform is None or not len(waveform)):
        raise ClipError(
            f"{name}: neither sound nor picture can be read, and a clip needs one of them; "
            "check that it is a complete media file (try to play it) and copy or convert it anew"
        )

    first, lead = _first_bright_frame(picture) if picture and trim_black else (0, 0.0)
    if waveform is not None:
        waveform = waveform[round(lead * SAMPLING_RATE) :]
        waveform = waveform if len(waveform) else None
    sound_duration = 0.0 if waveform is None else len(waveform) / SAMPLING_RATE
    picture_duration = picture.duration - lead if picture else 0.0
    return Clip(
        name=name,
        duration=max(sound_duration, picture_duration),
        lead_black=lead,
        waveform=waveform,
        fps=fps,
        _picture=picture,
        _first_frame=first,
        _copy=copy,
    )


def _check_source(source: str | os.PathLike | bytes) -> tuple[str, str, object]:
    """Return the name, an absolute path, and the temporary file behind the path where the source is bytes."""
    copy = None
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, head = "<bytes>", bytes(source[:4096])
        # decord reads bytes too, but damaged ones crash the process, and the same ones in a file do not
        copy = tempfile.NamedTemporaryFile(prefix="av_emotion_hf_")
        copy.write(source)
        copy.flush()
        path = Path(copy.name)
    else:
        name, path = os.fspath(source), Path(source)
        if not path.exists():
            raise ClipError(f"{name}: there is no such file; check the path")
        if path.is_dir():
            raise ClipError(f"{name}: is a folder, and a clip is a file; name one of the files in it")
        try:
            with path.open("rb") as file:
                head = file.read(4096)
        except OSError as error:
            raise ClipError(f"{name}: the file cannot be read ({error.strerror}); check its permissions") from error
    if not head:
        raise ClipError(f"{name}: is empty, and a clip needs sound or picture; copy or download it anew")
    if _is_text(head):
        raise ClipError(f"{name}: is a text file, and a clip is a sound or video file; name the media file itself")
    return name, str(path.absolute()), copy


def _is_text(head: bytes) -> bool:
    """FFmpeg would draw a text file as a video, and follow the addresses in a playlist."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\n\r\f\ufeff" for character in text)


def _open_picture(path: str) -> Picture | None:
    try:
        return Picture(path)
    except ValueError:
        return None


def _first_bright_frame(picture: Picture) -> tuple[int, float]:
    """Index and time of the first frame that is not black; of the first frame if there is none."""
    for index, frame in picture.read(list(range(len(picture.timestamps)))):
        luma = frame[::4, ::4] @ np.array([0.299, 0.587, 0.114])
        if luma.mean() >= BLACK_LUMA:
            return index, float(picture.timestamps[index])
    return 0, 0.0


def _stack(batch: list[tuple[float, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    times, frames = zip(*batch, strict=True)
    return np.array(times, np.float64), np.stack(frames)
