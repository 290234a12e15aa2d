"""What README and the pages of the site say a user can type, and what they show that it prints."""

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
DOCS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.glob("docs/**/*.md")}
PAGES = {"README.md": README} | {name: text for name, text in DOCS.items() if name != "docs/commands.md"}
RUNS_AS_PASTED = (
    "docs/index.md",
    "docs/guides/predicting.md",
    "docs/guides/live.md",
    "docs/guides/export.md",
    "docs/formats.md",
)
OUTPUT = r"<!-- {}-output -->\n```text\n(.*?)\n```\n<!-- /{}-output -->"
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def blocks(text, language="python"):
    """Code blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.S | re.M)


def commands(text):
    """Words behind `av-emotion` in the code blocks of a page, and in its text."""
    fenced = "\n".join(re.findall(r"^```(?:bash)?\n(.*?)^```", text, flags=re.S | re.M))
    inline = re.findall(r"`av-emotion ([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))
    found = re.findall(r"^(?:\$ )?av-emotion ((?:\\\n|[^#\n>])*)", fenced, flags=re.M) + inline
    return [" ".join(command.replace("\\\n", " ").split()) for command in found]


def shown(name):
    """What the README shows that something prints."""
    return re.search(OUTPUT.format(name, name), README, flags=re.S)[1]


def assert_same_output(printed, expected):
    """The same words; scores differ by rounding between machines."""
    assert NUMBER.sub("#", printed.strip()) == NUMBER.sub("#", expected)
    for own, other in zip(NUMBER.findall(printed), NUMBER.findall(expected), strict=True):
        assert float(own) == pytest.approx(float(other), abs=0.021 if "." in other else 2)


@pytest.fixture
def clip(tmp_path):
    subprocess.run([sys.executable, ROOT / "examples" / "make_demo_clip.py", tmp_path / "clip.mp4"], check=True)
    return tmp_path / "clip.mp4"


@pytest.mark.slow
def test_first_lines_and_those_of_the_card_run_where_only_the_package_is_installed(clip, tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = [re.match(r"[\w-]+", line)[0] for line in project["dependencies"]]
    card = (ROOT / "src/av_emotion_hf/checkpoints/av-emotion-base/README.md").read_text(encoding="utf-8")
    pipeline = blocks(DOCS["docs/guides/predicting.md"])[0]
    command = (
        "import sys\nfrom av_emotion_hf.cli import main\n"
        "sys.argv = ['av-emotion', 'predict', 'clip.mp4', '--device', 'cpu', '--workers', '0']\nmain()\n"
    )
    pasted = [blocks(README)[0], pipeline, *blocks(card), command]
    assert len(pasted) == 4 and all("clip.mp4" in code for code in pasted)
    folder = tmp_path / "clean"
    folder.mkdir()
    (folder / "clip.mp4").symlink_to(clip)
    path = os.pathsep.join(map(str, (folder / "site", ROOT / "src")))
    code = "\nprint('--')\n".join(pasted)
    # no weights of BlazeFace in a cache: MTCNN finds the faces, as after an installation
    parts = run_clean(code, folder, *needs, PYTHONPATH=path, TORCH_HOME=str(folder / "torch")).split("--\n")
    assert_same_output(parts[0], shown("python"))
    assert_same_output(parts[-1], shown("command"))
    for part in parts:
        assert any(emotion in part for emotion in ("neutral", "sad", "happy", "surprised", "fearful", "angry"))


@pytest.mark.slow
def test_python_runs_as_pasted(clip, tmp_path):
    pasted = [block for name in RUNS_AS_PASTED for block in blocks(DOCS[name])]
    assert len(pasted) == 8
    script = tmp_path / "pasted.py"
    script.write_text("\n".join(pasted) + "\nassert len(summary) == 88\nprint('sum', float(probabilities.sum()))\n")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split("sum")[-1]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in DOCS if "tutorials" not in name])
def test_no_python_is_shown_that_no_test_runs(name):
    """That of the tutorials is run by `test_tutorials.py`."""
    assert name in RUNS_AS_PASTED or not blocks(DOCS[name])


@pytest.mark.parametrize("name", PAGES)
def test_every_option_in_a_command_exists(name):
    found = commands(PAGES[name])
    assert name != "docs/guides/training.md" or len(found) >= 15  # so that the pattern is not the one that fails
    for command in found:
        words = shlex.split(command)
        if words[0].startswith(("COMMAND", "--")):
            continue
        output = CliRunner().invoke(cli.app, [words[0], "--help"], env={"COLUMNS": "200"}).output
        options = set(re.findall(r"--[\w-]+", output))
        assert {word for word in words if word.startswith("--")} <= options, command


def test_lowest_versions_are_those_that_the_package_allows():
    lowest = runpy.run_path(str(ROOT / "tools" / "lowest_versions.py"))["lowest"]()
    pattern = r"with transformers ([\d.]+) and huggingface_hub ([\d.]+) \(`make test-lowest`\)"
    named = re.search(pattern, DOCS["docs/index.md"])
    allowed = dict(requirement.split("==") for requirement in lowest)
    assert [Version(name) for name in named.groups()] == [
        Version(allowed[name]) for name in ("transformers", "huggingface-hub")
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = {re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]}
    assert direct - set(allowed) == {"torch", "torchaudio"}
