"""Face detectors: those of face-alignment if their weights are there, scikit-image's frontal-face cascade otherwise.

Each detector imports its libraries when it is loaded: together they take seconds.
"""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from ..errors import InputError
from ..utils import reason

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
            otherwise. "auto" never uses the network.
        device: where it runs; cascade and yunet run on the CPU only.

    Raises:
        InputError: the name is unknown, or the weights can be neither found nor downloaded, or cannot be loaded.
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
            f"({reason(error)}); set TORCH_HOME to a folder that has them in hub/checkpoints, name them "
            f"({name}=WEIGHTS), or use --detector cascade"
        ) from error


def blazeface_is_cached() -> bool:
    """Whether the weights of blazeface are in the cache of torch.hub."""
    folder = _checkpoints()
    return all((folder / file).is_file() for file in _BLAZEFACE_FILES)


class BlazeFaceDetector:
    """face-alignment's BlazeFace: the short-range network, and the long-range one where that finds nothing.

    The short-range network is eight times as fast, the long-range one also sees faces below a seventh of the frame.
    """

    name = "blazeface"

    def __init__(self, weights: str | None = None, device: str = "cpu"):
        if weights is None and not blazeface_is_cached():
            from face_alignment.detection.blazeface import FaceDetector as Downloader

            for is_long_range in (False, True):
                Downloader("cpu", is_long_range)
        folder = _checkpoints() if weights is None else Path(weights)
        module = _blazeface_module()
        near_weights, near_anchors, far_weights, far_anchors = (folder / file for file in _BLAZEFACE_FILES)
        self._near = _load_blazeface(module.BlazeFace(back_model=False), near_weights, near_anchors, device)
        self._far = _load_blazeface(module.BlazeFace(back_model=True), far_weights, far_anchors, device)

    def detect(self, frames: np.ndarray) -> list[np.ndarray]:
        """See `FaceDetector.detect`."""
        faces = self._run(self._near, 128, 0.7, frames)
        missed = [i for i, found in enumerate(faces) if not len(found)]
        if missed:
            for i, found in zip(missed, self._run(self._far, 256, 0.6, frames[missed]), strict=True):
                faces[i] = found
        return faces

    @staticmethod
    def _run(network: Any, size: int, min_score: float, frames: np.ndarray, batch_size: int = 32) -> list[np.ndarray]:
        import torch

        # face-alignment crops the center square; padded squares keep the sides of the frame
        squares = np.stack([_fit(frame, size) for frame in frames])
        scale = max(frames.shape[1:3]) / size
        faces = []
        for start in range(0, len(squares), batch_size):
            with torch.inference_mode():
                found = network.predict_on_batch(squares[start : start + batch_size])
            # each (k, 17): y0, x0, y1, x1 as fractions of the side, six landmarks, and the score
            arrays = [face.double().numpy() for face in found]
            faces += [np.hstack([array[:, [1, 0, 3, 2]] * size, array[:, 16:]]) for array in arrays]
        return [found[found[:, 4] >= min_score] * [scale, scale, scale, scale, 1] for found in faces]


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
        small = np.stack([_fit(frame, long_side, pad=False) for frame in frames])
        scale = max(frames.shape[1:3]) / long_side
        found = self._network.detect_from_batch(torch.from_numpy(small.transpose(0, 3, 1, 2).copy()))
        faces = [np.array(boxes, np.float64).reshape(-1, 5) for boxes in found]
        return [boxes * [scale, scale, scale, scale, 1] for boxes in faces]


class CascadeDetector:
    """scikit-image's cascade of local binary patterns for upright frontal faces; all its scores are 1."""

    name = "cascade"
    _long_side = 160
    _border = 16  # repeated edge, for faces that fill the frame
    _smallest_face = 24

    def __init__(self) -> None:
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade

        self._cascade = Cascade(lbp_frontal_face_cascade_filename())

    def detect(self, frames: np.ndarray) -> list[np.ndarray]:
        """See `FaceDetector.detect`."""
        return [self._detect(frame) for frame in frames]

    def _detect(self, frame: np.ndarray) -> np.ndarray:
        import cv2

        border = self._border
        gray = cv2.cvtColor(_fit(frame, self._long_side, pad=False), cv2.COLOR_RGB2GRAY)
        gray = cv2.copyMakeBorder(gray, border, border, border, border, cv2.BORDER_REPLICATE)
        largest = min(gray.shape)
        found = self._cascade.detect_multi_scale(
            gray,
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


def _blazeface_module() -> ModuleType:
    """face-alignment's file of the network, without the package: that imports numba and scikit-image for nothing."""
    package = importlib.util.find_spec("face_alignment")  # does not run it
    if package is None or not package.origin:
        raise ModuleNotFoundError("No module named 'face_alignment'")
    file = Path(package.origin).parent / "detection" / "blazeface" / "net_blazeface.py"
    spec = importlib.util.spec_from_file_location("face_alignment.detection.blazeface.net_blazeface", file)
    assert spec is not None and spec.loader is not None  # a file that ends in .py has a loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _load_blazeface(network: Any, weights: Path, anchors: Path, device: str) -> Any:
    import torch

    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.load_anchors_from_npy(np.load(anchors), device)
    network.min_score_thresh = 0.5
    return network.to(device).eval()


def _checkpoints() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


__all__ = ["DETECTORS", "FaceDetector", "blazeface_is_cached", "load_detector", "parse_detector"]
