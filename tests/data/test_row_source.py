import numpy as np
import pytest
import torch
from datasets import Dataset
from helpers.shards import damage_shard, frames_of, make_rows, number_of, write_shards

from av_emotion_hf.data import open_dataset
from av_emotion_hf.data.row_source import MAX_OPEN_SHARDS, RowSource
from av_emotion_hf.errors import InputError


@pytest.fixture
def source(tmp_path):
    return RowSource(open_dataset(str(write_shards(tmp_path / "shards")), streaming=True))


def numbers(rows):
    return [number_of(row) for _, training_rows in rows for row in training_rows]


def test_rows_are_found_by_address(source):
    assert source.num_shards == 6 and source.num_row_groups(2) == 6
    assert numbers(source.rows(2, 1)) == [14, 15]
    assert numbers(source.rows(2, 1, first=1)) == numbers(source.rows(2, 1, wanted={1})) == [15]
    assert numbers(source.rows(2, 1, stride=(0, 2))) == [14]
    assert [number for number, _ in source.rows(2, 1, first=1)] == [1]


def test_frames_are_views_of_what_was_read(source):
    rows = [row for _, training_rows in source.rows(2, 1) for row in training_rows]
    assert [row["input_features"].shape for row in rows] == [(1 + n % 9, 3) for n in (14, 15)]
    assert all(row["input_features"].base is not None for row in rows)
    assert torch.equal(torch.tensor(rows[1]["input_features"]), torch.tensor(frames_of(15)))


def test_frames_may_have_their_width_in_the_type():
    import datasets

    widths = datasets.Features({"input_features": datasets.List(datasets.List(datasets.Value("float32"), length=3))})
    rows = Dataset.from_dict({"input_features": [frames_of(n).tolist() for n in range(4)]}, features=widths)
    source = RowSource(rows.to_iterable_dataset())
    assert numbers(source.rows(0, 0)) == [0, 1, 2, 3]


def test_shards_can_become_row_groups(source):
    source.reshard()
    assert source.num_shards == 4 + 3 + 6 + 1 + 5 + 3
    assert [number for shard in range(22) for number in numbers(source.rows(shard, 0))] == list(range(40))


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damage_is_skipped_and_named(tmp_path, caplog, damage):
    lost = damage_shard(write_shards(tmp_path / "shards"), damage)
    source = RowSource(open_dataset(str(tmp_path / "shards"), streaming=True))
    for _ in range(2):  # what was noted is not noted again
        row_groups = [(shard, group) for shard in range(6) for group in range(source.num_row_groups(shard))]
        found = [number for each in row_groups for number in numbers(source.rows(*each))]
        assert found == sorted(set(range(40)) - lost)
    (failure,) = source.failures
    assert failure["shard"] == "train-00002.parquet" + (", row group 3" if damage == "flipped" else "")
    assert set(failure) == {"shard", "error"} and failure["error"] and "\n" not in failure["error"]
    assert [record.message for record in caplog.records] == [f"skipped: {failure['shard']}: {failure['error']}"]


def test_a_clip_that_cannot_be_read_is_skipped_and_named(caplog):
    def read(row):
        if row["file"].endswith("bad.mp4"):
            raise InputError("a/bad.mp4: cannot be read")
        return [{"waveform": np.ones(3)}, {"waveform": np.ones(2)}]

    rows = Dataset.from_dict({"file": ["a/good.mp4", "a/bad.mp4"]})
    source = RowSource(rows.to_iterable_dataset(), read)
    assert [len(training_rows) for _, training_rows in source.rows(0, 0)] == [2, 0]
    assert source.failures == [{"clip": "a/bad.mp4", "error": "a/bad.mp4: cannot be read"}]
    assert [record.message for record in caplog.records] == ["skipped: a/bad.mp4: cannot be read"]


def test_few_shards_are_open_at_a_time():
    source = RowSource(make_rows(range(20)).to_iterable_dataset(num_shards=20))
    assert [n for shard in range(20) for n in numbers(source.rows(shard, 0))] == list(range(20))
    assert len(source._opened) == MAX_OPEN_SHARDS
