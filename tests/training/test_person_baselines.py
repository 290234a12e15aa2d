import json

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value
from safetensors.torch import load_file
from transformers import Trainer, WhisperConfig

import av_emotion_hf as av
from av_emotion_hf import ClipCollator, evaluate, finetune
from av_emotion_hf.data import split_groups
from av_emotion_hf.errors import InputError
from av_emotion_hf.hub import check_card, write_card
from av_emotion_hf.models.person_baseline_av_emotion import Shrinkage
from av_emotion_hf.training.person_baselines import (
    BaselineCollator,
    choose_clips,
    clips_of_groups,
    freeze_features,
    measure_clips,
)

CPU = torch.device("cpu")
SIZES = {"audio": 60, "image": 6}


@pytest.fixture
def persons():
    """48 clips of 6 speakers, whose place says more than the emotion, which is 1 apart."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(48):
        speaker, label = divmod(number // 4, 2)
        place = np.random.default_rng(speaker).normal(0, 4, 60)
        frames = place + generator.normal(0, 1, (50 + number % 5, 60)) + label * np.where(np.arange(60) % 2, 1, -1)
        frames[:, 3] = 1  # voiced
        rows.append({"input_features": frames.tolist(), "emotion": "ab"[label], "speaker": f"s{speaker}"})
    columns = {"input_features": List(List(Value("float32")))}
    return Dataset.from_list(rows, features=Features(columns | dict.fromkeys(("emotion", "speaker"), Value("string"))))


@pytest.fixture
def model(small):
    torch.manual_seed(0)
    model = av.AVEmotionAudioForSequenceClassification(av.AVEmotionAudioConfig(**small["audio"]))
    model.audio_encoder.set_feature_statistics(torch.randn(60), torch.rand(60) + 0.5)
    return model


@pytest.fixture
def collator(persons, model):
    """Function from a probability to a collator over the clips."""
    collate = ClipCollator("audio", None, None, SIZES)
    moments, rows = measure_clips(model, persons, collate, CPU), clips_of_groups(persons, "speaker")
    return lambda probability: BaselineCollator(collate, model, "speaker", moments, rows, probability)


def expected_statistics(model, clips):
    """By hand: mean and deviation of all frames of some clips, with a prior of 10 seconds of 50 frames."""
    frames = np.concatenate([np.asarray(clip) for clip in clips])
    mean, std = model.audio_encoder.feature_statistics.double().numpy()
    share = len(frames) / (len(frames) + 500)
    variance = std**2 + share * (frames.var(0) - std**2)
    return np.stack([mean + share * (frames.mean(0) - mean), np.sqrt(variance)])


def test_each_clip_is_standardized_by_all_of_its_person(persons, model, collator):
    rows = [persons[number] for number in (0, 9, 1)]
    batch = collator(None)(rows)
    assert batch["input_features"].shape == (3, 54, 60) and len(batch["audio_statistics"]) == 3
    for row, found in zip(rows, batch["audio_statistics"], strict=True):
        clips = [each["input_features"] for each in persons if each["speaker"] == row["speaker"]]
        assert len(clips) == 8
        np.testing.assert_allclose(found, expected_statistics(model, clips), rtol=2e-4, atol=2e-4)


def test_a_share_of_the_clips_has_statistics_of_some_clips_of_the_person(persons, model, collator):
    dataset = model.audio_encoder.feature_statistics
    torch.manual_seed(0)
    collate, row = collator(0.75), persons[0]
    drawn = torch.cat([collate([row] * 8)["audio_statistics"] for _ in range(50)])
    plain = sum(torch.equal(each, dataset) for each in drawn)
    assert 70 < plain < 130  # of 400
    share = (drawn[:, 0, 0] - dataset[0, 0]).abs()  # grows with the clips that were drawn
    sizes = {round(float(each), 3) for each in share}
    assert len(sizes) > 30
    torch.manual_seed(0)
    again = torch.cat([collate([row] * 8)["audio_statistics"] for _ in range(50)])
    assert torch.equal(drawn, again)
    stranger = row | {"speaker": None}
    assert torch.equal(collate([stranger])["audio_statistics"][0], dataset)


def test_subsets_have_few_and_many_clips(persons, model, collator):
    torch.manual_seed(0)
    collate = collator(1.0)
    clips = torch.arange(31)
    sizes = [len(collate._draw(clips)) for _ in range(2000)]
    assert min(sizes) == 1 and max(sizes) == 31
    for low, high in ((1, 1), (2, 3), (4, 7), (8, 15), (16, 31)):
        assert 0.16 < np.mean([low <= size <= high for size in sizes]) < 0.24
    drawn = collate._draw(clips).tolist()
    assert len(set(drawn)) == len(drawn)


def test_the_baseline_of_an_evaluation_is_the_group_or_some_others():
    rows = {"a": [0, 2, 4], "b": [1, 5], "c": [6]}
    whole = choose_clips(rows, 7, None, 0)
    assert [clips.tolist() for clips in whole] == [[0, 2, 4], [1, 5], [0, 2, 4], [], [0, 2, 4], [1, 5], [6]]
    one = choose_clips(rows, 7, 1, 0)
    assert [len(clips) for clips in one] == [1, 1, 1, 0, 1, 1, 0]
    assert one[1].tolist() == [5] and one[5].tolist() == [1] and one[0].item() in (2, 4)
    many = [clips.tolist() for clips in choose_clips(rows, 7, 10, 0)]
    assert sorted(many[2]) == [0, 4] and many == [clips.tolist() for clips in choose_clips(rows, 7, 10, 0)]


def test_what_makes_the_frames_stays_as_it_is(build):
    fusion = build(av.AVEmotionForSequenceClassification)
    freeze_features(fusion)
    trained = {name for name, parameter in fusion.named_parameters() if parameter.requires_grad}
    assert not any("backbone" in name or "filterbank" in name or "compression" in name for name in trained)
    assert {"audio_encoder.frontend.gain", "audio_encoder.frontend.offset", "classifier.weight"} <= trained
    whisper = WhisperConfig(
        d_model=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=32, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=1, vocab_size=10, decoder_layers=1, decoder_attention_heads=2,
    )  # fmt: skip
    config = av.AVEmotionAudioConfig(backbone_config=whisper.to_dict(), freeze_backbone=False, hidden_size=8)
    with pytest.raises(InputError, match="baseline with freeze_backbone=false"):
        freeze_features(av.AVEmotionAudioForSequenceClassification(config))


@pytest.fixture
def tune(persons, options, small):
    def run(name, share=0.5, augment=None, **changes):
        return finetune(
            persons,
            split_groups([f"s{number}" for number in range(6)], test=["s5"], validation=["s3", "s4"]),
            args=options(name, **({"epochs": 6, "learning_rate": 2e-2} | changes)),
            modality="audio",
            group_column="speaker",
            config_overrides=small["audio"] | {"pool_features": True, "baseline_prior": 1.0},
            person_baseline=share,
            augment=augment,
        )

    return run


@pytest.mark.slow
def test_a_model_learns_to_use_the_baseline(tune, persons, tmp_path):
    record = tune("model", 0.8, epochs=15)
    scores = record["scores"]
    assert scores["validation_with_baseline_uar"] > 0.9 > scores["validation_uar"]
    assert record["settings"]["person_baseline"] == 0.8
    assert json.loads((tmp_path / "model" / "run.json").read_text())["scores"] == scores
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"with the person's baseline | {100 * scores['validation_with_baseline_uar']:.1f} %" in card
    names = {result.dataset_name: result.metric_value for result in check_card(card).data.eval_results}
    assert {name.endswith("with the person's baseline") for name in names} == {True, False}
    assert json.loads((tmp_path / "model" / "config.json").read_text())["baseline_prior"] == 1.0
    tested = persons.filter(lambda speaker: speaker == "s5", input_columns="speaker")
    protocol = {"dataset": "persons", "group_column": "speaker", "groups": ["s5"]}
    out = str(tmp_path / "model" / "scores.json")
    uar = evaluated(str(tmp_path / "model"), tested, out=out, protocol=protocol)["uar"]
    assert f"| persons, test clips (speaker s5), with the person's baseline | {100 * uar:.1f} % |" in write_card(
        tmp_path / "model"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "augment"), [(0, None), (2, {"mixup": 0.5})])
def test_a_killed_run_goes_on_to_the_same_weights(tune, tmp_path, monkeypatch, workers, augment):
    settings = {"epochs": 3, "save_steps": 3, "save_strategy": "steps", "workers": workers, "augment": augment}
    whole = tune("whole", **settings)
    step, calls = Trainer.training_step, []

    def killed(self, *args, **kwargs):
        calls.append(None)
        if len(calls) == 11:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "training_step", killed)
        with pytest.raises(KeyboardInterrupt):
            tune("killed", **settings)
    resumed = tune("killed", **settings, resume=True)
    assert resumed["steps"] == whole["steps"] > 11
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    losses = [[entry["loss"] for entry in each["history"] if "loss" in entry] for each in (whole, resumed)]
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_inputs_are_measured_by_the_model_that_is_trained(waveforms, options, small, persons):
    """The statistics of a finished model are those that it was trained with."""
    from av_emotion_hf.data.schema import encode_waveform

    sounds = [encode_waveform(waveforms[0][number].numpy()) for number in (0, 1) for _ in range(2)]
    rows = [
        {
            "audio": {"bytes": sound, "path": None},
            "face_coverage": 0.0,
            "emotion": "ab"[i % 2],
            "speaker": "xy"[i // 2],
        }
        for i, sound in enumerate(sounds)
    ]
    dataset = Dataset.from_list(rows)
    args = options("model", epochs=2, learning_rate=0.1)
    finetune(
        dataset, args=args, modality="audio", group_column="speaker", config_overrides=small["audio"],
        person_baseline=0.9,
    )  # fmt: skip
    trained = av.AVEmotionAudioForSequenceClassification.from_pretrained(args.output_dir)
    fresh = av.AVEmotionAudioForSequenceClassification(av.AVEmotionAudioConfig(**small["audio"]))
    given = {"input_values": waveforms[0][:1], "attention_mask": waveforms[1][:1]}
    assert torch.equal(
        trained.audio_encoder.extract_features(**given)[0], fresh.audio_encoder.extract_features(**given)[0]
    )
    assert not torch.equal(trained.audio_encoder.frontend.gain, fresh.audio_encoder.frontend.gain)
    assert set(Shrinkage(trained).toward) == {"audio"}


@pytest.fixture
def classifier(model, tmp_path):
    """A saved classifier that knows the emotions a and b."""
    model.config.id2label, model.config.label2id = {0: "a", 1: "b"}, {"a": 0, "b": 1}
    model.save_pretrained(tmp_path / "voice")
    av.AVEmotionFeatureExtractor().save_pretrained(tmp_path / "voice")
    return str(tmp_path / "voice")


def evaluated(classifier, dataset, **changes):
    settings = {"batch_size": 5, "group_column": "speaker", "person_baseline": True, "device": "cpu"} | changes
    return evaluate(classifier, dataset, **settings)


def test_evaluate_scores_each_clip_with_its_group(classifier, persons, model):
    result = evaluated(classifier, persons)
    assert result["protocol"]["person_baseline"] == {
        "clips": "all", "seed": None, "mean_clips": 8.0, "mean_seconds": {"audio": 8.3},
    }  # fmt: skip
    right = np.zeros((2, 2), int)
    for row in persons:
        clips = [each["input_features"] for each in persons if each["speaker"] == row["speaker"]]
        statistics = torch.from_numpy(expected_statistics(model, clips)).float()[None]
        features = torch.tensor([row["input_features"]])
        with torch.no_grad():
            logits = model.eval()(input_features=features, audio_statistics=statistics).logits
        right["ab".index(row["emotion"]), int(logits.argmax())] += 1
    assert result["confusion_matrix"] == right.tolist()
    plain = evaluate(classifier, persons, device="cpu")
    assert plain["protocol"]["person_baseline"] is None and plain["confusion_matrix"] != result["confusion_matrix"]


def test_evaluate_limits_the_baseline_to_some_other_clips(classifier, persons):
    result = evaluated(classifier, persons, baseline_clips=3, seed=5)
    mark = result["protocol"]["person_baseline"]
    assert (mark["clips"], mark["seed"], mark["mean_clips"]) == (3, 5, 3.0)
    assert 2.9 < mark["mean_seconds"]["audio"] < 3.3
    assert result["confusion_matrix"] == evaluated(classifier, persons, baseline_clips=3, seed=5)["confusion_matrix"]
    alone = persons.select([0])
    assert evaluated(classifier, alone, baseline_clips=3)["protocol"]["person_baseline"]["mean_clips"] == 0


def test_evaluate_refuses_a_baseline_of_nobody(classifier, persons):
    for changes, message in (
        ({"group_column": None}, "needs to know the persons: add --group-column"),
        ({"group_column": "person"}, "column 'person' is not in the dataset"),
        ({"person_baseline": False, "baseline_clips": 2}, "baseline_clips=2 without the person's baseline"),
    ):
        with pytest.raises(InputError, match=message):
            evaluated(classifier, persons, **changes)


@pytest.mark.slow
def test_a_stream_learns_and_is_scored_with_baselines(classifier, persons, options, small):
    stream = persons.to_iterable_dataset(num_shards=4)
    args = options("model", max_steps=3)
    overrides = small["audio"]
    record = finetune(
        stream, args=args, modality="audio", group_column="speaker", config_overrides=overrides, person_baseline=0.5
    )
    assert record["steps"] == 3 and record["settings"]["person_baseline"] == 0.5
    of_stream, of_table = evaluated(classifier, stream), evaluated(classifier, persons)
    assert of_stream["confusion_matrix"] == of_table["confusion_matrix"]


def test_a_baseline_in_training_needs_persons_and_some_clips_without(features, options):
    with pytest.raises(InputError, match="a person's baseline needs to know the persons: add --group-column"):
        finetune(features, args=options("model"), modality="audio", person_baseline=0.5)
    for share in (1.0, -0.1, float("nan")):
        with pytest.raises(InputError, match=r"person_baseline=.*: has to be a fraction from 0 to below 1"):
            finetune(features, args=options("model"), modality="audio", group_column="speaker", person_baseline=share)
