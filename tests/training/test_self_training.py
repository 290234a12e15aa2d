"""Pseudo-labels: which clips get them, who is left out, which model is kept, and what an interrupted run does."""

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset
from safetensors.numpy import load_file
from transformers import AutoModelForAudioClassification

from av_emotion_hf import ClipReader, self_train, split_groups
from av_emotion_hf.data.corpora import join_datasets
from av_emotion_hf.errors import InputError
from av_emotion_hf.training import self_training
from av_emotion_hf.training.pseudo_labels import NO_GROUP, PoolReader, choose_rows

GROUPS = ["0", "1", "2", "3"]


def split():
    return split_groups(GROUPS, test=["3"], validation=["2"])


def make_pool(features, clips=16, speakers=("5", "6")):
    """Clips of two classes without labels, the second class three times as often."""
    draw = np.random.default_rng(7)
    rows = []
    for number in range(clips):
        audio = draw.normal(0, 1, (13, 60)) + 2 * (number % 4 == 0)
        rows.append({"input_features": audio.tolist(), "speaker": speakers[number % len(speakers)]})
    kept = {name: features.features[name] for name in ("input_features", "speaker")}
    return Dataset.from_list(rows, features=type(features.features)(kept))


@pytest.fixture
def learn(features, options, small):
    """Function from pool and settings to the record of a short self-training."""

    def run(*pool, name="model", dataset=None, part=None, **changes):
        fields = {"epochs": 6, "learning_rate": 2e-2}
        names = ("resume", "max_steps")
        fields |= {key: changes.pop(key) for key in names if key in changes}
        given = {"modality": "audio", "group_column": "speaker", "config_overrides": small["audio"]} | changes
        return self_train(
            features if dataset is None else dataset,
            split() if part is None else part,
            pool=[(f"pool{number or ''}", rows) for number, rows in enumerate(pool)],
            args=options(name, **fields),
            **given,
        )

    return run


def test_the_surest_clips_are_chosen_as_many_of_each_class():
    scores = np.array(
        [[0.9, 0.1, 0.0], [0.7, 0.3, 0.0], [0.8, 0.2, 0.0], [0.35, 0.65, 0.0], [0.05, 0.95, 0.0], [0.5, 0.5, 0.0]]
    )
    assert choose_rows(scores, 0.6, 1.0) == [0, 2, 3, 4]  # two of each; nothing is of the third class
    assert choose_rows(scores, 0.6, 0.5) == [0, 4]  # 3 clips are one of each
    assert choose_rows(scores, 0.66, 1.0) == [0, 4]
    assert choose_rows(scores, 0.92, 1.0) == []  # of the first class none is sure enough
    assert choose_rows(scores, 0.6, 0.1) == []
    assert choose_rows(np.array([[0.8, 0.2]] * 3), 0.6, 0.7) == [0, 1]  # of equal ones the first
    silent = np.vstack([np.zeros((1, 3)), scores[3:5]])
    assert choose_rows(silent, 0.0, 1.0) == [1, 2] and choose_rows(silent[:1], 0.0, 1.0) == []


@pytest.mark.slow
def test_it_learns_from_a_pool_and_keeps_the_better_model(learn, features, tmp_path, monkeypatch):
    seen = []
    real = self_training.finetune

    def noting(dataset, part, **settings):
        seen.append((dataset, part))
        return real(dataset, part, **settings)

    monkeypatch.setattr(self_training, "finetune", noting)
    record = learn(make_pool(features), threshold=0.55, fraction=0.75)
    found = json.loads((tmp_path / "model" / "run.json").read_text())["self_training"]
    assert found == record["self_training"] and record["verb"] == "finetune"
    assert found["pool"] == {"pool": 16} and found["kept"] == {"happy": 4, "sad": 4}
    assert found["sure"] == {"happy": 4, "sad": 12}
    assert found["temperature"] > 0 and 0 <= found["expected_calibration_error_calibrated"] < 0.5
    assert sum(each["clips"] for each in found["reliability"]) == 8

    (labeled, _), (both, more) = seen
    assert labeled["speaker"] == ["0"] * 8 + ["1"] * 8 + ["2"] * 8  # the test speaker is not among them
    assert both.select(range(24))["input_features"] == labeled["input_features"]
    added = both.select(range(24, len(both)))
    rows = [make_pool(features)["input_features"].index(frames) for frames in added["input_features"]]
    classes = [added.features["emotion"].names[number] for number in added["emotion"]]
    assert rows == sorted(rows)
    assert all((row % 4 == 0) == (name == "happy") for row, name in zip(rows, classes, strict=True))
    assert more.train == ("0", "1", "5", "6") and (more.validation, more.test) == (("2",), ("3",))

    uar = found["validation_uar"]
    assert found["kept_model"] == ("pseudo-labels" if uar["pseudo-labels"] > uar["labels"] else "labels")
    assert record["scores"]["validation_uar"] == max(uar.values())
    assert record["options"]["out"] == "model" and record["settings"]["clips"]["validation"] == {"happy": 4, "sad": 4}
    assert AutoModelForAudioClassification.from_pretrained(tmp_path / "model").config.num_labels == 2
    assert not (tmp_path / "model" / "checkpoints").exists() and (tmp_path / "model" / "config.json").is_file()
    card = (tmp_path / "model" / "README.md").read_text()
    assert "Self-training on 16 unlabeled clips of pool" in card and "8 surest labels" in " ".join(card.split())


@pytest.mark.slow
def test_a_second_model_that_is_no_better_is_dropped(learn, features, tmp_path, monkeypatch):
    """The first model is the one that is kept, byte for byte, and the record is its own."""
    real = self_training.finetune

    def worse(dataset, part, *, args, **settings):
        record = real(dataset, part, args=args, **settings)
        if Path(args.output_dir).name == "pseudo-labels":
            record["scores"]["validation_uar"] = 0.1
        else:
            first.update(load_file(Path(args.output_dir) / "model.safetensors"))
        return record

    first = {}
    monkeypatch.setattr(self_training, "finetune", worse)
    record = learn(make_pool(features))
    assert record["self_training"]["kept_model"] == "labels"
    assert record["settings"]["groups"]["train"] == ["0", "1"]
    kept = load_file(tmp_path / "model" / "model.safetensors")
    assert first.keys() == kept.keys() and all(np.array_equal(first[name], kept[name]) for name in kept)


@pytest.mark.slow
def test_nothing_that_is_sure_enough_leaves_the_first_model(learn, features, caplog):
    record = learn(make_pool(features), threshold=0.999999)
    found = record["self_training"]
    assert found["kept"] == {"happy": 0, "sad": 0} and found["kept_model"] == "labels"
    assert set(found["validation_uar"]) == {"labels"}
    assert "learned from; so many have a confidence of 0.999999: happy 0, sad 0" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [10, 25, 50])
def test_an_interrupted_run_goes_on_to_the_same_model(learn, features, tmp_path, interrupt, killed_at):
    """Killed in the first training (24 steps), in the first step of the second (36 steps), and later."""
    pool = make_pool(features)
    whole = learn(pool, name="whole", threshold=0.55)
    interrupt(lambda: learn(pool, name="killed", threshold=0.55), killed_at)
    assert not (tmp_path / "killed" / "run.json").exists()
    with pytest.raises(InputError, match="is not empty; choose another --out, or continue with --resume"):
        learn(pool, name="killed", threshold=0.55)
    resumed = learn(pool, name="killed", threshold=0.55, resume=True)
    assert resumed["self_training"] == whole["self_training"]
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed")]
    assert all(np.array_equal(weights[1][name], value) for name, value in weights[0].items())


@pytest.mark.slow
def test_a_training_without_a_pool_is_not_continued_with_one(learn, features, tmp_path):
    (tmp_path / "model" / "checkpoints" / "checkpoint-4").mkdir(parents=True)
    with pytest.raises(InputError, match="interrupted in a training without a pool; continue it without --pseudo-"):
        learn(make_pool(features), resume=True)


def read_pool(features, *pool, part=None, corpus=None):
    tables = PoolReader(ClipReader("audio"), part or split(), "emotion", "speaker", corpus)
    return tables.unlabeled([(f"pool{number or ''}", rows) for number, rows in enumerate(pool)])


def test_groups_that_are_held_out_are_left_out_of_the_pool(features):
    pool = make_pool(features, speakers=("2", "3", "5", None))
    found = read_pool(features, pool)
    assert found.groups == ["5"] * 4 and found.names == ["pool"] * 4
    assert found.rows["input_features"] == pool["input_features"][2::4]
    without = read_pool(features, pool.remove_columns("speaker"), pool)
    assert without.groups == [NO_GROUP] * 16 + ["5"] * 4
    assert without.names == ["pool"] * 16 + ["pool1"] * 4
    with pytest.raises(InputError, match="no clip of a group that is neither for validation nor for test"):
        read_pool(features, make_pool(features, speakers=("2", "3")))
    # where several datasets are joined, a group is one of its own dataset
    joined = split_groups(["pool/3", "pool/4", "other/5", "a/0"], test=["pool/3"], validation=["other/5"])
    found = read_pool(features, make_pool(features, speakers=("3", "5")), part=joined, corpus="corpus")
    assert found.groups == ["pool/5"] * 8


@pytest.mark.slow
def test_datasets_that_were_joined_have_pools_of_their_own(learn, features, tmp_path):
    joined = join_datasets([("a", features), ("b", features)], "emotion", "speaker", ClipReader("audio"))
    part = split_groups(["a/0", "a/1", "b/0", "b/2"], test=["a/1"], validation=["b/2"])
    record = learn(make_pool(features), dataset=joined, part=part, corpus_column="corpus", threshold=0.55)
    assert record["self_training"]["kept"]["happy"] == record["self_training"]["kept"]["sad"] > 0
    assert set(record["scores_by_corpus"]) == {"b"}
    if record["self_training"]["kept_model"] == "pseudo-labels":
        assert record["settings"]["groups"]["train"] == ["a/0", "b/0", "pool/5", "pool/6"]


@pytest.mark.slow
def test_labels_keep_the_order_of_their_type(learn, features, tmp_path):
    names = ["sad", "happy"]
    values = [names.index(name) for name in features["emotion"]]
    classes = features.remove_columns("emotion").add_column("emotion", values, feature=ClassLabel(names=names))
    record = learn(make_pool(features), dataset=classes)
    assert record["settings"]["labels"] == names and list(record["self_training"]["kept"]) == names


def test_what_self_training_cannot_do_is_said_before_it_starts(learn, features, tmp_path):
    pool = make_pool(features)
    for wrong, message in (
        ({"threshold": 1.0}, "pseudo_threshold=1: has to be a fraction from 0 to below 1"),
        ({"fraction": 0.0}, "pseudo_fraction=0: has to be above 0 and at most 1"),
        ({"fraction": float("nan")}, "pseudo_fraction=nan: has to be above 0"),
        ({"group_column": None}, "pseudo-labels need validation groups, by which confidence is calibrated"),
        ({"part": split_groups(["0"], validation_fraction=0)}, "need validation groups"),
        ({"label_column": "mood"}, "column 'mood' is not in the dataset"),
        ({"dataset": features.to_iterable_dataset()}, "the labeled dataset: pseudo-labels are for tables"),
    ):
        with pytest.raises(InputError, match=message):
            learn(pool, **wrong)
    with pytest.raises(InputError, match="pool: pseudo-labels are for tables, and this one is a stream"):
        learn(pool.to_iterable_dataset())
    with pytest.raises(InputError, match="no audio: expected a column video"):
        learn(pool.remove_columns("input_features"))
    sounds = Dataset.from_dict({"audio": [None], "face_coverage": [0.0]})
    with pytest.raises(InputError, match=r"different forms \(audio and input_features\); extract all of them"):
        learn(sounds)
    assert not (tmp_path / "model").exists()
