"""What the pictures of this package have in common: colours, letters, a time axis, and how they are written."""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import InputError

GAP = 8  # pixels
BACKGROUND, INK = (250, 250, 250), (30, 30, 30)
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, 1800, 3600, 36000)  # seconds between two ticks


def font(size: int) -> ImageFont.ImageFont:
    """The letters of all pictures, `size` pixels high."""
    return ImageFont.load_default(size)


def draw_time_axis(draw: ImageDraw.ImageDraw, left: int, top: int, bottom: int, width: int, duration: float) -> None:
    """Ticks from `top` to `bottom` over `width` pixels from `left`, at most 15, with the seconds below them."""
    step = next((step for step in STEPS if duration / step <= 15), STEPS[-1])
    for tick in np.arange(0, duration, step):
        x = left + tick * width / max(duration, 1e-3)
        draw.line([x, top, x, bottom + 4], fill=INK)
        draw.text((x + 2, bottom + 2), f"{tick:g} s", fill=INK, font=font(14))


def require_picture_name(out: str | os.PathLike) -> None:
    """Raise [`InputError`] where the ending of `out` is of no kind of picture that can be written."""
    if Image.registered_extensions().get(Path(out).suffix.lower()) not in Image.SAVE:
        raise InputError(f"{out}: is no name of a picture file; end it in .png or .jpg")


def write_picture(picture: Image.Image, out: str | os.PathLike) -> None:
    """Write under a hidden name, then rename: there is never half a picture.

    Raises:
        InputError: it cannot be written.
    """
    out = Path(out)
    hidden = out.with_name(f".{out.name}")  # keeps the ending, which decides the format
    try:
        picture.save(hidden)
        hidden.rename(out)
    except OSError as error:
        hidden.unlink(missing_ok=True)
        raise InputError(f"{out}: cannot be written ({error.strerror or error}); check the folder") from error


__all__ = ["BACKGROUND", "GAP", "INK", "draw_time_axis", "font", "require_picture_name", "write_picture"]
