import pytest
from datasets import Audio, ClassLabel, Dataset, Features, Image, List, Value

from av_emotion_hf.data import open_dataset
from av_emotion_hf.data.dataset import require_columns, undecoded
from av_emotion_hf.errors import InputError


@pytest.fixture
def folder(tmp_path):
    features = Features({"emotion": ClassLabel(names=["sad", "happy"]), "speaker": Value("string")})
    rows = [{"emotion": i % 2, "speaker": f"{i:02d}"} for i in range(6)]
    (tmp_path / "data").mkdir()
    Dataset.from_list(rows[:4], features=features).to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    Dataset.from_list(rows[4:], features=features).to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    return tmp_path


@pytest.mark.parametrize("streaming", [False, True])
def test_opens_a_folder_and_a_file(folder, streaming):
    dataset = open_dataset(str(folder), "test", streaming)
    assert [row["speaker"] for row in dataset] == ["04", "05"]
    file = folder / "data" / "train-00000-of-00001.parquet"
    assert [row["emotion"] for row in open_dataset(str(file), None, streaming)] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("{folder}", None, "has the splits train, test; choose one with --split"),
        ("{folder}", "dev", "has no split 'dev'; it has train, test"),
        ("{folder}/nothing", None, "no dataset could be opened there"),
        ("{folder}/notes.txt", None, r"a dataset file must be a table \(.parquet, .*\) or a clip such as .mp4"),
        ("{folder}/empty", None, "contains neither clips nor table files .it is empty."),
        ("{folder}/notes", None, "no dataset could be opened there"),
    ],
)
def test_what_cannot_be_opened_is_named(folder, name, split, message):
    (folder / "notes.txt").write_text("hello")
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=message) as caught:
        open_dataset(name.format(folder=folder), split)
    assert "\n" not in str(caught.value)


def test_images_stay_undecoded(tmp_path, face):
    from PIL import Image as PILImage

    PILImage.fromarray(face).save(tmp_path / "a.png")
    dataset = open_dataset(str(tmp_path))
    assert isinstance(dataset.features["image"], Image) and not dataset.features["image"].decode


def test_a_missing_column_is_named(folder):
    dataset = open_dataset(str(folder), "train")
    require_columns(dataset, None, "speaker")
    with pytest.raises(InputError, match="column 'actor' is not in the dataset, which has emotion, speaker"):
        require_columns(dataset, "actor")


def test_media_is_never_decoded_by_datasets(tmp_path):
    """datasets would ask for torchcodec, also where its own users have opened the dataset."""
    cells = [{"bytes": b"x", "path": "a.wav"}]
    dataset = Dataset.from_dict({"audio": cells, "faces": [[], [{"bytes": b"y", "path": None}]][1:]})
    dataset = dataset.cast_column("audio", Audio()).cast_column("faces", List(Image()))
    for raw in (undecoded(dataset), undecoded(dataset.to_iterable_dataset())):
        assert next(iter(raw)) == {"audio": cells[0], "faces": [{"bytes": b"y", "path": None}]}
