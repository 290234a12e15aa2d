import io
import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from av_emotion_hf.models.pictures_av_emotion import to_clip, to_clips, to_picture


@pytest.fixture
def crops():
    """Four pictures (4, 12, 10, 3) whose sides cannot be mistaken for channels; the first one is black."""
    clip = np.random.default_rng(0).integers(0, 256, (4, 12, 10, 3), dtype=np.uint8)
    clip[0] = 0
    clip[1, 0, 0] = 255
    return clip


def png(image, **options):
    image.save(file := io.BytesIO(), format="PNG", **options)
    return file.getvalue()


def test_what_is_right_already_is_not_copied(crops):
    assert np.shares_memory(to_clip(crops), crops) and to_clip(crops).shape == crops.shape
    assert np.shares_memory(to_clip(torch.from_numpy(crops)), crops)
    assert all(np.shares_memory(one, crops) for one in to_clip(list(crops)))
    assert to_clip(np.zeros((0, 12, 10, 3), np.uint8)).shape == (0, 12, 10, 3)
    assert to_clip([]) == to_clip(np.zeros(0)) == []


def test_layouts(crops):
    gray = crops[..., 1]
    alike = gray[..., None].repeat(3, axis=-1)
    alpha = np.concatenate([crops, np.full_like(crops[..., :1], 9)], axis=-1)
    first = crops.transpose(0, 3, 1, 2)
    for given in (first, alpha, alpha.transpose(0, 3, 1, 2), list(first), list(alpha), crops[None], [crops]):
        np.testing.assert_array_equal(to_clip(given), crops)
    for given in (gray[..., None], gray[:, None], list(gray), list(gray[:, None]), list(gray[..., None])):
        np.testing.assert_array_equal(to_clip(given), alike)
    np.testing.assert_array_equal(to_clip(gray[:2]), alike[:2])
    for given in (crops[1], first[1], alpha[1], [crops[1]], crops[1].tolist()):
        np.testing.assert_array_equal(to_clip(given), crops[1:2])
        np.testing.assert_array_equal(to_picture(given), crops[1])
    np.testing.assert_array_equal(to_picture(gray[1]), alike[1])
    np.testing.assert_array_equal(to_clip(gray[:1]), alike[:1])  # one gray image, channels first
    np.testing.assert_array_equal(to_clip(gray, channels_first=False)[3], alike[3])  # and of four, it is said
    np.testing.assert_array_equal(to_clip(alpha[1].transpose(2, 0, 1), channels_first=True), crops[1:2])
    narrow = crops[:, :3, :4, :]  # where both could be meant, channels are last
    np.testing.assert_array_equal(to_clip(narrow), narrow)


def test_the_scale_is_that_of_the_whole_clip(crops):
    unit = crops / 255
    for kind in (np.float16, np.float32, np.float64):
        for given in (unit.astype(kind), crops.astype(kind), list(unit.astype(kind)), list(crops.astype(kind))):
            np.testing.assert_array_equal(to_clip(given), crops)
    for kind in (np.uint16, ">u2"):
        np.testing.assert_array_equal(to_clip((crops.astype(np.uint16) * 257).astype(kind)), crops)
    for kind in (np.int16, np.int64, np.uint32):
        np.testing.assert_array_equal(to_clip(crops.astype(kind)), crops)
    assert to_clip([unit[1], crops[1]])[0].tolist() == crops[1].tolist()
    assert not to_clip(np.zeros((2, 12, 10, 3))).any() and not to_clip(np.zeros((2, 12, 10, 3), np.uint16)).any()
    resized = np.array([[[-0.005, 0.5, 1.008]]])  # resizing goes beyond the ends
    assert to_picture(resized).tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_modes_of_pillow(crops, mode):
    image = Image.fromarray(crops[1])
    image = image.convert("L").convert("LA").convert(mode) if mode == "PA" else image.convert(mode)
    np.testing.assert_array_equal(to_picture(image), np.asarray(image.convert("RGB")))


def test_deep_and_floating_images_of_pillow(crops):
    gray = crops[1, ..., 0]
    alike = gray[..., None].repeat(3, axis=-1)
    deep = Image.fromarray(gray.astype(np.uint16) * 257)
    assert deep.mode == "I;16"
    for image in (deep, deep.convert("I"), Image.open(io.BytesIO(png(deep))), Image.fromarray(gray / np.float32(255))):
        np.testing.assert_array_equal(to_picture(image), alike)
    dark = Image.fromarray(np.full((4, 5), 200, np.uint16))  # its mode says that it has 16 bits
    assert to_picture(dark).max() == 1
    with pytest.raises(ValueError, match="more than 16 bits have no known scale"):
        to_picture(Image.fromarray(np.full((4, 5), 70000, np.int32)))


def test_encoded_images(crops, tmp_path):
    image = Image.fromarray(crops[1])
    path = tmp_path / "face.png"
    image.save(path)
    content = path.read_bytes()
    forms = [path, str(path), content, bytearray(content), memoryview(content), io.BytesIO(content)]
    forms += [{"bytes": content, "path": None}, {"bytes": None, "path": str(path)}, {"path": str(path)}]
    for given in forms:
        np.testing.assert_array_equal(to_picture(given), crops[1])
    palette = image.quantize(8)
    palette.info["transparency"] = bytes(range(8))
    np.testing.assert_array_equal(to_picture(png(palette)), np.asarray(palette.convert("RGBA").convert("RGB")))
    np.testing.assert_array_equal(to_clip(image for _ in range(2)), crops[[1, 1]])


@pytest.mark.parametrize("orientation", range(1, 10))
def test_images_are_turned_as_their_exif_says(crops, orientation):
    image = Image.fromarray(crops[1])
    image.getexif()[0x0112] = orientation
    stored = Image.open(io.BytesIO(png(image, exif=image.getexif())))
    expected = np.asarray(ImageOps.exif_transpose(stored))
    np.testing.assert_array_equal(to_picture(stored), expected)
    assert expected.shape[:2] == ((10, 12) if 5 <= orientation <= 8 else (12, 10))


def test_an_image_with_damaged_exif_is_not_turned(crops):
    damaged = png(Image.fromarray(crops[1]), exif=b"Exif\0\0no tiff file")
    with pytest.raises(SyntaxError):
        Image.open(io.BytesIO(damaged)).getexif()
    np.testing.assert_array_equal(to_picture(damaged), crops[1])


def test_clips_of_a_batch(crops):
    gray = crops[..., 1]
    for given in (crops, list(crops), crops[None], [crops], [list(crops)], [crops.transpose(0, 3, 1, 2)]):
        (clip,) = to_clips(given)
        np.testing.assert_array_equal(clip, crops)
    assert [len(clip) for clip in to_clips([crops, [], crops[:1], list(crops[:2]), crops[0]])] == [4, 0, 1, 2, 1]
    assert [len(clip) for clip in to_clips(np.stack([crops, crops]))] == [4, 4]
    assert [len(clip) for clip in to_clips([gray[:2], crops])] == [2, 4]
    assert to_clips([]) == [] and to_clips([[]]) == [[]]
    assert [len(clip) for clip in to_clips(np.zeros((0, 8, 8, 3)))] == [0]
    unit, whole = to_clips([crops / 255, crops.astype(float)], keep_unit=True)
    assert unit.dtype == np.float32 and whole.dtype == np.uint8  # each clip has its own scale
    np.testing.assert_allclose(unit, crops / 255, atol=1e-6)


PLAIN = np.zeros((2, 12, 10, 3))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (PLAIN - [[[0, 2.1, 0]]], "values -2.1 to 0: negative pixels look normalized; leave that to the image"),
        (PLAIN + 1.5, "values 1.5 to 1.5: this range has no known scale; give uint8, or floats from 0 to 1"),
        (PLAIN + 300.0, "values 300 to 300: this range has no known scale"),
        (PLAIN + np.nan, "shape (2, 12, 10, 3), type float64: 720 of 720 values are NaN or infinite"),
        ([PLAIN[0], PLAIN[0] - 2.0, PLAIN[0]], "values -2 to -2: negative pixels"),
        ([PLAIN[0], PLAIN[0] + np.inf], "360 of 720 values are NaN or infinite"),
        ((PLAIN + 200).astype(np.uint16), "may be 8-bit pixels or very dark 16-bit ones; give 8-bit pixels as astype"),
        ((PLAIN + 256).astype(np.int32), "type int32, values 256 to 256: are no pixels from 0 to 255"),
        ((PLAIN - 1).astype(np.int8), "type int8, values -1 to -1"),
        (PLAIN.astype(bool), "type bool"),
        (PLAIN.astype(complex), "type complex128"),
        (np.zeros((2, 12, 10, 2)), "shape (2, 12, 10, 2), type float64"),
        (np.zeros((2, 0, 10, 3)), "of at least one pixel"),
        (np.zeros((5, 0)), "of at least one pixel"),
        (np.zeros((4, 12, 10)), "may be one image with alpha or 4 gray ones; give channels last, or a list"),
        (np.zeros(12), "shape (12,), type float64, values 0 to 0: expected (Tv, H, W, 3)"),
        (np.zeros((2, 2, 12, 10, 3)), "shape (2, 2, 12, 10, 3)"),
        ([PLAIN, PLAIN], "shape (2, 12, 10, 3), type float64, values 0 to 0 where an image is expected"),
        ([[PLAIN[0]], [PLAIN[0]]], "a list of 1 where an image is expected"),
        ([[0, 1], [0]], "given as a list of unequal parts"),
        (None, "cannot be read as an image (it is a NoneType); give an image of Pillow"),
        ([PLAIN[0], None], "cannot be read as an image (it is a NoneType)"),
        ({"bytes": None, "path": None}, "cannot be read as an image (a dict without bytes and path)"),
        (Image.open(io.BytesIO(png(Image.new("RGB", (64, 64), "red"))[:-40])), "(image file is truncated"),
        (b"no image", "cannot be read as an image (its format is unknown); give a complete JPEG or PNG file"),
        ("missing.png", "missing.png: cannot be read as an image (No such file or directory)"),
        ({"bytes": b"", "path": "x.png"}, "x.png: cannot be read as an image (its format is unknown)"),
        (
            io.BytesIO(png(Image.new("RGB", (64, 64), "red"))[:-40]),
            "cannot be read as an image (image file is truncated",
        ),
    ],
)
def test_what_is_no_picture_is_named(given, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        to_clip(given)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="2 images where one is expected"):
        to_picture(PLAIN)
