"""A folder of clips or of images as a dataset: its splits, the classes of its subfolders, and its metadata."""

import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import ClassLabel, Dataset, Features, Image, NamedSplit, Value, config

from ..errors import InputError, printable, shortened
from ..media.paths import IMAGE_SUFFIXES, MEDIA_SUFFIXES, Listing, keep_files
from ..utils import atomic_write
from .schema import CLIP, FILE, IMAGE, NAME_COLUMNS
from .table_files import SPLITS, read_table

logger = logging.getLogger(__name__)

METADATA = ("metadata.csv", "metadata.jsonl")


def open_folder(listing: Listing, label_column: str | None = None) -> dict[str, Dataset] | None:
    """The splits of a folder of clips, or of images where there is no clip; `None` if there is neither.

    A row per clip, in the order of their paths: `file` (`image`), `clip` (the path relative to the folder), and:

    - the columns of `metadata.csv` or `metadata.jsonl`, of the same folder or one below it, whose `file_name` is
      relative to that file. A clip without a row there has empty columns, a row without a clip is skipped; both are
      logged by name.
    - the class that the folder of the clip is named for, if there are two such folders at least, as `label`; or as
      `label_column`, if that is given and the metadata does not have it.

    There are splits if all clips are below top folders called `train`, `validation` or `test`.

    Raises:
        InputError: there are clips inside and outside of split folders, or metadata that cannot be used.
    """
    root = listing.folder
    is_image = not (files := listing.having(MEDIA_SUFFIXES))
    if is_image and not (files := listing.having(IMAGE_SUFFIXES)):
        return None
    what = "image" if is_image else "clip"
    if any(path.suffix.lower() == ".parquet" and path.parent == root / "data" for path in listing.files):
        unused = shortened([listing.name(path) for path in files])
        logger.warning("%s: its Parquet files are the dataset; not used: %s", printable(str(root)), unused)
        return None
    metadata = [path for path in listing.files if path.name in METADATA]
    keep_files(listing, [*files, *metadata], what)
    listing.files = files
    listing.report()
    rows = _Metadata(listing, metadata, what)
    has_splits = _has_splits(listing, what)
    classes = {path: _class_of(path, root, has_splits) for path in files}
    features: dict[str, Any] = {IMAGE: Image(decode=False)} if is_image else {FILE: Value("string")}
    if CLIP not in rows.features:
        features[CLIP] = Value("string")
    class_column = _class_column(classes, rows.features, label_column)
    names = sorted({name for name in classes.values() if name is not None})
    if class_column is not None:
        features[class_column] = ClassLabel(names=names)
        if class_column == label_column:
            logger.warning("%s: the classes of column %r are its folders %s", root, class_column, ", ".join(names))
    splits: dict[str, Dataset] = {}
    for split in SPLITS if has_splits else ("train",):
        paths = [path for path in files if not has_splits or path.relative_to(root).parts[0] == split]
        numbered = [(path, row) for path in paths for row in rows.of.get(path, [None])]
        cells: dict[str, list] = {
            FILE: [str(path) for path, _ in numbered],
            IMAGE: [{"bytes": None, "path": str(path)} for path, _ in numbered],
            CLIP: [listing.name(path) for path, _ in numbered],
        }
        if class_column is not None:
            number_of = {name: number for number, name in enumerate(names)}
            cells[class_column] = [number_of.get(classes[path] or "") for path, _ in numbered]
        if numbered:
            described = rows.take([row for _, row in numbered])
            table = _table({name: cells[name] for name in features}, features, described)
            splits[split] = cached_table(table, paths, split)
    return splits


class _Metadata:
    """The rows of metadata files, by the file that they describe.

    Attributes:
        table: all rows, one metadata file after the other.
        features: of the columns of `table`.
        of: numbers of the rows of each file.
    """

    def __init__(self, listing: Listing, paths: list[Path], what: str):
        self.table, self.features = pa.table({}), Features()
        self.of: dict[Path, list[int]] = {}
        known, tables, count = set(listing.files), [], 0
        for path in paths:
            dataset = read_table(path)
            column = next((name for name in NAME_COLUMNS if name in dataset.features), None)
            if column is None:
                raise InputError(
                    f"{path}: has no column file_name, which says what {what} a row describes; it has "
                    f"{', '.join(dataset.features)}"
                )
            missing = []
            for number, name in enumerate(dataset[column]):
                file = anchored(str(name), path.parent)
                if Path(file) in known:
                    self.of.setdefault(Path(file), []).append(count + number)
                else:
                    missing.append(str(name))
            if missing:
                logger.warning("%s: skipped its rows of %s (no such %s)", path, shortened(missing), what)
            unused = [name for name in dataset.features if name in NAME_COLUMNS]
            if unused[1:]:
                logger.warning("%s: column %s is not used, since %s names the %ss", path, unused[-1], column, what)
            count += len(dataset)
            tables.append(dataset.remove_columns(unused))
        if not tables:
            return
        without = [listing.name(path) for path in listing.files if path not in self.of]
        if without:
            names = " and ".join(listing.name(path) for path in paths)
            logger.warning("%s: has no row for %s; its columns are empty there", names, shortened(without))
        try:
            self.table = pa.concat_tables(
                [table.with_format("arrow")[:] for table in tables], promote_options="permissive"
            )
        except pa.ArrowException as error:
            raise InputError(
                f"{listing.folder}: its metadata files have columns of different types ({error}); make them alike"
            ) from error
        self.features = Features.from_arrow_schema(self.table.schema)

    def take(self, rows: list[int | None]) -> pa.Table:
        """The rows with these numbers; empty cells where there is none."""
        return self.table.take(pa.array(rows, pa.int64())) if self.features else self.table


def anchored(name: str, folder: Path) -> str:
    """The file that a table in `folder` calls `name`: absolute, a URL, or relative to the table."""
    if "://" in name:
        return name
    path = os.path.normpath(folder / name)
    if "\\" in name and not os.path.exists(path):  # a table that was written on Windows
        path = os.path.normpath(folder / name.replace("\\", "/"))
    return path


def _has_splits(listing: Listing, what: str) -> bool:
    """Whether the top folders of a listing are splits."""
    tops: dict[str, Path] = {}
    for path in listing.files:
        parts = path.relative_to(listing.folder).parts
        tops.setdefault(parts[0] if len(parts) > 1 else "", path)
    inside, outside = sorted(set(tops) & set(SPLITS)), sorted(set(tops) - set(SPLITS))
    if inside and outside:
        raise InputError(
            f"{listing.folder}: has {what}s in the split folder {inside[0]} and outside of train, validation and test "
            f"({listing.name(tops[outside[0]])}), so they belong to no split; move or rename these, or name one folder"
        )
    return bool(inside)


def _class_of(path: Path, root: Path, has_splits: bool) -> str | None:
    """The class that the folder of a clip is named for; `None` outside of such folders."""
    folders = path.relative_to(root).parts[int(has_splits) : -1]
    return folders[-1] if folders else None


def _class_column(classes: dict[Path, str | None], metadata: Features, label_column: str | None) -> str | None:
    """Name of the column of the class folders; `None` if there is none."""
    names = set(classes.values())
    if label_column is not None and label_column not in metadata:
        return label_column if names != {None} else None
    return "label" if len(names) > 1 and None not in names and "label" not in metadata else None


def _table(cells: dict[str, list], features: dict[str, Any], described: pa.Table) -> pa.Table:
    """Columns of our own, and those of the metadata, with their types as datasets stores them."""
    whole = Features(features | dict(Features.from_arrow_schema(described.schema)))
    schema = whole.arrow_schema
    own = [pa.array(values, schema.field(name).type) for name, values in cells.items()]
    return pa.Table.from_arrays([*own, *described.columns], schema=schema)


def cached_table(table: pa.Table, paths: list[Path], split: str) -> Dataset:
    """A table as a file in the cache of datasets, which keeps what is computed from it, unlike from one in memory.

    The name of the file depends on what is in it, and on size and time of the clips.
    """
    digest = hashlib.sha256(str(table.schema).encode())
    for batch in table.combine_chunks().to_batches():
        digest.update(batch.serialize())
    for path in paths:
        status = path.stat()
        digest.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
    cached = Path(config.HF_DATASETS_CACHE) / "av_emotion_hf" / digest.hexdigest()[:16] / "clips.arrow"
    if not cached.is_file():
        with atomic_write(cached) as partial, pa.OSFile(str(partial), "wb") as file:
            with pa.ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table)
    return Dataset.from_file(str(cached), split=NamedSplit(split))


__all__ = ["METADATA", "anchored", "cached_table", "open_folder"]
