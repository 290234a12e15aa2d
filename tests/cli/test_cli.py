import io
import json

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value
from helpers.speech_encoders import WHISPER
from helpers.synthetic import gray_frames, voice, write_clip
from PIL import Image as PILImage
from transformers import BertConfig, ResNetConfig, WhisperConfig, WhisperModel
from typer.testing import CliRunner

from av_emotion_hf import cli
from av_emotion_hf.cli import console, inference, training

COMMANDS = (
    "predict",
    "faces",
    "extract",
    "train-expression",
    "pretrain",
    "reconstruct",
    "finetune",
    "combine",
    "evaluate",
    "benchmark",
    "export",
    "push",
    "doctor",
)


@pytest.fixture
def clip(tmp_path):
    return str(write_clip(tmp_path / "clips" / "voice.mp4", gray_frames([80] * 5), 10, voice(0.5, 150), 16_000))


@pytest.fixture(autouse=True)
def folder(tmp_path):
    (tmp_path / "clips").mkdir()
    return tmp_path / "clips"


@pytest.fixture(scope="module")
def no_speech_encoders(tmp_path_factory):
    """Folder of models that cannot become the backbone of a voice."""
    folder = tmp_path_factory.mktemp("models")
    BertConfig().save_pretrained(folder / "text")
    ResNetConfig().save_pretrained(folder / "vision")
    WHISPER.save_pretrained(folder / "empty")
    WhisperModel(WHISPER).save_pretrained(folder / "size")
    config = json.loads((folder / "size" / "config.json").read_text())
    (folder / "size" / "config.json").write_text(json.dumps(config | {"d_model": 32}))
    return folder


@pytest.fixture
def run(capsys, monkeypatch):
    """Function from words to exit status, standard output and standard error of the whole program."""

    def call(*words):
        monkeypatch.setattr("sys.argv", ["av-emotion", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
            raise SystemExit(0)
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return call


def test_help_is_a_table_of_contents():
    result = CliRunner().invoke(cli.app, ["--help"], env={"COLUMNS": "100"})
    assert result.exit_code == 0
    positions = [result.output.index(f" {command} ") for command in COMMANDS]
    assert positions == sorted(positions)
    for command in COMMANDS:
        assert CliRunner().invoke(cli.app, [command, "--help"]).exit_code == 0


def test_predict_with_the_checkpoint_of_the_package(run, clip, folder):
    (folder / "broken.mp4").write_bytes(b"")
    (folder / "notes.txt").write_text("not a clip, and not looked at")
    status, out, _ = run("predict", folder, "--json", "--detector", "mtcnn")
    broken, good = [json.loads(line) for line in out.splitlines()]
    assert status == 1  # the others went on
    assert broken["path"].endswith("broken.mp4") and "is empty" in broken["error"]
    facts = [
        "path",
        "emotion",
        "scores",
        "modalities",
        "duration",
        "face_coverage",
        "detector",
        "baseline",
        "checkpoint",
        "balanced",
        "person",
        "modality_shares",
    ]
    assert list(good) == facts and good["baseline"] is None and good["balanced"] is False and good["person"] is None
    assert good["path"] == clip and good["emotion"] in good["scores"] and good["modalities"] == ["audio"]
    status, out, _ = run("predict", clip, "--detector", "mtcnn")
    assert status == 0 and good["emotion"] in out and "0.5 s" in out and "baseline" not in out
    assert "balanced" not in out
    status, out, _ = run("predict", clip, "--detector", "mtcnn", "--baseline", clip)
    assert status == 0 and "baseline of 1 clip(s), 0.5 s)" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "{folder}/nothing.mp4"], "there is no such file; check the path"),
        (["predict", "{folder}"], "contains no clip"),
        (["predict", "{folder}/*.mov"], "matches no file"),
        (["predict", "{folder}/text.mp4"], "is a text file"),
        (["predict", "{folder}/text.mp4", "--checkpoint", "{folder}"], "is not a checkpoint, it has no config.json"),
        (["predict", "{folder}/text.mp4", "--detector", "mirror"], "there is no such face detector"),
        (["extract", "{folder}/nothing", "--out", "OUT"], "no dataset could be opened there"),
        (["extract", "ROWS", "--out", "OUT"], "the dataset has no audio"),
        (["extract", "ROWS", "--as", "features", "--out", "OUT"], "name its checkpoint with --init"),
        (["extract", "ROWS", "--as", "descriptors", "--out", "OUT"], "describes voices, not --modality both: add"),
        (
            ["extract", "ROWS", "--as", "functionals", "--modality", "audio", "--deltas", "--out", "OUT"],
            "--descriptors and --deltas are for --as descriptors, not for --as functionals",
        ),
        (["extract", "ROWS", "--as", "descriptors", "--modality", "audio", "--out", "OUT"], "ends in .parquet"),
        (["train-expression", "ROWS", "--split", "train", "--out", "OUT"], "has no split 'validation'"),
        (["pretrain", "ROWS", "--modality", "audio", "--out", "OUT"], "the dataset has no audio"),
        (["pretrain", "x", "--modality", "audio", "--out", "OUT", "--config", "{folder}/no.json"], "no such file"),
        (["pretrain", "x", "--modality", "audio", "--out", "OUT", "--config", "{{"], "is not JSON"),
        (
            ["finetune", "ROWS", "--modality", "audio", "--label-column", "mood", "--out", "OUT"],
            "column 'mood' is not in the dataset, which has emotion, speaker",
        ),
        (
            ["finetune", "ROWS", "--modality", "audio", "--test-groups", "a", "--out", "OUT"],
            "add --group-column",
        ),
        (
            ["finetune", "ROWS", "--modality", "audio", "--group-column", "speaker", "--test-groups", "z",
             "--out", "OUT"],
            "there is no group 'z'; the groups are a, b",
        ),
        (["predict", "ROWS", "--group-column", "person"], "column 'person' is not in the dataset"),
        (["predict", "ROWS", "--group-column", "speaker"], "the row holds no clip"),
        (["predict", "ROWS", "--baseline", "{folder}/*.mov"], "matches no file"),
        (
            ["finetune", "ROWS", "--modality", "audio", "--person-baseline", "0.5", "--out", "OUT"],
            "a person's baseline needs to know the persons: add --group-column",
        ),
        (["evaluate", "{folder}", "ROWS", "--person-baseline"], "needs to know the persons: add --group-column"),
        (["evaluate", "{folder}", "ROWS", "--baseline-clips", "3"], "add --person-baseline"),
        (["evaluate", "{folder}", "ROWS", "--balanced"], "need to know the groups: add --group-column"),
        (["predict", "ROWS", "--balanced"], "--balanced balances the clips of each person: add --group-column"),
        (
            ["finetune", "ROWS", "--modality", "audio", "--augment", '{{"echo": 0.5}}', "--out", "OUT"],
            "augmentation 'echo' is unknown; choose from speed, pitch",
        ),
        (["finetune", "ROWS", "--modality", "audio", "--augment", "0.5", "--out", "OUT"], "0.5: no such file"),
        (
            ["extract", "ROWS", "--as", "features", "--modality", "audio", "--augment", '{{"babble": 1}}',
             "--out", "OUT"],
            "augmentation 'babble' is for training batches, and these are single clips; choose from",
        ),
        (
            ["extract", "ROWS", "--modality", "audio", "--augment", '{{"noise": 1}}', "--out", "OUT"],
            "--augment makes copies of voices for --as features --modality audio, not for --as inputs",
        ),
        (
            ["extract", "ROWS", "--as", "features", "--modality", "audio", "--copies", "2", "--out", "OUT"],
            "--copies 2: are made by --augment",
        ),
        *(
            ([*verb, "ROWS", "--modality", "audio", "--speech-encoder", f"{{models}}/{name}", "--out", "OUT"], message)
            for verb in (["pretrain"], ["finetune"], ["extract", "--as", "features"])
            for name, message in (
                ("text", "/text: is a 'bert' model, and a speech encoder is one of whisper, wav2vec2, hubert, wavlm"),
                ("vision", "/vision: is a 'resnet' model, and a speech encoder is one of whisper"),
                ("size", "/size: its weights are of another size than its config.json says (encoder.conv1.bias: 16"),
                ("empty", "/empty: its weights cannot be read (Error no file named model.safetensors"),
                ("nothing", "/nothing: no checkpoint could be read there; give the Hub name or folder of a speech"),
            )
        ),
        (
            ["finetune", "ROWS", "--modality", "audio", "--speech-layers", "2", "--out", "OUT"],
            "--speech-layers 2: are those of --speech-encoder; add it, or leave them out",
        ),
        (
            ["extract", "ROWS", "--as", "features", "--modality", "image", "--speech-encoder", "x", "--out", "OUT"],
            "--speech-encoder x is for voices, not for --modality image",
        ),
        (
            ["finetune", "ROWS", "--modality", "audio", "--layer-decay", "1.5", "--out", "OUT"],
            "layer_decay=1.5: has to be above 0 and at most 1; use 0.9, for instance",
        ),
        (["evaluate", "{folder}", "ROWS"], "is not a checkpoint"),
        (["evaluate", "{folder}", "ROWS", "--modalities", "smell"], "--modalities 'smell' must be"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_status_2(run, folder, no_speech_encoders, words, message):
    (folder / "text.mp4").write_text("hello")
    (folder / "rows.csv").write_text("emotion,speaker\nsad,a\nhappy,b\n")
    if words[1] == "{folder}" and words[0] == "predict":
        (folder / "text.mp4").unlink()
    before = sorted(path.name for path in folder.iterdir())
    places = {"ROWS": folder / "rows.csv", "OUT": folder / "out"}
    words = [word.format(folder=folder, models=no_speech_encoders) for word in words]
    status, out, err = run(*(places.get(word, word) for word in words))
    lines = [line for line in err.splitlines() if line.startswith("av-emotion: ")]
    assert status == 2 and len(lines) == 1 and message in lines[0], (out, err)
    assert "Traceback" not in err
    assert sorted(path.name for path in folder.iterdir()) == before  # nothing written


@pytest.mark.slow
def test_pretrain_prints_the_errors_on_hidden_frames(run, folder, tmp_path):
    frames = [[[float(i % 3)] * 60 for i in range(20)] for _ in range(4)]
    corpus = Dataset.from_list([{"input_features": clip, "speaker": "abcd"[i]} for i, clip in enumerate(frames)])
    corpus.to_parquet(folder / "features.parquet")
    status, out, _ = run(
        "pretrain", folder / "features.parquet", "--modality", "audio", "--out", tmp_path / "voice", "--epochs", 1,
        "--config", '{"hidden_size": 8}', "--group-column", "speaker",
    )  # fmt: skip
    lines = out.splitlines()
    assert status == 0 and "error on hidden frames" in lines[1] and lines[2].split()[-2:] == ["interpolation", "model"]
    assert [line.split()[0] for line in lines[3:]] == ["1", "3", "7", "15"]


@pytest.mark.slow
def test_augmented_copies_go_from_extraction_to_a_classifier(run, folder, clip_files, tmp_path):
    rows = [f"{clip_files[0]},{emotion},{speaker}" for speaker in "abc" for emotion in ("sad", "happy")]
    (folder / "rows.csv").write_text("\n".join(["file,emotion,speaker", *rows]) + "\n")
    status, _, err = run(
        "extract", folder / "rows.csv", "--as", "features", "--modality", "audio", "--copies", 2, "--workers", 0,
        "--augment", '{"speed": 0.5, "noise": 1}', "--out", tmp_path / "shards",
    )  # fmt: skip
    assert status == 0, err
    (folder / "augment.json").write_text('{"time_mask": 0.5, "mixup": 0.5}')
    status, out, err = run(
        "finetune", tmp_path / "shards", "--modality", "audio", "--epochs", 1, "--config", '{"hidden_size": 8}',
        "--group-column", "speaker", "--validation-groups", "c", "--augment", folder / "augment.json",
        "--out", tmp_path / "voice", "--json",
    )  # fmt: skip
    assert status == 0, err
    settings = json.loads(out)["settings"]
    assert settings["augment"] == {"time_mask": 0.5, "mixup": 0.5}
    assert settings["clips"] == {"train": {"happy": 6, "sad": 6}, "validation": {"happy": 1, "sad": 1}}
    page = tmp_path / "pages" / "scores.html"
    words = ("evaluate", tmp_path / "voice", tmp_path / "shards", "--group-column", "speaker", "--report", page)
    status, out, err = run(*words, "--json")
    scores = json.loads(out)
    assert status == 0 and scores["clips"] == 6, err
    assert {name: one["clips"] for name, one in scores["groups"].items()} == {"a": 2, "b": 2, "c": 2}
    assert sum(one["clips"] for one in scores["reliability"]) == 6 and 0 <= scores["ece"] <= 1
    assert scores["coverage"][0] == {"threshold": 0.0, "coverage": 1.0, "accuracy": scores["war"]}
    assert f"{100 * scores['uar']:.1f} %" in page.read_text(encoding="utf-8")
    status, _, err = run("evaluate", tmp_path / "voice", tmp_path / "shards", "--report", tmp_path)
    assert status == 2 and "is a folder" in err


def test_a_wrong_configuration_field_is_named(run, folder):
    (folder / "rows.csv").write_text("emotion,file\nsad,a.wav\n")
    status, _, err = run(
        "pretrain",
        folder / "rows.csv",
        "--modality",
        "audio",
        "--out",
        folder / "out",
        "--config",
        '{"rnn_type": "cnn"}',
    )
    assert status == 2 and "rnn_type='cnn' is not one of" in err


@pytest.mark.slow
def test_the_whole_chain_on_clips_in_a_folder(run, folder, tmp_path, paste_faces):
    """Folder of clips with a table of labels: extract, pretrain, finetune, evaluate, predict."""
    rows = ["file_name,emotion,speaker"]
    for i in range(8):
        hertz, label = (120, "low") if i % 2 else (330, "high")
        write_clip(folder / f"{i}.mp4", [paste_faces((100 + i, 40, 140))] * 4, 10, voice(0.4, hertz), 16_000)
        rows.append(f"{i}.mp4,{label},{'abcd'[i // 2]}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    inputs, small = tmp_path / "inputs", '{"hidden_size": 8, "num_hidden_layers": 1}'

    def call(*words):
        status, out, err = run(*words, "--json")
        assert status == 0, err
        return json.loads(out)

    manifest = call("extract", folder, "--out", inputs, "--modality", "audio")
    assert manifest["clips"] == 8 and manifest["failures"] == []
    record = call(
        "pretrain", inputs, "--modality", "audio", "--objective", "hidden", "--out", tmp_path / "voice", "--epochs", 1,
        "--config", small, "--group-column", "speaker", "--batch-size", 4,
    )  # fmt: skip
    assert record["settings"]["config"]["mask_time_length"] == 7 and record["reconstruction"][0]["hidden_frames"] == 4
    record = call(
        "finetune", inputs, "--modality", "audio", "--init", tmp_path / "voice", "--out", tmp_path / "tuned",
        "--group-column", "speaker", "--test-groups", "d", "--epochs", 12, "--batch-size", 4, "--learning-rate", 0.03,
    )  # fmt: skip
    assert record["settings"]["groups"]["test"] == ["d"] and record["settings"]["init"] == ["voice"]
    own = call(
        "finetune", inputs, "--modality", "audio", "--init", tmp_path / "voice", "--out", tmp_path / "self",
        "--group-column", "speaker", "--test-groups", "d", "--validation-groups", "c", "--epochs", 2,
        "--pseudo-labels", inputs, "--pseudo-labels", folder, "--pseudo-threshold", 0, "--pseudo-fraction", 1,
    )["self_training"]  # fmt: skip
    assert own["pool"] == {"inputs": 4, "clips": 4} and (own["threshold"], own["fraction"]) == (0, 1)
    scores = call("evaluate", tmp_path / "tuned", inputs, "--group-column", "speaker", "--groups", "d")
    assert scores["clips"] == 2 and scores["uar"] == 1 and scores["protocol"]["groups"] == ["d"]
    assert scores["protocol"]["seen_in_training"] == []
    scores = call("evaluate", tmp_path / "tuned", inputs, "--group-column", "speaker", "--groups", "a,d")
    assert scores["protocol"]["seen_in_training"] == ["a"]  # a score on these says little
    by_person = ("--group-column", "speaker", "--person-baseline")
    scores = call("evaluate", tmp_path / "tuned", inputs, *by_person, "--baseline-clips", 1, "--seed", 3)
    assert scores["protocol"]["person_baseline"]["mean_clips"] == 1 and scores["clips"] == 8
    _, out, _ = run("evaluate", tmp_path / "tuned", inputs, *by_person)
    assert "8 clips, with the person's baseline" in out and "balanced" not in out
    scores = call("evaluate", tmp_path / "tuned", inputs, *by_person, "--balanced")
    assert scores["protocol"]["balanced"] == {"groups": 4, "mean_clips": 2.0, "prior_clips": 10.0}
    _, out, _ = run("evaluate", tmp_path / "tuned", inputs, "--group-column", "speaker", "--balanced")
    assert "8 clips, balanced over each group" in out
    record = call(
        "finetune", inputs, "--modality", "audio", "--init", tmp_path / "voice", "--out", tmp_path / "person",
        "--group-column", "speaker", "--epochs", 1, "--batch-size", 4, "--person-baseline", 0.5,
    )  # fmt: skip
    assert record["settings"]["person_baseline"] == 0.5 and "validation_with_baseline_uar" in record["scores"]
    for name, emotion in (("6.mp4", "high"), ("7.mp4", "low")):
        prediction = call("predict", folder / name, "--checkpoint", tmp_path / "tuned")
        assert prediction["emotion"] == emotion and prediction["modalities"] == ["audio"]


@pytest.mark.slow
def test_a_small_voice_learns_what_a_speech_encoder_hears(run, folder, tmp_path):
    config = WhisperConfig(
        d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=32, vocab_size=10, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1,
    )  # fmt: skip
    WhisperModel(config).save_pretrained(tmp_path / "listener")
    for i in range(4):
        write_clip(folder / f"{i}.wav", sound=voice(0.4, 100 + 50 * i), rate=16_000, codecs=(None, "pcm_s16le"))
    shards = tmp_path / "shards"
    words = ("extract", folder, "--modality", "audio", "--as", "features", "--out")
    listen = ("--speech-encoder", tmp_path / "listener", "--speech-layers", 1)
    status, _, err = run(*words, tmp_path / "deaf")
    assert status == 0, err
    status, _, err = run(*words, shards, *listen)
    assert status == 0, err
    learn = ("--modality", "audio", "--objective", "distill", "--config", '{"hidden_size": 8}', "--epochs", 1)
    status, _, err = run("pretrain", tmp_path / "deaf", *learn, "--out", tmp_path / "none")
    assert status == 2 and "needs frames of a speech encoder" in err and "--speech-encoder" in err
    status, out, err = run("pretrain", shards, *learn, "--group-column", "clip", "--out", tmp_path / "small")
    assert status == 0, err
    assert "error of the predicted states, in variances of the dataset: " in out
    record = json.loads((tmp_path / "small" / "run.json").read_text())
    assert record["settings"]["extracted_with"] == ["listener (1 layers)"]
    assert record["settings"]["config"] == {
        "objective": "distill", "mask_time_prob": 0.1, "mask_time_length": 7, "hidden_size": 8, "teacher_size": 16,
    }  # fmt: skip
    assert (
        "| speech encoder that it learned from | listener (1 layers) |"
        in (tmp_path / "small" / "README.md").read_text()
    )
    status, _, err = run("reconstruct", tmp_path / "small", folder / "0.wav", "--out", tmp_path / "image.png")
    assert status == 2 and "has no frames to reconstruct" in err


def test_tables_of_the_voices_in_a_folder(run, clip, folder, tmp_path):
    write_clip(folder / "silent.mp4", gray_frames([80] * 5), 10)
    status, out, err = run(
        "extract", folder, "--modality", "audio", "--as", "descriptors", "--descriptors", "loudness, voiced",
        "--out", tmp_path / "voice.csv",
    )  # fmt: skip
    assert status == 0 and out == f"{tmp_path / 'voice.csv'}: 1 clips, 0.0 minutes\n"
    assert "skipped silent.mp4: " in err and "has no audio" in err
    header, first, *rows = (tmp_path / "voice.csv").read_text().splitlines()
    assert header == '"clip","time","loudness","voiced"' and first.startswith('"voice.mp4",0,')
    assert len(rows) == pytest.approx(49, abs=3)
    status, out, _ = run(
        "extract", clip, "--modality", "audio", "--as", "functionals", "--out", tmp_path / "one.parquet", "--json"
    )
    summary = json.loads(out)
    assert status == 0 and summary["rows"] == summary["clips"] == 1
    assert summary["settings"] == {"dataset": "voice.mp4", "as": "functionals"}


def test_one_of_several_processes_answers(capsys, monkeypatch):
    for rank, expected in (("0", "done\n"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        console.report({}, False, "done")
        assert capsys.readouterr().out == expected


def test_a_line_tells_what_self_training_gained():
    own = {"pool": {"a": 6, "b": 4}, "kept": {"x": 2, "y": 2}, "validation_uar": {"labels": 0.5, "pseudo-labels": 0.6}}
    record = {"scores": {"validation_uar": 0.6}, "settings": {}, "self_training": own}
    assert training._scores_line(record) == (
        "validation uar 0.600\n4 of 10 clips got pseudo-labels; UAR of labels 0.500; of pseudo-labels 0.600"
    )


def test_scores_say_over_which_classes_they_are():
    result = {"uar": 1.0, "war": 1.0, "macro_f1": 1.0, "clips": 4, "labels": ["a", "b", "c"]}
    result["protocol"] = {"person_baseline": None, "balanced": None, "votes": None}
    whole = inference._scores_line(result | {"not_tested": [], "no_answer": {}})
    assert whole == "UAR 1.000  WAR 1.000  macro-F1 1.000  4 clips"
    part = inference._scores_line(result | {"not_tested": ["b", "c"], "no_answer": {"a": 3}})
    assert part == (
        f"over 1 of 3 classes (no clip of b, c): {whole}, 3 with neither audio nor a face, which count as wrong"
    )
    result["protocol"]["votes"] = {"left_out": {"with a tie": 2, "without votes": 3}}
    assert inference._scores_line(result | {"not_tested": [], "no_answer": {}}) == (
        f"{whole} with a majority of votes, 5 left out"
    )


@pytest.fixture
def voted(tmp_path):
    """Folder of faces with ten votes each, for `happiness` and `sad` or for nothing."""
    features = {"image": Image(decode=False)} | dict.fromkeys(("happiness", "sad", "unknown"), Value("int8"))
    generator = np.random.default_rng(0)
    rows = []
    for number in range(12):
        buffer = io.BytesIO()
        PILImage.fromarray(generator.integers(0, 256, (24, 24), dtype=np.uint8)).save(buffer, format="PNG")
        counts = [(8, 1, 1), (2, 8, 0), (5, 5, 0), (1, 1, 8)][number % 4]
        rows.append(
            {"image": {"bytes": buffer.getvalue(), "path": None}} | dict(zip(list(features)[1:], counts, strict=True))
        )
    table = Dataset.from_list(rows, features=Features(features))
    for split in ("train", "validation", "test"):
        table.to_parquet(str(tmp_path / "voted" / f"{split}-00000-of-00001.parquet"))
    return tmp_path / "voted"


@pytest.mark.slow
def test_votes_from_training_to_scores(run, voted, tmp_path, caplog):
    votes = ("--vote-columns", "sad,happy=happiness", "--ignored-votes", "unknown", "--min-votes", 2)
    network = '{"embedding_size": 8, "hidden_sizes": [8, 6], "depths": [1, 1]}'
    status, out, err = run(
        "train-expression", voted, "--out", tmp_path / "faces", "--max-steps", 2, "--image-size", 32, "--config",
        network, "--augment", '{"blur": 0.5, "hide": 0}', *votes,
    )  # fmt: skip
    assert status == 0, err
    assert "left out 6 of 12 validation rows: 3 won by ignored votes, 3 without a majority" in caplog.text
    settings = json.loads((tmp_path / "faces" / "run.json").read_text())["settings"]
    assert settings["votes"]["left_out"]["train"] == {"without votes": 0, "won by ignored votes": 3}
    assert settings["labels"] == ["sad", "happy"] and settings["pictures"]["validation"] == {"sad": 3, "happy": 3}
    assert settings["augment"] == {"mirror": 0.5, "shift": 1.0, "scale": 1.0, "rotate": 1.0, "blur": 0.5}
    words = ("evaluate", tmp_path / "faces", voted, "--split", "test", *votes)
    status, out, _ = run(*words)
    assert status == 0 and "6 clips with a majority of votes, 6 left out" in out
    result = json.loads(run(*words, "--json")[1])
    assert np.sum(result["confusion_matrix"], axis=1).tolist() == [3, 3]
    assert result["protocol"]["votes"]["columns"] == {"sad": "sad", "happy": "happiness"}
    status, _, err = run("evaluate", tmp_path / "faces", voted, "--split", "test", "--vote-columns", "sad,happiness")
    assert status == 2 and "votes for 'happiness', which is not among the model's classes sad, happy" in err
