"""Training of the expression recogniser (CN112633263A, module 4a): face images and expression labels to a backbone."""

import torch
from transformers import AutoModelForImageClassification, PreTrainedModel, ResNetConfig, TimmWrapperConfig, set_seed

from ..data.dataset import AnyDataset, column_values, encode_labels, label_names, require_columns
from ..data.expressions import FaceCollator, class_weights
from ..errors import InputError
from ..hub.cards import write_card
from ..models.configuration_av_emotion import AVEmotionImageConfig
from ..models.image_processing_av_emotion import AVEmotionImageProcessor
from .arguments import RunOptions
from .metrics import compute_metrics
from .record import RunRecord, names
from .trainer import EmotionTrainer

ARCHITECTURES = ("resnet", "densenet121", "densenet169")
BALANCES = ("none", "weights", "sampling")


def expression_config(
    architecture: str, labels: list[str], settings: dict | None = None
) -> ResNetConfig | TimmWrapperConfig:
    """Configuration of the recogniser: a small ResNet of transformers, or a DenseNet of timm (extra `densenet`).

    `settings` are fields of [`ResNetConfig`] to change, such as `hidden_sizes`; for a DenseNet, of `model_args`.
    """
    if architecture == "resnet":
        fields = AVEmotionImageConfig().backbone_config.to_dict()
        unknown = sorted(set(settings or {}) - set(fields))
        if unknown:
            raise InputError(f"a ResNet has no setting {unknown[0]!r}; among those it has are hidden_sizes and depths")
        for name in ("out_features", "out_indices", "stage_names"):
            fields.pop(name, None)  # they follow from the number of stages
        return ResNetConfig.from_dict(fields | (settings or {}) | _label_maps(labels))
    if architecture in ARCHITECTURES:
        return TimmWrapperConfig(
            architecture=architecture, model_args={"in_chans": 3} | (settings or {}), **_label_maps(labels)
        )
    raise InputError(f"architecture {architecture!r} is not one of {', '.join(ARCHITECTURES)}")


def expression_model(architecture: str, labels: list[str], settings: dict | None = None) -> PreTrainedModel:
    """A recogniser with random weights, see [`expression_config`].

    Raises:
        InputError: a setting does not fit the network, or timm is not installed.
    """
    config = expression_config(architecture, labels, settings)
    try:
        model = AutoModelForImageClassification.from_config(config)
    except ImportError as error:
        raise InputError(f"{architecture}: needs timm; run pip install 'av-emotion-hf[densenet]'") from error
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"a {architecture} cannot be made with the settings {settings} ({error}); change them"
        ) from error
    return model.to(memory_format=torch.channels_last)


def pretrained_expression_model(checkpoint: str, labels: list[str]) -> PreTrainedModel:
    """An image classifier that was trained before; with another number of classes, its last layer starts anew.

    Raises:
        InputError: the checkpoint is not there or not an image classifier.
    """
    try:
        model = AutoModelForImageClassification.from_pretrained(
            checkpoint, **_label_maps(labels), ignore_mismatched_sizes=True
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"{checkpoint}: is no image classifier to start from ({str(error).splitlines()[0]}); give a folder that "
            "train-expression wrote, or an image classifier of the Hub"
        ) from error
    return model.to(memory_format=torch.channels_last)


def _label_maps(labels: list[str]) -> dict[str, dict]:
    return {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}


class ExpressionLoss:
    """Cross-entropy for hard labels `(B,)` and for mixed ones `(B, K)`.

    Args:
        label_smoothing: share of the target spread over all classes.
        weight: `(K,)` weight of each class, or `None`.
    """

    def __init__(self, label_smoothing: float = 0.0, weight: torch.Tensor | None = None):
        self.label_smoothing, self.weight = label_smoothing, weight

    def __call__(self, outputs, labels: torch.Tensor, num_items_in_batch=None) -> torch.Tensor:
        """Mean over the batch, as the Trainer asks for it."""
        logits = outputs["logits"].float()
        weight = None if self.weight is None else self.weight.to(logits.device)
        labels = labels if labels.ndim == 1 else labels.to(logits.dtype)
        return torch.nn.functional.cross_entropy(logits, labels, weight, label_smoothing=self.label_smoothing)


def train_expression(
    train: AnyDataset,
    validation: AnyDataset | None,
    options: RunOptions,
    image_column: str = "image",
    label_column: str = "emotion",
    architecture: str = "resnet",
    image_size: int = 96,
    settings: dict | None = None,
    mixup: float = 0.0,
    balance: str = "none",
    init: str | None = None,
    about: dict | None = None,
) -> dict:
    """Train the recogniser and save it, with its image processor and a model card, to `options.out`.

    Args:
        train: labelled face pictures of any size, grey or in colour.
        validation: others, which choose the kept epoch by accuracy.
        options: of the run.
        image_column: column of the picture.
        label_column: column of the class.
        architecture: one of `ARCHITECTURES`.
        image_size: side of the network's input in pixels.
        settings: see [`expression_config`].
        mixup: see [`FaceCollator`].
        balance: what makes rare classes count as much as others: `weights` in the loss, `sampling` (rows of rare
            classes are drawn more often), or `none`.
        init: an image classifier to start from, instead of random weights; excludes `settings`.
        about: facts for the record.

    Returns:
        The record of the run, as written to `run.json`: settings, seconds, scores on `validation`.

    Raises:
        InputError: a column is missing, a label occurs that `train` lacks, a setting is unknown, or the folder is
            taken.
    """
    require_columns(train, image_column, label_column)
    options.require_length(train)
    if balance not in BALANCES:
        raise InputError(f"balance {balance!r} is not one of {', '.join(BALANCES)}")
    if not 0 <= mixup < float("inf"):
        raise InputError(f"mixup={mixup}: cannot be negative; use 0 for none, or 0.2")
    if init is not None and settings:
        raise InputError(f"--config {settings}: the network of --init {init} is what it is; leave one of the two out")
    checkpoint = options.last_checkpoint()
    labels = label_names(train, label_column)
    if len(labels) < 2:
        raise InputError(f"column {label_column!r} holds {len(labels)} class(es); a recogniser needs at least two")
    parts = [encode_labels(part, label_column, labels) if part is not None else None for part in (train, validation)]

    classes = [column_values(part, "labels") if part is not None else None for part in parts]
    weight = class_weights(classes[0], len(labels)) if balance != "none" else None
    set_seed(options.seed)
    model = pretrained_expression_model(init, labels) if init else expression_model(architecture, labels, settings)
    processor = AVEmotionImageProcessor(size={"height": image_size, "width": image_size})
    record = RunRecord(
        "train-expression",
        options,
        labels=labels,
        architecture=model.config.model_type if init else architecture,
        init=names([init]) if init else [],
        image_size=image_size,
        config=settings or {},
        mixup=mixup,
        balance=balance,
        pictures={
            name: {label: values.count(i) for i, label in enumerate(labels)}
            for name, values in zip(("train", "validation"), classes, strict=True)
            if values is not None
        },
        **(about or {}),
    )
    trainer = EmotionTrainer(
        model=model,
        args=options.training_arguments(has_evaluation=validation is not None, best_metric="war"),
        data_collator=FaceCollator(processor, image_column),
        train_collator=FaceCollator(processor, image_column, augment=True, num_labels=len(labels), mixup=mixup),
        train_dataset=parts[0],
        eval_dataset=parts[1],
        compute_metrics=compute_metrics,
        compute_loss_func=ExpressionLoss(options.label_smoothing, weight if balance == "weights" else None),
        row_weights=weight[torch.tensor(classes[0])] if balance == "sampling" else None,
        processing_class=processor,
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    scores = trainer.evaluate(metric_key_prefix="validation") if validation is not None else {}
    facts = record.finish(trainer, scores)
    if trainer.is_world_process_zero():
        write_card(options.out)
    return facts


__all__ = [
    "ARCHITECTURES",
    "BALANCES",
    "ExpressionLoss",
    "expression_config",
    "expression_model",
    "pretrained_expression_model",
    "train_expression",
]
