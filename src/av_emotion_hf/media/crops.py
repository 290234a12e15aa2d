"""Crops and scaled copies of frames."""

import numpy as np


def crop_square(frame: np.ndarray, box: np.ndarray, crop_size: int, margin: float = 0.3) -> np.ndarray:
    """Crop a square around a box; where it leaves the frame, the edge is repeated.

    Args:
        frame: (H, W, 3) uint8.
        box: x0, y0, x1, y1 in pixels.
        crop_size: side of the result in pixels.
        margin: fraction of the longer side of the box that is added to it.

    Returns:
        (crop_size, crop_size, 3) uint8.
    """
    import cv2

    x0, y0, x1, y1 = box
    side = max(2, round(max(x1 - x0, y1 - y0) * (1 + margin)))
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    height, width = frame.shape[:2]
    left, top = min(max(left, -side + 1), width - 1), min(max(top, -side + 1), height - 1)
    inside = frame[max(top, 0) : top + side, max(left, 0) : left + side]
    outside = (max(-top, 0), max(top + side - height, 0), max(-left, 0), max(left + side - width, 0))
    square = cv2.copyMakeBorder(inside, *outside, cv2.BORDER_REPLICATE)
    method = cv2.INTER_AREA if side > crop_size else cv2.INTER_LINEAR
    return cv2.resize(square, (crop_size, crop_size), interpolation=method)


def area(box: np.ndarray) -> float:
    """Of a box x0, y0, x1, y1, in pixels."""
    return float((box[2] - box[0]) * (box[3] - box[1]))


def fit_frame(frame: np.ndarray, long_side: int, multiple: int = 1) -> np.ndarray:
    """Scale a frame to a long side in pixels, and add black at the right or bottom.

    Args:
        frame: (H, W, 3) uint8.
        long_side: of the scaled frame.
        multiple: both sides of the result are multiples of it.

    Returns:
        (h, w, 3) uint8.
    """
    import cv2

    scale = long_side / max(frame.shape[:2])
    height, width = (max(1, round(side * scale)) for side in frame.shape[:2])
    small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if not height % multiple and not width % multiple:
        return small
    canvas = np.zeros((-(-height // multiple) * multiple, -(-width // multiple) * multiple, 3), np.uint8)
    canvas[:height, :width] = small
    return canvas


__all__ = ["area", "crop_square", "fit_frame"]
