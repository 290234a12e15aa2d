import numpy as np
import pytest
from helpers.shards import SIZES, make_rows, number_of, write_shards

from av_emotion_hf.data import open_dataset
from av_emotion_hf.data.clip_stream import ClipStream, Cursor, ReaderState


@pytest.fixture
def folder(tmp_path):
    return write_shards(tmp_path / "shards")


def read(stream, worker=0):
    """Numbers of the rows that fill the buffer of a reader at its start, and the cursor behind them."""
    buffer, cursor = stream._fill([], stream._iterate(Cursor(), worker))
    return [number_of(row) for _, row in buffer], cursor


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (2, 0), (3, 0), (1, 2), (2, 2), (9, 0)])
def test_every_row_belongs_to_one_reader_in_each_pass(folder, world, workers):
    found = []
    for rank in range(world):
        stream = ClipStream(open_dataset(str(folder), streaming=True))
        stream.assign(1, seed=5, rank=rank, world=world, workers=max(1, workers))
        for worker in range(stream.workers):
            numbers, cursor = read(stream, worker)
            assert cursor == Cursor(1)
            found += numbers
    assert sorted(found) == list(range(sum(SIZES)))


def test_fewer_shards_than_processes_are_divided_by_row():
    found = []
    for rank in range(3):
        stream = ClipStream(make_rows(range(20)).to_iterable_dataset())
        stream.assign(1, rank=rank, world=3)
        found += read(stream)[0]
    assert sorted(found) == list(range(20))


def test_the_buffer_is_bounded_by_rows_and_by_bytes(folder):
    def fill(**bounds):
        stream = ClipStream(open_dataset(str(folder), streaming=True), **bounds)
        stream.assign(2)
        return stream._fill([], stream._iterate(Cursor(), 0))[0]

    assert len(fill(buffer_rows=10)) == 10
    rows = fill(buffer_bytes=200)
    assert 200 <= sum(row["input_features"].nbytes for _, row in rows) < 200 + 9 * 12


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2, 7])
def test_one_pass_has_every_row_once_in_order(folder, world):
    parts = []
    for rank in range(world):
        stream = ClipStream(open_dataset(str(folder), streaming=True))
        parts.append([number_of(row) for batch in stream.one_pass(4, rank, world) for row in batch])
        assert parts[-1] == sorted(parts[-1])
        batches = list(stream.one_pass(4, rank, world, limit=5))
        assert [number_of(row) for batch in batches for row in batch] == parts[-1][:5]
        assert all(len(batch) == 4 for batch in batches[:-1])
    assert sorted(number for part in parts for number in part) == list(range(sum(SIZES)))


def test_rows_of_arrays_are_batched_by_length():
    def arrays(row):
        number = number_of(row)
        return [{"waveform": np.full(1 + number % 5, number, np.float32)}] if number else [{"waveform": np.zeros(0)}]

    stream = ClipStream(make_rows(range(20)).to_iterable_dataset(), arrays)
    stream.assign(2, length=9)
    batches = [[row["waveform"] for row in rows] for _, rows, _ in stream]
    assert 0 not in {waveform[0] for batch in batches for waveform in batch}  # it has no samples
    assert sum(len(batch[0]) != len(batch[1]) for batch in batches) <= 5


def test_the_state_of_a_reader_is_json():
    state = ReaderState.from_dict(
        {"place": [1, 0, 2, 3], "given": 4, "batches": [[[0, 1, 0, 0]], [[5, 1, 1, 0]]], "rest": [[5, 2, 0, 0]]}
    )
    assert state.cursor == Cursor(epoch=1, shard_group=0, row_group=2, row=3)
    assert state.batches[1][0].shard == 5 and state.remainder[0].row_group == 2
    after = state.after(1)
    assert (after.num_batches, after.batches) == (5, state.batches[1:])
    assert ReaderState.from_dict(after.as_dict()) == after
