"""Audio that arrives in chunks: mono at 16 kHz, of which the last seconds are held."""

import math
import numbers
from dataclasses import dataclass
from typing import Any

import av
import numpy as np

from ..errors import InputError
from ..models.arrays_av_emotion import as_array
from ..models.downmix_av_emotion import add_moments, channel_weights, covariance_of, mix
from ..models.waveforms_av_emotion import check_rate, split_rate, to_channels
from .audio import SAMPLING_RATE
from .source import MAX_GAP

JITTER = 0.1  # seconds: times of chunks are those of their arrival, more or less
BLOCKS = 100  # per second: what the resampler gets at a time, whatever the length of the chunks
FORMS = "give audio=(samples, sampling_rate), or with its time audio=(samples, sampling_rate, seconds)"


@dataclass(frozen=True)
class AudioChunk:
    """A chunk that can be used.

    Attributes:
        samples: (C, n) float32, full scale 1.
        sampling_rate: in Hz.
        channels_first: whether the first axis of what was given counts the channels; `None` where there was one axis.
        time: seconds at which it starts; `None` where it follows the chunk before.
    """

    samples: np.ndarray
    sampling_rate: int
    channels_first: bool | None
    time: float | None


class LiveAudio:
    """Resamples the chunks of one recording as a whole, so that nothing is heard at their borders.

    What is cut out does not depend on how the recording was divided into chunks. Several channels become one as
    [`channel_weights`] describes, by all that was heard up to the end of what is cut out.

    Attributes:
        rate: of the chunks, in Hz; 0 before the first.
        late: seconds of audio that were dropped, as silence had taken their place.
    """

    def __init__(self) -> None:
        self.rate, self.late = 0, 0.0
        self._taken = 0  # samples of the chunks, and of the silence between them
        self._last = 0.0  # seconds at which the last chunk ended
        self._channels_first: bool | None = None
        self._resamplers: list[Any] = []  # one for each channel; none where nothing has to be resampled
        self._rest = np.zeros((0, 0), np.float32)  # of the chunks, shorter than a block
        self._held = np.zeros((0, 0), np.float32)  # at 16 kHz
        self._first = self._counted = 0  # samples before those that are held, and those that are in the moments
        self._moments: np.ndarray | None = None

    @property
    def is_given(self) -> bool:
        """Whether there was any chunk."""
        return self.rate > 0

    @property
    def given(self) -> float:
        """Seconds up to which audio was given, or filled with silence."""
        return self._taken / self.rate if self.rate else 0.0

    @property
    def end(self) -> float:
        """Seconds up to which audio can be cut out."""
        return (self._first + self._held.shape[1]) / SAMPLING_RATE

    def check(self, audio: Any) -> AudioChunk:
        """A chunk, with the types and shapes that [`to_channels`] accepts; nothing changes yet.

        Args:
            audio: samples and their sampling rate, in either order, and the time of the first sample in seconds, which
                may be left out.

        Raises:
            InputError: it is something else, does not fit the chunks before, or its time goes back.
        """
        try:
            time = seconds_of(audio[2], self._last) if isinstance(audio, tuple) and len(audio) == 3 else None
            pair = split_rate(audio[:2] if isinstance(audio, tuple) else audio)
            if pair is None or len(audio) > 3:
                raise InputError(f"audio given as a {type(audio).__name__}: {FORMS}")
            samples, rate = as_array(pair[0], "a chunk of audio"), check_rate(pair[1])
            # of a few samples of several channels only the chunks before can tell which axis is which
            known = self._channels_first if samples.ndim == 2 else None
            if known is not None and samples.shape[0 if known else 1] != len(self._rest):
                known = None
            if not samples.size:
                return AudioChunk(self._rest[:, :0], rate, None, time)
            channels = to_channels(samples, known, "a chunk of audio")
        except ValueError as error:
            raise error if isinstance(error, InputError) else InputError(str(error)) from error
        if self.rate and (rate, len(channels)) != (self.rate, len(self._rest)):
            raise InputError(
                f"audio of {rate} Hz with {len(channels)} channel(s) after {self.rate} Hz with {len(self._rest)}: a "
                "stream keeps both; start another EmotionStream"
            )
        # it goes back beside what was given, as well as beside what the chunk before said
        if time is not None and time < min(self._last, self.given) - JITTER:
            raise InputError(
                f"audio at {time:g} s: goes back, as the chunk before ended at {self._last:g} s; give chunks in the "
                "order of time"
            )
        first = len(channels) == samples.shape[0] if samples.ndim == 2 else None
        return AudioChunk(channels, rate, first if known is None else known, time)

    def add(self, chunk: AudioChunk) -> None:
        """Take a chunk that was checked; what lies between it and the chunk before is silence."""
        if not chunk.samples.size:
            return
        if not self.rate:
            self._start(chunk)
        if chunk.channels_first is not None:
            self._channels_first = chunk.channels_first
        samples, rate = chunk.samples, chunk.sampling_rate
        length = samples.shape[1] / rate
        begin = (
            self.given if chunk.time is None else chunk.time
        )  # after silence that has taken the place of audio, too
        self._last = begin + length
        if begin > self.given + JITTER:
            self.fill_until(begin)
        elif begin < self.given - JITTER:
            dropped = min(samples.shape[1], round((self.given - begin) * rate))
            self.late += dropped / rate
            samples = samples[:, dropped:]
        self._take(samples)

    def fill_until(self, time: float) -> None:
        """Put silence in place of what has not come up to a time in seconds."""
        missing = round(time * self.rate) - self._taken
        while missing > 0:
            self._take(np.zeros((len(self._rest), min(missing, self.rate)), np.float32))
            missing -= self.rate

    def finish(self) -> None:
        """Take out of the resampler what it holds; nothing can follow."""
        if self._resamplers:
            self._resample(self._rest)
            self._hold(np.stack([_samples(one.resample(None)) for one in self._resamplers]))
            self._rest = self._rest[:, :0]

    def cut(self, start: float, end: float) -> np.ndarray:
        """What is heard from `start` to `end` in seconds: (samples,) float32 in [-1, 1], mono, 16 kHz."""
        first, last = (max(0, round(time * SAMPLING_RATE) - self._first) for time in (start, end))
        if len(self._held) < 2:
            return self._held[0, first:last].copy() if len(self._held) else np.zeros(0, np.float32)
        counted = max(0, self._counted - self._first)
        if last > counted:
            self._moments = add_moments(self._moments, self._held[:, counted:last])
            self._counted = self._first + last
        weights = channel_weights(None, covariance_of(self._moments, len(self._held)))
        return mix(self._held[:, first:last], weights).clip(-1, 1)

    def drop_before(self, time: float) -> None:
        """Forget what was heard before a time in seconds."""
        old = round(time * SAMPLING_RATE) - self._first
        if old > 0:
            self._held = self._held[:, old:].copy()  # a view would keep what is forgotten
            self._first += old

    def _start(self, chunk: AudioChunk) -> None:
        self.rate, channels = chunk.sampling_rate, len(chunk.samples)
        self._rest = self._held = np.zeros((channels, 0), np.float32)
        if self.rate != SAMPLING_RATE:
            self._resamplers = [av.AudioResampler("flt", "mono", SAMPLING_RATE) for _ in range(channels)]

    def _take(self, samples: np.ndarray) -> None:
        """Samples (C, n) that follow those before."""
        self._taken += samples.shape[1]
        clipped = samples.clip(-1, 1)
        if not self._resamplers:
            self._hold(clipped)
            return
        self._rest = np.concatenate([self._rest, clipped], axis=1)
        size = max(1, self.rate // BLOCKS)
        whole = self._rest.shape[1] // size * size
        for first in range(0, whole, size):
            self._resample(self._rest[:, first : first + size])
        self._rest = self._rest[:, whole:].copy()

    def _resample(self, samples: np.ndarray) -> None:
        """A block of samples (C, n)."""
        if not samples.shape[1]:
            return
        pieces = []
        for resampler, channel in zip(self._resamplers, samples, strict=True):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channel[None]), "flt", "mono")
            frame.sample_rate = self.rate
            pieces.append(_samples(resampler.resample(frame)))
        self._hold(np.stack(pieces))

    def _hold(self, samples: np.ndarray) -> None:
        if samples.shape[1]:
            self._held = np.concatenate([self._held, samples], axis=1)


def _samples(frames: list[av.AudioFrame]) -> np.ndarray:
    """Samples (n,) float32 of mono frames."""
    return np.concatenate([np.zeros(0, np.float32), *(frame.to_ndarray().ravel() for frame in frames)])


def seconds_of(time: Any, last: float) -> float:
    """The time of a chunk or a frame, after what came last.

    Raises:
        InputError: it is not a finite number, before the start of the stream, or so far ahead that it is not meant.
    """
    value = time.item() if getattr(time, "shape", None) == () else time
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (is_real and math.isfinite(value) and value >= 0):
        raise InputError(f"time={time!r}: has to be seconds since the start of the stream, 0 or more")
    if value > last + MAX_GAP:
        raise InputError(
            f"time={value:g}: is more than {MAX_GAP:g} s after what came before; give seconds since the start of the "
            "stream, and after so long a gap start another one"
        )
    return float(value)


__all__ = ["AudioChunk", "LiveAudio", "seconds_of"]
