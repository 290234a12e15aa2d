"""Image processor: clips of face crops to padded `pixel_values` and `pixel_mask`."""

from typing import Any

import numpy as np
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import ChannelDimension, PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs, Unpack
from transformers.utils import TensorType

from .pictures_av_emotion import to_clips

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class AVEmotionImagesKwargs(ImagesKwargs, total=False):
    r"""Options beyond those of every image processor.

    do_grayscale (`bool`, *optional*, defaults to `True`):
        Use the luma of a crop for all three channels, so that gray and color datasets look alike.
    do_standardize (`bool`, *optional*, defaults to `True`):
        Give each crop zero mean and unit deviation, which removes exposure and contrast.
    """

    do_grayscale: bool
    do_standardize: bool


class AVEmotionImageProcessor(PilBackend):
    r"""Resizes and standardizes face crops and pads clips of different lengths to one batch.

    It takes what transformers takes as images, and clips: a list of images, or an array `(Tv, H, W, 3)`. Arrays and
    tensors may also have channels first, alpha, or no channels, and be of any type whose scale is known: uint8,
    uint16, floats from 0 to 1 or from 0 to 255. An image may also be the content of an encoded one, or a dict with
    `bytes` or `path`. A clip without a face is an empty list or array. With `do_rescale=False`, floats from 0 to 1
    count as rescaled already.
    """

    valid_kwargs = AVEmotionImagesKwargs
    model_input_names = ["pixel_values", "pixel_mask"]  # noqa: RUF012

    resample = PILImageResampling.BILINEAR
    size = {"height": 96, "width": 96}  # noqa: RUF012
    image_mean = [0.5, 0.5, 0.5]  # noqa: RUF012
    image_std = [0.25, 0.25, 0.25]  # noqa: RUF012
    do_resize = True
    do_rescale = True
    do_normalize = False
    do_convert_rgb = True
    do_grayscale = True
    do_standardize = True

    def __init__(self, **kwargs: Unpack[AVEmotionImagesKwargs]):
        super().__init__(**kwargs)  # type: ignore[misc]  # which declares the options of transformers only

    def _prepare_image_like_inputs(
        self,
        images: Any,
        *args: object,
        do_rescale: bool | None = None,
        input_data_format: str | ChannelDimension | None = None,
        **kwargs: object,
    ) -> list[list[np.ndarray]]:
        """The clips as lists of arrays `(3, H, W)`: uint8, or float32 where these count as rescaled."""
        channels_first = None if input_data_format is None else ChannelDimension(input_data_format) == "channels_first"
        clips = to_clips(images, channels_first=channels_first, keep_unit=do_rescale is False)
        return [[np.moveaxis(crop, -1, 0) for crop in clip] for clip in clips]

    def _preprocess(  # type: ignore[override]  # clips of crops, where transformers has single images
        self,
        images: list[list[np.ndarray]],
        do_resize: bool,
        size: SizeDict,
        resample: "PILImageResampling | None",
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: float | list[float],
        image_std: float | list[float],
        do_grayscale: bool,
        do_standardize: bool,
        return_tensors: str | TensorType | None,
        **kwargs: object,
    ) -> BatchFeature:
        clips = []
        for crops in images:
            clip = []
            for crop in crops:
                if do_resize:
                    crop = self.resize(crop, size, resample)
                if do_grayscale:
                    crop = np.tensordot(LUMA, crop.astype(np.float32), axes=1)[None].repeat(3, axis=0)
                if do_rescale:
                    crop = self.rescale(crop, rescale_factor)
                if do_normalize:
                    crop = self.normalize(crop, image_mean, image_std)
                if do_standardize:
                    # a crop of a single color has no deviation; 1 / sqrt(size) keeps it finite
                    crop = (crop - crop.mean()) / max(crop.std(), crop.size**-0.5)
                clip.append(crop.astype(np.float32))
            clips.append(clip)
        shape = next((crop.shape for clip in clips for crop in clip), (3, size.height, size.width))
        length = max(1, *(len(clip) for clip in clips)) if clips else 1
        pixel_values = np.zeros((len(clips), length, *shape), dtype=np.float32)
        pixel_mask = np.zeros((len(clips), length), dtype=np.int64)
        for row, clip in enumerate(clips):
            if clip:
                pixel_values[row, : len(clip)] = clip
                pixel_mask[row, : len(clip)] = 1
        return BatchFeature({"pixel_values": pixel_values, "pixel_mask": pixel_mask}, tensor_type=return_tensors)


__all__ = ["AVEmotionImageProcessor"]
