import os
import time

import pytest

from av_emotion_hf.app import uploads as module
from av_emotion_hf.app.uploads import Uploads


@pytest.fixture
def uploads(tmp_path):
    (tmp_path / "files").mkdir()
    return Uploads(tmp_path / "files")


def upload(uploads, name="clip.mp4"):
    folder = uploads.new_folder() / "hash"
    folder.mkdir()
    path = folder / name
    path.write_bytes(b"clip")
    return path


def age(uploads, path, seconds):
    entry = uploads.folder / path.relative_to(uploads.folder).parts[0]
    os.utime(entry, (time.time() - seconds,) * 2)


def test_owns_files_in_its_folder_only(uploads, tmp_path):
    path = upload(uploads)
    outside = tmp_path / "files and more"
    outside.write_bytes(b"secret")
    link = path.with_name("link.mp4")
    link.symlink_to(outside)
    assert uploads.owns(str(path))
    for wrong in (
        outside,
        link,
        path.parent,
        uploads.folder,
        f"{uploads.folder}/../files and more",
        f"{path}\0",
        f"file:{path}",
        "clip.mp4",
        "",
        f"{uploads.folder}/{'x' * 5000}",
    ):
        assert not uploads.owns(str(wrong)), wrong


def test_deletes_an_upload_with_its_folder_and_nothing_else(uploads, tmp_path):
    path, other = upload(uploads), upload(uploads)
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(b"clip")
    uploads.delete(outside)
    uploads.delete(uploads.folder)
    uploads.delete(path)
    assert outside.exists() and other.exists()
    assert len(list(uploads.folder.iterdir())) == 1


def test_a_page_keeps_one_file_in_each_role(uploads):
    first, second, result, other = (upload(uploads) for _ in range(4))
    uploads.hold("page", "file", first)
    uploads.hold("page", "results", result)
    uploads.hold("another page", "file", other)
    uploads.hold("page", "file", second)
    assert not first.exists() and second.exists() and result.exists()
    uploads.hold("page", "file", second)  # the same one once more
    assert second.exists()
    uploads.hold("page", "results", None)
    assert not result.exists()
    uploads.release("page")
    uploads.release("unknown page")
    assert not second.exists() and other.exists()


def test_sweeps_what_is_old_and_neither_held_nor_wanted(uploads):
    held, wanted, young, old = (upload(uploads) for _ in range(4))
    stray = uploads.folder / "stray"
    stray.write_bytes(b"")
    os.utime(stray, (0, 0))
    uploads.hold("page", "file", held)
    for path in (held, wanted, old):
        age(uploads, path, 1000)
    uploads.sweep([str(wanted), "/elsewhere/clip.mp4", ""])
    assert held.exists() and wanted.exists() and young.exists()
    assert not old.exists() and not stray.exists()


def test_a_page_that_was_never_closed_keeps_nothing_forever(uploads, monkeypatch):
    path = upload(uploads)
    uploads.hold("page", "file", path)
    age(uploads, path, 10_000)
    monkeypatch.setattr(module, "LONGEST", -1.0)
    uploads.sweep([])
    assert not path.exists()
