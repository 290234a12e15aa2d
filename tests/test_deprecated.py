"""The old names of modules that have moved."""

import importlib
import sys
import warnings

import pytest

from av_emotion_hf.deprecated import MOVED, RENAMED

RENAMED_HERE = {
    "data.open_corpus": "data.dataset.open_dataset",
    "media.SPEAKERS": "models.persons_av_emotion.SPEAKERS",
    "media.FaceReport": "plots.contact_sheet.FaceReport",
    "media.FaceTrack": "media.faces.FollowedFace",
    "media.FrameSequence": "media.memory_clip.MemoryClip",
    "media.draw_faces": "plots.contact_sheet.draw_faces",
    "training.record.names": "training.record.checkpoint_names",
}


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_name_is_the_new_module(old, tmp_path, monkeypatch):
    name, new_name = f"av_emotion_hf.{old}", f"av_emotion_hf.{MOVED[old]}"
    new = importlib.import_module(new_name)
    spec, loader = new.__spec__, new.__loader__
    caller = tmp_path / "caller.py"
    caller.write_text(f"import {name} as moved\n")
    monkeypatch.delitem(sys.modules, name, raising=False)
    scope = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compile(caller.read_text(), caller, "exec"), scope)
        importlib.import_module(name)  # a second import does not warn again
    assert scope["moved"] is sys.modules[name] is new
    assert new.__spec__ is spec and new.__loader__ is loader and new.__name__ == spec.name == new_name
    for renamed, new_one in RENAMED.get(old, {}).items():
        assert getattr(new, renamed) is getattr(new, new_one)
    (warning,) = [one for one in caught if issubclass(one.category, DeprecationWarning) and name in str(one.message)]
    assert warning.filename == str(caller) and warning.lineno == 1
    assert str(warning.message) == f"{name} has moved to {new_name}; the old name works until 0.3"


def test_the_package_itself_imports_no_old_name():
    assert not {f"av_emotion_hf.{old}" for old in MOVED} & {f"av_emotion_hf.{new}" for new in MOVED.values()}
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("av_emotion_hf.never_there")


@pytest.mark.parametrize("old", RENAMED_HERE)
def test_an_old_name_of_a_function_is_the_new_one(old, tmp_path):
    module, _, name = f"av_emotion_hf.{old}".rpartition(".")
    new_module, _, new_name = f"av_emotion_hf.{RENAMED_HERE[old]}".rpartition(".")
    caller, scope = tmp_path / "caller.py", {}
    caller.write_text(f"from {module} import {name} as renamed\n")
    importlib.import_module(module)
    message = f"{module}.{name} is now {new_module}.{new_name}; the old name works until 0.3"
    with pytest.warns(DeprecationWarning, match=message) as caught:
        exec(compile(caller.read_text(), caller, "exec"), scope)
    assert scope["renamed"] is getattr(importlib.import_module(new_module), new_name)
    assert {one.filename for one in caught} == {str(caller)}
    home = sys.modules[module]
    assert name not in getattr(home, "__all__", ())
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = home.Nothing
