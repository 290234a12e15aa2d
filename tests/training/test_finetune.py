import json

import numpy as np
import pytest
import torch
from datasets import Dataset, concatenate_datasets
from safetensors.torch import load_file
from transformers import AutoModelForVideoClassification, AutoProcessor

from av_emotion_hf import EmotionTrainer, evaluate, finetune, pretrain
from av_emotion_hf.data import ClipReader, group_names, split_groups
from av_emotion_hf.data.augmentation import AugmentingCollator
from av_emotion_hf.data.corpora import join_datasets
from av_emotion_hf.data.labels import read_labeled
from av_emotion_hf.data.schema import encode_waveform
from av_emotion_hf.errors import InputError
from av_emotion_hf.hub import check_card

GROUPS = ["0", "1", "2", "3"]


@pytest.fixture
def tune(features, options, small):
    """Function from modality and settings to the record of a short fine-tuning, test speaker 3."""

    def run(modality, name="model", init=None, **changes):
        overrides = {f"{part}_config": small[part] for part in small} if modality == "fusion" else small.get(modality)
        return finetune(
            features,
            split_groups(GROUPS, test=["3"]),
            args=options(name, **({"epochs": 12, "learning_rate": 2e-2} | changes)),
            modality=modality,
            group_column="speaker",
            init=init,
            config_overrides=overrides if init is None else None,
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["audio", "image", "fusion"])
def test_learns_from_speakers_and_scores_on_another(tune, features, modality, tmp_path):
    record = tune(modality)
    groups = record["settings"]["groups"]
    assert groups["test"] == ["3"] and not set(groups["train"]) & set(groups["validation"])
    assert "3" not in groups["train"] + groups["validation"]
    assert record["scores"]["validation_uar"] > 0.9
    assert {name: sum(counts.values()) for name, counts in record["settings"]["clips"].items()} == {
        name: 8 * len(groups[name]) for name in ("train", "validation")
    }
    card = check_card((tmp_path / "model" / "README.md").read_text())
    measured = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert measured["uar"] == pytest.approx(record["scores"]["validation_uar"], abs=5e-5)

    held_out = features.filter(lambda speaker: speaker == "3", input_columns="speaker")
    out = tmp_path / "scores.json"
    scores = evaluate(str(tmp_path / "model"), held_out, out=str(out), protocol={"groups": ["3"]})
    assert scores["uar"] > 0.9 and scores["clips"] == 8 and scores["labels"] == ["happy", "sad"]
    assert sum(map(sum, scores["confusion_matrix"])) == 8
    assert scores["recalls"].keys() == {"happy", "sad"} and scores["protocol"]["groups"] == ["3"]
    assert json.loads(out.read_text()) == scores
    assert set(scores["protocol"]["modalities"]) == ({"audio", "image"} if modality == "fusion" else {modality})


@pytest.mark.slow
def test_fusion_starts_from_both_encoders_and_serves_each_modality_alone(tune, features, tmp_path):
    tune("audio", "audio")
    tune("image", "image")
    record = tune(
        "fusion", "fusion", init=[str(tmp_path / "audio"), str(tmp_path / "image")], epochs=1, learning_rate=1e-9
    )
    assert record["settings"]["init"]
    fusion = AutoModelForVideoClassification.from_pretrained(tmp_path / "fusion")
    assert AutoProcessor.from_pretrained(tmp_path / "fusion").image_processor.size["height"] == 96
    for name in ("audio", "image"):
        from transformers import AutoModel

        part = AutoModel.from_pretrained(tmp_path / name)
        for key, tensor in part.state_dict().items():
            fused = fusion.state_dict()[f"{name}_encoder.{key}"]
            torch.testing.assert_close(fused, tensor, atol=1e-6, rtol=1e-6)
    for modalities in (("audio",), ("image",)):
        scores = evaluate(str(tmp_path / "fusion"), features, modalities=modalities)
        assert scores["protocol"]["modalities"] == list(modalities) and scores["clips"] == 32


@pytest.mark.slow
def test_a_pretrained_encoder_is_taken_over(tune, features, options, small, tmp_path):
    before = options("pretrained", epochs=1)
    pretrain([features], args=before, modality="audio", config_overrides=small["audio"])
    tune("audio", "tuned", init=[before.output_dir], epochs=1, learning_rate=1e-9)
    from transformers import AutoModel

    for (name, old), new in zip(
        AutoModel.from_pretrained(before.output_dir).state_dict().items(),
        AutoModel.from_pretrained(tmp_path / "tuned").state_dict().values(),
        strict=True,
    ):
        torch.testing.assert_close(new, old, atol=1e-6, rtol=1e-6, msg=name)


@pytest.mark.slow
def test_unfit_checkpoints_are_named(tune, features, options, small, tmp_path):
    tune("image", "image")
    with pytest.raises(InputError, match="is an image model, which has no part for --modality audio; give a"):
        tune("audio", "a", init=[str(tmp_path / "image")])
    with pytest.raises(InputError, match="no checkpoint could be read there"):
        tune("audio", "b", init=[str(tmp_path / "nothing")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"is not a checkpoint, it has no config.json"):
        tune("audio", "c", init=[str(tmp_path / "empty")])
    pretrained = options("pretrained", epochs=1)
    pretrain([features], args=pretrained, modality="audio", config_overrides=small["audio"])
    with pytest.raises(InputError, match=r"is an audio model without a trained classifier .*fine-tune it first"):
        evaluate(pretrained.output_dir, features)


@pytest.mark.slow
def test_labels_that_the_classifier_does_not_know_are_named(tune, features, tmp_path):
    tune("audio", epochs=1)
    foreign = features.map(lambda row: {"emotion": "bored" if row["speaker"] == "3" else row["emotion"]})
    with pytest.raises(
        InputError, match="label 'bored' of column 'emotion' is not among the model's classes happy, sad"
    ):
        evaluate(str(tmp_path / "model"), foreign)


def test_a_missing_column_is_named_before_anything_is_written(features, options, small, tmp_path):
    with pytest.raises(InputError, match="column 'mood' is not in the dataset"):
        finetune(features, args=options("model"), modality="audio", label_column="mood")
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_without_a_checkpoint_the_statistics_come_from_the_training_speakers(tune, features, tmp_path):
    record = tune("image", epochs=1)
    frames = [
        frame
        for row in features
        if row["speaker"] in record["settings"]["groups"]["train"]
        for frame in row["image_features"]
    ]
    encoder = AutoModelForVideoClassification.from_pretrained(tmp_path / "model").image_encoder
    torch.testing.assert_close(encoder.feature_mean, torch.tensor(frames).mean(0), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_a_model_does_not_say_where_its_parts_lay(tune, tmp_path):
    tune("image", "image", epochs=1)
    tune("fusion", "fusion", init=[str(tmp_path / "image")], epochs=1)
    for file in ("config.json", "run.json"):
        assert str(tmp_path) not in (tmp_path / "fusion" / file).read_text(), file


@pytest.mark.slow
def test_a_fusion_model_scores_a_corpus_of_voices(tune, features, tmp_path):
    tune("fusion", epochs=1)
    scores = evaluate(str(tmp_path / "model"), features.remove_columns("image_features"), modalities=("audio",))
    assert scores["clips"] == 32 and scores["protocol"]["modalities"] == ["audio"]


@pytest.mark.slow
def test_damaged_weights_are_named(tune, features, tmp_path):
    tune("audio", epochs=1)
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"its weights cannot be read .*download the checkpoint again") as caught:
        evaluate(str(tmp_path / "model"), features)
    assert "\n" not in str(caught.value)
    weights.unlink()
    with pytest.raises(InputError, match="its weights cannot be read"):
        tune("audio", "again", init=[str(tmp_path / "model")])


@pytest.mark.parametrize(("given", "slow"), [([], ("frontend.", "backbone.")), (["rnn."], ("rnn.",))])
def test_front_end_and_backbone_learn_slower_unless_others_are_named(
    features, options, small, monkeypatch, given, slow
):
    rates = {}
    create = EmotionTrainer.create_optimizer

    def noting(self, model=None):
        optimizer = create(self, model)
        rate = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
        rates.update({name: rate[id(parameter)] for name, parameter in self.model.named_parameters()})
        return optimizer

    monkeypatch.setattr(EmotionTrainer, "create_optimizer", noting)
    args = options("model", max_steps=1, learning_rate=1e-2, slow_rate=0.25, slow_parts=given)
    overrides = {f"{part}_config": small[part] for part in small}
    record = finetune(features, args=args, modality="fusion", config_overrides=overrides)
    assert record["settings"]["slow_rate"] == 0.25 and args.slow_parts == given
    assert {name for name, rate in rates.items() if rate == pytest.approx(2.5e-3)} == {
        name for name in rates if any(part in name for part in slow)
    }


def test_a_split_needs_the_column_of_the_groups(features, options):
    with pytest.raises(InputError, match="needs their column: give group_column"):
        finetune(features, split_groups(GROUPS, test=["3"]), args=options("model"), modality="audio")


@pytest.mark.slow
def test_what_was_not_tested_or_not_answered_is_said(tune, features, tmp_path):
    tune("audio", epochs=1)
    happy = features.filter(lambda emotion: emotion == "happy", input_columns="emotion")
    silent = happy.map(lambda cell: {"input_features": []}, input_columns="input_features", features=happy.features)
    scores = evaluate(str(tmp_path / "model"), concatenate_datasets([happy.select(range(3)), silent.select(range(2))]))
    assert scores["not_tested"] == ["sad"] and scores["no_answer"] == {"happy": 2} and scores["clips"] == 5
    assert scores["recalls"]["sad"] is None and scores["recalls"]["happy"] <= 3 / 5
    assert scores["uar"] == scores["recalls"]["happy"] and sum(map(sum, scores["confusion_matrix"])) == 3


@pytest.mark.slow
def test_several_datasets_are_drawn_alike_and_scored_apart(features, options, small, tmp_path):
    other = features.filter(
        lambda emotion, speaker: emotion == "sad" or speaker == "0", input_columns=["emotion", "speaker"]
    )
    joined = join_datasets(
        [("all", features), ("few", other)], "emotion", "speaker", ClipReader("audio"), {"few": {"sad": "low"}}
    )
    split = split_groups(group_names(joined, "speaker"), test=["all/3"], validation=["all/2", "few/2", "few/3"])
    record = finetune(
        joined,
        split,
        args=options("joined", epochs=1),
        modality="audio",
        group_column="speaker",
        corpus_column="corpus",
        config_overrides=small["audio"],
    )
    assert record["settings"]["labels"] == ["happy", "low", "sad"]
    scores = record["scores_by_corpus"]
    assert {name: each["clips"] for name, each in scores.items()} == {"all": 8, "few": 8}
    assert json.loads((tmp_path / "joined" / "run.json").read_text())["scores_by_corpus"] == scores


# --- augmentation

OF_WAVEFORMS = {
    "speed": 0.5, "pitch": 0.3, "reverb": 0.3, "noise": 0.5, "babble": 0.3, "gain": 0.5, "telephone": 0.3, "opus": 0.3,
    "copy_paste": 0.3, "mixup": 0.5,
}  # fmt: skip
OF_FEATURES = {"time_mask": 0.5, "frequency_mask": 0.5, "copy_paste": 0.3, "mixup": 0.5}


@pytest.fixture
def inputs():
    """Inputs of 16 short voices of four speakers."""
    generator = np.random.default_rng(0)
    rows = []
    for i in range(16):
        time = np.arange(2000 + 100 * (i % 3)) / 16000
        voice = 0.2 * np.sign(np.sin(2 * np.pi * (120 + 60 * (i % 2)) * time)) + 0.01 * generator.standard_normal(
            len(time)
        )
        rows.append(
            {
                "audio": {"bytes": encode_waveform(voice), "path": None},
                "face_coverage": 0.0,
                "emotion": ["neutral", "happy"][i % 2],
                "speaker": f"{i // 4}",
            }
        )
    return Dataset.from_list(rows)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "workers"), [("inputs", 0), ("features", 0), ("inputs", 2)])
def test_a_killed_augmented_run_goes_on_to_the_same_weights(
    request, options, small, interrupt, tmp_path, kind, workers
):
    dataset = request.getfixturevalue(kind)
    augment = OF_WAVEFORMS if kind == "inputs" else OF_FEATURES

    def run(name, **more):
        return finetune(
            dataset,
            split_groups(GROUPS, test=["3"]),
            args=options(name, epochs=3, workers=workers, label_smoothing_factor=0.1, **more),
            modality="audio",
            group_column="speaker",
            config_overrides=small["audio"],
            augment=augment,
        )

    whole = run("whole")
    assert whole["settings"]["augment"] == augment
    killed_at = whole["steps"] // 2 + 1
    interrupt(lambda: run("killed"), killed_at)
    resumed = run("killed", resume=True)
    assert resumed["steps"] == whole["steps"] and resumed["scores"].keys() == whole["scores"].keys()
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.mark.slow
def test_only_training_batches_are_augmented(features, options, small, monkeypatch):
    batches, made = [], AugmentingCollator.__call__

    def noting(self, rows):
        batches.append({row["speaker"] for row in rows})
        return made(self, rows)

    monkeypatch.setattr(AugmentingCollator, "__call__", noting)
    record = finetune(
        features,
        split_groups(GROUPS, test=["3"]),
        args=options("model", epochs=15, learning_rate=2e-2),
        modality="audio",
        group_column="speaker",
        config_overrides=small["audio"],
        augment=OF_FEATURES,
    )
    assert set.union(*batches) == set(record["settings"]["groups"]["train"])
    assert record["scores"]["validation_uar"] > 0.9


@pytest.mark.slow
def test_augmented_copies_are_trained_on_and_never_scored(features, options, small, tmp_path):
    copies = features.add_column("augmented", [True] * len(features))
    both = concatenate_datasets([features.add_column("augmented", [False] * len(features)), copies])
    record = finetune(
        both,
        split_groups(GROUPS, test=["3"]),
        args=options("model", epochs=1),
        modality="audio",
        group_column="speaker",
        config_overrides=small["audio"],
    )
    clips = {name: sum(counts.values()) for name, counts in record["settings"]["clips"].items()}
    assert clips == {"train": 2 * 8 * len(record["settings"]["groups"]["train"]), "validation": 8}
    assert evaluate(str(tmp_path / "model"), both)["clips"] == 32
    assert evaluate(str(tmp_path / "model"), both.to_iterable_dataset())["clips"] == 32
    joined = join_datasets([("with", both), ("without", features)], "emotion", "speaker", ClipReader("audio"))
    assert [bool(value) for value in joined["augmented"]] == [False] * 32 + [True] * 32 + [False] * 32


def test_an_augmentation_that_does_not_fit_is_named_before_anything_is_written(features, inputs, options, tmp_path):
    for dataset, modality, augment, message in (
        (features, "audio", {"noise": 0.5}, "augmentation 'noise' changes waveforms, and the dataset holds features"),
        (
            inputs,
            "audio",
            {"time_mask": 0.5},
            "augmentation 'time_mask' hides frame features, and the dataset holds w",
        ),
        (features, "image", {"time_mask": 0.5}, "augmentation 'time_mask' changes voices, and an image model hears"),
        (features, "fusion", {"mixup": 0.5}, "augmentation 'mixup' combines voices, and the clips show faces"),
        (inputs, "audio", {"nois": 0.5}, "augmentation 'nois' is unknown; choose from speed, pitch"),
        (inputs, "audio", {"noise": 50}, "augmentation noise=50: has to be a probability from 0 to 1"),
    ):
        with pytest.raises(InputError, match=message):
            finetune(dataset, args=options("model"), modality=modality, augment=augment)
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_calibration_divides_the_logits_by_the_temperature(features, options, small, tmp_path):
    def run(name, **changes):
        return finetune(
            features,
            split_groups(GROUPS, test=["3"]),
            args=options(name, epochs=3, learning_rate=2e-2),
            modality="audio",
            group_column="speaker",
            config_overrides=small["audio"],
            **changes,
        )

    plain, scaled = run("plain"), run("scaled", calibrate=True)
    found = scaled["calibration"]
    assert found["temperature"] != 1 and plain["scores"]["validation_uar"] == scaled["scores"]["validation_uar"]
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "scaled"))
    for name, values in before.items():
        divisor = found["temperature"] if name.startswith("classifier.") else 1.0
        torch.testing.assert_close(after[name], values / divisor, atol=1e-4, rtol=1e-4)
    assert sum(each["clips"] for each in found["after"]["reliability"]) == found["clips"] == 8
    with pytest.raises(InputError, match="calibration needs validation groups"):
        finetune(features, args=options("x"), modality="audio", calibrate=True)


def test_joined_features_are_not_copied(features, tmp_path):
    """Columns beside them are added; the frames stay where they are, and batches get them as arrays."""
    reader = ClipReader("audio")
    joined = join_datasets([("a", features), ("b", features)], "emotion", "speaker", reader)
    assert not joined.cache_files  # nothing was written
    assert joined["speaker"][0] == "a/0" and joined["corpus"][32] == "b" and len(joined) == 64
    read = read_labeled(joined, "emotion", ["happy", "sad"], reader)
    assert isinstance(read[0]["input_features"], np.ndarray) and read[0]["input_features"].shape == (12, 60)
    assert read[0]["labels"] == 1 and read[0]["speaker"] == "a/0"
