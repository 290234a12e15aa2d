"""Training of the expression recognizer (CN112633263A, module 4a): face images and expression labels to a backbone."""

from typing import Any

import torch
from transformers import AutoModelForImageClassification, PreTrainedModel, ResNetConfig, TimmWrapperConfig, set_seed

from ..data.dataset import AnyDataset, column_values, require_columns
from ..data.expressions import FaceCollator, class_weights
from ..data.labels import class_counts, encode_labels, label_names
from ..errors import InputError
from ..models.configuration_av_emotion import AVEmotionImageConfig
from ..models.image_processing_av_emotion import AVEmotionImageProcessor
from ..utils import label_maps, reason
from .arguments import EmotionTrainingArguments
from .metrics import compute_metrics
from .record import RunRecord, checkpoint_names, report_missing_classes
from .trainer import EmotionTrainer

ARCHITECTURES = ("resnet", "densenet121", "densenet169")
BALANCES = ("none", "weights", "sampling")


def expression_config(
    architecture: str, labels: list[str], config_overrides: dict[str, Any] | None = None
) -> ResNetConfig | TimmWrapperConfig:
    """Configuration of the recognizer: a small ResNet of transformers, or a DenseNet of timm (extra `densenet`).

    Args:
        architecture: one of `ARCHITECTURES`.
        labels: class names.
        config_overrides: fields of [`ResNetConfig`] to change, such as `hidden_sizes`; for a DenseNet, of
            `model_args`.

    Raises:
        InputError: the architecture or a field is unknown.
    """
    overrides = config_overrides or {}
    if architecture == "resnet":
        backbone = AVEmotionImageConfig().backbone_config
        fields = backbone.to_dict() if isinstance(backbone, ResNetConfig) else {}
        unknown = sorted(set(overrides) - set(fields))
        if unknown:
            raise InputError(f"a ResNet has no field {unknown[0]!r}; among those it has are hidden_sizes and depths")
        for name in ("out_features", "out_indices", "stage_names"):
            fields.pop(name, None)  # they follow from the number of stages
        return ResNetConfig.from_dict(fields | overrides | label_maps(labels))
    if architecture in ARCHITECTURES:
        return TimmWrapperConfig(
            architecture=architecture, model_args={"in_chans": 3} | overrides, **label_maps(labels)
        )
    raise InputError(f"architecture {architecture!r} is not one of {', '.join(ARCHITECTURES)}")


def expression_model(
    architecture: str, labels: list[str], config_overrides: dict[str, Any] | None = None
) -> PreTrainedModel:
    """A recognizer with random weights, see [`expression_config`].

    Raises:
        InputError: a field does not fit the network, or timm is not installed.
    """
    config = expression_config(architecture, labels, config_overrides)
    try:
        model = AutoModelForImageClassification.from_config(config)
    except ImportError as error:
        raise InputError(f"{architecture}: needs timm; run pip install 'av-emotion-hf[densenet]'") from error
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"a {architecture} cannot be built with the fields {config_overrides} ({error}); change them"
        ) from error
    return model.to(memory_format=torch.channels_last)


def pretrained_expression_model(checkpoint: str, labels: list[str]) -> PreTrainedModel:
    """A trained image classifier; with another number of classes, its last layer starts from scratch.

    Raises:
        InputError: the checkpoint does not exist or is not an image classifier.
    """
    try:
        model = AutoModelForImageClassification.from_pretrained(
            checkpoint, **label_maps(labels), ignore_mismatched_sizes=True
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"{checkpoint}: is not an image classifier to start from ({reason(error)}); give a folder that "
            "train-expression wrote, or an image classifier on the Hub"
        ) from error
    return model.to(memory_format=torch.channels_last)


class ExpressionLoss:
    """Cross-entropy for hard labels `(B,)` and for mixed ones `(B, K)`.

    Args:
        label_smoothing: fraction of the target that is spread over all classes.
        weight: `(K,)` weight of each class, or `None`.
    """

    def __init__(self, label_smoothing: float = 0.0, weight: torch.Tensor | None = None):
        self.label_smoothing, self.weight = label_smoothing, weight

    def __call__(self, outputs: Any, labels: torch.Tensor, num_items_in_batch: int | None = None) -> torch.Tensor:
        """Mean over the batch, with the signature that [`Trainer`] expects."""
        logits = outputs["logits"].float()
        weight = None if self.weight is None else self.weight.to(logits.device)
        labels = labels if labels.ndim == 1 else labels.to(logits.dtype)
        return torch.nn.functional.cross_entropy(logits, labels, weight, label_smoothing=self.label_smoothing)


def train_expression(
    train: AnyDataset,
    validation: AnyDataset | None = None,
    *,
    args: EmotionTrainingArguments,
    image_column: str = "image",
    label_column: str = "emotion",
    architecture: str = "resnet",
    image_size: int = 96,
    config_overrides: dict[str, Any] | None = None,
    mixup: float = 0.0,
    balance: str = "none",
    init: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train the recognizer and save it, with its image processor and a model card, to `args.output_dir`.

    Args:
        train: labeled face images of any size, gray or in color.
        validation: others, which choose the kept epoch by accuracy.
        args: of the run.
        image_column: column of the image.
        label_column: column of the class.
        architecture: one of `ARCHITECTURES`.
        image_size: side of the network's input in pixels.
        config_overrides: see [`expression_config`].
        mixup: see [`FaceCollator`].
        balance: what makes rare classes count as much as others: `weights` in the loss, `sampling` (rows of rare
            classes are drawn more often), or `none`.
        init: an image classifier to start from, instead of random weights; excludes `config_overrides`.
        metadata: facts for the record.

    Returns:
        The record of the run, as written to `run.json`: settings, seconds, scores on `validation`.

    Raises:
        InputError: a column is missing, a label occurs that `train` lacks, a value is out of range, or the folder is
            in use.
    """
    require_columns(train, image_column, label_column)
    args.require_length(train)
    if balance not in BALANCES:
        raise InputError(f"balance {balance!r} is not one of {', '.join(BALANCES)}")
    if not 0 <= mixup < float("inf"):
        raise InputError(f"mixup={mixup}: cannot be negative; use 0 for none, or 0.2")
    if init is not None and config_overrides:
        raise InputError(f"--config {config_overrides}: --init {init} decides the network; give one of the two")
    checkpoint = args.last_checkpoint()
    args.use_threads(parallel=True)
    labels = label_names(train, label_column)
    if len(labels) < 2:
        raise InputError(f"column {label_column!r} holds {len(labels)} class(es); a recognizer needs at least two")
    parts = {"train": encode_labels(train, label_column, labels)}
    if validation is not None:
        parts["validation"] = encode_labels(validation, label_column, labels)

    counts = {name: class_counts(part, labels) for name, part in parts.items()}
    report_missing_classes(counts)
    classes = column_values(parts["train"], "labels")
    weight = class_weights(classes, len(labels)) if balance != "none" else None
    set_seed(args.seed)
    if init is not None:
        model = pretrained_expression_model(init, labels)
    else:
        model = expression_model(architecture, labels, config_overrides)
    processor = AVEmotionImageProcessor(size={"height": image_size, "width": image_size})
    record = RunRecord(
        "train-expression",
        args,
        labels=labels,
        architecture=model.config.model_type if init else architecture,
        init=checkpoint_names([init]) if init else [],
        image_size=image_size,
        config=config_overrides or {},
        mixup=mixup,
        balance=balance,
        pictures=counts,
        **(metadata or {}),
    )
    has_evaluation = validation is not None
    trainer = EmotionTrainer(
        model=model,
        args=args.for_recipe(has_evaluation=has_evaluation, best_metric="war"),
        data_collator=FaceCollator(processor, image_column),
        train_collator=FaceCollator(processor, image_column, augment=True, num_labels=len(labels), mixup=mixup),
        train_dataset=parts["train"],
        eval_dataset=parts.get("validation"),
        compute_metrics=compute_metrics,
        compute_loss_func=ExpressionLoss(args.label_smoothing_factor, weight if balance == "weights" else None),
        row_weights=weight[torch.tensor(classes)] if weight is not None and balance == "sampling" else None,
        processing_class=processor,
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    scores = trainer.evaluate(metric_key_prefix="validation") if has_evaluation else {}
    facts = record.finish(trainer, scores)
    if trainer.is_world_process_zero():
        record.write_card()
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
