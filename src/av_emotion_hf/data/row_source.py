"""The rows of a streamed dataset by address: shard, row group, row. What is damaged is skipped and noted."""

import logging
from collections.abc import Callable, Container, Iterator

import pyarrow as pa
from datasets import IterableDataset

from ..errors import Failure, InputError
from ..utils import reason
from .features import decode_frames
from .schema import clip_name

logger = logging.getLogger(__name__)

MAX_OPEN_SHARDS = 8
ROWS_PER_READ = 1024


class RowSource:
    """The rows of a streamed dataset, by address.

    Args:
        dataset: the stream. Of Parquet files single row groups are read, of other formats whole shards.
        read: returns the training rows of a row of the dataset, such as one per window of its clip; it raises
            [`InputError`] for a row that cannot be read.

    Attributes:
        failures: what was skipped so far.
    """

    def __init__(self, dataset: IterableDataset, read: Callable[[dict], list[dict]] | None = None):
        self.dataset, self.read = dataset.with_format("arrow"), read
        self.failures: list[Failure] = []
        self._opened: dict[int, IterableDataset] = {}

    @property
    def num_shards(self) -> int:
        """Number of shards."""
        return self.dataset.num_shards

    def reshard(self) -> None:
        """Make a shard of each row group, where the file format allows it."""
        self.dataset, self._opened = self.dataset.reshard(), {}

    def num_row_groups(self, shard: int) -> int:
        """Number of row groups of a shard; 0 where it is damaged."""
        try:
            return self._open(shard).num_shards
        except (pa.ArrowException, OSError, ValueError) as error:
            self._skip(Failure(shard=self._name(shard), error=reason(error)))
            return 0

    def rows(
        self,
        shard: int,
        row_group: int,
        first: int = 0,
        stride: tuple[int, int] = (0, 1),
        wanted: Container[int] | None = None,
    ) -> Iterator[tuple[int, list[dict]]]:
        """Read a row group: the number of each row in it, and the training rows that it becomes.

        What is damaged is skipped and noted in `failures`: the remainder of a row group, or a clip.

        Args:
            shard: number of the shard.
            row_group: number of the row group in it.
            first: rows before it are skipped unread.
            stride: `(i, n)` reads every n-th row, from the i-th on.
            wanted: numbers of rows; all others are skipped unread.
        """
        number = 0
        try:
            opened = self._open(shard)
            for table in opened.shard(opened.num_shards, row_group).iter(batch_size=ROWS_PER_READ):
                for row in _table_rows(table):
                    if number >= first and number % stride[1] == stride[0] and (wanted is None or number in wanted):
                        yield number, self._training_rows(row)
                    number += 1
        except (pa.ArrowException, OSError) as error:
            self._skip(Failure(shard=f"{self._name(shard)}, row group {row_group}", error=reason(error)))

    def _training_rows(self, row: dict) -> list[dict]:
        if self.read is None:
            return [row]
        try:
            return self.read(row)
        except InputError as error:
            failure = Failure(error=reason(error))
            if clip := clip_name(row):
                failure["clip"] = clip
            self._skip(failure)
            return []

    def _skip(self, failure: Failure) -> None:
        if failure not in self.failures:
            shard = f"{failure['shard']}: " if "shard" in failure else ""  # the error of a clip begins with its name
            logger.warning("skipped: %s%s", shard, failure["error"])
            self.failures.append(failure)

    def _open(self, shard: int) -> IterableDataset:
        if shard not in self._opened:
            while len(self._opened) >= MAX_OPEN_SHARDS:
                del self._opened[next(iter(self._opened))]
            self._opened[shard] = self.dataset.shard(self.num_shards, shard).reshard()
        return self._opened[shard]

    def _name(self, shard: int) -> str:
        """File of a shard where datasets tells it, else its number; for messages only."""
        source = getattr(self.dataset.shard(self.num_shards, shard), "_ex_iterable", None)
        while source is not None and not getattr(source, "kwargs", None):
            source = getattr(source, "ex_iterable", None)
        files = (getattr(source, "kwargs", None) or {}).get("files")
        return str(files[0]).rpartition("/")[2] if files else f"shard {shard}"


def _table_rows(table: pa.Table) -> Iterator[dict]:
    """The rows of a table; features as arrays `(T, F)`, which are views of it."""
    columns = {name: _cells(table.column(name)) for name in table.column_names}
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(columns, cells, strict=True))


def _cells(column: pa.ChunkedArray) -> list:
    if not pa.types.is_list(column.type) or not (
        pa.types.is_list(column.type.value_type) or pa.types.is_fixed_size_list(column.type.value_type)
    ):
        return column.to_pylist()
    return [frames for chunk in column.chunks for frames in decode_frames(chunk)]


__all__ = ["RowSource"]
