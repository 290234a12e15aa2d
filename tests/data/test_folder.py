import logging
import os

import pytest
from datasets import ClassLabel, Dataset
from PIL import Image

from av_emotion_hf.data import label_names, open_dataset
from av_emotion_hf.data.folder import anchored
from av_emotion_hf.errors import InputError


@pytest.fixture
def make(tmp_path):
    """Makes files below a folder; returns it."""

    def files(*names, folder="clips"):
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode("utf-8", "surrogateescape"))
        return tmp_path / folder

    return files


def names(dataset):
    return [row["clip"] for row in dataset]


def said(caplog):
    return "\n".join(record.getMessage() for record in caplog.records)


# --- which files


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_of_clips_of_any_suffix_is_a_dataset(make, streaming):
    wanted = ["a.wav", "b.mp4", "c.MTS", "d.amr", "e.oga", "f.aif", "sub/g.wma"]
    folder = make(*wanted)
    rows = list(open_dataset(str(folder), streaming=streaming))
    assert [row["clip"] for row in rows] == wanted
    assert [row["file"] for row in rows] == [str(folder / name) for name in wanted]


def test_the_name_of_a_file_says_nothing_about_its_split(make):
    folder = make("mic_test_1.wav", "dev.wav", "happy/validation_2.wav", "happy/test/a.wav")
    assert len(open_dataset(str(folder))) == 4


def test_what_stands_beside_clips_is_named_and_not_the_dataset(make, caplog):
    folder = make("a.mp4", "a.txt", "b.mp4", "b.txt", "labels.csv", "._a.mp4", ".DS_Store", "cover.jpg")
    assert names(open_dataset(str(folder))) == ["a.mp4", "b.mp4"]
    assert "skipped 4 files: a.txt, b.txt, cover.jpg, labels.csv (no clip by its suffix)" in said(caplog)
    assert "skipped 2 files: .DS_Store, ._a.mp4 (hidden)" in said(caplog)


@pytest.mark.parametrize("name", ["folder [1]", "all*", "what?", "{a}", "über mich", "new\nline"])
def test_the_name_of_a_folder_is_no_pattern(make, name):
    make("other.wav", folder="all more")
    folder = make("a.wav", "b [2].wav", folder=name)
    assert names(open_dataset(str(folder))) == ["a.wav", "b [2].wav"]
    Dataset.from_dict({"file": ["a.wav"], "emotion": ["sad"]}).to_csv(folder / "t.csv")
    assert open_dataset(str(folder / "t.csv"))["file"][:] == [str(folder / "a.wav")]
    parquet = folder / "shards" / "train-00000.parquet"
    parquet.parent.mkdir()
    Dataset.from_dict({"emotion": ["sad"]}).to_parquet(parquet)
    assert open_dataset(str(parquet.parent))["emotion"][:] == ["sad"]


def test_links_are_followed_once_and_broken_ones_named(make, caplog):
    folder, other = make("a.wav"), make("x.wav", folder="elsewhere")
    (folder / "linked").symlink_to(other)
    (folder / "again").symlink_to(other)
    (folder / "up").symlink_to(folder.parent)
    (other / "back").symlink_to(folder)
    (folder / "gone.wav").symlink_to(folder / "nothing.wav")
    os.mkfifo(folder / "pipe.wav")
    assert names(open_dataset(str(folder))) == ["a.wav", "again/x.wav"]
    assert "skipped 1 file: gone.wav (a broken link)" in said(caplog)
    assert "skipped 1 file: pipe.wav (not a regular file)" in said(caplog)
    assert "again/back, linked, up (a link to a folder that is listed already)" in said(caplog)


def test_names_that_are_no_text_are_named(make, caplog):
    folder = make("a\nb.wav", "c\udcff.wav")
    assert names(open_dataset(str(folder))) == ["a\nb.wav"]
    assert "c\\udcff.wav (a name that is not UTF-8; rename it)" in said(caplog)


def test_a_folder_without_clips_is_said(make):
    folder = make("a.xyz", "notes.txt")
    with pytest.raises(InputError, match=r"contains neither clips nor table files .it has 2 files: a.xyz, notes.txt"):
        open_dataset(str(folder))
    (folder.parent / "empty").mkdir()
    with pytest.raises(InputError, match="it is empty"):
        open_dataset(str(folder.parent / "empty"))


def test_clips_that_change_are_not_taken_from_a_cache(make):
    folder = make("a.wav")
    first = open_dataset(str(folder))
    assert open_dataset(str(folder))._fingerprint == first._fingerprint and first.cache_files
    Dataset.from_dict({"file": ["a.wav", "b.wav"]}).to_csv(folder / "t.csv")
    table = open_dataset(str(folder / "t.csv"))
    assert open_dataset(str(folder / "t.csv"))._fingerprint == table._fingerprint
    (folder / "a.wav").write_bytes(b"something else")
    changed = open_dataset(str(folder / "t.csv"))
    assert open_dataset(str(folder))._fingerprint != first._fingerprint
    assert changed._fingerprint != table._fingerprint
    make("b.wav")
    assert open_dataset(str(folder / "t.csv"))._fingerprint not in (table._fingerprint, changed._fingerprint)


# --- splits and classes


def test_split_folders_stay_apart_whatever_the_suffix(make):
    folder = make("train/happy/a.mp4", "train/sad/c.mp4", "test/happy/d.mp4", "test/sad/b.m4v", "test/angry/e.wav")
    with pytest.raises(InputError, match="has the splits train, test; choose one with --split"):
        open_dataset(str(folder))
    test = open_dataset(str(folder), "test")
    assert names(test) == ["test/angry/e.wav", "test/happy/d.mp4", "test/sad/b.m4v"]
    assert test["label"][:] == [0, 1, 2]
    train = open_dataset(str(folder), "train")  # the same classes, though it has no angry clip
    assert label_names(train, "label") == ["angry", "happy", "sad"] and train["label"][:] == [1, 2]


@pytest.mark.parametrize("stray", ["dev/a.wav", "a.wav"])
def test_clips_beside_split_folders_belong_to_no_split(make, stray):
    folder = make("train/b.wav", stray)
    with pytest.raises(InputError, match="clips in the split folder train and outside of train, validation and test"):
        open_dataset(str(folder))


def test_folders_are_classes_where_a_label_is_asked_for(make, caplog):
    folder = make("happy/1.wav", "sad/2.wav")
    assert isinstance(open_dataset(str(folder)).features["label"], ClassLabel)
    dataset = open_dataset(str(folder), label_column="emotion")
    assert list(dataset.features) == ["file", "clip", "emotion"]
    assert label_names(dataset, "emotion") == ["happy", "sad"] and dataset["emotion"][:] == [0, 1]
    assert "the classes of column 'emotion' are its folders happy, sad" in said(caplog)
    make("3.wav")  # outside of every class
    assert "label" not in open_dataset(str(folder)).features
    assert open_dataset(str(folder), label_column="emotion")["emotion"][:] == [None, 0, 1]


# --- metadata


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_metadata_is_joined_and_checked_both_ways(make, caplog, suffix):
    folder = make("a.mp4", "sub/b.mp4", "c.wav")
    rows = Dataset.from_dict({"file_name": ["sub/b.mp4", "gone.mp4", "a.mp4"], "emotion": ["sad", "sad", "happy"]})
    path = str(folder / f"metadata.{suffix}")
    rows.to_csv(path) if suffix == "csv" else rows.to_json(path)
    dataset = open_dataset(str(folder), label_column="emotion")
    assert [(row["clip"], row["emotion"]) for row in dataset] == [
        ("a.mp4", "happy"),
        ("c.wav", None),
        ("sub/b.mp4", "sad"),
    ]
    assert "skipped its rows of 1 file: gone.mp4 (no such clip)" in said(caplog)
    assert f"metadata.{suffix}: has no row for 1 file: c.wav; its columns are empty there" in said(caplog)


def test_metadata_of_subfolders_names_the_clips_in_them(make):
    folder = make("train/a.wav", "test/a.wav")
    for split, emotion in (("train", "sad"), ("test", "happy")):
        Dataset.from_dict({"file_name": ["a.wav"], "emotion": [emotion]}).to_csv(folder / split / "metadata.csv")
    assert open_dataset(str(folder), "train")["emotion"][:] == ["sad"]
    assert open_dataset(str(folder), "test")["emotion"][:] == ["happy"]


def test_metadata_that_names_no_clip_is_refused(make):
    folder = make("a.wav")
    Dataset.from_dict({"name": ["a.wav"]}).to_csv(folder / "metadata.csv")
    with pytest.raises(InputError, match="has no column file_name, which says what clip a row describes; it has name"):
        open_dataset(str(folder))


def test_metadata_does_not_say_where_clips_are(make, caplog):
    folder = make("a.wav")
    Dataset.from_dict({"file_name": ["a.wav"], "video": ["/old/a.mp4"]}).to_csv(folder / "metadata.csv")
    assert list(open_dataset(str(folder)).features) == ["file", "clip"]
    assert "column video is not used, since file_name names the clips" in said(caplog)


# --- tables


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("column", ["file", "file_name", "path", "audio"])
def test_paths_in_a_table_are_relative_to_it(make, monkeypatch, streaming, column):
    folder = make("sub/a.wav")
    (folder.parent / "sub").mkdir()
    monkeypatch.chdir(folder.parent)
    given = ["sub/a.wav", str(folder / "sub/a.wav"), "https://host/a.wav", "sub\\a.wav"]
    Dataset.from_dict({column: given, "emotion": list("abcd")}).to_csv(folder / "t.csv")
    dataset = open_dataset(str(folder / "t.csv"), streaming=streaming)
    rows = list(dataset)
    target = "file" if column == "file_name" else column
    here = str(folder / "sub/a.wav")
    assert [row[target] for row in rows] == [here, here, "https://host/a.wav", here]
    assert names(rows) == given and [row["emotion"] for row in rows] == list("abcd")


def test_every_path_in_a_table_is_relative_to_it(make):
    folder = make("a.mp4", "b.wav", "c.png")
    rows = {"video": ["a.mp4", None], "audio": [None, "b.wav"], "image": ["c.png", None]}
    Dataset.from_dict(rows).to_json(folder / "t.jsonl")
    first, second = open_dataset(str(folder / "t.jsonl"))
    assert first == {
        "video": str(folder / "a.mp4"),
        "audio": None,
        "image": {"bytes": None, "path": str(folder / "c.png")},
        "clip": "a.mp4",
    }
    assert second["audio"] == str(folder / "b.wav") and second["clip"] == "b.wav" and second["image"] is None


def test_a_path_beside_media_is_left_as_it_is(tmp_path):
    rows = {"audio": [{"bytes": b"x", "path": "a.wav"}], "path": ["/old/a.wav"]}
    Dataset.from_dict(rows).to_parquet(tmp_path / "t.parquet")
    assert list(open_dataset(str(tmp_path / "t.parquet"))) == [{"audio": rows["audio"][0], "path": "/old/a.wav"}]


def test_a_folder_of_tables_has_splits_by_name_only(tmp_path):
    for name in ("train", "mic_test_1", "test"):
        Dataset.from_dict({"emotion": [name]}).to_csv(tmp_path / f"{name}.csv")
    assert open_dataset(str(tmp_path), "train")["emotion"][:] == ["mic_test_1", "train"]
    assert open_dataset(str(tmp_path), "test")["emotion"][:] == ["test"]


def test_anchored(tmp_path):
    assert anchored("a/../b.wav", tmp_path) == str(tmp_path / "b.wav")
    assert anchored("/x/b.wav", tmp_path) == "/x/b.wav"
    assert anchored("s3://bucket/b.wav", tmp_path) == "s3://bucket/b.wav"


# --- images


def test_a_folder_of_images_is_a_dataset_of_images(tmp_path, caplog):
    for name in ("train/happy/a_test_1.png", "train/sad/b.JPG", "test/sad/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "train" / "notes.txt").write_text("x")
    train = open_dataset(str(tmp_path), "train", label_column="emotion")
    assert [row["image"]["path"] for row in train] == [
        str(tmp_path / "train/happy/a_test_1.png"),
        str(tmp_path / "train/sad/b.JPG"),
    ]
    assert train["emotion"][:] == [0, 1]
    assert "train/notes.txt (no image by its suffix)" in said(caplog)


@pytest.fixture(autouse=True)
def levels(caplog):
    caplog.set_level(logging.WARNING)
