"""What the README says a user can type."""

import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from helpers.clean_room import run_clean
from packaging.version import Version
from typer.testing import CliRunner

from av_emotion_hf import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.S)
COMMANDS = re.findall(r"^(?:\$ )?av-emotion ((?:\\\n|[^#\n])*)", README, flags=re.M)


@pytest.fixture
def clip(tmp_path):
    subprocess.run([sys.executable, ROOT / "examples" / "make_demo_clip.py", tmp_path / "clip.mp4"], check=True)
    return tmp_path / "clip.mp4"


@pytest.mark.slow
def test_its_first_lines_and_those_of_the_card_run_where_only_the_package_is_installed(clip, tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = [re.match(r"[\w-]+", line)[0] for line in project["dependencies"]]
    card = (ROOT / "src/av_emotion_hf/checkpoints/av-emotion-base/README.md").read_text(encoding="utf-8")
    pasted = [PYTHON[0], *re.findall(r"```python\n(.*?)```", card, flags=re.S)]
    assert len(pasted) == 2 and all("clip.mp4" in code for code in pasted)
    folder = tmp_path / "clean"
    folder.mkdir()
    (folder / "clip.mp4").symlink_to(clip)
    path = os.pathsep.join(map(str, (folder / "site", ROOT / "src")))
    printed = run_clean("\nprint('--')\n".join(pasted), folder, *needs, PYTHONPATH=path)
    for part in printed.split("--\n"):
        assert any(emotion in part for emotion in ("neutral", "sad", "happy", "surprised", "fearful", "angry"))


@pytest.mark.slow
def test_python_runs_as_pasted(clip, tmp_path):
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


def test_lowest_versions_are_those_that_the_package_allows():
    lowest = runpy.run_path(str(ROOT / "tools" / "lowest_versions.py"))["lowest"]()
    named = re.search(r"with transformers ([\d.]+) and huggingface_hub ([\d.]+) \(`make test-lowest`\)", README)
    allowed = dict(requirement.split("==") for requirement in lowest)
    assert [Version(name) for name in named.groups()] == [
        Version(allowed[name]) for name in ("transformers", "huggingface-hub")
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = {re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]}
    assert direct - set(allowed) == {"torch", "torchaudio"}
