"""Training of the expression recogniser (CN112633263A, module 4a): face images and expression labels to a backbone."""

import io

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageClassification, ResNetConfig, TimmWrapperConfig, set_seed

from ..configuration_av_emotion import AVEmotionImageConfig
from ..data.corpus import Corpus, encode_labels, label_names, require_columns
from ..errors import InputError
from ..image_processing_av_emotion import AVEmotionImageProcessor
from .arguments import RunOptions
from .metrics import compute_metrics
from .record import RunRecord
from .trainer import EmotionTrainer

ARCHITECTURES = ("resnet", "densenet121", "densenet169")


def expression_config(architecture: str, labels: list[str]) -> ResNetConfig | TimmWrapperConfig:
    """Configuration of the recogniser: a small ResNet of transformers, or a DenseNet of timm (extra `densenet`)."""
    names = {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
    if architecture == "resnet":
        return ResNetConfig.from_dict(AVEmotionImageConfig().backbone_config.to_dict() | names)
    if architecture in ARCHITECTURES:
        return TimmWrapperConfig(architecture=architecture, model_args={"in_chans": 3}, **names)
    raise InputError(f"architecture {architecture!r} is not one of {', '.join(ARCHITECTURES)}")


class FaceCollator:
    """Rows with a face picture to `pixel_values (B, 3, H, W)` and `labels (B,)`.

    Args:
        image_processor: makes a picture into what the image model's backbone will see of a face crop.
        image_column: where the picture stands; its class index stands in `labels`.
        augment: change each picture at random (mirror, shift, turn, scale, hide a patch).
    """

    def __init__(self, image_processor, image_column: str, augment: bool = False):
        self.image_processor, self.image_column, self.augment = image_processor, image_column, augment

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """Decode, prepare and, in training, augment one batch."""
        images = [np.asarray(Image.open(io.BytesIO(row[self.image_column]["bytes"])).convert("RGB")) for row in rows]
        pixels = self.image_processor([[image] for image in images], return_tensors="pt").pixel_values[:, 0]
        if self.augment:
            pixels = augment_faces(pixels)
        return {"pixel_values": pixels, "labels": torch.tensor([row["labels"] for row in rows])}


def augment_faces(pixels: torch.Tensor) -> torch.Tensor:
    """Mirror, shift (12 %), turn (12 degrees), scale (15 %) and hide a patch of each picture `(B, 3, H, W)`."""
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
    for picture, chance in zip(pixels, draw[5], strict=True):
        if chance > 0:  # half of the pictures lose a patch of at most a third of each side
            patch_height, patch_width = (int(torch.randint(side // 8, side // 3, ())) for side in (height, width))
            top, left = (
                int(torch.randint(0, side - patch + 1, ()))
                for side, patch in ((height, patch_height), (width, patch_width))
            )
            picture[:, top : top + patch_height, left : left + patch_width] = 0
    return pixels


def train_expression(
    train: Corpus,
    validation: Corpus | None,
    options: RunOptions,
    image_column: str = "image",
    label_column: str = "emotion",
    architecture: str = "resnet",
    image_size: int = 96,
    about: dict | None = None,
) -> dict:
    """Train the recogniser and save it, with its image processor, to `options.out`.

    Returns:
        The record of the run, as written to `run.json`: settings, seconds, scores on `validation`.

    Raises:
        InputError: a column is missing, a label occurs that `train` lacks, or the folder is taken.
    """
    require_columns(train, image_column, label_column)
    options.require_length(train)
    checkpoint = options.last_checkpoint()
    labels = label_names(train, label_column)
    if len(labels) < 2:
        raise InputError(f"column {label_column!r} holds {len(labels)} class(es); a recogniser needs at least two")
    parts = [encode_labels(part, label_column, labels) if part is not None else None for part in (train, validation)]

    set_seed(options.seed)
    config = expression_config(architecture, labels)
    model = AutoModelForImageClassification.from_config(config).to(memory_format=torch.channels_last)
    processor = AVEmotionImageProcessor(size={"height": image_size, "width": image_size})
    record = RunRecord(
        "train-expression", options, labels=labels, architecture=architecture, image_size=image_size, **(about or {})
    )
    trainer = EmotionTrainer(
        model=model,
        args=options.training_arguments(has_evaluation=validation is not None, best_metric="war"),
        data_collator=FaceCollator(processor, image_column),
        train_collator=FaceCollator(processor, image_column, augment=True),
        train_dataset=parts[0],
        eval_dataset=parts[1],
        compute_metrics=compute_metrics,
        processing_class=processor,
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    scores = trainer.evaluate(metric_key_prefix="validation") if validation is not None else {}
    return record.finish(trainer, scores)


__all__ = ["ARCHITECTURES", "FaceCollator", "augment_faces", "expression_config", "train_expression"]
