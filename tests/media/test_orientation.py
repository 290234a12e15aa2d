import io

import av
import numpy as np
import pytest
from helpers.synthetic import write_clip
from PIL import Image, ImageOps

from av_emotion_hf.media import open_clip
from av_emotion_hf.media.orientation import frame_orientation, upright

CORNERS = np.zeros((48, 80, 3), np.uint8)  # red and green above, blue and white below
CORNERS[:24, :40, 0], CORNERS[:24, 40:, 1], CORNERS[24:, :40, 2], CORNERS[24:, 40:] = 250, 250, 250, 250
TURNED = CORNERS.swapaxes(0, 1)
# a, b, c, d of the display matrix, and what FFmpeg's autorotation shows
ORIENTATIONS = {
    "as stored": ((1, 0, 0, 1), CORNERS),
    "mirrored": ((-1, 0, 0, 1), CORNERS[:, ::-1]),
    "upside down": ((-1, 0, 0, -1), CORNERS[::-1, ::-1]),
    "mirrored upside down": ((1, 0, 0, -1), CORNERS[::-1]),
    "transposed": ((0, 1, 1, 0), TURNED),
    "clockwise": ((0, 1, -1, 0), np.rot90(CORNERS, -1)),
    "transposed the other way": ((0, -1, -1, 0), TURNED[::-1, ::-1]),
    "counterclockwise": ((0, -1, 1, 0), np.rot90(CORNERS)),
}


def shown(source):
    """The first frame of a clip."""
    return next(open_clip(source, trim_black=False).frames(1))[1][0]


def with_matrix(path, a, b, c, d):
    """The bytes of an MP4 whose one track has another matrix."""

    def packed(*numbers):
        return (np.array([*numbers, 1 << 14]) * 65536).astype(">i4").tobytes()

    before, after = path.read_bytes().split(b"tkhd")
    # 40 bytes are the version, times, number, duration, layer, group and volume of the track
    assert after[40:76] == packed(1, 0, 0, 0, 1, 0, 0, 0)
    return before + b"tkhd" + after[:40] + packed(a, b, 0, c, d, 0, 0, 0) + after[76:]


@pytest.fixture
def stored(tmp_path):
    return write_clip(tmp_path / "p.mp4", [CORNERS] * 3)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_display_matrices(stored, name):
    matrix, expected = ORIENTATIONS[name]
    np.testing.assert_array_equal(upright(CORNERS, matrix), expected)
    as_stored = shown(stored)
    assert np.abs(as_stored.astype(int) - CORNERS).mean() < 8
    turned = shown(with_matrix(stored, *matrix))
    np.testing.assert_array_equal(turned, upright(as_stored, matrix))
    assert np.abs(turned.astype(int) - expected).mean() < 8


def test_other_angles_become_the_nearest_quarter():
    for degrees, expected in ((30, CORNERS), (60, np.rot90(CORNERS, -1)), (-100, np.rot90(CORNERS))):
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        np.testing.assert_array_equal(upright(CORNERS, (cos, sin, -sin, cos)), expected)


@pytest.mark.parametrize("turns", range(4))
def test_beside_side_data_that_pyav_does_not_know_the_angle_counts(turns):
    class Frame:
        rotation = [0, 90, 180, -90][turns]  # counterclockwise

        @property
        def side_data(self):
            raise ValueError("31 is not a valid Type")

    np.testing.assert_array_equal(upright(CORNERS, frame_orientation(Frame())), np.rot90(CORNERS, turns))


def picture(suffix, image=CORNERS, **options):
    data = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(data, suffix, **options)
    return data.getvalue()


@pytest.mark.parametrize("suffix, tolerance", [("jpeg", 3), ("png", 0), ("webp", 3)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_data_say(suffix, tolerance, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = picture(suffix, exif=exif, **({"quality": 95} if suffix != "png" else {}))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    np.testing.assert_array_equal(expected.shape, list(ORIENTATIONS.values())[orientation - 1][1].shape)
    assert np.abs(shown(data).astype(int) - expected).mean() <= tolerance


def test_pictures_without_or_with_damaged_exif_data_are_as_stored():
    np.testing.assert_array_equal(shown(picture("png")), CORNERS)
    exif = Image.Exif()
    exif[0x0112] = 6
    damaged = picture("jpeg", exif=exif.tobytes().replace(b"II*", b"XX*").replace(b"MM\0*", b"XX\0*"))
    assert shown(damaged).shape == CORNERS.shape


def test_kinds_of_pixels_look_as_pillow_shows_them(tmp_path):
    alpha = np.dstack([CORNERS, np.full(CORNERS.shape[:2], 30, np.uint8)])
    colors = Image.fromarray(CORNERS).quantize(8)
    for data in (picture("png", alpha), picture("png", colors), picture("png", colors, transparency=0)):
        np.testing.assert_array_equal(shown(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    np.testing.assert_array_equal(shown(picture("png", alpha)), CORNERS)
    gray = np.arange(48 * 80, dtype=np.uint16).reshape(48, 80) * 17
    (tmp_path / "%03d.png").write_bytes(picture("png", gray))
    found = shown(tmp_path / "%03d.png")
    assert np.abs(found - gray[..., None] / 257).max() < 2  # FFmpeg dithers


def test_ffmpeg_finds_the_matrix_that_the_tests_write(stored):
    with av.open(io.BytesIO(with_matrix(stored, 0, 1, -1, 0))) as file:
        assert next(file.decode(video=0)).rotation == -90
