import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset

import av_emotion_hf as av
from av_emotion_hf.data import ClipReader, FeatureReader, open_dataset
from av_emotion_hf.data.extraction import ClipTask, extract
from av_emotion_hf.errors import InputError


def shards_of(folder):
    return sorted(path.name for path in (folder / "data").iterdir())


def test_writes_a_dataset_folder_and_lists_what_failed(clips, tmp_path):
    out = tmp_path / "inputs"
    manifest = extract(clips, str(out), ClipReader(detector="mtcnn"), rows_per_shard=2, metadata={"dataset": "four"})
    assert (manifest["clips"], manifest["rows"], manifest["complete"]) == (3, 3, True)
    assert manifest["seconds"] == pytest.approx(1.5, abs=0.2) and manifest["frames"] == {"faces": 10}
    (failure,) = manifest["failures"]
    assert failure["row"] == 3 and "neither audio nor video" in failure["error"]
    assert manifest == json.loads((out / "manifest.json").read_text())
    assert manifest["settings"]["dataset"] == "four" and manifest["settings"]["detector"] == "mtcnn"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("inputs")) == ["inputs"]
    assert sorted(path.name for path in out.iterdir()) == ["data", "manifest.json"]
    assert shards_of(out) == ["train-00000-00000.parquet", "train-00001-00000.parquet"]
    for streaming in (False, True):
        rows = list(open_dataset(str(out), streaming=streaming))
        assert [row["speaker"] for row in rows] == ["a", "a", "b"]
        assert [len(row["faces"]) for row in rows] == [5, 5, 0]
        assert rows[1]["audio"] is None and rows[0]["audio"]["bytes"][:4] == b"fLaC"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_and_workers_give_the_same_rows(clips, tmp_path, workers):
    extract(clips, str(tmp_path / "table"), ClipReader(detector="mtcnn"))
    stream = clips.to_iterable_dataset(num_shards=2)
    extract(stream, str(tmp_path / "stream"), ClipReader(detector="mtcnn"), rows_per_shard=1, workers=workers)
    assert shards_of(tmp_path / "stream") == [
        "train-00000-00000.parquet",
        "train-00000-00001.parquet",
        "train-00001-00000.parquet",
    ]
    assert list(open_dataset(str(tmp_path / "table"))) == list(open_dataset(str(tmp_path / "stream")))


def test_features_replace_inputs(clips, tmp_path, audio_config):
    model = av.AVEmotionAudioModel(audio_config)
    manifest = extract(clips, str(tmp_path / "features"), ClipReader("audio"), FeatureReader(audio_model=model))
    dataset = open_dataset(str(tmp_path / "features"))
    assert "audio" not in dataset.features
    assert [len(row["input_features"]) for row in dataset] == pytest.approx([25, 0, 25], abs=3)
    assert len(dataset[0]["input_features"][0]) == model.num_features
    frames = np.concatenate([row["input_features"] for row in dataset if row["input_features"]])
    statistics = manifest["statistics"]["input_features"]
    position = model.frontend.descriptor_names.index("loudness")
    assert statistics["count"][position] == len(frames) == manifest["frames"]["input_features"]
    assert statistics["mean"][position] == pytest.approx(frames[:, position].mean(), rel=1e-6)
    assert statistics["squares"][position] == pytest.approx(frames[:, position].var() * len(frames), rel=1e-5)


def test_features_of_inputs_equal_features_of_clips(clips, tmp_path, audio_config):
    reader = FeatureReader(audio_model=av.AVEmotionAudioModel(audio_config))
    extract(clips, str(tmp_path / "direct"), ClipReader("audio"), reader)
    extract(clips, str(tmp_path / "inputs"), ClipReader("audio"))
    inputs = open_dataset(str(tmp_path / "inputs"))
    manifest = extract(inputs, str(tmp_path / "features"), ClipReader("audio"), reader)
    assert manifest["clips"] == 3 and manifest["seconds"] == pytest.approx(1.5, abs=0.2)
    for name in ("direct", "features"):
        assert list(open_dataset(str(tmp_path / name)).features) == list(
            open_dataset(str(tmp_path / "direct")).features
        )
    assert [row["input_features"] for row in open_dataset(str(tmp_path / "features"))] == [
        row["input_features"] for row in open_dataset(str(tmp_path / "direct"))
    ]
    with pytest.raises(InputError, match="there is nothing to extract"):
        extract(inputs, str(tmp_path / "again"), ClipReader("audio"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_features_of_both_modalities(clips, tmp_path, config, workers):
    torch.manual_seed(0)
    model = av.AVEmotionModel(config)
    processor = av.AVEmotionImageProcessor(size={"height": 32, "width": 32})
    reader = FeatureReader(model.audio_encoder, model.image_encoder, processor)
    manifest = extract(clips, str(tmp_path / "out"), ClipReader(detector="mtcnn"), reader, workers=workers)
    rows = list(open_dataset(str(tmp_path / "out")))
    assert [len(row["image_features"]) for row in rows] == [len(row["face_times"]) for row in rows] == [5, 5, 0]
    assert manifest["frames"]["image_features"] == 10 and "faces" not in rows[0] and "audio" not in rows[0]
    crops = list(ClipReader(detector="mtcnn").read(clips[0]["video"]["bytes"]).crops)
    np.testing.assert_array_equal(rows[0]["image_features"], reader(np.zeros(0), crops)["image_features"])
    values = np.concatenate([row["image_features"] for row in rows[:2]])
    np.testing.assert_allclose(manifest["statistics"]["image_features"]["mean"], values.mean(0), rtol=1e-5, atol=1e-7)


def test_a_long_clip_becomes_several_rows(clips, tmp_path):
    manifest = extract(clips, str(tmp_path / "inputs"), ClipReader("audio", window=0.2))
    rows = list(open_dataset(str(tmp_path / "inputs")))
    both = [row for row in rows if row["speaker"] == "a" and row["emotion"] == "sad"]
    np.testing.assert_allclose([row["start"] for row in both], [0, 0.2, 0.4], atol=1e-6)
    assert manifest["clips"] == 3 and manifest["rows"] == len(rows)


# --- augmented copies

AUGMENT = {"speed": 1.0, "noise": 0.5, "gain": 0.5}


@pytest.fixture
def voices(audio_config):
    """A reader of features of voices."""
    torch.manual_seed(0)
    return FeatureReader(audio_model=av.AVEmotionAudioModel(audio_config))


def test_copies_stand_behind_their_clip(clips, tmp_path, voices):
    plain = extract(clips, str(tmp_path / "plain"), ClipReader("audio"), voices)
    manifest = extract(clips, str(tmp_path / "out"), ClipReader("audio"), voices, augment=AUGMENT, copies=2)
    assert "augment" not in plain["settings"] and "copies" not in plain["settings"]
    assert manifest["settings"]["augment"] == AUGMENT and manifest["settings"]["copies"] == 2
    rows, originals = list(open_dataset(str(tmp_path / "out"))), list(open_dataset(str(tmp_path / "plain")))
    assert [row["augmented"] for row in rows] == [False, True, True, False, False, True, True]  # one has no sound
    assert [row for row in rows if not row.pop("augmented")] == originals
    assert (manifest["clips"], manifest["rows"]) == (3, 7)
    frames = []
    for original, number in ((rows[0], 1), (rows[0], 2), (rows[4], 5), (rows[4], 6)):
        copy = rows[number]
        assert copy["duration"] != original["duration"] and copy["duration"] == pytest.approx(0.5, rel=0.12)
        assert len(copy["input_features"]) == pytest.approx(50 * copy["duration"], abs=1)
        assert copy["emotion"] == original["emotion"] and copy["clip"] == original["clip"]
        frames.append(copy["input_features"])
    assert all(frames[i] != frames[j] for i in range(4) for j in range(i))
    assert manifest["seconds"] == pytest.approx(sum(row["duration"] for row in rows), abs=0.01)
    assert manifest["frames"]["input_features"] == sum(len(row["input_features"]) for row in rows)


def test_copies_of_inputs_equal_copies_of_clips_and_every_window_has_its_own(clips, tmp_path, voices):
    extract(clips, str(tmp_path / "inputs"), ClipReader("audio"))
    inputs = open_dataset(str(tmp_path / "inputs"))
    for name, dataset in (("direct", clips), ("through", inputs)):
        extract(dataset, str(tmp_path / name), ClipReader("audio"), voices, augment=AUGMENT)
    direct, through = (list(open_dataset(str(tmp_path / name))) for name in ("direct", "through"))
    assert [row["input_features"] for row in direct] == [row["input_features"] for row in through]
    extract(clips.select([0]), str(tmp_path / "windows"), ClipReader("audio", window=0.2), voices, augment=AUGMENT)
    rows = list(open_dataset(str(tmp_path / "windows")))
    assert [row["augmented"] for row in rows] == [False, True] * (len(rows) // 2) and len(rows) >= 4
    factors = [copy["duration"] / row["duration"] for row, copy in zip(rows[::2], rows[1::2], strict=True)]
    assert len({round(factor, 3) for factor in factors}) > 1


def test_interrupted_copies_resume_to_identical_shards(clips, tmp_path, monkeypatch, voices):
    def run(name, **settings):
        return extract(clips, str(tmp_path / name), ClipReader("audio"), voices, **{"augment": AUGMENT} | settings)

    run("whole", copies=2)
    call, read = ClipTask.__call__, []

    def breaks(self, item, alive):
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(item)
        call(self, item, alive)

    monkeypatch.setattr(ClipTask, "__call__", breaks)
    with pytest.raises(KeyboardInterrupt):
        run("broken", copies=2)
    monkeypatch.setattr(ClipTask, "__call__", call)
    torch.manual_seed(5)
    for settings in ({"copies": 1}, {"copies": 2, "augment": AUGMENT | {"gain": 0.4}}, {"augment": None}):
        with pytest.raises(InputError, match=r"broken.partial: was made with other settings \(.*(copies|augment) "):
            run("broken", **settings)
    run("broken", copies=2)
    for shard in shards_of(tmp_path / "whole"):
        whole, broken = (tmp_path / name / "data" / shard for name in ("whole", "broken"))
        assert whole.read_bytes() == broken.read_bytes()


def test_copies_that_cannot_be_had_are_named(clips, tmp_path, voices):
    out = str(tmp_path / "out")
    with pytest.raises(InputError, match=r"'babble' is for training batches, and these are single clips; choose from"):
        extract(clips, out, ClipReader("audio"), voices, augment={"babble": 0.5})
    for reader, feature_reader, copies in (("audio", None, 1), ("both", voices, 1), ("audio", voices, 0)):
        with pytest.raises(
            InputError, match=r"augmented copies of .*: these are features of voices, one copy or more"
        ):
            extract(clips, out, ClipReader(reader), feature_reader, augment={"noise": 0.5}, copies=copies)
    assert not list(tmp_path.glob("out*"))


# --- again and again


def test_started_again_when_done_it_does_nothing(clips, tmp_path, monkeypatch):
    out = tmp_path / "inputs"
    first = extract(clips, str(out), ClipReader("audio"))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    monkeypatch.setattr(ClipTask, "__call__", lambda *_: pytest.fail("a clip was read again"))
    assert extract(clips, str(out), ClipReader("audio")) == first
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(
        InputError, match=r"made with other settings \(fps 10.0 there, 5.0 now\); choose another --out"
    ):
        extract(clips, str(out), ClipReader("audio", fps=5.0))


def test_failures_are_named_relative_to_the_dataset(clip_files, tmp_path):
    folder = tmp_path / "clips"
    for name in ("good", "bad"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.mp4").symlink_to(clip_files[0])
    (folder / "bad" / "b.mp4").write_bytes(b"no clip")
    opened = open_dataset(str(folder))
    own = Dataset.from_dict({"file": opened["file"][:]})
    for number, (dataset, root, prefix) in enumerate([(opened, None, "bad/"), (own, folder, "bad/"), (own, None, "")]):
        out = tmp_path / f"out{number}"
        manifest = extract(dataset, str(out), ClipReader("audio"), root=root)
        (failure,) = manifest["failures"]
        assert failure["clip"] == f"{prefix}b.mp4" and set(failure) == {"row", "clip", "error"}
        clips = open_dataset(str(out))["clip"][:]
        assert clips == ([f"{prefix}a.mp4", "good/a.mp4"] if prefix else ["a.mp4", "a.mp4"])


def test_what_is_not_ours_is_left_alone(clips, tmp_path):
    out = tmp_path / "inputs"
    out.mkdir()
    with pytest.raises(InputError, match="exists already; choose another --out"):
        extract(clips, str(out), ClipReader("audio"))
    out.rmdir()
    with pytest.raises(InputError, match="not one clip could be read, nothing was written; the first reason"):
        extract(clips.select([3]), str(out), ClipReader("audio"))
    assert list(tmp_path.glob("inputs*")) == []


@pytest.mark.parametrize("streaming", [False, True])
def test_interrupted_it_resumes_without_reading_again(clips, tmp_path, monkeypatch, streaming):
    whole = tmp_path / "whole"
    expected = extract(clips, str(whole), ClipReader("audio"))
    dataset = clips.to_iterable_dataset() if streaming else clips
    read = []
    call = ClipTask.__call__

    def breaks(self, item, alive):
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(item[0])
        call(self, item, alive)

    monkeypatch.setattr(ClipTask, "__call__", breaks)
    out = tmp_path / "inputs"
    with pytest.raises(KeyboardInterrupt):
        extract(dataset, str(out), ClipReader("audio"), rows_per_shard=2 if streaming else 500)
    assert not out.exists() and (tmp_path / "inputs.partial").is_dir()
    with pytest.raises(InputError, match=r"inputs.partial: was made with other settings \(modality 'audio' there"):
        extract(dataset, str(out), ClipReader("both", detector="mtcnn"), rows_per_shard=2 if streaming else 500)

    def resumes(self, item, alive):
        if not self.path(item[0]).exists():
            read.append(item[0])
        call(self, item, alive)

    monkeypatch.setattr(ClipTask, "__call__", resumes)
    manifest = extract(dataset, str(out), ClipReader("audio"), rows_per_shard=2 if streaming else 500)
    assert len(read) == len(set(read)) == 4
    assert list(open_dataset(str(out))) == list(open_dataset(str(whole)))
    for name in ("clips", "rows", "seconds", "failures"):
        assert manifest[name] == expected[name]


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.slow
def test_killed_before_any_rename_it_resumes(clip_files, tmp_path):
    """Real processes, killed for good; each resumes what the one before has left."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number:02d}.mp4").symlink_to(clip_files[number % 3])
    extract(open_dataset(str(folder)), str(tmp_path / "whole"), ClipReader("audio"), rows_per_shard=4)
    driver = Path(__file__).with_name("killed_extraction.py")
    attempts = [tmp_path / "third", 3, 0, tmp_path / "fourth", 4, 0, tmp_path / "workers", 3, 1]
    words = [str(word) for word in (sys.executable, driver, folder, *attempts)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # renames: the settings; for each shard its four clips (by a worker, if there is one), the shard, its record; the
    # manifest; the folder. At the third: two clips, record, clip, clip, shard, manifest; at the fourth also the folder
    assert json.loads(done.stdout) == [7, 5, 3]
    for name in ("third", "fourth", "workers"):
        assert list(open_dataset(str(tmp_path / name))) == list(open_dataset(str(tmp_path / "whole")))
        assert files(tmp_path / name) == files(tmp_path / "whole")
        manifests = [json.loads((tmp_path / each / "manifest.json").read_text()) for each in (name, "whole")]
        assert manifests[0] == manifests[1]
    assert not list(tmp_path.glob("*.partial"))


def test_several_processes_share_the_shards(clips, tmp_path, monkeypatch):
    alone = extract(clips, str(tmp_path / "alone"), ClipReader("audio"), rows_per_shard=1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    out = tmp_path / "shared"
    manifest = extract(clips, str(out), ClipReader("audio"), rows_per_shard=1)
    assert not manifest["complete"] and manifest["clips"] == 1 and not out.exists()
    monkeypatch.setenv("RANK", "0")
    manifest = extract(clips, str(out), ClipReader("audio"), rows_per_shard=1)
    assert manifest == alone
    assert list(open_dataset(str(out))) == list(open_dataset(str(tmp_path / "alone")))


def test_a_clip_that_crashes_or_hangs_costs_that_clip_only(clips, tmp_path, monkeypatch):
    call = ClipTask.__call__

    def dangerous(self, item, alive):
        number = int(item[0][-7:])
        if number == 0:
            os._exit(1)
        if number == 1:
            time.sleep(60)
        call(self, item, alive)

    monkeypatch.setattr(ClipTask, "__call__", dangerous)
    manifest = extract(clips, str(tmp_path / "inputs"), ClipReader("audio"), workers=2, stall=1.0)
    assert manifest["clips"] == 1
    assert [(failure["row"], failure["error"][:25]) for failure in manifest["failures"]] == [
        (0, "the process that read it "),
        (1, "no progress for 1 seconds"),
        (3, manifest["failures"][2]["error"][:25]),
    ]


def test_a_full_disk_is_reported_and_nothing_is_lost(clips, tmp_path, monkeypatch):
    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", no_space)
    out = tmp_path / "inputs"
    with pytest.raises(
        InputError, match=r"cannot be written \(No space left on device\).*run the same command again to resume"
    ):
        extract(clips, str(out), ClipReader("audio"))
    monkeypatch.undo()
    assert not out.exists()
    assert extract(clips, str(out), ClipReader("audio"))["clips"] == 3


def no_space(*args, **kwargs):
    raise OSError(28, "No space left on device")
