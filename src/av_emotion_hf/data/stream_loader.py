"""The loader of a stream: its state is saved with a checkpoint, and a resumed run continues with the same batches."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from ..errors import Failure, InputError
from .clip_stream import SHARD_GROUP, ClipStream, Position, ReaderState


class StreamLoader(DataLoader):
    """The loader of a [`ClipStream`], which can save its state and resume.

    Args:
        stream: what is loaded.
        collate: makes a batch from its number and its rows.
        batch_size: rows in a batch.
        workers: processes that read; with 0 this one does.
        seed: of the order.
        rank: of this process.
        world: number of processes that train together; each reads a part of the stream of its own.
        length: batches in all; endless when `None`.
        **kwargs: as for torch's `DataLoader`.

    Attributes:
        failures: what was skipped so far, also by an interrupted run that this one resumes.
    """

    dataset: ClipStream

    def __init__(
        self,
        stream: ClipStream,
        collate: Callable[[int, list[dict]], Any],
        batch_size: int,
        workers: int = 0,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        length: int | None = None,
        **kwargs: Any,
    ):
        stream.assign(batch_size, seed, rank, world, max(1, workers), length)
        generator = torch.Generator()  # else each start would draw from torch's global one, and dropout would differ
        super().__init__(
            stream,
            batch_size=None,
            num_workers=workers,
            collate_fn=_Collate(collate),  # type: ignore[arg-type]  # without a batch size it gets single items
            generator=generator,
            **kwargs,
        )
        self.failures: list[Failure] = []

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch names a private class
        """Batches from the current state on."""
        blocks: dict[int, ReaderState] = {}
        for batch, (worker, number, block) in super().__iter__():
            if block is not None:
                blocks[worker], failures = block
                self.failures += [failure for failure in failures if failure not in self.failures]
            self.dataset.readers[worker] = blocks[worker].after(number + 1)
            self.dataset.num_batches += 1
            yield batch

    @property
    def passes(self) -> float:
        """How many times the dataset was read so far, by the reader that has read least."""
        stream = self.dataset
        shard_groups = -(-stream.source.num_shards // (stream.world * stream.workers * SHARD_GROUP))
        return min(reader.cursor.epoch + reader.cursor.shard_group / shard_groups for reader in stream.readers)

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON values; the keys are those of all checkpoints since 0.1."""
        return {
            "settings": self._settings(),
            "given": self.dataset.num_batches,
            "parties": [reader.as_dict() for reader in self.dataset.readers],
            "left_out": self.failures,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`.

        Raises:
            InputError: it is of another dataset, or of another number of processes, workers or rows in a batch.
        """
        for name, value in self._settings().items():
            if state["settings"][name] != value:
                raise InputError(
                    f"the checkpoint was written with {state['settings'][name]} {name}, now there are {value}; resume "
                    "with the same, or start from scratch"
                )
        self.dataset.num_batches = state["given"]
        self.dataset.readers = [ReaderState.from_dict(reader) for reader in state["parties"]]
        self.failures = list(state["left_out"])

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
    """Makes a batch in the process that has read its rows, and passes its position on."""

    def __init__(self, collate: Callable[[int, list[dict]], Any]):
        self.collate = collate

    def __call__(self, item: tuple[int, list[dict], Position]) -> tuple[Any, Position]:
        number, rows, position = item
        return self.collate(number, rows), position


__all__ = ["StreamLoader"]
