"""The whole timeline as a JSON document that is read back.

Its fields:

- `schema`, `schema_version`: what the file is; the version grows when a field changes its meaning.
- `package_version`: of this package, that wrote it.
- `notice`: what the values are, in a sentence.
- `clip`, `duration` (seconds), `labels`, `model` (`name`, `sha256`), `settings`, `has_audio`, `has_video`: as in
  [`Timeline`].
- `rows`: objects with the fields of [`TimelineRow`]; `null` is what was not seen or heard, where `scores` are empty.
- `segments`: objects with the fields of [`Segment`]; they follow from rows and settings.
- `summary`: objects with the fields of [`PersonSummary`]; they follow as well.

Pictures of faces are not in it.
"""

import json
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...utils import atomic_write
from .lanes import NOTICE
from .marks import read_text

if TYPE_CHECKING:
    from ..table import Timeline

SCHEMA, SCHEMA_VERSION = "av-emotion-timeline", 1
LARGEST = 1e300  # infinity and NaN are not below it, nor are whole numbers that no float holds
DIGITS = 4  # of what is computed from rows; these have as many digits as they have
NUMBERS = ("confidence", "face_coverage", "voice_coverage", "loudness", "pitch")  # of a row, or null


def write_document(timeline: "Timeline", path: str | Path) -> None:
    """Write a timeline as JSON, with an object per line."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "package_version": version("av-emotion-hf"),
        "notice": NOTICE,
        "clip": timeline.clip,
        "duration": timeline.duration,
        "labels": list(timeline.labels),
        "model": timeline.model,
        "settings": timeline.settings,
        "has_audio": timeline.has_audio,
        "has_video": timeline.has_video,
        "rows": [_flat(row) for row in timeline.rows],
        "segments": [_rounded(_flat(segment)) for segment in timeline.segments],
        "summary": [_rounded(_flat(summary)) for summary in timeline.summary],
    }
    try:
        text = ",\n".join(f'  "{name}": {_text(value)}' for name, value in document.items())
    except ValueError as error:
        raise InputError(f"{path}: a value is not a number, and JSON has numbers or null ({error})") from error
    with atomic_write(path) as partial:
        # a name that is not text in UTF-8 has surrogates, and their escapes are those of JSON
        partial.write_bytes(f"{{\n{text}\n}}\n".encode("utf-8", "backslashreplace"))


def _text(value: Any) -> str:
    """JSON in one line, or of a list of objects in a line for each."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"    {_text(one)}" for one in value) + "\n  ]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _flat(one: Any) -> dict[str, Any]:
    """The fields of a dataclass as they are."""
    return {field.name: getattr(one, field.name) for field in fields(one)}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return round(value, DIGITS) if isinstance(value, float) else value


def read_timeline(path: str | Path) -> "Timeline":
    """Read the timeline that [`write_document`] wrote; its rows are equal, and it has no pictures.

    Raises:
        InputError: the file is damaged, something else, or of a newer version of this package.
    """
    from ..table import Timeline

    try:
        document = json.loads(read_text(path), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is not JSON ({error}); write the timeline again") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise InputError(f'{path}: is not a timeline, which has "schema": "{SCHEMA}"; choose a file of to_json')
    known: Any = document.get("schema_version")
    if not _is_whole(known) or known < 1:
        raise InputError(f"{path}: schema_version={known!r} has to be {SCHEMA_VERSION}; write the timeline again")
    if known > SCHEMA_VERSION:
        raise InputError(
            f"{path}: has schema version {known}, and this package reads up to {SCHEMA_VERSION}; "
            "update it: pip install -U av-emotion-hf"
        )
    checked = _Checked(document, str(path))
    labels = checked.get("labels", lambda value: isinstance(value, list) and all(isinstance(x, str) for x in value))
    rows = checked.get("rows", lambda value: isinstance(value, list))
    settings = checked.get("settings", lambda value: isinstance(value, dict))
    of_settings = _Checked(settings, f"{path}, settings")
    for name in ("abstain", "hysteresis"):  # segments follow from them
        if name in settings:
            of_settings.get(name, _is_number)
    return Timeline(
        clip=checked.get("clip", lambda value: isinstance(value, str)),
        duration=float(checked.get("duration", _is_number)),
        labels=tuple(labels),
        rows=[_row(row, labels, f"{path}, row {number}") for number, row in enumerate(rows, start=1)],
        settings=settings,
        model=checked.get("model", lambda value: isinstance(value, dict)),
        has_audio=checked.get("has_audio", lambda value: isinstance(value, bool)),
        has_video=checked.get("has_video", lambda value: isinstance(value, bool)),
    )


def _row(entry: Any, labels: list[str], where: str) -> Any:
    from ..table import TimelineRow

    row = _Checked(entry, where)
    values: dict[str, Any] = {name: float(row.get(name, _is_number)) for name in ("start", "end")}
    values |= {name: row.get(name, lambda value: value is None or _is_number(value)) for name in NUMBERS}
    for name in ("person", "emotion", "text"):
        values[name] = row.get(name, lambda value: value is None or isinstance(value, str))
    values["num_persons"] = row.get("num_persons", lambda value: value is None or _is_whole(value))
    for name in ("scores", "shares"):
        values[name] = row.get(
            name, lambda value: isinstance(value, dict) and all(_is_number(one) for one in value.values())
        )
    if values["scores"] and list(values["scores"]) != labels:
        raise InputError(f"{where}: has scores of {', '.join(values['scores'])}, and not of each label in their order")
    return TimelineRow(**values)


class _Checked:
    """The fields of an object of a document, which may be damaged."""

    def __init__(self, entry: Any, where: str):
        if not isinstance(entry, dict):
            raise InputError(f"{where}: is damaged (not an object); write the timeline again")
        self.entry, self.where = entry, where

    def get(self, name: str, is_right: Any) -> Any:
        if name not in self.entry:
            raise InputError(f"{self.where}: is damaged (it has no {name}); write the timeline again")
        value = self.entry[name]
        if not is_right(value):
            text = json.dumps(value)
            text = text if len(text) <= 60 else text[:57] + "..."
            raise InputError(f"{self.where}: is damaged ({name}={text} is not what is written there); write it again")
        return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


__all__ = ["SCHEMA", "SCHEMA_VERSION", "read_timeline", "write_document"]
