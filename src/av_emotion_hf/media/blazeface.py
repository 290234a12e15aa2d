"""face-alignment's short-range BlazeFace, with MTCNN as its second.

Bazarevsky, Kartynnik, Vakunov, Raveendran, Grundmann: BlazeFace: sub-millisecond neural face detection on mobile GPUs,
arXiv 1907.05047.
"""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from .crops import fit_frame
from .mtcnn import MTCNNDetector, distinct


class BlazeFaceDetector:
    """BlazeFace for close-ups, and MTCNN for the faces that it does not see.

    BlazeFace takes a third of MTCNN's time and sees faces from a seventh of the frame on. Where it is not sure, the
    last network of MTCNN has to agree. Frames without a close-up are searched by MTCNN, too.
    """

    name = "blazeface"
    _long_side = 128
    _min_score = 0.5
    _sure = 0.9  # score from which on MTCNN need not agree
    _min_agreement = 0.3  # probability
    _close_up = 0.2  # side of the box, as a fraction of the longer side of the frame

    def __init__(self, weights: Path, anchors: Path, device: str = "cpu"):
        self._network = _network_module().BlazeFace()
        self._network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self._network.to(device).to(memory_format=torch.channels_last).eval()
        self._network.min_score_thresh = self._min_score
        self._anchors = torch.from_numpy(np.load(anchors)).float().to(device)  # (896, 4)
        self._mtcnn = MTCNNDetector(device)

    def detect(self, frames: np.ndarray) -> list[np.ndarray]:
        """See `FaceDetector.detect`."""
        faces = self._confirmed(frames, self._run(frames))
        close_up = self._close_up * max(frames.shape[1:3])
        missed = [i for i, found in enumerate(faces) if not (found[:, 2] - found[:, 0] >= close_up).any()]
        if missed:
            for i, found in zip(missed, self._mtcnn.detect(frames[missed]), strict=True):
                both = np.vstack([faces[i], found])
                faces[i] = both[distinct(both, np.zeros(len(both)), 0.4, nested=True)]
        return faces

    def _confirmed(self, frames: np.ndarray, faces: list[np.ndarray]) -> list[np.ndarray]:
        """Those of the faces that either network is sure of."""
        owners, boxes = np.repeat(np.arange(len(faces)), [len(found) for found in faces]), np.concatenate(faces)
        good = boxes[:, 4] >= self._sure
        good[~good] = self._mtcnn.confirm(frames, owners[~good], boxes[~good]) >= self._min_agreement
        return [boxes[good & (owners == number)] for number in range(len(faces))]

    def _run(self, frames: np.ndarray, batch_size: int = 32) -> list[np.ndarray]:
        """What BlazeFace takes for faces (k, 5), frame by frame."""
        # face-alignment crops the center square; this keeps the sides of the frame, and computes no more than it has
        small = np.stack([fit_frame(frame, self._long_side, multiple=16) for frame in frames])
        anchors = self._anchors_of(*small.shape[1:3])
        faces = []
        for start in range(0, len(small), batch_size):
            pixels = torch.from_numpy(small[start : start + batch_size]).to(anchors.device).permute(0, 3, 1, 2)
            with torch.inference_mode():
                answers = self._network(pixels / 127.5 - 1)
                for found in self._network._tensors_to_detections(*answers, anchors):
                    # (k, 17): y0, x0, y1, x1 as fractions of the long side, six landmarks, and the score
                    kept = self._network._weighted_non_max_suppression(found)
                    faces.append(torch.stack(kept).double().numpy() if kept else np.zeros((0, 17)))
        long_side = max(frames.shape[1:3])
        return [np.hstack([found[:, [1, 0, 3, 2]] * long_side, found[:, 16:]]) for found in faces]

    def _anchors_of(self, height: int, width: int) -> torch.Tensor:
        """Anchors of a frame: of those of a square, two in every eighth pixel and six in every sixteenth."""
        fine, coarse = self._anchors[:512].view(16, 16, 2, 4), self._anchors[512:].view(8, 8, 6, 4)
        parts = fine[: height // 8, : width // 8], coarse[: height // 16, : width // 16]
        anchors = torch.cat([part.reshape(-1, 4) for part in parts])
        self._network.num_anchors = len(anchors)  # which it checks
        return anchors


def _network_module() -> ModuleType:
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


__all__ = ["BlazeFaceDetector"]
