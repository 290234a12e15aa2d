import os
import sys

import pytest
import yaml
from helpers.running_app import run_app
from huggingface_hub import SpaceCard
from packaging.requirements import Requirement
from typer.testing import CliRunner

from av_emotion_hf import __version__
from av_emotion_hf.app.space import write_space
from av_emotion_hf.cli import app as command
from av_emotion_hf.errors import InputError

gradio = pytest.importorskip("gradio")
# what the Hub requires of the metadata of a Space
COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def test_metadata_is_that_of_a_gradio_space(tmp_path):
    files = write_space(tmp_path / "space")
    assert files == ["README.md", "app.py", "requirements.txt"] == sorted(os.listdir(tmp_path / "space"))
    card = SpaceCard.load(tmp_path / "space" / "README.md")
    data = card.data.to_dict()
    assert data["sdk"] == "gradio" and data["sdk_version"] == gradio.__version__
    assert data["app_file"] == "app.py" and data["license"] == "apache-2.0"
    assert isinstance(data["python_version"], str) and data["python_version"] in ("3.11", "3.12", "3.13")
    assert {data["colorFrom"], data["colorTo"]} <= COLORS and len(data["short_description"]) <= 60
    assert "not what" in card.text and "Article 50(3)" in card.text
    assert yaml.safe_load(card.content.split("---")[1])["title"] == "Expressions in voice and face"
    requirement = Requirement((tmp_path / "space" / "requirements.txt").read_text().strip())
    assert requirement.name == "av-emotion-hf" and requirement.extras == {"app"}
    assert str(requirement.specifier) == f"=={__version__}"


def test_an_empty_folder_is_filled_and_a_full_one_refused(tmp_path):
    (tmp_path / "space").mkdir()
    write_space(tmp_path / "space")
    before = (tmp_path / "space" / "app.py").stat()
    with pytest.raises(InputError, match="space: is not empty; choose a new folder"):
        write_space(tmp_path / "space")
    assert (tmp_path / "space" / "app.py").stat() == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file: is a file"):
        write_space(tmp_path / "file")
    assert sorted(os.listdir(tmp_path)) == ["file", "space"]


def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "pathlib.Path.write_text", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(InputError, match="free some space"):
        write_space(tmp_path / "space")
    assert not os.listdir(tmp_path)


def test_the_command_says_what_to_do_next(tmp_path):
    result = CliRunner().invoke(command, ["space", str(tmp_path / "space")])
    assert result.exit_code == 0 and "README.md, app.py, requirements.txt; push it to a Space" in result.output


@pytest.mark.slow
def test_its_app_runs(tmp_path, monkeypatch):
    write_space(tmp_path / "space")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "127.0.0.1")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "0")
    httpx = pytest.importorskip("httpx")
    with run_app(tmp_path, command=[sys.executable, str(tmp_path / "space" / "app.py")]) as app:
        page = httpx.get(app.url).text
        assert "up to 5 minutes and 100 MB" in page
        assert not app.connections.exists()
