"""Labels of Audacity: a line `start TAB end TAB person: emotion confidence` for each segment with an emotion."""

from pathlib import Path
from typing import TYPE_CHECKING

from ...utils import write_text
from .lanes import answer_text, cues, lane_names, one_line

if TYPE_CHECKING:
    from ..table import Timeline


def write_audacity(timeline: "Timeline", path: str | Path) -> None:
    """Write a timeline as a label track, which Audacity reads by File > Import > Labels."""
    names = lane_names(timeline)
    lines = []
    for start, end, one in cues(timeline):
        text = f" ({one_line(one.text)})" if one.text else ""
        lines.append(f"{start / 1000:.6f}\t{end / 1000:.6f}\t{names[one.person]}: {answer_text(one)}{text}\n")
    write_text(path, "".join(lines))


__all__ = ["write_audacity"]
