"""What the README says a user can type."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from av_emotion_hf import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.S)
COMMANDS = re.findall(r"^(?:\$ )?av-emotion ((?:\\\n|[^#\n])*)", README, flags=re.M)


def test_python_runs_as_pasted(tmp_path):
    subprocess.run([sys.executable, ROOT / "examples" / "make_demo_clip.py", tmp_path / "clip.mp4"], check=True)
    assert len(PYTHON) == 3
    script = tmp_path / "pasted.py"
    script.write_text("\n".join(PYTHON) + "\nassert len(summary) == 88\nprint('sum', float(probabilities.sum()))\n")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split("sum")[-1]) == pytest.approx(1, abs=1e-5)


def test_every_option_in_a_command_exists():
    assert len(COMMANDS) >= 7
    for command in COMMANDS:
        verb, *words = shlex.split(command.replace("\\\n", " "))
        shown = CliRunner().invoke(cli.app, [verb, "--help"], env={"COLUMNS": "200"}).output
        for word in words:
            assert not word.startswith("--") or word in shown, f"{verb} {word}"


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
