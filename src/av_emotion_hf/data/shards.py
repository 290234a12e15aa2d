"""A dataset folder that is written shard by shard, by one or many processes, and can be resumed when interrupted."""

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from ..errors import InputError
from ..utils import atomic_write, read_json, require_writable, write_json, writing
from .dataset import AnyDataset
from .manifest import require_same_settings, summarize

_END = object()


@dataclass
class Part:
    """Rows of a dataset that become one shard.

    Attributes:
        name: of the shard; its rows follow from it however many processes there are.
        rows: numbers of the rows within their source, and the rows.
        is_last: returns, when all rows were taken, whether its source has no further part.
    """

    name: str
    rows: Iterator[tuple[int, dict]]
    is_last: Callable[[], bool]


class ShardFolder:
    """The folder `out`, which is `out.partial` until every shard is there.

    Args:
        out: the folder.
        settings: JSON values that decide what is written; a folder started with others is refused.

    Attributes:
        partial: where shards are written.
        manifest: what [`finish`] returned when the folder was complete already, else None.

    Raises:
        InputError: `out` is something else, was made with other settings, or cannot be written.
    """

    def __init__(self, out: str, settings: dict):
        self.out, self.partial = Path(out), Path(f"{out}.partial")
        self.settings = json.loads(json.dumps(settings))
        self.manifest: dict | None = None
        if self.out.exists():
            if not self.out.is_dir():
                require_writable(out, is_folder=True)
            if not (self.out / "manifest.json").is_file():
                raise InputError(f"{out}: exists already; choose another --out or remove it first")
            found = read_json(self.out / "manifest.json")
            require_same_settings(found["settings"], self.settings, out)
            _remove_leftovers(self.out)
            self.manifest = found
            return
        require_writable(out, is_folder=True)
        require_writable(self.partial, is_folder=True)
        settings_file = self.partial / "settings.json"
        if settings_file.is_file():
            require_same_settings(read_json(settings_file), self.settings, f"{out}.partial")
        else:
            with writing(self.partial):
                for folder in ("data", "records", "clips"):
                    (self.partial / folder).mkdir(parents=True, exist_ok=True)
                write_json(settings_file, self.settings)

    def parts(self, dataset: AnyDataset, rows_per_shard: int) -> Iterator[Part]:
        """The parts of a dataset that this process has to write and has not written yet.

        A table is divided into chunks of `rows_per_shard` rows; a stream by its own shards, which are read one after
        the other and cut into such chunks. Process r of w writes every w-th, from the r-th on.
        """
        rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        for source in range(rank, _num_sources(dataset, rows_per_shard), world):
            records = self._records(source)
            if records and records[-1]["last"]:
                continue
            rows: Iterator[tuple[int, dict]]
            if isinstance(dataset, Dataset):
                rows = _table_rows(dataset, source * rows_per_shard, (source + 1) * rows_per_shard)
            else:
                stream = dataset.shard(num_shards=dataset.num_shards, index=source)
                done = sum(record["rows_read"] for record in records)
                rows = itertools.islice(enumerate(stream), done, None)
            following = next(rows, _END)
            for number in itertools.count(len(records)):
                chunk = _Chunk(following, rows, rows_per_shard)
                yield Part(f"{source:05d}-{number:05d}", iter(chunk), chunk.is_last)
                following = chunk.following
                if following is _END:
                    break

    def is_complete(self, dataset: AnyDataset, rows_per_shard: int) -> bool:
        """Whether all processes have written all shards."""
        if (self.out / "manifest.json").is_file():
            return True
        sources = range(_num_sources(dataset, rows_per_shard))
        return all((records := self._records(source)) and records[-1]["last"] for source in sources)

    @contextmanager
    def writer(self, name: str, schema: pa.Schema) -> Iterator[Callable[[list[pa.RecordBatch]], None]]:
        """Function that appends rows to a shard, which appears under its name when all of them were written."""
        path = self.partial / "data" / f"train-{name}.parquet"
        rows = 0
        with atomic_write(path) as partial, pq.ParquetWriter(partial, schema) as parquet:

            def append(batches: list[pa.RecordBatch]) -> None:
                nonlocal rows
                if batches:
                    parquet.write_table(pa.Table.from_batches(batches))
                    rows += sum(len(batch) for batch in batches)

            yield append
        if not rows:
            path.unlink()

    def write_record(self, name: str, record: dict) -> None:
        """Write the record of a finished shard."""
        write_json(self.partial / "records" / f"{name}.json", record)

    def finish(self) -> dict:
        """Write the manifest from the records of all shards and give the folder its name.

        Raises:
            InputError: not one clip could be read.
        """
        finished = self.out / "manifest.json"
        try:
            manifest = self.summary() | {"complete": True}
            if not finished.is_file():
                if not manifest["clips"]:
                    shutil.rmtree(self.partial, ignore_errors=True)
                    cause = manifest["failures"][0]["error"] if manifest["failures"] else "the dataset is empty"
                    raise InputError(
                        f"{self.out}: not one clip could be read, nothing was written; the first reason: {cause}"
                    )
                write_json(self.partial / "manifest.json", manifest)
                self.partial.rename(self.out)
        except OSError:
            if not finished.is_file():  # else another process was faster
                raise
        shutil.rmtree(self.partial, ignore_errors=True)
        _remove_leftovers(self.out)
        return read_json(finished)

    def summary(self) -> dict:
        """What the records of all processes say together, see [`summarize`]."""
        return summarize(map(read_json, sorted((self.partial / "records").glob("*.json"))), self.settings)

    def _records(self, source: int) -> list[dict]:
        return [read_json(path) for path in sorted((self.partial / "records").glob(f"{source:05d}-*.json"))]


class _Chunk:
    """The next `size` rows of an iterator, the first of which was taken already; `following` is the one after them."""

    def __init__(self, first: Any, rows: Iterator, size: int):
        self.following, self.rows, self.size = first, rows, size

    def __iter__(self) -> Iterator:
        for _ in range(self.size):
            if self.following is _END:
                return
            row, self.following = self.following, _END
            yield row
            self.following = next(self.rows, _END)

    def is_last(self) -> bool:
        return self.following is _END


def _table_rows(dataset: Dataset, start: int, stop: int) -> Iterator[tuple[int, dict]]:
    for number in range(start, min(stop, dataset.num_rows)):
        yield number, dataset[number]


def _num_sources(dataset: AnyDataset, rows_per_shard: int) -> int:
    return -(-dataset.num_rows // rows_per_shard) if isinstance(dataset, Dataset) else dataset.num_shards


def _remove_leftovers(out: Path) -> None:
    """Remove from a finished folder what was needed to resume, and files that an interrupted run had not finished."""
    for name in ("clips", "records"):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / "settings.json").unlink(missing_ok=True)
    for folder in (out, out / "data"):
        for path in (*folder.glob(".*.partial"), *folder.glob("*.tmp")):  # .tmp: of version 0.1.0
            path.unlink(missing_ok=True)


__all__ = ["Part", "ShardFolder"]
