"""From a media file to a waveform, frames with timestamps and face crops."""

import torch  # noqa: F401  decord crashes on damaged files when it is loaded before torch

from .clip import Clip, ClipError, open_clip
from .detector import DETECTORS, FaceDetector, blazeface_is_cached, load_detector
from .faces import FaceTrack, crop_square, track_faces
from .paths import expand_paths

__all__ = [
    "DETECTORS",
    "Clip",
    "ClipError",
    "FaceDetector",
    "FaceTrack",
    "blazeface_is_cached",
    "crop_square",
    "expand_paths",
    "load_detector",
    "open_clip",
    "track_faces",
]
