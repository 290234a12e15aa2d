"""The report of an evaluation: scores, confusion, calibration, groups and protocol in one HTML file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..timeline.report.document import render_page
from ..utils import require_writable, write_text, writing

SCORES = {"uar": "UAR", "war": "WAR", "macro_f1": "macro-F1"}
EXPLAINED = {
    "uar": "mean recall of the classes, also called balanced accuracy",
    "war": "fraction of clips that are right, also called accuracy",
    "macro_f1": "mean over the classes of the harmonic mean of precision and recall",
}
NEEDED = ("labels", "confusion_matrix", "recalls", "clips", "protocol", *SCORES)
SENSES = {"voice": "voice", "face": "face", "both": "voice and face"}


@dataclass(frozen=True)
class Chart:
    """Coordinates of a chart with axes from 0 to 1, in pixels of an SVG.

    Attributes:
        width: of the plot, without its margins.
        height: of the plot.
        low: value at the bottom.
        high: value at the top.
        left: margin for the numbers of the axis.
        top: margin.
    """

    width: int = 300
    height: int = 220
    low: float = 0.0
    high: float = 1.0
    left: int = 44
    top: int = 10

    def x(self, value: float) -> float:
        """From a value between 0 and 1."""
        return round(self.left + value * self.width, 1)

    def y(self, value: float) -> float:
        """From a value between `low` and `high`."""
        return round(self.top + (1 - (value - self.low) / (self.high - self.low)) * self.height, 1)

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        """Of a line through points (x, y)."""
        return "M" + "L".join(f"{self.x(x)} {self.y(y)}" for x, y in points)


def write_evaluation_report(
    result: dict[str, Any], path: str | Path, label_curve: dict[str, Any] | None = None
) -> Path:
    """Write what `evaluate` found as one HTML file that loads nothing from the network.

    Args:
        result: of [`evaluate`], also one read from its JSON file. What an older version did not measure is left out.
        path: HTML file to write.
        label_curve: `runs`, each with `arm`, `dataset`, `sense` and `uar` by percent of the labels: one number, or
            lists of them (folds, draws), of which the mean is drawn.

    Returns:
        The path.

    Raises:
        InputError: `result` is none of `evaluate`, `label_curve` has other content, or the file cannot be written.
    """
    path = Path(path)
    require_writable(path)
    missing = [name for name in NEEDED if name not in result]
    if missing:
        raise InputError(f"the result has no {', '.join(missing)}; give the JSON file of `av-emotion evaluate --out`")
    panels = [] if label_curve is None else _panels(label_curve)
    arms = list(dict.fromkeys(line["arm"] for panel in panels for line in panel["lines"]))
    page = render_page(
        "evaluation_page.html.jinja",
        styles=["evaluation_page.css"],
        labels=arms,
        folder=Path(__file__).parent,
        title=f"Evaluation of {result['protocol'].get('checkpoint', 'a classifier')}",
        result=result,
        ece=result.get("ece"),
        not_tested=result.get("not_tested") or [],
        **{name: result["protocol"].get(name) for name in ("dataset", "date", "group_column")},
        scores=[(name, title, EXPLAINED[name], result[name]) for name, title in SCORES.items()],
        rows=_confusion_rows(result),
        has_gaps=bool(result.get("no_answer")),
        reliability=result.get("reliability") or [],
        coverage=[one for one in result.get("coverage") or [] if one["accuracy"] is not None],
        groups=result.get("groups") or {},
        chart=Chart(),
        panels=panels,
        arms=arms,
        protocol=list(_facts(result["protocol"])),
    )
    with writing(path):
        write_text(path, page)
    return path


def _confusion_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each true class the counts, their fractions of the class and in which of eleven shades they are drawn."""
    rows = []
    for label, counts in zip(result["labels"], result["confusion_matrix"], strict=True):
        gaps = result.get("no_answer", {}).get(label, 0)
        total = sum(counts) + gaps
        cells = [
            {"count": count, "fraction": count / total if total else None, "shade": round(10 * count / max(total, 1))}
            for count in counts
        ]
        rows.append(
            {"label": label, "cells": cells, "gaps": gaps, "total": total, "recall": result["recalls"].get(label)}
        )
    return rows


def _facts(protocol: dict[str, Any], prefix: str = "") -> Any:
    """Pairs of name and text; what is not set is left out."""
    for name, value in protocol.items():
        title = (prefix + name.replace("_", " ")).capitalize() if not prefix else prefix + name.replace("_", " ")
        if isinstance(value, dict):
            yield from _facts(value, f"{title}, ")
        elif isinstance(value, list | tuple):
            if value:
                yield title, ", ".join(map(str, value))
        elif value is not None:
            yield title, "yes" if value is True else "no" if value is False else str(value)


def _mean(values: Any) -> float:
    """Of numbers in lists of any depth, each list counted alike."""
    return sum(map(_mean, values)) / len(values) if isinstance(values, list) else float(values)


def _panels(label_curve: dict[str, Any]) -> list[dict[str, Any]]:
    """A chart for each dataset and sense, with a line for each arm."""
    found: dict[tuple[str, str], dict[str, dict[float, list[float]]]] = {}
    try:
        for run in label_curve["runs"]:
            own = found.setdefault((str(run["dataset"]), str(run["sense"])), {}).setdefault(str(run["arm"]), {})
            for share, scores in run["uar"].items():
                own.setdefault(float(share), []).append(_mean(scores))
        if not found:
            raise InputError("the label curve has no runs; give the JSON file that examples/label_curve.py writes")
    except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise InputError(
            "the label curve needs runs with arm, dataset, sense and uar; give the JSON file that "
            "examples/label_curve.py writes"
        ) from error
    arms = list(dict.fromkeys(arm for lines in found.values() for arm in lines))
    panels = []
    for (dataset, sense), lines in found.items():
        shares = sorted({share for points in lines.values() for share in points})
        means = {arm: {share: _mean(each) for share, each in points.items()} for arm, points in lines.items()}
        values = [value for points in means.values() for value in points.values()]
        low, high = math.floor(10 * min(values)) / 10, math.ceil(10 * max(values)) / 10
        steps = max(1, round(10 * (high - low)))  # of ten percent
        chart = Chart(low=low, high=low + steps / 10, width=330)
        place = {share: number / max(1, len(shares) - 1) for number, share in enumerate(shares)}
        drawn = [
            {
                "arm": arm,
                "number": arms.index(arm),
                "points": points,
                "path": chart.path([(place[share], points[share]) for share in sorted(points)]),
                "end": (chart.x(place[max(points)]), chart.y(points[max(points)])),
            }
            for arm, points in means.items()
        ]
        title = f"{dataset}, {SENSES.get(sense, sense)}"
        panel = {"title": title, "shares": shares, "place": place, "chart": chart, "lines": drawn}
        panels.append(panel | {"ticks": [number / steps for number in range(steps + 1)]})
    return panels


__all__ = ["write_evaluation_report"]
