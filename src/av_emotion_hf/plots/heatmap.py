"""Heat maps of the same frames, one below the other: names on the left, time along the bottom."""

import os

import numpy as np
from PIL import Image, ImageDraw

from .canvas import BACKGROUND, GAP, INK, draw_time_axis, font, write_image

LOW, MIDDLE, HIGH = (33, 102, 172), (247, 247, 247), (178, 24, 43)  # of Cynthia Brewer's RdBu
COLOR_RANGE = 3.0  # standard deviations on each side of the mean
HIDDEN, UNDEFINED = (110, 110, 110), (214, 214, 214)
WIDTH, ROW, NARROW_ROW = 1200, 12, 3  # pixels: of a map at most about, of a row with a name and without


def colors(values: np.ndarray, hidden: np.ndarray, undefined: np.ndarray) -> np.ndarray:
    """Values in standard deviations as colors.

    Args:
        values: `(T, F)`.
        hidden: `(T,)`, True = drawn as hidden.
        undefined: `(T, F)`, True = drawn as having no value.

    Returns:
        `(F, T, 3)` uint8: blue below, white at and red above the mean.
    """
    strength = np.clip(values / COLOR_RANGE, -1, 1)[..., None]
    ends = np.where(strength < 0, np.array(LOW), np.array(HIGH))
    image = np.array(MIDDLE) + np.abs(strength) * (ends - np.array(MIDDLE))
    image[undefined] = UNDEFINED
    image[hidden] = HIDDEN
    return image.round().astype(np.uint8).swapaxes(0, 1)


def draw_heat_maps(
    maps: dict[str, np.ndarray], names: list[str] | None, duration: float, title: str, out: str | os.PathLike
) -> None:
    """Write an image of several heat maps of the same frames.

    Args:
        maps: [`colors`] `(F, T, 3)` by heading, from the top.
        names: of the F rows, or `None`.
        duration: of the T frames in seconds.
        title: first line.
        out: image file.

    Raises:
        InputError: it cannot be written.
    """
    rows, frames = next(iter(maps.values())).shape[:2]
    cell = (max(1, WIDTH // frames), ROW if names else NARROW_ROW)
    width, height = frames * cell[0], rows * cell[1]
    left = GAP + (170 if names else 0)
    heading = 20 + GAP
    top = 2 * GAP + 20
    bottom = top + len(maps) * (heading + height + GAP)
    legend = bottom + 24 + GAP
    image = Image.new("RGB", (max(left + width, 700) + GAP, legend + 20 + GAP), BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.text((GAP, GAP), title, fill=INK, font=font(18))
    for number, (name, values) in enumerate(maps.items()):
        y = top + number * (heading + height + GAP)
        draw.text((left, y + GAP // 2), name, fill=INK, font=font(16))
        y += heading
        image.paste(Image.fromarray(values).resize((width, height), Image.Resampling.NEAREST), (left, y))
        for row, label in enumerate(names or ()):
            draw.text((GAP, y + row * cell[1] - 1), label, fill=INK, font=font(11))
    draw_time_axis(draw, left, bottom - GAP, bottom - GAP + 4, width, duration)
    _draw_legend(draw, left, legend)
    write_image(image, out)


def _draw_legend(draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
    """What the colors mean."""
    entries = {f"-{COLOR_RANGE:g}": LOW, "mean": MIDDLE, f"+{COLOR_RANGE:g} standard deviations": HIGH}
    for text, color in (entries | {"hidden": HIDDEN, "no value": UNDEFINED}).items():
        draw.rectangle([x, y, x + 14, y + 14], fill=color, outline=INK)
        draw.text((x + 20, y - 2), text, fill=INK, font=font(14))
        x += 40 + 8 * len(text)


__all__ = ["HIDDEN", "UNDEFINED", "colors", "draw_heat_maps"]
