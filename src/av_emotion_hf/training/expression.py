"""Training of the expression recognizer (CN112633263A, module 4a): face images and expression labels to a backbone."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    MobileNetV2Config,
    PreTrainedConfig,
    PreTrainedModel,
    TimmWrapperConfig,
    set_seed,
)

from ..checkpoints import MODALITY_OF
from ..data.dataset import AnyDataset, column_values, require_columns
from ..data.expressions import FaceCollator, class_weights, distributions
from ..data.labels import class_counts, encode_labels, label_names
from ..data.picture_augmentation import picture_probabilities
from ..data.votes import VoteOptions, encode_parts, require_target, vote_classes
from ..errors import InputError
from ..models.configuration_av_emotion import AVEmotionImageConfig
from ..models.image_processing_av_emotion import AVEmotionImageProcessor
from ..utils import label_maps, reason
from .arguments import EmotionTrainingArguments
from .metrics import compute_metrics
from .record import RunRecord, checkpoint_names, report_missing_classes
from .trainer import EmotionTrainer, ThawCallback

TIMM_ARCHITECTURES = (
    "densenet121",
    "densenet169",
    "efficientnet_lite0",
    "mobilenetv3_large_100",
    "mobilenetv3_small_100",
)
ARCHITECTURES = ("resnet", "mobilenet_v2", *TIMM_ARCHITECTURES)
BALANCES = ("none", "weights", "sampling")
BATCH_NORM_MOMENTUM = 0.1  # torch's default: how much a batch counts in the statistics


def expression_config(
    architecture: str, labels: list[str], config_overrides: dict[str, Any] | None = None
) -> PreTrainedConfig:
    """Configuration of the recognizer: a network of transformers, or of timm (extra `timm`).

    Args:
        architecture: one of `ARCHITECTURES`: a small ResNet, MobileNetV2 as torchvision has it, or a network that timm
            knows by this name.
        labels: class names.
        config_overrides: fields of [`ResNetConfig`] or [`MobileNetV2Config`] to change, such as `hidden_sizes`; for a
            network of timm, of `model_args`.

    Raises:
        InputError: the architecture or a field is unknown.
    """
    overrides = config_overrides or {}
    if architecture in TIMM_ARCHITECTURES:
        return TimmWrapperConfig(
            architecture=architecture, model_args={"in_chans": 3} | overrides, **label_maps(labels)
        )
    if architecture == "resnet":
        config = AVEmotionImageConfig().backbone_config
    elif architecture == "mobilenet_v2":
        config = MobileNetV2Config(tf_padding=False, layer_norm_eps=1e-5, classifier_dropout_prob=0.2)
    else:
        raise InputError(f"architecture {architecture!r} is not one of {', '.join(ARCHITECTURES)}")
    assert isinstance(config, PreTrainedConfig)  # no dict after its `__post_init__`
    _require_fields(config, overrides)
    fields = config.to_dict()
    for name in ("out_features", "out_indices", "stage_names"):
        fields.pop(name, None)  # they follow from the number of stages
    return type(config).from_dict(fields | overrides | label_maps(labels))


def _require_fields(config: PreTrainedConfig, overrides: Mapping[str, Any]) -> None:
    """Refuse fields that a configuration does not have."""
    examples = {"resnet": "hidden_sizes and depths", "mobilenet_v2": "depth_multiplier and output_stride"}
    for name in sorted(set(overrides) - set(config.to_dict())):
        known = examples.get(config.model_type, "model_args")
        raise InputError(f"a {config.model_type} has no field {name!r}; among those it has are {known}")


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
        raise InputError(f"{architecture}: needs timm; run pip install 'av-emotion-hf[timm]'") from error
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"a {architecture} cannot be built with the fields {config_overrides} ({error}); change them"
        ) from error
    return _ready(model)


def pretrained_expression_model(
    checkpoint: str, labels: list[str], config_overrides: dict[str, Any] | None = None
) -> PreTrainedModel:
    """A trained image classifier with these classes; those that it does not know by name start from scratch.

    Args:
        checkpoint: folder or Hub name.
        labels: class names.
        config_overrides: fields of its configuration to change, such as `output_stride`, which leave its weights what
            they are.

    Raises:
        InputError: the checkpoint does not exist, is not an image classifier of a kind that becomes an expression
            backbone, or a field is unknown or asks for other weights.
    """
    kinds = [kind for kind, modality in MODALITY_OF.items() if modality == "expression"]
    remedy = f"give a folder that train-expression wrote, or an image classifier on the Hub ({', '.join(kinds)})"
    overrides = config_overrides or {}
    try:
        config = AutoConfig.from_pretrained(checkpoint)
        if config.model_type not in kinds:
            raise InputError(f"{checkpoint}: is of the type {config.model_type!r}; {remedy}")
        _require_fields(config, overrides)
        model, info = AutoModelForImageClassification.from_pretrained(
            checkpoint, **overrides, ignore_mismatched_sizes=True, output_loading_info=True
        )
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(
            f"{checkpoint}: is not an image classifier to start from ({reason(error)}); {remedy}"
        ) from error
    new = [*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])]
    wrong = [name for name in new if not name.startswith(_last_layer(model))]
    if wrong:
        raise InputError(
            f"{checkpoint}: has no weights for {min(wrong)} with the fields {overrides}; leave out --config, or --init"
        )
    _set_classes(model, labels)
    return _ready(model)


def _set_classes(model: PreTrainedModel, labels: list[str]) -> None:
    """Give the network these classes: those that it knows by name keep their weights, others have random ones."""
    name = _last_layer(model)
    old, known = model.get_submodule(name), dict(model.config.label2id or {})
    assert isinstance(old, nn.Linear)  # that is what the name says
    new = nn.Linear(old.in_features, len(labels), bias=old.bias is not None)
    kept = torch.tensor([row for row, label in enumerate(labels) if label in known], dtype=torch.long)
    places = torch.tensor([known[label] for label in labels if label in known], dtype=torch.long)
    with torch.no_grad():
        for each, before in zip(new.parameters(), old.parameters(), strict=True):
            each[kept] = before[places]
    model.set_submodule(name, new)
    model.config.update(label_maps(labels))


def _ready(model: PreTrainedModel) -> PreTrainedModel:
    """The network with the layout and the batch norms for training.

    MobileNetV2 of transformers has a momentum of 0.997, as TensorFlow counts it. In torch it would make the statistics
    those of the last batch.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and (module.momentum or 0) > 0.5:
            module.momentum = BATCH_NORM_MOMENTUM
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-arg]  # wrapped by transformers


def _last_layer(model: PreTrainedModel) -> str:
    """Name of the layer that makes the logits."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)][-1]


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
    votes: VoteOptions | None = None,
    targets: str = "distribution",
    architecture: str = "resnet",
    image_size: int = 96,
    config_overrides: dict[str, Any] | None = None,
    augment: Mapping[str, float] | None = None,
    mixup: float = 0.0,
    balance: str = "none",
    init: str | None = None,
    freeze_epochs: int = 0,
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train the recognizer and save it, with its image processor and a model card, to `args.output_dir`.

    With `init`, all layers but the last one have the learning rate times `args.slow_rate`.

    Args:
        train: labeled face images of any size, gray or in color.
        validation: others, which choose the kept epoch by accuracy; of votes, by that on images with a majority.
        args: of the run.
        image_column: column of the image.
        label_column: column of the class, or of the votes of several annotators.
        votes: how votes are read, also from columns of their own, see [`VoteOptions`].
        targets: what is learned from votes: their `distribution`, or the `mode`; see [`choose_labels`].
        architecture: one of `ARCHITECTURES`.
        image_size: side of the network's input in pixels.
        config_overrides: see [`expression_config`], with `init` [`pretrained_expression_model`].
        augment: probabilities of augmentations that differ from the default ones, see [`augment_pictures`].
        mixup: see [`FaceCollator`].
        balance: what makes rare classes count as much as others: `weights` in the loss, `sampling` (rows of rare
            classes are drawn more often), or `none`.
        init: an image classifier to start from, instead of random weights.
        freeze_epochs: first epochs in which only the last layer learns, so that what the others know is not destroyed
            by it (Kumar et al. 2022). Batch norms adapt to the images nevertheless.
        metadata: facts for the record.

    Returns:
        The record of the run, as written to `run.json`: settings, seconds, scores on `validation`.

    Raises:
        InputError: a column is missing, a label occurs that `train` lacks, a value is out of range, or the folder is
            in use.
    """
    votes = votes or VoteOptions()
    are_votes = votes.are_in(train, label_column)
    require_columns(train, image_column, votes.label_column(label_column))
    args.require_length(train)
    _require_possible_values(balance, mixup, targets, are_votes, init, freeze_epochs, args)
    probabilities = picture_probabilities(augment or {})
    checkpoint = args.last_checkpoint()
    args.use_threads(parallel=True)
    labels = list(vote_classes(train, label_column, votes)) if are_votes else label_names(train, label_column)
    if len(labels) < 2:
        raise InputError(f"column {label_column!r} holds {len(labels)} class(es); a recognizer needs at least two")
    given = {"train": train} | ({} if validation is None else {"validation": validation})
    parts, facts = _labeled_parts(given, label_column, labels, votes if are_votes else None, targets)
    counts = {name: class_counts(part, labels) for name, part in parts.items()}
    report_missing_classes(counts)
    weight = row_weights = None
    if balance != "none":
        rows = distributions(torch.tensor(column_values(parts["train"], "labels")), len(labels))
        weight = class_weights(rows)
        row_weights = rows @ weight if balance == "sampling" else None
    set_seed(args.seed)
    if init is not None:
        model = pretrained_expression_model(init, labels, config_overrides)
        trained = [name for name, _ in model.named_parameters() if not name.startswith(_last_layer(model))]
        facts |= {"slow_rate": args.slow_rate, "freeze_epochs": freeze_epochs}
    else:
        model, trained = expression_model(architecture, labels, config_overrides), []
    processor = AVEmotionImageProcessor(size={"height": image_size, "width": image_size})
    record = RunRecord(
        "train-expression",
        args,
        labels=labels,
        architecture=model.config.model_type if init else architecture,
        init=checkpoint_names([init]) if init else [],
        image_size=image_size,
        config=config_overrides or {},
        augment={name: value for name, value in probabilities.items() if value},
        mixup=mixup,
        balance=balance,
        pictures=counts,
        **facts,
        **(metadata or {}),
    )
    has_evaluation = validation is not None
    trainer = EmotionTrainer(
        model=model,
        args=args.for_recipe(has_evaluation=has_evaluation, best_metric="war", slow_parts=trained or args.slow_parts),
        data_collator=FaceCollator(processor, image_column),
        train_collator=FaceCollator(processor, image_column, probabilities, len(labels), mixup),
        train_dataset=parts["train"],
        eval_dataset=parts.get("validation"),
        compute_metrics=compute_metrics,
        compute_loss_func=ExpressionLoss(args.label_smoothing_factor, weight if balance == "weights" else None),
        row_weights=row_weights,
        processing_class=processor,
        callbacks=[ThawCallback([model.get_parameter(name) for name in trained], freeze_epochs)],
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    scores = trainer.evaluate(metric_key_prefix="validation") if has_evaluation else {}
    facts = record.finish(trainer, scores)
    if trainer.is_world_process_zero():
        record.write_card()
    return facts


def _require_possible_values(
    balance: str,
    mixup: float,
    targets: str,
    are_votes: bool,
    init: str | None,
    freeze_epochs: int,
    args: EmotionTrainingArguments,
) -> None:
    """Raise [`InputError`] for options of [`train_expression`] that nothing could be trained with."""
    if balance not in BALANCES:
        raise InputError(f"balance {balance!r} is not one of {', '.join(BALANCES)}")
    if not 0 <= mixup < float("inf"):
        raise InputError(f"mixup={mixup}: cannot be negative; use 0 for none, or 0.2")
    require_target(targets, are_votes)
    if freeze_epochs < 0:
        raise InputError(f"freeze_epochs={freeze_epochs}: cannot be negative; use 0 for none, or 1")
    if freeze_epochs and init is None:
        raise InputError(f"freeze_epochs={freeze_epochs}: would freeze random weights; add --init")
    if freeze_epochs and args.world_size > 1:
        raise InputError(f"freeze_epochs={freeze_epochs}: is for one process, and there are {args.world_size}")


def _labeled_parts(
    given: Mapping[str, AnyDataset], label_column: str, labels: list[str], votes: VoteOptions | None, targets: str
) -> tuple[dict[str, AnyDataset], dict[str, Any]]:
    """The parts of the data with the column `labels`, and what the record says of votes."""
    if votes is None:
        return {name: encode_labels(part, label_column, labels) for name, part in given.items()}, {}
    parts, facts = encode_parts(given, label_column, votes, labels, targets)
    return dict(parts), {"votes": facts}


__all__ = [
    "ARCHITECTURES",
    "BALANCES",
    "ExpressionLoss",
    "expression_config",
    "expression_model",
    "pretrained_expression_model",
    "train_expression",
]
