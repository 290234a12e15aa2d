"""The summary of a folder of clips: one HTML file with a sortable table, and a CSV file of the same."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...utils import require_writable, write_text, writing
from ..answers import UNCERTAIN
from ..summary import PersonSummary
from ..table import MODALITIES, Timeline, lane_name
from .document import render_page

SHOWN_SHARES = ("face_coverage", "voice_coverage", "uncertain")


@dataclass(frozen=True)
class ClipSummary:
    """What a summary page says about a clip.

    Attributes:
        clip: path of the clip, as given.
        report: HTML file of the clip, to which the page links.
        duration: seconds; `None` of a clip that failed.
        labels: classes of the model.
        persons: summaries of those in the clip.
        error: why the clip failed, in one line.
    """

    clip: str
    report: str | Path | None = None
    duration: float | None = None
    labels: tuple[str, ...] = ()
    persons: tuple[PersonSummary, ...] = ()
    error: str | None = None

    @classmethod
    def of(cls, timeline: Timeline, report: str | Path | None = None) -> "ClipSummary":
        """That of a timeline, which need not be kept."""
        return cls(timeline.clip, report, timeline.duration, timeline.labels, tuple(timeline.summary))

    @classmethod
    def failed(cls, clip: str, error: str) -> "ClipSummary":
        """That of a clip that could not be analyzed."""
        return cls(clip, error=error)


def uncertain_fraction(summary: PersonSummary) -> float | None:
    """Fraction of a person's time that is `uncertain`; `None` where the person has none."""
    return summary.emotion_seconds.get(UNCERTAIN, 0.0) / summary.seconds if summary.seconds else None


def write_index(clips: Sequence[ClipSummary | Timeline], path: str | Path) -> Path:
    """Write the summary page of several clips.

    Args:
        clips: in the order of the page.
        path: HTML file to write.

    Returns:
        The path.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    require_writable(path)
    chosen = [ClipSummary.of(clip) if isinstance(clip, Timeline) else clip for clip in clips]
    labels = _labels(chosen)
    failed = sum(clip.error is not None for clip in chosen)
    page = render_page(
        "index_page.html.jinja",
        styles=["index_page.css"],
        scripts=["sorting.js"],
        labels=labels,
        title="Summary of clips",
        emotions=(*labels, UNCERTAIN),
        rows=[row for clip in chosen for row in _rows(clip, labels, path)],
        count=len(chosen),
        failed=failed,
        seconds=sum(clip.duration or 0.0 for clip in chosen),
    )
    with writing(path):
        write_text(path, page)
    return path


def write_summary_csv(clips: Sequence[ClipSummary | Timeline], path: str | Path) -> Path:
    """Write a CSV file with a row for each person of each clip: `clip`, `person`, `duration`, `seconds`, `emotion`,
    the seconds of each emotion, mean scores, coverage, shares, and `error` of a clip that failed.

    An empty cell is what was not seen or heard.

    Args:
        clips: in the order of the rows.
        path: file to write.

    Returns:
        The path.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    require_writable(path)
    chosen = [ClipSummary.of(clip) if isinstance(clip, Timeline) else clip for clip in clips]
    labels = _labels(chosen)
    fields = ["clip", "person", "duration", "seconds", "emotion"]
    fields += [f"seconds_{name}" for name in (*labels, UNCERTAIN)] + [f"score_{name}" for name in labels]
    fields += ["uncertain", "face_coverage", "voice_coverage", *(f"share_{name}" for name in MODALITIES), "error"]
    target = io.StringIO()
    table = csv.DictWriter(target, fields, restval="")
    table.writeheader()
    for clip in chosen:
        facts: dict[str, Any] = {"clip": clip.clip, "duration": clip.duration, "error": clip.error}
        if not clip.persons:
            table.writerow(_cells(facts))
        for one in clip.persons:
            row = facts | {"person": one.person, "seconds": one.seconds, "emotion": one.emotion}
            row |= {f"seconds_{name}": one.emotion_seconds.get(name, 0.0) for name in (*clip.labels, UNCERTAIN)}
            row |= {f"score_{name}": value for name, value in one.mean_scores.items()}
            row |= {f"share_{name}": value for name, value in one.shares.items()}
            row |= {"face_coverage": one.face_coverage, "voice_coverage": one.voice_coverage}
            table.writerow(_cells(row | {"uncertain": uncertain_fraction(one)}))
    with writing(path):
        write_text(path, target.getvalue())
    return path


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


def _labels(clips: Sequence[ClipSummary]) -> tuple[str, ...]:
    """The classes of all clips, in the order of the first that has them."""
    return tuple(dict.fromkeys(label for clip in clips for label in clip.labels))


def _rows(clip: ClipSummary, labels: Sequence[str], page: Path) -> list[dict[str, Any]]:
    """Rows of the table: one for each person, or one for a clip without any."""
    facts: dict[str, Any] = {
        "clip": Path(clip.clip).name or clip.clip,
        "path": clip.clip,
        "link": _link(clip.report, page),
    }
    facts |= {"duration": clip.duration, "error": clip.error, "person": None, "emotion": None, "bars": []}
    facts |= dict.fromkeys(SHOWN_SHARES)
    place = {name: number for number, name in enumerate((*labels, UNCERTAIN))}
    rows = []
    for one in clip.persons:
        bars, start = [], 0.0
        for name, seconds in sorted(one.emotion_seconds.items(), key=lambda each: place[each[0]]):
            width = 100 * seconds / one.seconds if one.seconds else 0.0
            bars.append({"name": name, "number": place[name], "start": start, "width": width, "seconds": seconds})
            start += width
        row = facts | {"person": lane_name(one.person), "emotion": one.emotion, "bars": bars}
        row |= {"face_coverage": one.face_coverage if one.person is not None else None}
        rows.append(row | {"voice_coverage": one.voice_coverage, "uncertain": uncertain_fraction(one)})
    return rows or [facts]


def _link(report: str | Path | None, page: Path) -> str | None:
    if report is None:
        return None
    relative = os.path.relpath(os.path.abspath(report), os.path.abspath(page.parent))
    return "./" + quote(Path(relative).as_posix(), safe="/")


__all__ = ["ClipSummary", "uncertain_fraction", "write_index", "write_summary_csv"]
