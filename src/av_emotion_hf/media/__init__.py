"""From a media file to a waveform, video frames with timestamps, and face crops.

decord, OpenCV and torch are imported when they are first used.
"""

from ..deprecated import renamed_names
from .clip import Clip, open_clip
from .crops import crop_square
from .detector import DETECTORS, FaceDetector, blazeface_is_cached, load_detector, parse_detector
from .face_quality import MEASURES, measure_faces
from .faces import FollowedFace, face_windows, person_choice, track_faces
from .memory_clip import MemoryClip
from .paths import expand_paths
from .source import ClipError

__getattr__ = renamed_names(
    __name__,
    {
        "FaceReport": "plots.contact_sheet.FaceReport",
        "FaceTrack": "media.faces.FollowedFace",
        "SPEAKERS": "models.persons_av_emotion.SPEAKERS",
        "FrameSequence": "media.memory_clip.MemoryClip",
        "draw_faces": "plots.contact_sheet.draw_faces",
    },
)

__all__ = [
    "DETECTORS",
    "Clip",
    "ClipError",
    "FaceDetector",
    "FollowedFace",
    "MEASURES",
    "MemoryClip",
    "blazeface_is_cached",
    "crop_square",
    "expand_paths",
    "face_windows",
    "load_detector",
    "measure_faces",
    "open_clip",
    "parse_detector",
    "person_choice",
    "track_faces",
]
