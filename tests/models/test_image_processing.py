import numpy as np
import pytest
import torch
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


def test_scale_and_layout_do_not_change_the_result(image_processor, crops):
    crops[0] = 0
    expected = image_processor(crops, return_tensors="np")["pixel_values"]
    tensor = torch.from_numpy(crops)
    alpha = np.concatenate([crops, crops[..., :1]], axis=-1)
    forms = [crops / 255, (crops / 255).astype(np.float16), crops.astype(np.float32), crops.astype(np.uint16) * 257]
    forms += [tensor, tensor.permute(0, 3, 1, 2), tensor.permute(0, 3, 1, 2) / 255, alpha, crops[None], crops.tolist()]
    forms += [[Image.fromarray(crop) for crop in crops], [list(tensor.permute(0, 3, 1, 2))]]
    for given in forms:
        np.testing.assert_array_equal(image_processor(given, return_tensors="np")["pixel_values"], expected)
    first = image_processor(crops.transpose(0, 3, 1, 2), input_data_format="channels_first", return_tensors="np")
    np.testing.assert_array_equal(first["pixel_values"], expected)
    small = crops[:, :4, :4]  # of the size of channels
    one = AVEmotionImageProcessor(do_resize=False, do_grayscale=False, do_standardize=False)
    found = one(small, return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(found, small.transpose(0, 3, 1, 2) / 255, atol=1e-6)


def test_a_gray_clip_is_one_of_three_equal_channels(image_processor, crops):
    gray = crops[..., 1]
    expected = image_processor(gray[..., None].repeat(3, axis=-1), return_tensors="np")["pixel_values"]
    for given in (gray[..., None], gray[:, None], list(gray), [Image.fromarray(each) for each in gray]):
        np.testing.assert_array_equal(image_processor(given, return_tensors="np")["pixel_values"], expected)


@pytest.mark.parametrize("size", [16, 20])
def test_what_is_rescaled_already_is_left_alone(crops, size):
    plain = {"size": {"height": size, "width": size}, "do_standardize": False, "do_grayscale": False}
    expected = AVEmotionImageProcessor(**plain)(crops, return_tensors="np")["pixel_values"]
    processor = AVEmotionImageProcessor(do_rescale=False, **plain)
    found = processor((crops / 255).astype(np.float32), return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(processor(crops, return_tensors="np")["pixel_values"], expected * 255, atol=1e-4)
    same = AVEmotionImageProcessor(**plain)(crops / 255, do_rescale=False, return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(same, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8, 3)) - 1, "images of shape .*negative pixels look normalized; leave that to the image"),
        ([np.zeros((8, 8, 3), bool)], "type bool"),
        (np.zeros((4, 8, 8)), "may be one image with alpha or 4 gray ones"),
        ([["a.png"]], r"a\.png: cannot be read as an image"),
        ("nothing", "nothing: cannot be read as an image"),
    ],
)
def test_images_that_cannot_be_used_are_named(image_processor, images, message):
    with pytest.raises(ValueError, match=message):
        image_processor(images)
