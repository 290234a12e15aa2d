import json
import os

import numpy as np
import pytest
from helpers.synthetic import voice, write_clip
from typer.testing import CliRunner

from av_emotion_hf import InputError, cli

VOICE = ["--checkpoint", "av-emotion-voice-small", "--workers", "0"]


@pytest.fixture
def talk(tmp_path):
    return str(write_clip(tmp_path / "talk.wav", sound=voice(3, 150), rate=16_000, codecs=("", "pcm_s16le")))


def run(*words, code=0):
    result = CliRunner().invoke(cli.app, ["timeline", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_a_clip_becomes_files(talk, tmp_path):
    out = tmp_path / "out"
    found = json.loads(run(talk, "--out", out, *VOICE, "--formats", "csv,vtt", "--json").stdout.splitlines()[-1])
    assert found["files"] == {name: str(out / f"talk.{name}") for name in ("csv", "vtt", "json")}
    assert not found["was_done"] and not found["is_empty"]
    line = run(talk, "--out", out, *VOICE, "--formats", "csv,vtt").stdout
    assert line == f"{talk}\twas done: csv, json, vtt in {out}\n"


def test_a_folder_has_an_overview_and_names_what_failed(talk, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF nothing")
    write_clip(tmp_path / "no.wav", sound=np.zeros((1, 16_000), np.float32), codecs=("", "pcm_s16le"), rate=16_000)
    out = tmp_path / "out"
    result = run(tmp_path, "--out", out, *VOICE, "--formats", "html", code=1)
    assert "no.wav\twritten: html, json" in result.stdout
    assert "no emotion: neither audio nor a face was found" in result.stdout
    assert result.stderr.count("broken.wav") == 1 and f"{out}/index.html\tall clips" in result.stdout
    assert sorted(os.listdir(out)) == ["index.html", "no.html", "no.json", "summary.csv", "talk.html", "talk.json"]


def test_a_figure(talk, tmp_path):
    pytest.importorskip("matplotlib")
    run(talk, "--out", tmp_path / "out", *VOICE, "--formats", "csv", "--plot", tmp_path / "talk.png")
    assert (tmp_path / "talk.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--formats", "xlsx"], "format 'xlsx' is unknown"),
        (["--hop", "9"], "hop=9: is longer than the window of 4 s"),
        (["--segments", "gone.rttm"], "gone.rttm"),
        (["--segments", "turns.docx"], "turns.docx: segments are read from files that end in"),
        (["--person", "person-2"], "hears voices and sees nobody"),
        (["--plot", "."], "."),
    ],
)
def test_a_mistake_is_one_line(talk, tmp_path, words, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        result = run(talk, "--out", "out", *VOICE, *words, code=2)
        found = result.stderr.splitlines()[-1]
    except InputError as error:
        found = str(error)
    assert message in found and "\n" not in found
    assert not os.path.isdir("out") or not os.listdir("out")


def test_an_out_that_is_a_file_is_told(talk, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="out: is a file; choose a folder for --out"):
        run(talk, "--out", tmp_path / "out", *VOICE)
