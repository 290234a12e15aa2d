"""Extraction: a dataset of clips to Parquet shards of inputs or features, which train without decoding again."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from datasets import Audio, Dataset, Features
from tqdm.auto import tqdm

from ..errors import InputError
from .dataset import AnyDataset
from .features import FeatureReader
from .reader import ClipReader
from .schema import (
    FEATURE_COLUMNS,
    MEDIA_COLUMNS,
    SAMPLING_RATE,
    clip_name,
    decode_faces,
    decode_waveform,
    encode_waveform,
    require_modality,
)
from .shards import Part, ShardFolder
from .statistics import RunningStatistics
from .workers import STALL, call_in_workers

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
) -> dict:
    """Read every clip and write `out/data/train-*.parquet` and `out/manifest.json`.

    The result is a dataset folder: `load_dataset(out)` opens it. Columns other than the clip are kept; a clip that is
    longer than the reader's window becomes several rows. With a `feature_reader` the inputs are replaced by features.

    Shards are written under temporary names in `out.partial` and renamed; when all are there, the folder is. Started
    again after it was killed, it goes on with the clips that are not written yet; started again when done, it does
    nothing. Several processes (`torchrun`, nodes with a common disk) share the shards out among themselves.

    Args:
        dataset: the clips; or inputs, of which features are to be made.
        out: folder to make.
        reader: reads a clip into inputs.
        feature_reader: makes features of inputs.
        rows_per_shard: clips in one Parquet file.
        workers: processes that read clips; a clip that crashes or hangs its decoder there costs that clip only. With 0
            this process reads them.
        metadata: settings to note in the manifest, beside the reader's.
        stall: seconds after which a clip that does not get on is given up.

    Returns:
        The manifest: settings, number of clips, rows, frames and seconds, the clips that could not be read with the
        reasons, mean and deviation of the features, and whether all processes are done (`complete`).

    Raises:
        InputError: `out` holds something else or was made with other settings, the dataset has no clips, not one could
            be read, or the disk is full.
    """
    wanted = [modality for modality in ("audio", "image") if reader.modality in (modality, "both")]
    kinds = {require_modality(dataset, modality) for modality in wanted}
    if "clips" not in kinds and (feature_reader is None or "features" in kinds):
        raise InputError("the dataset holds what was asked for already; there is nothing to extract")
    clip_reader = reader if "clips" in kinds else None
    total = dataset.num_rows if isinstance(dataset, Dataset) else None
    settings = {**(metadata or {}), "clips": total, "rows_per_shard": rows_per_shard}
    for part in (clip_reader, feature_reader):
        settings |= part.settings if part is not None else {}
    folder = ShardFolder(out, settings)
    if folder.manifest is not None:
        return folder.manifest
    task = ClipTask(
        clip_reader, feature_reader, _columns(dataset, clip_reader, feature_reader), folder.partial / "clips"
    )
    try:
        with tqdm(total=total, desc="Reading clips", unit="clip") as bar:
            for part in folder.parts(dataset, rows_per_shard):
                _write_part(part, task, folder, workers, stall, bar.update)
        return folder.finish() if folder.is_complete(dataset, rows_per_shard) else folder.summary()
    except OSError as error:
        raise InputError(
            f"{folder.partial}: cannot be written ({error.strerror or error}); mend that and start again: it goes on "
            "where it stopped"
        ) from error


class ClipTask:
    """Reads one row of a dataset and leaves what comes out of it in a file, from which a shard takes it.

    The file outlives a killed run, so that nothing is read twice; and a long clip never is in memory as a whole.

    Args:
        reader: reads clips; None where rows hold inputs already.
        feature_reader: makes features; None where inputs are wanted.
        columns: what is written.
        folder: where the files go.
    """

    def __init__(
        self, reader: ClipReader | None, feature_reader: FeatureReader | None, columns: Features, folder: Path
    ):
        self.reader, self.feature_reader, self.columns, self.folder = reader, feature_reader, columns, folder

    def __call__(self, item: tuple[str, dict], alive: Callable[[], None]) -> None:
        """Write the file of one row.

        Raises:
            InputError: the clip cannot be read.
        """
        name, row = item
        path = self.path(name)
        if path.exists():
            return
        hidden = path.with_suffix(".tmp")
        schema = self.columns.arrow_schema
        with pa.OSFile(str(hidden), "wb") as file, pa.ipc.new_stream(file, schema) as stream:
            for cells in self._rows(row):
                cells = {column: cells[column] for column in self.columns}
                stream.write_batch(pa.RecordBatch.from_pylist([cells], schema=schema))
                alive()
        hidden.rename(path)

    def _rows(self, row: dict) -> Iterator[dict]:
        if self.reader is None:
            yield row | self.feature_reader(decode_waveform(row.get("audio")), decode_faces(row.get("faces")))
            return
        for inputs in self.reader.windows_of(row):
            cells = row | self.reader.encode(inputs, media=self.feature_reader is None)
            if self.feature_reader is not None:
                cells |= self.feature_reader(
                    decode_waveform({"bytes": encode_waveform(inputs.waveform)}), list(inputs.crops)
                )
            del inputs  # its crops, before the next window is read
            yield cells

    def path(self, name: str) -> Path:
        """File of the row `name`."""
        return self.folder / f"{name}.arrow"

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """What the file of the row `name` holds."""
        with pa.OSFile(str(self.path(name))) as file, pa.ipc.open_stream(file) as stream:
            yield from stream


def _write_part(
    part: Part, task: ClipTask, folder: ShardFolder, workers: int, stall: float, progress: Callable[[], None]
) -> None:
    """Read the clips of one shard; write it and its record."""
    tally = _Tally(task.feature_reader)
    names = []
    with folder.writer(part.name, task.columns.arrow_schema) as write:
        items = ((f"{part.name}-{number:07d}", row) for number, row in part.rows)
        held: list[pa.RecordBatch] = []
        for outcome in call_in_workers(task, items, workers, stall):
            progress()
            name, row = outcome.item
            names.append(name)
            if outcome.error is not None:
                number = int(name.rpartition("-")[2])
                tally.failures.append({"row": number, "clip": clip_name(row), "error": outcome.error})
                continue
            tally.clips += 1
            for batch in task.batches(name):
                tally.add(batch)
                held.append(batch)
                if sum(each.nbytes for each in held) > ROW_GROUP_BYTES:
                    write(held)
                    held = []
        write(held)
    folder.note(part.name, tally.record() | {"rows_read": len(names), "last": part.is_last()})
    for name in names:
        task.path(name).unlink(missing_ok=True)


class _Tally:
    """Counts what goes into a shard."""

    def __init__(self, feature_reader: FeatureReader | None):
        self.feature_reader = feature_reader
        self.clips, self.rows, self.seconds = 0, 0, 0.0
        self.frames: dict[str, int] = {}
        self.failures: list[dict] = []
        self.statistics: dict[str, RunningStatistics] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        self.rows += len(batch)
        self.seconds += sum(batch.column("duration").to_pylist())
        for column in ("faces", *FEATURE_COLUMNS.values()):
            if column in batch.schema.names:
                frames = batch.column(column).flatten()
                self.frames[column] = self.frames.get(column, 0) + len(frames)
                if column != "faces" and len(frames):
                    values = frames.flatten().to_numpy().reshape(len(frames), -1)
                    statistics = self.statistics.setdefault(column, RunningStatistics(values.shape[1]))
                    statistics.update(values, self.feature_reader.defined_cells(column, values))

    def record(self) -> dict:
        statistics = {column: statistics.as_dict() for column, statistics in self.statistics.items()}
        counts = {"clips": self.clips, "rows": self.rows, "seconds": self.seconds, "frames": self.frames}
        return counts | {"failures": self.failures, "statistics": statistics}


def _columns(dataset: AnyDataset, reader: ClipReader | None, feature_reader: FeatureReader | None) -> Features:
    """What is written: the dataset' own columns, with inputs or features in place of the clips."""
    columns = dict(dataset.features)
    if reader is not None:
        columns = {name: column for name, column in columns.items() if name not in MEDIA_COLUMNS}
        columns |= dict(reader.features)
        if "audio" in columns:
            columns["audio"] = Audio(sampling_rate=SAMPLING_RATE, decode=False)
    if feature_reader is not None:
        columns = {name: column for name, column in columns.items() if name not in ("audio", "faces")}
        columns |= dict(feature_reader.features)
    return Features(columns)


__all__ = ["ClipTask", "extract"]
