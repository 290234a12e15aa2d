"""Opening a dataset: a folder or file of clips, tables, or a dataset of the Hub, with its media left undecoded."""

import os
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
from datasets import (
    Audio,
    Dataset,
    Features,
    Image,
    IterableDataset,
    Value,
    Video,
    load_dataset,
)
from datasets import config as datasets_config
from datasets.exceptions import DatasetsError
from datasets.fingerprint import Hasher

from ..deprecated import renamed_names
from ..errors import InputError, shortened
from ..media.paths import MEDIA_SUFFIXES, Listing, list_files
from ..models.collections_av_emotion import undecoded as undecoded_media
from ..utils import disk_failure, reason, unwritable
from .folder import anchored, open_folder
from .schema import CLIP, FILE, FILE_NAME, IMAGE, NAME_COLUMNS
from .table_files import FILE_FORMATS, open_tables, read_table

AnyDataset: TypeAlias = Dataset | IterableDataset
STREAM_SHARDS = 64  # at most, of a table that is streamed: what several processes and workers divide among themselves


def open_dataset(
    name: str, split: str | None = None, streaming: bool = False, label_column: str | None = None
) -> AnyDataset:
    """Open a folder (clips, images or table files), a table file, a single media file, or a dataset of the Hub.

    A folder with clips in it, or below it, is a dataset of these clips, see [`open_folder`]. Paths of clips in a table
    are relative to the table. The column `clip` has the name of each clip as the folder or the table gives it.

    Args:
        name: a path or a Hub name.
        split: which split; optional where there is only one.
        streaming: read rows when they are needed, without a copy on disk.
        label_column: column of the label, if one is needed; in a folder of clips without such a column, the classes
            that its subfolders are named for.

    Returns:
        The rows. `Audio`, `Video` and `Image` columns hold `{"bytes", "path"}`: this package decodes them itself.

    Raises:
        InputError: no dataset has that name, or the split does not exist or is not unique.
    """
    path = Path(name).expanduser()
    try:
        found = _open(name, path, streaming, label_column)
    except InputError:
        raise
    except (OSError, DatasetsError, ValueError, RuntimeError, pa.ArrowException) as error:
        if disk_failure(error) is not None:  # the cache of datasets
            raise unwritable(datasets_config.HF_DATASETS_CACHE, error, " with HF_HOME") from error
        raise InputError(
            f"{name}: no dataset could be opened there ({reason(error)}); use a folder of clips or Parquet files, a "
            "table file, or the name of a dataset on the Hub"
        ) from error
    if split is None and len(found) > 1:
        raise InputError(f"{name}: has the splits {', '.join(found)}; choose one with --split")
    if split is not None and split not in found:
        raise InputError(f"{name}: has no split {split!r}; it has {', '.join(found)}")
    return undecoded(found[split or next(iter(found))])


def _open(name: str, path: Path, streaming: bool, label_column: str | None) -> dict[str, AnyDataset]:
    """The splits of a dataset."""
    if path.is_dir():
        listing = list_files(path)
        folder = open_folder(listing, label_column)
        if folder is not None:
            return {split: _streamed(rows) if streaming else rows for split, rows in folder.items()}
        tables = open_tables(listing, streaming)
        if tables is None:
            has = (
                f"it has {shortened([listing.name(file) for file in listing.files])}"
                if listing.files
                else "it is empty"
            )
            raise InputError(f"{name}: contains neither clips nor table files ({has}); name the folder that does")
        return {split: _with_anchored_paths(rows, path) for split, rows in tables.items()}
    if not path.is_file():
        found = load_dataset(name, streaming=streaming)
        return dict(found) if isinstance(found, dict) else {"train": found}
    suffix = path.suffix.lower()
    if suffix in FILE_FORMATS:
        return {"train": _with_anchored_paths(read_table(path, streaming), path.parent)}
    if suffix not in MEDIA_SUFFIXES:
        raise InputError(f"{name}: a dataset file must be a table ({', '.join(FILE_FORMATS)}) or a clip such as .mp4")
    rows = open_folder(Listing(path.parent, [path])) or {}
    return {split: _streamed(each) if streaming else each for split, each in rows.items()}


def _streamed(dataset: Dataset) -> IterableDataset:
    return dataset.to_iterable_dataset(num_shards=min(STREAM_SHARDS, len(dataset)))


def undecoded(dataset: AnyDataset) -> AnyDataset:
    """The dataset with its media left as `{"bytes", "path"}`; datasets would ask for torchcodec to decode them."""
    return undecoded_media(dataset if dataset.features is not None else dataset._resolve_features())


def _with_anchored_paths(dataset: AnyDataset, root: Path) -> AnyDataset:
    """The paths of clips and images in a table, relative to its folder `root`, made openable.

    `clip` has what the path of the clip was, and paths in a column `image` become cells of an `Image`.
    """
    if dataset.features is None:
        dataset = dataset._resolve_features()
    texts = [name for name in (*NAME_COLUMNS, IMAGE) if name in dataset.features and _is_text(dataset.features[name])]
    clips = [name for name in NAME_COLUMNS if name in texts]
    holds_media = any(_is_media(feature) for feature in dataset.features.values())
    if not texts or holds_media:  # beside media, a path says where that came from
        return dataset
    columns: dict[str, Any] = {name: Value("string") for name in clips}
    if clips == [FILE_NAME] and FILE not in dataset.features:
        columns[FILE] = Value("string")
    if clips and CLIP not in dataset.features:
        columns[CLIP] = Value("string")
    if IMAGE in texts:
        columns[IMAGE] = Image(decode=False)
    features = Features(dict(dataset.features) | columns)
    types = {name: field.type for name, field in zip(features, features.arrow_schema, strict=True)}

    def anchor(table: pa.Table) -> pa.Table:
        given = {name: table.column(name).to_pylist() for name in texts}
        paths = {name: [None if each is None else anchored(each, root) for each in given[name]] for name in texts}
        cells: dict[str, Any] = {name: table.column(name) for name in table.column_names} | paths
        if FILE in columns and FILE not in paths:
            cells[FILE] = paths[FILE_NAME]
        if CLIP in columns:
            rows = zip(*(given[name] for name in clips), strict=True)
            cells[CLIP] = [next((each for each in row if each is not None), None) for row in rows]
        if IMAGE in columns:
            cells[IMAGE] = [None if each is None else {"bytes": None, "path": each} for each in paths[IMAGE]]
        return pa.table({n: pa.array(c, types[n]) if isinstance(c, list) else c for n, c in cells.items()})

    options: dict[str, Any] = {}
    if isinstance(dataset, Dataset):  # what is computed from a file is not taken from the cache when the file changes
        stored = [name for column in texts for name in dataset[column] if name is not None]
        options["new_fingerprint"] = Hasher.hash([dataset._fingerprint, [_state(anchored(n, root)) for n in stored]])
    return dataset.with_format("arrow").map(anchor, batched=True, features=features, **options).with_format(None)


def _state(path: str) -> tuple[int, int] | None:
    """Size and time of a file; `None` where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _is_media(feature: Any) -> bool:
    """Whether a column holds files: cells with `bytes` and `path`."""
    return isinstance(feature, Audio | Image | Video) or (isinstance(feature, dict) and "bytes" in feature)


def _is_text(feature: Any) -> bool:
    return isinstance(feature, Value) and feature.dtype in ("string", "large_string")


def require_columns(dataset: AnyDataset, *columns: str | None) -> None:
    """Raise [`InputError`] for the first of `columns` (`None` is ignored) that the dataset lacks."""
    for column in columns:
        if column is not None and column not in dataset.features:
            raise InputError(
                f"column {column!r} is not in the dataset, which has {', '.join(dataset.features)}; "
                "choose one of these"
            )


def column_values(dataset: AnyDataset, column: str) -> list:
    """All values of one column; a streamed dataset is read once for it, that column alone."""
    if isinstance(dataset, Dataset):
        return list(dataset[column])
    return [row[column] for row in dataset.select_columns([column])]


__getattr__ = renamed_names(
    __name__, {"encode_labels": "data.labels.encode_labels", "label_names": "data.labels.label_names"}
)

__all__ = [
    "AnyDataset",
    "column_values",
    "open_dataset",
    "require_columns",
    "undecoded",
]
