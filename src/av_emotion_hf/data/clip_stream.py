"""An endless stream of batches whose position can be saved and restored.

A stream is read by readers, one per worker of each process. In every pass over the dataset the shards are assigned to
readers again, so that each row belongs to one reader; a reader that has finished its part starts the next pass, and
none ever waits for another.

Why not the `StatefulDataLoader` of torchdata and the `state_dict` of datasets: the first only carries states around,
which the dataset itself has to keep, and the second loses the rows of a buffer and refills it with others. Batches of
similar length are cut from a buffer; they are the same after resuming only if its rows and the batches already cut are
part of the state. Hence the addresses below, and [`StreamLoader`].
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import IterableDataset
from torch.utils.data import get_worker_info

from ..errors import Failure, InputError
from .row_source import MAX_OPEN_SHARDS, RowSource

SHARD_GROUP = MAX_OPEN_SHARDS  # shards whose row groups are mixed
BUFFER_ROWS = 1024
BUFFER_BYTES = 256 * 2**20


class Address(NamedTuple):
    """Where a training row comes from."""

    shard: int
    row_group: int
    row: int
    window: int  # of the clip in the row


class Cursor(NamedTuple):
    """How far a reader has read: the next row is this one."""

    epoch: int = 0  # pass over the dataset
    shard_group: int = 0
    row_group: int = 0  # among the mixed ones of the shard group
    row: int = 0


@dataclass(frozen=True)
class ReaderState:
    """All that a reader needs to continue.

    Attributes:
        cursor: behind the rows that were read.
        num_batches: batches it has yielded.
        batches: addresses of the rows of each batch that was cut but not yielded.
        remainder: addresses of the rows that were too few for a further batch.
    """

    cursor: Cursor = field(default_factory=Cursor)
    num_batches: int = 0
    batches: Sequence[Sequence[Address]] = ()
    remainder: Sequence[Address] = ()

    def after(self, count: int) -> "ReaderState":
        """The state when `count` more batches were yielded."""
        return replace(self, num_batches=self.num_batches + count, batches=self.batches[count:])

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; the keys are those of all checkpoints since 0.1."""
        return {
            "place": list(self.cursor),
            "given": self.num_batches,
            "batches": [[list(address) for address in batch] for batch in self.batches],
            "rest": [list(address) for address in self.remainder],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ReaderState":
        """The inverse of [`as_dict`]."""
        return cls(
            Cursor(*values["place"]),
            values["given"],
            [[Address(*address) for address in batch] for batch in values["batches"]],
            [Address(*address) for address in values["rest"]],
        )


class Position(NamedTuple):
    """What comes with a batch, from which [`StreamLoader`] knows the state of its reader."""

    worker: int
    number: int  # of the batch within its block, the batches that were cut together
    block: tuple[ReaderState, list[Failure]] | None  # state before the block, failures; with its first batch only


class ClipStream(torch.utils.data.IterableDataset):
    """Endless batches of rows, drawn from a bounded buffer and grouped by length.

    A reader fills its buffer, yields batches of clips of similar length from it until it is empty, and fills it again.
    Its state are the addresses of the rows that are still in the buffer and the cursor behind them: to resume, these
    rows are read again, and none that was yielded.

    Args:
        dataset: what is streamed.
        read: see [`RowSource`].
        buffer_rows: rows among which batches are drawn.
        buffer_bytes: the buffer is also full when its rows take that much memory.
    """

    def __init__(
        self,
        dataset: IterableDataset,
        read: Callable[[dict], list[dict]] | None = None,
        buffer_rows: int = BUFFER_ROWS,
        buffer_bytes: int = BUFFER_BYTES,
    ):
        self.source = RowSource(dataset, read)
        self.buffer_rows, self.buffer_bytes = buffer_rows, buffer_bytes
        self.assign(1)

    def assign(
        self,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 1,
        length: int | None = None,
    ) -> None:
        """Assign the dataset to readers, each at the start of its part.

        Args:
            batch_size: rows in a batch.
            seed: of the order.
            rank: of this process.
            world: number of processes.
            workers: readers of each process.
            length: batches that this process yields in all; endless when `None`.
        """
        self.batch_size, self.seed, self.length = batch_size, seed, length
        self.rank, self.world, self.workers = rank, world, workers
        if self.source.num_shards < world * workers:
            self.source.reshard()
        self.num_batches = 0
        self.readers = [ReaderState() for _ in range(workers)]

    def __iter__(self) -> Iterator[tuple[int, list[dict], Position]]:
        """Number of each batch of this process, its rows, and its position for [`StreamLoader`]."""
        info = get_worker_info()
        worker = (self.num_batches + (info.id if info else 0)) % self.workers
        state = self.readers[worker]
        number = state.num_batches * self.workers + worker
        batches = self._batches(state, worker)
        while self.length is None or number < self.length:
            batch, position = next(batches)
            yield number, batch, position
            number += self.workers

    def one_pass(
        self, batch_size: int, rank: int = 0, world: int = 1, limit: int | None = None
    ) -> Iterator[list[dict]]:
        """Every row of one process's part once, or the first `limit` of them, in batches in the dataset's order."""
        is_split_by_row = self.source.num_shards < world
        shards = range(self.source.num_shards) if is_split_by_row else range(rank, self.source.num_shards, world)
        stride = (rank, world) if is_split_by_row else (0, 1)
        rows: Iterator[dict] = (
            row
            for shard in shards
            for row_group in range(self.source.num_row_groups(shard))
            for _, training_rows in self.source.rows(shard, row_group, stride=stride)
            for row in training_rows
            if _length(row)
        )
        rows = itertools.islice(rows, limit)
        while batch := list(itertools.islice(rows, batch_size)):
            yield batch

    def _batches(self, state: ReaderState, worker: int) -> Iterator[tuple[list[dict], Position]]:
        """The batches of a reader from a state on."""
        stored = self._fetch([*itertools.chain.from_iterable(state.batches), *state.remainder])
        block = [[stored[address] for address in batch] for batch in state.batches]
        remainder = [(address, stored[address]) for address in state.remainder]
        rows = self._iterate(state.cursor, worker)
        del stored
        while True:
            for number, batch in enumerate(block):
                yield batch, Position(worker, number, None if number else (state, list(self.source.failures)))
            num_batches = state.num_batches + len(block)
            buffer, cursor = self._fill(remainder, rows)
            batches, remainder = self._cut(buffer, num_batches, worker)
            block = [[row for _, row in batch] for batch in batches]
            state = ReaderState(
                cursor,
                num_batches,
                [[address for address, _ in batch] for batch in batches],
                [address for address, _ in remainder],
            )
            del buffer, batches

    def _fill(self, remainder: list[tuple[Address, dict]], rows: Iterator) -> tuple[list, Cursor]:
        """The remainder with rows after it until the buffer is full or a pass ends; the cursor behind these."""
        buffer, size = list(remainder), sum(_size(row) for _, row in remainder)
        for cursor, address, row in rows:
            if address is None:  # the end of a pass
                if len(buffer) >= self.batch_size:
                    break
                continue
            buffer.append((address, row))
            size += _size(row)
            is_full = len(buffer) >= self.buffer_rows or size >= self.buffer_bytes
            if is_full and len(buffer) >= self.batch_size and cursor is not None:
                break
        return buffer, cursor

    def _iterate(
        self, cursor: Cursor, worker: int
    ) -> Iterator[tuple[Cursor | None, Address, dict] | tuple[Cursor, None, None]]:
        """The rows of a reader from a cursor on, endlessly: the cursor behind the row, its address, the row.

        The cursor is None within a clip of several rows; address and row are None at the end of a pass.
        """
        reader, num_readers = self.rank * self.workers + worker, self.world * self.workers
        is_split_by_row = self.source.num_shards < num_readers  # then a reader reads single rows of every shard
        stride = (reader, num_readers) if is_split_by_row else (0, 1)
        while True:
            epoch, first_shard_group, first_row_group, first_row = cursor
            found = 0
            order = np.random.default_rng((self.seed, epoch)).permutation(self.source.num_shards)
            shards = order if is_split_by_row else order[reader::num_readers]
            for shard_group in range(first_shard_group, -(-len(shards) // SHARD_GROUP)):
                row_groups = self._row_groups(
                    shards[shard_group * SHARD_GROUP : (shard_group + 1) * SHARD_GROUP].tolist(), epoch
                )
                for index in range(first_row_group, len(row_groups)):
                    for number, training_rows in self.source.rows(*row_groups[index], first_row, stride):
                        windows = [(window, row) for window, row in enumerate(training_rows) if _length(row)]
                        for window, row in windows:
                            is_last = window == windows[-1][0]
                            behind = Cursor(epoch, shard_group, index, number + 1) if is_last else None
                            yield behind, Address(*row_groups[index], number, window), row
                            found += 1
                    first_row = 0
                first_row_group = 0
            if not found and cursor == Cursor(epoch):
                cause = self.source.failures[0]["error"] if self.source.failures else "its clips have no frames"
                raise InputError(
                    f"process {self.rank} finds nothing to train on in its part of the dataset ({cause}); use fewer "
                    "processes and workers, or fix the dataset"
                )
            cursor = Cursor(epoch + 1)
            yield cursor, None, None

    def _row_groups(self, shards: list[int], epoch: int) -> list[tuple[int, int]]:
        """Shard and number of each row group of some shards, in random order."""
        row_groups = [(shard, number) for shard in shards for number in range(self.source.num_row_groups(shard))]
        order = np.random.default_rng((self.seed, epoch, shards[0])).permutation(len(row_groups))
        return [row_groups[i] for i in order]

    def _cut(self, buffer: list[tuple[Address, dict]], num_batches: int, worker: int) -> tuple[list[list], list]:
        """Batches of rows of similar length in random order, and the rows that remain.

        All processes draw a long or a short batch at the same step, so that none waits for another.
        """
        draw = np.random.default_rng((self.seed, self.rank, worker, num_batches))
        order = draw.permutation(len(buffer))
        full = len(buffer) - len(buffer) % self.batch_size
        by_length = sorted(order[:full], key=lambda i: _length(buffer[i][1]))
        sorted_batches = [by_length[i : i + self.batch_size] for i in range(0, full, self.batch_size)]
        batches: list[list[tuple[Address, dict]]] = []
        while sorted_batches:
            number = (num_batches + len(batches)) * self.workers + worker
            fraction = np.random.default_rng((self.seed, number)).random()
            batches.append([buffer[i] for i in sorted_batches.pop(int(fraction * len(sorted_batches)))])
        return batches, [buffer[i] for i in order[full:]]

    def _fetch(self, addresses: list[Address]) -> dict[Address, dict]:
        """The rows at some addresses; nothing else is decoded."""
        wanted: dict[tuple[int, int], set[int]] = {}
        for address in addresses:
            wanted.setdefault((address.shard, address.row_group), set()).add(address.row)
        found: dict[Address, dict] = {}
        for (shard, row_group), numbers in wanted.items():
            for number, training_rows in self.source.rows(shard, row_group, wanted=numbers):
                found |= {Address(shard, row_group, number, i): row for i, row in enumerate(training_rows)}
        for address in addresses:
            if address not in found:
                raise InputError(
                    f"row {address.row} of row group {address.row_group} of shard {address.shard} no longer exists; "
                    "the dataset was changed since the checkpoint: restore it, or start from scratch"
                )
        return found


def _length(row: dict) -> int:
    """A measure of how long a row takes: its frames, samples or bytes of audio."""
    return max((_cell_length(cell) for cell in row.values()), default=0)


def _cell_length(cell: Any) -> int:
    if isinstance(cell, dict):
        return len(cell.get("bytes") or b"")
    return len(cell) if isinstance(cell, np.ndarray | list) else 0


def _size(row: dict) -> int:
    """Approximate bytes of a row in memory."""
    return sum(_cell_size(cell) for cell in row.values())


def _cell_size(cell: Any) -> int:
    if isinstance(cell, np.ndarray):
        return cell.nbytes
    if isinstance(cell, list):
        return sum(_cell_size(each) for each in cell)
    return len(cell["bytes"] or b"") if isinstance(cell, dict) and "bytes" in cell else 8


__all__ = ["ClipStream", "Cursor", "ReaderState"]
