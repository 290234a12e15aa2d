"""Gather what trainings and `av-emotion evaluate` have measured into one JSON file.

    python examples/collect_results.py RUNS OUT.json

    python examples/collect_results.py runs examples/results/finetune.json finetune_*

RUNS holds `scores/*.json`, written by `av-emotion evaluate`, and the trained models with their `run.json`.
Without names (or patterns) of models, all of them are gathered.
"""

import json
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

KEPT = (
    "verb",
    "options",
    "settings",
    "scores",
    "scores_by_corpus",
    "linear_head",
    "calibration",
    "steps",
    "seconds",
    "cpu_seconds",
    "device",
    "hardware",
    "threads",
    "parameters",
    "date",
    "versions",
)


def kept(record: dict) -> dict:
    """The part of a `run.json` that belongs to results, without paths."""
    facts = {key: record[key] for key in KEPT if key in record}  # older records have fewer
    return facts | {"options": record["options"] | {"out": Path(record["options"]["out"]).name}}


def write_json(path: Path, content: Any, indent: int = 2) -> None:
    """Write under another name, then rename: there is never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def main(runs: Path, out: Path, wanted: list[str]) -> None:
    """Write scores and costs, by the name of the model."""
    scores = {path.stem: json.loads(path.read_text()) for path in sorted((runs / "scores").glob("*.json"))}
    records = {path.parent.name: json.loads(path.read_text()) for path in sorted(runs.glob("**/run.json"))}
    records = {name: record for name, record in records.items() if any(fnmatch(name, each) for each in wanted)}
    trained = {name: kept(record) for name, record in records.items()}
    write_json(out, {"scores": scores, "runs": trained}, indent=1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or ["*"])
