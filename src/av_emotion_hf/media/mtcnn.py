"""MTCNN: three small networks, each of which rejects and corrects the boxes of the one before.

Zhang, Zhang, Li, Qiao: Joint face detection and alignment using multitask cascaded convolutional networks, IEEE Signal
Processing Letters 23(10), 2016. The weights beside this file are those of facenet-pytorch 2.6.0 (MIT, see their
LICENSE), as `tools/convert_mtcnn.py` has written them.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from .crops import crop_square, fit_frame

WEIGHTS = Path(__file__).parent / "weights" / "mtcnn.safetensors"
LONG_SIDE = 480  # pixels to which frames are scaled down
MIN_FACE = 20  # pixels of the scaled frame
MIN_SCORES = {"propose": 0.8, "refine": 0.7, "decide": 0.85}
_SIDES = {"propose": 12, "refine": 24, "decide": 48}  # pixels of the window that each network judges
_STRIDE = 2  # pixels from one window of the first network to the next
_PYRAMID_RATIO = 0.709  # of the sizes at which it sees a frame
_MAX_GAIN = 16
_BATCH = 256  # windows
# MTCNN's boxes end at the hairline, BlazeFace's, which the rest of the package expects, at the brows: the side of the
# square and how far its center is lower, both in sides of the other; medians of faces that both of them find
TO_BROWS, TO_HAIRLINE = (0.826, 0.089), (1.21, -0.108)


class MTCNN(nn.ModuleDict):
    """The three networks, convolutions without padding. Each answers with a logit and corrections of the window.

    Corrections are to be added to x0, y0, x1 and y1, in sides of the window. The last network adds five landmarks.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "propose": _network(((10, 3, 2), (16, 3, 0), (32, 3, 0)), 5),
                "refine": _network(((28, 3, 3), (48, 3, 3), (64, 2, 0), (128, 3, 0)), 5),
                "decide": _network(((32, 3, 3), (64, 3, 3), (64, 3, 2), (128, 2, 0), (256, 3, 0)), 15),
            }
        )


def _network(layers: tuple[tuple[int, int, int], ...], outputs: int) -> nn.Sequential:
    """Layers of (channels, kernel, pooling or 0), and one that reads out."""
    parts: list[nn.Module] = []
    inputs = 3
    for channels, kernel, pooling in layers:
        parts += [nn.Conv2d(inputs, channels, kernel), nn.PReLU(channels)]
        if pooling:
            parts.append(nn.MaxPool2d(pooling, 2, ceil_mode=True))
        inputs = channels
    return nn.Sequential(*parts, nn.Conv2d(inputs, outputs, 1))


class MTCNNDetector:
    """Finds small, turned, dark and half covered faces, in frames that are scaled down and, if dark, brightened."""

    name = "mtcnn"

    def __init__(self, device: str = "cpu"):
        self._networks = MTCNN()
        self._networks.load_state_dict(load_file(WEIGHTS))
        self._networks.to(device).to(memory_format=torch.channels_last).eval()
        self._device = device

    def detect(self, frames: np.ndarray) -> list[np.ndarray]:
        """See `FaceDetector.detect`."""
        long_side = min(LONG_SIDE, max(frames.shape[1:3]))
        small = [_brightened(each, _gain(each)) for each in (fit_frame(frame, long_side) for frame in frames)]
        owners, boxes = self._propose(small)
        for name in ("refine", "decide"):
            squares = squared(boxes)
            answers = self._judge(name, small, owners, squares)
            good = answers[:, 0] >= MIN_SCORES[name]
            owners, boxes = owners[good], _corrected(squares[good], answers[good])
            kept = distinct(boxes, owners, 0.7, nested=name == "decide")
            owners, boxes = owners[kept], boxes[kept]
        boxes = squared(boxes, *TO_BROWS) * ([max(frames.shape[1:3]) / long_side] * 4 + [1])
        return [boxes[owners == number] for number in range(len(frames))]

    def confirm(self, frames: np.ndarray, owners: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Probabilities (k,) that boxes (k, 5) of another detector are faces; `owners` (k,) are their frames."""
        gains = {owner: _gain(frames[owner]) for owner in set(owners.tolist())}
        return self._judge("decide", frames, owners, squared(boxes, *TO_HAIRLINE), gains)[:, 0]

    def _propose(self, frames: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the frames (k,) and boxes (k, 5) of what may be faces."""
        side = _SIDES["propose"]
        owners, boxes = [np.zeros(0, int)], [np.zeros((0, 5))]
        long_side = max(frames[0].shape[:2])
        size = long_side * side / MIN_FACE
        while size * min(frames[0].shape[:2]) >= side * long_side:
            answers = self._run("propose", [fit_frame(frame, round(size)) for frame in frames])
            owner, row, column = np.nonzero(answers[:, 0] >= MIN_SCORES["propose"])
            corners = np.stack([column, row], axis=1) * _STRIDE
            windows = np.hstack([corners, corners + side]) * long_side / size
            found = _corrected(windows, answers[owner, :, row, column])
            kept = distinct(found, owner, 0.5)
            owners.append(owner[kept])
            boxes.append(found[kept])
            size *= _PYRAMID_RATIO
        all_owners, all_boxes = np.concatenate(owners), np.concatenate(boxes)
        kept = distinct(all_boxes, all_owners, 0.7)
        return all_owners[kept], all_boxes[kept]

    def _judge(
        self,
        name: str,
        frames: np.ndarray | list[np.ndarray],
        owners: np.ndarray,
        squares: np.ndarray,
        gains: dict[int, float] | None = None,
    ) -> np.ndarray:
        """Answers of a network (k, 5) to squares of frames, brightened by the gains of the frames."""
        answers = [np.zeros((0, 5))]
        for first in range(0, len(squares), _BATCH):
            windows = []
            for owner, square in zip(
                owners[first : first + _BATCH].tolist(), squares[first : first + _BATCH], strict=True
            ):
                window = crop_square(frames[owner], square[:4], _SIDES[name], margin=0)
                windows.append(_brightened(window, gains[owner] if gains else 1))
            answers.append(self._run(name, windows)[:, :5, 0, 0])
        return np.concatenate(answers)

    def _run(self, name: str, pictures: list[np.ndarray]) -> np.ndarray:
        """Answers (n, 5 or 15, h, w), the first of them a probability, to pictures of one size."""
        pixels = torch.from_numpy(np.stack(pictures)).to(self._device).permute(0, 3, 1, 2)
        with torch.inference_mode():
            answers = self._networks[name]((pixels - 127.5) / 128)
            answers[:, 0].sigmoid_()
        return answers.double().cpu().numpy()


def _gain(frame: np.ndarray) -> float:
    """Factor that makes the brightest hundredth of a frame almost white."""
    step = max(1, max(frame.shape) // 64)
    bright = np.percentile(frame[::step, ::step].max(axis=2), 99)
    return float(np.clip(230 / max(bright, 1), 1, _MAX_GAIN))


def _brightened(frame: np.ndarray, gain: float) -> np.ndarray:
    return cv2.convertScaleAbs(frame, alpha=gain) if gain > 1 else frame


def squared(boxes: np.ndarray, size: float = 1.0, drop: float = 0.0) -> np.ndarray:
    """Squares (k, 5) in place of boxes (k, 5): `size` times the longer side, with centers `drop` times it lower."""
    side = (boxes[:, 2:4] - boxes[:, :2]).max(axis=1, keepdims=True)
    center = (boxes[:, :2] + boxes[:, 2:4]) / 2 + side * [0, drop]
    return np.hstack([center - side * size / 2, center + side * size / 2, boxes[:, 4:]])


def _corrected(windows: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Boxes (k, 5) from windows and what a network answered to them."""
    sides = np.tile(windows[:, 2:4] - windows[:, :2], 2)
    return np.hstack([windows[:, :4] + answers[:, 1:5] * sides, answers[:, :1]])


def distinct(boxes: np.ndarray, owners: np.ndarray, most: float, nested: bool = False) -> np.ndarray:
    """Indices of the boxes (k, 5), best first, that share at most `most` with a better one of the same frame.

    Args:
        boxes: x0, y0, x1, y1 and score.
        owners: (k,) numbers of their frames.
        most: fraction of the union of two boxes.
        nested: it is a fraction of the smaller box.
    """
    kept = []
    order = np.argsort(-boxes[:, 4], kind="stable")
    areas = (boxes[:, 2:4] - boxes[:, :2]).prod(axis=1)
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(first)
        low, high = np.maximum(boxes[first, :2], boxes[rest, :2]), np.minimum(boxes[first, 2:4], boxes[rest, 2:4])
        common = (high - low).clip(0).prod(axis=1)
        whole = np.minimum(areas[first], areas[rest]) if nested else areas[first] + areas[rest] - common
        order = rest[(common <= most * whole) | (owners[rest] != owners[first])]
    return np.array(kept, int)


__all__ = ["MTCNN", "MTCNNDetector", "distinct"]
