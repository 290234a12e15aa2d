"""Files of a timeline for downloading, and its JSON for programs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..timeline.table import Timeline


def timeline_json(timeline: "Timeline") -> dict[str, Any]:
    return timeline.columns()


def write_results(timeline: "Timeline", folder: Path) -> list[str]:
    path = folder / "timeline.json"
    path.write_text(json.dumps(timeline_json(timeline)))
    return [str(path)]
