"""From a media file to a waveform, video frames with timestamps, and face crops.

decord, OpenCV, scikit-image and torch are imported when they are first used.
"""

import warnings
from typing import Any

from .clip import Clip, open_clip
from .detector import DETECTORS, FaceDetector, blazeface_is_cached, load_detector, parse_detector
from .faces import FollowedFace, crop_square, face_windows, track_faces
from .memory_clip import MemoryClip
from .paths import expand_paths
from .source import ClipError
from .speaker import SPEAKERS

_RENAMED = {"FaceTrack": FollowedFace, "FrameSequence": MemoryClip}  # until 0.3


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = _RENAMED[name]
    warnings.warn(
        f"{__name__}.{name} is now {__name__}.{new.__name__}; the old name works until 0.3",
        DeprecationWarning,
        stacklevel=2,
    )
    return new


__all__ = [
    "DETECTORS",
    "SPEAKERS",
    "Clip",
    "ClipError",
    "FaceDetector",
    "FollowedFace",
    "MemoryClip",
    "blazeface_is_cached",
    "crop_square",
    "expand_paths",
    "face_windows",
    "load_detector",
    "open_clip",
    "parse_detector",
    "track_faces",
]
