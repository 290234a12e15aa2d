import json

import pytest
from typer.testing import CliRunner

from av_emotion_hf import cli
from av_emotion_hf.inference import doctor
from av_emotion_hf.inference.doctor import Finding

FINE = Finding("python", "ok", "3.13.1")
MISSING = Finding("extra app", "note", "gradio is not installed", "pip install 'av-emotion-hf[app]'")
BROKEN = Finding("torch", "fail", "cannot be loaded (no libtorch)", "pip install torch", {"size": 1})


@pytest.fixture
def call(monkeypatch):
    """Function from findings and words to exit status and standard output."""

    def run(findings, *words):
        monkeypatch.setattr(doctor, "examine", lambda clip: iter(findings))
        result = CliRunner().invoke(cli.app, ["doctor", *words])
        return result.exit_code, result.stdout

    return run


def test_lines_are_aligned_and_have_remedies(call):
    status, text = call([FINE, MISSING])
    lines = text.splitlines()
    assert status == 0 and lines[-1] == "predictions work, 1 note(s)"
    assert lines[:3] == [
        "ok    python                  3.13.1",
        "note  extra app               gradio is not installed",
        "                              pip install 'av-emotion-hf[app]'",
    ]


def test_what_is_essential_decides_the_status(call):
    status, text = call([FINE, MISSING, BROKEN])
    assert status == 1 and text.splitlines()[-1] == "1 failed, 1 note(s)"


def test_json_has_all_findings(call):
    status, text = call([FINE, BROKEN], "--json")
    assert status == 1 and json.loads(text) == {
        "ok": False,
        "findings": [
            {"name": "python", "status": "ok", "found": "3.13.1"},
            {
                "name": "torch", "status": "fail", "found": "cannot be loaded (no libtorch)",
                "remedy": "pip install torch", "details": {"size": 1},
            },
        ],
    }  # fmt: skip
