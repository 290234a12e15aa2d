"""The scripts in `examples` that measure voice models, on vectors and voices whose answer is known."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from helpers.synthetic import voice
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from av_emotion_hf.data.schema import encode_waveform

EXAMPLES = Path(__file__).parents[1] / "examples"
DESCRIPTORS, STATES, FRAMES = 60, 3 * 4, 5000


@pytest.fixture
def script(monkeypatch):
    """Function that runs a script of `examples` as a program, or gives its names when no words are passed."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def call(name, *words):
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__" if words else "example")

    return call


def write_vectors(folder, name, emotions, shift, seed=0):
    """Five speakers, four clips of each emotion each; the class is in one state, `shift` moves a speaker's in all."""
    rng = np.random.default_rng(seed)
    voiced, moments, facts = [], [], {"emotion": [], "speaker": []}
    for speaker in range(5):
        offset = rng.normal(0, shift, DESCRIPTORS + STATES)
        for number in range(4 * len(emotions)):
            mean = rng.normal(0, 0.1, DESCRIPTORS + STATES) + offset
            mean[DESCRIPTORS + ["angry", "happy", "neutral", "sad"].index(emotions[number % len(emotions)])] += 2.0
            voiced.append(np.stack([mean, np.ones_like(mean)]))
            moments.append(np.stack([np.full_like(mean, FRAMES), mean, FRAMES * np.ones_like(mean)]))
            facts["emotion"].append(emotions[number % len(emotions)])
            facts["speaker"].append(str(speaker))
    arrays = {"voiced": np.stack(voiced), "moments": np.stack(moments)}
    copies = {f"{key}_copies": value[:, None] for key, value in arrays.items()}
    np.savez(folder / f"{name}.npz", facts=json.dumps(facts), **(arrays | copies))
    np.savez(folder / f"{name}_functionals.npz", functionals=rng.normal(size=(len(voiced), 88)))


@pytest.fixture
def vectors(tmp_path):
    """Three datasets; in the last one speakers differ by far more than emotions."""
    folder = tmp_path / "vectors"
    folder.mkdir()
    for number, (name, shift) in enumerate((("one", 0.0), ("two", 0.0), ("far", 5.0))):
        write_vectors(folder, name, ["angry", "happy", "neutral", "sad"], shift, number)
    return folder


@pytest.mark.slow
def test_every_protocol_finds_what_is_there(vectors, tmp_path, script):
    out = tmp_path / "voice.json"
    for protocol in ("in-corpus", "leave-one-corpus-out", "label-fractions", "baseline-clips"):
        script("voice_protocols.py", protocol, vectors, "--out", out)
    results = json.loads(out.read_text())
    assert str(tmp_path) not in out.read_text()
    inside = {run["dataset"]: run["uar"] for run in results["in-corpus"]}
    assert min(inside["one"][f"model, {kind}"] for kind in ("plain", "person")) > 0.8  # of its last fold
    assert inside["one"]["functionals + SVM, plain"] < 0.7  # noise, of 16 clips
    far = [run["uar"] for run in results["in-corpus"] if run["dataset"] == "far"]
    plain, person = (np.mean([uar[f"model, {kind}"] for uar in far]) for kind in ("plain", "person"))
    assert person > 0.85 > plain + 0.2 and all(np.sum(run["confusion_person"]) == 16 for run in results["in-corpus"])
    outside = {run["dataset"]: run["uar"] for run in results["leave-one-corpus-out"]}
    assert outside["one"]["model, plain"] > 0.85 and outside["far"]["model, person"] > 0.85
    assert {run["percent"] for run in results["label-fractions"]} == {5, 10, 25, 100}
    few = [run for run in results["label-fractions"] if run["percent"] == 5 and run["dataset"] == "one"]
    assert len(few) == 5 * 3 and all(run["clips"] == 4 for run in few)
    clips = [run["uar"] for run in results["baseline-clips"] if run["dataset"] == "far"]
    assert np.mean([uar["all"] for uar in clips]) > np.mean([uar["1"] for uar in clips]) > 0.3


def test_the_vectors_are_what_a_model_pools(tmp_path, script):
    """Standardized and pooled by the script and by the model itself."""
    import torch

    from av_emotion_hf import AVEmotionAudioConfig, AVEmotionAudioModel

    names = script("voice_vectors.py")
    config = AVEmotionAudioConfig(pool_features=True, pool_voiced=True, hidden_size=4, num_hidden_layers=1)
    model = AVEmotionAudioModel(config).eval()
    sound = np.concatenate([np.zeros(8000, np.float32), voice(0.7, 180)[0], np.zeros(3000, np.float32)])
    with torch.no_grad():
        one = names["describe"](model, sound)
        mean, std = torch.linspace(-1, 1, 60), torch.linspace(1, 2, 60)
        model.set_feature_statistics(mean, std)
        pooled = model(torch.from_numpy(sound)[None]).pooler_output[0, 4:]
    protocols = script("voice_protocols.py")
    mine = protocols["pooled"](one["voiced"][None], np.stack([mean.numpy(), std.numpy()]))
    np.testing.assert_allclose(mine[0], pooled.numpy(), atol=2e-4)
    frames = model.extract_features(torch.from_numpy(sound)[None])[0][0]
    voiced = frames[:, model.frontend.voicing_column] > 0.5
    assert 20 < voiced.sum() < len(frames) - 20
    np.testing.assert_array_equal(one["moments"][0], model.counted_cells(frames).sum(0).numpy())
    np.testing.assert_allclose(one["moments"][1][0], frames[voiced, 0].mean().item(), rtol=1e-4)


@pytest.mark.slow
def test_vectors_of_a_dataset_are_written_once(tmp_path, script):
    encoder = WhisperConfig(
        d_model=16, encoder_layers=3, encoder_attention_heads=2, encoder_ffn_dim=32, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=32, vocab_size=10, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1,
    )  # fmt: skip
    WhisperModel(encoder).save_pretrained(tmp_path / "whisper")
    WhisperFeatureExtractor().save_pretrained(tmp_path / "whisper")
    rows = [
        {
            "audio": {"bytes": encode_waveform(voice(0.6, 120 + 20 * i)[0]), "path": None},
            "emotion": i % 2,
            "speaker": "a",
        }
        for i in range(4)
    ]
    audio = {"bytes": Value("binary"), "path": Value("string")}
    columns = {"audio": audio, "emotion": ClassLabel(names=["sad", "happy"]), "speaker": Value("string")}
    (tmp_path / "data").mkdir()
    Dataset.from_list(rows, features=Features(columns)).to_parquet(
        str(tmp_path / "data" / "train-00000-of-00001.parquet")
    )
    words = (f"some={tmp_path / 'data'}", "--out", tmp_path / "vectors", "--speech-encoder", tmp_path / "whisper")
    words += ("--speech-layers", 3)
    script("voice_vectors.py", *words, "--copies", 1)
    script("voice_vectors.py", *words, "--random")
    arrays, random = (np.load(tmp_path / "vectors" / name) for name in ("some.npz", "some_random.npz"))
    assert arrays["voiced"].shape == (4, 2, 60 + 48) and arrays["moments_copies"].shape == (4, 1, 3, 60 + 48)
    assert json.loads(str(arrays["facts"]))["emotion"] == ["sad", "happy"] * 2
    np.testing.assert_allclose(random["voiced"][:, 0, :60], arrays["voiced"][:, 0, :60], equal_nan=True)
    assert not np.allclose(random["voiced"][:, 0, 60:], arrays["voiced"][:, 0, 60:])
    before = (tmp_path / "vectors" / "some.npz").stat().st_mtime_ns
    script("voice_vectors.py", *words)
    assert (tmp_path / "vectors" / "some.npz").stat().st_mtime_ns == before


@pytest.mark.slow
def test_pretraining_is_compared_with_random_weights(tmp_path, script):
    """Descriptors and, in the last columns, a teacher that knows the class."""
    rng = np.random.default_rng(0)
    features = Features(
        {
            "input_features": List(List(Value("float32"))),
            "num_descriptors": Value("int32"),
            "emotion": Value("string"),
            "speaker": Value("string"),
        }
    )
    for name, speakers in (("heard", 2), ("tested", 4)):
        rows = []
        for number in range(8 * speakers):
            frames = rng.normal(size=(12, 64)) + 2 * (number % 2)
            rows.append({"input_features": frames.tolist(), "num_descriptors": 60})
            rows[-1] |= {"emotion": ["sad", "happy"][number % 2], "speaker": str(number // 8)}
        folder = tmp_path / "shards" / name
        folder.mkdir(parents=True)
        Dataset.from_list(rows, features=features).to_parquet(str(folder / "train-00000-of-00001.parquet"))
        (folder / "manifest.json").write_text("{}")
    (tmp_path / "folds.json").write_text("{}")
    out = tmp_path / "out.json"
    words = (tmp_path / "shards", tmp_path / "work", "--folds", tmp_path / "folds.json", "--out", out)
    words += ("--tested", "tested", "--sizes", "small", "--seeds", 0, "--steps", 4, "--hidden-size", 8)
    script("unlabeled_speech.py", *words, "--arms", "random", "hidden", "distill")
    text = out.read_text()
    results = json.loads(text)
    assert [run["arm"] for run in results["runs"]] == ["random", "hidden", "distill"]
    assert results["settings"]["heard"] == ["heard"] and str(tmp_path) not in text
    for run in results["runs"]:
        assert [len(draws) for draws in run["uar"]["10"]] == [3] * 4 and len(run["uar"]["100"]) == 4
        assert np.mean(run["uar"]["100"]) > 0.9
    script("unlabeled_speech.py", *words, "--arms", "random", "hidden", "distill")
    assert out.read_text() == text  # nothing is measured twice
