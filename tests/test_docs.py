"""The site: it is built without a warning, its links lead somewhere, and it leaves out no name and no command."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from markdown.extensions.toc import slugify

import av_emotion_hf as av

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.glob("**/*.md"), *(ROOT / name for name in ("README.md", "examples/README.md", "benchmarks/README.md"))]
)
GITHUB = "https://github.com/av-emotion-hf/av_emotion_hf/blob/main/"
FENCES = re.compile(r"^```.*?^```", flags=re.S | re.M)


def anchors(path):
    """What a link into a page may name: its headings, as GitHub and MkDocs do, and what the reference shows."""
    text = FENCES.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#{1,6} (.+)$", text, flags=re.M)
    return {slugify(re.sub(r"[`*]", "", heading), "-") for heading in headings} | set(
        re.findall(r"^::: (\S+)", text, flags=re.M)
    )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_exist(path):
    text = FENCES.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        base = path.parent
        if target.startswith(GITHUB):  # of a page of the site to what is no page
            base, target = ROOT, target.removeprefix(GITHUB)
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (base / file) if file else path
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place), target


def test_every_public_name_is_in_the_reference():
    names = runpy.run_path(str(DOCS / "cross_references.py"))["shown_names"]()
    assert len(set(names)) == len(names)
    for name in names:  # where it is now
        home, _, own = name.rpartition(".")
        assert hasattr(__import__(home, fromlist=[own]), own), name
    text = (DOCS / "reference" / "prediction.md").read_text(encoding="utf-8")
    constants = set(re.findall(r"`(\w+)`", text))
    shown = {name.rpartition(".")[2] for name in names}
    assert [name for name in av.__all__ if name not in shown | constants] == []
    homes = {f"av_emotion_hf.{home}.{name}" for home, own in av._HOMES.items() for name in own}
    assert [name for name in names if name.rpartition(".")[2] in av.__all__ and name not in homes] == []
    for constant, checkpoint in re.findall(r"^\| `(\w+)` \| `([\w-]+)` \|$", text, flags=re.M):
        assert Path(getattr(av, constant)).name == checkpoint


def test_names_in_docstrings_become_links_or_code():
    linked = runpy.run_path(str(DOCS / "cross_references.py"))["linked"]
    targets = {"finetune": ["av.training.finetune"], "encode": ["av.a.encode", "av.b.encode"]}
    text = "See [`finetune`], [`encode`], [`~Trainer.save`], [`other`](there) and [`more`][place]."
    assert linked(text, targets) == (
        "See [`finetune`][av.training.finetune], `encode`, `Trainer.save`, [`other`](there) and [`more`][place]."
    )


def test_commands_are_those_of_the_command_line():
    names = runpy.run_path(str(DOCS / "write_commands.py"))
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert page == names["commands_page"](), "run `make tables`"
    assert "| `--modality audio\\|image\\|fusion` | Which classifier. *required* |" in page
    assert "| `--epochs NUMBER` | Passes over the data. [30] |" in page and "| `--json` |" in page
    assert "--speaker" not in page  # hidden


def test_what_a_page_loads_comes_with_the_site():
    loads = runpy.run_path(str(DOCS / "own_hosts.py"))["LOADS"]
    for text in (
        '<script src="https://cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img alt="x" src="https://img.example/badge.svg">',
    ):
        assert loads.search(text)
    for text in ('<a href="https://github.com/x">', '<script src="assets/a.js">', '<link rel="next" href="b.html">'):
        assert not loads.search(text)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference" / "training.html").read_text(encoding="utf-8")
    assert 'id="av_emotion_hf.training.finetuning.finetune"' in page
    assert 'href="models.html#av_emotion_hf.checkpoints.build_model"' in page and "[<code>" not in page
    own = [path for path in (tmp_path / "site").glob("**/*.html") if path.name != "404.html"]
    assert len(own) == len(list(DOCS.glob("**/*.md")))
    assert not list((tmp_path / "site").glob("**/*.py"))


def test_what_is_checked_is_set_to_warn():
    class Loader(yaml.SafeLoader):
        """Without the tags of mkdocs."""

    config = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader=Loader)
    assert all(level == "warn" for part in config["validation"].values() for level in part.values())
    assert config["theme"]["font"] is False and "repo_url" not in config  # whose stars would be fetched
