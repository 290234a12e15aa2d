"""The scripts in `examples` that measure voice models, on vectors and voices whose answer is known."""

import itertools
import json

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from helpers.synthetic import voice
from helpers.voice_vectors import write_vectors
from transformers import WhisperFeatureExtractor
from typer.testing import CliRunner

from av_emotion_hf import InputError, cli
from av_emotion_hf.data.schema import encode_waveform


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
    for run in results["in-corpus"]:  # one speaker is tested at a time
        gender = "male" if run["fold"] % 2 else "female"
        whole = {kind: run["uar"][f"model, {kind}"] for kind in ("plain", "person")}
        assert run["uar_by_gender"] == {gender: whole}
    for run in results["leave-one-corpus-out"]:  # three speakers are female, two male, all with as many clips
        for kind in ("plain", "person"):
            female, male = (run["uar_by_gender"][gender][kind] for gender in ("female", "male"))
            assert (3 * female + 2 * male) / 5 == pytest.approx(run["uar"][f"model, {kind}"], abs=1e-4)
    outside = {run["dataset"]: run["uar"] for run in results["leave-one-corpus-out"]}
    assert outside["one"]["model, plain"] > 0.85 and outside["far"]["model, person"] > 0.85
    assert {run["percent"] for run in results["label-fractions"]} == {5, 10, 25, 100}
    few = [run for run in results["label-fractions"] if run["percent"] == 5 and run["dataset"] == "one"]
    assert len(few) == 5 * 3 and all(run["clips"] == 4 for run in few)
    assert all("with pseudo-labels, person" in run["uar"] for run in few)
    whole = [run["uar"] for run in results["label-fractions"] if run["percent"] == 100]
    assert not any("with pseudo-labels, plain" in uar for uar in whole)
    for run in results["leave-one-corpus-out"]:
        balanced = {arm for arm in run["uar"] if arm.endswith(", balanced")}
        wanted = itertools.product(("model", "trained on person alone"), ("dataset", "person"))
        assert balanced == {f"{arm}, {kind}, balanced" for arm, kind in wanted}
        arms = list(run["uar"])
        assert arms.index("model, person, balanced") == arms.index("model, person") + 1
    assert all("model, person, balanced" in run["uar"] for run in results["in-corpus"])
    clips = [run["uar"] for run in results["baseline-clips"] if run["dataset"] == "far"]
    assert np.mean([uar["all"] for uar in clips]) > np.mean([uar["1"] for uar in clips]) > 0.3


def test_balanced_answers_are_of_the_scores_of_each_group(script):
    """Two persons with 10 clips each of two classes; the head sees the class, and more of the person."""
    import torch

    names = script("voice_protocols.py")
    classes, speakers = np.tile([0, 1], 20), np.repeat(["a/1", "a/2"], 20)
    seen = np.where(classes, 1, -1) + np.where(speakers == "a/1", 1.5, -1.5)
    vectors = {"person": np.stack([-seen, seen], axis=1).astype(np.float32)}
    part = names["Part"](vectors, classes, [("a", "b")] * 40, speakers, np.full(40, ""))
    uar, answers = names["tested"](torch.nn.Identity(), part, "person")
    assert uar == 0.5 and answers.tolist() == [1] * 20 + [0] * 20
    uar, answers = names["tested"](torch.nn.Identity(), part, "person", speakers)
    assert uar == 1 and answers.tolist() == classes.tolist()
    assert names["tested"](torch.nn.Identity(), part, "person", np.full(40, "a"))[0] == 0.5  # balanced as a whole


def test_one_dataset_teaches_and_the_others_are_tested(vectors, tmp_path, script):
    """Learned from speakers that are alike; those of `far` are recognized with their own baselines."""
    out = tmp_path / "voice.json"
    words = ("voice_protocols.py", "from-one-corpus", vectors, "--out", out)
    script(*words, "--train", "one")
    runs = {run["dataset"]: run for run in json.loads(out.read_text())["from-one-corpus"]}
    assert list(runs) == ["far", "two"] and {run["train"] for run in runs.values()} == {"one"}
    assert runs["two"]["uar"]["model, plain"] > 0.85 and runs["two"]["clips"] == 80
    far = runs["far"]["uar"]
    assert far["model, person"] > 0.85 > far["model, plain"] + 0.2
    rows = np.array(runs["far"]["confusion_person"])
    assert rows.sum() == 80 and np.mean(rows.diagonal() / rows.sum(1)) == pytest.approx(far["model, person"], abs=1e-4)
    with pytest.raises(InputError, match=r"--train javased: is none of the datasets \(far, one, two\)"):
        script(*words)
    with pytest.raises(SystemExit):
        script("voice_protocols.py", "in-corpus", vectors, "--out", out, "--train", "one")


def test_scores_of_a_gender_are_of_its_clips(script):
    names = script("voice_protocols.py")
    genders = np.array(["female", "female", "male", "male", "", "other", "other"])
    part = names["Part"]({}, np.array([0, 1, 0, 1, 0, 1, 1]), [("a", "b")] * 7, np.array(["a/1"] * 7), genders)
    answers = {"plain": np.array([0, 1, 0, 0, 1, 0, 0]), "person": np.array([1, 1, 1, 0, 1, 1, 1])}
    assert names["by_gender"](part, answers) == {  # `other` has one class alone
        "female": {"plain": 1.0, "person": 0.5},
        "male": {"plain": 0.5, "person": 0.0},
    }
    assert list(part.pick(np.array([3, 5])).genders) == ["male", "other"]


def test_a_control_of_other_clips_is_refused(vectors, script):
    names = script("voice_protocols.py")
    assert names["Corpus"].read(vectors, "one").functionals.shape == (80, 88)
    arrays = dict(np.load(vectors / "one_functionals.npz"))
    facts = json.loads(str(arrays["facts"]))
    facts["speaker"].reverse()
    np.savez(vectors / "one_functionals.npz", **(arrays | {"facts": json.dumps(facts)}))
    with pytest.raises(InputError, match=r"one_functionals.npz is not of the same clips as one.npz; make both"):
        names["Corpus"].read(vectors, "one")


def test_pseudo_labels_teach_what_goes_with_the_class(script):
    """The first head reads one value; in the pool another one goes with it, and that is all that the test has."""
    names = script("voice_protocols.py")
    sign = np.tile([-1.0, 1.0], 20).astype(np.float32)

    def part(first, second):
        vectors = np.stack([first, second], axis=1).astype(np.float32)
        labels, nobody = (sign > 0).astype(int), np.full(len(sign), "one/a")
        cells = [("one", str(each)) for each in labels]
        return names["Part"](dict.fromkeys(("plain", "person"), vectors), labels, cells, nobody, nobody)

    few, pool, test = part(sign, 0 * sign).pick(np.arange(2)), part(sign, sign), part(0 * sign, sign)
    pool.classes[:] = 0  # nobody knows them
    head, penalty = names["learn"](few, ("plain", "person"), 2, np.zeros(2, dtype=bool), 0.3)
    assert penalty == 0.3 and names["tested"](head, test, "plain")[0] == 0.5
    taught = names["self_train"](few, pool, head, penalty, 2)
    assert names["tested"](taught, test, "plain")[0] == 1.0


def test_the_vectors_are_what_a_model_pools(tmp_path, script):
    """Standardized and pooled by the script and by the model itself."""
    import torch

    from av_emotion_hf import AVEmotionAudioConfig, AVEmotionAudioModel

    names = script("voice_vectors.py")
    config = AVEmotionAudioConfig(pool_features=True, pool_voiced=True, hidden_size=4, num_hidden_layers=1)
    model = AVEmotionAudioModel(config).eval()
    sound = np.concatenate([np.zeros(8000, np.float32), voice(0.7, 180)[0], np.zeros(3000, np.float32)])
    with torch.no_grad():
        one = names["describe"](model, model.extract_features(torch.from_numpy(sound)[None])[0][0])
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


@pytest.fixture
def sources(tmp_path, whisper):
    """Two datasets, `clips` and the `features` that `extract` made of them; and the words that name the encoder."""
    WhisperFeatureExtractor().save_pretrained(whisper)
    sounds = [np.pad(voice(0.5, 120 + 20 * i)[0], (4800, 3200)) for i in range(4)]
    cells = [{"bytes": encode_waveform(sound), "path": None} for sound in sounds]
    facts = [{"emotion": i % 2, "speaker": "ab"[i // 2], "gender": ["female", None][i // 2]} for i in range(4)]
    names = {"emotion": ClassLabel(names=["sad", "happy"]), "speaker": Value("string"), "gender": Value("string")}
    columns = Features({"audio": {"bytes": Value("binary"), "path": Value("string")}} | names)
    clips = tmp_path / "clips"
    clips.mkdir()
    dataset = Dataset.from_list([{"audio": cell} | each for cell, each in zip(cells, facts, strict=True)], columns)
    dataset.to_parquet(str(clips / "train-00000-of-00001.parquet"))
    encoder = ("--speech-encoder", whisper, "--speech-layers", "3")
    words = ("extract", clips, "--out", tmp_path / "features", "--modality", "audio", "--as", "features", *encoder)
    words += ("--config", '{"backbone_sums": 3}', "--workers", 0, "--augment", '{"noise": 1.0}')
    assert CliRunner().invoke(cli.app, list(map(str, words))).exit_code == 0
    return clips, tmp_path / "features", encoder


def test_features_give_the_vectors_of_their_clips(tmp_path, sources, script):
    """But without the speech encoder, and without the augmented copies among them."""
    clips, features, encoder = sources
    script("voice_vectors.py", f"some={clips}", "--out", tmp_path / "vectors", *encoder)
    script("voice_vectors.py", f"other={features}", "--out", tmp_path / "vectors", "--speech-encoder", "nowhere")
    some, other = (dict(np.load(tmp_path / "vectors" / f"{name}.npz")) for name in ("some", "other"))
    assert some["facts"] == other["facts"] and some["voiced"].shape == (4, 2, 60 + 48)
    facts = {"emotion": ["sad", "happy"] * 2, "speaker": [*"aabb"], "gender": ["female", "female", "", ""]}
    assert json.loads(str(some["facts"])) == facts
    for name in ("voiced", "moments"):
        np.testing.assert_allclose(other[name], some[name], rtol=1e-5, atol=1e-5)
    frames = Dataset.from_parquet(str(features / "data" / "*.parquet")).with_format("numpy")[0]["input_features"]
    voiced = frames[:, 3] > 0.5
    assert 0 < voiced.sum() < len(frames)
    np.testing.assert_array_equal(some["moments"][0, 0, [3, 60]], [len(frames), voiced.sum()])  # as `pool_voiced`
    np.testing.assert_allclose(some["moments"][0, 1, 60:], frames[voiced, 60:].mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_strangers_are_heard_by_the_very_weights(tmp_path, sources, script):
    """Two speakers with a clip each of two of the four classes; the highest score of the four is the answer."""
    from av_emotion_hf import EmotionPredictor
    from av_emotion_hf.data import open_dataset

    clips, out = sources[0], tmp_path / "strangers.json"
    words = ("voice_strangers.py", "av-emotion-voice-mit", f"some={clips}", "--out", out)
    script(*words)
    found = json.loads(out.read_text())["av-emotion-voice-mit"]["some"]
    predictor = EmotionPredictor("av-emotion-voice-mit", device="cpu")
    right = {"sad": [], "happy": []}
    for row in open_dataset(str(clips)):
        scores = predictor(row["audio"]["bytes"]).scores
        label = ["sad", "happy"][row["emotion"]]
        right[label].append(max(("angry", "happy", "neutral", "sad"), key=scores.get) == label)
    assert (found["clips"], found["speakers"]) == (4, 2)
    assert found["plain"] == pytest.approx(np.mean([np.mean(each) for each in right.values()]))
    out.write_text(out.read_text().replace('"clips": 4', '"clips": 5'))
    script(*words)
    assert json.loads(out.read_text())["av-emotion-voice-mit"]["some"]["clips"] == 5  # nothing is measured twice


def test_vectors_are_written_once(tmp_path, sources, script):
    clips, _, encoder = sources
    words = (f"some={clips}", "--out", tmp_path / "vectors", *encoder)
    script("voice_vectors.py", *words)
    path = tmp_path / "vectors" / "some.npz"
    before = path.stat().st_mtime_ns
    script("voice_vectors.py", *words)
    assert path.stat().st_mtime_ns == before and [each.name for each in path.parent.iterdir()] == ["some.npz"]
    script("voice_vectors.py", *words, "--random")
    arrays, random = (np.load(path.with_name(name)) for name in ("some.npz", "some_random.npz"))
    np.testing.assert_allclose(random["voiced"][:, 0, :60], arrays["voiced"][:, 0, :60], equal_nan=True)
    assert not np.allclose(random["voiced"][:, 0, 60:], arrays["voiced"][:, 0, 60:])


def test_what_vectors_cannot_be_made_of(tmp_path, sources, script):
    clips, features, _ = sources
    out = ("--out", tmp_path / "vectors")
    with pytest.raises(InputError, match=r"'random' is made from clips; name these"):
        script("voice_vectors.py", f"some={features}", *out, "--random")
    for wrong in (clips, f"a_b={clips}"):
        with pytest.raises(InputError, match="is not NAME=DATASET"):
            script("voice_vectors.py", wrong, *out)
    dataset = Dataset.from_parquet(str(features / "data" / "*.parquet")).remove_columns("num_descriptors")
    (tmp_path / "bare").mkdir()
    dataset.to_parquet(str(tmp_path / "bare" / "train.parquet"))
    with pytest.raises(InputError, match="not 60 descriptors and the states"):
        script("voice_vectors.py", f"some={tmp_path / 'bare'}", *out)


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
    rows_of = {}
    for name, speakers in (("heard", 2), ("tested", 4)):
        rows = rows_of[name] = []
        for number in range(8 * speakers):
            frames = rng.normal(size=(12, 60 + 3 * 4)) + 2 * (number % 2)
            frames[:, :2] = number, 12
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
    names = script("unlabeled_speech.py")
    windows = names["prepared"](tmp_path / "shards" / "heard", tmp_path / "windows", 5)
    assert [len(row) for row in windows["input_features"][:6]] == [4, 4, 4] * 2 and len(windows) == 3 * 16
    kept = Dataset.from_parquet(str(tmp_path / "work" / "windows" / "heard" / "*.parquet"))[9]
    assert [frame for window in windows["input_features"][27:30] for frame in window] == kept["input_features"]
    whole = np.array(rows_of["heard"][9]["input_features"], np.float32)
    np.testing.assert_array_equal(np.array(kept["input_features"], np.float32), whole[:, [*range(60), *range(64, 68)]])
