"""RTTM of NIST, as diarization tools exchange it: a line for each segment with an emotion. Also read for segments.

A line has ten fields: `SPEAKER`, the file, the channel, start and duration in seconds, `<NA>`, the emotion as subtype,
the person, the confidence, `<NA>`. Readers of diarizations such as pyannote's take file, times and person, and ignore
the emotion.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ...utils import write_text
from .lanes import cues, lane_names, one_line
from .marks import Mark, read_text, seconds

if TYPE_CHECKING:
    from ..table import Timeline

MISSING = "<NA>"
FIELDS = 9  # at least; the tenth came later
_CHANNEL = re.compile(r"channel-(\d+)")


def write_rttm(timeline: "Timeline", path: str | Path) -> None:
    """Write a timeline as RTTM."""
    names = lane_names(timeline, _word)
    name = _word(Path(timeline.clip).stem) or "clip"
    lines = []
    for start, end, one in cues(timeline):
        channel = _CHANNEL.fullmatch(one.person or "") if timeline.settings.get("channels") else None
        times = f"{start / 1000:.3f} {(end - start) / 1000:.3f}"
        confidence = MISSING if one.confidence is None else f"{one.confidence:.4f}"
        lines.append(
            f"SPEAKER {name} {channel[1] if channel else 1} {times} {MISSING} {_word(str(one.emotion))} "
            f"{names[one.person]} {confidence} {MISSING}\n"
        )
    write_text(path, "".join(lines))


def _word(text: str) -> str:
    """A text that is one field, for readers that know quotes as well."""
    return re.sub(r"\s+", "_", one_line(text)).replace('"', "'")


def read_rttm(path: str | Path) -> list[Mark]:
    """The lines `SPEAKER` of an RTTM file: persons are tiers, a subtype is the text.

    Raises:
        InputError: it is not such a file, or of several recordings.
    """
    marks: list[Mark] = []
    files: dict[str, int] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        fields, place = line.split(), f"line {number}"
        if not fields or fields[0] != "SPEAKER":  # a comment, or another kind of object
            continue
        if len(fields) < FIELDS:
            raise InputError(f"{path}, {place}: has {len(fields)} fields, and a line of RTTM has 10; repair the line")
        start = seconds(fields[3], "start", f"{path}, {place}")
        length = seconds(fields[4], "duration", f"{path}, {place}")
        files[fields[1]] = number
        person, subtype = ("" if field == MISSING else field for field in (fields[7], fields[6]))
        marks.append(Mark(place, start, round(start + length, 6), person, subtype))
    if len(files) > 1:
        raise InputError(
            f"{path}: has segments of {len(files)} recordings ({', '.join(list(files)[:5])}); keep the lines of one"
        )
    return marks


__all__ = ["read_rttm", "write_rttm"]
