"""A clip in whatever form it is given, as windows of audio and face crops: the one way into a model.

A file is read by the package's `ClipReader`, arrays are cut by [`ClipWindows`]; both return [`ClipInputs`]. This file
also travels with checkpoints. Where the package is not installed, there is no reader: waveforms and face crops are
accepted, and of a file its audio, if a library there reads it.
"""

import io
import itertools
import math
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from .arrays_av_emotion import as_array
from .downmix_av_emotion import to_mono
from .parts_av_emotion import ClipParts, clip_parts, is_file
from .persons_av_emotion import ALL, LARGEST, in_order, is_name, unknown_person
from .pictures_av_emotion import Clip, to_clip
from .waveforms_av_emotion import audible, check_rate, to_waveform

WINDOW = 10.0  # seconds; the scores of a clip are the mean over windows of this length
WHOLE = "whole"  # the window that is as long as the clip
READER_RATE = 16000  # samples per second of the audio that the package reads
FPS = 10.0  # of face crops and frames that come without times
URL_TIMEOUT = 30  # seconds
OPTIONS = ("fps", "detector", "person")
REMEDY = "pip install av-emotion-hf, which reads clips whole, or give {'waveform': ..., 'faces': ...}"


@dataclass(frozen=True)
class ClipInputs:
    """What a clip, or a window of it, gives to the models.

    Attributes:
        waveform: `(samples,)` float32, mono; of length 0 when there is no audio, or nothing but silence.
        crops: `(Tv, S, S, 3)` uint8 or a list of images: the followed faces in the frames that show them.
        face_times: `(Tv,)` seconds since the start of the window.
        num_frames: frames that were looked at.
        start: seconds from the start of the clip (after a black beginning) to that of the window.
        duration: seconds.
        lead_black: seconds of black frames that were cut from the start of the clip.
        detector: name of the face detector that ran, `None` when none did.
        persons: Tv names, one for each of the crops; empty where the crops were given.
    """

    waveform: np.ndarray
    crops: np.ndarray | list
    face_times: np.ndarray
    num_frames: int
    start: float
    duration: float
    lead_black: float = 0.0
    detector: str | None = None
    persons: tuple[str, ...] = ()

    @property
    def face_coverage(self) -> float:
        """Fraction of the frames that show a followed face; 0 without a video track."""
        return len(np.unique(self.face_times)) / self.num_frames if self.num_frames else 0.0

    @property
    def person(self) -> str | None:
        """The person who is followed; several with a comma between them; `None` if nobody is."""
        return ", ".join(in_order(self.persons)) or None

    @property
    def modalities(self) -> list[str]:
        """`audio` and `image`, as far as there is something of them."""
        return [name for name, part in (("audio", self.waveform), ("image", self.crops)) if len(part)]


def merge_short_tail(
    windows: Iterable[ClipInputs], length: float, sampling_rate: int = READER_RATE
) -> Iterator[ClipInputs]:
    """Windows of a clip, whose last one, if shorter than half of `length`, becomes part of the window before it.

    Args:
        windows: windows of `length` seconds in order, the last of which may be shorter.
        length: seconds.
        sampling_rate: of the waveforms, in Hz.
    """
    held = None
    for window in windows:
        if held is not None and window.duration < length / 2:
            held = concatenate([held, window], sampling_rate)
            continue
        if held is not None:
            yield held
        held = window
    if held is not None:
        yield held


def concatenate(windows: list[ClipInputs], sampling_rate: int = READER_RATE) -> ClipInputs:
    """Windows that follow each other as one; what one of them lacks in audio before others is silence."""
    first, last = windows[0], windows[-1]
    starts = [round((window.start - first.start) * sampling_rate) for window in windows]
    ends = [at + len(window.waveform) for at, window in zip(starts, windows, strict=True) if len(window.waveform)]
    waveform = np.zeros(max(ends, default=0), np.float32)
    for at, window in zip(starts, windows, strict=True):
        if len(window.waveform):
            waveform[at : at + len(window.waveform)] = window.waveform
    crops: np.ndarray | list
    if any(isinstance(window.crops, list) for window in windows):
        crops = [crop for window in windows for crop in window.crops]
    else:
        crops = np.concatenate([window.crops for window in windows])
    return ClipInputs(
        waveform=waveform,
        crops=crops,
        face_times=np.concatenate([window.face_times + (window.start - first.start) for window in windows]),
        num_frames=sum(window.num_frames for window in windows),
        start=first.start,
        duration=last.start + last.duration - first.start,
        lead_black=first.lead_black,
        detector=next((window.detector for window in windows if window.detector is not None), None),
        persons=tuple(name for window in windows for name in window.persons),
    )


def person_rows(windows: Iterable[ClipInputs], person: str = LARGEST) -> Iterator[ClipInputs]:
    """The windows of each person, if `all` or one by name is asked for; else the windows as they are.

    The voice belongs to whom it comes from, which the picture does not tell. So it goes to a person in those windows
    only that show nobody else. With `all`, a window without a person stays one row, of the voice alone; of one person
    it is empty.

    Args:
        windows: of a clip, with all its persons.
        person: the choice.

    Yields:
        For each window the persons in the order in which they appeared.

    Raises:
        ValueError: at the end, nobody had the name.
    """
    found: set[str] = set()
    for window in windows:
        names = in_order(window.persons)
        found.update(names)
        if is_name(person):
            yield of_person(window, person)
        elif person == ALL and names:
            yield from (of_person(window, name) for name in names)
        else:
            yield window
    if is_name(person) and person not in found:
        raise ValueError(unknown_person(person, found))


def of_person(window: ClipInputs, person: str, speaks: bool = False) -> ClipInputs:
    """A window as it is of one person: with that person's crops, and with the voice if nobody else is seen.

    Args:
        window: with all its persons.
        person: name of the person.
        speaks: whether it is known that the voice is that person's, whoever else is seen.
    """
    rows = [row for row, name in enumerate(window.persons) if name == person]
    return replace(
        window,
        waveform=window.waveform if speaks or set(window.persons) == {person} else window.waveform[:0],
        crops=window.crops[rows] if isinstance(window.crops, np.ndarray) else [window.crops[row] for row in rows],
        face_times=window.face_times[rows],
        persons=(person,) * len(rows),
    )


def check_window(window: float | str | None) -> float | str:
    """The length of a window in seconds or [`WHOLE`]; [`WINDOW`] for `None`.

    Raises:
        ValueError: it is neither, or not positive.
    """
    if window is None:
        return WINDOW
    if window == WHOLE:
        return WHOLE
    if isinstance(window, str | bool) or not 0 < window < float("inf"):
        raise ValueError(f"window={window!r}: has to be positive seconds or {WHOLE!r}; use 10, for instance")
    return float(window)


def check_fps(fps: Any) -> float:
    """Frames per second, of Python, numpy or torch.

    Raises:
        ValueError: they are not a positive number.
    """
    value = fps.item() if getattr(fps, "shape", None) == () else fps
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"fps={fps!r}: has to be a positive number; use 10, for instance")
    return value


def check_times(times: Any, count: int, name: str) -> np.ndarray:
    """Times `(count,)` in seconds of what is called `name`.

    Raises:
        ValueError: they are not as many, not finite, or do not increase.
    """
    seconds = as_array(times, "face_times").astype(float)
    if seconds.ndim != 1 or len(seconds) != count:
        raise ValueError(f"{count} {name} and {seconds.size} face_times: give one time for each of them")
    wrong = np.flatnonzero(~np.isfinite(seconds) | ~(np.diff(seconds, prepend=-np.inf) > 0))
    if len(wrong):
        raise ValueError(
            f"face_times[{wrong[0]}] = {seconds[wrong[0]]:g}: has to be finite and later than the one before; give "
            f"{name} in the order of time"
        )
    return seconds


class ClipWindows:
    """Cuts clips into windows.

    Args:
        sampling_rate: of the waveforms in Hz; `None` for a model that takes no audio.
        has_video: whether the model takes face crops.
        reader_factory: makes what reads files and finds faces, from `modality`, `window` and the options of
            `ReaderOptions`; `None` where the package is not installed.
    """

    def __init__(self, sampling_rate: int | None, has_video: bool, reader_factory: Callable[..., Any] | None = None):
        self.has_audio, self.has_video = sampling_rate is not None, has_video
        self.rate = sampling_rate or READER_RATE
        self.reader_factory = reader_factory
        self._readers: dict[tuple, Any] = {}

    def __call__(self, clip: Any, window: float | str | None = None, **options: Any) -> Iterator[ClipInputs]:
        """The windows of a clip, at least one; with `person="all"`, those of each person, see [`person_rows`].

        Args:
            clip: path, URL, bytes, open file, waveform, pair with a sampling rate, or dict, see `AVEmotionPipeline`.
            window: seconds; `"whole"` for one window of the whole clip. A remainder of less than half a window belongs
                to the window before it.
            **options: of the package's `ReaderOptions`, on every way into the model.

        Raises:
            ValueError: the clip cannot be read or an option cannot be used; one line that says what to do.
        """
        length = check_window(window)
        options = options | {"fps": check_fps(options["fps"])} if "fps" in options else options
        modality = "both" if self.has_audio and self.has_video else "audio" if self.has_audio else "image"
        reader = self._reader(modality, length, options)
        person = options.get("person", LARGEST)
        if not self.has_video and (person == ALL or is_name(person)):
            raise ValueError(f"person={person!r}: the model hears voices and sees nobody; leave it out")
        parts = clip_parts(clip)
        if parts.file is not None:
            return person_rows(self._file(parts.file, length, reader), person)
        return person_rows(self._cut(*self._arrays(parts, length, options), length), person)

    def _reader(self, modality: str, length: float | str, options: dict[str, Any]) -> Any:
        """What reads files and finds faces, with its options checked; `None` where the package is not installed."""
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise ValueError(f"option {unknown[0]!r} is unknown; the options are {', '.join(OPTIONS)}")
        if self.reader_factory is None:
            for name in sorted(set(options) - {"fps"}):
                raise ValueError(f"{name}={options[name]!r}: nothing that is installed here finds faces: {REMEDY}")
            return None
        if length != WHOLE:
            options = options | {"window": length}
        key = modality, *sorted(options.items())
        if key not in self._readers:  # its face detector is loaded once
            self._readers[key] = self.reader_factory(modality, **options)
        return self._readers[key]

    def _file(self, source: Any, length: float | str, reader: Any) -> Iterator[ClipInputs]:
        """Windows of a clip that is stored in a file, behind a URL, or in bytes."""
        if reader is not None:
            windows = reader.windows(source)
            if length == WHOLE:
                windows = iter([concatenate(list(windows))])
            return map(self.resampled, windows) if self.rate != READER_RATE else windows
        if not self.has_audio:
            name = source if isinstance(source, str) else "the clip"
            raise ValueError(f"{name}: nothing that is installed here finds the face in a clip: {REMEDY}")
        waveform = audible(fallback_audio(_local(source), self.rate))
        nothing = np.zeros(0)
        return self._cut(ClipInputs(waveform, [], nothing, 0, 0.0, len(waveform) / self.rate), nothing, length)

    def resampled(self, window: ClipInputs) -> ClipInputs:
        """A window that the package has read, at the sampling rate of the model."""
        return replace(window, waveform=_resample(window.waveform, READER_RATE, self.rate))

    def _arrays(self, parts: ClipParts, length: float | str, options: dict[str, Any]) -> tuple[ClipInputs, np.ndarray]:
        """A waveform and face crops, or frames to find the face in, as one window; and the times of all frames."""
        waveform, duration = np.zeros(0, np.float32), 0.0
        if self.has_audio and parts.audio is not None:
            waveform, duration = self._audio(parts.audio, parts.sampling_rate, length, options)
        name, given = ("face crops", parts.crops) if parts.frames is None else ("frames", parts.frames)
        images: Clip = to_clip(given, name) if self.has_video and given is not None else []
        if self.has_video and parts.face_times is not None:
            times = check_times(parts.face_times, len(images), name)
        else:
            times = np.arange(len(images)) / (options.get("fps", FPS) if parts.fps is None else check_fps(parts.fps))
        duration = max(duration, float(times[-1]) if len(times) else 0.0)
        if not len(images) or name != "frames":
            return ClipInputs(audible(waveform), images, times, len(times), 0.0, duration), times
        sizes = {image.shape[:2] for image in images}
        if len(sizes) > 1:
            raise ValueError(f"frames of {len(sizes)} sizes, {min(sizes)} to {max(sizes)}: give frames of one size")
        reader = self._reader("both" if self.has_audio else "image", length, options)
        if reader is None:
            raise ValueError("nothing that is installed here finds the face in frames: pip install av-emotion-hf")
        found = reader.read_frames(np.ascontiguousarray(images), times, audible(waveform), self.rate)
        return replace(found, duration=duration), times

    def _audio(self, audio: Any, rate: Any, length: float | str, options: dict[str, Any]) -> tuple[np.ndarray, float]:
        """A whole waveform at the model's rate and its duration in seconds; a file is read as a clip is."""
        if is_file(audio):
            reader = self._reader("audio", length, options)
            if reader is not None:
                window = self.resampled(concatenate(list(reader.windows(audio))))
                return window.waveform, window.duration
            waveform = fallback_audio(_local(audio), self.rate)
        else:
            layout = None
            if hasattr(audio, "get_all_samples"):  # a cell that torchcodec decodes
                samples = audio.get_all_samples()
                audio, rate, layout = samples.data, samples.sample_rate, True
            own = self.rate if rate is None else check_rate(rate)
            waveform = _resample(to_waveform(audio, channels_first=layout), own, self.rate)
        return waveform, len(waveform) / self.rate

    def _cut(self, clip: ClipInputs, frame_times: np.ndarray, length: float | str) -> Iterator[ClipInputs]:
        """Windows of a clip that is in memory, whose frames were seen at `frame_times`; views of its arrays."""
        if not isinstance(length, float):
            return iter([clip])
        return merge_short_tail(self._full_windows(clip, frame_times, length), length, self.rate)

    def _full_windows(self, clip: ClipInputs, frame_times: np.ndarray, length: float) -> Iterator[ClipInputs]:
        count = max(1, int(np.ceil(round(clip.duration / length, 6))))
        for number in range(count):
            is_last = number == count - 1
            start, end = number * length, clip.duration if is_last else (number + 1) * length
            samples = slice(round(start * self.rate), None if is_last else round(end * self.rate))
            faces, frames = (
                slice(np.searchsorted(times, start) if number else 0, None if is_last else np.searchsorted(times, end))
                for times in (clip.face_times, frame_times)
            )
            yield replace(
                clip,
                waveform=audible(clip.waveform[samples]),
                crops=clip.crops[faces],
                face_times=clip.face_times[faces] - start,
                persons=clip.persons[faces],
                num_frames=len(frame_times[frames]),
                start=start,
                duration=end - start,
            )


def _local(source: Any) -> str | bytes:
    """A file as a path or content, for where the package is not installed."""
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        return _download(source)
    return source.read() if hasattr(source, "read") else source


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=URL_TIMEOUT) as answer:
            return answer.read()
    except OSError as error:
        raise ValueError(f"{url}: cannot be read ({error}); check the address and the connection") from error


def _resample(waveform: np.ndarray, rate: int, target: int) -> np.ndarray:
    if rate == target or not len(waveform):
        return waveform
    try:
        from torchaudio.functional import resample
    except ImportError as error:
        raise ValueError(
            f"a waveform of {rate} Hz, and the model takes {target} Hz: pip install torchaudio, or resample it before"
        ) from error
    return resample(torch.from_numpy(np.ascontiguousarray(waveform, np.float32)), rate, target).numpy()


def fallback_audio(source: str | bytes, rate: int) -> np.ndarray:
    """The audio `(samples,)` of a file, mono, by PyAV or soundfile: for where the package is not installed."""
    name = source if isinstance(source, str) else "the clip"
    try:
        import av
    except ImportError:
        return _soundfile_audio(io.BytesIO(source) if isinstance(source, bytes) else source, rate, name)
    mono = [np.zeros(0, np.float32)]
    try:
        # with the protocol named, FFmpeg does not mistake a file name for a URL
        with av.open(io.BytesIO(source) if isinstance(source, bytes) else f"file:{source}", "r") as container:
            frames = container.decode(audio=0) if container.streams.audio else ()
            for (_, _, *names), stretch in itertools.groupby(frames, _format):
                resampler = av.AudioResampler("flt", rate=rate)
                pieces = [piece for frame in [*stretch, None] for piece in resampler.resample(frame)]
                packed = [piece.to_ndarray().reshape(piece.samples, len(names)) for piece in pieces]
                mono.append(to_mono(np.concatenate(packed).T, names))
    except (OSError, av.FFmpegError) as error:
        raise ValueError(f"{name}: cannot be read ({error}); give a file that holds audio") from error
    return np.clip(np.nan_to_num(np.concatenate(mono), posinf=1.0, neginf=-1.0), -1.0, 1.0)


def _format(frame: Any) -> tuple:
    """What all frames of one resampler share, the names of the channels at the end."""
    return frame.sample_rate, frame.format.name, *(channel.name for channel in frame.layout.channels)


def _soundfile_audio(file: Any, rate: int, name: str) -> np.ndarray:
    try:
        import soundfile
    except ImportError as error:
        raise ValueError(f"{name}: nothing that is installed here reads clips: {REMEDY}") from error
    try:
        samples, own = soundfile.read(file, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise ValueError(f"{name}: soundfile cannot read it ({error}): pip install av, which reads more") from error
    mono = np.clip(np.nan_to_num(to_mono(samples.T), posinf=1.0, neginf=-1.0), -1.0, 1.0)
    return mono if own == rate else _resample(mono, own, rate)


__all__ = [
    "WHOLE",
    "WINDOW",
    "ClipInputs",
    "ClipWindows",
    "check_window",
    "concatenate",
    "merge_short_tail",
    "of_person",
    "person_rows",
]
