"""Gather what `default_checkpoint.sh` measured into one JSON file.

    python examples/collect_results.py RUNS OUT.json

    python examples/collect_results.py runs examples/results/finetune.json finetune_*

RUNS holds `scores/*.json`, written by `av-emotion evaluate`, and the trained models with their `run.json`;
names (or patterns) of models may be given, all of them count otherwise.
"""

import json
import sys
from fnmatch import fnmatch
from pathlib import Path

KEPT = (
    "verb",
    "options",
    "settings",
    "scores",
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
    """The part of a `run.json` that results are told by, without paths."""
    facts = {key: record[key] for key in KEPT if key in record}  # older records know less
    return facts | {"options": record["options"] | {"out": Path(record["options"]["out"]).name}}


def main(runs: Path, out: Path, wanted: list[str]) -> None:
    """Write scores and costs, by the name of the model."""
    scores = {path.stem: json.loads(path.read_text()) for path in sorted((runs / "scores").glob("*.json"))}
    records = {path.parent.name: json.loads(path.read_text()) for path in sorted(runs.glob("**/run.json"))}
    records = {name: record for name, record in records.items() if any(fnmatch(name, each) for each in wanted)}
    trained = {name: kept(record) for name, record in records.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"scores": scores, "runs": trained}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or ["*"])
