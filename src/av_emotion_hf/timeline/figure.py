"""The figure of a timeline for papers: a band and the scores of each person, loudness and pitch, over time."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..utils import atomic_write, require_writable, writing
from .answers import UNCERTAIN
from .palette import colors_of, ink_on
from .segments import TOUCHING
from .table import lane_name

if TYPE_CHECKING:
    from .segments import Segment
    from .table import Timeline, TimelineRow

SUFFIXES = (".png", ".pdf", ".svg")
WIDTH, PERSON_HEIGHT, SIGNAL_HEIGHT = 7.1, 1.35, 0.6  # inches; two columns of a journal
SIGNALS = {"loudness": "loudness\ndB", "pitch": "pitch\nHz"}
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "av_emotion_hf",  # the same file every time
}


def plot_timeline(timeline: "Timeline", path: str | Path) -> Path:
    """Draw a timeline as a figure for papers. What was not seen or heard is a gap.

    Args:
        timeline: of a clip.
        path: file to write; its suffix `.png`, `.pdf` or `.svg` is the format.

    Returns:
        The path.

    Raises:
        InputError: matplotlib is not installed, the suffix is another one, there is nothing to draw, or the file
            cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: is not the name of a figure; end it in .png, .pdf or .svg")
    require_writable(path)
    if not timeline.rows:
        raise InputError(f"{timeline.clip}: its timeline has no windows to draw; use a longer clip")
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "a figure needs matplotlib, which is not installed: pip install 'av-emotion-hf[plots]'"
        ) from error
    signals = [name for name in SIGNALS if any(getattr(row, name) is not None for row in timeline.rows)]
    shown = [person for person in timeline.persons if any(row.scores for row in timeline.of(person))]
    if not shown and not signals:
        raise InputError(f"{timeline.clip}: shows and says nothing that could be drawn; use another clip")
    heights = [PERSON_HEIGHT] * len(shown) + [SIGNAL_HEIGHT] * len(signals)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.75), layout="constrained")
        axes = figure.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
        for axis, person in zip(axes, shown, strict=False):
            _draw_person(axis, timeline, person)
        for axis, name in zip(axes[len(shown) :], signals, strict=True):
            _draw_signal(axis, timeline, name)
        axes[-1].set(xlim=(0, timeline.duration), xlabel="time, seconds")
        figure.align_ylabels(axes)
        _draw_legend(figure, timeline)
        metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
        with writing(path), atomic_write(path) as partial:
            figure.savefig(partial, format=path.suffix[1:].lower(), dpi=300, metadata=metadata)
    return path


def _draw_person(axis: Any, timeline: "Timeline", person: str | None) -> None:
    """Stacked scores from 0 to 1, and above them the band of segments with their names."""
    colors = colors_of(timeline.labels)
    for start, end, run in scored_runs(timeline.of(person)):
        times = [start, *(row.center for row in run), end]
        rows = [run[0], *run, run[-1]]
        scores = [[row.scores[label] for row in rows] for label in timeline.labels]
        axis.stackplot(times, scores, colors=[colors[label] for label in timeline.labels], linewidth=0, alpha=0.85)
    for segment in timeline.segments:
        if segment.person == person and segment.emotion is not None:
            _draw_segment(axis, segment, colors[segment.emotion], timeline.duration)
    axis.set(ylim=(0, 1.38), yticks=(0, 0.5, 1), ylabel="score")
    axis.spines["left"].set_bounds(0, 1)
    axis.set_title(lane_name(person), loc="left", fontsize=9, fontweight="bold", pad=2, parse_math=False)


def _draw_segment(axis: Any, segment: "Segment", color: str, duration: float) -> None:
    is_uncertain, length = segment.emotion == UNCERTAIN, segment.end - segment.start
    look = {"facecolor": "white", "edgecolor": color, "hatch": "//////"} if is_uncertain else {"facecolor": color}
    axis.broken_barh([(segment.start, length)], (1.08, 0.28), linewidth=0 if not is_uncertain else 0.4, **look)
    name, letters = str(segment.emotion), length / duration * 105  # that have room
    if not is_uncertain and len(name) <= letters:
        middle = segment.start + length / 2
        text = {"ha": "center", "va": "center", "fontsize": 7, "color": ink_on(color), "parse_math": False}
        axis.text(middle, 1.215, name, **text)


def _draw_signal(axis: Any, timeline: "Timeline", name: str) -> None:
    """A line of all windows where persons have the same values in the same window, else one for each person."""
    of_window: dict[float, set[float]] = {}
    for row in timeline.rows:
        if (value := getattr(row, name)) is not None:
            of_window.setdefault(row.center, set()).add(value)
    is_shared = all(len(values) == 1 for values in of_window.values())
    for number, rows in enumerate([timeline.rows] if is_shared else map(timeline.of, timeline.persons)):
        points = {row.center: math.nan for row in rows}
        points |= {row.center: value for row in rows if (value := getattr(row, name)) is not None}
        style = ("-", "--", ":", "-.")[number % 4]
        axis.plot(list(points), list(points.values()), color="#222222", linewidth=0.9, linestyle=style)
    axis.set_ylabel(SIGNALS[name])
    axis.margins(y=0.15)


def _draw_legend(figure: Any, timeline: "Timeline") -> None:
    from matplotlib.patches import Patch

    colors = colors_of(timeline.labels)
    patches = [Patch(facecolor=colors[label], label=label) for label in timeline.labels]
    if any(segment.emotion == UNCERTAIN for segment in timeline.segments):
        patches.append(Patch(facecolor="white", edgecolor=colors[UNCERTAIN], hatch="//////", label=UNCERTAIN))
    legend = figure.legend(
        handles=patches,
        loc="outside upper left",
        ncols=8,
        frameon=False,
        fontsize=8,
        handlelength=1,
        columnspacing=1.2,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def scored_runs(rows: Sequence["TimelineRow"]) -> list[tuple[float, float, list["TimelineRow"]]]:
    """Stretches of rows of one person that have scores and follow each other: start and end in seconds, and the rows.

    Beside a window without scores that overlaps, a stretch ends in the middle of what both share, as segments do.
    """
    runs: list[tuple[float, float, list[TimelineRow]]] = []
    for place, row in enumerate(rows):
        if not row.scores:
            continue
        start, run = row.start, [row]
        before = rows[place - 1] if place else None
        if before is not None and row.start <= before.end + TOUCHING:
            start = (before.end + row.start) / 2
            if before.scores:
                start, _, run = runs.pop()
                run = [*run, row]
        after = rows[place + 1] if place + 1 < len(rows) else None
        overlaps = after is not None and not after.scores and after.start <= row.end + TOUCHING
        runs.append((start, (row.end + after.start) / 2 if after is not None and overlaps else row.end, run))
    return runs


__all__ = ["plot_timeline", "scored_runs"]
