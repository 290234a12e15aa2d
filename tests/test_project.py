"""What the files beside the code say about it, and whether they agree."""

import re
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

import av_emotion_hf

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.M))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PAGES = sorted(ROOT.glob("*.md"))


def test_version_changelog_and_citation_agree():
    version = Version(av_emotion_hf.__version__)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (\S+) \((unreleased|\d{4}-\d\d-\d\d)\)$", changelog, flags=re.M)
    assert len(headings) == changelog.count("\n## ")
    assert Version(headings[0][0]) == version
    assert all(date != "unreleased" for _, date in headings[1:])
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert Version(str(citation["version"])) == version
    assert str(citation.get("date-released", "unreleased")) == headings[0][1]


def test_every_target_is_listed_and_explained():
    phony = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.M)[1].split())
    explained = set(re.findall(r"^([a-z-]+):.*  ## \S", MAKEFILE, flags=re.M))
    assert phony == explained == TARGETS


def make_targets(text):
    """Targets in the commands `make ...` of a script or page."""
    for words in re.findall(r"(?:^|[`;&|]|run: )\s*make ([a-z][a-z -]*)", text, flags=re.M):
        yield from words.split()


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_only_targets_that_exist_are_called(path):
    targets = list(make_targets(path.read_text(encoding="utf-8")))
    assert targets and set(targets) <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_whole(path):
    workflow = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # "on" is a word, not a truth value
    assert {"name", "on", "permissions", "jobs"} <= set(workflow)
    for job in workflow["jobs"].values():
        assert set(job.get("needs", "").split()) <= set(workflow["jobs"])
        assert job["steps"] and all(("run" in step) != ("uses" in step) for step in job["steps"])
        assert all("@" in step["uses"] for step in job["steps"] if "uses" in step)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_templates_are_whole(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name != "config.yml":
        assert form["name"] and form["description"]
        assert all(part["type"] == "textarea" and part["attributes"]["label"] for part in form["body"])


def test_hooks_have_the_versions_of_the_project():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    pinned = dict(re.findall(r'"(ruff|codespell)==([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    revisions = {repository["repo"]: repository["rev"] for repository in hooks}
    for name, version in pinned.items():
        assert [rev for url, rev in revisions.items() if name in url] == [f"v{version}"]
    assert len(pinned) == 2


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert target.startswith("http") or (ROOT / target).exists(), target
