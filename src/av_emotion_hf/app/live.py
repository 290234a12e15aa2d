"""Cameras and microphones that are live: each has a process in which its stream is followed."""

import asyncio
import io
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..timeline.palette import colors_of
from .limits import Limits
from .workshop import Progress, Settings, Workshop, predictor_of

if TYPE_CHECKING:
    import numpy as np

    from ..inference.stream import EmotionStream

IDLE = 15.0  # seconds without a request after which a stream ends
PIXELS = 2_100_000  # of a frame: full HD
RATES = (4_000, 200_000)  # sampling rates of microphones in Hz
NAME = "live"  # of a stream, in messages


@dataclass(frozen=True)
class Chunk:
    """What a browser has heard and seen since its last request.

    Attributes:
        audio: samples, int16.
        rate: of the samples in Hz.
        audio_time: of the first sample, in seconds since the stream began.
        frames: encoded pictures.
        times: of the frames, in seconds since the stream began.
    """

    audio: bytes
    rate: int
    audio_time: float
    frames: tuple[bytes, ...]
    times: tuple[float, ...]

    @classmethod
    def of_form(cls, fields: dict[str, Any], frames: Sequence[bytes]) -> "Chunk":
        """The chunk that a form holds.

        Args:
            fields: `audio` as bytes, `rate`, `audio_time`, and `times`, numbers with commas between them.
            frames: encoded pictures.

        Raises:
            InputError: a field is missing or cannot be used.
        """
        try:
            times = tuple(float(part) for part in str(fields["times"]).split(",") if part)
            rate, audio_time = int(fields["rate"]), float(fields["audio_time"])
            audio = bytes(fields["audio"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("a live request has audio, rate, audio_time, times and frames") from error
        if len(times) != len(frames):
            raise InputError(f"{len(frames)} frames have {len(times)} times; send one time for each")
        if len(audio) % 2 or not RATES[0] <= rate <= RATES[1]:
            raise InputError(f"audio has to be int16, at {RATES[0]} to {RATES[1]} Hz")
        return cls(audio, rate, audio_time, tuple(frames), times)


@dataclass
class _Session:
    workshop: Workshop
    begun: float = field(default_factory=time.monotonic)
    used: float = field(default_factory=time.monotonic)


class LiveSessions:
    """The streams that are going on.

    Args:
        limits: of their number and length.
        settings: of the models.
        folder: for signs of life; exists.
    """

    def __init__(self, limits: Limits, settings: Settings, folder: Path):
        self._limits, self._settings, self._folder = limits, settings, folder
        self._sessions: dict[str, _Session] = {}

    async def start(self, checkpoint: str, abstain: float) -> dict[str, Any]:
        """Begin a stream.

        Args:
            checkpoint: that answers.
            abstain: lowest probability of an emotion that is named.

        Returns:
            The name of its `session`, `colors` of the labels, and `fps`: how many frames are looked at each second.

        Raises:
            InputError: there are as many already as there may be, or the checkpoint cannot be used.
        """
        await self.sweep()
        if len(self._sessions) >= self._limits.live:
            raise InputError("The camera of somebody else is live, and this service follows no more: try again later.")
        name = secrets.token_urlsafe(16)
        session = self._sessions[name] = _Session(Workshop(1, self._folder, tasks=0))
        try:
            labels = await session.workshop.call(open_stream, (checkpoint, self._settings, abstain), NAME)
        except BaseException:
            await self.stop(name)
            raise
        session.used = time.monotonic()
        return {"session": name, "colors": colors_of(labels), "fps": self._settings.fps}

    async def push(self, name: str, chunk: Chunk) -> dict[str, Any]:
        """Hand on what was heard and seen.

        Args:
            name: of the session.
            chunk: of it.

        Returns:
            `rows` of the windows that are complete now, and the `latency` so far.

        Raises:
            InputError: there is no such session any more, or the chunk cannot be used, which ends it.
        """
        session = self._sessions.get(name)
        if session is None:
            raise InputError("The stream has ended; start it again.")
        if time.monotonic() - session.begun > self._limits.seconds:
            await self.stop(name)
            raise InputError(f"A stream ends after {self._limits.minutes:g} minutes here; start it again.")
        session.used = time.monotonic()
        try:
            return await session.workshop.call(push_chunk, chunk, NAME)
        except BaseException:
            await self.stop(name)
            raise

    async def stop(self, name: str) -> None:
        """End a stream and its process."""
        session = self._sessions.pop(name, None)
        if session is not None:
            await asyncio.to_thread(session.workshop.close)

    async def sweep(self) -> None:
        """End the streams of browsers that have gone."""
        now = time.monotonic()
        for name, session in list(self._sessions.items()):
            if now - session.used > IDLE:
                await self.stop(name)

    def close(self) -> None:
        """End all streams."""
        while self._sessions:
            self._sessions.popitem()[1].workshop.close()


_stream: "EmotionStream | None" = None  # of this process


def open_stream(wanted: tuple[str, Settings, float], progress: Progress) -> tuple[str, ...]:
    """Begin the stream of this process; the labels of its model.

    Args:
        wanted: checkpoint, settings, and the lowest probability of an emotion that is named.
        progress: as for a clip.

    Raises:
        InputError: a setting cannot be used.
    """
    from ..inference.stream import EmotionStream

    global _stream
    progress(0.0, 0.0)
    checkpoint, settings, abstain = wanted
    _stream = EmotionStream(predictor_of(checkpoint, settings), abstain=abstain)
    return _stream.timeline().labels


def push_chunk(chunk: Chunk, progress: Progress) -> dict[str, Any]:
    """Push a chunk into the stream of this process.

    Args:
        chunk: of it.
        progress: as for a clip.

    Raises:
        InputError: the chunk cannot be used, or the process is not the one in which the stream began.
    """
    import numpy as np

    progress(0.0, 0.0)
    if _stream is None:
        raise InputError("The stream has ended; start it again.")
    samples = np.frombuffer(chunk.audio, "<i2")
    audio = (samples, chunk.rate, chunk.audio_time) if len(samples) else None
    rows = _stream.push(audio, [(time, _picture(one)) for time, one in zip(chunk.times, chunk.frames, strict=True)])
    return {"rows": [asdict(row) for row in rows], "latency": asdict(_stream.latency)}


def _picture(content: bytes) -> "np.ndarray":
    """A frame (H, W, 3) uint8, RGB.

    Raises:
        InputError: it is no picture, or larger than full HD.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP")) as picture:
            if picture.width * picture.height > PIXELS:
                raise InputError(f"a frame has {picture.width} x {picture.height} pixels; send full HD at most")
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise error if isinstance(error, InputError) else InputError("a frame is no JPEG, PNG or WebP") from error


__all__ = ["Chunk", "LiveSessions", "open_stream", "push_chunk"]
