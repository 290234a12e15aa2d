"""Fine-tuning with labels: voice, face, or both (CN112633263A, modules 3, 6 and 8)."""

from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import set_seed
from transformers.trainer_utils import PredictionOutput

from ..checkpoints import build_model, load_speech_encoder
from ..data.augmentation import AugmentingCollator, check_augmentations
from ..data.collators import ClipCollator
from ..data.corpora import balanced_weights
from ..data.dataset import AnyDataset, column_values, require_columns
from ..data.frame_augmentation import MeanFrame
from ..data.labels import class_counts, label_names, read_labeled
from ..data.reader import ClipReader, ReaderOptions
from ..data.schema import FEATURE_COLUMNS, modality_kind
from ..data.splits import GroupSplit, drop_augmented, keep_groups
from ..errors import InputError
from .arguments import EmotionTrainingArguments
from .calibration import expected_calibration_error, fit_temperature, probabilities, reliability
from .expression import ExpressionLoss
from .linear_head import HeadStart
from .metrics import EmotionScores, compute_metrics
from .normalization import estimate_statistics
from .person_baselines import BaselineCollator, clips_of_groups, freeze_features, measure_clips, require_persons
from .record import RunRecord, checkpoint_names, report_missing_classes, speech_encoder_facts
from .trainer import EmotionTrainer, SaveProcessorCallback

SLOW_PARTS = ["frontend.", "image_encoder.backbone.", "backbone.encoder."]  # what other data have trained already


def finetune(
    dataset: AnyDataset,
    split: GroupSplit | None = None,
    *,
    args: EmotionTrainingArguments,
    modality: str,
    label_column: str = "emotion",
    group_column: str | None = None,
    corpus_column: str | None = None,
    init: list[str] | None = None,
    config_overrides: dict[str, Any] | None = None,
    speech_encoder: str | None = None,
    speech_layers: int | None = None,
    person_baseline: float = 0.0,
    head_first: bool = False,
    calibrate: bool = False,
    reader_options: ReaderOptions | None = None,
    augment: dict[str, float] | None = None,
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Fine-tune a classifier and save it, with its processor and a model card, to `args.output_dir`.

    The kept weights are those of the epoch with the best UAR on the validation groups.

    Args:
        dataset: labeled clips, inputs or features.
        split: groups to train and to validate on; `None` trains on every row and validates on none.
        args: of the run. Front-end and backbone have the learning rate `args.slow_rate * args.learning_rate`, unless
            `args.slow_parts` names other parts; the layers of a speech backbone less by `args.layer_decay`.
        modality: `audio`, `image` or `fusion`.
        label_column: column of the label.
        group_column: column of the group (speaker); needed with `split`.
        corpus_column: column of the dataset that a row comes from, see [`join_datasets`]. Every class of every dataset
            is then drawn equally often, and the record has the validation scores of each.
        init: checkpoints to start from, see [`build_model`].
        config_overrides: configuration fields to change, such as `modality_dropout`.
        speech_encoder: backbone of a new audio model, see [`load_speech_encoder`].
        speech_layers: layers of it that are used; all of them when `None`.
        person_baseline: fraction of the training clips that are standardized by the statistics of their person's
            clips, see [`BaselineCollator`]; needs `group_column`. What computes the frame features is not trained
            then: filterbank, speech and expression backbone. The kept epoch is that with the best UAR without, and
            the record has the validation scores of that epoch with the person's baseline as well.
        head_first: begin with a linear head on the model as it is, see [`HeadStart`]. The classifier then counts
            among the slow parts, and where no epoch has a better UAR on the validation groups, that beginning is what
            is kept: with few labels it is often the best.
        calibrate: divide the logits of the kept model by a temperature that is fitted on the validation groups, see
            [`fit_temperature`]; the classes that it answers stay the same.
        reader_options: how undecoded clips of the dataset are read.
        augment: by name of an augmentation of voices the probability with which a clip of a training batch gets it,
            such as `{"speed": 0.5, "noise": 0.3}`; see [`AugmentingCollator`]. Of a dataset of features with augmented
            copies, these are trained on and never validated on.
        metadata: where the data come from, for the record.

    Returns:
        The record of the run, as written to `run.json`.

    Raises:
        InputError: a column is missing, there are fewer than two classes, a stream is used without `max_steps`, or an
            augmentation does not exist or does not fit the data.
    """
    augment = check_augmentations(augment or {}, modality, dataset)
    require_columns(dataset, label_column, group_column, corpus_column)
    args.require_length(dataset)
    require_persons(person_baseline, group_column)
    if calibrate and (split is None or not split.validation):
        raise InputError("calibration needs validation groups: add --group-column (split with validation groups)")
    if head_first and not isinstance(dataset, Dataset):
        raise InputError("head_first reads the clips several times, and the dataset is a stream; do not stream")
    checkpoint = args.last_checkpoint()
    labels = label_names(dataset, label_column)
    if len(labels) < 2:
        raise InputError(f"column {label_column!r} holds {len(labels)} class(es); a classifier needs at least two")
    parts: dict[str, AnyDataset] = {"train": dataset}
    if split is not None:
        if group_column is None:
            raise InputError("a split into groups needs their column: give group_column")
        groups = {"train": split.train, "validation": split.validation}
        parts = {name: keep_groups(dataset, group_column, chosen) for name, chosen in groups.items() if chosen}
        if "validation" in parts:
            parts["validation"] = drop_augmented(parts["validation"])
    reader = ClipReader("both" if modality == "fusion" else modality, reader_options)
    set_seed(args.seed)
    backbone = load_speech_encoder(speech_encoder, speech_layers)
    initial = build_model("classification", modality, init or [], labels, config_overrides, backbone)
    if "audio" in initial.feature_sizes and modality_kind(dataset, "audio") == "features":
        _require_frozen_backbone(initial.model)
    if person_baseline:
        freeze_features(initial.model)
    num_proc = args.dataloader_num_workers or None
    parts = {name: read_labeled(part, label_column, labels, reader, num_proc, name) for name, part in parts.items()}
    # counting those of a stream would read it once more
    counts = {name: class_counts(part, labels) for name, part in parts.items() if isinstance(part, Dataset)}
    for name, clips in counts.items():
        if not any(clips.values()):
            raise InputError(f"the {name} part has no labeled clip; check the groups and the label column")
    report_missing_classes(counts)

    processors = (initial.feature_extractor, initial.image_processor, initial.feature_sizes)
    for name in initial.feature_sizes.keys() - initial.normalized:
        estimate_statistics(initial.model, name, parts["train"], ClipCollator(name, *processors))
    record = RunRecord(
        "finetune",
        args,
        modality=modality,
        init=checkpoint_names(init),
        **speech_encoder_facts(speech_encoder, speech_layers),
        **({"person_baseline": person_baseline} if person_baseline else {}),
        config=config_overrides or {},
        slow_rate=args.slow_rate,
        layer_decay=args.layer_decay,
        **({"augment": augment} if augment else {}),
        **({"head_first": True} if head_first else {}),
        **({"calibrate": True} if calibrate else {}),
        labels=labels,
        label_column=label_column,
        group_column=group_column,
        groups=split.as_dict() if split is not None else None,
        clips=counts,
        **(metadata or {}),
    )
    has_evaluation = "validation" in parts
    collate = ClipCollator(modality, *processors)
    train_collator: AugmentingCollator | None = None
    if augment:
        model: Any = initial.model  # its encoder is known to no type
        holds_features = FEATURE_COLUMNS["audio"] in parts["train"].features
        mean = MeanFrame.of(model.audio_encoder) if holds_features else None
        train_collator = AugmentingCollator(collate, augment, labels, mean)
    with_baseline: dict[str, BaselineCollator] = {}
    if person_baseline and group_column is not None:
        for name, part in parts.items():
            moments = measure_clips(initial.model, part, collate, args.device)
            persons = clips_of_groups(part, group_column)
            makes, share = (train_collator or collate, person_baseline) if name == "train" else (collate, None)
            with_baseline[name] = BaselineCollator(makes, initial.model, group_column, moments, persons, share)
    row_weights = balanced_weights(parts["train"], corpus_column) if corpus_column else None
    slow_parts = args.slow_parts or ([*SLOW_PARTS, "classifier."] if head_first else SLOW_PARTS)
    start = None
    if head_first:
        start = HeadStart(
            initial.model.to(args.device),  # type: ignore[arg-type]  # the stub of transformers loses `self`
            parts["train"],
            parts.get("validation"),
            collate,
            with_baseline.get("train", train_collator),
            row_weights,
            args.per_device_eval_batch_size,
            args.seed,
        )
        record.facts["linear_head"] = start.facts
    trainer = EmotionTrainer(
        model=initial.model,
        args=args.for_recipe(has_evaluation=has_evaluation, best_metric="uar", slow_parts=slow_parts),
        data_collator=collate,
        train_collator=with_baseline.get("train", train_collator),
        train_dataset=parts["train"],
        eval_dataset=parts.get("validation"),
        compute_metrics=compute_metrics,
        # the smoothing of transformers takes no class distributions
        compute_loss_func=ExpressionLoss(args.label_smoothing_factor) if augment.get("mixup") else None,
        callbacks=[SaveProcessorCallback(initial.processor(modality))],
        row_weights=row_weights,
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    if start is not None:
        start.restore_if_better(trainer.state.best_metric)
    if calibrate:
        record.facts["calibration"] = calibrate_classifier(trainer, parts["validation"])
    scores = trainer.evaluate(metric_key_prefix="validation") if has_evaluation else {}
    if corpus_column is not None and has_evaluation:
        corpora = column_values(parts["validation"], corpus_column)
        record.facts["scores_by_corpus"] = scores_by_corpus(trainer.predict(parts["validation"]), corpora)
    if "validation" in with_baseline:
        trainer.data_collator = with_baseline["validation"]
        scores |= trainer.evaluate(metric_key_prefix="validation_with_baseline")
    facts = record.finish(trainer, scores, initial.processor(modality))
    if trainer.is_world_process_zero():
        record.write_card()
    return facts


def _require_frozen_backbone(model: Any) -> None:
    """Raise [`InputError`] where a dataset of features would have to train the speech backbone that computed them."""
    backbone = model.audio_encoder.backbone
    if backbone is not None and not backbone.frozen:
        raise InputError(
            "freeze_backbone=false: the dataset holds features, which cannot train the speech backbone that computed "
            "them; give clips, or --config '{\"freeze_backbone\": true}'"
        )


def calibrate_classifier(trainer: EmotionTrainer, validation: Dataset) -> dict[str, Any]:
    """Divide the classifier's weights by the temperature that fits its scores on validation rows.

    Returns:
        `temperature`, and `ece` and `reliability` (see [`reliability`]) on these rows `before` and `after`.
    """
    prediction = trainer.predict(validation)
    logits, classes = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
    temperature = fit_temperature(logits, classes)
    with torch.no_grad():
        for parameter in trainer.model.get_submodule("classifier").parameters():  # type: ignore[union-attr]
            parameter.div_(temperature)
    facts: dict[str, Any] = {"temperature": round(temperature, 4), "clips": len(classes)}
    for name, divisor in (("before", 1.0), ("after", temperature)):
        scores = probabilities(logits, divisor)
        error = expected_calibration_error(scores, classes)
        facts[name] = {"ece": round(error, 4), "reliability": reliability(scores, classes)}
    return facts


def scores_by_corpus(prediction: PredictionOutput, corpora: list[str]) -> dict[str, dict[str, float | int]]:
    """UAR, WAR, macro-F1 and clips of each dataset; a class that it lacks does not count."""
    predictions, references = np.asarray(prediction.predictions).argmax(-1), np.asarray(prediction.label_ids)
    scores = {}
    for name in sorted(set(corpora)):
        rows = [row for row, corpus in enumerate(corpora) if corpus == name]
        found = EmotionScores().compute(references=references[rows], predictions=predictions[rows])
        scores[name] = {key: float(value) for key, value in found.items()} | {"clips": len(rows)}
    return scores


__all__ = ["calibrate_classifier", "finetune", "scores_by_corpus"]
