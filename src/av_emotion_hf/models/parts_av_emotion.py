"""The parts of one clip: a file, or a waveform and images, in whatever form they are given."""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays_av_emotion import as_array, describe
from .waveforms_av_emotion import check_rate, split_rate

WAVEFORM_KEYS = ("waveform", "array", "raw")
AUDIO_KEYS = ("waveform", "audio", "array", "raw")
CROP_KEYS = ("faces", "crops", "images")
CLIP_KEYS = ("video", "file", "bytes", "path")


@dataclass
class ClipParts:
    """What a clip was given as, unread and unchecked.

    Attributes:
        file: path, URL, content or open file of the whole clip; without one, the clip is what follows.
        audio: a waveform, a decoder of torchcodec, or a file of which the audio is used.
        sampling_rate: of the waveform; `None` for that of the model.
        crops: images of the face.
        frames: images to find the face in.
        face_times: seconds, of crops or frames.
        fps: of crops or frames.
    """

    file: Any = None
    audio: Any = None
    sampling_rate: Any = None
    crops: Any = None
    frames: Any = None
    face_times: Any = None
    fps: Any = None


def clip_parts(clip: Any) -> ClipParts:
    """The parts of one clip, see `AVEmotionPipeline` for its forms.

    Raises:
        ValueError: it is none of them, or has parts that exclude each other.
    """
    if isinstance(clip, np.ndarray) and clip.shape == () and clip.dtype.kind in "OSU":
        clip = clip.item()
    if is_file(clip):
        return ClipParts(file=_source(clip))
    if isinstance(clip, Mapping):
        return _entries(clip)
    is_image = hasattr(clip, "getbands")  # of Pillow
    shape = getattr(clip, "shape", ())
    if is_image or any(size != 1 for size in shape[:-2]):
        images = describe(as_array(clip, "a clip"))
        raise ValueError(f"a clip of {images}: images are given as {{'faces': ...}}, or as {{'frames': ...}}")
    if not (isinstance(clip, list | tuple) or hasattr(clip, "__array__") or hasattr(clip, "get_all_samples")):
        kind = type(clip).__name__
        raise ValueError(
            f"a clip of type {kind}: give a path, bytes, a waveform, or a dict with 'waveform' and 'faces'"
        )
    return _audio(clip, None)


def is_file(value: Any) -> bool:
    """Whether something is a path, a URL, the content of a file or an open one."""
    return isinstance(value, str | bytes | bytearray | memoryview | os.PathLike) or hasattr(value, "read")


def _entries(clip: Mapping) -> ClipParts:
    """The parts in a dict; a video comes with its audio, as in the rows of a dataset."""
    crops, frames, video, file = (_first(clip, keys) for keys in (CROP_KEYS, ("frames",), ("video",), CLIP_KEYS))
    audio, has_images = _cell(_first(clip, AUDIO_KEYS)), crops is not None or frames is not None
    if crops is not None and frames is not None:
        raise ValueError("a clip with face crops and frames: give one of them")
    if has_images and not set(AUDIO_KEYS) & set(clip):
        audio = _cell(file)
    elif not has_images and video is not None and _first(clip, WAVEFORM_KEYS) is not None:
        raise ValueError("a clip with a video and a waveform: give one of them, or face crops beside the waveform")
    elif not has_images and (video is not None or audio is None) and file is not None:
        return clip_parts(_cell(file))
    elif not has_images and is_file(audio):
        return clip_parts(audio)
    elif not has_images and audio is None and not set(AUDIO_KEYS + CROP_KEYS + ("frames",)) & set(clip):
        raise ValueError(f"a clip with the keys {list(clip)}: give 'path', or 'waveform' and 'faces'")
    parts = ClipParts() if audio is None else _audio(audio, clip.get("sampling_rate"))
    parts.crops, parts.frames, parts.face_times, parts.fps = crops, frames, clip.get("face_times"), clip.get("fps")
    return parts


def _audio(audio: Any, rate: Any) -> ClipParts:
    """The part that is heard: a file, a decoder, or a waveform with the sampling rate that is known of it."""
    if is_file(audio):
        return ClipParts(audio=_source(audio))
    if isinstance(audio, Mapping):  # a decoded cell of datasets
        own, audio = audio.get("sampling_rate"), audio["array"]
    else:
        audio, own = split_rate(audio) or (audio, None)
    if own is not None and rate is not None and check_rate(own) != check_rate(rate):
        raise ValueError(f"a waveform of {own} Hz with sampling_rate={rate!r}: give one of them")
    return ClipParts(audio=audio, sampling_rate=rate if own is None else own)


def _first(clip: Mapping, names: tuple[str, ...]) -> Any:
    """The first of the entries that is there."""
    return next((clip[name] for name in names if clip.get(name) is not None), None)


def _cell(value: Any) -> Any:
    """Of a cell of datasets that is not decoded, the content or path; `None` where it has neither."""
    if not isinstance(value, Mapping) or "array" in value:
        return value
    return value["bytes"] if value.get("bytes") is not None else value.get("path")


def _source(file: Any) -> Any:
    """A path or URL as `str`, content as `bytes`, or an open file."""
    if isinstance(file, io.TextIOBase):
        raise ValueError(f"{getattr(file, 'name', 'a file')}: is open as text; open it with mode 'rb'")
    if isinstance(file, bytearray | memoryview):
        return bytes(file)
    return os.fsdecode(file) if isinstance(file, str | os.PathLike) else file


__all__ = ["ClipParts", "clip_parts", "is_file"]
