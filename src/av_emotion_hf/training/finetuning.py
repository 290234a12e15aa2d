"""Fine-tuning with labels: voice, face, or both (CN112633263A, modules 3, 6 and 8)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import set_seed
from transformers.trainer_utils import PredictionOutput

from ..checkpoints import ModelBundle, build_model, load_speech_encoder
from ..data.augmentation import AugmentingCollator, check_augmentations
from ..data.collators import ClipCollator
from ..data.corpora import balanced_weights
from ..data.dataset import AnyDataset, column_values, require_columns
from ..data.frame_augmentation import MeanFrame
from ..data.labels import class_counts, features_as_arrays, label_names, read_labeled
from ..data.reader import ClipReader, ReaderOptions, with_inputs
from ..data.schema import FEATURE_COLUMNS, modality_kind
from ..data.splits import GroupSplit, drop_augmented, keep_groups
from ..data.votes import TARGETS, VoteOptions, encode_parts, require_target, vote_classes
from ..errors import InputError
from .arguments import EmotionTrainingArguments
from .calibration import calibrate_classifier
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
    votes: VoteOptions | None = None,
    targets: str = "distribution",
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
        label_column: column of the label, or of the votes of several annotators.
        votes: how votes are read, also from columns of their own, see [`VoteOptions`]. Validation clips are those of
            which one class has the majority, see [`choose_labels`].
        targets: what is learned from votes: their `distribution`, or the `mode`.
        group_column: column of the group (speaker); needed with `split`.
        corpus_column: column of the dataset that a row comes from, see [`join_datasets`]. Every class of every dataset
            is then drawn equally often, and the record has the validation scores of each. Not with distributions.
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
    votes = votes or VoteOptions()
    are_votes = votes.are_in(dataset, label_column)
    require_columns(dataset, votes.label_column(label_column), group_column, corpus_column)
    require_target(targets, are_votes)
    is_soft = are_votes and targets == TARGETS[0]
    if is_soft and corpus_column is not None:
        raise InputError("every class of a dataset is to be drawn equally often, and a distribution is none; use mode")
    args.require_length(dataset)
    require_persons(person_baseline, group_column)
    _require_fitting_data(dataset, split, head_first, calibrate)
    checkpoint = args.last_checkpoint()
    labels = _class_names(dataset, label_column, votes if are_votes else None)
    parts = _parts_of(dataset, split, group_column)
    reader = ClipReader("both" if modality == "fusion" else modality, reader_options)

    set_seed(args.seed)
    backbone = load_speech_encoder(speech_encoder, speech_layers)
    initial = build_model("classification", modality, init or [], labels, config_overrides, backbone)
    _require_frozen_backbone(initial, dataset)
    if person_baseline:
        freeze_features(initial.model)
    num_proc = args.dataloader_num_workers or None
    vote_facts = None
    if are_votes:
        parts, vote_facts = _read_voted(parts, label_column, votes, labels, targets, reader, num_proc)
    else:
        parts = {n: read_labeled(part, label_column, labels, reader, num_proc, n) for n, part in parts.items()}
    counts = _count_clips(parts, labels)
    _estimate_missing_statistics(initial, parts["train"])

    record = RunRecord(
        "finetune",
        args,
        modality=modality,
        init=checkpoint_names(init),
        **speech_encoder_facts(speech_encoder, speech_layers),
        **_chosen(person_baseline=person_baseline),
        config=config_overrides or {},
        slow_rate=args.slow_rate,
        layer_decay=args.layer_decay,
        **_chosen(augment=augment, head_first=head_first, calibrate=calibrate),
        labels=labels,
        label_column=votes.label_column(label_column),
        **_chosen(votes=vote_facts),
        group_column=group_column,
        groups=split.as_dict() if split is not None else None,
        clips=counts,
        **(metadata or {}),
    )
    collators = _make_collators(initial, modality, parts["train"], labels, augment)
    if person_baseline and group_column is not None:
        _add_baselines(collators, initial, parts, group_column, person_baseline, args.device)
    row_weights = balanced_weights(parts["train"], corpus_column) if corpus_column else None
    start = None
    if head_first:
        start = _start_with_head(initial, parts, args, collators, row_weights)
        record.facts["linear_head"] = start.facts

    slow_parts = args.slow_parts or ([*SLOW_PARTS, "classifier."] if head_first else SLOW_PARTS)
    trainer = EmotionTrainer(
        model=initial.model,
        args=args.for_recipe(has_evaluation="validation" in parts, best_metric="uar", slow_parts=slow_parts),
        data_collator=collators.plain,
        train_collator=collators.train,
        train_dataset=parts["train"],
        eval_dataset=parts.get("validation"),
        compute_metrics=compute_metrics,
        # the smoothing of transformers takes no class distributions
        compute_loss_func=ExpressionLoss(args.label_smoothing_factor) if augment.get("mixup") or is_soft else None,
        callbacks=[SaveProcessorCallback(initial.processor(modality))],
        row_weights=row_weights,
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    if start is not None:
        start.restore_if_better(trainer.state.best_metric)
    if calibrate:
        record.facts["calibration"] = calibrate_classifier(trainer, parts["validation"])
    scores = _validate(trainer, record, parts.get("validation"), corpus_column, collators.with_baseline)
    facts = record.finish(trainer, scores, initial.processor(modality))
    if trainer.is_world_process_zero():
        record.write_card()
    return facts


def _require_fitting_data(dataset: AnyDataset, split: GroupSplit | None, head_first: bool, calibrate: bool) -> None:
    """Raise [`InputError`] where calibration has nothing to fit, or the head cannot read the clips several times."""
    if calibrate and (split is None or not split.validation):
        raise InputError("calibration needs validation groups: add --group-column (split with validation groups)")
    if head_first and not isinstance(dataset, Dataset):
        raise InputError("head_first reads the clips several times, and the dataset is a stream; do not stream")


def _class_names(dataset: AnyDataset, label_column: str, votes: VoteOptions | None) -> list[str]:
    """The labels of the dataset; raises [`InputError`] where there are not two."""
    if votes is None:
        labels, source = label_names(dataset, label_column), f"column {label_column!r} holds"
    else:
        labels, source = list(vote_classes(dataset, label_column, votes)), "the votes are for"
    if len(labels) < 2:
        raise InputError(f"{source} {len(labels)} class(es); a classifier needs at least two")
    return labels


def _parts_of(dataset: AnyDataset, split: GroupSplit | None, group_column: str | None) -> dict[str, AnyDataset]:
    """The rows of `train` and, where the split has such groups, those of `validation`, without augmented copies."""
    if split is None:
        return {"train": dataset}
    if group_column is None:
        raise InputError("a split into groups needs their column: give group_column")
    groups = {"train": split.train, "validation": split.validation}
    parts = {name: keep_groups(dataset, group_column, chosen) for name, chosen in groups.items() if chosen}
    if "validation" in parts:
        parts["validation"] = drop_augmented(parts["validation"])
    return parts


def _read_voted(
    parts: dict[str, AnyDataset],
    label_column: str,
    votes: VoteOptions,
    labels: list[str],
    targets: str,
    reader: ClipReader,
    num_proc: int | None,
) -> tuple[dict[str, AnyDataset], dict[str, Any]]:
    """The parts read, with labels made of votes, and what the record says of these."""
    voted, facts = encode_parts(parts, label_column, votes, labels, targets)
    return {n: features_as_arrays(with_inputs(part, reader, num_proc, n)) for n, part in voted.items()}, facts


def _count_clips(parts: dict[str, AnyDataset], labels: list[str]) -> dict[str, dict[str, int]]:
    """Clips by class of each part; those of a stream are left out, as counting would read it once more.

    Raises:
        InputError: a part has no clip with a label.
    """
    counts = {name: class_counts(part, labels) for name, part in parts.items() if isinstance(part, Dataset)}
    for name, clips in counts.items():
        if not any(clips.values()):
            raise InputError(f"the {name} part has no labeled clip; check the groups and the label column")
    report_missing_classes(counts)
    return counts


def _chosen(**settings: Any) -> dict[str, Any]:
    """The settings that are in the record only where they were chosen."""
    return {name: value for name, value in settings.items() if value}


def _require_frozen_backbone(initial: ModelBundle, dataset: AnyDataset) -> None:
    """Raise [`InputError`] where a dataset of features would have to train the speech backbone that computed them."""
    if "audio" not in initial.feature_sizes or modality_kind(dataset, "audio") != "features":
        return
    model: Any = initial.model  # its encoder is known to no type
    backbone = model.audio_encoder.backbone
    if backbone is not None and not backbone.frozen:
        raise InputError(
            "freeze_backbone=false: the dataset holds features, which cannot train the speech backbone that computed "
            "them; give clips, or --config '{\"freeze_backbone\": true}'"
        )


def _estimate_missing_statistics(initial: ModelBundle, train: AnyDataset) -> None:
    """Set mean and deviation of the features of those encoders that no checkpoint gave them."""
    for name in initial.feature_sizes.keys() - initial.normalized:
        estimate_statistics(initial.model, name, train, _plain_collator(initial, name))


@dataclass
class _Collators:
    """What makes batches.

    Attributes:
        plain: pads clips.
        train: changes training clips by augmentation and by a person's baseline; `None` without either.
        with_baseline: standardizes validation clips by their person's baseline; `None` without.
    """

    plain: ClipCollator
    train: AugmentingCollator | BaselineCollator | None = None
    with_baseline: BaselineCollator | None = None


def _make_collators(
    initial: ModelBundle, modality: str, train: AnyDataset, labels: list[str], augment: dict[str, float]
) -> _Collators:
    """The collators of a run without a person's baseline."""
    plain = _plain_collator(initial, modality)
    if not augment:
        return _Collators(plain)
    model: Any = initial.model
    mean = MeanFrame.of(model.audio_encoder) if FEATURE_COLUMNS["audio"] in train.features else None
    return _Collators(plain, AugmentingCollator(plain, augment, labels, mean))


def _add_baselines(
    collators: _Collators,
    initial: ModelBundle,
    parts: dict[str, AnyDataset],
    group_column: str,
    share: float,
    device: torch.device,
) -> None:
    """Measure the clips of each part, and standardize that share of the training clips by those of their person."""
    for name, part in parts.items():
        moments = measure_clips(initial.model, part, collators.plain, device)
        persons = clips_of_groups(part, group_column)
        if name == "train":
            makes = collators.train or collators.plain
            collators.train = BaselineCollator(makes, initial.model, group_column, moments, persons, share)
        else:
            collators.with_baseline = BaselineCollator(collators.plain, initial.model, group_column, moments, persons)


def _plain_collator(initial: ModelBundle, modality: str) -> ClipCollator:
    """Pads clips for a model, or for its encoder of one modality."""
    return ClipCollator(modality, initial.feature_extractor, initial.image_processor, initial.feature_sizes)


def _start_with_head(
    initial: ModelBundle,
    parts: dict[str, AnyDataset],
    args: EmotionTrainingArguments,
    collators: _Collators,
    row_weights: torch.Tensor | None,
) -> HeadStart:
    """Make the classifier of the model a linear head on the rest of it."""
    return HeadStart(
        initial.model.to(args.device),  # type: ignore[arg-type]  # the stub of transformers loses `self`
        parts["train"],
        parts.get("validation"),
        collators.plain,
        collators.train,
        row_weights,
        args.per_device_eval_batch_size,
        args.seed,
    )


def _validate(
    trainer: EmotionTrainer,
    record: RunRecord,
    validation: AnyDataset | None,
    corpus_column: str | None,
    with_baseline: BaselineCollator | None,
) -> dict[str, Any]:
    """Scores of the kept model on the validation rows, if there are any; those of each dataset go to the record.

    With a person's baseline the rows are scored a second time.
    """
    if validation is None:
        return {}
    scores = trainer.evaluate(metric_key_prefix="validation")
    if corpus_column is not None:
        corpora = column_values(validation, corpus_column)
        record.facts["scores_by_corpus"] = scores_by_corpus(trainer.predict(validation), corpora)
    if with_baseline is not None:
        trainer.data_collator = with_baseline
        scores |= trainer.evaluate(metric_key_prefix="validation_with_baseline")
    return scores


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
