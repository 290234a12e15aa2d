"""Tidy tables, a row for each person and window: CSV and Parquet. CSV and TSV are also read for segments.

The columns are those of [`Timeline.columns`]. Times are plain seconds. An empty cell, in Parquet a null, is what was
not seen or heard.
"""

import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...utils import atomic_write
from .lanes import encodable
from .marks import Mark, read_text, seconds

if TYPE_CHECKING:
    from ..table import Timeline

DIGITS = {"start": 3, "end": 3, "loudness": 1, "pitch": 1}
FRACTION_DIGITS = 4  # of confidence, scores, coverages and shares
NAMES = ("person", "emotion", "text")  # columns of text
COUNTS = ("num_persons",)
# what columns of segments may be called; the first one that is there counts
TIERS, TEXTS = ("tier", "person", "speaker"), ("text", "label")
SEPARATORS = ("\t", ";", ",")


def rounded_columns(timeline: "Timeline") -> dict[str, list]:
    """The columns of a timeline with sensibly many digits.

    Raises:
        InputError: a value is not a number, which no computation of this package makes it.
    """
    table = {}
    for name, values in timeline.columns().items():
        if name in NAMES:
            table[name] = [None if value is None else encodable(value) for value in values]
        elif name in COUNTS:
            table[name] = values
        else:
            digits = DIGITS.get(name, FRACTION_DIGITS)
            for number, value in enumerate(values, start=1):
                if value is not None and not math.isfinite(value):
                    raise InputError(
                        f"{name} of row {number} is {value}, and a table has numbers or empty cells; "
                        "make the timeline again"
                    )
            # the sum makes -0.0 a 0.0
            table[name] = [None if value is None else round(value, digits) + 0.0 for value in values]
    return table


def write_csv(timeline: "Timeline", path: str | Path) -> None:
    """Write a timeline as CSV: UTF-8, commas, a header."""
    table = rounded_columns(timeline)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(encodable, table))
        writer.writerows(zip(*table.values(), strict=True))


def write_parquet(timeline: "Timeline", path: str | Path) -> None:
    """Write a timeline as Parquet: numbers are float64, counts int64."""
    import pyarrow
    import pyarrow.parquet

    kinds: dict[str, Any] = dict.fromkeys(NAMES, pyarrow.string()) | dict.fromkeys(COUNTS, pyarrow.int64())
    table = {encodable(name): values for name, values in rounded_columns(timeline).items()}
    schema = pyarrow.schema({name: kinds.get(name, pyarrow.float64()) for name in table})
    with atomic_write(path) as partial:
        pyarrow.parquet.write_table(pyarrow.table(table, schema), str(partial))


def read_table(path: str | Path) -> list[Mark]:
    """The segments of a CSV or TSV file with the columns `start` and `end` in seconds.

    Columns `tier`, `person` or `speaker`, and `text` or `label` are optional, other ones are ignored. The separator is
    a tab, a semicolon or a comma, whichever parts the header; with the first two, numbers may have a decimal comma.

    Raises:
        InputError: it is not such a file.
    """
    lines = io.StringIO(read_text(path, "save it as UTF-8, in Excel as 'CSV UTF-8'"), newline="")
    header = next((line for line in lines if line.strip() and not line.lower().startswith("sep=")), "")
    for separator in SEPARATORS:
        names = [name.strip().lower() for name in next(csv.reader([header[:10_000]], delimiter=separator), [])]
        if "start" in names and "end" in names:
            break
    else:
        raise InputError(
            f"{path}: its first line has no columns start and end (it is {_shortened(header)!r}); name them "
            "there, with times in seconds"
        )
    before = lines.getvalue()[: lines.tell()].count("\n")
    tier = next((names.index(name) for name in TIERS if name in names), None)
    text = next((names.index(name) for name in TEXTS if name in names), None)
    reader, marks = csv.reader(lines, delimiter=separator, strict=True), []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            place = f"line {before + reader.line_num}"
            cells += [""] * (len(names) - len(cells))
            start, end = (
                seconds(cells[names.index(name)], name, f"{path}, {place}", has_comma=separator != ",")
                for name in ("start", "end")
            )
            own = None if tier is None else cells[tier]
            marks.append(Mark(place, start, end, own, "" if text is None else cells[text].strip()))
    except csv.Error as error:
        raise InputError(f"{path}, line {before + reader.line_num}: is damaged ({error}); repair the line") from error
    return marks


def _shortened(line: str) -> str:
    line = line.strip()
    return line if len(line) <= 60 else line[:57] + "..."


__all__ = ["read_table", "rounded_columns", "write_csv", "write_parquet"]
