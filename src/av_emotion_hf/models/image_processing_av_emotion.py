"""Image processor: clips of face crops to padded `pixel_values` and `pixel_mask`."""

from typing import Any

import numpy as np
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import PILImageResampling, SizeDict, make_nested_list_of_images
from transformers.processing_utils import ImagesKwargs, Unpack
from transformers.utils import TensorType

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

    A clip is a list of crops or an array `(Tv, H, W, 3)`; a clip without a face is an empty list or array.
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

    def _prepare_images_structure(self, images: Any, expected_ndims: int = 3) -> list:
        # images as for transformers, or clips
        if isinstance(images, list | tuple) and any(np.ndim(clip) in (1, 4) for clip in images):
            # one of the clips is an array or empty
            return [list(clip) for clip in images]
        return make_nested_list_of_images(images, expected_ndims=expected_ndims)

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
