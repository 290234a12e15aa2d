"""Masked-frame pre-training on unlabelled clips (CN112633263A, modules 2 and 5)."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, IterableDataset, concatenate_datasets
from transformers import set_seed

from ..checkpoints import build_model
from ..data.collators import ClipCollator, MaskingCollator
from ..data.dataset import AnyDataset
from ..data.reader import ClipReader, with_inputs
from ..data.schema import FEATURE_COLUMNS, INPUT_COLUMNS, require_modality
from ..data.statistics import RunningStatistics
from ..data.streams import ClipStream
from ..errors import InputError
from ..hub import write_card
from .arguments import RunOptions
from .normalization import estimate_statistics, put_statistics
from .reconstruction import reconstruction_report
from .record import RunRecord, names, write_json
from .trainer import EmotionTrainer, SaveProcessorCallback

MIXED = "some corpora hold features and some clips or inputs; extract all of them in the same way"
VALIDATION_MASK_SEED = 0  # any fixed number makes losses comparable
PRESETS = {  # configuration fields that belong to each objective
    "complete": {"objective": "complete", "mask_time_prob": 0.1, "mask_time_length": 1},
    "hidden": {"objective": "hidden", "mask_time_prob": 0.5, "mask_time_length": 7},
    "future": {"objective": "future", "mask_time_prob": 0.1, "mask_time_length": 1},
    "mixed": {"objective": "mixed", "mask_time_prob": 0.5, "mask_time_length": 7},
}


def pretrain(
    train: list[AnyDataset],
    validation: list[AnyDataset],
    modality: str,
    options: RunOptions,
    reader: ClipReader,
    init: list[str] | None = None,
    settings: dict | None = None,
    statistics_limit: int | None = None,
    about: dict | None = None,
    statistics: RunningStatistics | None = None,
) -> dict:
    """Pre-train an encoder and save it, with its processor and a model card, to `options.out`.

    Args:
        train: corpora to learn from: clips, inputs or features.
        validation: corpora for the reported loss and errors on hidden frames; may be empty.
        modality: `audio` or `image`.
        options: of the run.
        reader: reads clips that stand undecoded in a dataset.
        init: checkpoints to start from, see [`start`].
        settings: configuration fields to change, such as those of one of `PRESETS`.
        statistics_limit: clips from which mean and deviation are estimated; all of them when `None`.
        about: where the data come from, for the record.
        statistics: of the features, where they are known from the manifests of the corpora; else a pass finds them.

    Returns:
        The record of the run, as written to `run.json`; with a validation dataset, `reconstruction` is its
        [`reconstruction_report`].

    Raises:
        InputError: a dataset has nothing of the modality, or a stream is used without `max_steps`.
    """
    checkpoint = options.last_checkpoint()
    for dataset in train:
        options.require_length(dataset)
    if any(isinstance(dataset, IterableDataset) for dataset in train):
        train = _stream(train, modality, reader)
    else:
        train = _frames_only(train, modality, reader, options.workers or None)
    validation = _frames_only(validation, modality, reader, options.workers or None)
    set_seed(options.seed)
    beginning = build_model("pretraining", modality, init or [], config_overrides=settings)
    model = beginning.model
    collate = ClipCollator(modality, beginning.feature_extractor, beginning.image_processor, beginning.feature_sizes)
    num_frames = model.audio_encoder.frontend.num_frames if modality == "audio" else None
    record = RunRecord(
        "pretrain",
        options,
        modality=modality,
        objective=model.config.objective,
        init=names(init),
        config=settings or {},
        **(about or {}),
    )
    args = options.training_arguments(
        has_evaluation=validation is not None,
        best_metric="loss",
        prediction_loss_only=True,
        greater_is_better=False,
        ddp_find_unused_parameters=False,  # looking for them would cost time at every step
    )
    noted = Path(args.output_dir) / "statistics.json"
    if checkpoint is not None:  # it has them
        if noted.is_file():
            record.facts["statistics"] = json.loads(noted.read_text(encoding="utf-8"))
    elif modality not in beginning.normalized:
        if statistics is not None and len(statistics.mean) == model.base_model.num_features:
            put_statistics(model, modality, statistics)
            record.facts["statistics"] = {"frames": int(statistics.count.max())}
        else:
            record.facts["statistics"] = estimate_statistics(
                model, modality, train, collate, options.batch_size, statistics_limit,
                (args.process_index, args.world_size),
            )  # fmt: skip
        if args.process_index == 0:
            write_json(noted, record.facts["statistics"])
    trainer = EmotionTrainer(
        model=model,
        args=args,
        data_collator=MaskingCollator(collate, model.config, num_frames, seed=VALIDATION_MASK_SEED),
        train_collator=MaskingCollator(collate, model.config, num_frames),
        train_dataset=train,
        eval_dataset=validation,
        callbacks=[SaveProcessorCallback(beginning.processor(modality))],
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.is_stream:
        record.facts["left_out"] = trainer.left_out()
    scores = trainer.evaluate(metric_key_prefix="validation") if validation is not None else {}
    if validation is not None and trainer.is_world_process_zero():
        record.facts["reconstruction"] = reconstruction_report(model, validation, collate, options.batch_size)
    facts = record.finish(trainer, scores, beginning.processor(modality))
    if trainer.is_world_process_zero():
        write_card(options.out)
    return facts


def _frames_only(
    corpora: list[AnyDataset], modality: str, reader: ClipReader, num_proc: int | None
) -> AnyDataset | None:
    """One dataset of the clips that have frames, with the columns that pre-training reads and no others."""
    parts = []
    for dataset in corpora:
        dataset = with_inputs(dataset, reader, num_proc)
        column = next(c for c in (FEATURE_COLUMNS[modality], INPUT_COLUMNS[modality]) if c in dataset.features)
        # looked at in Arrow: turning every frame into Python numbers would take longer than an epoch
        dataset = dataset.select_columns([column]).with_format("arrow").filter(_has_frames, batched=True)
        parts.append(dataset.with_format(None))
    if len({tuple(part.features) for part in parts}) > 1:
        raise InputError(MIXED)
    return concatenate_datasets(parts) if parts else None


def _stream(corpora: list[AnyDataset], modality: str, reader: ClipReader) -> ClipStream:
    """One stream of the corpora; clips are read when their turn has come."""
    kinds = {require_modality(dataset, modality) for dataset in corpora}
    if len(kinds) > 1:
        raise InputError(MIXED)
    if kinds == {"clips"}:
        if modality != "audio":
            reader.load()
        return ClipStream(_join(corpora), ReadClips(reader, INPUT_COLUMNS[modality]))
    column = {"features": FEATURE_COLUMNS, "inputs": INPUT_COLUMNS}[kinds.pop()][modality]
    return ClipStream(_join([dataset.select_columns([column]) for dataset in corpora]))


def _join(corpora: list[AnyDataset]) -> IterableDataset:
    streams = [
        dataset.to_iterable_dataset(num_shards=max(1, min(64, len(dataset))))
        if isinstance(dataset, Dataset)
        else dataset
        for dataset in corpora
    ]
    return concatenate_datasets(streams) if len(streams) > 1 else streams[0]


class ReadClips:
    """Makes the rows that train of the clip in a row.

    Args:
        reader: reads clips.
        column: what of it trains.
    """

    def __init__(self, reader: ClipReader, column: str):
        self.reader, self.column = reader, column

    def __call__(self, row: dict) -> list[dict]:
        """A row for each window of the clip."""
        return [{self.column: self.reader.encode(inputs)[self.column]} for inputs in self.reader.windows_of(row)]


def _has_frames(table: pa.Table) -> list[bool]:
    """For each row, whether its only column, sound or a list of frames, is there and not empty."""
    cells = table.column(0)
    if pa.types.is_null(cells.type):
        return [False] * len(cells)
    if pa.types.is_struct(cells.type):
        return pc.is_valid(pc.struct_field(cells, "bytes")).to_pylist()
    return pc.greater(pc.fill_null(pc.list_value_length(cells), 0), 0).to_pylist()


__all__ = ["PRESETS", "pretrain"]
