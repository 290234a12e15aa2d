"""What the images of this package share: colors, font, a time axis, and how they are written."""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import InputError
from ..utils import atomic_write, require_writable, writing

GAP = 8  # pixels
BACKGROUND, INK = (250, 250, 250), (30, 30, 30)
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, 1800, 3600, 36000)  # seconds between two ticks


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all images, `size` pixels high."""
    return ImageFont.load_default(size)


def draw_time_axis(draw: ImageDraw.ImageDraw, left: int, top: int, bottom: int, width: int, duration: float) -> None:
    """Ticks from `top` to `bottom` over `width` pixels from `left`, at most 15, with the seconds below them."""
    step = next((step for step in STEPS if duration / step <= 15), STEPS[-1])
    for tick in np.arange(0, duration, step):
        x = left + tick * width / max(duration, 1e-3)
        draw.line([x, top, x, bottom + 4], fill=INK)
        draw.text((x + 2, bottom + 2), f"{tick:g} s", fill=INK, font=font(14))


def require_image_name(out: str | os.PathLike) -> None:
    """Raise [`InputError`] if `out` cannot be written, or its suffix is not that of an image format that can."""
    if Image.registered_extensions().get(Path(out).suffix.lower()) not in Image.SAVE:
        raise InputError(f"{out}: is not the name of an image file; end it in .png or .jpg")
    require_writable(os.fspath(out))


def write_image(image: Image.Image, out: str | os.PathLike) -> None:
    """Write an image file whole or not at all, in the format of its suffix.

    Raises:
        InputError: it cannot be written.
    """
    out = Path(out)
    require_writable(out)
    with writing(out), atomic_write(out) as partial:
        image.save(partial, Image.registered_extensions()[out.suffix.lower()])


__all__ = ["BACKGROUND", "GAP", "INK", "draw_time_axis", "font", "require_image_name", "write_image"]
