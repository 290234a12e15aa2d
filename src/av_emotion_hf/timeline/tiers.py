"""Segments that a user gives: stretches of a clip on named tiers, as annotation tools write them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GivenSegment:
    """A stretch of a clip that the user has marked.

    Attributes:
        start: seconds from the start of the clip.
        end: seconds.
        tier: of the file, such as a person; `None` where the format has none.
        text: what is written there.
    """

    start: float
    end: float
    tier: str | None = None
    text: str = ""


__all__ = ["GivenSegment"]
