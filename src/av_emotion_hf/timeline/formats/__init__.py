"""Files that a timeline is written to, each in a format of its own; some are also read for segments."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ...utils import writing

if TYPE_CHECKING:
    from ..table import Timeline


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes:
        suffix: of its files.
        module: that writes it, relative to this package; it is imported when first used.
        writer: name of the function there, which is called with a timeline and a path, and writes atomically.
    """

    suffix: str
    module: str
    writer: str

    def write(self, timeline: "Timeline", path: str | Path) -> Path:
        """Write a timeline to a file, whole or not at all; folders that do not exist are created.

        Returns:
            The path.

        Raises:
            InputError: the file cannot be written, or the format cannot hold this timeline.
        """
        write = getattr(import_module(self.module, __package__), self.writer)
        with writing(path):
            write(timeline, path)
        return Path(path)


FORMATS = {
    "csv": Format(".csv", ".tables", "write_csv"),
    "parquet": Format(".parquet", ".tables", "write_parquet"),
    "json": Format(".json", ".documents", "write_document"),
    "vtt": Format(".vtt", ".subtitles", "write_vtt"),
    "srt": Format(".srt", ".subtitles", "write_srt"),
    "eaf": Format(".eaf", ".elan", "write_eaf"),
    "textgrid": Format(".TextGrid", ".textgrid", "write_textgrid"),
    "rttm": Format(".rttm", ".rttm", "write_rttm"),
    "audacity": Format(".audacity.txt", ".audacity", "write_audacity"),
}


def write_timeline(
    timeline: "Timeline", folder: str | Path, name: str, formats: Iterable[str] = tuple(FORMATS)
) -> dict[str, Path]:
    """Write a timeline in several formats.

    Args:
        timeline: of a clip.
        folder: of the files; it is created if it does not exist.
        name: of the files, without a suffix.
        formats: some of `FORMATS`.

    Returns:
        The path of each file by its format.

    Raises:
        InputError: there is no such format, or a file cannot be written.
    """
    formats = list(formats)
    for one in formats:
        if one not in FORMATS:
            raise InputError(f"format {one!r}: is not one of {', '.join(FORMATS)}; choose some of these")
    return {one: FORMATS[one].write(timeline, Path(folder) / f"{name}{FORMATS[one].suffix}") for one in formats}


__all__ = ["FORMATS", "Format", "write_timeline"]
