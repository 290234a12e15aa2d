import pytest
from helpers.running_app import run_app
from helpers.synthetic import voice, write_clip


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """The app with small limits, shared by all tests."""
    pytest.importorskip("gradio")
    with run_app(
        tmp_path_factory.mktemp("app"), "--max-size", "5", "--max-minutes", "2", "--detector", "mtcnn"
    ) as app:
        yield app


@pytest.fixture
def clip(tmp_path, paste_faces):
    """A face and a voice of three seconds."""
    faces = [paste_faces((80 + i % 10, 40, 160)) for i in range(30)]
    return write_clip(tmp_path / "face and voice.mp4", faces, 10, voice(3.0, 150), 16_000)


@pytest.fixture
def long_clip(tmp_path, paste_faces):
    """A minute of a face: long enough to be canceled."""
    faces = [paste_faces((80 + i % 10, 40, 160)) for i in range(600)]
    return write_clip(tmp_path / "long.mp4", faces, 10)
