"""How well a face can be seen: its size, sharpness, brightness and pose, of its box and its crop alone.

Crops are compared at `SIDE` pixels, so that what is measured of a small face and of a large one means the same: what
is lost by scaling down from above is not missed.
"""

from collections.abc import Sequence

import numpy as np

SIDE = 48  # pixels, those of the pictures of FER2013
LIGHT = 4.0  # pixels: deviation of the Gaussian whose blur is the light on a face, beside its features
OFF_CENTER = 4  # pixels by which the two halves of a face may be moved against each other

MEASURES = ("height", "sharpness", "brightness", "symmetry")


def measure_faces(crops: Sequence[np.ndarray] | np.ndarray, boxes: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Each of `MEASURES` for each crop, `(Tv,)` float64.

    Args:
        crops: `(Tv, S, S, 3)` uint8, or a list of crops of different sides.
        boxes: `(Tv, 4)`, the faces in their frames: x0, y0, x1, y1 in pixels. Without them there is no `height`.
    """
    lumas = [small_luma(crop) for crop in crops]
    found = {
        name: np.array([measure(luma) for luma in lumas], np.float64)
        for name, measure in (("sharpness", sharpness), ("brightness", brightness), ("symmetry", symmetry))
    }
    if boxes is None:
        return found
    sides = np.asarray(boxes, np.float64).reshape(-1, 4)
    return {"height": sides[:, 3] - sides[:, 1]} | found


def small_luma(crop: np.ndarray) -> np.ndarray:
    """Luma `(SIDE, SIDE)` float32, 0 to 255, of a crop `(H, W, 3)` uint8."""
    import cv2

    method = cv2.INTER_AREA if min(crop.shape[:2]) > SIDE else cv2.INTER_LINEAR
    return cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=method).astype(np.float32)


def sharpness(luma: np.ndarray) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000), in variances of the luma: contrast does not count.

    Args:
        luma: `(H, W)` float32.

    Returns:
        0 for a face of one gray, about 0.5 to 1 for a sharp one, a tenth of that for one that is blurred by a pixel.
    """
    import cv2

    variance = luma.var()
    return float(cv2.Laplacian(luma, cv2.CV_32F).var() / variance) if variance > 0 else 0.0


def brightness(luma: np.ndarray) -> float:
    """Mean of the luma `(H, W)`, 0 to 255."""
    return float(luma.mean())


def symmetry(luma: np.ndarray) -> float:
    """Correlation of a face with its mirror image, after the light on it was taken away; a measure of pose.

    A face that is turned to the side, or whose head is tilted, is not its own mirror image. The light is the blurred
    face, which is subtracted: it comes from one side more often than not. Of some positions of the axis near the
    middle the one with the highest correlation counts.

    Args:
        luma: `(H, W)` float32.

    Returns:
        1 for a face that is its own mirror image; near 0 for a profile, and for one of a single gray.
    """
    import cv2

    features = luma - cv2.GaussianBlur(luma, (0, 0), LIGHT)
    width = features.shape[1]
    return max(_mirrored(features[:, max(0, by) : width + min(0, by)]) for by in range(-OFF_CENTER, OFF_CENTER + 1))


def _mirrored(image: np.ndarray) -> float:
    """Correlation of an image with its mirror image; 0 where nothing varies."""
    centered = image - image.mean()
    power = float((centered * centered).sum())
    return float((centered * centered[:, ::-1]).sum() / power) if power > 1e-3 else 0.0


__all__ = ["MEASURES", "brightness", "measure_faces", "sharpness", "small_luma", "symmetry"]
