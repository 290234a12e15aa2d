"""A media clip: blocks of audio, and video frames with timestamps."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import BinaryIO

import numpy as np

from ..errors import InputError
from .audio import SAMPLING_RATE, AudioTrack, open_audio
from .source import MAX_GAP, ClipError, Source
from .video import VideoTrack, open_video


@dataclass
class Clip:
    """What `open_clip` returns: audio and video, each decoded from its start by each call of `audio` and `frames`.

    Its time 0 is where the first of both tracks starts, or where a black start that is cut ends.

    Attributes:
        name: path or URL of the file, "<bytes>" or "<file>".
        duration: seconds from time 0 to the end of the longer of both tracks.
        lead_black: seconds of black that are cut from the start of the video, and the audio up to there with them.
        fps: highest number of frames per second that `frames` yields.
        sampling_rate: of the audio, in Hz.
    """

    name: str
    duration: float
    lead_black: float
    fps: float
    sampling_rate: int = SAMPLING_RATE
    _video: VideoTrack | None = field(default=None, repr=False)
    _audio: AudioTrack | None = field(default=None, repr=False)
    _origin: float | None = field(default=None, repr=False)  # timestamp that the audio is placed from
    _delay: float = field(default=0.0, repr=False)  # seconds from there to the first frame

    @property
    def has_video(self) -> bool:
        """Whether there is a video track of which at least one frame can be decoded."""
        return self._video is not None

    @property
    def has_audio(self) -> bool:
        """Whether there is an audio track of which at least one sample can be decoded."""
        return self._audio is not None

    @property
    def video_reader(self) -> str | None:
        """Which library decodes the video: "pyav" or "decord"; None without video."""
        return self._video.reader if self._video else None

    @property
    def audio_reader(self) -> str | None:
        """Which library decodes the audio: "pyav"; None without audio."""
        return self._audio.reader if self._audio else None

    @property
    def audio_track(self) -> int | None:
        """Number of the audio track that is read, among those of the file, from 1; None without audio."""
        return self._audio.number if self._audio else None

    @property
    def has_picture(self) -> bool:
        """Deprecated name of `has_video`."""
        _warn("has_picture", "has_video")
        return self.has_video

    @property
    def has_sound(self) -> bool:
        """Deprecated name of `has_audio`."""
        _warn("has_sound", "has_audio")
        return self.has_audio

    @property
    def picture_reader(self) -> str | None:
        """Deprecated name of `video_reader`."""
        _warn("picture_reader", "video_reader")
        return self.video_reader

    @property
    def sound_reader(self) -> str | None:
        """Deprecated name of `audio_reader`."""
        _warn("sound_reader", "audio_reader")
        return self.audio_reader

    def frames(self, batch_size: int = 32) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read the video from its start to its end in bounded memory; yields nothing without a video track.

        For each tick of the clock at `fps`, which begins with the first frame, the last frame at or before it is
        read. A source with fewer frames per second yields each of its frames once. A batch ends early where the size
        of the frames changes.

        Args:
            batch_size: frames that are held in memory at a time.

        Yields:
            Timestamps (n,) float64 in seconds from time 0, and frames (n, H, W, 3) uint8 RGB.

        Raises:
            ValueError: `batch_size` is not positive.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: at least one frame has to be read at a time; use 1 or more")
        times, frames, filled = np.empty(0), np.empty(0, np.uint8), 0
        for time, frame in self._video.sample(self.fps, self.lead_black) if self._video else ():
            if filled and (filled == batch_size or frame.shape != frames.shape[1:]):
                yield times[:filled], frames[:filled]
                filled = 0
            if not filled:
                times, frames = np.empty(batch_size), np.empty((batch_size, *frame.shape), np.uint8)
            times[filled], frames[filled] = time + self._delay, frame
            filled += 1
        if filled:
            yield times[:filled], frames[:filled]

    def audio(self, block: float = 10.0) -> Iterator[np.ndarray]:
        """Read the audio from time 0 in bounded memory; yields nothing without an audio track.

        Several channels become one as [`to_mono`] describes, which takes a pass of its own over the track.

        Args:
            block: seconds of audio that are held in memory at a time.

        Yields:
            Consecutive blocks (samples,) float32 in [-1, 1], mono, 16 kHz, of `block` seconds; the last is shorter.

        Raises:
            ValueError: `block` is shorter than a sample, or not finite.
        """
        if not 1 / SAMPLING_RATE <= block < float("inf"):
            raise ValueError(
                f"block={block}: a block of audio lasts at least one sample; use 10 seconds, for instance"
            )
        if self._audio:
            yield from self._audio.blocks(self._origin, self.lead_black, round(block * SAMPLING_RATE))

    @property
    def num_channels(self) -> int:
        """Channels of the audio track; 0 without one. The first access takes a pass over it."""
        return self._audio.num_channels if self._audio else 0

    def likeness_of_channels(self) -> float:
        """How far both channels of a stereo clip are the same signal: correlation from -1 to 1."""
        return self._audio.likeness() if self._audio else 0.0

    def channel(self, number: int) -> "Clip":
        """One channel of the audio, from 1, as a clip without video."""
        return replace(self, _video=None, _audio=self._audio.only(number - 1) if self._audio else None)

    @cached_property
    def waveform(self) -> np.ndarray | None:
        """The whole audio (samples,) float32 in [-1, 1], mono, 16 kHz; None without audio.

        It is kept after the first access, 230 MB for an hour; `audio` keeps nothing.
        """
        blocks = list(self.audio())
        return np.concatenate(blocks) if blocks else None


def open_clip(source: str | os.PathLike | bytes | BinaryIO, fps: float = 10.0, trim_black: bool = True) -> Clip:
    """Open a media file of any container that PyAV or decord reads.

    A track that cannot be read counts as absent: the clip then has audio only, or video only. Of several audio tracks
    the first that has sound is read, the default one before others.

    Args:
        source: path of a file, URL (`http`, `https`, `file`), content of a file, or a file object, opened in binary
            mode. What a file object still contains, and what a URL names, is copied to a temporary file, so the
            object need not be seekable.
        fps: frames per second that `Clip.frames` yields at most.
        trim_black: cut black frames from the start, and the audio up to there. A clip that is black from beginning
            to end is left as it is.

    Raises:
        ClipError: no such file, a folder, an empty file, a text file, a URL that cannot be downloaded, neither audio
            nor video can be read, or the audio is of floats whose full scale is not 1.
        InputError: `fps` is not positive.
    """
    if not 0 < fps < float("inf"):
        raise InputError(f"fps={fps}: frames per second have to be positive; use 10, for instance")
    file = Source(source)
    streams = file.streams()
    video = open_video(file, streams, trim_black)
    audio = open_audio(file, streams)
    if video is None and audio is None:
        raise ClipError(
            f"{file.name}: neither audio nor video can be read, and a clip needs one of them; "
            "check that it is a complete media file (try to play it) and copy or convert it again"
        )
    lead = video.lead if video else 0.0
    origin, delay = (video.start if video else None), 0.0
    if not lead and video and audio and video.start is not None and audio.start is not None:
        before = video.start - audio.start  # sound before the first frame; it goes with a black start that is cut
        if 0 < before <= MAX_GAP:
            origin, delay = audio.start, before
    audio_end = audio.end(origin) if audio else 0.0
    return Clip(
        name=file.name,
        duration=max(video.length + delay if video else 0.0, audio_end) - lead,
        lead_black=lead,
        fps=fps,
        _video=video,
        _audio=audio if audio_end > lead else None,
        _origin=origin,
        _delay=delay,
    )


def _warn(old: str, new: str) -> None:
    warnings.warn(f"Clip.{old} is now Clip.{new}; the old name works until 0.3", DeprecationWarning, stacklevel=3)


__all__ = ["Clip", "open_clip"]
