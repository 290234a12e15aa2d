"""How a stored picture has to be turned and mirrored to be shown."""

import math
from typing import Any

import av
import numpy as np

from .source import Source

# Where a display matrix puts a point of the stored picture: (x, y) goes to (a x + c y, b x + d y); y points down.
Orientation = tuple[float, float, float, float]  # a, b, c, d
AS_STORED: Orientation = (1, 0, 0, 1)
EXIF_TAG = 0x0112
# EXIF 2.32, section 4.6.4: on which sides of the picture the first row and the first column are shown
EXIF_ORIENTATIONS: dict[int, Orientation] = {
    1: AS_STORED,
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


def upright(stored: np.ndarray, orientation: Orientation) -> np.ndarray:
    """The picture (H, W, 3) as FFmpeg's autorotation shows it, as a view; other angles become the nearest quarter."""
    a, b, c, d = orientation
    if abs(a) + abs(d) >= abs(b) + abs(c):
        rows, columns = d, a
    else:
        stored, rows, columns = stored.swapaxes(0, 1), b, c
    return stored[:: -1 if rows < 0 else 1, :: -1 if columns < 0 else 1]


def frame_orientation(frame: av.VideoFrame) -> Orientation:
    """Orientation according to the display matrix of a frame."""
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV does not know each kind of side data; the angle it knows without looking at the others
        angle = math.radians(frame.rotation)  # counterclockwise
        return math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
    if matrix is None:
        return AS_STORED
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).tolist()  # 3 x 3, in the order a b u c d v x y w
    return a, b, c, d


def exif_orientation(source: Source) -> Orientation | None:
    """Orientation of a picture file according to its EXIF data; None where there are none."""
    from PIL import Image

    try:
        with source.open_binary() as file, Image.open(file) as picture:
            return EXIF_ORIENTATIONS.get(picture.getexif().get(EXIF_TAG, 0))
    except Exception:  # Pillow does not read the format, or the data are damaged, which raises errors of many kinds
        return None


__all__ = ["Orientation", "exif_orientation", "frame_orientation", "upright"]
