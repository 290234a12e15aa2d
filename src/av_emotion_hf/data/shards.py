"""A dataset folder that is written shard by shard, by one or many processes, and survives being killed."""

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from ..errors import InputError
from .dataset import AnyDataset
from .manifest import require_same_settings, summarise

_END = object()


@dataclass
class Part:
    """Rows of a dataset that become one shard.

    Attributes:
        name: of the shard, from which its rows follow however many processes there are.
        rows: numbers of the rows within their source, and the rows.
        is_last: tells, when all rows were taken, whether its source has no further part.
    """

    name: str
    rows: Iterator[tuple[int, dict]]
    is_last: Callable[[], bool]


class ShardFolder:
    """The folder `out`, which is `out.partial` until every shard is there.

    Args:
        out: the folder.
        settings: JSON values that decide what is written; a folder begun with others is refused.

    Attributes:
        partial: where shards are written.
        manifest: what [`finish`] returned when the folder was complete already, else None.

    Raises:
        InputError: `out` is something else, or was made with other settings.
    """

    def __init__(self, out: str, settings: dict):
        self.out, self.partial = Path(out), Path(f"{out}.partial")
        self.settings = json.loads(json.dumps(settings))
        self.manifest = None
        if self.out.exists():
            if not (self.out / "manifest.json").is_file():
                raise InputError(f"{out}: exists already; choose another --out or remove it first")
            self.manifest = _read(self.out / "manifest.json")
            require_same_settings(self.manifest["settings"], self.settings, out)
            return
        noted = self.partial / "settings.json"
        if noted.is_file():
            require_same_settings(_read(noted), self.settings, f"{out}.partial")
        else:
            for folder in ("data", "records", "clips"):
                (self.partial / folder).mkdir(parents=True, exist_ok=True)
            _write(noted, self.settings)

    def parts(self, dataset: AnyDataset, rows_per_shard: int) -> Iterator[Part]:
        """The parts of a dataset that this process has to write and has not written yet.

        A table is dealt out in stretches of `rows_per_shard` rows; a stream by its own shards, which are read one
        after the other and cut into such stretches. Process r of w takes every w-th, from the r-th on.
        """
        rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        for source in range(rank, _num_sources(dataset, rows_per_shard), world):
            records = self._records(source)
            if records and records[-1]["last"]:
                continue
            done = sum(record["rows_read"] for record in records)
            if isinstance(dataset, Dataset):
                stop = min((source + 1) * rows_per_shard, dataset.num_rows)
                rows = ((i, dataset[i]) for i in range(source * rows_per_shard, stop))
            else:
                stream = dataset.shard(num_shards=dataset.num_shards, index=source)
                rows = itertools.islice(enumerate(stream), done, None)
            following = next(rows, _END)
            for piece in itertools.count(len(records)):
                stretch = _Stretch(following, rows, rows_per_shard)
                yield Part(f"{source:05d}-{piece:05d}", iter(stretch), stretch.is_last)
                following = stretch.following
                if following is _END:
                    break

    def is_complete(self, dataset: AnyDataset, rows_per_shard: int) -> bool:
        """Whether all processes have written all shards."""
        sources = range(_num_sources(dataset, rows_per_shard))
        return all((records := self._records(source)) and records[-1]["last"] for source in sources)

    @contextmanager
    def writer(self, name: str, schema: pa.Schema) -> Iterator[Callable[[list[pa.RecordBatch]], None]]:
        """Function that appends rows to a shard, which appears under its name when all of them were written."""
        path = self.partial / "data" / f"train-{name}.parquet"
        hidden = path.with_suffix(".tmp")
        with pq.ParquetWriter(hidden, schema) as parquet:
            rows = 0

            def append(batches: list[pa.RecordBatch]) -> None:
                nonlocal rows
                if batches:
                    parquet.write_table(pa.Table.from_batches(batches))
                    rows += sum(len(batch) for batch in batches)

            yield append
        if rows:
            hidden.rename(path)
        else:
            hidden.unlink()

    def note(self, name: str, record: dict) -> None:
        """Write the record of a finished shard."""
        _write(self.partial / "records" / f"{name}.json", record)

    def finish(self) -> dict:
        """Write the manifest from the records of all shards and give the folder its name.

        Raises:
            InputError: not one clip could be read.
        """
        manifest = self.summary() | {"complete": True}
        if not manifest["clips"]:
            shutil.rmtree(self.partial, ignore_errors=True)
            reason = manifest["failures"][0]["error"] if manifest["failures"] else "the dataset is empty"
            raise InputError(
                f"{self.out}: not one clip could be read, nothing was written; the first reason: {reason}"
            )
        try:
            _write(self.partial / "manifest.json", manifest)
            for leftover in ("clips", "records"):
                shutil.rmtree(self.partial / leftover, ignore_errors=True)
            (self.partial / "settings.json").unlink()
            self.partial.rename(self.out)
        except FileNotFoundError:
            if not (self.out / "manifest.json").is_file():  # another process was quicker
                raise
        return manifest

    def summary(self) -> dict:
        """What the records of all processes say together, see [`summarise`]."""
        return summarise(map(_read, sorted((self.partial / "records").glob("*.json"))), self.settings)

    def _records(self, source: int) -> list[dict]:
        return [_read(path) for path in sorted((self.partial / "records").glob(f"{source:05d}-*.json"))]


class _Stretch:
    """The next `size` rows of an iterator, of which `first` was taken already; `following` is the one behind them."""

    def __init__(self, first, rows: Iterator, size: int):
        self.following, self.rows, self.size = first, rows, size

    def __iter__(self):
        for _ in range(self.size):
            if self.following is _END:
                return
            row, self.following = self.following, _END
            yield row
            self.following = next(self.rows, _END)

    def is_last(self) -> bool:
        return self.following is _END


def _num_sources(dataset: AnyDataset, rows_per_shard: int) -> int:
    return -(-dataset.num_rows // rows_per_shard) if isinstance(dataset, Dataset) else dataset.num_shards


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, content: dict) -> None:
    hidden = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    hidden.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    hidden.rename(path)


__all__ = ["Part", "ShardFolder"]
