import cv2
import numpy as np
import pytest

from av_emotion_hf.media.face_quality import (
    MEASURES,
    SIDE,
    brightness,
    measure_faces,
    sharpness,
    small_luma,
    symmetry,
)


def turned(image, degrees):
    """An image that is tilted about its middle."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def seen_from_the_side(image):
    """A face whose left half is wide and whose right half is narrow, as if the head were turned."""
    height, width = image.shape[:2]
    wide = round(0.7 * width)
    halves = (image[:, : width // 2], wide), (image[:, width // 2 :], width - wide)
    return np.hstack([cv2.resize(half, (side, height)) for half, side in halves])


def test_the_luma_of_a_crop_has_one_size():
    color = np.zeros((112, 112, 3), np.uint8)
    color[..., 1] = 200
    luma = small_luma(color)
    assert luma.shape == (SIDE, SIDE) and luma.dtype == np.float32
    np.testing.assert_allclose(luma, 0.587 * 200, atol=0.5)  # of green
    assert small_luma(color[:20, :30]).shape == (SIDE, SIDE)


def test_brightness_is_the_mean(face):
    assert brightness(np.full((SIDE, SIDE), 77, np.float32)) == 77
    half = measure_faces([face // 2])["brightness"][0]
    assert half == pytest.approx(measure_faces([face])["brightness"][0] / 2, abs=0.6)


def test_sharpness_of_hand_made_pictures():
    checkers = np.indices((SIDE, SIDE)).sum(0) % 2 * 100.0
    # each pixel differs from its four neighbors by 100: the Laplacian is +-400, its variance 64 times that of the luma
    assert sharpness(checkers.astype(np.float32)) == pytest.approx(64)
    assert sharpness(np.full((SIDE, SIDE), 50, np.float32)) == 0


def test_sharpness_falls_with_blur_and_size_and_not_with_light(face):
    sharp = measure_faces([face])["sharpness"][0]
    blurred = [measure_faces([cv2.GaussianBlur(face, (0, 0), each)])["sharpness"][0] for each in (2, 4, 8)]
    small = [measure_faces([cv2.resize(face, (side, side))])["sharpness"][0] for side in (32, 24, 16)]
    for scores in (blurred, small):
        assert sharp > scores[0] > scores[1] > scores[2] > 0
    assert blurred[1] < 0.2 * sharp and small[2] < 0.3 * sharp
    darker = (0.5 * face.astype(np.float32) + 10).round().astype(np.uint8)
    assert measure_faces([darker])["sharpness"][0] == pytest.approx(sharp, rel=0.05)


def test_symmetry_of_hand_made_pictures():
    generator = np.random.default_rng(0)
    half = generator.normal(100, 20, (SIDE, SIDE // 2)).astype(np.float32)
    whole = np.hstack([half, half[:, ::-1]])
    assert symmetry(whole) == pytest.approx(1, abs=1e-6)
    assert symmetry(np.roll(whole, 2, axis=1)) > 0.9  # the axis need not be in the middle
    assert symmetry(np.full((SIDE, SIDE), 50, np.float32)) == 0
    assert abs(symmetry(generator.normal(100, 20, (SIDE, SIDE)).astype(np.float32))) < 0.2
    light = np.linspace(0, 100, SIDE, dtype=np.float32)
    assert symmetry(whole + light) > 0.9  # which comes from one side


def test_symmetry_falls_with_turn_and_tilt(face):
    upright = np.hstack([face[:, :80], face[:, 79::-1]])
    frontal, *tilted = (measure_faces([turned(upright, degrees)])["symmetry"][0] for degrees in (0, 3, 30))
    assert frontal > 0.99 and 0.9 > tilted[0] > tilted[1] + 0.1, tilted
    assert measure_faces([seen_from_the_side(upright)])["symmetry"][0] < 0.75


def test_the_height_is_that_of_the_box(face):
    found = measure_faces([face, face], np.array([[10, 20, 40, 70.5], [0, 0, 8, 9]]))
    assert tuple(found) == MEASURES and found["height"].tolist() == [50.5, 9]
    assert all(values.shape == (2,) and np.isfinite(values).all() for values in found.values())
    assert "height" not in measure_faces([face])
    nothing = measure_faces(np.zeros((0, 112, 112, 3), np.uint8), np.zeros((0, 4)))
    assert tuple(nothing) == MEASURES and all(len(values) == 0 for values in nothing.values())
