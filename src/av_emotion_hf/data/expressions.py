"""Batches of labeled face images, augmented for training."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature

from ..errors import InputError
from ..models.pictures_av_emotion import to_picture
from .draws import draw_mixture
from .picture_augmentation import augment_pictures


class FaceCollator:
    """Rows with a face image to `pixel_values (B, 3, H, W)` and `labels`.

    Args:
        image_processor: prepares an image in the same way as a face crop for the image model's backbone.
        image_column: column of the image; its class index, or class distribution `(K,)`, is stored in `labels`.
        augment: probabilities of augmentations, see [`augment_pictures`]; nothing is changed without them. Images are
            changed as they have the size for the network, before it is taken from them what they have of color,
            exposure and contrast.
        num_labels: number of classes; needed for `mixup`.
        mixup: alpha of the Beta distribution from which the fraction of a second image is drawn
            (Zhang et al. 2018, mixup); 0 for none.
    """

    def __init__(
        self,
        image_processor: Callable[..., BatchFeature],
        image_column: str,
        augment: Mapping[str, float] | None = None,
        num_labels: int = 0,
        mixup: float = 0.0,
    ):
        self.image_processor, self.image_column, self.augment = image_processor, image_column, augment
        self.num_labels, self.mixup = num_labels, mixup

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """Decode, prepare and, in training, augment one batch; `labels` are `(B,)`, or `(B, K)` after mixup."""
        images: Any = [[read_image(row[self.image_column])] for row in rows]
        if self.augment:
            images = self._prepare(images, do_grayscale=False, do_normalize=False, do_standardize=False)
            pixels = augment_pictures(images[:, 0], self.augment)
            images = self._prepare(pixels[:, None].numpy(), do_resize=False, do_rescale=False)
        else:
            images = self._prepare(images)
        pixels, labels = images[:, 0], torch.tensor([row["labels"] for row in rows])
        if self.mixup > 0:
            pixels, labels = mix_faces(pixels, distributions(labels, self.num_labels), self.mixup)
        return {"pixel_values": pixels, "labels": labels}

    def _prepare(self, clips: Any, **steps: bool) -> torch.Tensor:
        """Clips of one image as `(B, 1, 3, H, W)`."""
        return self.image_processor(clips, return_tensors="pt", **steps).pixel_values


def read_image(cell: dict) -> np.ndarray:
    """The pixels `(H, W, 3)` uint8 of an undecoded `Image` cell, gray or in color, turned as its EXIF says.

    Raises:
        InputError: it is not an image.
    """
    try:
        return to_picture(cell, "an image without a name")
    except ValueError as error:
        raise InputError(f"{error}; or remove its row from the dataset") from error


def mix_faces(pixels: torch.Tensor, labels: torch.Tensor, alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend each image `(B, 3, H, W)` with another one of the batch, and its label `(B, K)` with that one's.

    The fraction of the other image is at most a half, see [`draw_mixture`].
    """
    fraction, other = draw_mixture(len(pixels), alpha)
    mixed = torch.lerp(pixels, pixels[other], fraction[:, None, None, None])
    return mixed, torch.lerp(labels, labels[other], fraction[:, None])


def distributions(labels: torch.Tensor, num_labels: int) -> torch.Tensor:
    """Class distributions `(N, K)` of labels that are distributions or classes `(N,)`."""
    return labels.float() if labels.ndim > 1 else torch.nn.functional.one_hot(labels, num_labels).float()


def class_weights(labels: torch.Tensor) -> torch.Tensor:
    """Weight `(K,)` of each class, inversely proportional to its part of the rows; 1 on average over the rows.

    A class that no row has weighs 0.

    Args:
        labels: class distributions `(N, K)`.
    """
    counts = labels.sum(dim=0)
    present = (counts > 0).sum()
    return torch.where(counts > 0, len(labels) / (present * counts.clamp(min=torch.finfo(counts.dtype).tiny)), 0.0)


__all__ = ["FaceCollator", "class_weights", "distributions", "mix_faces", "read_image"]
