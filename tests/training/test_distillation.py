"""A model that hears by its descriptors learns what a speech encoder hears."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value
from transformers import AutoModelForAudioClassification, AutoModelForPreTraining, WhisperConfig

from av_emotion_hf import (
    AVEmotionAudioConfig,
    AVEmotionAudioModel,
    ClipReader,
    FeatureReader,
    extract,
    finetune,
    open_dataset,
    pretrain,
)
from av_emotion_hf.data import RunningStatistics, split_groups
from av_emotion_hf.data.manifest import read_statistics
from av_emotion_hf.data.schema import round_to_16_bits
from av_emotion_hf.errors import InputError
from av_emotion_hf.plots.reconstruction import draw_reconstruction
from av_emotion_hf.training import PRESETS
from av_emotion_hf.training.distillation import with_teacher

STATES = 6
COLUMNS = {
    "input_features": List(List(Value("float32"))),
    "num_descriptors": Value("int32"),
    "emotion": Value("string"),
    "speaker": Value("string"),
}


def make_shards(clips=32, states=STATES):
    """Descriptors `(T, 60)` that move slowly, and states of a teacher that are a function of them at another scale."""
    draw = np.random.default_rng(0)
    mixing = draw.normal(0, 1, (60, states)) / 8
    rows = []
    for number in range(clips):
        walk = draw.normal(0, 1, (14 + number % 5, 60)) + 2 * (number % 2)
        descriptors = (walk + np.roll(walk, 1, 0)) / 2
        heard = 50 + 10 * np.tanh(descriptors @ mixing)
        rows.append(
            {
                "input_features": np.hstack([descriptors, heard]).tolist(),
                "num_descriptors": 60,
                "emotion": ["sad", "happy"][number % 2],
                "speaker": f"{number // 8}",
            }
        )
    return Dataset.from_list(rows, features=Features(COLUMNS))


@pytest.fixture
def shards():
    return make_shards()


@pytest.fixture
def fields(small):
    """Configuration fields of a small student with statistics pooling."""
    return small["audio"] | PRESETS["distill"] | {"hidden_size": 32, "rnn_type": "gru", "pooling": "statistics"}


def decode_voice(row):
    """Waveform of a clip as extraction hears it."""
    return round_to_16_bits(ClipReader("audio").read(row["video"]["bytes"]).waveform)


def parts(shards):
    return shards.select(range(24)), shards.select(range(24, 32))


@pytest.mark.slow
def test_it_learns_what_the_teacher_hears(shards, options, fields, tmp_path):
    train, validation = parts(shards)
    run = options("small", epochs=30, learning_rate=1e-2)
    record = pretrain([train], [validation], args=run, modality="audio", config_overrides=fields)
    losses = [entry["eval_loss"] for entry in record["history"] if "eval_loss" in entry]
    assert losses[-1] < 0.7 * losses[0]
    errors = record["distillation"]
    assert errors["error_of_mean"] == pytest.approx(1, abs=0.1)  # in standard deviations of the dataset
    assert errors["error"] < 0.5 * errors["error_of_mean"]
    assert errors["error"] < errors["error_of_hidden"] < errors["error_of_mean"]
    assert errors["frames"] == sum(map(len, validation["input_features"])) > 7 * errors["hidden_frames"] > 0
    assert record["settings"]["config"]["teacher_size"] == STATES and "reconstruction" not in record

    model = AutoModelForPreTraining.from_pretrained(run.output_dir)
    frames = np.concatenate([np.array(row["input_features"]) for row in train])
    np.testing.assert_allclose(model.teacher.feature_mean, frames[:, 60:].mean(0), rtol=1e-4)
    np.testing.assert_allclose(model.teacher.feature_std, frames[:, 60:].std(0), rtol=1e-4)
    names = model.audio_encoder.frontend.descriptor_names
    place = names.index("loudness")
    assert model.audio_encoder.frontend.feature_mean[place] == pytest.approx(frames[:, place].mean(), abs=1e-4)
    card = (Path(run.output_dir) / "README.md").read_text()
    assert f"| {errors['error_of_mean']:.3f} | {errors['error']:.3f} | {errors['error_of_hidden']:.3f} |" in card
    assert "to predict the frames of a speech encoder" in card

    # a classifier has the encoder, and nothing of the teacher; it reads the same shards, or descriptors alone
    alone = shards.remove_columns("num_descriptors").map(
        lambda row: {"input_features": [frame[:60] for frame in row["input_features"]]}
    )
    weights = []
    for name, rows in (("wide", shards), ("narrow", alone)):
        args = options(name, epochs=1)
        split = split_groups(["0", "1", "2", "3"], test=["3"])
        finetune(rows, split, args=args, modality="audio", group_column="speaker", init=[run.output_dir])
        weights.append(AutoModelForAudioClassification.from_pretrained(args.output_dir).state_dict())
    assert not [name for name in weights[0] if "teacher" in name]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())

    with pytest.raises(InputError, match="learned the states of a speech encoder, and has no frames to reconstruct"):
        draw_reconstruction(run.output_dir, "clip.wav", tmp_path / "image.png")


@pytest.mark.slow
@pytest.mark.parametrize(("as_stream", "killed_at"), [(False, 9), (True, 5)])
def test_a_killed_run_goes_on_to_the_same_weights(shards, options, fields, interrupt, as_stream, killed_at):
    corpus = shards.to_iterable_dataset() if as_stream else shards
    length = {"max_steps": 16} if as_stream else {"epochs": 2}
    fields |= {"num_hidden_layers": 2, "hidden_dropout": 0.5}

    def run(name, **changes):
        args = options(name, **length, **changes)
        return pretrain([corpus], [], args=args, modality="audio", config_overrides=fields)

    whole = run("whole")
    interrupt(lambda: run("killed"), killed_at)
    assert run("killed", resume=True)["steps"] == whole["steps"] == 16
    first, second = (
        AutoModelForPreTraining.from_pretrained(options(name).output_dir).state_dict() for name in ("whole", "killed")
    )
    assert {"teacher.feature_mean", "teacher.frames.weight", "teacher.clip.weight"} <= first.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_in_half_precision_the_loss_is_nearly_the_same(shards, options, fields):
    losses = []
    for name, bf16 in (("full", False), ("half", True)):
        run = options(name, max_steps=1, bf16=bf16, learning_rate=1e-6)
        record = pretrain([shards], args=run, modality="audio", config_overrides=fields)
        losses.append(record["history"][0]["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.02) and losses[0] != losses[1]


def test_statistics_of_a_checkpoint_stay_and_those_of_the_teacher_are_new(shards, options, fields):
    first = options("first", max_steps=1)
    pretrain([shards], args=first, modality="audio", config_overrides=fields)
    shifted = shards.map(lambda row: {"input_features": (np.array(row["input_features"]) + 100).tolist()})
    second = options("second", max_steps=1)
    record = pretrain([shifted], args=second, modality="audio", init=[first.output_dir])
    assert record["settings"]["objective"] == "distill"  # as that of the checkpoint
    before, after = (AutoModelForPreTraining.from_pretrained(run.output_dir) for run in (first, second))
    assert torch.equal(before.audio_encoder.frontend.feature_mean, after.audio_encoder.frontend.feature_mean)
    torch.testing.assert_close(after.teacher.feature_mean, before.teacher.feature_mean + 100, rtol=1e-4, atol=0)


def test_statistics_of_the_manifest_save_a_pass(shards, options, fields, monkeypatch):
    monkeypatch.setattr("av_emotion_hf.training.pretraining.estimate_statistics", lambda *_: pytest.fail("a pass"))
    frames = np.concatenate([np.array(row["input_features"]) for row in shards])
    run = options("model", max_steps=1)
    pretrain(
        [shards.to_iterable_dataset()], args=run, modality="audio", config_overrides=fields,
        statistics=RunningStatistics(60 + STATES).update(frames),
    )  # fmt: skip
    model = AutoModelForPreTraining.from_pretrained(run.output_dir)
    np.testing.assert_allclose(model.teacher.feature_mean, frames[:, 60:].mean(0), rtol=1e-5)
    np.testing.assert_allclose(model.audio_encoder.frontend.feature_mean, frames[:, :60].mean(0), atol=1e-4)


def test_what_cannot_be_distilled_is_named(shards, features, options, fields, tmp_path):
    def run(*datasets, modality="audio", **changes):
        fields_of = {"config_overrides": fields} | changes
        pretrain(list(datasets), args=options("model"), modality=modality, **fields_of)

    with pytest.raises(InputError, match=r"extract CLIPS --modality audio --as features --speech-encoder openai/"):
        run(features)
    with pytest.raises(InputError, match=r"a dataset has none \(its columns: audio, emotion\)"):
        run(shards, Dataset.from_dict({"audio": ["a.wav"], "emotion": ["sad"]}))
    with pytest.raises(InputError, match="have 5 and 6 states per frame, of different speech encoders"):
        run(shards, make_shards(2, 5))
    silent = shards.select([0]).map(lambda row: {"input_features": []}, features=shards.features)
    with pytest.raises(InputError, match="no audio frame to learn from"):
        run(silent)
    with pytest.raises(
        InputError, match=r"--speech-encoder openai/whisper-base: .* has none of its own; leave it out"
    ):
        run(shards, speech_encoder="openai/whisper-base")
    with pytest.raises(InputError, match="66 values per frame do not fit the model, which expects 25"):
        run(shards, config_overrides=fields | {"descriptors": ["egemaps"]})
    with pytest.raises(Exception, match="objective='distill' predicts a speech encoder, for voices"):
        run(features, modality="image", config_overrides=PRESETS["distill"])
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.slow
def test_what_extract_writes_with_a_speech_encoder_is_distilled(clips, options, fields, tmp_path):
    whisper = WhisperConfig(d_model=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=32)
    teacher = AVEmotionAudioModel(AVEmotionAudioConfig(backbone_config=whisper.to_dict())).eval()
    reader = FeatureReader(audio_model=teacher)
    extract(clips, str(tmp_path / "shards"), ClipReader("audio"), reader)
    rows = open_dataset(str(tmp_path / "shards"))
    assert rows["num_descriptors"] == [60] * 3  # one of the clips cannot be read
    heard = reader(decode_voice(clips[0]), [])
    np.testing.assert_allclose(rows[0]["input_features"], heard["input_features"], atol=1e-5)
    assert heard["num_descriptors"] == 60 and heard["input_features"].shape == (26, 76)
    statistics = read_statistics([str(tmp_path / "shards")], "input_features")
    run = options("small", max_steps=2)
    pretrain([rows], args=run, modality="audio", config_overrides=fields, statistics=statistics)
    model = AutoModelForPreTraining.from_pretrained(run.output_dir)
    states = np.concatenate([np.array(row["input_features"]) for row in rows if row["input_features"]])[:, 60:]
    np.testing.assert_allclose(model.teacher.feature_std, states.std(0), rtol=1e-3)
    # the same training from clips needs no shards afterwards
    finetune(clips, args=options("voice", max_steps=1), modality="audio", init=[run.output_dir])


def test_another_objective_asks_for_no_teacher(shards):
    assert with_teacher({"objective": "hidden"}, [], [shards.remove_columns("num_descriptors")]) == {
        "objective": "hidden"
    }
    assert with_teacher({"objective": "distill"}, [], [shards])["teacher_size"] == STATES


@pytest.mark.slow
def test_other_objectives_learn_from_the_descriptors_in_the_same_shards(shards, options, small):
    run = options("model", max_steps=1)
    pretrain([shards], args=run, modality="audio", config_overrides=small["audio"])
    model = AutoModelForPreTraining.from_pretrained(run.output_dir)
    assert model.reconstruction.weight.shape == (60, 8)
    assert json.loads((Path(run.output_dir) / "config.json").read_text())["teacher_size"] == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"objective": "distill"}, "needs teacher_size, the number of states"),
        (
            {"objective": "distill", "teacher_size": 4, "backbone_config": {"model_type": "whisper"}},
            "without a speech",
        ),
        ({"teacher_size": -1}, "teacher_size=-1 .* must not be negative"),
        ({"teacher_statistics_weight": float("nan")}, "teacher_statistics_weight=nan must not be negative"),
    ],
)
def test_a_configuration_that_cannot_be_distilled_is_refused(fields, message):
    with pytest.raises(Exception, match=message):
        AVEmotionAudioConfig(**fields)
