import json

import pytest
from synthetic import grey_frames, voice, write_clip
from typer.testing import CliRunner

from av_emotion_hf import cli
from av_emotion_hf.errors import InputError

VERBS = ("predict", "extract", "train-expression", "pretrain", "finetune", "evaluate")


@pytest.fixture
def clip(tmp_path):
    return str(write_clip(tmp_path / "clips" / "voice.mp4", grey_frames([80] * 5), 10, voice(0.5, 150), 16_000))


@pytest.fixture(autouse=True)
def folder(tmp_path):
    (tmp_path / "clips").mkdir()
    return tmp_path / "clips"


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
    positions = [result.output.index(f" {verb} ") for verb in VERBS]
    assert positions == sorted(positions)
    for verb in VERBS:
        assert CliRunner().invoke(cli.app, [verb, "--help"]).exit_code == 0


def test_predict_with_the_checkpoint_of_the_package(run, clip, folder):
    (folder / "broken.mp4").write_bytes(b"")
    (folder / "notes.txt").write_text("not a clip, and not looked at")
    status, out, _ = run("predict", folder, "--json", "--detector", "cascade")
    broken, good = [json.loads(line) for line in out.splitlines()]
    assert status == 1  # the others went on
    assert broken["path"].endswith("broken.mp4") and "is empty" in broken["error"]
    assert list(good) == ["path", "emotion", "scores", "modalities", "duration", "face_coverage", "detector"]
    assert good["path"] == clip and good["emotion"] in good["scores"] and good["modalities"] == ["audio"]
    status, out, _ = run("predict", clip, "--detector", "cascade")
    assert status == 0 and good["emotion"] in out and "0.5 s" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "{folder}/nothing.mp4"], "there is no such file; check the path"),
        (["predict", "{folder}"], "holds no clip"),
        (["predict", "{folder}/*.mov"], "matches no file"),
        (["predict", "{folder}/text.mp4"], "is a text file"),
        (["predict", "{folder}/text.mp4", "--checkpoint", "{folder}"], "is not a checkpoint, it has no config.json"),
        (["predict", "{folder}/text.mp4", "--detector", "mirror"], "there is no face detector 'mirror'"),
        (["extract", "{folder}/nothing", "--out", "{folder}/out"], "no corpus could be opened there"),
        (["extract", "{folder}/rows.csv", "--out", "{folder}/out"], "the corpus has no audio"),
        (["extract", "{folder}/rows.csv", "--as", "features", "--out", "{folder}/out"], "name its checkpoint with --init"),
        (["train-expression", "{folder}/rows.csv", "--split", "train", "--out", "{folder}/out"], "has no split 'validation'"),
        (["pretrain", "{folder}/rows.csv", "--modality", "audio", "--out", "{folder}/out"], "the corpus has no audio"),
        (["pretrain", "x", "--modality", "audio", "--out", "{folder}/out", "--config", "{folder}/no.json"], "no such file"),
        (["pretrain", "x", "--modality", "audio", "--out", "{folder}/out", "--config", "{{"], "is not JSON"),
        (
            ["finetune", "{folder}/rows.csv", "--modality", "audio", "--label-column", "mood", "--out", "{folder}/out"],
            "column 'mood' is not in the corpus, which has emotion, speaker",
        ),
        (
            ["finetune", "{folder}/rows.csv", "--modality", "audio", "--test-groups", "a", "--out", "{folder}/out"],
            "add --group-column",
        ),
        (
            ["finetune", "{folder}/rows.csv", "--modality", "audio", "--group-column", "speaker", "--test-groups", "z",
             "--out", "{folder}/out"],
            "there is no group 'z'; the groups are a, b",
        ),
        (["evaluate", "{folder}", "{folder}/rows.csv"], "is not a checkpoint"),
        (["evaluate", "{folder}", "{folder}/rows.csv", "--modalities", "smell"], "--modalities 'smell' must be"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_status_2(run, folder, words, message):
    (folder / "text.mp4").write_text("hello")
    (folder / "rows.csv").write_text("emotion,speaker\nsad,a\nhappy,b\n")
    if words[1] == "{folder}" and words[0] == "predict":
        (folder / "text.mp4").unlink()
    before = sorted(path.name for path in folder.iterdir())
    status, out, err = run(*(word.format(folder=folder) for word in words))
    lines = [line for line in err.splitlines() if line.startswith("av-emotion: ")]
    assert status == 2 and len(lines) == 1 and message in lines[0], (out, err)
    assert "Traceback" not in err
    assert sorted(path.name for path in folder.iterdir()) == before  # nothing written


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


def test_paths_are_expanded_in_order(folder):
    for name in ("b.MP4", "a.wav", "c.txt"):
        (folder / name).touch()
    assert cli.expand_paths([str(folder)]) == [str(folder / "a.wav"), str(folder / "b.MP4")]
    assert cli.expand_paths([str(folder / "*.wav"), "x.mp4"]) == [str(folder / "a.wav"), "x.mp4"]
    with pytest.raises(InputError, match="matches no file"):
        cli.expand_paths([str(folder / "*.avi")])
