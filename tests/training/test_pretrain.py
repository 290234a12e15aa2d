import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModelForPreTraining

from av_emotion_hf import AVEmotionFeatureExtractor, AVEmotionImageProcessor, pretrain
from av_emotion_hf.data import ClipCollator, ClipReader, RunningStatistics
from av_emotion_hf.errors import InputError
from av_emotion_hf.training import PRESETS, hold_out_groups
from av_emotion_hf.training.pretraining import ReadClips


@pytest.mark.slow
@pytest.mark.parametrize(("modality", "size"), [("audio", 60), ("image", 6)])
def test_learns_to_fill_in_and_keeps_the_statistics(features, options, small, modality, size):
    run = options("model", epochs=6, learning_rate=1e-2)
    record = pretrain([features], [features], args=run, modality=modality, config_overrides=small[modality])
    losses = [entry["eval_loss"] for entry in record["history"] if "eval_loss" in entry]
    assert losses[-1] < 0.8 * losses[0]
    assert record["scores"]["validation_loss"] == pytest.approx(min(losses), rel=1e-4)
    assert json.loads((Path(run.output_dir) / "run.json").read_text())["scores"] == record["scores"]
    assert not (Path(run.output_dir) / "checkpoints").exists()
    statistics = json.loads((Path(run.output_dir) / "run.json").read_text())["statistics"]

    model = AutoModelForPreTraining.from_pretrained(run.output_dir)
    owner = model.audio_encoder.frontend if modality == "audio" else model.image_encoder
    column = "input_features" if modality == "audio" else "image_features"
    frames = np.concatenate([np.array(row[column]) for row in features])
    if modality == "image":
        np.testing.assert_allclose(owner.feature_mean, frames.mean(0), atol=1e-4)
        np.testing.assert_allclose(owner.feature_std, frames.std(0), atol=1e-4)
        assert statistics == {"frames": len(frames)}
    else:
        voiced = frames[:, owner.descriptor_names.index("voiced")] > 0.5
        for i, voiced_only in enumerate(owner.voiced_only):
            cells = frames[voiced, i] if voiced_only else frames[:, i]
            np.testing.assert_allclose(owner.feature_mean[i], cells.mean(), atol=1e-4)
        assert AutoFeatureExtractor.from_pretrained(run.output_dir).sampling_rate == 16000
        assert statistics == {"frames": len(frames), "share_of_voiced_frames": pytest.approx(voiced.mean(), abs=1e-4)}
        assert 0.1 < voiced.mean() < 0.95
    assert len(owner.feature_mean) == size


@pytest.mark.slow
@pytest.mark.parametrize("objective", [name for name in PRESETS if name != "distill"])
def test_the_report_tells_whether_it_learned(features, options, small, objective):
    run = options("model", epochs=1)
    config_overrides = small["audio"] | PRESETS[objective]
    record = pretrain([features], [features], args=run, modality="audio", config_overrides=config_overrides)
    config = AutoModelForPreTraining.from_pretrained(run.output_dir).config
    assert {name: getattr(config, name) for name in PRESETS[objective]} == PRESETS[objective]
    report = json.loads((Path(run.output_dir) / "run.json").read_text())["reconstruction"]
    assert report == record["reconstruction"]
    single, three, _, fifteen = report
    assert [row["span"] for row in report] == [1, 3, 7, 15]
    assert single["hidden_frames"] == 44  # a tenth of 12 to 16 frames: 1 of up to 14, 2 of more
    assert three["hidden_frames"] == 96 and fifteen["hidden_frames"] == 0
    assert single["corpus_mean"] == pytest.approx(1, abs=0.1)  # of features in standard deviations
    card = (Path(run.output_dir) / "README.md").read_text()
    errors = " | ".join(f"{single[name]:.3f}" for name in ("corpus_mean", "nearest_visible", "interpolation", "model"))
    assert f"| 1 | {errors} |" in card and "| 15 |" not in card
    assert f"Loss of the objective `{objective}`" in card
    # noise round one of two levels, both of which the neighbors tell
    assert single["nearest_visible"] > 1.2 * single["interpolation"] > 0


@pytest.mark.slow
def test_a_stream_trains_for_the_steps_asked_for(features, options, small):
    stream = features.to_iterable_dataset(num_shards=2)
    with pytest.raises(InputError, match="a stream has no known length: say how long to train with --max-steps"):
        pretrain([stream], [], args=options("a"), modality="audio", config_overrides=small["audio"])
    record = pretrain([stream], [], args=options("b", max_steps=11), modality="audio", config_overrides=small["audio"])
    assert record["steps"] == 11  # more than one pass of 8


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(features, options, small):
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run = options(name, epochs=1, seed=seed)
        pretrain([features], [], args=run, modality="audio", config_overrides=small["audio"])
        weights.append(AutoModelForPreTraining.from_pretrained(run.output_dir).reconstruction.weight)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.mark.slow
def test_goes_on_from_a_checkpoint_of_its_own(features, options, small):
    first = options("first", epochs=1)
    pretrain([features], [], args=first, modality="audio", config_overrides=small["audio"])
    # features of another scale: the statistics must come from the checkpoint, not from these
    shifted = features.map(lambda row: {"input_features": (np.array(row["input_features"]) + 100).tolist()})
    second = options("second", epochs=1)
    pretrain([shifted], [], args=second, modality="audio", init=[first.output_dir])
    means = [
        AutoModelForPreTraining.from_pretrained(run.output_dir).audio_encoder.frontend.feature_mean
        for run in (first, second)
    ]
    assert torch.equal(*means)


def test_a_folder_in_use_is_refused(features, options, small):
    run = options("model", epochs=1)
    pretrain([features], [], args=run, modality="audio", config_overrides=small["audio"])
    with pytest.raises(InputError, match="is not empty; choose another --out, or continue with --resume"):
        pretrain([features], [], args=run, modality="audio", config_overrides=small["audio"])
    with pytest.raises(InputError, match="holds no checkpoint to resume from"):
        pretrain([features], [], args=options("model", resume=True), modality="audio")


def test_corpora_must_hold_the_same_form(features, options, small):
    sounds = features.select_columns(["emotion"]).add_column("audio", [None] * len(features))
    with pytest.raises(InputError, match="extract all of them in the same way"):
        pretrain([features, sounds.add_column("face_coverage", [0.0] * 32)], [], args=options("a"), modality="audio")


@pytest.mark.slow
@pytest.mark.parametrize(("as_stream", "killed_at"), [(False, 13), (True, 6)])  # a stream: within its first pass
def test_a_killed_run_goes_on_to_the_same_weights(features, options, small, interrupt, as_stream, killed_at):
    corpus = features.to_iterable_dataset() if as_stream else features
    length = {"max_steps": 24} if as_stream else {"epochs": 3}
    fields = small["audio"] | {"num_hidden_layers": 2, "hidden_dropout": 0.5}

    def run(name, **changes):
        args = options(name, **length, **changes)
        return pretrain([corpus], [], args=args, modality="audio", config_overrides=fields)

    whole = run("whole")
    interrupt(lambda: run("killed"), killed_at)
    resumed = run("killed", resume=True)
    assert resumed["steps"] == whole["steps"] == 24
    first, second = (
        AutoModelForPreTraining.from_pretrained(options(name).output_dir).state_dict() for name in ("whole", "killed")
    )
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.slow
def test_both_processes_end_with_the_best_weights(features, tmp_path):
    """Each of them loads the kept epoch, and the score is of that one; the report is made and printed once."""
    features.to_parquet(tmp_path / "features.parquet")
    words = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "av_emotion_hf",
        "pretrain", tmp_path / "features.parquet", "--modality", "audio", "--group-column", "speaker", "--epochs", "2",
        "--batch-size", "2", "--config", '{"hidden_size": 8}', "--out", tmp_path / "model",
    ]  # fmt: skip
    run = subprocess.run([str(word) for word in words], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
    assert b"Could not locate the best model" not in run.stderr
    record = json.loads((tmp_path / "model" / "run.json").read_text())
    losses = [entry["eval_loss"] for entry in record["history"] if "eval_loss" in entry]
    assert record["scores"]["validation_loss"] == pytest.approx(min(losses), rel=1e-4)
    assert run.stdout.decode().count("error on hidden frames") == 1 and len(record["reconstruction"]) == 4


def test_a_run_without_a_checkpoint_yet_starts_over(features, options, small):
    run = options("begun", max_steps=4, resume=True)
    (Path(run.output_dir) / "checkpoints" / "partial").mkdir(parents=True)
    corpus = features.to_iterable_dataset()
    assert pretrain([corpus], [], args=run, modality="audio", config_overrides=small["audio"])["steps"] == 4


def test_the_log_has_frames_per_second_and_a_tracker_gets_it(features, options, small):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = options("model", max_steps=6, save_steps=3, report_to="tensorboard")
    record = pretrain(
        [features.to_iterable_dataset()], [], args=run, modality="audio", config_overrides=small["audio"]
    )
    rates = [entry["frames_per_second"] for entry in record["history"] if "loss" in entry]
    assert len(rates) == 6 and min(rates) > 0
    (folder,) = (Path(run.output_dir) / "runs").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    written = [event.value for event in events.Scalars("train/frames_per_second")]
    assert written == pytest.approx(rates)


def test_statistics_of_the_manifest_save_a_pass(features, options, small, monkeypatch):
    monkeypatch.setattr("av_emotion_hf.training.pretraining.estimate_statistics", lambda *_: pytest.fail("a pass"))
    frames = np.concatenate([np.array(row["image_features"]) for row in features])
    run = options("model", max_steps=1)
    pretrain(
        [features.to_iterable_dataset()], [], args=run, modality="image", config_overrides=small["image"],
        statistics=RunningStatistics(6).update(frames),
    )  # fmt: skip
    encoder = AutoModelForPreTraining.from_pretrained(run.output_dir).image_encoder
    np.testing.assert_allclose(encoder.feature_mean, frames.mean(0), atol=1e-6)


@pytest.mark.slow
def test_a_stream_of_clips_is_read_when_its_turn_has_come(clips, options, small):
    stream = clips.to_iterable_dataset(num_shards=2)
    run = options("model", max_steps=3, batch_size=2)
    record = pretrain([stream], [], args=run, modality="audio", config_overrides=small["audio"])
    assert record["steps"] == 3 and record["statistics"]["frames"] > 20
    (failure,) = record["failures"]
    assert "neither audio nor video" in failure["error"]


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_streamed_clips_give_the_batches_of_stored_inputs(clips, modality):
    """Although they are neither encoded nor decoded on the way; all bits are the same."""
    collate = ClipCollator(modality, AVEmotionFeatureExtractor(), AVEmotionImageProcessor(), {})
    reader = ClipReader(modality, detector="mtcnn", window=0.3)
    read = ReadClips(reader, modality)
    streamed = [row for clip in clips.select(range(3)) for row in read(clip)]
    stored = [row for clip in clips.select(range(3)) for row in reader.rows(clip)]
    assert len(streamed) == len(stored) > 3
    batch, expected = collate(streamed), collate(stored)
    assert batch.keys() == expected.keys() and all(torch.equal(batch[name], expected[name]) for name in batch)


def test_groups_are_held_out_in_each_dataset(features):
    datasets = [("java", features), ("java", features)]  # two folders of one name: both are learned from
    train, validation, groups = hold_out_groups(datasets, "speaker", 0.25, seed=0)
    assert len(train) == len(validation) == 2 and groups.keys() == {"java"}
    assert set(groups["java"]["train"]) | set(groups["java"]["validation"]) == {"0", "1", "2", "3"}
    for part, name in ((train[0], "train"), (validation[0], "validation")):
        assert sorted(set(part["speaker"])) == sorted(groups["java"][name])
    assert hold_out_groups(datasets[:1], "speaker", 0.0)[1] == []
