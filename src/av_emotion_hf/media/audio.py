"""The audio track of a media file: mono, 16 kHz, in blocks, each sample at its true time."""

from collections.abc import Iterator

import av
import numpy as np

from .source import MAX_BACKWARD, MAX_GAP, Source, Stream

SAMPLING_RATE = 16_000
RATES = range(1000, 1_000_000)  # Hz: any other rate in a header is damage
TIMESTAMP_JITTER = 0.02  # seconds


class AudioTrack:
    """One audio track, decoded and resampled from its start by each call of `blocks`.

    Attributes:
        reader: "pyav".
        start: timestamp of the first sample in the file, in seconds; None when the file has no timestamps.

    Raises:
        ValueError: no sample can be decoded.
    """

    reader = "pyav"

    def __init__(self, source: Source, stream: Stream):
        self._source, self._stream = source, stream
        first = next(self._frames(), None)
        if first is None:
            raise ValueError("no sample can be decoded")
        self.start = first.time

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
        for time, samples in self._runs():
            if time is not None:
                ahead = round((time + offset) * SAMPLING_RATE) - position
                late = max(0, -ahead)
                for silence in range(0, ahead, SAMPLING_RATE):
                    yield np.zeros(min(SAMPLING_RATE, ahead - silence), np.float32)
                position += max(0, ahead)
            samples, late = samples[late:], max(0, late - len(samples))
            position += len(samples)
            yield samples

    def _runs(self) -> Iterator[tuple[float | None, np.ndarray]]:
        """Pieces (samples,) at 16 kHz, with their time after the first sample where they do not follow the last."""
        resampler = setup = None
        expected, shift = 0.0, -(self.start or 0.0)
        for frame in self._frames():
            time = expected if frame.time is None else frame.time + shift
            if not -MAX_BACKWARD < time - expected <= MAX_GAP:
                shift, time = shift + expected - time, expected
            begin = None
            new_setup = frame.sample_rate, frame.format.name, frame.layout.name
            if resampler is None or abs(time - expected) > TIMESTAMP_JITTER or setup != new_setup:
                yield None, _mono(resampler.resample(None) if resampler else [])
                # packed: of more than 8 planes PyAV reads beyond the end
                resampler, setup = av.AudioResampler("flt", rate=SAMPLING_RATE), new_setup
                begin = expected = time
            expected += frame.samples / frame.sample_rate
            frame.pts = None  # the resampler would fill gaps, too
            yield begin, _mono(resampler.resample(frame))
        yield None, _mono(resampler.resample(None) if resampler else [])

    def _frames(self) -> Iterator[av.AudioFrame]:
        for frame in self._source.decode(self._stream, threads=1):
            if isinstance(frame, av.AudioFrame) and frame.samples and frame.sample_rate in RATES:
                yield frame


def open_audio(source: Source, streams: list[Stream] | None) -> AudioTrack | None:
    """The first audio stream that can be decoded.

    Args:
        source: the file.
        streams: what is in it, None if PyAV cannot tell.
    """
    for stream in streams or ():
        if stream.kind == "audio" and stream.decodable:
            try:
                return AudioTrack(source, stream)
            except ValueError:
                continue
    return None


def _mono(frames: list[av.AudioFrame]) -> np.ndarray:
    """Mean of the channels of packed float frames; (samples,) float32 in [-1, 1]."""
    mono = [frame.to_ndarray().reshape(frame.samples, -1).mean(axis=1, dtype=np.float32) for frame in frames]
    samples = np.concatenate(mono) if mono else np.zeros(0, np.float32)
    return np.clip(np.nan_to_num(samples, posinf=1.0, neginf=-1.0), -1.0, 1.0)


__all__ = ["SAMPLING_RATE", "AudioTrack", "open_audio"]
