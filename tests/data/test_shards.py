from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Dataset

from av_emotion_hf.data import shards
from av_emotion_hf.data.shards import ShardFolder
from av_emotion_hf.errors import InputError

SCHEMA = pa.schema({"number": pa.int64()})


def write(folder, part, clips=1):
    """Write a part whose rows are their numbers, and its record."""
    numbers = [number for number, _ in part.rows]
    with folder.writer(part.name, SCHEMA) as append:
        append([pa.record_batch([pa.array([number])], schema=SCHEMA) for number in numbers])
    counts = {"clips": clips, "rows": len(numbers), "seconds": 1.0, "frames": {}, "failures": [], "statistics": {}}
    folder.write_record(part.name, counts | {"rows_read": len(numbers), "last": part.is_last()})
    return numbers


def rows(count=10):
    return Dataset.from_dict({"row": list(range(count))})


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("streaming", [False, True])
def test_parts_are_what_is_not_written_yet(tmp_path, streaming):
    dataset = rows().to_iterable_dataset(num_shards=2) if streaming else rows()
    out = str(tmp_path / "out")
    first = ShardFolder(out, {})
    names = []
    for part in first.parts(dataset, 3):
        write(first, part)
        names.append(part.name)
        if len(names) == 3:
            break
    assert not first.is_complete(dataset, 3)
    again = ShardFolder(out, {})
    names += [part.name for part in again.parts(dataset, 3) if write(again, part)]
    expected = {
        False: ["00000-00000", "00001-00000", "00002-00000", "00003-00000"],
        True: ["00000-00000", "00000-00001", "00001-00000", "00001-00001"],
    }
    assert names == expected[streaming]
    assert again.is_complete(dataset, 3)
    manifest = again.finish()
    assert manifest["rows"] == 10 and manifest["complete"]
    assert files(tmp_path / "out") == [*(f"data/train-{name}.parquet" for name in names), "manifest.json"]


def test_processes_divide_the_parts(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    found = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        folder = ShardFolder(str(tmp_path / "out"), {})
        found.append([number for part in folder.parts(rows(), 2) for number in write(folder, part)])
    assert found == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5]]


def test_a_shard_without_rows_is_no_file(tmp_path):
    folder = ShardFolder(str(tmp_path / "out"), {})
    with folder.writer("00000-00000", SCHEMA) as append:
        append([])
    assert files(tmp_path / "out.partial") == ["settings.json"]


def test_a_shard_appears_when_it_is_whole(tmp_path):
    folder = ShardFolder(str(tmp_path / "out"), {})
    with pytest.raises(KeyboardInterrupt), folder.writer("00000-00000", SCHEMA) as append:
        append([pa.record_batch([pa.array([1])], schema=SCHEMA)])
        assert not list((tmp_path / "out.partial" / "data").glob("*.parquet"))
        raise KeyboardInterrupt
    assert files(tmp_path / "out.partial") == ["settings.json"]


def test_what_interrupted_runs_left_does_not_stay(tmp_path):
    """Also a run of version 0.1, which had other names for what it had not finished."""
    partial, out = tmp_path / "out.partial", tmp_path / "out"
    for name in ("data", "records", "clips"):
        (partial / name).mkdir(parents=True)
    (partial / "settings.json").write_text('{"fps": 5}')
    leftovers = [
        "data/train-00000-00000.tmp",
        "data/.train-00000-00000.parquet.123.partial",
        "clips/00000-00000-0000000.tmp",
        "clips/.00000-00000-0000001.arrow.123.partial",
        "records/00000-00000.json.123.tmp",
        "records/.00000-00000.json.123.partial",
        "manifest.json.123.tmp",
        ".manifest.json.123.partial",
        ".settings.json.123.partial",
    ]
    for name in leftovers:
        (partial / name).write_bytes(b"half")
    folder = ShardFolder(str(out), {"fps": 5})
    for part in folder.parts(rows(2), 5):
        write(folder, part)
    folder.finish()
    assert files(tmp_path) == ["out/data/train-00000-00000.parquet", "out/manifest.json"]

    (out / "records").mkdir()  # killed between giving the name and removing these
    (out / "settings.json").write_text("{}")
    assert ShardFolder(str(out), {"fps": 5}).manifest["rows"] == 2
    assert files(tmp_path) == ["out/data/train-00000-00000.parquet", "out/manifest.json"]
    assert not (out / "records").exists()


@pytest.mark.parametrize("step", [(shards, "summarize"), (shards, "write_json"), (Path, "rename")])
def test_two_processes_may_finish_at_the_same_time(tmp_path, monkeypatch, step):
    first, second = (ShardFolder(str(tmp_path / "out"), {}) for _ in range(2))
    for part in first.parts(rows(2), 5):
        write(first, part)
    owner, name = step
    do, manifests = getattr(owner, name), []

    def late(*args):
        monkeypatch.undo()
        manifests.append(first.finish())
        return do(*args)

    monkeypatch.setattr(owner, name, late)
    manifests.append(second.finish())
    assert len(manifests) == 2 and manifests[0] == manifests[1] and manifests[0]["rows"] == 2
    assert second.is_complete(rows(2), 5)
    assert files(tmp_path) == ["out/data/train-00000-00000.parquet", "out/manifest.json"]


def test_other_settings_are_refused(tmp_path):
    out = str(tmp_path / "out")
    folder = ShardFolder(out, {"fps": 5})
    with pytest.raises(InputError, match=r"out.partial: was made with other settings \(fps 5 there, 10 now\)"):
        ShardFolder(out, {"fps": 10})
    for part in folder.parts(rows(2), 5):
        write(folder, part)
    folder.finish()
    with pytest.raises(InputError, match=r"out: was made with other settings \(fps 5 there, 10 now\)"):
        ShardFolder(out, {"fps": 10})


def test_nothing_read_is_an_error_and_leaves_nothing(tmp_path):
    folder = ShardFolder(str(tmp_path / "out"), {})
    for part in folder.parts(rows(2), 5):
        write(folder, part, clips=0)
    with pytest.raises(InputError, match="not one clip could be read, nothing was written"):
        folder.finish()
    assert files(tmp_path) == []
