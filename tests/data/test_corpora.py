import numpy as np
import pytest
import soundfile
from datasets import ClassLabel, Dataset, Features, List, Value

from av_emotion_hf.data import ClipReader, open_dataset
from av_emotion_hf.data.corpora import balanced_weights, join_datasets
from av_emotion_hf.data.extraction import extract
from av_emotion_hf.data.schema import decode_waveform
from av_emotion_hf.errors import InputError

READER = ClipReader("audio")


def rows(emotions, speakers, size=3, names=None):
    """A dataset of features, with the label as text or as a class of `names`."""
    label = Value("string") if names is None else ClassLabel(names=names)
    columns = {
        "input_features": List(List(Value("float32"))),
        "emotion": label,
        "speaker": Value("string"),
        "take": Value("int64"),
    }
    cells = {
        "input_features": [[[float(i)] * size] * 2 for i in range(len(emotions))],
        "emotion": emotions,
        "speaker": speakers,
        "take": list(range(len(emotions))),
    }
    return Dataset.from_dict(cells, features=Features(columns))


@pytest.fixture
def two():
    return [
        ("acted", rows(["calm", "sad", "surprised", None], ["1", "2", "1", "2"])),
        ("talk", rows([0, 1, 1], ["1", "1 ", None], names=["sad", "happy"])),
    ]


def test_several_datasets_become_one(two):
    joined = join_datasets(two, "emotion", "speaker", READER, {"calm": "neutral", "acted": {"surprised": None}})
    assert set(joined.features) == {"input_features", "emotion", "speaker", "corpus"}
    cells = [(row["corpus"], row["speaker"], row["emotion"]) for row in joined]
    assert cells == [
        ("acted", "acted/1", "neutral"),
        ("acted", "acted/2", "sad"),
        ("talk", "talk/1", "sad"),
        ("talk", "talk/1", "happy"),
        ("talk", None, "happy"),
    ]
    assert [row["input_features"][0][0] for row in joined] == [0, 1, 0, 1, 2]


def test_a_map_of_one_dataset_comes_first(two):
    joined = join_datasets(two, "emotion", None, READER, {"sad": "low", "talk": {"sad": "down"}, "surprised": "high"})
    assert joined["emotion"][:] == ["calm", "low", "high", "down", "happy", "happy"]
    assert "speaker" not in joined.features


def test_clips_are_read(tmp_path):
    datasets = []
    for name in ("a", "b"):
        for emotion in ("happy", "sad"):
            (tmp_path / name / emotion).mkdir(parents=True)
            sound = 0.1 * np.sin(np.arange(3200) / 5)
            soundfile.write(tmp_path / name / emotion / "1.wav", sound, 16000)
        datasets.append((name, open_dataset(str(tmp_path / name), label_column="emotion")))
    joined = join_datasets(datasets, "emotion", None, READER)
    assert joined["corpus"][:] == ["a", "a", "b", "b"] and joined["emotion"][:] == ["happy", "sad"] * 2
    assert joined["clip"][:] == ["happy/1.wav", "sad/1.wav"] * 2 and joined[0]["audio"]["bytes"]


def test_every_class_of_every_dataset_is_drawn_equally_often():
    dataset = Dataset.from_dict({"corpus": ["a"] * 4 + ["b"], "labels": [0, 0, 0, 1, 1]})
    assert balanced_weights(dataset).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1, 1])


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        ({"bored": "calm"}, "label map: no dataset has a class 'bored'; the classes are calm, happy, sad, surprised"),
        ({"talk": {"calm": "sad"}}, "label map: talk has no class 'calm'; it has happy, sad"),
        ({"news": {"calm": "sad"}}, "label map: there is no dataset 'news'; they are acted, talk"),
    ],
)
def test_a_map_names_what_is_there(two, label_map, message):
    with pytest.raises(InputError, match=message):
        join_datasets(two, "emotion", "speaker", READER, label_map)


def test_what_cannot_be_joined_is_named(two):
    with pytest.raises(InputError, match="two datasets are called 'talk', so their speakers cannot be told apart"):
        join_datasets([two[1], two[1]], "emotion", "speaker", READER)
    with pytest.raises(InputError, match="talk: several datasets are joined as tables, and this one is a stream"):
        join_datasets([two[0], ("talk", two[1][1].to_iterable_dataset())], "emotion", "speaker", READER)
    with pytest.raises(InputError, match="column 'age' is not in the dataset"):
        join_datasets(two, "emotion", "age", READER)
    inputs = {"audio": [{"bytes": b"x", "path": None}], "face_coverage": [0.0], "emotion": ["sad"], "speaker": ["1"]}
    with pytest.raises(InputError, match="some datasets hold features and some clips or inputs"):
        join_datasets([two[0], ("wavs", Dataset.from_dict(inputs))], "emotion", "speaker", READER)


def test_extracted_audio_and_clips_become_one_table(clips, tmp_path):
    """Audio in shards has a type of its own."""
    extract(clips, str(tmp_path / "shards"), READER)
    shards = open_dataset(str(tmp_path / "shards"))
    joined = join_datasets([("shards", shards), ("clips", clips)], "emotion", "speaker", READER)
    assert joined["corpus"] == ["shards"] * 3 + ["clips"] * 3
    cells = [decode_waveform(row["audio"]) for row in joined]
    assert all(np.array_equal(*pair) for pair in zip(cells[:3], cells[3:], strict=True)) and len(cells[0]) > 8000
