"""From a media file to a waveform, frames with timestamps and face crops."""

import torch  # noqa: F401  decord crashes on damaged files when it is loaded before torch

from .clip import Clip, open_clip
from .detector import DETECTORS, FaceDetector, blazeface_is_cached, load_detector, parse_detector
from .faces import FaceTrack, crop_square, face_windows, track_faces
from .memory_clip import FrameSequence
from .paths import expand_paths
from .source import ClipError
from .speaker import SPEAKERS

__all__ = [
    "DETECTORS",
    "SPEAKERS",
    "Clip",
    "ClipError",
    "FaceDetector",
    "FaceTrack",
    "FrameSequence",
    "blazeface_is_cached",
    "crop_square",
    "expand_paths",
    "face_windows",
    "load_detector",
    "open_clip",
    "parse_detector",
    "track_faces",
]
