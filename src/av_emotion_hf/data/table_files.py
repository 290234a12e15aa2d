"""Table files: CSV, JSON, Parquet and Arrow, read by datasets; and folders of them."""

import glob
import logging
import re
from pathlib import Path

from datasets import Dataset, IterableDataset, load_dataset

from ..errors import printable
from ..media.paths import Listing

logger = logging.getLogger(__name__)

FILE_FORMATS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow"}
SPLITS = ("train", "validation", "test")
_SHARD = re.compile(r"(\w+?)-\d+(-of-)?[-\d]*")  # such as train-00000-of-00002, or train-00000-00000
_RECORDS = frozenset(("manifest.json", "dataset_info.json", "dataset_infos.json", "state.json"))


def read_table(path: Path, streaming: bool = False) -> Dataset | IterableDataset:
    """The rows of one table file; its name may have characters that are special in a glob."""
    return load_dataset(
        FILE_FORMATS[path.suffix.lower()], data_files=glob.escape(str(path)), split="train", streaming=streaming
    )


def open_tables(listing: Listing, streaming: bool = False) -> dict[str, Dataset] | None:
    """The splits of a folder of table files; `None` if there is none.

    With a dataset card (README.md) datasets decides, since that may define splits. Otherwise a file belongs to a split
    if it is called `train.csv` or `train-00000-of-00002.parquet`, or is below a top folder `train`, `validation` or
    `test`; all others are training data.
    """
    files = [path for path in listing.having(frozenset(FILE_FORMATS)) if path.name not in _RECORDS]
    if not files:
        return None
    folder = listing.folder
    if (folder / "README.md").is_file() and not glob.has_magic(str(folder.resolve())):
        return load_dataset(str(folder), streaming=streaming)
    suffix = min((path.suffix.lower() for path in files), key=list(FILE_FORMATS).index)
    others = [path for path in files if FILE_FORMATS[path.suffix.lower()] != FILE_FORMATS[suffix]]
    if others:
        logger.warning(
            "%s: its %s files are the dataset; not used: %s",
            printable(str(folder)),
            suffix,
            printable(", ".join(listing.name(path) for path in others[:5])),
        )
    splits: dict[str, list[str]] = {}
    for path in files:
        if path not in others:
            splits.setdefault(_split_of(path, folder), []).append(glob.escape(str(path)))
    ordered = sorted(splits, key=lambda split: (split not in SPLITS, (*SPLITS, split).index(split)))
    files_of = {split: splits[split] for split in ordered}
    return load_dataset(FILE_FORMATS[suffix], data_files=files_of, streaming=streaming)


def _split_of(path: Path, folder: Path) -> str:
    top = path.relative_to(folder).parts[0]
    if top in SPLITS:
        return top
    shard = _SHARD.fullmatch(path.stem)
    if shard is not None and (shard[1] in SPLITS or shard[2]):
        return shard[1]
    return path.stem if path.stem in SPLITS else "train"


__all__ = ["FILE_FORMATS", "SPLITS", "open_tables", "read_table"]
