"""Face detectors: face-alignment's BlazeFace where its weights are, scikit-image's frontal-face cascade elsewhere."""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from ..errors import InputError

DETECTORS = ("auto", "blazeface", "cascade")
_BLAZEFACE_FILES = ("blazeface.pth", "anchors.npy", "blazefaceback.pth", "anchorsback.npy")


class FaceDetector(Protocol):
    """Finds faces in single frames.

    Attributes:
        name: "blazeface" or "cascade".
    """

    name: str

    def detect(self, frames: np.ndarray) -> list[np.ndarray]:
        """Find the faces in frames (n, H, W, 3) uint8 RGB.

        Returns:
            Per frame (k, 5) float64: x0, y0, x1, y1 in pixels of the frame, and a score in [0, 1].
        """
        ...


def load_detector(name: str = "auto", device: str = "cpu") -> FaceDetector:
    """Load a face detector.

    Args:
        name: "blazeface" (downloads its weights where they are not in `$TORCH_HOME` yet), "cascade" (needs no
            weights), or "auto": blazeface if its weights are there already, cascade otherwise. "auto" never
            touches the network.
        device: where blazeface computes; the cascade knows the CPU only.

    Raises:
        InputError: unknown name, or the weights of blazeface can be neither found nor downloaded, or do not load.
    """
    if name not in DETECTORS:
        raise InputError(f"detector={name!r}: there is no such face detector; choose one of {', '.join(DETECTORS)}")
    if name == "cascade" or (name == "auto" and not blazeface_is_cached()):
        return CascadeDetector()
    try:
        return BlazeFaceDetector(device)
    except Exception as error:  # network, disk and unpickling each raise their own
        if name == "auto":
            return CascadeDetector()
        raise InputError(
            f"detector='blazeface': its weights cannot be loaded from {_checkpoints()} ({_first_line(error)}); "
            "set TORCH_HOME to a folder that has them in hub/checkpoints, or use --detector cascade"
        ) from error


def blazeface_is_cached() -> bool:
    """Whether the weights of blazeface are in the cache of torch.hub."""
    return all((_checkpoints() / file).is_file() for file in _BLAZEFACE_FILES)


class BlazeFaceDetector:
    """face-alignment's BlazeFace: the short-range network, and the long-range one where that finds nothing.

    The short-range network is eight times as fast, the long-range one also sees faces below a seventh of the frame.
    """

    name = "blazeface"

    def __init__(self, device: str = "cpu"):
        from face_alignment.detection.blazeface import FaceDetector as BlazeFace

        self._near = BlazeFace(device, back_model=False, min_score_thresh=0.5)
        self._far = BlazeFace(device, back_model=True, min_score_thresh=0.5)

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
