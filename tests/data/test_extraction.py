import json

import pytest

import av_emotion_hf as av
from av_emotion_hf.data import ClipReader, FeatureReader, open_corpus
from av_emotion_hf.data.extraction import extract
from av_emotion_hf.errors import InputError


def test_writes_a_dataset_folder_and_lists_what_failed(clips, tmp_path):
    out = tmp_path / "inputs"
    manifest = extract(clips, str(out), ClipReader(detector="cascade"), rows_per_shard=2, about={"fps": 10.0})
    assert manifest["clips"] == 3 and manifest["seconds"] == pytest.approx(1.5, abs=0.2)
    assert not list(tmp_path.glob("*.partial"))
    assert [failure["row"] for failure in manifest["failures"]] == [3]
    assert "neither sound nor picture" in manifest["failures"][0]["error"]
    assert manifest == json.loads((out / "manifest.json").read_text()) and manifest["settings"] == {"fps": 10.0}
    assert sorted(path.name for path in (out / "data").iterdir()) == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    for streaming in (False, True):
        rows = list(open_corpus(str(out), streaming=streaming))
        assert [row["speaker"] for row in rows] == ["a", "a", "b"]
        assert [len(row["faces"]) for row in rows] == [5, 5, 0]
        assert rows[1]["audio"] is None and rows[0]["audio"]["bytes"][:4] == b"fLaC"


def test_features_replace_inputs(clips, tmp_path, audio_config):
    model = av.AVEmotionAudioModel(audio_config)
    extract(clips, str(tmp_path / "features"), ClipReader("audio"), FeatureReader(audio_model=model))
    corpus = open_corpus(str(tmp_path / "features"))
    assert "audio" not in corpus.features
    assert [len(row["input_features"]) for row in corpus] == pytest.approx([25, 0, 25], abs=3)
    assert len(corpus[0]["input_features"][0]) == model.num_features


def test_nothing_is_overwritten_and_nothing_left_half_written(clips, tmp_path):
    out = tmp_path / "inputs"
    out.mkdir()
    with pytest.raises(InputError, match="exists already; choose another --out"):
        extract(clips, str(out), ClipReader("audio"))
    out.rmdir()
    with pytest.raises(InputError, match="not one clip could be read, nothing was written; the first reason"):
        extract(clips.select([3]), str(out), ClipReader("audio"))
    assert list(tmp_path.glob("inputs*")) == []


def test_features_of_inputs_equal_features_of_clips(clips, tmp_path, audio_config):
    reader = FeatureReader(audio_model=av.AVEmotionAudioModel(audio_config))
    extract(clips, str(tmp_path / "direct"), ClipReader("audio"), reader)
    extract(clips, str(tmp_path / "inputs"), ClipReader("audio"))
    inputs = open_corpus(str(tmp_path / "inputs"))
    manifest = extract(inputs, str(tmp_path / "features"), ClipReader("audio"), reader)
    assert manifest["clips"] == 3 and manifest["seconds"] == pytest.approx(1.5, abs=0.2)
    for name in ("direct", "features"):
        assert list(open_corpus(str(tmp_path / name)).features) == list(open_corpus(str(tmp_path / "direct")).features)
    assert [row["input_features"] for row in open_corpus(str(tmp_path / "features"))] == [
        row["input_features"] for row in open_corpus(str(tmp_path / "direct"))
    ]
    with pytest.raises(InputError, match="there is nothing to extract"):
        extract(inputs, str(tmp_path / "again"), ClipReader("audio"))
