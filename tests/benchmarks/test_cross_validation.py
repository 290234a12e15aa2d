import json
import statistics

import numpy as np
import pytest
import soundfile

from av_emotion_hf import (
    AVEmotionAudioForSequenceClassification,
    AVEmotionFeatureExtractor,
    EmotionTrainingArguments,
    InputError,
    finetune_benchmark,
    open_benchmark,
    score_benchmark,
)
from av_emotion_hf.benchmarks import cross_validation
from av_emotion_hf.cli import main

LETTERS = {"angry": "a", "sad": "sa", "disgust": "d"}
PITCH = {"angry": 250, "sad": 120, "disgust": 180}
SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_mel_bins": 8}


@pytest.fixture
def root(tmp_path):
    """SAVEE with three speakers of four, who say three emotions in two sentences."""
    for speaker, shift in (("DC", 0), ("JE", 5), ("JK", 10)):
        folder = tmp_path / "savee" / "AudioData" / speaker
        folder.mkdir(parents=True)
        for emotion, letter in LETTERS.items():
            for sentence in (1, 2):
                time = np.arange(4800) / 16000
                sound = 0.2 * np.sign(np.sin(2 * np.pi * (PITCH[emotion] + shift + sentence) * time))
                soundfile.write(folder / f"{letter}{sentence:02}.wav", sound, 16000)
    return tmp_path / "savee"


@pytest.fixture
def checkpoint(audio_config, tmp_path):
    """A classifier of angry, happy and sad, with random weights."""
    folder = tmp_path / "voice"
    AVEmotionAudioForSequenceClassification(audio_config).save_pretrained(folder)
    AVEmotionFeatureExtractor().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def run(capsys, monkeypatch):
    """Function from words to exit status, standard output and standard error of the program."""

    def call(*words):
        monkeypatch.setattr("sys.argv", ["av-emotion", "benchmark", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
            raise SystemExit(0)
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture
def tune(root, tmp_path):
    """Function from settings to the record of a fine-tuning in each fold."""

    def call(learning_rate=1e-3, **settings):
        args = EmotionTrainingArguments(
            str(tmp_path / "work"), num_train_epochs=1, per_device_train_batch_size=8, cpu_threads=1,
            learning_rate=learning_rate, compute_on="cpu",
        )  # fmt: skip
        benchmark = open_benchmark("savee", root, "audio")
        return finetune_benchmark(benchmark, args=args, modality="audio", **settings)

    return call


@pytest.mark.slow
def test_a_checkpoint_is_scored_in_each_fold(root, checkpoint, tmp_path, caplog):
    out = tmp_path / "scores.json"
    record = score_benchmark(checkpoint, open_benchmark("savee", root), out=str(out), device="cpu")
    assert out.read_text().count("\n") == 1 and json.loads(out.read_text()) == record
    assert record["left_out"] == {"disgust": 6} and record["clips"] == 12 and record["published_clips"] == 480
    assert "left out, since voice does not know the class: 6 clips of disgust" in caplog.text
    assert list(record["folds"]) == ["DC", "JE", "JK"] and record["untested_folds"] == ["KL"]
    assert "SAVEE: not scored, since there is no clip to test: fold KL" in caplog.text
    for fold, scores in record["folds"].items():
        confusion = np.array(scores["confusion_matrix"])
        assert scores["test"] == [fold] and scores["clips"] == confusion.sum() == 4
        assert scores["war"] == pytest.approx(np.trace(confusion) / 4) and scores["not_tested"] == ["happy"]
    for name in ("uar", "war", "macro_f1"):
        values = [scores[name] for scores in record["folds"].values()]
        assert record["mean"][name] == pytest.approx(statistics.mean(values))
        assert record["deviation"][name] == pytest.approx(statistics.stdev(values))
    assert record["checkpoint"] == "voice" and record["modalities"] == ["audio"] and record["is_speaker_disjoint"]


def test_a_checkpoint_that_does_not_fit_is_named(root, checkpoint, audio_config, tmp_path):
    benchmark = open_benchmark("savee", root)
    with pytest.raises(InputError, match="is a model for --modality audio, not fusion; leave --modality out"):
        score_benchmark(checkpoint, benchmark, modality="fusion")
    audio_config.id2label = {0: "joy", 1: "grief", 2: "calm"}
    AVEmotionAudioForSequenceClassification(audio_config).save_pretrained(tmp_path / "joy")
    with pytest.raises(InputError, match=r"joy: knows calm, grief, joy, none of the classes of SAVEE \(angry, dis"):
        score_benchmark(str(tmp_path / "joy"), benchmark)


@pytest.mark.slow
def test_a_model_is_trained_in_each_fold_and_finished_folds_are_kept(tune, tmp_path, monkeypatch, caplog):
    finetune, tested = cross_validation.finetune, []

    def interrupted(*args, **kwargs):
        if len(tested) == 2:
            raise KeyboardInterrupt
        tested.append(args[1].test)
        return finetune(*args, **kwargs)

    monkeypatch.setattr(cross_validation, "finetune", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(config_overrides=SMALL)
    assert tested == [("DC",), ("JE",)]
    tested.clear()
    record = tune(config_overrides=SMALL, out=str(tmp_path / "record.json"))
    assert tested == [("JK",)] and json.loads((tmp_path / "record.json").read_text()) == record
    assert record["clips"] == 18 and record["left_out"] == {} and len(record["labels"]) == 7
    for fold, scores in record["folds"].items():
        folder = tmp_path / "work" / f"fold-{fold}"
        trained = json.loads((folder / "run.json").read_text())["settings"]
        groups = trained["groups"]
        assert groups["test"] == scores["test"] == [fold] and groups["validation"] == scores["validation"]
        assert sorted(name for part in groups.values() for name in part) == ["DC", "JE", "JK"]
        assert trained["fold"] == fold and trained["dataset"] == "SAVEE"
        written = json.loads((folder / "scores.json").read_text())
        assert written["protocol"]["groups"] == [fold] and written["uar"] == scores["uar"]
    assert record["finetuned"]["config_overrides"] == SMALL and 0 <= record["folds"]["DC"]["validation_uar"] <= 1
    with pytest.raises(InputError, match=r"work: its folds were trained with learning_rate 0.001, not 0.01; choose"):
        tune(config_overrides=SMALL, learning_rate=1e-2)


@pytest.mark.slow
def test_the_command_scores_and_prints_a_table(run, root, checkpoint, tmp_path):
    out = tmp_path / "scores.json"
    status, printed, err = run(
        "savee", "--root", root, "--checkpoint", checkpoint, "--modality", "audio", "--json", out, "--device", "cpu"
    )
    record = json.loads(out.read_text())
    assert status == 0, err
    lines = printed.splitlines()
    assert lines[0] == "savee: leave one speaker out, Haq and Jackson 2009; audio" and len(lines) == 7
    assert lines[1].split() == ["fold", "clips", "UAR", "%", "WAR", "%", "macro-F1", "%"]
    assert lines[2].split()[:3] == ["DC", "4", f"{100 * record['folds']['DC']['uar']:.1f}"]
    assert lines[5].split() == ["mean", "12", *(f"{100 * value:.1f}" for value in record["mean"].values())]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--root", "{root}/nowhere"], "there is no such folder; give the one that holds SAVEE"),
        (["--root", "{root}", "--work", "{root}/w"], "--work is for training: add --finetune, or leave it out"),
        (["--root", "{root}", "--config", "{{}}"], "--config is for training: add --finetune, or leave it out"),
        (["--root", "{root}", "--finetune"], "--finetune needs --work and --modality; add --work DIR --modality"),
        (["--root", "{root}", "--finetune", "--checkpoint", "x"], "starts from --init, not from --checkpoint"),
        (["--root", "{root}", "--json", "{root}"], "is a folder; choose a file"),
        (
            ["--root", "{root}", "--finetune", "--modality", "audio", "--work", "{root}/w", "--init", "{checkpoint}",
             "--config", '{{"hidden_size": 16}}', "--device", "cpu"],
            "its weights do not fit into the model (size mismatch for ",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(run, root, checkpoint, words, message):
    status, out, err = run("savee", *(word.format(root=root, checkpoint=checkpoint) for word in words))
    assert status == 2 and not out
    (line,) = [line for line in err.splitlines() if line.startswith("av-emotion: ")]
    assert message in line and "Traceback" not in err
