"""Streams of clips: batches from shards without end, whose position can be saved and found again.

A stream is read by parties, one per worker of each process. In every pass the shards are dealt out anew, so that each
row of the dataset belongs to one party; a party that is through with its share begins the next pass, and none ever
waits for another.
"""

import itertools
import logging
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import torch
from datasets import IterableDataset
from torch.utils.data import DataLoader, get_worker_info

from ..errors import InputError

logger = logging.getLogger(__name__)

HAND = 8  # shards whose row groups are mixed
BUFFER_ROWS = 1024
BUFFER_BYTES = 256 * 2**20

Address = tuple[int, int, int, int]  # shard, row group, row, window of a clip


class RowSource:
    """The rows of a streamed dataset, by address.

    Args:
        dataset: the stream; of Parquet files single row groups are read, of others whole shards.
        read: makes the rows that train of a row of the dataset, such as the windows of a clip; it raises [`InputError`]
            for one that cannot be read.
    """

    def __init__(self, dataset: IterableDataset, read: Callable[[dict], list[dict]] | None = None):
        self.dataset, self.read = dataset.with_format("arrow"), read
        self.failures: list[dict[str, str]] = []
        self._opened: dict[int, IterableDataset] = {}

    @property
    def num_shards(self) -> int:
        """How many shards there are."""
        return self.dataset.num_shards

    def split_finer(self) -> None:
        """Make a shard of each row group, where the kind of file allows it."""
        self.dataset, self._opened = self.dataset.reshard(), {}

    def num_groups(self, shard: int) -> int:
        """Number of row groups of a shard; 0 where it is damaged."""
        try:
            return self._open(shard).num_shards
        except (pa.ArrowException, OSError, ValueError) as error:
            self._leave_out(self._name(shard), error)
            return 0

    def rows(
        self, shard: int, group: int, first: int = 0, turns: tuple[int, int] = (0, 1), wanted: set | None = None
    ) -> Iterator[tuple[int, list[dict]]]:
        """Number of each row of a row group and what it gives to train on.

        What is damaged is left out and noted in `failures`: the rest of a row group, or a clip.

        Args:
            shard: number of the shard.
            group: number of the row group in it.
            first: rows before it are passed over unread.
            turns: `(i, n)` reads every n-th row, from the i-th on.
            wanted: numbers of rows; all others are passed over unread.
        """
        number = 0
        try:
            opened = self._open(shard)
            for table in opened.shard(opened.num_shards, group).iter(batch_size=BUFFER_ROWS):
                for row in _rows_of(table):
                    if number >= first and number % turns[1] == turns[0] and (wanted is None or number in wanted):
                        yield number, self._parts(row)
                    number += 1
        except (pa.ArrowException, OSError) as error:
            self._leave_out(f"{self._name(shard)}, row group {group}", error)

    def _parts(self, row: dict) -> list[dict]:
        if self.read is None:
            return [row]
        try:
            return self.read(row)
        except InputError as error:
            self._leave_out(None, error)
            return []

    def _leave_out(self, name: str | None, error: Exception) -> None:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        note = {"shard": name, "error": reason} if name else {"error": reason}
        if note not in self.failures:
            logger.warning("left out: %s", ": ".join(note.values()))
            self.failures.append(note)

    def _open(self, shard: int) -> IterableDataset:
        if shard not in self._opened:
            while len(self._opened) >= HAND:
                del self._opened[next(iter(self._opened))]
            self._opened[shard] = self.dataset.shard(self.num_shards, shard).reshard()
        return self._opened[shard]

    def _name(self, shard: int) -> str:
        """File of a shard where datasets tells, else its number; for messages only."""
        source = getattr(self.dataset.shard(self.num_shards, shard), "_ex_iterable", None)
        while source is not None and not getattr(source, "kwargs", None):
            source = getattr(source, "ex_iterable", None)
        files = (getattr(source, "kwargs", None) or {}).get("files")
        return str(files[0]).rpartition("/")[2] if files else f"shard {shard}"


class ClipStream(torch.utils.data.IterableDataset):
    """Batches of rows without end, drawn from a bounded buffer and cut by length.

    A party fills its buffer, draws batches of clips of similar length from it until it is empty, and fills it again.
    Where it stands is told by the addresses of the rows that are still in the buffer and the place behind them: going
    on reads these rows again, and none that was given out.

    Args:
        dataset: what is streamed.
        read: see [`RowSource`].
        buffer_rows: rows among which batches are drawn.
        buffer_bytes: the buffer is full as well when its rows take that much memory.
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
        self.share_out(1)

    def share_out(
        self,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 1,
        length: int | None = None,
    ) -> None:
        """Say who reads what.

        Args:
            batch_size: rows in a batch.
            seed: of the order.
            rank: of this process.
            world: number of processes.
            workers: readers of each process.
            length: batches that this process takes in all; without end when `None`.
        """
        self.batch_size, self.seed, self.length = batch_size, seed, length
        self.rank, self.world, self.workers = rank, world, workers
        if self.source.num_shards < world * workers:
            self.source.split_finer()
        self.given = 0
        self.parties = [_beginning() for _ in range(workers)]

    def __iter__(self) -> Iterator[tuple[int, list[dict], tuple]]:
        """Number of each batch of this process, its rows, and a note for [`StreamLoader`]."""
        info = get_worker_info()
        worker = (self.given + (info.id if info else 0)) % self.workers
        state = self.parties[worker]
        number = state["given"] * self.workers + worker
        batches = self._batches(state, worker)
        while self.length is None or number < self.length:
            batch, note = next(batches)
            yield number, batch, (worker, *note)
            number += self.workers

    def one_pass(
        self, batch_size: int, rank: int = 0, world: int = 1, limit: int | None = None
    ) -> Iterator[list[dict]]:
        """Every row of one process' share once, or the first `limit` of them, in batches as they come."""
        is_shared = self.source.num_shards < world
        shards = range(self.source.num_shards) if is_shared else range(rank, self.source.num_shards, world)
        found = (
            row
            for shard in shards
            for group in range(self.source.num_groups(shard))
            for _, parts in self.source.rows(shard, group, 0, (rank, world) if is_shared else (0, 1))
            for row in parts
            if _length(row)
        )
        found = itertools.islice(found, limit)
        while batch := list(itertools.islice(found, batch_size)):
            yield batch

    def _batches(self, state: dict, worker: int) -> Iterator[tuple[list[dict], tuple]]:
        """Batches from where a party stands; with each which one of its block it is, with the first of a block also
        how to find the block again.
        """
        stored = self._fetch([*(address for batch in state["batches"] for address in batch), *state["rest"]])
        block = [[stored[tuple(address)] for address in batch] for batch in state["batches"]]
        rest = [(tuple(address), stored[tuple(address)]) for address in state["rest"]]
        plan, given = state, state["given"]
        walk = self._walk(tuple(state["place"]), worker)
        del stored
        while True:
            for index, batch in enumerate(block):
                yield batch, (index, (plan, list(self.source.failures)) if index == 0 else None)
            given += len(block)
            rows, place = self._fill(rest, walk)
            batches, rest = self._cut(rows, given, worker)
            block = [[row for _, row in batch] for batch in batches]
            plan = {
                "place": place,
                "given": given,
                "batches": [[address for address, _ in batch] for batch in batches],
                "rest": [address for address, _ in rest],
            }
            del rows, batches

    def _fill(self, rows: list, walk: Iterator) -> tuple[list, tuple]:
        """The rows with others behind them until the buffer is full or a pass ends; the place behind these."""
        rows, size = list(rows), sum(_size(row) for _, row in rows)
        for place, address, row in walk:
            if address is None:  # the end of a pass
                if len(rows) >= self.batch_size:
                    break
                continue
            rows.append((address, row))
            size += _size(row)
            is_full = len(rows) >= self.buffer_rows or size >= self.buffer_bytes
            if is_full and len(rows) >= self.batch_size and place is not None:
                break
        return rows, place

    def _walk(self, place: tuple, worker: int) -> Iterator[tuple]:
        """The rows of a party from a place on, without end: the place behind, address, row.

        The place is None within a clip of several rows; address and row are None at the end of a pass.
        """
        party, parties = self.rank * self.workers + worker, self.world * self.workers
        is_shared = self.source.num_shards < parties  # then a party takes single rows of every shard
        while True:
            epoch, first_hand, first_piece, first_row = place
            found = 0
            order = np.random.default_rng((self.seed, epoch)).permutation(self.source.num_shards)
            shards = order if is_shared else order[party::parties]
            for hand in range(first_hand, -(-len(shards) // HAND)):
                pieces = self._pieces(shards[hand * HAND : (hand + 1) * HAND], epoch)
                for piece in range(first_piece, len(pieces)):
                    turns = (party, parties) if is_shared else (0, 1)
                    for number, parts in self.source.rows(*pieces[piece], first_row, turns):
                        parts = [(window, row) for window, row in enumerate(parts) if _length(row)]
                        for window, row in parts:
                            is_last = window == parts[-1][0]
                            behind = (epoch, hand, piece, number + 1) if is_last else None
                            yield behind, (*pieces[piece], number, window), row
                            found += 1
                    first_row = 0
                first_piece = 0
            if not found and place[1:] == (0, 0, 0):
                reason = self.source.failures[0]["error"] if self.source.failures else "its clips have no frames"
                raise InputError(
                    f"process {self.rank} finds nothing to train on in its part of the dataset ({reason}); use fewer "
                    "processes and workers, or mend the dataset"
                )
            place = (epoch + 1, 0, 0, 0)
            yield place, None, None

    def _pieces(self, shards, epoch: int) -> list[tuple[int, int]]:
        """The row groups of some shards, mixed."""
        pieces = [(int(shard), group) for shard in shards for group in range(self.source.num_groups(int(shard)))]
        order = np.random.default_rng((self.seed, epoch, int(shards[0]))).permutation(len(pieces))
        return [pieces[i] for i in order]

    def _cut(self, rows: list, given: int, worker: int) -> tuple[list[list], list]:
        """Batches of rows of similar length, and the rows that are left over.

        All processes draw a long or a short batch at the same step: none waits for another.
        """
        draw = np.random.default_rng((self.seed, self.rank, worker, given))
        order = draw.permutation(len(rows))
        full = len(rows) - len(rows) % self.batch_size
        taken = sorted(order[:full], key=lambda i: _length(rows[i][1]))
        sorted_batches = [taken[i : i + self.batch_size] for i in range(0, full, self.batch_size)]
        batches = []
        while sorted_batches:
            number = (given + len(batches)) * self.workers + worker
            share = np.random.default_rng((self.seed, number)).random()
            batches.append([rows[i] for i in sorted_batches.pop(int(share * len(sorted_batches)))])
        return batches, [rows[i] for i in order[full:]]

    def _fetch(self, addresses: list[Address]) -> dict[Address, dict]:
        """The rows at some addresses; nothing else is decoded."""
        wanted: dict[tuple[int, int], set[int]] = {}
        for shard, group, row, _ in addresses:
            wanted.setdefault((shard, group), set()).add(row)
        found = {}
        for (shard, group), numbers in wanted.items():
            for number, parts in self.source.rows(shard, group, wanted=numbers):
                found |= {(shard, group, number, window): row for window, row in enumerate(parts)}
        missing = [address for address in addresses if tuple(address) not in found]
        if missing:
            shard, group, row, _ = missing[0]
            raise InputError(
                f"row {row} of row group {group} of shard {shard} is not there any more; the dataset was changed since "
                "the checkpoint: restore it, or start anew"
            )
        return found


class StreamLoader(DataLoader):
    """The loader of a [`ClipStream`]; it knows where it stands and can go on from there.

    Args:
        stream: what is loaded.
        collate: makes a batch of its number and its rows.
        batch_size: rows in a batch.
        workers: processes that read; with 0 this one does.
        seed: of the order.
        rank: of this process.
        world: number of processes that train together; each has a part of the stream of its own.
        length: batches in all; without end when `None`.
        **kwargs: as for torch's `DataLoader`.
    """

    def __init__(
        self,
        stream: ClipStream,
        collate: Callable[[int, list[dict]], dict],
        batch_size: int,
        workers: int = 0,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        length: int | None = None,
        **kwargs,
    ):
        stream.share_out(batch_size, seed, rank, world, max(1, workers), length)
        own = torch.Generator()  # else each start would draw from torch's global one, and dropout would differ
        super().__init__(
            stream, batch_size=None, num_workers=workers, collate_fn=_Collate(collate), generator=own, **kwargs
        )
        self.failures: list[dict[str, str]] = []

    def __iter__(self) -> Iterator[dict]:
        """Batches, from where the loader stands on."""
        stream, plans = self.dataset, {}
        for batch, (worker, index, news) in super().__iter__():
            if news is not None:
                plans[worker], left_out = news
                self.failures += [note for note in left_out if note not in self.failures]
            stream.parties[worker] = _behind(plans[worker], index + 1)
            stream.given += 1
            yield batch

    @property
    def passes(self) -> float:
        """How often the dataset was read so far, by the party that is least far."""
        return min(self._passes(party["place"]) for party in self.dataset.parties)

    def _passes(self, place: tuple) -> float:
        stream = self.dataset
        hands = -(-stream.source.num_shards // (stream.world * stream.workers * HAND))
        return place[0] + place[1] / hands

    def state_dict(self) -> dict:
        """Where the loader stands, as JSON values."""
        stream = self.dataset
        return {
            "settings": self._settings(),
            "given": stream.given,
            "parties": stream.parties,
            "left_out": self.failures,
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state`.

        Raises:
            InputError: it is of another dataset, or of another number of processes, workers or rows in a batch.
        """
        for name, now in self._settings().items():
            if state["settings"][name] != now:
                raise InputError(
                    f"the checkpoint was written with {state['settings'][name]} {name}, now there are {now}; go on "
                    "with the same, or start anew"
                )
        self.dataset.given, self.dataset.parties = state["given"], state["parties"]
        self.failures = state["left_out"]

    def _settings(self) -> dict[str, int]:
        stream = self.dataset
        return {
            "shards": stream.source.num_shards,
            "processes": stream.world,
            "workers": stream.workers,
            "rows in a batch": stream.batch_size,
            "rows in the buffer": stream.buffer_rows,
            "as seed": stream.seed,
        }


class _Collate:
    """Makes the batch where it is read, and hands the note on."""

    def __init__(self, collate: Callable[[int, list[dict]], dict]):
        self.collate = collate

    def __call__(self, item: tuple[int, list[dict], tuple]) -> tuple[dict, tuple]:
        number, rows, note = item
        return self.collate(number, rows), note


def _beginning() -> dict:
    return {"place": (0, 0, 0, 0), "given": 0, "batches": [], "rest": []}


def _behind(plan: dict, given: int) -> dict:
    """Where a party stands when it has given some batches of a block."""
    return plan | {"given": plan["given"] + given, "batches": plan["batches"][given:]}


def _rows_of(table: pa.Table) -> Iterator[dict]:
    """The rows of a table; lists of frames as arrays `(T, F)`, which are views of it."""
    columns = {name: _cells(table.column(name)) for name in table.column_names}
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(columns, cells, strict=True))


def _cells(column: pa.ChunkedArray) -> list:
    if not pa.types.is_list(column.type) or not (
        pa.types.is_list(column.type.value_type) or pa.types.is_fixed_size_list(column.type.value_type)
    ):
        return column.to_pylist()
    return [frames for chunk in column.chunks for frames in _frames(chunk)]


def _frames(lists: pa.ListArray) -> list[np.ndarray]:
    offsets = lists.offsets.to_numpy()
    frames = lists.values.slice(offsets[0], offsets[-1] - offsets[0])
    values = frames.flatten().to_numpy(zero_copy_only=False)
    sizes = np.unique(frames.value_lengths().to_numpy(zero_copy_only=False))
    if len(sizes) > 1:
        raise InputError(f"frames with {sizes[0]} and with {sizes[-1]} values stand in one column; extract them anew")
    values = values.reshape(len(frames), -1 if len(frames) else 0)
    return [values[start:stop] for start, stop in itertools.pairwise(offsets - offsets[0])]


def _length(row: dict) -> int:
    """A measure of how long a row takes: its frames, or bytes of sound."""
    return max((_cell_length(cell) for cell in row.values()), default=0)


def _cell_length(cell) -> int:
    if isinstance(cell, dict):
        return len(cell.get("bytes") or b"")
    return len(cell) if isinstance(cell, np.ndarray | list) else 0


def _size(row: dict) -> int:
    """Bytes of a row in memory, about."""
    return sum(_cell_size(cell) for cell in row.values())


def _cell_size(cell) -> int:
    if isinstance(cell, np.ndarray):
        return cell.nbytes
    if isinstance(cell, list):
        return sum(_cell_size(each) for each in cell)
    return len(cell["bytes"] or b"") if isinstance(cell, dict) and "bytes" in cell else 8


__all__ = ["ClipStream", "RowSource", "StreamLoader"]
