import os
import sys
import types

import pytest

from av_emotion_hf.errors import InputError
from av_emotion_hf.utils import (
    atomic_write,
    disk_failure,
    is_leftover,
    label_maps,
    lazy_names,
    read_json,
    reason,
    require_writable,
    write_json,
    write_text,
    writing,
)


def test_a_file_is_complete_or_absent(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with atomic_write(path) as partial:
        partial.write_text("whole")
        assert partial.parent == path.parent and not path.exists()
    assert path.read_text() == "whole" and list(path.parent.iterdir()) == [path]


def test_an_error_leaves_nothing_behind(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError), atomic_write(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_text_and_json_survive(tmp_path):
    content = {"name": "Zoë", "values": [1, 2.5, None]}
    write_json(tmp_path / "content.json", content)
    assert read_json(tmp_path / "content.json") == content
    assert "Zoë" in (tmp_path / "content.json").read_text(encoding="utf-8")
    with pytest.raises(TypeError):
        write_json(tmp_path / "content.json", object())
    assert read_json(tmp_path / "content.json") == content
    write_text(tmp_path / "text.txt", "line\n")
    assert (tmp_path / "text.txt").read_bytes() == b"line\n"


def test_labels_are_numbered_in_order():
    assert label_maps(["sad", "happy"]) == {"id2label": {0: "sad", 1: "happy"}, "label2id": {"sad": 0, "happy": 1}}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(2, "No such file or directory", "x"), "No such file or directory"),
        (ValueError("  first line\nsecond line"), "first line"),
        (KeyError(), "KeyError"),
    ],
)
def test_a_reason_is_one_line(error, text):
    assert reason(error) == text


def test_lazy_names_are_imported_when_used(tmp_path, monkeypatch):
    (tmp_path / "lazy_package").mkdir()
    (tmp_path / "lazy_package" / "__init__.py").write_text(
        "from av_emotion_hf.utils import lazy_names\n"
        "__getattr__, __dir__, __all__ = lazy_names(__name__, {'inner': ('second', 'first'), 'other': ('third',)})\n"
    )
    (tmp_path / "lazy_package" / "inner.py").write_text("first, second = 1, 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    import lazy_package

    assert lazy_package.__all__ == dir(lazy_package) == ["first", "second", "third"]
    assert "lazy_package.inner" not in sys.modules
    assert (lazy_package.first, lazy_package.second) == (1, 2)
    assert isinstance(sys.modules["lazy_package.inner"], types.ModuleType)
    with pytest.raises(AttributeError, match="module 'lazy_package' has no attribute 'fourth'"):
        lazy_package.fourth  # noqa: B018
    assert lazy_names("lazy_package", {})[2] == []


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_path_that_can_be_written_stays_as_it_was(tmp_path, monkeypatch, is_folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.json").write_text("before")
    for path in ("new", "a/b/new", tmp_path / "folder" / "new", "folder" if is_folder else "file.json"):
        require_writable(path, is_folder)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file.json", "folder"]
    assert (tmp_path / "file.json").read_text() == "before"


@pytest.mark.parametrize(
    ("path", "is_folder", "message"),
    [
        ("", False, "'': is not the name of a file; choose another --out"),
        ("a\0b", True, "is not the name of a folder"),
        ("new/", False, "new/: is the name of a folder; choose a file for --out"),
        ("folder", False, "folder: is a folder; choose a file for --out"),
        ("file", True, "file: is a file; choose a folder for --out"),
        ("file/new/one", False, r"cannot be written \(file is not a folder\); choose another --out or remove that"),
        ("file/new", True, r"cannot be written \(file is not a folder\)"),
        ("a" * 300, False, r"aaa: cannot be written \(File name too long\); choose another --out"),
        (f"new/{'a' * 300}/file", False, "File name too long"),
        ("a" * 250, False, "File name too long"),  # of the temporary file
    ],
)
def test_a_path_that_cannot_be_written_is_named(tmp_path, monkeypatch, path, is_folder, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("before")
    with pytest.raises(InputError, match=message):
        require_writable(path, is_folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there are no devices")
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_device_is_not_replaced(is_folder):
    with pytest.raises(InputError, match="/dev/full: is a device, not a"):
        require_writable("/dev/full", is_folder)


@pytest.mark.parametrize(("name", "number"), [("mkstemp", 30), ("write", 28)])
def test_a_disk_that_takes_no_file_is_named(tmp_path, monkeypatch, name, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr({"mkstemp": "tempfile", "write": "os"}[name] + f".{name}", refuse)
    with pytest.raises(InputError, match=rf"new: cannot be written \({os.strerror(number)}\)"):
        require_writable(tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_system_names_the_file_not_its_temporary_name(tmp_path):
    with pytest.raises(OSError) as caught, atomic_write(tmp_path / "file") as partial:
        assert is_leftover(partial) and not is_leftover(tmp_path / "file")
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "file")


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(28, "Error writing bytes to file"), "No space left on device"),
        (caused(RuntimeError("while generating"), OSError(27, "x")), "File too large"),
        (Exception("Error while serializing: I/O error: File too large (os error 27)"), "File too large"),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos"),
            "torch could not write all of it",
        ),
        (OSError("Not enough disk space. Needed: 3 GB"), "Not enough disk space. Needed: 3 GB"),
        (FileNotFoundError(2, "No such file"), None),
        (ConnectionError("no network"), None),
        (RuntimeError("shapes differ"), None),
    ],
)
def test_what_a_disk_refused_is_recognized(error, why):
    found = disk_failure(error)
    assert (found and found[0]) == why


def test_the_result_goes_with_the_error():
    with pytest.raises(
        InputError, match=r"run.json: cannot be written \(.*\); free some space .*disk, then"
    ) as caught:
        with writing("run.json", ", then again", {"uar": 0.5}):
            raise OSError(28, "No space left on device")
    assert caught.value.result == {"uar": 0.5}
    with pytest.raises(InputError, match=r"x: cannot be written \(Permission denied\); choose another --out"):
        with writing("x"):
            raise PermissionError(13, "Permission denied")
    with pytest.raises(PermissionError), writing("x", only_disk=True):
        raise PermissionError(13, "Permission denied")
    with pytest.raises(KeyError), writing("x"):
        raise KeyError
