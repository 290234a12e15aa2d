"""Face detectors: those of face-alignment where their weights are, scikit-image's frontal-face cascade elsewhere."""

import importlib
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from ..errors import InputError

LONG_SIDE = {"sfd": 320, "retinaface": 320, "yunet": 320, "scrfd": 640}  # pixels to which frames are scaled down
DETECTORS = ("auto", "blazeface", *LONG_SIDE, "cascade")
_BLAZEFACE_FILES = ("blazeface.pth", "anchors.npy", "blazefaceback.pth", "anchorsback.npy")


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
    if name not in DETECTORS:
        raise InputError(f"detector={choice!r}: there is no such face detector; choose one of {', '.join(DETECTORS)}")
    if given and name in ("auto", "cascade"):
        raise InputError(f"detector={choice!r}: {name} has no weights of its own; write {name} alone")
    if given and not Path(weights).exists():
        what = "folder" if name == "blazeface" else "file"
        raise InputError(f"detector={choice!r}: there is no such {what} of weights; check the path")
    return name, weights or None


def load_detector(choice: str = "auto", device: str = "cpu") -> FaceDetector:
    """Load a face detector.

    Args:
        choice: "blazeface", "sfd", "retinaface", "yunet" or "scrfd" (face-alignment's; weights that are not in
            `$TORCH_HOME` yet are downloaded), one of these with a path to its weights ("sfd=s3fd.pth"; for blazeface,
            a folder), "cascade" (needs no weights), or "auto": blazeface if its weights are there already, cascade
            otherwise. "auto" never touches the network.
        device: where it computes; cascade and yunet know the CPU only.

    Raises:
        InputError: unknown name, or the weights can be neither found nor downloaded, or do not load.
    """
    name, weights = parse_detector(choice)
    if name == "cascade" or (name == "auto" and not blazeface_is_cached()):
        return CascadeDetector()
    try:
        if name in LONG_SIDE:
            return FaceAlignmentDetector(name, weights, device)
        return BlazeFaceDetector(weights, device)
    except Exception as error:  # network, disk and unpickling each raise their own
        if name == "auto":
            return CascadeDetector()
        raise InputError(
            f"detector={choice!r}: its weights cannot be loaded from {weights or _checkpoints()} "
            f"({_first_line(error)}); set TORCH_HOME to a folder that has them in hub/checkpoints, name them "
            f"({name}=WEIGHTS), or use --detector cascade"
        ) from error


def blazeface_is_cached() -> bool:
    """Whether the weights of blazeface are in the cache of torch.hub."""
    return all((_checkpoints() / file).is_file() for file in _BLAZEFACE_FILES)


class BlazeFaceDetector:
    """face-alignment's BlazeFace: the short-range network, and the long-range one where that finds nothing.

    The short-range network is eight times as fast, the long-range one also sees faces below a seventh of the frame.
    """

    name = "blazeface"

    def __init__(self, weights: str | None = None, device: str = "cpu"):
        from face_alignment.detection.blazeface import FaceDetector as BlazeFace

        paths = [Path(weights) / file for file in _BLAZEFACE_FILES] if weights else [None] * 4
        self._near = BlazeFace(device, False, *paths[:2], min_score_thresh=0.5)
        self._far = BlazeFace(device, True, *paths[2:], min_score_thresh=0.5)

    def detect(self, frames: np.ndarray) -> list[np.ndarray]:
        """See `FaceDetector.detect`."""
        faces = self._run(self._near, 128, 0.7, frames)
        missed = [i for i, found in enumerate(faces) if not len(found)]
        if missed:
            for i, found in zip(missed, self._run(self._far, 256, 0.6, frames[missed]), strict=True):
                faces[i] = found
        return faces

    @staticmethod
    def _run(network, size: int, min_score: float, frames: np.ndarray, batch_size: int = 32) -> list[np.ndarray]:
        # face-alignment crops the centre square; squares of our own keep the sides of the picture
        squares = np.stack([_fit(frame, size) for frame in frames]).transpose(0, 3, 1, 2)
        scale = max(frames.shape[1:3]) / size
        faces = []
        for start in range(0, len(squares), batch_size):
            with torch.inference_mode():
                faces += network.detect_from_batch(np.ascontiguousarray(squares[start : start + batch_size]))
        return [found[found[:, 4] >= min_score] * [scale, scale, scale, scale, 1] for found in faces]


class FaceAlignmentDetector:
    """The larger detectors of face-alignment, on frames that are scaled down.

    They find smaller, turned and half hidden faces; sfd takes some hundred times as long as blazeface.
    """

    def __init__(self, name: str, weights: str | None = None, device: str = "cpu"):
        module = importlib.import_module(f"face_alignment.detection.{name}")
        self.name = name
        self._network = module.FaceDetector(device, path_to_detector=weights)

    def detect(self, frames: np.ndarray) -> list[np.ndarray]:
        """See `FaceDetector.detect`."""
        long_side = min(LONG_SIDE[self.name], max(frames.shape[1:3]))
        small = np.stack([_fit(frame, long_side, pad=False) for frame in frames])
        scale = max(frames.shape[1:3]) / long_side
        found = self._network.detect_from_batch(torch.from_numpy(small.transpose(0, 3, 1, 2).copy()))
        faces = [np.array(boxes, np.float64).reshape(-1, 5) for boxes in found]
        return [boxes * [scale, scale, scale, scale, 1] for boxes in faces]


class CascadeDetector:
    """scikit-image's cascade of local binary patterns for upright frontal faces; all its scores are 1."""

    name = "cascade"
    _long_side = 160
    _border = 16  # repeated edge, for faces that fill the picture
    _smallest_face = 24

    def __init__(self):
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade

        self._cascade = Cascade(lbp_frontal_face_cascade_filename())

    def detect(self, frames: np.ndarray) -> list[np.ndarray]:
        """See `FaceDetector.detect`."""
        return [self._detect(frame) for frame in frames]

    def _detect(self, frame: np.ndarray) -> np.ndarray:
        import cv2

        border = self._border
        grey = cv2.cvtColor(_fit(frame, self._long_side, pad=False), cv2.COLOR_RGB2GRAY)
        grey = cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_REPLICATE)
        largest = min(grey.shape)
        found = self._cascade.detect_multi_scale(
            grey,
            scale_factor=1.1,
            step_ratio=1,
            min_size=(self._smallest_face, self._smallest_face),
            max_size=(largest, largest),
            min_neighbor_number=2,
            intersection_score_threshold=0.2,  # the default of 0.5 leaves several boxes on one face
        )
        corners = [(f["c"], f["r"], f["c"] + f["width"], f["r"] + f["height"]) for f in found]
        boxes = (np.array(corners, np.float64).reshape(-1, 4) - border) * max(frame.shape[:2]) / self._long_side
        return np.hstack([boxes, np.ones((len(boxes), 1))])


def _fit(frame: np.ndarray, long_side: int, pad: bool = True) -> np.ndarray:
    """Scale a frame to a long side in pixels; with `pad`, add black at the right or bottom to make it square."""
    import cv2

    height, width = frame.shape[:2]
    scale = long_side / max(height, width)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(frame, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if not pad:
        return small
    square = np.zeros((long_side, long_side, 3), np.uint8)
    square[: small.shape[0], : small.shape[1]] = small
    return square


def _checkpoints() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
