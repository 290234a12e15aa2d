"""A clip in whatever form it is given, as windows of waveform and face crops: what the pipeline reads.

With the package installed clips are read as `av-emotion predict` reads them. This file also travels with checkpoints;
elsewhere it takes waveforms and face crops, and of a clip the sound, if a library there reads it.
"""

import io
import os
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

URL_TIMEOUT = 30  # seconds
FPS = 10.0  # of face crops that come without times
WHOLE = 60.0  # seconds that are read at a time of a clip that is not cut into windows
SOUND_KEYS = ("waveform", "audio", "array", "raw")
FACE_KEYS = ("faces", "crops", "images", "frames")
CLIP_KEYS = ("video", "file", "bytes", "path")
REMEDY = "pip install av-emotion-hf, which reads clips whole, or give {'waveform': ..., 'faces': ...}"


class Window(NamedTuple):
    """Part of a clip.

    Attributes:
        waveform: (samples,) float32, of length 0 where there is no sound.
        crops: face crops, as an array (Tv, H, W, 3) or a list of pictures, empty where there is no face.
        start: seconds.
        end: seconds.
    """

    waveform: np.ndarray
    crops: np.ndarray | list
    start: float
    end: float


class ClipWindows:
    """Cuts clips into windows.

    Args:
        sampling_rate: of the waveforms in Hz; `None` for a model that does not hear.
        sees: whether the model takes face crops.
    """

    def __init__(self, sampling_rate: int | None, sees: bool):
        self.hears, self.sees = sampling_rate is not None, sees
        self.rate = sampling_rate or 16000
        self._readers = {}

    def __call__(self, clip, window: float | None = None, **options) -> Iterator[Window]:
        """The windows of a clip, at least one.

        Args:
            clip: path, URL, bytes, waveform or dict, see `AVEmotionPipeline`.
            window: seconds; `None` for the whole clip. A rest of less than half a window belongs to the window before.
            **options: of the package's `ClipReader`.

        Raises:
            ValueError: the clip cannot be read; one line that says what to do.
        """
        if isinstance(clip, dict) and _first(clip, SOUND_KEYS + FACE_KEYS) is None:
            cell = _first(clip, CLIP_KEYS)
            if cell is None:
                raise ValueError(f"a clip with the keys {list(clip)}: give 'path', or 'waveform' and 'faces'")
            return self(cell, window, **options)
        if isinstance(clip, str | bytes | os.PathLike):
            return self._read(clip if isinstance(clip, bytes) else os.fspath(clip), window, **options)
        return self._given(clip if isinstance(clip, dict) else {"waveform": clip}, window, **options)

    def _given(self, clip: dict, window: float | None, fps: float = FPS, **options) -> Iterator[Window]:
        """Windows of a waveform and face crops, or frames to find the face in."""
        waveform, crops = np.zeros(0, np.float32), []
        if self.hears:
            waveform = self._waveform(_first(clip, SOUND_KEYS), clip.get("sampling_rate"))
        if self.sees and (given := _first(clip, FACE_KEYS)) is not None:
            crops = [_picture(crop) for crop in given] if isinstance(given, list | tuple) else given
        times = clip.get("face_times")
        times = np.arange(len(crops)) / clip.get("fps", fps) if times is None else np.asarray(times, float)
        if len(crops) != len(times):
            raise ValueError(f"{len(crops)} face crops and {len(times)} face_times: give one time for each crop")
        if len(crops) and _first(clip, FACE_KEYS) is clip.get("frames"):
            crops, times = _find_faces(crops, times, **options)
        return _cut(waveform, self.rate, crops, times, window)

    def _waveform(self, sound, rate: int | None) -> np.ndarray:
        """The sound of a dict at the model's rate."""
        if isinstance(sound, dict) and "array" not in sound:  # an audio cell of datasets, not decoded
            return _read_sound(sound.get("bytes") or sound["path"], self.rate)
        if isinstance(sound, dict):
            return self._waveform(sound["array"], sound.get("sampling_rate", rate))
        if hasattr(sound, "get_all_samples"):  # a cell that torchcodec decodes
            samples = sound.get_all_samples()
            sound, rate = samples.data.mean(0), samples.sample_rate
        if sound is None:
            return np.zeros(0, np.float32)
        sound = sound.cpu().numpy() if isinstance(sound, torch.Tensor) else np.asarray(sound)
        if sound.ndim != 1 or not np.issubdtype(sound.dtype, np.floating):
            raise ValueError(
                f"a waveform of shape {sound.shape} and type {sound.dtype}: one channel (samples,) of floats, full "
                "scale 1, is needed; average the channels, and divide integers by their largest value"
            )
        return sound if rate in (None, self.rate) else _resample(sound, rate, self.rate)

    def _read(self, source: str | bytes, window: float | None, **options) -> Iterator[Window]:
        """Windows of a clip that stands in a file, behind a URL, or in bytes."""
        name = source if isinstance(source, str) else "the clip"
        if isinstance(source, str) and source.startswith(("http://", "https://")):
            source = _download(source)
        reader = self._reader(window or WHOLE, **options)
        if reader is not None:
            parts = reader.windows(source) if window else [reader.read(source)]
            return (Window(part.waveform, part.crops, part.start, part.start + part.duration) for part in parts)
        if not self.hears:
            raise ValueError(f"{name}: nothing that is installed here finds the face in a clip: {REMEDY}")
        return _cut(_read_sound(source, self.rate), self.rate, [], np.zeros(0), window)

    def _reader(self, window: float, **options):
        """What the package reads clips with; `None` where it is not installed."""
        try:
            from av_emotion_hf.data.reader import ClipReader
        except ImportError:
            return None
        modality = "both" if self.hears and self.sees else "audio" if self.hears else "image"
        key = (window, *sorted(options.items()))
        if key not in self._readers:  # its face detector is loaded once
            self._readers[key] = ClipReader(modality, window=window, **options)
        return self._readers[key]


def _first(clip: dict, names: tuple[str, ...]):
    """The first of the entries that is there."""
    return next((clip[name] for name in names if clip.get(name) is not None), None)


def _cut(waveform, rate: int, crops, times: np.ndarray, window: float | None) -> Iterator[Window]:
    """Windows of a waveform and of crops that were seen at `times`; the last may be half as long again."""
    duration = max(len(waveform) / rate, float(times[-1]) if len(times) else 0.0)
    count = 1 if window is None else max(1, int(duration / window + 0.5))
    for i in range(count):
        start, end = i * window if i else 0.0, (i + 1) * window if i < count - 1 else duration
        first, last = np.searchsorted(times, [start, end]) if i < count - 1 else (np.searchsorted(times, start), None)
        samples = slice(round(start * rate), round(end * rate) if i < count - 1 else None)
        yield Window(waveform[samples], crops[first:last], start, end)


def _picture(cell):
    """A face crop; one that stands undecoded in a column of datasets is decoded."""
    if not isinstance(cell, dict):
        return cell
    try:
        from PIL import Image
    except ImportError as error:
        raise ValueError("a face crop is given as the bytes of a picture: pip install pillow to read it") from error
    return np.asarray(Image.open(io.BytesIO(cell["bytes"]) if cell.get("bytes") else cell["path"]).convert("RGB"))


def _find_faces(frames, times: np.ndarray, detector: str = "auto", **_) -> tuple:
    """Crops of the largest face in frames (n, H, W, 3), and when it was seen."""
    try:
        from av_emotion_hf.media import FrameSequence, track_faces
    except ImportError as error:
        raise ValueError(
            "nothing that is installed here finds the face in frames: pip install av-emotion-hf"
        ) from error
    track = track_faces(FrameSequence(np.stack([np.asarray(frame) for frame in frames]), times), detector)
    return track.crops, track.timestamps


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=URL_TIMEOUT) as answer:
            return answer.read()
    except OSError as error:
        raise ValueError(f"{url}: cannot be read ({error}); check the address and the connection") from error


def _resample(waveform: np.ndarray, rate: int, target: int) -> np.ndarray:
    try:
        from torchaudio.functional import resample
    except ImportError as error:
        raise ValueError(
            f"a waveform of {rate} Hz, and the model hears {target} Hz: pip install torchaudio, or resample it before"
        ) from error
    return resample(torch.from_numpy(np.ascontiguousarray(waveform, np.float32)), rate, target).numpy()


def _read_sound(source: str | bytes, rate: int) -> np.ndarray:
    """The sound of a file, mono, by PyAV or soundfile, whichever is installed."""
    name = source if isinstance(source, str) else "the clip"
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        import av
    except ImportError:
        return _read_sound_file(file, rate, name)
    try:
        with av.open(file) as container:
            resampler = av.AudioResampler("flt", layout="mono", rate=rate)
            frames = container.decode(audio=0) if container.streams.audio else ()
            pieces = [piece for frame in [*frames, None] for piece in resampler.resample(frame)]
    except (OSError, av.FFmpegError) as error:
        raise ValueError(f"{name}: cannot be read ({error}); give a file that holds sound") from error
    return np.concatenate([np.zeros(0, np.float32), *(piece.to_ndarray()[0] for piece in pieces)])


def _read_sound_file(file, rate: int, name: str) -> np.ndarray:
    try:
        import soundfile
    except ImportError as error:
        raise ValueError(f"{name}: nothing that is installed here reads clips: {REMEDY}") from error
    try:
        samples, own = soundfile.read(file, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise ValueError(f"{name}: soundfile cannot read it ({error}): pip install av, which reads more") from error
    mono = samples.mean(axis=1)
    return mono if own == rate else _resample(mono, own, rate)


__all__ = ["ClipWindows", "Window"]
