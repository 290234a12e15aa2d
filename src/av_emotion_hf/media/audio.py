"""The audio track of a media file: mono, 16 kHz, in blocks, each sample at its true time."""

import copy
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import av
import numpy as np

from ..models.downmix_av_emotion import SILENCE, add_moments, channel_weights, covariance_of, mix
from .source import MAX_BACKWARD, MAX_GAP, ClipError, Source, Stream

logger = logging.getLogger(__name__)

SAMPLING_RATE = 16_000
RATES = range(1000, 1_000_000)  # Hz: any other rate in a header is damage
TIMESTAMP_JITTER = 0.02  # seconds
MAX_FLOAT = 2.0  # floats beyond it are not loud, but have another full scale than 1


@dataclass(frozen=True)
class _Piece:
    """A stretch of a track.

    Attributes:
        time: seconds after the first sample; None where it follows the piece before.
        names: of the channels, as FFmpeg calls them.
        samples: (C, n) float32, at 16 kHz.
    """

    time: float | None
    names: tuple[str, ...]
    samples: np.ndarray


class AudioTrack:
    """One audio track, decoded and resampled from its start by each call of `blocks`.

    The first block of a track of several channels takes one more pass, which decides how they become mono: once for
    the whole track, so that nothing changes midway. See [`channel_weights`].

    Args:
        source: the file.
        stream: the track in it.
        number: of the track among the audio tracks of the file, from 1.

    Attributes:
        reader: "pyav".
        number: of the track among the audio tracks of the file, from 1.
        start: timestamp of the first sample in the file, in seconds; None when the file has no timestamps.

    Raises:
        ValueError: no sample can be decoded.
    """

    reader = "pyav"

    def __init__(self, source: Source, stream: Stream, number: int = 1):
        self._source, self._stream, self.number = source, stream, number
        self._only: int | None = None
        first = next(self._frames(), None)
        if first is None:
            raise ValueError("no sample can be decoded")
        self.start = first.time

    def only(self, channel: int) -> "AudioTrack":
        """The same track, of which one channel is read, counted from 0; where it is lacking there is silence."""
        track = copy.copy(self)
        track._only = channel
        return track

    @property
    def num_channels(self) -> int:
        """Most channels that the track has at any time."""
        return max(len(names) for names in self._totals)

    def likeness(self) -> float:
        """How far both channels of a stereo track are the same signal: correlation from -1 to 1.

        It is 0 where one of them is silent.
        """
        stereo = [total for names, total in self._totals.items() if len(names) == 2]
        covariance = sum((covariance_of(total, 2) for total in stereo), np.zeros((2, 2)))
        power = np.sqrt(covariance[0, 0] * covariance[1, 1])
        return float(covariance[0, 1] / power) if power > SILENCE**2 else 0.0

    def has_sound(self) -> bool:
        """Whether any channel is louder than silence anywhere; the track is decoded up to there."""
        return any(np.abs(piece.samples).max(initial=0.0) > SILENCE for piece in self._pieces())

    def check_scale(self) -> None:
        """Decode a track of uncompressed floats, which may have any scale; other tracks cannot.

        Raises:
            ClipError: full scale is not 1.
        """
        if not self._stream.codec.startswith("pcm_f"):
            return
        for frame in self._frames():
            samples = frame.to_ndarray()
            peak = float(np.abs(samples[np.isfinite(samples)]).max(initial=0.0))
            if peak > MAX_FLOAT:
                raise ClipError(
                    f"{self._source.name}: holds the sample {peak:g}, and full scale of floats is 1; divide them "
                    "by their full scale, as 32768 for 16 bits, or write the file as 16-bit integers (PCM_16)"
                )

    def end(self, start: float | None) -> float:
        """Seconds from the timestamp `start` to the end of the track."""
        return self._offset(start) + self._stream.length_from(self.start)

    def blocks(self, start: float | None, lead: float, size: int) -> Iterator[np.ndarray]:
        """Consecutive blocks of audio in constant memory.

        Args:
            start: timestamp to begin with, None to begin with the first sample. A track that starts later is
                preceded by silence.
            lead: seconds that are skipped from there.
            size: samples per block.

        Yields:
            (size,) float32 in [-1, 1]; the last may be shorter.
        """
        block, filled = np.empty(size, np.float32), 0
        for piece in self._placed(self._offset(start) - lead):
            while len(piece):
                part = piece[: size - filled]
                block[filled : filled + len(part)] = part
                filled, piece = filled + len(part), piece[len(part) :]
                if filled == size:
                    yield block
                    block, filled = np.empty(size, np.float32), 0
        if filled:
            yield block[:filled]

    def _offset(self, start: float | None) -> float:
        """Seconds from the timestamp `start` to the first sample; 0 where one of them is unknown or nonsense."""
        offset = self.start - start if self.start is not None and start is not None else 0.0
        return offset if abs(offset) <= MAX_GAP else 0.0

    def _placed(self, offset: float) -> Iterator[np.ndarray]:
        """Consecutive samples from time 0 on, with silence in the gaps; the track begins at `offset` seconds."""
        position = late = 0
        for piece in self._pieces():
            if piece.time is not None:
                ahead = round((piece.time + offset) * SAMPLING_RATE) - position
                late = max(0, -ahead)
                for silence in range(0, ahead, SAMPLING_RATE):
                    yield np.zeros(min(SAMPLING_RATE, ahead - silence), np.float32)
                position += max(0, ahead)
            samples = self._mono(piece)
            samples, late = samples[late:], max(0, late - len(samples))
            position += len(samples)
            yield samples

    def _mono(self, piece: _Piece) -> np.ndarray:
        """(samples,) float32 in [-1, 1] of a piece."""
        finite = np.nan_to_num(piece.samples, posinf=1.0, neginf=-1.0)
        if self._only is not None:
            samples = finite[self._only] if self._only < len(finite) else np.zeros_like(finite[0])
            return np.clip(samples, -1.0, 1.0)
        # one channel is left alone: the weights take a pass over the whole track
        samples = mix(finite, self._weights[piece.names]) if len(finite) > 1 else finite[0]
        return np.clip(samples, -1.0, 1.0)

    @cached_property
    def _weights(self) -> dict[tuple[str, ...], np.ndarray]:
        """How much of each channel goes into mono, for each layout that the track has on its way."""
        return {
            names: channel_weights(names, covariance_of(total, len(names))) for names, total in self._totals.items()
        }

    @cached_property
    def _totals(self) -> dict[tuple[str, ...], np.ndarray]:
        """Moments of the channels, for each layout; a pass over the whole track."""
        totals: dict[tuple[str, ...], np.ndarray] = {}
        for piece in self._pieces():
            totals[piece.names] = add_moments(totals.get(piece.names), piece.samples)
        return totals

    def _pieces(self) -> Iterator[_Piece]:
        """All of the track at 16 kHz, with the times of the pieces that do not follow the last."""
        resampler = setup = None
        names: tuple[str, ...] = ("FC",)
        expected, shift = 0.0, -(self.start or 0.0)
        for frame in self._frames():
            time = expected if frame.time is None else frame.time + shift
            if not -MAX_BACKWARD < time - expected <= MAX_GAP:
                shift, time = shift + expected - time, expected
            begin = None
            new_setup = frame.sample_rate, frame.format.name, frame.layout.name
            if resampler is None or abs(time - expected) > TIMESTAMP_JITTER or setup != new_setup:
                yield _Piece(None, names, _planes(resampler.resample(None) if resampler else [], len(names)))
                # packed: of more than 8 planes PyAV reads beyond the end
                resampler, setup = av.AudioResampler("flt", rate=SAMPLING_RATE), new_setup
                names = tuple(channel.name for channel in frame.layout.channels)
                begin = expected = time
            expected += frame.samples / frame.sample_rate
            frame.pts = None  # the resampler would fill gaps, too
            yield _Piece(begin, names, _planes(resampler.resample(frame), len(names)))
        yield _Piece(None, names, _planes(resampler.resample(None) if resampler else [], len(names)))

    def _frames(self) -> Iterator[av.AudioFrame]:
        for frame in self._source.decode(self._stream, threads=1):
            if isinstance(frame, av.AudioFrame) and frame.samples and frame.sample_rate in RATES:
                yield frame


def open_audio(source: Source, streams: list[Stream] | None) -> AudioTrack | None:
    """The first audio stream that can be decoded and has sound; the first that can be decoded if all are silent.

    Args:
        source: the file.
        streams: what is in it, None if PyAV cannot tell.

    Raises:
        ClipError: it holds floats whose full scale is not 1.
    """
    tracks = [stream for stream in streams or () if stream.kind == "audio"]
    numbers = {index: number for number, index in enumerate(sorted(stream.index for stream in tracks), 1)}
    decodable = [stream for stream in tracks if stream.decodable]
    silent: list[AudioTrack] = []
    chosen = None
    for stream in decodable:
        try:
            track = AudioTrack(source, stream, numbers[stream.index])
        except ValueError:
            continue
        if len(decodable) == 1 or track.has_sound():
            chosen = track
            break
        silent.append(track)
    if chosen is None:
        chosen = silent[0] if silent else None
    elif silent:
        which = ", ".join(str(track.number) for track in silent)
        subject = f"track {which} is" if len(silent) == 1 else f"tracks {which} are"
        logger.warning("%s: audio %s silent; track %d is used", source.name, subject, chosen.number)
    if chosen is not None:
        chosen.check_scale()
    return chosen


def _planes(frames: list[av.AudioFrame], channels: int) -> np.ndarray:
    """Samples (channels, n) float32 of packed float frames."""
    packed = [frame.to_ndarray().reshape(frame.samples, channels).T for frame in frames]
    return np.concatenate(packed, axis=1) if packed else np.zeros((channels, 0), np.float32)


__all__ = ["SAMPLING_RATE", "AudioTrack", "open_audio"]
