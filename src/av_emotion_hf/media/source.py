"""What a clip is read from: a file, a URL, bytes or a file object. Each reader opens it for itself."""

import codecs
import http.client
import io
import os
import tempfile
import urllib.parse
import urllib.request
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
from av.stream import Discard, Disposition

from ..errors import InputError
from ..utils import reason

MAX_GAP = 600.0  # seconds: a timestamp that is farther from the one before it makes no sense
URL_TIMEOUT = 30  # seconds without an answer
COPIED = 1 << 20  # bytes that are copied at a time
# formats that name other files or addresses, which FFmpeg would open, and what makes a file one of them
REFERRING = {"concat", "dash", "hls", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp"}
MARKS = (b"#EXTM3U", b"ffconcat", b"<MPD", b"CompositionPlaylist", b"c=IN IP")
PROBED = 1 << 20  # bytes from the start that FFmpeg looks at to tell the format
FORMATS = ",".join(sorted(av.formats_available - REFERRING))
MAX_BACKWARD = 0.2  # seconds: timestamps that go back farther start over, as where two files were joined


class ClipError(InputError):
    """A source that is not a clip; the message is one line that names the source, the rule and the remedy."""


@dataclass(frozen=True)
class Stream:
    """One audio or video stream of a container.

    Attributes:
        index: of the stream in the container.
        kind: "audio" or "video".
        decodable: whether PyAV has a decoder for it.
        start: timestamp of the first packet in seconds.
        length: seconds from there to the end of the last packet.
        pixel_aspect: width of a pixel divided by its height; 1 for audio.
        codec: FFmpeg's name of it; empty where it has none.
        picture: whether the file is one picture, such as a PNG.
    """

    index: int
    kind: str
    decodable: bool
    start: float
    length: float
    pixel_aspect: float = 1.0
    codec: str = ""
    picture: bool = False

    def length_from(self, stamp: float | None) -> float:
        """Seconds from the first decoded frame to the end; what encoders put before that frame is a run-up."""
        before = 0.0 if stamp is None else stamp - self.start
        return self.length - before if 0 < before < self.length else self.length


class Source:
    """A media file, of which any number of readers may be open at a time.

    Args:
        source: path, URL (`http`, `https`, `file`), content, or file object, which is read from its current position
            to its end.

    Attributes:
        name: for messages: the path or URL, "<bytes>" or "<file>".

    Raises:
        ClipError: no such file, a folder, an empty file, a text file, a URL that cannot be downloaded, or an object
            that is none of these or was opened in text mode.
    """

    def __init__(self, source: str | os.PathLike | bytes | BinaryIO):
        self._content: str | bytes
        if isinstance(source, (bytes, bytearray, memoryview)):
            self.name, self._content = "<bytes>", bytes(source)
            head = self._content[:4096]
        elif isinstance(source, (str, os.PathLike)):
            self.name = os.fspath(source)
            if self.name.lower().startswith(("http://", "https://")):
                self._content = self._download(self.name)
            else:
                self._content = str(Path(_local(self.name)).absolute())
            head = _head(self.name, Path(self._content))
        elif hasattr(source, "read"):
            self.name = "<file>"
            self._content = self._copy(source)
            head = _head(self.name, Path(self._content))
            if not head and (position := _position(source)):
                raise ClipError(f"<file>: nothing follows byte {position}, where it stands; call its seek(0) before")
        else:
            raise ClipError(
                f"{type(source).__name__}: is no source of a clip; give a path, a URL, bytes, or a file object that "
                "was opened with 'rb'"
            )
        if not head:
            raise ClipError(f"{self.name}: is empty, and a clip needs audio or video; copy or download it again")
        if _is_text(head):
            raise ClipError(
                f"{self.name}: is a text file, and a clip is an audio or video file; name the media file itself"
            )

    @property
    def path(self) -> str:
        """An absolute path, for readers that need one; bytes are written to a temporary file on the first call."""
        if isinstance(self._content, bytes):
            self._content = self._keep(iter([self._content]))
        return self._content

    def open_binary(self) -> BinaryIO:
        """Open as a plain file, at the start."""
        return io.BytesIO(self._content) if isinstance(self._content, bytes) else open(self._content, "rb")

    def open(self) -> av.container.InputContainer:
        """Open with PyAV, at the start.

        Raises:
            av.FFmpegError: it is not a media file.
        """
        # with the protocol named, FFmpeg opens no URL, nor mistakes a file name for one
        file = io.BytesIO(self._content) if isinstance(self._content, bytes) else f"file:{self._content}"
        return av.open(file, "r", metadata_errors="replace", options={"format_whitelist": FORMATS})

    def streams(self) -> list[Stream] | None:
        """Streams in the order in which they should be tried, default ones first; None if PyAV cannot open the file.

        All packets are read and none is decoded: headers are too often wrong or silent about the length.

        Raises:
            ClipError: it is a playlist or the like, which no other reader may get either.
        """
        try:
            with self.open() as container:
                wanted = {stream.index: stream for stream in container.streams if _is_wanted(stream)}
                lengths = {index: _Length(float(stream.time_base or 0)) for index, stream in wanted.items()}
                for packet in read_packets(container, *wanted.values()):
                    lengths[packet.stream.index].add(packet)
                default_first = sorted(
                    wanted.values(), key=lambda stream: not stream.disposition & Disposition.default
                )
                return [
                    Stream(
                        stream.index,
                        stream.type,
                        stream.codec_context is not None,
                        *lengths[stream.index].seconds,
                        _pixel_aspect(stream),
                        stream.codec_context.name if stream.codec_context is not None else "",
                        container.format.name.endswith("_pipe"),
                    )
                    for stream in default_first
                ]
        except av.FFmpegError as error:
            with self.open_binary() as file:
                start = file.read(PROBED)
            if any(mark in start for mark in MARKS):
                raise ClipError(
                    f"{self.name}: names other files, as a playlist does, and a clip has audio or video in it; name "
                    "the media file itself"
                ) from error
            return None

    def decode(self, stream: Stream, threads: int) -> Iterator[av.VideoFrame | av.AudioFrame]:
        """Decode a stream from its start; a damaged packet costs only its own frames."""
        with self.open() as container:
            chosen = container.streams[stream.index]
            for other in container.streams:
                if other is not chosen:
                    other.discard = Discard.all
            chosen.codec_context.thread_type, chosen.codec_context.thread_count = "AUTO", threads
            # AVI numbers its frames in the order of decoding; what FFmpeg makes of that is late by the decoder's delay
            slots: deque[int] | None = deque() if container.format.name == "avi" and stream.kind == "video" else None
            for packet in read_packets(container, chosen):
                if slots is not None and packet.size and packet.dts is not None:
                    slots.append(packet.dts)
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    if slots:
                        slots.pop()
                    continue
                for frame in frames:
                    if slots:
                        frame.pts = slots.popleft()
                    yield frame

    def _download(self, url: str) -> str:
        """Path of a temporary copy of what a URL names."""
        try:
            with urllib.request.urlopen(url, timeout=URL_TIMEOUT) as answer:
                expected, path = answer.headers.get("Content-Length", ""), self._keep(_pieces(answer))
        except (OSError, http.client.HTTPException, ValueError) as error:
            cause = getattr(error, "reason", None)  # urllib's own text has brackets around it
            why = reason(cause if isinstance(cause, Exception) else error)
            raise ClipError(f"{url}: cannot be downloaded ({why}); check the address and the connection") from error
        size = os.path.getsize(path)
        if expected.isdigit() and size < int(expected):
            raise ClipError(f"{url}: the connection ended after {size} of {expected} bytes; try it again")
        return path

    def _copy(self, file: BinaryIO) -> str:
        """Path of a temporary copy of what a file object still contains."""
        if hasattr(file, "encoding"):
            raise ClipError("<file>: is opened in text mode, and a clip is bytes; open it with open(path, 'rb')")
        try:
            return self._keep(_pieces(file))
        except (OSError, ValueError) as error:
            raise ClipError(
                f"<file>: cannot be read ({reason(error)}); open it again, with open(path, 'rb')"
            ) from error

    def _keep(self, pieces: Iterator[bytes]) -> str:
        """Path of a temporary file that is deleted together with this object."""
        # closed before it is read by its name: Windows does not open a file twice
        with tempfile.NamedTemporaryFile(prefix="av_emotion_hf_", delete=False) as copy:
            weakref.finalize(self, _remove, copy.name)
            for piece in pieces:
                copy.write(piece)
        return copy.name


class _Length:
    """Adds up how long a stream is, in constant memory, over stretches between which the timestamps make no sense.

    Args:
        unit: seconds that timestamps are counted in.
    """

    def __init__(self, unit: float):
        self.unit = unit
        self.start = self.begin = self.total = 0
        self.end: int | None = None

    def add(self, packet: av.Packet) -> None:
        """Count one more packet; packets come in the order of decoding, not of showing."""
        if not packet.size:  # the one that ends the stream
            return
        duration = packet.duration or 0
        duration = duration if 0 < duration * self.unit <= MAX_GAP else 0
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None:
            stamp = self.end or 0
        if self.end is None:
            self.start = self.begin = self.end = stamp
        elif not -max(MAX_BACKWARD, 20 * duration * self.unit) <= (stamp - self.end) * self.unit <= MAX_GAP:
            self.total += self.end - self.begin
            self.begin = self.end = stamp
        if not self.total:
            self.start = min(self.start, stamp)
        self.begin, self.end = min(self.begin, stamp), max(self.end, stamp + duration)

    @property
    def seconds(self) -> tuple[float, float]:
        """Timestamp of the start, and length up to the end of the last packet so far."""
        return self.start * self.unit, (self.total + (self.end or 0) - self.begin) * self.unit


def read_packets(container: av.container.InputContainer, *streams: av.stream.Stream) -> Iterator[av.Packet]:
    """Packets of some streams up to the end, or to where the file cannot be read any further."""
    try:
        yield from container.demux(*streams) if streams else ()  # PyAV takes no stream for all of them
    except (av.FFmpegError, IndexError):  # PyAV stumbles at the end over streams that turned up on the way
        return


def _is_wanted(stream: av.stream.Stream) -> bool:
    return stream.type in ("audio", "video") and not stream.disposition & Disposition.attached_pic  # a cover


def _pixel_aspect(stream: av.stream.Stream) -> float:
    aspect = float(getattr(stream, "sample_aspect_ratio", None) or 1)
    return aspect if 0.25 <= aspect <= 4 else 1.0  # other values occur in damaged files only


def _local(name: str) -> str:
    """The path that a `file` URL names; anything else is a path already."""
    if not name.lower().startswith("file://"):
        return name
    return urllib.request.url2pathname(urllib.parse.urlsplit(name).path)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """What a file object still contains."""
    while piece := file.read(COPIED):
        yield piece


def _position(file: BinaryIO) -> int:
    """Where a file object stands; 0 where it cannot tell."""
    try:
        return file.tell()
    except (AttributeError, OSError, ValueError):
        return 0


def _head(name: str, path: Path) -> bytes:
    if not path.exists():
        raise ClipError(f"{name}: there is no such file; check the path")
    if path.is_dir():
        raise ClipError(f"{name}: is a folder, and a clip is a file; name one of the files in it")
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError as error:
        raise ClipError(f"{name}: the file cannot be read ({reason(error)}); check its permissions") from error


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:  # gone already, or still open at the end of the process, which Windows refuses
        pass


def _is_text(head: bytes) -> bool:
    """Whether it is text: FFmpeg would draw a text file as a video, and follow the URLs in a playlist."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\n\r\f\ufeff" for character in text)


__all__ = ["MAX_BACKWARD", "MAX_GAP", "ClipError", "Source", "Stream", "read_packets"]
