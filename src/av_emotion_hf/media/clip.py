"""A media clip: blocks of sound, and frames with timestamps."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import BinaryIO

import numpy as np

from ..errors import InputError
from .audio import SAMPLING_RATE, Sound, open_sound
from .source import ClipError, Source
from .video import Picture, open_picture


@dataclass
class Clip:
    """What `open_clip` returns: sound and picture, each read anew by each call of `audio` and `frames`.

    Attributes:
        name: path of the file, "<bytes>" or "<file>".
        duration: seconds, of the longer of both tracks, counted from behind the black start.
        lead_black: seconds of black that are cut from the start of both tracks.
        fps: highest number of frames per second that `frames` gives.
        sampling_rate: of the sound, in Hz.
    """

    name: str
    duration: float
    lead_black: float
    fps: float
    sampling_rate: int = SAMPLING_RATE
    _picture: Picture | None = field(default=None, repr=False)
    _sound: Sound | None = field(default=None, repr=False)

    @property
    def has_picture(self) -> bool:
        """Whether there is a picture track of which at least one frame can be decoded."""
        return self._picture is not None

    @property
    def has_sound(self) -> bool:
        """Whether there is a sound track of which at least one sample can be decoded."""
        return self._sound is not None

    @property
    def picture_reader(self) -> str | None:
        """Which library decodes the picture: "pyav" or "decord"; None without a picture."""
        return self._picture.reader if self._picture else None

    @property
    def sound_reader(self) -> str | None:
        """Which library decodes the sound: "pyav"; None without sound."""
        return self._sound.reader if self._sound else None

    def frames(self, batch_size: int = 32) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read the picture from its start to its end in bounded memory; nothing comes without a picture track.

        For each tick of the clock at `fps` comes the last frame at or before it. A source with fewer frames per
        second gives each of its frames once. A batch ends early where the size of the picture changes.

        Args:
            batch_size: frames that are held in memory at a time.

        Yields:
            Timestamps (n,) float64 in seconds, counted from behind the black start, and frames (n, H, W, 3) uint8 RGB.

        Raises:
            ValueError: `batch_size` is not positive.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: at least one frame has to be read at a time; use 1 or more")
        times, frames, filled = np.empty(0), np.empty(0, np.uint8), 0
        for time, frame in self._picture.sample(self.fps, self.lead_black) if self._picture else ():
            if filled and (filled == batch_size or frame.shape != frames.shape[1:]):
                yield times[:filled], frames[:filled]
                filled = 0
            if not filled:
                times, frames = np.empty(batch_size), np.empty((batch_size, *frame.shape), np.uint8)
            times[filled], frames[filled] = time, frame
            filled += 1
        if filled:
            yield times[:filled], frames[:filled]

    def audio(self, block: float = 10.0) -> Iterator[np.ndarray]:
        """Read the sound from behind the black start to its end in bounded memory; nothing comes without sound.

        Args:
            block: seconds of sound that are held in memory at a time.

        Yields:
            Consecutive blocks (samples,) float32 in [-1, 1], mono, 16 kHz, of `block` seconds; the last is shorter.

        Raises:
            ValueError: `block` is shorter than a sample, or not finite.
        """
        if not 1 / SAMPLING_RATE <= block < float("inf"):
            raise ValueError(
                f"block={block}: a block of sound lasts at least one sample; use 10 seconds, for instance"
            )
        if self._sound:
            start = self._picture.start if self._picture else None
            yield from self._sound.blocks(start, self.lead_black, round(block * SAMPLING_RATE))

    @cached_property
    def waveform(self) -> np.ndarray | None:
        """The whole sound (samples,) float32 in [-1, 1], mono, 16 kHz; None without sound.

        It is kept from the first access on, 230 MB for an hour; `audio` keeps nothing.
        """
        blocks = list(self.audio())
        return np.concatenate(blocks) if blocks else None


def open_clip(source: str | os.PathLike | bytes | BinaryIO, fps: float = 10.0, trim_black: bool = True) -> Clip:
    """Open a media file of any container that PyAV or decord reads.

    A track that cannot be read counts as absent: what is left is a clip with sound only or with picture only.

    Args:
        source: path of a file, its content, or a file object; what a file object still holds is copied to a
            temporary file, so that it may be one that cannot seek.
        fps: frames per second that `Clip.frames` gives at most.
        trim_black: cut black frames from the start, and as much from the sound. A clip that is black from beginning
            to end is left as it is.

    Raises:
        ClipError: no such file, a folder, an empty file, a text file, or neither sound nor picture can be read.
        InputError: `fps` is not positive.
    """
    if not 0 < fps < float("inf"):
        raise InputError(f"fps={fps}: frames per second have to be positive; use 10, for instance")
    source = Source(source)
    tracks = source.tracks()
    picture = open_picture(source, tracks, trim_black)
    sound = open_sound(source, tracks)
    if picture is None and sound is None:
        raise ClipError(
            f"{source.name}: neither sound nor picture can be read, and a clip needs one of them; "
            "check that it is a complete media file (try to play it) and copy or convert it anew"
        )
    lead = picture.lead if picture else 0.0
    sound_end = sound.end(picture and picture.start) if sound else 0.0
    if sound_end <= lead:
        sound = None
    return Clip(
        name=source.name,
        duration=max(picture.length if picture else 0.0, sound_end) - lead,
        lead_black=lead,
        fps=fps,
        _picture=picture,
        _sound=sound,
    )
