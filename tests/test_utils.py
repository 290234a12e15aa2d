import sys
import types

import pytest

from av_emotion_hf.utils import atomic_write, label_maps, lazy_names, read_json, reason, write_json, write_text


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
