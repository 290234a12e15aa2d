"""Batches of labeled face images, augmented for training."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import BatchFeature

from ..errors import InputError
from ..models.pictures_av_emotion import to_picture
from .draws import draw_mixture


class FaceCollator:
    """Rows with a face image to `pixel_values (B, 3, H, W)` and `labels`.

    Args:
        image_processor: prepares an image in the same way as a face crop for the image model's backbone.
        image_column: column of the image; its class index is stored in `labels`.
        augment: change each image at random (mirror, shift, rotate, scale, hide a patch).
        num_labels: number of classes; needed for `mixup`.
        mixup: alpha of the Beta distribution from which the fraction of a second image is drawn
            (Zhang et al. 2018, mixup); 0 for none.
    """

    def __init__(
        self,
        image_processor: Callable[..., BatchFeature],
        image_column: str,
        augment: bool = False,
        num_labels: int = 0,
        mixup: float = 0.0,
    ):
        self.image_processor, self.image_column, self.augment = image_processor, image_column, augment
        self.num_labels, self.mixup = num_labels, mixup

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """Decode, prepare and, in training, augment one batch; `labels` are `(B,)`, or `(B, K)` after mixup."""
        images = [read_image(row[self.image_column]) for row in rows]
        pixels = self.image_processor([[image] for image in images], return_tensors="pt").pixel_values[:, 0]
        labels = torch.tensor([row["labels"] for row in rows])
        if self.augment:
            pixels = augment_faces(pixels)
        if self.mixup > 0:
            pixels, labels = mix_faces(pixels, torch.nn.functional.one_hot(labels, self.num_labels), self.mixup)
        return {"pixel_values": pixels, "labels": labels}


def read_image(cell: dict) -> np.ndarray:
    """The pixels `(H, W, 3)` uint8 of an undecoded `Image` cell, gray or in color, turned as its EXIF says.

    Raises:
        InputError: it is not an image.
    """
    try:
        return to_picture(cell, "an image without a name")
    except ValueError as error:
        raise InputError(f"{error}; or remove its row from the dataset") from error


def augment_faces(pixels: torch.Tensor) -> torch.Tensor:
    """Mirror, shift (12 %), rotate (12 degrees), scale (15 %) and hide a patch of each image `(B, 3, H, W)`."""
    size = len(pixels)
    draw = torch.rand(6, size) * 2 - 1
    angle, scale = draw[0] * (12 / 180 * torch.pi), 1 + 0.15 * draw[1]
    mirror = torch.where(draw[2] > 0, 1.0, -1.0)
    rows = [
        torch.stack([scale * angle.cos() * mirror, -scale * angle.sin(), 0.12 * draw[3]], dim=1),
        torch.stack([scale * angle.sin() * mirror, scale * angle.cos(), 0.12 * draw[4]], dim=1),
    ]
    grid = torch.nn.functional.affine_grid(torch.stack(rows, dim=1), list(pixels.shape), align_corners=False)
    pixels = torch.nn.functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    height, width = pixels.shape[-2:]
    for image, chance in zip(pixels, draw[5], strict=True):
        if chance > 0:  # half of the images lose a patch of at most a third of each side
            patch_height, patch_width = (int(torch.randint(side // 8, side // 3, ())) for side in (height, width))
            top, left = (
                int(torch.randint(0, side - patch + 1, ()))
                for side, patch in ((height, patch_height), (width, patch_width))
            )
            image[:, top : top + patch_height, left : left + patch_width] = 0
    return pixels


def mix_faces(pixels: torch.Tensor, labels: torch.Tensor, alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend each image `(B, 3, H, W)` with another one of the batch, and its label `(B, K)` with that one's.

    The fraction of the other image is at most a half, see [`draw_mixture`].
    """
    fraction, other = draw_mixture(len(pixels), alpha)
    mixed = torch.lerp(pixels, pixels[other], fraction[:, None, None, None])
    return mixed, torch.lerp(labels.float(), labels[other].float(), fraction[:, None])


def class_weights(labels: Sequence[int], num_labels: int) -> torch.Tensor:
    """Weight `(K,)` of each class, inversely proportional to its number of rows; 1 on average over the rows.

    A class without a row weighs 0.
    """
    counts = torch.bincount(torch.as_tensor(labels), minlength=num_labels).float()
    present = (counts > 0).sum()
    return torch.where(counts > 0, len(labels) / (present * counts.clamp(min=1)), 0.0)


__all__ = ["FaceCollator", "augment_faces", "class_weights", "mix_faces", "read_image"]
