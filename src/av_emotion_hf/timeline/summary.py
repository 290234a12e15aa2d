"""Summary of a person in a timeline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .answers import UNCERTAIN

if TYPE_CHECKING:
    from .segments import Segment
    from .table import TimelineRow


@dataclass(frozen=True)
class PersonSummary:
    """What a person showed in a whole clip.

    Attributes:
        person: as in the rows; `None` where nobody is seen.
        seconds: total length of the segments, in which the person is seen or heard.
        emotion: that of the longest total; `uncertain` only if nothing else was found, `None` without segments.
        emotion_seconds: total length of the segments of each emotion, the longest first.
        mean_scores: mean probability of each class over the windows with scores.
        face_coverage: mean over the windows; `None` without video.
        voice_coverage: mean over the windows; `None` without audio.
        shares: mean share of each modality in the decisions.
    """

    person: str | None
    seconds: float
    emotion: str | None
    emotion_seconds: dict[str, float]
    mean_scores: dict[str, float]
    face_coverage: float | None
    voice_coverage: float | None
    shares: dict[str, float]


def summary_of(rows: Sequence["TimelineRow"], segments: Iterable["Segment"], labels: Sequence[str]) -> PersonSummary:
    """The summary of the person of these rows, from the segments of all persons."""
    person = rows[0].person
    seconds: dict[str, float] = {}
    for segment in segments:
        if segment.person == person and segment.emotion is not None:
            seconds[segment.emotion] = seconds.get(segment.emotion, 0.0) + segment.end - segment.start
    ranked = dict(sorted(seconds.items(), key=lambda one: -one[1]))
    named = [name for name in ranked if name != UNCERTAIN] or list(ranked)
    scored = [row for row in rows if row.scores]
    return PersonSummary(
        person=person,
        seconds=sum(ranked.values()),
        emotion=named[0] if named else None,
        emotion_seconds=ranked,
        mean_scores={label: sum(row.scores[label] for row in scored) / len(scored) for label in labels if scored},
        face_coverage=_mean(row.face_coverage for row in rows),
        voice_coverage=_mean(row.voice_coverage for row in rows),
        shares={
            name: sum(row.shares.get(name, 0.0) for row in scored) / len(scored)
            for name in dict.fromkeys(name for row in scored for name in row.shares)
        },
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


__all__ = ["PersonSummary", "summary_of"]
