import json

import numpy as np
import pytest
from datasets import Dataset
from helpers.shards import FRAMES, damage_shard, number_of, write_shards

from av_emotion_hf.data import open_dataset
from av_emotion_hf.data.clip_stream import ClipStream
from av_emotion_hf.data.stream_loader import StreamLoader
from av_emotion_hf.errors import InputError

OLD_STATE = {
    "settings": {
        "shards": 6, "processes": 2, "workers": 1, "rows in a batch": 3, "rows in the buffer": 8, "as seed": 3
    },
    "given": 3,
    "parties": [
        {
            "place": [0, 0, 7, 2], "given": 3, "batches": [[[0, 1, 0, 0], [0, 1, 1, 0], [0, 3, 0, 0]]],
            "rest": [[5, 1, 1, 0], [5, 2, 0, 0]],
        }
    ],
    "left_out": [{"shard": "shard 7", "error": "gone"}],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return write_shards(tmp_path / "shards")


def rows_of(number, rows):
    """Used as a collator: which rows are in a batch."""
    return {"number": number, "rows": [number_of(row) for row in rows]}


def load(folder, batch_size=3, buffer_rows=8, **options):
    stream = ClipStream(open_dataset(str(folder), streaming=True), buffer_rows=buffer_rows)
    return StreamLoader(stream, rows_of, batch_size, **options)


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


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "world"), [(0, 1), (2, 1), (0, 2), (2, 3)])
def test_resumes_with_the_same_batches(folder, workers, world):
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


def test_a_state_of_version_0_1_resumes(folder):
    loader = load(folder, world=2, rank=1, seed=3, length=9)
    loader.load_state_dict(json.loads(json.dumps(OLD_STATE)))
    assert loader.state_dict() == OLD_STATE and loader.failures == OLD_STATE["left_out"]
    expected = [[2, 3, 6], [34, 8, 35], [37, 38, 7], [20, 12, 13], [25, 17, 26], [18, 21, 15]]  # of that version
    assert [batch["rows"] for batch in loader] == expected


def test_passes_are_counted(folder):
    loader = load(folder, batch_size=4, length=21)
    passes = [loader.passes for _ in loader]
    assert passes[0] == 0 and passes == sorted(passes) and passes[-1] == 2


def test_what_was_yielded_is_not_decoded_again(clips, monkeypatch):
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


def test_resuming_with_other_settings_is_refused(folder):
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


@pytest.mark.parametrize(("damage", "workers"), [("cut", 0), ("flipped", 0), ("flipped", 2)])
def test_damaged_shards_are_skipped_and_named(folder, damage, workers):
    lost = damage_shard(folder, damage)
    loader = load(folder, batch_size=1, workers=workers, length=40 - len(lost))
    found = sorted(row for batch in loader for row in batch["rows"])
    if not workers:  # several readers need not end their passes together
        assert found == sorted(set(range(40)) - lost)
    assert not set(found) & lost
    assert [failure["shard"].partition(",")[0] for failure in loader.failures] == ["train-00002.parquet"]
    again = load(folder, batch_size=1, workers=workers)
    again.load_state_dict(json.loads(json.dumps(loader.state_dict())))
    assert again.failures == loader.failures


def test_nothing_to_train_on_is_said(tmp_path):
    empty = Dataset.from_dict({"input_features": [[], []]}, features=FRAMES).to_iterable_dataset()
    loader = StreamLoader(ClipStream(empty), rows_of, 2)
    with pytest.raises(InputError, match="finds nothing to train on in its part of the dataset"):
        next(iter(loader))
