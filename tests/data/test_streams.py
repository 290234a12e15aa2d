import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset, Features, List, Value

from av_emotion_hf.data import open_dataset
from av_emotion_hf.data.streams import ClipStream, StreamLoader
from av_emotion_hf.errors import InputError

FRAMES = Features({"input_features": List(List(Value("float32")))})
SIZES = (7, 5, 12, 1, 9, 6)  # rows of six shards


def frames_of(number):
    return np.full((1 + number % 9, 3), number, dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    """Shards of unequal size, in row groups of two; row n is full of the number n."""
    number = 0
    (tmp_path / "corpus" / "data").mkdir(parents=True)
    for shard, size in enumerate(SIZES):
        rows = Dataset.from_dict(
            {"input_features": [frames_of(number + i).tolist() for i in range(size)]}, features=FRAMES
        )
        table = rows.with_format("arrow")[:]
        pq.write_table(table, tmp_path / "corpus" / "data" / f"train-{shard:05d}.parquet", row_group_size=2)
        number += size
    return tmp_path / "corpus"


def rows_of(number, rows):
    """Stands for a collator: which rows are in a batch."""
    assert all((row["input_features"] == row["input_features"][0, 0]).all() for row in rows)
    return {"number": number, "rows": [int(row["input_features"][0, 0]) for row in rows]}


def load(folder, batch_size=3, buffer_rows=8, **options):
    stream = ClipStream(open_dataset(str(folder), streaming=True), buffer_rows=buffer_rows)
    return StreamLoader(stream, rows_of, batch_size, **options)


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (2, 0), (3, 0), (1, 2), (2, 2), (9, 0)])
def test_every_row_belongs_to_one_party_in_each_pass(folder, world, workers):
    read = [set() for _ in range(world * max(1, workers))]
    for rank in range(world):
        stream = ClipStream(open_dataset(str(folder), streaming=True))
        stream.share_out(1, seed=5, rank=rank, world=world, workers=max(1, workers))
        for worker in range(stream.workers):
            rows, place = stream._fill([], stream._walk((0, 0, 0, 0), worker))
            assert place == (1, 0, 0, 0)
            read[rank * stream.workers + worker] = [int(row["input_features"][0, 0]) for _, row in rows]
    assert sorted(number for part in read for number in part) == list(range(sum(SIZES)))


def test_fewer_shards_than_processes_are_shared_row_by_row():
    rows = Dataset.from_dict({"input_features": [frames_of(n).tolist() for n in range(20)]}, features=FRAMES)
    read = []
    for rank in range(3):
        stream = ClipStream(rows.to_iterable_dataset())
        stream.share_out(1, rank=rank, world=3)
        read += [int(row["input_features"][0, 0]) for _, row in stream._fill([], stream._walk((0, 0, 0, 0), 0))[0]]
    assert sorted(read) == list(range(20))


def test_all_rows_come_in_each_pass_in_another_order(folder):
    batches = [batch["rows"] for batch, _ in zip(load(folder, batch_size=4), range(30), strict=False)]
    rows = [number for batch in batches for number in batch]
    assert sorted(rows[:40]) == list(range(40)) == sorted(rows[40:80])
    assert rows[:40] != rows[40:80]
    assert rows[:40] != sorted(rows[:40])


def test_batches_are_of_similar_length(folder):
    lengths = [[1 + n % 9 for n in b["rows"]] for b, _ in zip(load(folder, buffer_rows=40), range(13), strict=False)]
    drawn = np.random.default_rng(0).permutation([1 + n % 9 for n in range(39)]).reshape(13, 3)
    assert sum(max(b) * len(b) for b in lengths) < 0.8 * sum(max(b) * len(b) for b in drawn)
    assert lengths != sorted(lengths)


def test_processes_draw_long_and_short_batches_together(folder):
    parts = [load(folder, buffer_rows=20, rank=rank, world=2, length=60) for rank in range(2)]
    steps = [(max(n % 9 for n in a["rows"]), max(n % 9 for n in b["rows"])) for a, b in zip(*parts, strict=True)]
    assert len(steps) == 60  # every process has as many steps, whatever its shards hold
    assert np.corrcoef(np.array(steps).T)[0, 1] > 0.5


@pytest.mark.parametrize(("workers", "world"), [(0, 1), (2, 1), (0, 2), (2, 3)])
def test_goes_on_where_it_stood(folder, workers, world):
    options = {"workers": workers, "world": world, "rank": world - 1, "length": 40, "seed": 3}
    expected = list(load(folder, **options))
    assert [batch["number"] for batch in expected] == list(range(40))
    for stop in (1, 17) if workers else (1, 2, 7, 16, 39, 40):  # starting workers takes a while
        loader = load(folder, **options)
        for _ in zip(range(stop), loader, strict=False):
            pass
        state = json.loads(json.dumps(loader.state_dict()))
        again = load(folder, **options)
        again.load_state_dict(state)
        assert list(again) == expected[stop:]
        assert again.state_dict()["given"] == 40


def test_what_was_given_is_not_decoded_again(clips, monkeypatch):
    stream_of = clips.select([0, 1, 2]).to_iterable_dataset(num_shards=1)
    decoded = []

    def decode(row):
        decoded.append(row["speaker"] + row["emotion"])
        return [{"audio": {"bytes": decoded[-1].encode(), "path": None}}]

    def load():
        stream = ClipStream(stream_of, decode)
        return StreamLoader(stream, lambda number, rows: [row["audio"]["bytes"].decode() for row in rows], 1, length=3)

    expected = [batch[0] for batch in load()]
    assert len(decoded) == 3 and sorted(decoded) == sorted(expected)
    for stop in (1, 2):
        loader = load()
        for _ in zip(range(stop), loader, strict=False):
            pass
        decoded.clear()
        again = load()
        again.load_state_dict(loader.state_dict())
        assert [batch[0] for batch in again] == expected[stop:]
        assert sorted(decoded) == sorted(expected[stop:])


def test_going_on_with_others_is_refused(folder):
    state = load(folder, world=2).state_dict()
    for changes, message in (
        ({"world": 1}, "with 2 processes, now there are 1"),
        ({"world": 2, "batch_size": 4}, "with 3 rows in a batch, now there are 4"),
        ({"world": 2, "workers": 2}, "with 1 workers, now there are 2"),
    ):
        with pytest.raises(InputError, match=message):
            load(folder, **changes).load_state_dict(state)
    loader = load(folder)
    next(iter(loader))
    state = loader.state_dict()
    state["parties"][0]["batches"][0][0] = (0, 0, 99, 0)
    again = load(folder)
    again.load_state_dict(state)
    with pytest.raises(InputError, match="the dataset was changed since the checkpoint"):
        next(iter(again))


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_shards_are_left_out_and_named(folder, damage):
    path = folder / "data" / "train-00002.parquet"
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-20])
    else:
        place = pq.ParquetFile(path).metadata.row_group(3).column(0).data_page_offset
        path.write_bytes(content[:place] + b"\xff" * 60 + content[place + 60 :])
    lost = set(range(12, 24)) if damage == "cut" else {18, 19}
    loader = load(folder, batch_size=1, length=40 - len(lost))
    assert sorted(row for batch in loader for row in batch["rows"]) == sorted(set(range(40)) - lost)
    assert [note["shard"].partition(",")[0] for note in loader.left_out] == ["train-00002.parquet"]


def test_nothing_to_train_on_is_said(tmp_path):
    empty = Dataset.from_dict({"input_features": [[], []]}, features=FRAMES).to_iterable_dataset()
    loader = StreamLoader(ClipStream(empty), rows_of, 2)
    with pytest.raises(InputError, match="finds nothing to train on in its part of the dataset"):
        next(iter(loader))


def test_the_buffer_is_bounded_by_rows_and_by_bytes(folder):
    def fill(**bounds):
        stream = ClipStream(open_dataset(str(folder), streaming=True), **bounds)
        stream.share_out(2)
        return stream._fill([], stream._walk((0, 0, 0, 0), 0))[0]

    assert len(fill(buffer_rows=10)) == 10
    rows = fill(buffer_bytes=200)
    assert 200 <= sum(row["input_features"].nbytes for _, row in rows) < 200 + 9 * 12


def test_frames_are_views_of_what_was_read(folder):
    stream = ClipStream(open_dataset(str(folder), streaming=True))
    rows = [row for _, parts in stream.source.rows(2, 1) for row in parts]
    assert [row["input_features"].shape for row in rows] == [(1 + n % 9, 3) for n in (14, 15)]
    assert all(row["input_features"].base is not None for row in rows)
    assert torch.equal(torch.tensor(rows[1]["input_features"]), torch.tensor(frames_of(15)))
