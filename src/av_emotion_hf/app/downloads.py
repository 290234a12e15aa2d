"""Files of a timeline: for downloading, and as JSON for programs."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..timeline.formats import FORMATS, write_timeline
from ..timeline.report.page import write_report
from ..utils import read_json

if TYPE_CHECKING:
    from ..timeline.table import Timeline

SHOWN = ("csv", "json")  # beside the archive of all


def timeline_json(timeline: "Timeline", folder: Path) -> dict[str, Any]:
    """The timeline as the document that its JSON file holds.

    Args:
        timeline: of a clip.
        folder: for the file.
    """
    return read_json(write_timeline(timeline, folder, "timeline", ["json"])["json"])


def write_downloads(timeline: "Timeline", folder: Path) -> list[str]:
    """Write a timeline in all formats.

    Args:
        timeline: of a clip.
        folder: for the files.

    Returns:
        Paths of an archive of all, and of those that most people want.
    """
    name = Path(timeline.clip).stem
    files = write_timeline(timeline, folder, name, FORMATS)
    page = write_report(timeline, folder / f"{name}.html")
    archive = folder / f"{name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        for path in (page, *files.values()):
            content.write(path, path.name)
    return [str(archive), str(page), *(str(files[one]) for one in SHOWN)]


__all__ = ["timeline_json", "write_downloads"]
