"""Augmentation of face images: what detectors, light, cameras and codecs do to a crop, and the expression stays.

Images are `(B, C, H, W)` float32 from 0 to 1. Moves are matrices, so that all of them together cost one interpolation;
changes are functions of images. What is drawn comes from torch's global generator.
"""

import io
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .augmentation import check_probabilities

SHIFT = 0.06  # of the side
SCALES = (0.85, 1.15)
ANGLE = 12.0  # degrees
BOX_SHIFT = 0.15  # of the side
BOX_SCALES = (0.75, 1.33)
BOX_STRETCH = 1.1  # ratio of width and height at most
PATCHES = (1 / 8, 1 / 3)  # of the side
COVER_DEPTHS = (0.15, 0.45)  # of the side
COVER_WIDTHS = (0.4, 1.0)  # of the side
CHANNEL_GAINS = (0.7, 1.4)
BLURS = (0.003, 0.03)  # deviation of the Gaussian, of the side
TAIL = 4.0  # deviations, beyond which a Gaussian is 0; numbers near the smallest one of float32 would take long
SIZES = (0.2, 0.7)  # of the side in pixels
GAMMAS = (1.0, 2.0)
EXPOSURES = (0.1, 0.5)
NOISES = (0.01, 0.06)  # deviation of the noise of white, full scale 1
BLACK = 0.01  # as if so much more light made the noise of the amplifier
QUALITIES = (10, 60)  # of JPEG


def spread(count: int, low: float, high: float) -> Tensor:
    """`(count,)` numbers from `low` to `high`."""
    return low + (high - low) * torch.rand(count)


def ratios(count: int, low: float, high: float) -> Tensor:
    """`(count,)` ratios from `low` to `high`, of which the logarithm is uniform."""
    return spread(count, math.log(low), math.log(high)).exp()


def placement(count: int, **entries: Any) -> Tensor:
    """Matrices `(count, 3, 3)` from places in the new image to places in the old one, both from -1 to 1.

    Args:
        count: number of images.
        **entries: of the matrix, by row and column in `x`, `y` and `t` (translation), such as `xx` or `yt`; the others
            are those of the identity.
    """
    matrix = torch.eye(3).repeat(count, 1, 1)
    for name, value in entries.items():
        matrix[:, "xy".index(name[0]), "xyt".index(name[1])] = value
    return matrix


def random_mirror(count: int) -> Tensor:
    """Left and right exchanged."""
    return placement(count, xx=-1)


def random_shift(count: int) -> Tensor:
    """Moved by up to 6 % of the side."""
    return placement(count, xt=spread(count, -2 * SHIFT, 2 * SHIFT), yt=spread(count, -2 * SHIFT, 2 * SHIFT))


def random_scale(count: int) -> Tensor:
    """Larger or smaller by up to 15 %."""
    scale = spread(count, *SCALES)
    return placement(count, xx=scale, yy=scale)


def random_rotate(count: int) -> Tensor:
    """Turned by up to 12 degrees."""
    angle = spread(count, -ANGLE, ANGLE).deg2rad()
    return placement(count, xx=angle.cos(), xy=-angle.sin(), yx=angle.sin(), yy=angle.cos())


def random_box(count: int) -> Tensor:
    """A misplaced box: off by up to 15 % of its side, up to a third larger or smaller, and not quite square."""
    scale, stretch = ratios(count, *BOX_SCALES), ratios(count, BOX_STRETCH**-0.5, BOX_STRETCH**0.5)
    shift_x, shift_y = (spread(count, -2 * BOX_SHIFT, 2 * BOX_SHIFT) for _ in range(2))
    return placement(count, xx=scale * stretch, yy=scale / stretch, xt=shift_x, yt=shift_y)


def rectangles(height: int, width: int, top: Tensor, left: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Masks `(B, 1, H, W)` of one rectangle each, given as fractions of the sides."""
    y = (torch.arange(height) + 0.5)[:, None] / height
    x = (torch.arange(width) + 0.5)[None] / width
    top, left, rows, columns = (each[:, None, None] for each in (top, left, rows, columns))
    return ((y > top) & (y < top + rows) & (x > left) & (x < left + columns)).unsqueeze(1)


def random_hide(pixels: Tensor) -> Tensor:
    """A patch of an eighth to a third of each side gets the mean of the image (DeVries and Taylor 2017, cutout)."""
    count, _, height, width = pixels.shape
    rows, columns = spread(count, *PATCHES), spread(count, *PATCHES)
    patch = rectangles(height, width, torch.rand(count) * (1 - rows), torch.rand(count) * (1 - columns), rows, columns)
    return torch.where(patch, pixels.mean(dim=(2, 3), keepdim=True), pixels)


def random_occlusion(pixels: Tensor) -> Tensor:
    """Something of one brightness covers the image from one of its edges on, to up to 45 % of the side."""
    count, _, height, width = pixels.shape
    depth, along, edge = spread(count, *COVER_DEPTHS), spread(count, *COVER_WIDTHS), torch.randint(4, (count,))
    start, end = torch.rand(count) * (1 - along), edge % 2 * (1 - depth)  # the edge is at 0, or the opposite one
    is_row = edge < 2
    top, left = torch.where(is_row, end, start), torch.where(is_row, start, end)
    rows, columns = torch.where(is_row, depth, along), torch.where(is_row, along, depth)
    return torch.where(rectangles(height, width, top, left, rows, columns), torch.rand(count, 1, 1, 1), pixels)


def random_color(pixels: Tensor) -> Tensor:
    """Another white balance: each channel times 0.7 to 1.4. In gray images it changes the brightness alone."""
    count, channels = pixels.shape[:2]
    return (pixels * ratios(count * channels, *CHANNEL_GAINS).view(count, channels, 1, 1)).clamp(max=1)


def random_blur(pixels: Tensor) -> Tensor:
    """Gaussian blur of up to 3 % of the side, drawn for each direction: out of focus, or moved."""
    count, _, height, width = pixels.shape
    down, across = (blur_matrices(side, spread(count, *BLURS) * side) for side in (height, width))
    return down[:, None] @ pixels @ across[:, None].transpose(2, 3)


def blur_matrices(side: int, deviations: Tensor) -> Tensor:
    """Matrices `(B, side, side)` that blur a column of pixels by Gaussians; rows add up to 1, also at the ends."""
    places = torch.arange(side, dtype=torch.float32)
    distances = (places[:, None] - places).abs() / deviations[:, None, None]
    return (-distances.square() / 2).masked_fill(distances > TAIL, -torch.inf).softmax(dim=2)


def random_resolution(pixels: Tensor) -> Tensor:
    """A small face: reduced to 20 to 70 % of its pixels in each direction, and enlarged again."""
    size = pixels.shape[-2:]
    changed = []
    for image, fraction in zip(pixels.split(1), spread(len(pixels), *SIZES).tolist(), strict=True):
        small = [max(2, round(side * fraction)) for side in size]
        image = F.interpolate(image, small, mode="bilinear", align_corners=False, antialias=True)
        changed.append(F.interpolate(image, size, mode="bilinear", align_corners=False))
    return torch.cat(changed)


def random_low_light(pixels: Tensor) -> Tensor:
    """Underexposed: darker tones (gamma up to 2), a tenth to a half of the light, the noise of a sensor, 8 bits."""
    count = len(pixels)
    gamma, exposure, noise = (spread(count, *each).view(-1, 1, 1, 1) for each in (GAMMAS, EXPOSURES, NOISES))
    light = exposure * pixels**gamma
    light = light + noise * (light + BLACK).sqrt() * torch.randn_like(pixels[:, :1])
    return (light.clamp(0, 1) * 255).round() / 255


def random_compression(pixels: Tensor) -> Tensor:
    """JPEG of quality 10 to 60."""
    pictures = (pixels.movedim(1, 3).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    qualities = torch.randint(QUALITIES[0], QUALITIES[1] + 1, (len(pictures),)).tolist()
    coded = np.stack([_code_jpeg(picture, quality) for picture, quality in zip(pictures, qualities, strict=True)])
    return torch.from_numpy(coded).movedim(3, 1).contiguous().float() / 255


def _code_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """A picture `(H, W, 3)` uint8, coded and decoded."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image)


MOVES: dict[str, Callable[[int], Tensor]] = {
    "mirror": random_mirror,
    "shift": random_shift,
    "scale": random_scale,
    "rotate": random_rotate,
    "box": random_box,
}
# in the order in which light meets them: what is before the face, lens, sensor, codec
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "hide": random_hide,
    "occlusion": random_occlusion,
    "color": random_color,
    "blur": random_blur,
    "resolution": random_resolution,
    "low_light": random_low_light,
    "compression": random_compression,
}
PICTURE_AUGMENTATIONS = (*MOVES, *CHANGES)
DEFAULT_PROBABILITIES = {"mirror": 0.5, "shift": 1.0, "scale": 1.0, "rotate": 1.0, "hide": 0.5}


def picture_probabilities(given: Mapping[str, Any]) -> dict[str, float]:
    """The probability of every augmentation: the default ones, where `given` has no other.

    Raises:
        InputError: a name is unknown, or a value is no probability.
    """
    return DEFAULT_PROBABILITIES | check_probabilities(given, PICTURE_AUGMENTATIONS)


def augment_pictures(pixels: Tensor, probabilities: Mapping[str, float]) -> Tensor:
    """Apply each of `PICTURE_AUGMENTATIONS` to each image with its probability, in their order.

    Args:
        pixels: `(B, C, H, W)`, from 0 to 1; they are not changed.
        probabilities: by name.

    Returns:
        Images of the same shape and range. What a move brings in from outside is the image reflected at its edges.
    """
    pixels = _moved(pixels, probabilities)
    for name, change in CHANGES.items():
        drawn = torch.rand(len(pixels)) < probabilities.get(name, 0)
        if drawn.any():
            pixels = pixels.index_put((drawn,), change(pixels[drawn]).clamp(0, 1))
    return pixels


def _moved(pixels: Tensor, probabilities: Mapping[str, float]) -> Tensor:
    """The images after all moves that are drawn for each."""
    count = len(pixels)
    matrix, moved = torch.eye(3).repeat(count, 1, 1), torch.zeros(count, dtype=torch.bool)
    for name, move in MOVES.items():
        drawn = torch.rand(count) < probabilities.get(name, 0)
        matrix[drawn] = matrix[drawn] @ move(int(drawn.sum()))
        moved |= drawn
    if not moved.any():
        return pixels
    grid = F.affine_grid(matrix[moved, :2], list(pixels[moved].shape), align_corners=False)
    sampled = F.grid_sample(pixels[moved], grid, padding_mode="reflection", align_corners=False)
    return pixels.index_put((moved,), sampled)


__all__ = ["DEFAULT_PROBABILITIES", "PICTURE_AUGMENTATIONS", "augment_pictures", "picture_probabilities"]
