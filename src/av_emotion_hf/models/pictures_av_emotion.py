"""Images of whatever type and layout as pictures: RGB, uint8, channels last."""

import io
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from .arrays_av_emotion import as_array, describe, is_number, refuse_infinite

try:
    from PIL import Image, ImageOps
except ImportError:
    Image = None  # type: ignore[assignment]  # then there are arrays only

CHANNELS = (1, 3, 4)  # gray, RGB, RGB with alpha
SLACK = 0.01  # by which resizing may leave the range from 0 to 1
REMEDY = "give uint8, or floats from 0 to 1"

Clip = np.ndarray | list[np.ndarray]  # (Tv, H, W, 3), or pictures (H, W, 3) of any size


def to_picture(image: Any, name: str = "an image") -> np.ndarray:
    """One image as `(H, W, 3)` uint8 RGB.

    Args:
        image: as in [`to_clip`].
        name: of the image, for the error.

    Raises:
        ValueError: it cannot be read, or there are several.
    """
    clip = to_clip(image, name)
    if len(clip) != 1:
        raise ValueError(f"{name}: {len(clip)} images where one is expected; give them one by one")
    return clip[0]


def to_clip(images: Any, name: str = "face crops", channels_first: bool | None = None) -> Clip:
    """The images of one clip as `(H, W, 3)` uint8 RGB; not copied where they are that already.

    An image is one of Pillow, turned as its EXIF orientation says; a path, the content or an open file of an encoded
    one, or a dict with `bytes` or `path`; or an array, tensor or list `(H, W)`, `(H, W, C)` or `(C, H, W)`, with C 1,
    3 or 4. Where both could be meant, channels are last. Alpha is dropped.

    The scale is that of the whole clip: of floats, 0 to 1 unless one is larger, then 0 to 255; of uint16, 0 to 65535.

    Args:
        images: a list of images, one array `(Tv, H, W)`, `(Tv, H, W, C)` or `(Tv, C, H, W)`, or one image.
        name: of the images, for the error.
        channels_first: whether arrays have their channels first or last; `None` to find out.

    Returns:
        An array `(Tv, H, W, 3)` if one was given, else a list.

    Raises:
        ValueError: an image cannot be read, or type, range or shape do not say what it is.
    """
    return _pictures(_images(_loaded(images, name), name, channels_first), name, channels_first)


def to_clips(
    images: Any, name: str = "images", channels_first: bool | None = None, keep_unit: bool = False
) -> list[Clip]:
    """The clips of a batch, each as in [`to_clip`].

    Args:
        images: one clip; a list of clips, where an image is a clip of one if another is a clip of several or none; or
            an array `(B, Tv, H, W, C)`.
        name: of the images, for the error.
        channels_first: whether arrays have their channels first or last; `None` to find out.
        keep_unit: leave floats from 0 to 1 as they are, float32.

    Raises:
        ValueError: an image cannot be used.
    """
    loaded = _loaded(images, name)
    if isinstance(loaded, list):
        single = bool(loaded) and all(_is_image(each, name, channels_first) for each in loaded)
        clips = [loaded] if single else loaded
    else:
        clips = list(loaded) if loaded.ndim == 5 else [loaded]
    return [_pictures(_images(clip, name, channels_first), name, channels_first, keep_unit) for clip in clips]


def _loaded(given: Any, name: str) -> Any:
    """The same with an array for each image, in nested lists where there are several."""
    if _is_stored(given):
        return _opened(given, name)
    if isinstance(given, Iterator) or getattr(getattr(given, "dtype", None), "kind", "") in tuple("OUS"):
        given = list(given)
    if isinstance(given, list | tuple):
        first = given
        while isinstance(first, list | tuple) and len(first):
            first = first[0]
        if not is_number(first):
            return [_loaded(each, name) for each in given]
    elif given is None or not (hasattr(given, "dtype") or hasattr(given, "__array__")):
        raise ValueError(
            f"{name}: cannot be read as an image (it is a {type(given).__name__}); give an image of Pillow, an array, "
            "or the content of an encoded one"
        )
    return as_array(given, name)


def _is_stored(given: Any) -> bool:
    """Whether something is one image of Pillow or an encoded one."""
    if Image is not None and isinstance(given, Image.Image):
        return True
    encoded = isinstance(given, str | bytes | bytearray | memoryview | os.PathLike | Mapping)
    return encoded or hasattr(given, "read")


def _opened(given: Any, name: str) -> np.ndarray:
    """An image of Pillow, or an encoded one: its path, content or open file, or a dict with one of them."""
    if isinstance(given, Mapping):
        label = given.get("path") or name
        given = given["bytes"] if given.get("bytes") is not None else given.get("path")
        if given is None:
            raise ValueError(f"{label}: cannot be read as an image (a dict without bytes and path); give one of them")
        return _opened(given, str(label))
    label = os.fsdecode(given) if isinstance(given, str | os.PathLike) else name
    if Image is None:
        raise ValueError(f"{label}: is an encoded image, and nothing here reads it: pip install pillow")
    try:
        if isinstance(given, Image.Image):  # which may not be loaded yet
            return _decoded(given, label)
        file = io.BytesIO(given) if isinstance(given, bytes | bytearray | memoryview) else given
        with Image.open(file) as image:
            return _decoded(image, label)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        why = getattr(error, "strerror", None) or error
        why = "its format is unknown" if isinstance(error, Image.UnidentifiedImageError) else why
        raise ValueError(f"{label}: cannot be read as an image ({why}); give a complete JPEG or PNG file") from error


def _decoded(image: Any, name: str) -> np.ndarray:
    """The pixels of an image of Pillow: `(H, W, 3)` uint8, or with the scale still open `(H, W)` of another type."""
    with suppress(SyntaxError, ValueError, TypeError, KeyError, struct.error):  # damaged EXIF, whose image may be good
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        return np.asarray(image)
    if image.mode.startswith("I"):
        pixels = np.asarray(image)
        if image.mode == "I" and pixels.size and not 0 <= pixels.min() <= pixels.max() <= 65535:
            raise ValueError(f"{name} of {describe(pixels)}: more than 16 bits have no known scale; {REMEDY}")
        return pixels.astype(np.uint16) if image.mode == "I" else np.rint(pixels / 257).astype(np.uint8)
    if isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")  # else Pillow warns
    try:
        return np.asarray(image.convert("RGB"))
    except ValueError as error:
        raise ValueError(f"{name} of mode {image.mode}: cannot be converted; convert it to RGB") from error


def _is_image(given: Any, name: str, channels_first: bool | None) -> bool:
    """Whether an array is one image rather than a clip."""
    if isinstance(given, list) or given.ndim not in (2, 3):
        return False
    if given.ndim == 3 and channels_first is None and given.shape[0] == 4 and given.shape[-1] not in CHANNELS:
        raise ValueError(
            f"{name} of {describe(given)}: may be one image with alpha or 4 gray ones; give channels last, or a list"
        )
    first, last = (given.ndim == 2 or given.shape[axis] in CHANNELS for axis in (0, -1))
    return first or last if channels_first is None else first if channels_first else last


def _images(clip: Any, name: str, channels_first: bool | None) -> Clip:
    """The images of one clip: `(Tv, H, W)` or with channels, or a list of arrays `(H, W)` or with channels."""
    if isinstance(clip, list) and len(clip) == 1 and not _is_image(clip[0], name, channels_first):
        return _images(clip[0], name, channels_first)
    if isinstance(clip, list):
        for each in clip:
            if not _is_image(each, name, channels_first):
                what = f"a list of {len(each)}" if isinstance(each, list) else describe(each)
                raise ValueError(f"{name}: {what} where an image is expected; give the images of one clip, in order")
        return clip
    if not clip.size and clip.shape[:1] == (0,) and clip.ndim != 3:
        return clip if clip.ndim == 4 else []
    if clip.ndim == 5 and len(clip) == 1:
        return clip[0]
    if clip.ndim not in (2, 3, 4):
        raise ValueError(f"{name} of {describe(clip)}: expected (Tv, H, W, 3), or a list of images (H, W, 3)")
    return clip if clip.ndim == 4 or not _is_image(clip, name, channels_first) else clip[None]


def _pictures(images: Clip, name: str, channels_first: bool | None, keep_unit: bool = False) -> Clip:
    """Images of one clip as uint8 RGB, channels last; floats from 0 to 1 as float32 where they are kept."""
    if isinstance(images, np.ndarray):
        if not len(images):
            return images.astype(np.uint8, copy=False)
        (pixels,) = _bytes([_channels_last(images, images.ndim - 1, name, channels_first)], name, keep_unit)
        return _rgb(pixels)
    arrays = [_channels_last(each, each.ndim, name, channels_first) for each in images]
    return [_rgb(pixels) for pixels in _bytes(arrays, name, keep_unit)]


def _rgb(pixels: np.ndarray) -> np.ndarray:
    """Images `(..., C)` in RGB, without alpha."""
    return pixels.repeat(3, axis=-1) if pixels.shape[-1] == 1 else pixels[..., :3]


def _channels_last(array: np.ndarray, ndim: int, name: str, channels_first: bool | None) -> np.ndarray:
    """Images of `ndim` axes, with further axes before, as `(..., H, W, C)`."""
    given = array
    if ndim == 2:
        array = array[..., None]
    elif channels_first or (channels_first is None and array.shape[-1] not in CHANNELS):
        array = np.moveaxis(array, -3, -1)
    if array.shape[-1] not in CHANNELS or 0 in array.shape[-3:]:
        raise ValueError(
            f"{name} of {describe(given)}: expected images (H, W), (H, W, C) or (C, H, W) of at least one pixel, with "
            "C 1, 3 or 4"
        )
    return array


def _bytes(arrays: list[np.ndarray], name: str, keep_unit: bool) -> list[np.ndarray]:
    """Pixels of one clip as uint8, by what its values can be."""
    floats, wide = [each for each in arrays if each.dtype.kind == "f"], [each for each in arrays if _is_wide(each)]
    refuse_infinite(floats, name)
    low, high = min((each.min() for each in floats), default=0), max((each.max() for each in floats), default=0)
    if low < -SLACK:
        darkest = next(each for each in floats if each.min() == low)
        raise ValueError(
            f"{name} of {describe(darkest)}: negative pixels look normalized; leave that to the image processor and "
            f"{REMEDY}"
        )
    if not (high <= 1 + SLACK or 2 <= high <= 255.5):
        lightest = next(each for each in floats if each.max() == high)
        raise ValueError(f"{name} of {describe(lightest)}: this range has no known scale; {REMEDY}")
    brightest = max((int(each.max()) for each in wide), default=0)
    if 0 < brightest <= 255:
        raise ValueError(
            f"{name} of {describe(wide[0])}: may be 8-bit pixels or very dark 16-bit ones; give 8-bit pixels as "
            "astype('uint8'), and others as floats divided by 65535"
        )
    return [_byte(each, name, 255.0 if high <= 1 + SLACK else 1.0, keep_unit) for each in arrays]


def _byte(array: np.ndarray, name: str, scale: float, keep_unit: bool) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "f":
        if keep_unit and scale == 255:
            return array.astype(np.float32).clip(0, 1)
        return np.rint(array.astype(np.float32) * scale).clip(0, 255).astype(np.uint8)
    if _is_wide(array):
        return np.rint(array / np.float32(257)).astype(np.uint8)
    if array.dtype.kind not in "iu" or not 0 <= array.min() <= array.max() <= 255:
        raise ValueError(f"{name} of {describe(array)}: are no pixels from 0 to 255; {REMEDY}")
    return array.astype(np.uint8)


def _is_wide(array: np.ndarray) -> bool:
    return array.dtype.kind == "u" and array.dtype.itemsize == 2


__all__ = ["to_clip", "to_clips", "to_picture"]
