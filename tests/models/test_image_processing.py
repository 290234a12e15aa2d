import numpy as np
import pytest
from PIL import Image

from av_emotion_hf import AVEmotionImageProcessor


@pytest.fixture
def crops():
    return np.random.default_rng(0).integers(0, 255, (4, 20, 20, 3), dtype=np.uint8)


@pytest.fixture
def image_processor():
    return AVEmotionImageProcessor(size={"height": 16, "width": 16})


def test_clips_of_different_length_are_padded(image_processor, crops):
    for clips in ([crops, crops[:2], crops[:0]], [list(crops), list(crops[:2]), []]):
        batch = image_processor(clips, return_tensors="np")
        assert batch["pixel_values"].shape == (3, 4, 3, 16, 16)
        assert batch["pixel_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]]
        assert not batch["pixel_values"][1, 2:].any() and not batch["pixel_values"][2].any()


def test_a_clip_is_prepared_the_same_alone_and_in_a_batch(image_processor, crops):
    alone = image_processor(crops[:2], return_tensors="np")["pixel_values"]
    batch = image_processor([crops, crops[:2]], return_tensors="np")["pixel_values"]
    np.testing.assert_array_equal(alone[0], batch[1, :2])


def test_an_image_is_a_clip_of_one_frame(image_processor, crops):
    expected = image_processor([crops[:1]], return_tensors="np")["pixel_values"]
    for image in (crops[0], Image.fromarray(crops[0])):
        np.testing.assert_array_equal(image_processor(image, return_tensors="np")["pixel_values"], expected)


def test_exposure_and_contrast_are_removed(crops):
    image_processor = AVEmotionImageProcessor(do_resize=False)
    plain = image_processor(crops // 2, return_tensors="np")["pixel_values"]
    assert abs(plain.mean()) < 1e-5 and abs(plain.std() - 1) < 1e-3
    brighter = image_processor(crops // 2 + 60, return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(plain, brighter, atol=1e-4)


def test_gray_is_the_luma_three_times(image_processor, crops):
    processor = AVEmotionImageProcessor(do_resize=False, do_standardize=False)
    pixels = processor([crops[:1]], return_tensors="np")["pixel_values"][0, 0]
    luma = (crops[0] @ np.array([0.299, 0.587, 0.114])) / 255
    for channel in pixels:
        np.testing.assert_allclose(channel, luma, atol=1e-5)


def test_a_black_crop_is_finite(image_processor):
    assert not image_processor(np.zeros((1, 20, 20, 3), np.uint8), return_tensors="np")["pixel_values"].any()


def test_color_with_mean_and_deviation(crops):
    processor = AVEmotionImageProcessor(do_resize=False, do_standardize=False, do_grayscale=False, do_normalize=True)
    pixels = processor([crops[:1]], return_tensors="np")["pixel_values"][0, 0]
    np.testing.assert_allclose(pixels, (crops[0].transpose(2, 0, 1) / 255 - 0.5) / 0.25, atol=1e-5)
