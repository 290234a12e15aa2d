"""Segments of a clip from a user's file, and whether they fit the clip."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from .formats.elan import read_eaf
from .formats.lanes import one_line
from .formats.marks import Mark
from .formats.rttm import read_rttm
from .formats.subtitles import read_srt, read_vtt
from .formats.tables import read_table
from .formats.textgrid import read_textgrid
from .tiers import GivenSegment

READERS = {
    ".rttm": read_rttm,
    ".textgrid": read_textgrid,
    ".eaf": read_eaf,
    ".srt": read_srt,
    ".vtt": read_vtt,
    ".csv": read_table,
    ".tsv": read_table,
}
ROUNDING = 0.001  # seconds by which neighbors may overlap
BEYOND = 0.5  # seconds by which a segment may end after its clip


def read_segments(path: str | Path) -> list[GivenSegment]:
    """The segments of a file: RTTM, TextGrid, EAF, SRT, WebVTT, CSV or TSV, by its suffix.

    What becomes of tiers, speakers and voices, and of texts, is said by the reader of each format. An interval of a
    TextGrid without text is a gap; an annotation of an EAF without text is a segment.

    Returns:
        The segments, sorted by start. Those of one tier do not overlap.

    Raises:
        InputError: the file has another suffix, cannot be read, is not what its suffix says, or has no segments; a
            segment does not start before it ends, starts before 0, or overlaps with another one of its tier.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in READERS:
        raise InputError(f"{path}: segments are read from files that end in {', '.join(READERS)}; choose one of these")
    marks = READERS[suffix](path)
    if not marks:
        raise InputError(f"{path}: has no segments; leave it out, or mark some")
    for mark in marks:
        if mark.start < 0:
            raise InputError(f"{path}, {mark.place}: starts at {mark.start:g} s, before the clip; start at 0 or later")
        if round(mark.end, 3) <= round(mark.start, 3):
            raise InputError(
                f"{path}, {mark.place}: starts at {mark.start:g} s and ends at {mark.end:g} s; "
                "a segment has to last a millisecond or longer"
            )
    marks = [mark._replace(tier=one_line(mark.tier or "") or None) for mark in marks]
    marks.sort(key=lambda mark: mark.start)
    _check_tiers(marks, path)
    return [GivenSegment(mark.start, mark.end, mark.tier, mark.text) for mark in marks]


def _check_tiers(marks: list[Mark], path: str | Path) -> None:
    """Raise [`InputError`] if marks of the same tier overlap; they are sorted by start."""
    last: dict[str | None, Mark] = {}
    for mark in marks:
        before = last.get(mark.tier)
        if before is not None and mark.start < before.end - ROUNDING - 1e-9:
            tier = "" if mark.tier is None else f" of tier {mark.tier!r}"
            raise InputError(
                f"{path}: {_named(before)} and {_named(mark)}{tier} overlap; shorten one of them, or put them on "
                "different tiers"
            )
        last[mark.tier] = mark


def _named(mark: Mark) -> str:
    return f"{mark.start:g}-{mark.end:g} s ({mark.place})"


def check_segments(segments: Sequence[GivenSegment], duration: float, name: str) -> list[GivenSegment]:
    """The segments as far as their clip lasts.

    Args:
        segments: of the clip.
        duration: of the clip in seconds. A segment may end up to half a second later, as durations are told with few
            digits; it then ends with the clip.
        name: of the file of segments.

    Raises:
        InputError: a segment ends later, or starts after the clip.
    """
    fitting = []
    for one in segments:
        if one.end > duration + BEYOND or one.start > duration - ROUNDING:
            tier = "" if one.tier is None else f", tier {one.tier!r}"
            raise InputError(
                f"{name}: segment {one.start:g}-{one.end:g} s{tier} ends at {one.end:.1f} s, and the clip lasts "
                f"{duration:.1f} s: it is of another clip, or its times are in another unit (milliseconds?); choose "
                "the right file, or write seconds"
            )
        fitting.append(replace(one, end=min(one.end, duration)))
    return fitting


__all__ = ["READERS", "check_segments", "read_segments"]
