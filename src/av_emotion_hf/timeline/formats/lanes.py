"""Lanes: the segments of each person by name and in milliseconds, as files of other programs hold them."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ...errors import InputError
from ..table import lane_name

if TYPE_CHECKING:
    from ..segments import Segment
    from ..table import Timeline

NOTICE = "Emotions are the expression shown in voice and face, not what someone feels."


class Span(NamedTuple):
    """A segment with its times in whole milliseconds.

    Attributes:
        start: milliseconds from the start of the clip.
        end: milliseconds, at least one more.
        segment: as it is in the timeline.
    """

    start: int
    end: int
    segment: "Segment"


def encodable(text: str) -> str:
    """A text that files in UTF-8 can hold: what is not a character, as in odd names of files, is escaped."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def one_line(text: str) -> str:
    """A text without line breaks, tabs and other control characters; each run of them becomes a space."""
    return encodable(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)).strip()


def lane_names(timeline: "Timeline", shape: Callable[[str], str] = one_line) -> dict[str | None, str]:
    """How the lane of each person is called: in the order of the persons, and no two alike.

    Args:
        timeline: of a clip.
        shape: what makes a name one that the format can hold.
    """
    names: dict[str | None, str] = {}
    taken: set[str] = set()
    for person in timeline.persons:
        names[person] = unused(shape(lane_name(person)) or "unnamed", taken)
    return names


def unused(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken; it is then taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free


def exclusive_spans(timeline: "Timeline", person: str | None) -> list[Span]:
    """The segments of a person one after another, as a tier holds them that has one annotation at a time.

    What rounding makes overlap by a millisecond is pushed on, and nothing is shorter than one.

    Raises:
        InputError: two of them overlap, as given segments may.
    """
    spans: list[Span] = []
    segments = [one for one in timeline.segments if one.person == person]
    for one in sorted(segments, key=lambda segment: (segment.start, segment.end)):
        span = _span(one)
        if spans and span.start < spans[-1].end:
            if span.start < spans[-1].end - 1:
                before = spans[-1].segment
                raise InputError(
                    f"{lane_name(person)}: segments {before.start:g}-{before.end:g} s and {one.start:g}-{one.end:g} s "
                    "overlap, and a tier has one at a time; choose another format, or put them on different tiers"
                )
            span = Span(spans[-1].end, max(span.end, spans[-1].end + 1), one)
        spans.append(span)
    return spans


def cues(timeline: "Timeline") -> list[Span]:
    """The segments of all persons that show an emotion, in the order of time."""
    spans = [_span(one) for one in timeline.segments if one.emotion is not None]
    return sorted(spans, key=lambda span: (span.start, span.end))  # stable: persons stay in order


def _span(segment: "Segment") -> Span:
    start = round(segment.start * 1000)
    return Span(start, max(round(segment.end * 1000), start + 1), segment)


def answer_text(segment: "Segment") -> str:
    """`angry 0.71`."""
    confidence = "" if segment.confidence is None else f" {segment.confidence:.2f}"
    return one_line(f"{segment.emotion}{confidence}")


__all__ = [
    "NOTICE", "Span", "answer_text", "cues", "encodable", "exclusive_spans", "lane_names", "one_line", "unused",
]  # fmt: skip
