"""Tables of the voices in a dataset: acoustic descriptors per frame or functionals per clip, as Parquet or CSV."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from datasets import ClassLabel, Dataset, Value
from huggingface_hub.errors import StrictDataclassError
from tqdm.auto import tqdm

from ..data.dataset import AnyDataset, undecoded
from ..data.schema import CLIP, MEDIA_COLUMNS, SAMPLING_RATE, clip_name, clip_source
from ..errors import Failure, InputError, as_input_error
from ..media import Clip, open_clip
from ..utils import atomic_write, require_writable, writing
from .descriptors import acoustic_descriptors, acoustic_functionals, stream_descriptors

WRITERS = {".parquet": pa.parquet.ParquetWriter, ".csv": pa.csv.CSVWriter}
FORMS = ("descriptors", "functionals")
BATCH_SECONDS = 600.0  # of audio at once: 40 MB of it


def write_table(
    dataset: AnyDataset,
    out: str,
    form: str = "descriptors",
    descriptors: Sequence[str] = ("egemaps", "voiced"),
    deltas: bool = False,
    root: str | Path | None = None,
    batch_seconds: float = BATCH_SECONDS,
    metadata: dict | None = None,
) -> dict:
    """Describe the voice of every clip and write one table.

    Its columns are `clip` (the file, or the number of the row where the dataset names none), the dataset's own scalar
    columns, and either `time` (seconds from the start of the file) and the descriptors, a row per 10 ms frame, or the
    88 functionals of eGeMAPSv02, a row per clip. The values are those of [`acoustic_descriptors`] and
    [`acoustic_functionals`] at 16 kHz. The table is written under a temporary name and renamed at the end.

    Args:
        dataset: clips, or inputs that `extract` wrote.
        out: file to make, `.parquet` or `.csv`.
        form: one of `FORMS`.
        descriptors: names of descriptors or of their families; not for functionals.
        deltas: whether to add the slope of each descriptor over time.
        root: folder to which the names of clips are relative, if the dataset has no column `clip`.
        batch_seconds: audio that is held in memory at once. The descriptors of a longer clip are written in pieces;
            its functionals need the whole clip.
        metadata: settings to note in the summary, beside those of the table.

    Returns:
        `settings`, `clips`, `rows`, `seconds`, and the clips that could not be read (`failures`: `clip`, `row`,
        `error`).

    Raises:
        InputError: `out` exists, has another suffix or cannot be written, a descriptor is unknown, the dataset has no
            audio or a column of the same name as the table, or not one clip could be read.
    """
    dataset = undecoded(dataset)
    path = Path(out)
    if path.suffix.lower() not in WRITERS:
        raise InputError(f"{out}: a table is a file that ends in {' or '.join(WRITERS)}; choose such a name for --out")
    if path.exists():
        raise InputError(f"{out}: exists already; choose another --out or remove it first")
    require_writable(out)
    if not any(column in dataset.features for column in MEDIA_COLUMNS):
        raise InputError(
            f"the dataset has no audio: expected a column {', '.join(MEDIA_COLUMNS)}; "
            f"it has {', '.join(dataset.features)}"
        )
    describe = _describer(form, descriptors, deltas)
    own = _own_columns(dataset)
    described = {name: np.asarray(values).dtype for name, values in describe([np.zeros(1, np.float32)])[0].items()}
    if set(own) & set(described):
        raise InputError(
            f"column {min(set(own) & set(described))!r} of the dataset has the name of a column of the table; rename "
            "it"
        )
    schema = pa.schema(own | {name: pa.from_numpy_dtype(kind) for name, kind in described.items()})

    settings = (metadata or {}) | {"as": form}
    if form == "descriptors":
        settings |= {"descriptors": list(descriptors), "deltas": deltas}
    failures: list[Failure] = []
    num_clips, num_rows, seconds = 0, 0, 0.0
    with writing(path, only_disk=True), atomic_write(path) as partial:
        with WRITERS[path.suffix.lower()](str(partial), schema) as writer:
            for rows, clips in _batches(dataset, root, batch_seconds, failures):
                pieces: Iterator[list[dict]]
                if form == "descriptors" and clips[0].duration > batch_seconds:
                    stream = stream_descriptors(clips[0].audio(), SAMPLING_RATE, descriptors, deltas)
                    pieces = ([piece] for piece in stream)
                else:
                    pieces = iter([describe([clip.waveform for clip in clips if clip.waveform is not None])])
                for tables in pieces:
                    table = _table(rows, tables, schema)
                    writer.write_table(table)
                    num_rows += len(table)
                num_clips += len(rows)
                seconds += sum(clip.duration for clip in clips)
        if not num_clips:
            cause = failures[0]["error"] if failures else "the dataset is empty"
            raise InputError(f"{out}: not one clip could be read, nothing was written; the first reason: {cause}")
    return {
        "settings": settings,
        "clips": num_clips,
        "rows": num_rows,
        "seconds": round(float(seconds), 2),
        "failures": failures,
    }


def _describer(form: str, descriptors: Sequence[str], deltas: bool) -> Callable[[list[np.ndarray]], list[dict]]:
    """From waveforms (samples,) to the columns of each; the arguments are checked here, before a clip is read."""
    if form not in FORMS:
        raise InputError(f"form {form!r} is not one of {', '.join(FORMS)}")
    if form == "functionals":
        return lambda waveforms: cast(list[dict], acoustic_functionals(waveforms, SAMPLING_RATE))

    def describe(waveforms: list[np.ndarray]) -> list[dict]:
        return cast(list[dict], acoustic_descriptors(waveforms, SAMPLING_RATE, descriptors, deltas))

    try:
        describe([np.zeros(1, np.float32)])
    except StrictDataclassError as error:
        raise as_input_error(error) from error
    return describe


def _own_columns(dataset: AnyDataset) -> dict[str, pa.DataType]:
    """Type of the name of a clip and of the dataset's scalar columns; classes are written by name."""
    columns = {CLIP: pa.string()}
    for name, feature in dataset.features.items():
        if isinstance(feature, ClassLabel):
            columns[name] = pa.string()
        elif isinstance(feature, Value) and name not in (*MEDIA_COLUMNS, CLIP) and "binary" not in feature.dtype:
            columns[name] = feature.pa_type
    return columns


def _batches(
    dataset: AnyDataset, root: str | Path | None, batch_seconds: float, failures: list[Failure]
) -> Iterator[tuple[list[dict], list[Clip]]]:
    """Rows with the name of their clip, and these clips; a long one comes alone, one without audio in `failures`."""
    classes = {name: feature for name, feature in dataset.features.items() if isinstance(feature, ClassLabel)}
    rows: list[dict] = []
    clips: list[Clip] = []
    seconds = 0.0
    total = dataset.num_rows if isinstance(dataset, Dataset) else None
    for number, row in enumerate(tqdm(dataset, total=total, desc="Reading clips", unit="clip")):
        name = clip_name(row, root) or str(number)
        try:
            clip = open_voice(row)
        except InputError as error:
            failures.append(Failure(clip=name, row=number, error=str(error)))
            continue
        if rows and seconds + clip.duration > batch_seconds:
            yield rows, clips
            rows, clips, seconds = [], [], 0.0
        named = {
            column: None if row[column] is None or row[column] < 0 else feature.int2str(row[column])
            for column, feature in classes.items()
        }
        rows.append(row | named | {CLIP: name})
        clips.append(clip)
        seconds += clip.duration
    if rows:
        yield rows, clips


def _table(rows: list[dict], tables: list[dict], schema: pa.Schema) -> pa.Table:
    """The tables of several clips as one, with the columns of their rows repeated for each frame."""
    lengths = [np.size(next(iter(table.values()))) for table in tables]
    clip_of = np.repeat(np.arange(len(rows)), lengths)
    columns = {}
    for field in schema:
        if field.name in tables[0]:
            columns[field.name] = np.concatenate([np.atleast_1d(table[field.name]) for table in tables])
        else:
            columns[field.name] = pa.array([row[field.name] for row in rows], field.type).take(pa.array(clip_of))
    return pa.table(columns, schema)


def open_voice(row: dict) -> Clip:
    """The whole clip of a row: neither silence, a black start nor what sounds before the video starts is cut.

    Raises:
        InputError: the clip cannot be read or has no audio.
    """
    clip = open_clip(clip_source(row), trim_black=False)
    if not clip.has_audio:
        raise InputError(f"{clip.name}: has no audio, and a voice is to be described; remove the clip")
    return clip


__all__ = ["FORMS", "write_table"]
