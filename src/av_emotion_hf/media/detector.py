"""Face detectors: MTCNN, whose weights are in the package, and those of face-alignment.

Each detector imports its libraries when it is loaded: together they take seconds.
"""

import importlib
import warnings
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import InputError
from ..utils import reason
from .crops import fit_frame

LONG_SIDE = {"sfd": 320, "retinaface": 320, "yunet": 320, "scrfd": 640}  # pixels to which frames are scaled down
DETECTORS = ("auto", "blazeface", "mtcnn", *LONG_SIDE)
_BLAZEFACE_FILES = ("blazeface.pth", "anchors.npy")


class FaceDetector(Protocol):
    """Finds faces in single frames.

    Attributes:
        name: one of `DETECTORS`, not "auto".
    """

    name: str

    def detect(self, frames: np.ndarray) -> list[np.ndarray]:
        """Find the faces in frames (n, H, W, 3) uint8 RGB.

        Returns:
            Per frame (k, 5) float64: x0, y0, x1, y1 in pixels of the frame, and a score in [0, 1].
        """
        ...


def parse_detector(choice: str) -> tuple[str, str | None]:
    """Name and weights of a detector from `NAME` or `NAME=WEIGHTS`.

    Raises:
        InputError: unknown name, or weights that are not there.
    """
    name, given, weights = choice.partition("=")
    if name == "cascade":
        warnings.warn("the detector cascade has become mtcnn; the old name works until 0.3", DeprecationWarning, 2)
        name = "mtcnn"
    if name not in DETECTORS:
        raise InputError(f"detector={choice!r}: there is no such face detector; choose one of {', '.join(DETECTORS)}")
    if given and name in ("auto", "mtcnn"):
        raise InputError(f"detector={choice!r}: {name} takes no weights; write {name} alone")
    if given and not Path(weights).exists():
        what = "folder" if name == "blazeface" else "file"
        raise InputError(f"detector={choice!r}: there is no such {what} of weights; check the path")
    return name, weights or None


def load_detector(choice: str = "auto", device: str = "cpu") -> FaceDetector:
    """Load a face detector.

    Args:
        choice: "mtcnn", whose weights are in the package; "blazeface", which takes a third of the time on close-ups
            and leaves the rest to mtcnn; "sfd", "retinaface", "yunet" or "scrfd". The weights of all but mtcnn are
            face-alignment's: they are downloaded if they are not in `$TORCH_HOME` yet, or come from a path
            ("sfd=s3fd.pth"; for blazeface, a folder). "auto" is blazeface if its weights are there already, mtcnn
            otherwise; it never uses the network.
        device: where it runs; yunet runs on the CPU only.

    Raises:
        InputError: the name is unknown, or the weights can be neither found nor downloaded, or cannot be loaded.
    """
    from .mtcnn import MTCNNDetector

    name, weights = parse_detector(choice)
    if name == "mtcnn" or (name == "auto" and not blazeface_is_cached()):
        return MTCNNDetector(device)
    try:
        return (
            _load_blazeface(weights, device) if name not in LONG_SIDE else FaceAlignmentDetector(name, weights, device)
        )
    except Exception as error:  # network, disk and unpickling each raise their own
        if name == "auto":
            return MTCNNDetector(device)
        raise InputError(
            f"detector={choice!r}: its weights cannot be loaded from {weights or _checkpoints()} "
            f"({reason(error)}); set TORCH_HOME to a folder that has them in hub/checkpoints, name them "
            f"({name}=WEIGHTS), or use --detector mtcnn"
        ) from error


def _load_blazeface(weights: str | None, device: str) -> FaceDetector:
    from .blazeface import BlazeFaceDetector

    if weights is None and not blazeface_is_cached():
        from face_alignment.detection.blazeface import FaceDetector as Downloader

        Downloader("cpu")
    folder = _checkpoints() if weights is None else Path(weights)
    network, anchors = (folder / file for file in _BLAZEFACE_FILES)
    return BlazeFaceDetector(network, anchors, device)


def blazeface_is_cached() -> bool:
    """Whether the weights of blazeface are in the cache of torch.hub."""
    folder = _checkpoints()
    return all((folder / file).is_file() for file in _BLAZEFACE_FILES)


class FaceAlignmentDetector:
    """The larger detectors of face-alignment, on frames that are scaled down.

    They find smaller, turned and half hidden faces; sfd takes about a hundred times as long as blazeface.
    """

    def __init__(self, name: str, weights: str | None = None, device: str = "cpu"):
        module = importlib.import_module(f"face_alignment.detection.{name}")
        self.name = name
        self._network = module.FaceDetector(device, path_to_detector=weights)

    def detect(self, frames: np.ndarray) -> list[np.ndarray]:
        """See `FaceDetector.detect`."""
        import torch

        long_side = min(LONG_SIDE[self.name], max(frames.shape[1:3]))
        small = np.stack([fit_frame(frame, long_side) for frame in frames])
        scale = max(frames.shape[1:3]) / long_side
        found = self._network.detect_from_batch(torch.from_numpy(small.transpose(0, 3, 1, 2).copy()))
        faces = [np.array(boxes, np.float64).reshape(-1, 5) for boxes in found]
        return [boxes * [scale, scale, scale, scale, 1] for boxes in faces]


def _checkpoints() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


__all__ = ["DETECTORS", "FaceDetector", "blazeface_is_cached", "load_detector", "parse_detector"]
