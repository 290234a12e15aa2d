"""How a person looks in a recording: a vector that is used to find the person again, and never written anywhere.

It is made for one recording, where clothes, hair and light stay as they are: gradients of the face (Dalal and Triggs,
Histograms of oriented gradients for human detection, CVPR 2005) and colors of hair and face. It is no face
recognition: on another day the same person has another vector.
"""

import numpy as np

from .crops import crop_square

SIDE, CELL, ORIENTATIONS = 64, 8, 8  # of the histograms of gradients, in pixels
MARGIN = 0.5  # of the crop that they are of
ROWS = 6  # of its cells from the top: those below show the mouth, which moves
BINS = (6, 8, 8)  # of lightness, green to red, and blue to yellow
RANGES = (0, 256, 96, 160, 96, 170)  # of OpenCV's 8-bit Lab; skin, hair and cloth are within
PATCH = 24  # side of a patch of colors, in pixels
# left, right, top, bottom of the patches, in sides of the box, from its center
PATCHES = {"hair": (-0.6, 0.6, -1.0, -0.45), "face": (-0.35, 0.35, -0.4, 0.45)}


def appearance(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The looks of the person with a face at a box, as a vector (E,) float32 of length 1.

    The product of two such vectors is 1 for equal looks. `benchmarks/persons.py` measures how well that tells persons
    apart.

    Args:
        frame: (H, W, 3) uint8 RGB.
        box: x0, y0, x1, y1 in pixels.
    """
    import cv2

    gray = cv2.cvtColor(crop_square(frame, box[:4], SIDE, MARGIN), cv2.COLOR_RGB2GRAY).astype(np.float32)
    colors = np.concatenate([_colors(_patch(frame, box, sides)) for sides in PATCHES.values()])
    return np.concatenate([unit(gradients(gray)), unit(colors)]) / np.float32(np.sqrt(2))


def gradients(gray: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients in the upper part of (SIDE, SIDE) float32, in blocks of 2 x 2 cells (n,)."""
    down, right = np.gradient(gray)
    size, angle = np.hypot(down, right), np.mod(np.arctan2(down, right), np.pi)
    bins = np.minimum((angle * (ORIENTATIONS / np.pi)).astype(int), ORIENTATIONS - 1)
    cells = SIDE // CELL
    place = np.arange(SIDE) // CELL
    index = (place[:, None] * cells + place) * ORIENTATIONS + bins
    sums = np.bincount(index.ravel(), size.ravel(), cells * cells * ORIENTATIONS)
    grid = sums.reshape(cells, cells, ORIENTATIONS)[:ROWS]
    blocks = np.concatenate([grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]], axis=-1)
    clipped = np.minimum(blocks / (np.linalg.norm(blocks, axis=-1, keepdims=True) + 1e-5), 0.2)
    return (clipped / (np.linalg.norm(clipped, axis=-1, keepdims=True) + 1e-5)).ravel()


def _patch(frame: np.ndarray, box: np.ndarray, sides: tuple[float, float, float, float]) -> np.ndarray | None:
    """A part of the frame beside or in a box, (PATCH, PATCH, 3); None where it is outside of the frame."""
    import cv2

    side = max(box[2] - box[0], box[3] - box[1])
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    height, width = frame.shape[:2]
    left, right = np.clip(np.round(x + side * np.array(sides[:2])), 0, width).astype(int)
    top, bottom = np.clip(np.round(y + side * np.array(sides[2:])), 0, height).astype(int)
    if right - left < 2 or bottom - top < 2:
        return None
    return cv2.resize(frame[top:bottom, left:right], (PATCH, PATCH), interpolation=cv2.INTER_AREA)


def _colors(patch: np.ndarray | None) -> np.ndarray:
    """Square roots of the fractions of the colors in a patch, as one vector of length 1; of none zeros."""
    import cv2

    if patch is None:
        return np.zeros(int(np.prod(BINS)), np.float32)
    counts = cv2.calcHist([cv2.cvtColor(patch, cv2.COLOR_RGB2LAB)], [0, 1, 2], None, BINS, RANGES).ravel()
    return np.sqrt(counts / max(counts.sum(), 1.0))


def unit(vector: np.ndarray) -> np.ndarray:
    """A vector as float32 of length 1; zeros stay zeros."""
    return (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)


__all__ = ["appearance", "unit"]
