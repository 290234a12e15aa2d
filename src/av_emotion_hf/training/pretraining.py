"""Masked-frame pre-training on unlabeled clips (CN112633263A, modules 2 and 5)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, IterableDataset, concatenate_datasets
from transformers import set_seed

from ..checkpoints import build_model, load_speech_encoder
from ..data.clip_stream import ClipStream
from ..data.collators import ClipCollator, MaskingCollator
from ..data.corpora import joined_rows
from ..data.dataset import AnyDataset
from ..data.reader import ClipReader, ReaderOptions, with_inputs
from ..data.schema import FEATURE_COLUMNS, INPUT_COLUMNS, NUM_DESCRIPTORS, require_modality, round_to_16_bits
from ..data.splits import group_names, keep_groups, split_groups
from ..data.statistics import RunningStatistics
from ..errors import InputError
from ..models.windows_av_emotion import ClipInputs
from ..utils import read_json, write_json
from .arguments import EmotionTrainingArguments
from .distillation import distillation_report, with_teacher
from .normalization import estimate_statistics, set_feature_statistics
from .reconstruction import reconstruction_report
from .record import RunRecord, checkpoint_names, speech_encoder_facts
from .trainer import EmotionTrainer, SaveProcessorCallback

MIXED = "some datasets hold features (of a speech encoder) and some do not; extract all of them in the same way"
VALIDATION_MASK_SEED = 0  # any fixed number makes losses comparable
PRESETS = {  # configuration fields that belong to each objective
    "complete": {"objective": "complete", "mask_time_prob": 0.1, "mask_time_length": 1},
    "hidden": {"objective": "hidden", "mask_time_prob": 0.5, "mask_time_length": 7},
    "future": {"objective": "future", "mask_time_prob": 0.1, "mask_time_length": 1},
    "mixed": {"objective": "mixed", "mask_time_prob": 0.5, "mask_time_length": 7},
    "distill": {"objective": "distill", "mask_time_prob": 0.1, "mask_time_length": 7},
}


def pretrain(
    train: list[AnyDataset],
    validation: list[AnyDataset] | None = None,
    *,
    args: EmotionTrainingArguments,
    modality: str,
    init: list[str] | None = None,
    config_overrides: dict[str, Any] | None = None,
    speech_encoder: str | None = None,
    speech_layers: int | None = None,
    reader_options: ReaderOptions | None = None,
    statistics: RunningStatistics | None = None,
    statistics_limit: int | None = None,
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Pre-train an encoder and save it, with its processor and a model card, to `args.output_dir`.

    Args:
        train: datasets to learn from: clips, inputs or features; for the objective `distill` features that were
            extracted with a speech encoder, whose states the model learns to predict from the descriptors.
        validation: datasets for the reported loss and errors on hidden frames.
        args: of the run.
        modality: `audio` or `image`.
        init: checkpoints to start from, see [`build_model`].
        config_overrides: configuration fields to change, such as those of one of `PRESETS`.
        speech_encoder: backbone of a new audio model, see [`load_speech_encoder`].
        speech_layers: layers of it that are used; all of them when `None`.
        reader_options: how undecoded clips of a dataset are read.
        statistics: of the features, where the manifests of the datasets have them; otherwise a pass estimates them.
        statistics_limit: number of clips from which mean and deviation are estimated; all of them when `None`.
        metadata: where the data come from, for the record.

    Returns:
        The record of the run, as written to `run.json`; with validation data, `reconstruction` is its
        [`reconstruction_report`], or `distillation` its [`distillation_report`].

    Raises:
        InputError: a dataset has nothing of the modality (or to distill), or a stream is used without `max_steps`.
    """
    checkpoint = args.last_checkpoint()
    for dataset in train:
        args.require_length(dataset)
    config_overrides = config_overrides or {}
    if modality == "audio":
        config_overrides = with_teacher(config_overrides, init or [], [*train, *(validation or [])], speech_encoder)
    reader, num_proc = ClipReader(modality, reader_options), args.dataloader_num_workers or None
    set_seed(args.seed)
    backbone = load_speech_encoder(speech_encoder, speech_layers)
    initial = build_model(
        "pretraining", modality, init or [], config_overrides=config_overrides, speech_encoder=backbone
    )
    train_rows: AnyDataset | ClipStream | None
    if any(isinstance(dataset, IterableDataset) for dataset in train):
        train_rows = _stream(train, modality, reader)
    else:
        train_rows = _frames_only(train, modality, reader, num_proc, "training")
    if train_rows is None:
        raise InputError("there is no dataset to learn from; give at least one")
    validation_rows = _frames_only(validation or [], modality, reader, num_proc, "validation")
    processor = initial.processor(modality)
    model: Any = initial.model  # its encoder is known to no type
    distills = model.config.objective == "distill"
    sizes = initial.feature_sizes | ({"teacher": model.config.teacher_size} if distills else {})
    collate = ClipCollator(modality, initial.feature_extractor, initial.image_processor, sizes)
    num_frames = model.audio_encoder.frontend.num_frames if modality == "audio" else None
    record = RunRecord(
        "pretrain",
        args,
        modality=modality,
        objective=model.config.objective,
        init=checkpoint_names(init),
        **speech_encoder_facts(speech_encoder, speech_layers),
        config=config_overrides,
        **(metadata or {}),
    )
    has_evaluation = validation_rows is not None
    trainer_args = args.for_recipe(
        has_evaluation=has_evaluation,
        best_metric="loss",
        prediction_loss_only=True,
        ddp_find_unused_parameters=False,  # looking for them would cost time at every step
    )
    noted = Path(str(trainer_args.output_dir)) / "statistics.json"
    if checkpoint is not None:  # it has them
        if noted.is_file():
            record.facts["statistics"] = read_json(noted)
    elif modality not in initial.normalized or distills:
        teacher_only = modality in initial.normalized
        # those of a manifest are of all frames
        of_all = not model.config.pool_voiced
        if statistics is not None and of_all and len(statistics.mean) == sum(sizes.values()):
            set_feature_statistics(model, modality, statistics, teacher_only)
            record.facts["statistics"] = {"frames": int(statistics.count.max())}
        else:
            record.facts["statistics"] = estimate_statistics(
                model,
                modality,
                train_rows,
                collate,
                args.per_device_train_batch_size,
                statistics_limit,
                (args.process_index, args.world_size),
                teacher_only,
            )
        if args.process_index == 0:
            write_json(noted, record.facts["statistics"])
    validation_collate = MaskingCollator(collate, model.config, num_frames, seed=VALIDATION_MASK_SEED)
    trainer = EmotionTrainer(
        model=model,
        args=trainer_args,
        data_collator=validation_collate,
        train_collator=MaskingCollator(collate, model.config, num_frames),
        train_dataset=train_rows,
        eval_dataset=validation_rows,
        callbacks=[SaveProcessorCallback(processor)],
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.stream is not None:
        record.facts["failures"] = trainer.skipped()
    scores = trainer.evaluate(metric_key_prefix="validation") if has_evaluation else {}
    if validation_rows is not None and trainer.is_world_process_zero():
        size = args.per_device_train_batch_size
        if distills:
            record.facts["distillation"] = distillation_report(model, validation_rows, validation_collate, size)
        else:
            record.facts["reconstruction"] = reconstruction_report(model, validation_rows, collate, size)
    facts = record.finish(trainer, scores, processor)
    if trainer.is_world_process_zero():
        record.write_card()
    return facts


def hold_out_groups(
    datasets: Iterable[tuple[str, AnyDataset]], group_column: str, validation_fraction: float = 0.1, seed: int = 0
) -> tuple[list[AnyDataset], list[AnyDataset], dict[str, dict[str, list[str]]]]:
    """Set groups of each dataset aside for validation.

    Args:
        datasets: each with the name under which the record has it.
        group_column: column of the group (speaker).
        validation_fraction: fraction of the groups of each dataset.
        seed: of the draw.

    Returns:
        The datasets to train on, those to validate on, and by name which groups are where.
    """
    train, validation, groups = [], [], {}
    for name, dataset in datasets:
        parts = split_groups(group_names(dataset, group_column), validation_fraction=validation_fraction, seed=seed)
        groups[name] = parts.as_dict()
        train.append(keep_groups(dataset, group_column, parts.train))
        if parts.validation:
            validation.append(keep_groups(dataset, group_column, parts.validation))
    return train, validation, groups


def _frames_only(
    datasets: list[AnyDataset], modality: str, reader: ClipReader, num_proc: int | None, part: str
) -> AnyDataset | None:
    """One dataset of the clips that have frames, with no columns but those that pre-training reads."""
    parts = []
    for dataset in datasets:
        dataset = with_inputs(dataset, reader, num_proc, part)
        column = next(c for c in (FEATURE_COLUMNS[modality], INPUT_COLUMNS[modality]) if c in dataset.features)
        dataset = _select(dataset, column)
        # looked at in Arrow: turning every frame into Python numbers would take longer than an epoch
        dataset = dataset.with_format("arrow").filter(_has_frames, batched=True)
        # likewise while it trains; encoded audio and crops are no arrays
        parts.append(dataset.with_format("numpy" if column == FEATURE_COLUMNS[modality] else None))
    if len({tuple(part.features) for part in parts}) > 1:
        raise InputError(MIXED)
    return joined_rows(parts) if parts else None


def _stream(datasets: list[AnyDataset], modality: str, reader: ClipReader) -> ClipStream:
    """One stream of all datasets; clips are read when it is their turn."""
    kinds = {require_modality(dataset, modality) for dataset in datasets}
    if len(kinds) > 1:
        raise InputError(MIXED)
    if kinds == {"clips"}:
        if modality != "audio":
            reader.load()
        return ClipStream(_join(datasets), ReadClips(reader, modality))
    column = {"features": FEATURE_COLUMNS, "inputs": INPUT_COLUMNS}[kinds.pop()][modality]
    return ClipStream(_join([_select(dataset, column) for dataset in datasets]))


def _select(dataset: AnyDataset, column: str) -> AnyDataset:
    """The column that is read; beside features of a voice, how many of them are descriptors."""
    wanted = [column] + [NUM_DESCRIPTORS] * (column == FEATURE_COLUMNS["audio"])
    return dataset.select_columns([name for name in wanted if name in dataset.features])


def _join(datasets: list[AnyDataset]) -> IterableDataset:
    streams = [
        dataset.to_iterable_dataset(num_shards=max(1, min(64, len(dataset))))
        if isinstance(dataset, Dataset)
        else dataset
        for dataset in datasets
    ]
    return concatenate_datasets(streams) if len(streams) > 1 else streams[0]


class ReadClips:
    """Reads the clip in a row into training rows: the arrays that [`ClipCollator`] accepts.

    Args:
        reader: reads clips.
        modality: `audio` or `image`.
    """

    def __init__(self, reader: ClipReader, modality: str):
        self.reader, self.modality = reader, modality

    def __call__(self, row: dict) -> list[dict]:
        """A row for each window of the clip."""
        name = "waveform" if self.modality == "audio" else "crops"
        return [{name: cells[name]} for cells in self.reader.rows(row, self._arrays)]

    def _arrays(self, inputs: ClipInputs) -> dict:
        if self.modality == "audio":
            return {"waveform": round_to_16_bits(inputs.waveform)}
        return {"crops": inputs.crops}


def _has_frames(table: pa.Table) -> list[bool]:
    """For each row, whether its first column, audio or a list of frames, is there and not empty."""
    cells = table.column(0)
    if pa.types.is_null(cells.type):
        return [False] * len(cells)
    if pa.types.is_struct(cells.type):
        return pc.is_valid(pc.struct_field(cells, "bytes")).to_pylist()
    return pc.greater(pc.fill_null(pc.list_value_length(cells), 0), 0).to_pylist()


__all__ = ["PRESETS", "hold_out_groups", "pretrain"]
