"""Runs of voices that hear with a speech backbone: what works without one works with one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Audio, Dataset
from safetensors.torch import load_file
from transformers import Trainer

from av_emotion_hf import finetune, pretrain
from av_emotion_hf.checkpoints import build_model
from av_emotion_hf.data import ClipReader, FeatureReader
from av_emotion_hf.data.dataset import open_dataset
from av_emotion_hf.data.extraction import extract
from av_emotion_hf.data.manifest import read_statistics
from av_emotion_hf.data.schema import encode_waveform
from av_emotion_hf.errors import InputError
from av_emotion_hf.training import PRESETS

FIELDS = {"hidden_size": 8, "num_hidden_layers": 1, "num_mel_bins": 8, "hidden_dropout": 0.0}
HEARD = "audio_encoder.backbone."


@pytest.fixture
def voices():
    """Eight clips of about 0.4 s, low and high voices of two speakers."""
    draw = np.random.default_rng(0)
    rows = []
    for i in range(8):
        instants = np.arange(4800 + 320 * i) / 16000
        hertz = (120, 330)[i % 2] + 5 * i
        sound = 0.3 * np.sign(np.sin(2 * np.pi * hertz * instants)) + draw.normal(0, 0.03, len(instants))
        rows.append(
            {
                "audio": {"bytes": encode_waveform(sound.astype(np.float32)), "path": None},
                "emotion": ("low", "high")[i % 2],
                "speaker": "ab"[i // 4],
            }
        )
    return Dataset.from_list(rows).cast_column("audio", Audio(decode=False))


def weights_of(run):
    return load_file(f"{run.output_dir}/model.safetensors")


def moved(before, after, prefix):
    """Names of the weights that begin with a prefix and changed."""
    return {name for name, value in after.items() if name.startswith(prefix) and not torch.equal(value, before[name])}


@pytest.mark.slow
@pytest.mark.parametrize("objective", [name for name in PRESETS if name != "distill"])
def test_every_objective_learns_to_predict_what_a_backbone_hears(voices, options, whisper, objective):
    """A stream and a table, with the encoder as it was."""
    run = options("model", max_steps=12, save_steps=6, learning_rate=5e-2, batch_size=8)
    overrides = FIELDS | PRESETS[objective]
    stream = voices.to_iterable_dataset(num_shards=2)
    record = pretrain(
        [stream], [voices], args=run, modality="audio", config_overrides=overrides, speech_encoder=whisper
    )
    assert record["settings"]["objective"] == objective and record["failures"] == []
    losses = [entry["eval_loss"] for entry in record["history"] if "eval_loss" in entry]
    assert losses[-1] < 0.98 * losses[0]
    weights, theirs = weights_of(run), load_file(f"{whisper}/model.safetensors")
    assert torch.equal(weights[f"{HEARD}encoder.layers.2.fc1.weight"], theirs["encoder.layers.2.fc1.weight"])
    # statistics of all frames, those of the backbone among them
    assert weights[f"{HEARD}feature_std"].min() > 0 and weights[f"{HEARD}feature_mean"].abs().max() > 0.1


@pytest.mark.slow
def test_extracted_features_train_as_clips_do(voices, options, whisper, tmp_path):
    overrides = FIELDS | PRESETS["mixed"]
    first = options("first", max_steps=2)
    pretrain([voices], [], args=first, modality="audio", config_overrides=overrides, speech_encoder=whisper)
    shards = str(tmp_path / "shards")
    extract(voices, shards, ClipReader("audio"), FeatureReader.from_checkpoints("audio", [first.output_dir]))
    features, statistics = open_dataset(shards), read_statistics([shards], "input_features")
    for name, value in (("mean", statistics.mean), ("std", statistics.std)):  # those that pre-training estimated
        own = weights_of(first)[f"{HEARD}feature_{name}"]
        np.testing.assert_allclose(value[-len(own) :], own, atol=1e-4)
    found = {}
    for name, rows in (("clips", voices), ("features", features)):
        pretraining = options(f"pretrained on {name}", epochs=2)
        # what makes the features learns from clips alone
        tuning = options(f"tuned on {name}", epochs=2, slow_parts=["frontend.", "backbone."], slow_rate=0.0)
        again = pretrain([rows], [rows], args=pretraining, modality="audio", init=[first.output_dir])
        tuned = finetune(rows, args=tuning, modality="audio", init=[first.output_dir])
        losses = [entry["loss"] for entry in again["history"] + tuned["history"] if "loss" in entry]
        found[name] = (losses, again["reconstruction"], weights_of(pretraining), weights_of(tuning))
    clips, features = found["clips"], found["features"]
    assert len(clips[0]) == 4 and clips[0] == pytest.approx(features[0], rel=1e-4)
    assert clips[1][0]["model"] == pytest.approx(features[1][0]["model"], rel=1e-4)
    for ours, theirs in zip(clips[2:], features[2:], strict=True):
        for name, value in ours.items():
            torch.testing.assert_close(value, theirs[name], atol=1e-4, rtol=1e-3, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["pretrain", "finetune"])
def test_a_run_with_a_backbone_that_was_killed_goes_on_to_the_same_weights(
    voices, options, whisper, monkeypatch, recipe
):
    """Fine-tuning trains the backbone, whose layers have rates of their own."""
    given = {"modality": "audio", "speech_encoder": whisper, "config_overrides": FIELDS | {"hidden_dropout": 0.3}}

    def run(name, **changes):
        args = options(name, epochs=3, batch_size=2, layer_decay=0.5, **changes)
        if recipe == "pretrain":
            return pretrain([voices], [], args=args, **given), weights_of(args)
        given["config_overrides"] |= {"freeze_backbone": False}
        return finetune(voices, args=args, **given), weights_of(args)

    whole, expected = run("whole")
    step, calls = Trainer.training_step, []

    def killed(self, *args, **kwargs):
        calls.append(None)
        if len(calls) == 7:  # of 12, in three epochs of 4
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "training_step", killed)
        with pytest.raises(KeyboardInterrupt):
            run("killed")
    resumed, weights = run("killed", resume=True)
    assert resumed["steps"] == whole["steps"] == 12
    assert not moved(expected, weights, "")
    encoder = {f"{HEARD}{name}": value for name, value in load_file(f"{whisper}/model.safetensors").items()}
    changed = moved(encoder, {name: weights[name] for name in encoder.keys() & weights.keys()}, HEARD)
    assert bool(changed) == (recipe == "finetune")


@pytest.mark.slow
def test_a_frozen_backbone_of_a_checkpoint_is_trained_when_asked_to(voices, options, whisper):
    first = options("first", epochs=1)
    finetune(voices, args=first, modality="audio", config_overrides=FIELDS, speech_encoder=whisper)
    before = weights_of(first)
    layer = f"{HEARD}encoder.layers.0."
    for name, overrides in (("still frozen", {}), ("trained", {"freeze_backbone": False})):
        run = options(name, epochs=1, bf16=name == "trained")
        finetune(voices, args=run, modality="audio", config_overrides=overrides, init=[first.output_dir])
        after = weights_of(run)
        assert all(value.isfinite().all() for value in after.values())
        assert bool(moved(before, after, layer)) == (name == "trained")
        assert moved(before, after, f"{HEARD}layer_weights")
        config = json.loads(Path(run.output_dir, "config.json").read_text())
        assert config["freeze_backbone"] == (name != "trained")
    features = voices.remove_columns("audio").add_column("input_features", [[[0.0] * 44]] * 8)
    with pytest.raises(InputError, match="freeze_backbone=false: the dataset holds features, which cannot train the"):
        finetune(features, args=options("none"), modality="audio", config_overrides=overrides, init=[run.output_dir])
    overrides = {"audio_config": {"freeze_backbone": False}}
    fusion = build_model("classification", "fusion", [first.output_dir], ["low", "high"], overrides).model
    assert fusion.train().audio_encoder.backbone.encoder.conv1.weight.requires_grad
