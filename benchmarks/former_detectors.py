"""Detectors that the package had, or that were tried and left out; `face_detection.py` measures them, too.

All have the method `detect(frames) -> [(k, 5), ...]` of `av_emotion_hf.media.FaceDetector`.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from face_alignment.detection.blazeface.net_blazeface import BlazeFace
from skimage.data import lbp_frontal_face_cascade_filename
from skimage.feature import Cascade as SkimageCascade

from av_emotion_hf.media.crops import fit_frame
from av_emotion_hf.media.mtcnn import distinct


class BothRanges:
    """BlazeFace's short-range network, and the long-range one where that finds nothing."""

    def __init__(self):
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        self.networks = []
        for is_long_range, suffix in ((False, ""), (True, "back")):
            network = BlazeFace(back_model=is_long_range)
            network.load_state_dict(torch.load(folder / f"blazeface{suffix}.pth", weights_only=True))
            network.load_anchors_from_npy(np.load(folder / f"anchors{suffix}.npy"), "cpu")
            network.min_score_thresh = 0.5
            self.networks.append(network.eval())

    def detect(self, frames):
        """Faces of each frame."""
        return [self._one(frame) for frame in frames]

    def _one(self, frame):
        found = self.run(self.networks[0], 128, 0.7, frame)
        return found if len(found) else self.run(self.networks[1], 256, 0.6, frame)

    @staticmethod
    def run(network, side, min_score, frame):
        """Faces (k, 5) that one of the networks finds in a frame."""
        square = fit_frame(frame, side, multiple=side)[None]
        found = network.predict_on_batch(square)[0].double().numpy()
        boxes = np.hstack([found[:, [1, 0, 3, 2]] * max(frame.shape[:2]), found[:, 16:]])
        return boxes[boxes[:, 4] >= min_score]


class Tiles(BothRanges):
    """Where both ranges find nothing, the long-range network on 3 x 3 tiles of half the size."""

    def _one(self, frame):
        found = super()._one(frame)
        if len(found):
            return found
        height, width = (side // 2 for side in frame.shape[:2])
        boxes = [np.zeros((0, 5))]
        for top in (0, height // 2, height):
            for left in (0, width // 2, width):
                tile = frame[top : top + height, left : left + width]
                boxes.append(self.run(self.networks[1], 256, 0.6, tile) + np.array([left, top, left, top, 0]))
        every = np.concatenate(boxes)
        return every[distinct(every, np.zeros(len(every)), 0.4, nested=True)]


class Cascade:
    """scikit-image's cascade of local binary patterns for upright frontal faces."""

    def __init__(self):
        self.cascade = SkimageCascade(lbp_frontal_face_cascade_filename())

    def detect(self, frames):
        """Faces of each frame."""
        return [self._one(frame) for frame in frames]

    def _one(self, frame):
        gray = cv2.cvtColor(fit_frame(frame, 160), cv2.COLOR_RGB2GRAY)
        gray = cv2.copyMakeBorder(gray, 16, 16, 16, 16, cv2.BORDER_REPLICATE)
        largest = min(gray.shape)
        found = self.cascade.detect_multi_scale(
            gray, scale_factor=1.1, step_ratio=1, min_size=(24, 24), max_size=(largest, largest),
            min_neighbor_number=2, intersection_score_threshold=0.2,
        )  # fmt: skip
        corners = [(f["c"], f["r"], f["c"] + f["width"], f["r"] + f["height"]) for f in found]
        boxes = (np.array(corners, np.float64).reshape(-1, 4) - 16) * max(frame.shape[:2]) / 160
        return np.hstack([boxes, np.ones((len(boxes), 1))])
