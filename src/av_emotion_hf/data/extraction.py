"""Extraction: a dataset of clips to Parquet shards of inputs or features, which train without decoding again."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from datasets import Audio, Dataset, Features, Value
from tqdm.auto import tqdm

from ..errors import Failure, InputError
from ..models.windows_av_emotion import ClipInputs
from ..utils import atomic_write, unwritable
from .augmentation import check_probabilities
from .dataset import AnyDataset, undecoded
from .draws import numbered_draws
from .features import FeatureReader, decode_frames, encode_frames
from .reader import ClipReader
from .schema import (
    AUGMENTED,
    CLIP,
    FEATURE_COLUMNS,
    MEDIA_COLUMNS,
    SAMPLING_RATE,
    clip_name,
    decode_faces,
    decode_waveform,
    require_modality,
    round_to_16_bits,
)
from .shards import Part, ShardFolder
from .statistics import RunningStatistics
from .still_faces import with_faces
from .waveform_augmentation import WAVEFORM_AUGMENTATIONS, augment_waveform
from .workers import STALL, call_in_workers

COPYABLE = tuple(name for name in WAVEFORM_AUGMENTATIONS if name != "babble")  # of which a clip needs no other
ROW_GROUP_BYTES = 8 * 2**20  # rows that are written at a time


def extract(
    dataset: AnyDataset,
    out: str,
    reader: ClipReader,
    feature_reader: FeatureReader | None = None,
    rows_per_shard: int = 500,
    workers: int = 0,
    metadata: dict | None = None,
    stall: float = STALL,
    root: str | Path | None = None,
    augment: Mapping[str, float] | None = None,
    copies: int = 1,
) -> dict:
    """Read every clip and write `out/data/train-*.parquet` and `out/manifest.json`.

    The result is a dataset folder: `load_dataset(out)` opens it. Columns other than the media are kept, and `clip` is
    the name of the clip; one that is longer than the reader's window becomes several rows. With a `feature_reader` the
    inputs are replaced by features.

    Shards are written under temporary names in `out.partial` and renamed; when all are there, the folder is renamed
    too. An interrupted extraction resumes when it is started again, with the clips that were not written; a finished
    one does nothing. Several processes (`torchrun`, nodes with a common disk) divide the shards among themselves.

    Args:
        dataset: the clips; or inputs or pictures of faces, of which features are to be computed.
        out: folder to make.
        reader: reads a clip into inputs.
        feature_reader: computes features of inputs.
        rows_per_shard: clips in one Parquet file.
        workers: processes that read clips; a clip that crashes or hangs the decoder there is skipped. With 0 this
            process reads them.
        metadata: settings to note in the manifest, beside the reader's.
        stall: seconds without progress after which a clip is skipped.
        root: folder to which the names of clips are relative, if the dataset has no column `clip`.
        augment: by name of an augmentation of waveforms the probability with which a copy of a clip gets it, see
            [`augment_waveform`]; not `babble`, since a worker has one clip at a time. Copies go to pre-training and to
            the training part of fine-tuning.
        copies: how many augmented copies stand behind each clip, if there are augmentations; the column `augmented`
            tells them. What is drawn follows from the numbers of row, window and copy.

    Returns:
        The manifest: settings, number of clips, rows, frames and seconds, the clips that could not be read with the
        reasons (`failures`), mean and deviation of the features, and whether all processes are done (`complete`).

    Raises:
        InputError: `out` holds something else or was made with other settings, the dataset has no clips, not one could
            be read, or `out` cannot be written; or an augmentation does not exist or cannot be had here.
    """
    augment = check_probabilities(augment or {}, COPYABLE)
    if augment and (feature_reader is None or reader.modality != "audio" or copies < 1):
        raise InputError(
            f"{copies} augmented copies of {reader.modality}: these are features of voices, one copy or more; use "
            "--as features --modality audio --copies 1, or augment while training (finetune --augment)"
        )
    dataset = with_faces(undecoded(dataset))
    wanted = [modality for modality in ("audio", "image") if reader.modality in (modality, "both")]
    kinds = {require_modality(dataset, modality) for modality in wanted}
    if "clips" not in kinds and (feature_reader is None or "features" in kinds):
        raise InputError("the dataset already holds what was asked for; there is nothing to extract")
    clip_reader = reader if "clips" in kinds else None
    total = dataset.num_rows if isinstance(dataset, Dataset) else None
    settings = {**(metadata or {}), "clips": total, "rows_per_shard": rows_per_shard}
    for part_of_settings in (clip_reader, feature_reader):
        settings |= part_of_settings.settings if part_of_settings is not None else {}
    if augment:  # else a folder that an earlier version has begun could not be continued
        settings |= {"augment": augment, "copies": copies}
    folder = ShardFolder(out, settings)
    if folder.manifest is not None:
        return folder.manifest
    columns = _columns(dataset, clip_reader, feature_reader)
    if augment:
        columns[AUGMENTED] = Value("bool")
    augmented_copies = AugmentedCopies(augment, copies) if augment else None
    task = ClipTask(clip_reader, feature_reader, columns, folder.partial / "clips", augmented_copies)
    try:
        with tqdm(total=total, desc="Reading clips", unit="clip") as bar:
            for part in folder.parts(dataset, rows_per_shard):
                _write_part(part, task, folder, workers, stall, root, bar.update)
        return folder.finish() if folder.is_complete(dataset, rows_per_shard) else folder.summary()
    except OSError as error:
        raise unwritable(folder.partial, error, ", then run the same command again to resume") from error


class AugmentedCopies:
    """Makes augmented copies of waveforms, the same whenever it is asked for them.

    Args:
        probabilities: of augmentations of waveforms, by name.
        count: copies of each.
    """

    def __init__(self, probabilities: Mapping[str, float], count: int):
        self.probabilities, self.count = probabilities, count

    def __call__(self, waveform: np.ndarray, *numbers: int) -> Iterator[np.ndarray]:
        """The copies of a waveform `(samples,)`, which `numbers` tell from all others; of one of length 0 none."""
        for copy in range(self.count if len(waveform) else 0):
            with numbered_draws(*numbers, copy):
                augmented = augment_waveform(torch.from_numpy(waveform), self.probabilities)
            yield augmented.numpy()


class ClipTask:
    """Reads one row of a dataset and writes the rows that it becomes to a file, from which a shard takes them.

    The file outlives an interrupted run, so that nothing is read twice; and a long clip never is in memory as a whole.

    Args:
        reader: reads clips; None where rows hold inputs already.
        feature_reader: computes features; None where inputs are wanted.
        columns: what is written.
        folder: where the files go.
        copies: makes augmented copies, of which features are computed as well; None for none.
    """

    def __init__(
        self,
        reader: ClipReader | None,
        feature_reader: FeatureReader | None,
        columns: Features,
        folder: Path,
        copies: AugmentedCopies | None = None,
    ):
        self.reader, self.feature_reader, self.columns, self.folder = reader, feature_reader, columns, folder
        self.copies = copies

    @property
    def needs_spawn(self) -> bool:
        """Whether a worker must be a fresh process: a forked one cannot use a GPU."""
        return self.feature_reader is not None and self.feature_reader.device.type != "cpu"

    def __call__(self, item: tuple[str, dict], alive: Callable[[], None]) -> None:
        """Write the file of one row.

        Raises:
            InputError: the clip cannot be read.
        """
        name, row = item
        path = self.path(name)
        if path.exists():
            return
        schema = self.columns.arrow_schema
        with atomic_write(path) as partial, pa.OSFile(str(partial), "wb") as file:
            with pa.ipc.new_stream(file, schema) as stream:
                for cells in self._rows(name, row):
                    stream.write_batch(_record_batch(cells, schema))
                    alive()

    def _rows(self, name: str, row: dict) -> Iterator[dict]:
        reader, features_of = self.reader, self.feature_reader
        if features_of is None:
            assert reader is not None  # else there would be nothing to extract
            yield from reader.rows(row)
            return
        windows: Iterable[dict]
        if reader is None:
            waveform = decode_waveform(row.get("audio"))
            windows = [row | features_of(waveform, decode_faces(row.get("faces")))]
        else:
            encode = reader.encode

            def cells(inputs: ClipInputs) -> dict:  # of the waveform that stored inputs would have
                nonlocal waveform  # that of the present window
                waveform = round_to_16_bits(inputs.waveform)
                return encode(inputs, media=False) | features_of(waveform, inputs.crops)

            windows = reader.rows(row, cells)
        for window, made in enumerate(windows):
            if self.copies is None:
                yield made
                continue
            yield made | {AUGMENTED: False}
            for copy in self.copies(waveform, *map(int, name.split("-")), window):
                yield made | features_of(copy, ()) | {"duration": len(copy) / SAMPLING_RATE, AUGMENTED: True}

    def path(self, name: str) -> Path:
        """File of the row `name`."""
        return self.folder / f"{name}.arrow"

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """What the file of the row `name` holds."""
        with pa.OSFile(str(self.path(name))) as file, pa.ipc.open_stream(file) as stream:
            yield from stream


def _record_batch(cells: dict, schema: pa.Schema) -> pa.RecordBatch:
    """One row; features go to Arrow as they are in memory, without a Python number for each value."""
    columns = [
        encode_frames(cells[field.name])
        if isinstance(cells[field.name], np.ndarray)
        else pa.array([cells[field.name]], field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _write_part(
    part: Part,
    task: ClipTask,
    folder: ShardFolder,
    workers: int,
    stall: float,
    root: str | Path | None,
    progress: Callable[[], object],
) -> None:
    """Read the clips of one shard; write it and its record."""
    totals = _Totals(task.feature_reader)
    names = []
    with folder.writer(part.name, task.columns.arrow_schema) as write:
        items = ((f"{part.name}-{number:07d}", {CLIP: clip_name(row, root)} | row) for number, row in part.rows)
        held: list[pa.RecordBatch] = []
        for outcome in call_in_workers(task, items, workers, stall, spawn=task.needs_spawn):
            progress()
            name, row = outcome.item
            names.append(name)
            if outcome.error is not None:
                failure = Failure(row=int(name.rpartition("-")[2]), error=outcome.error)
                if clip := clip_name(row):
                    failure["clip"] = clip
                totals.failures.append(failure)
                continue
            totals.clips += 1
            for batch in task.batches(name):
                totals.add(batch)
                held.append(batch)
                if sum(each.nbytes for each in held) > ROW_GROUP_BYTES:
                    write(held)
                    held = []
        write(held)
    folder.write_record(part.name, totals.record() | {"rows_read": len(names), "last": part.is_last()})
    for name in names:
        task.path(name).unlink(missing_ok=True)


class _Totals:
    """Counts what goes into a shard."""

    def __init__(self, feature_reader: FeatureReader | None):
        self.feature_reader = feature_reader
        self.clips, self.rows, self.seconds = 0, 0, 0.0
        self.frames: dict[str, int] = {}
        self.failures: list[Failure] = []
        self.statistics: dict[str, RunningStatistics] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        self.rows += len(batch)
        self.seconds += sum(batch.column("duration").to_pylist())
        for name in ("faces", *FEATURE_COLUMNS.values()):
            if name in batch.schema.names:
                column = batch.column(name)
                self.frames[name] = self.frames.get(name, 0) + len(column.flatten())
                if name != "faces":
                    self._update_statistics(name, np.concatenate(decode_frames(column)))

    def _update_statistics(self, name: str, frames: np.ndarray) -> None:
        if len(frames):
            if name not in self.statistics:
                defined_cells = self.feature_reader.defined_cells(name) if self.feature_reader is not None else None
                self.statistics[name] = RunningStatistics(frames.shape[1], defined_cells)
            self.statistics[name].update(frames)

    def record(self) -> dict:
        statistics = {name: statistics.as_dict() for name, statistics in self.statistics.items()}
        counts = {"clips": self.clips, "rows": self.rows, "seconds": self.seconds, "frames": self.frames}
        return counts | {"failures": self.failures, "statistics": statistics}


def _columns(dataset: AnyDataset, reader: ClipReader | None, feature_reader: FeatureReader | None) -> Features:
    """What is written: the dataset's own columns, with inputs or features in place of the clips."""
    columns = dict(dataset.features)
    if reader is not None:
        columns = {CLIP: Value("string")} | {
            name: column for name, column in columns.items() if name not in MEDIA_COLUMNS
        }
        columns |= dict(reader.features)
        if "audio" in columns:
            columns["audio"] = Audio(sampling_rate=SAMPLING_RATE, decode=False)
    if feature_reader is not None:
        columns = {name: column for name, column in columns.items() if name not in ("audio", "faces")}
        columns |= dict(feature_reader.features)
    return Features(columns)


__all__ = ["AugmentedCopies", "ClipTask", "extract"]
