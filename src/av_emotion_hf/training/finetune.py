"""Fine-tuning with labels: voice, face, or both (CN112633263A, modules 3, 6 and 8)."""

from datasets import Dataset
from transformers import set_seed

from ..checkpoints import build_model
from ..data.collators import ClipCollator
from ..data.dataset import AnyDataset, column_values, encode_labels, label_names, require_columns
from ..data.reader import ClipReader, with_inputs
from ..data.splits import GroupSplit, keep_groups
from ..errors import InputError
from ..hub import write_card
from .arguments import RunOptions
from .metrics import compute_metrics
from .normalization import estimate_statistics
from .record import RunRecord, names
from .trainer import EmotionTrainer, SaveProcessorCallback

SLOW_PARTS = ("frontend.", "backbone.")


def finetune(
    dataset: AnyDataset,
    split: GroupSplit | None,
    modality: str,
    options: RunOptions,
    reader: ClipReader,
    label_column: str,
    group_column: str | None = None,
    init: list[str] | None = None,
    settings: dict | None = None,
    slow_rate: float = 0.1,
    about: dict | None = None,
) -> dict:
    """Fine-tune a classifier and save it, with its processor and a model card, to `options.out`.

    The kept weights are those of the epoch with the best UAR on the validation groups.

    Args:
        dataset: labelled clips, inputs or features.
        split: groups to learn from and to validate on; `None` takes every row and validates on none.
        modality: `audio`, `image` or `fusion`.
        options: of the run.
        reader: reads clips that stand undecoded in the dataset.
        label_column: where the label stands.
        group_column: where the group (speaker) stands; needed with `split`.
        init: checkpoints to start from, see [`start`].
        settings: configuration fields to change, such as `modality_dropout`.
        slow_rate: factor on the learning rate of front-end and backbone, which are trained already.
        about: where the data come from, for the record.

    Returns:
        The record of the run, as written to `run.json`.

    Raises:
        InputError: a column is missing, or there are fewer than two classes, or a stream is used without
            `max_steps`.
    """
    require_columns(dataset, label_column, group_column)
    options.require_length(dataset)
    checkpoint = options.last_checkpoint()
    labels = label_names(dataset, label_column)
    if len(labels) < 2:
        raise InputError(f"column {label_column!r} holds {len(labels)} class(es); a classifier needs at least two")
    parts = {"train": dataset, "validation": None}
    if split is not None:
        parts = {
            name: keep_groups(dataset, group_column, getattr(split, name)) if getattr(split, name) else None
            for name in parts
        }
    parts = {
        name: encode_labels(with_inputs(part, reader, options.workers or None), label_column, labels)
        if part is not None
        else None
        for name, part in parts.items()
    }

    set_seed(options.seed)
    beginning = build_model("classification", modality, init or [], labels, settings)
    collate = ClipCollator(modality, beginning.feature_extractor, beginning.image_processor, beginning.feature_sizes)
    for part in beginning.feature_sizes.keys() - beginning.normalized:
        only = ClipCollator(part, beginning.feature_extractor, beginning.image_processor, beginning.feature_sizes)
        estimate_statistics(beginning.model, part, parts["train"], only)
    record = RunRecord(
        "finetune",
        options,
        modality=modality,
        init=names(init),
        config=settings or {},
        slow_rate=slow_rate,
        labels=labels,
        label_column=label_column,
        group_column=group_column,
        groups=split.as_dict() if split is not None else None,
        # counting those of a stream would read it once more
        clips={name: _class_counts(part, labels) for name, part in parts.items() if isinstance(part, Dataset)},
        **(about or {}),
    )
    trainer = EmotionTrainer(
        model=beginning.model,
        args=options.training_arguments(has_evaluation=parts["validation"] is not None, best_metric="uar"),
        data_collator=collate,
        train_dataset=parts["train"],
        eval_dataset=parts["validation"],
        compute_metrics=compute_metrics,
        callbacks=[SaveProcessorCallback(beginning.processor(modality))],
        slow_parts=SLOW_PARTS,
        slow_rate=slow_rate,
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    scores = trainer.evaluate(metric_key_prefix="validation") if parts["validation"] is not None else {}
    facts = record.finish(trainer, scores, beginning.processor(modality))
    if trainer.is_world_process_zero():
        write_card(options.out)
    return facts


def _class_counts(dataset: AnyDataset, labels: list[str]) -> dict[str, int]:
    values = column_values(dataset, "labels")
    return {label: values.count(i) for i, label in enumerate(labels)}


__all__ = ["finetune"]
