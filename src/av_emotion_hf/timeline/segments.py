"""Segments of a timeline: stretches in which a person shows one emotion, by hysteresis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .answers import UNCERTAIN, answer_of

if TYPE_CHECKING:
    from .table import TimelineRow

TOUCHING = 1e-6  # seconds between windows that follow each other


@dataclass(frozen=True)
class Segment:
    """A stretch of one emotion.

    Attributes:
        start: seconds from the start of the clip.
        end: seconds.
        person: as in the rows; `None` where nobody is seen.
        emotion: a class or `uncertain`; `None` only of given segments in which nothing is seen or heard.
        confidence: mean probability of the emotion over its windows; of `uncertain`, of the most probable class.
        text: annotation of a given segment.
    """

    start: float
    end: float
    person: str | None
    emotion: str | None
    confidence: float | None
    text: str | None = None


def segments_of(
    rows: Sequence["TimelineRow"], abstain: float = 0.0, hysteresis: float = 0.0, given: bool = False
) -> list[Segment]:
    """The segments of one person.

    An emotion goes on until another one is more probable by `hysteresis`, or until its own probability falls below
    `abstain - hysteresis`; the next one is then the most probable class, or `uncertain` if that is less probable than
    `abstain`. A segment also ends where nothing is seen or heard, and where windows leave a gap. Where windows
    overlap, it ends and the next one starts in the middle of the overlap, so that no two segments overlap.

    Args:
        rows: of one person, in the order of time.
        abstain: lowest probability of an emotion that is named.
        hysteresis: by how much the next emotion has to exceed the current one.
        given: whether each row is a segment of its own, as those of a file.
    """
    if given:
        return [Segment(row.start, row.end, row.person, row.emotion, row.confidence, row.text) for row in rows]
    found: list[Segment] = []
    stretch: list[tuple[TimelineRow, float]] = []  # of the current emotion, with its probability in each
    current: str | None = None
    start = 0.0

    def close(end: float) -> None:
        if stretch:
            mean = sum(value for _, value in stretch) / len(stretch)
            found.append(Segment(start, end, stretch[0][0].person, current, mean))
            stretch.clear()

    before: TimelineRow | None = None
    for row in rows:
        border = row.start
        if before is not None and row.start > before.end + TOUCHING:
            close(before.end)
            current = None
        elif before is not None:
            border = (before.end + row.start) / 2
        emotion = current if _lasts(current, row.scores, abstain, hysteresis) else answer_of(row.scores, abstain)
        if emotion != current:
            close(border)
            start, current = border, emotion
        if emotion is not None:
            stretch.append((row, max(row.scores.values()) if emotion == UNCERTAIN else row.scores[emotion]))
        before = row
    if before is not None:
        close(before.end)
    return found


def _lasts(emotion: str | None, scores: dict[str, float], abstain: float, hysteresis: float) -> bool:
    """Whether an emotion goes on in a window with these scores."""
    if emotion is None or not scores:
        return False
    best = max(scores.values())
    if emotion == UNCERTAIN:
        return best < abstain
    return scores[emotion] >= best - hysteresis and scores[emotion] >= abstain - hysteresis


__all__ = ["Segment", "segments_of"]
