import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from helpers.synthetic import voice, write_clip

from av_emotion_hf import cli
from av_emotion_hf.checkpoints import DEFAULT_CHECKPOINT
from av_emotion_hf.cli import console
from av_emotion_hf.errors import InputError


@pytest.fixture
def failing(monkeypatch, capsys):
    """Function that runs the command line with a command that raises: exit status, standard output and error."""

    def call(error):
        def command():
            raise error

        app = typer.Typer(pretty_exceptions_enable=False)
        app.command()(command)
        monkeypatch.setattr(cli, "app", app)
        monkeypatch.setattr("sys.argv", ["av-emotion"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, *capsys.readouterr()

    return call


def test_a_result_that_cannot_be_written_is_shown(capsys):
    def run(fails):
        print("of a library")
        if fails:
            raise InputError("scores.json: cannot be written", {"uar": 0.5})
        return {"uar": 0.7}

    shown = []
    console.show_outcome(shown.append, run, False)
    with pytest.raises(InputError, match="scores"):
        console.show_outcome(shown.append, run, True)
    assert shown == [{"uar": 0.7}, {"uar": 0.5}]
    assert capsys.readouterr().out == ""

    def mistaken():
        raise InputError("no such file")

    with pytest.raises(InputError, match="no such file"):
        console.show_outcome(shown.append, mistaken)
    assert len(shown) == 2


def test_a_full_standard_output_is_named(monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(typer, "echo", full)
    with pytest.raises(InputError, match=r"standard output: cannot be written \(No space left on device\); free some"):
        console.report({}, True, "")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.EDQUOT, "x", "cache/rows.arrow"),
            "cache/rows.arrow: Disk quota exceeded; free some of your quota",
        ),
        (
            OSError(errno.ENOSPC, "x"),
            "a file could not be written, maybe in a cache (HF_HOME)",
        ),
        (OSError(errno.EROFS, "x", "a\nb"), "a\\nb: Read-only file system; choose a folder that is not read-only"),
    ],
)
def test_a_disk_that_is_full_anywhere_is_one_line(failing, error, line):
    status, out, err = failing(error)
    assert (status, out) == (2, "") and err.startswith(f"av-emotion: {line}") and err.count("\n") == 1


def test_another_error_has_its_traceback(failing):
    with pytest.raises(KeyError):
        failing(KeyError("x"))


def test_a_pipe_that_nobody_reads_ends_quietly(failing, monkeypatch):
    monkeypatch.setattr("sys.stdout", sys.stdout)  # typer replaces them
    monkeypatch.setattr("sys.stderr", sys.stderr)
    status, out, err = failing(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert (status, out, err) == (1, "", "")


@pytest.mark.slow
def test_scores_that_find_no_room_are_printed(tmp_path):
    pytest.importorskip("resource")  # not on Windows
    clips = tmp_path / "clips"
    for emotion in ("happy", "sad"):
        (clips / emotion).mkdir(parents=True)
        write_clip(clips / emotion / "voice.wav", sound=voice(0.5, 150))
    words = [
        sys.executable, Path(__file__).with_name("limited_evaluation.py"), "evaluate", DEFAULT_CHECKPOINT, clips,
        "--modalities", "audio", "--out", tmp_path / "scores.json", "--json",
    ]  # fmt: skip
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    scores = json.loads(done.stdout)
    assert scores["clips"] == 2 and scores["recalls"].keys() >= {"happy", "sad"}
    assert done.stderr.splitlines()[-1].startswith(f"av-emotion: {tmp_path}/scores.json: cannot be written (File too")
    assert "Traceback" not in done.stderr and [path.name for path in tmp_path.iterdir()] == ["clips"]
