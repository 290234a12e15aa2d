"""Where a line of code may be: rooms import downward, and a file is one noun."""

import ast
from functools import cache
from pathlib import Path

import pytest

import av_emotion_hf

SOURCE = Path(av_emotion_hf.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
# a room imports from lines below its own only, so there is no circle; a module beside the folders is a room as well
FLOORS = (
    {"__init__", "__main__"},
    {"cli"},
    {"app"},
    {"benchmarks", "inference", "plots"},
    {"timeline", "training"},
    {"hub"},
    {"auto"},  # gives the pipeline its reader
    {"acoustics"},
    {"data"},
    {"checkpoints", "media"},
    {"models"},
    {"devices"},
    {"deprecated", "utils"},
    {"errors"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
LONGEST = 500  # lines of a file


def room(module):
    """`data` of `data.reader`."""
    return module.split(".")[0] or "__init__"


@cache
def module_of(path):
    """`data.reader` of `.../data/reader.py`, and `data` of `.../data/__init__.py`."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path):
    """Modules of the package that a file imports, also in functions, `try` blocks and under TYPE_CHECKING."""
    package = module_of(path).split(".")[: None if path.name == "__init__.py" else -1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = [name for name in package if name][: len(package) - node.level + 1]
            base = [SOURCE.name, *base, *(node.module or "").split(".")]
            names = [".".join(filter(None, [*base, alias.name])) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == SOURCE.name:
                yield name.removeprefix(SOURCE.name).removeprefix(".")


@cache
def arrows():
    """`{("data", "media"): ["data/reader.py", ...], ...}` between different rooms."""
    found = {}
    for path in FILES:
        for name in imported(path):
            if room(name) != room(module_of(path)):
                found.setdefault((room(module_of(path)), room(name)), []).append(str(path.relative_to(SOURCE)))
    return found


def test_every_room_has_a_floor():
    assert {room(module_of(path)) for path in FILES} == set(FLOOR)


def test_rooms_import_downward_only():
    wrong = [
        f"{source} -> {target}: {', '.join(sorted(set(files)))}"
        for (source, target), files in sorted(arrows().items())
        if FLOOR[target] <= FLOOR[source]
    ]
    assert not wrong, "\n".join(wrong)


def test_relative_imports_are_found():
    names = set(imported(SOURCE / "data" / "reader.py"))
    assert any(name.startswith("media.") for name in names) and "errors.InputError" in names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_is_too_long(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST
