"""Which person of a clip is meant: the largest one, the one who speaks, all, or one by name."""

import re
import warnings
from collections.abc import Iterable
from typing import Any

LARGEST, SPEAKING, ALL = "largest", "speaking", "all"
PERSONS = (LARGEST, SPEAKING, ALL)
SPEAKERS = {"size": LARGEST, "speech": SPEAKING}  # what `speaker` called them


def person_name(number: int) -> str:
    """What the person is called who is the `number`-th to appear in a clip, from 1."""
    return f"person-{number}"


def check_person(person: Any, speaker: Any = None) -> str:
    """The choice of a person: one of `PERSONS`, or a name.

    Args:
        person: the choice.
        speaker: the same by its old name, `size` or `speech`; `None` if it was not given.

    Raises:
        ValueError: there is no such choice.
    """
    old = speaker if speaker is not None else person if isinstance(person, str) and person in SPEAKERS else None
    if old is not None:
        if old not in SPEAKERS:
            raise ValueError(f"speaker={old!r}: is now person, with one of {', '.join(PERSONS)}, or a name")
        warnings.warn(
            f"speaker={old!r} is now person={SPEAKERS[old]!r}; the old name works until 0.3",
            DeprecationWarning,
            stacklevel=3,
        )
        return SPEAKERS[old]
    if not isinstance(person, str) or not (person in PERSONS or is_name(person)):
        raise ValueError(
            f"person={person!r}: there is no such choice; use one of {', '.join(PERSONS)}, or a name such as "
            f"{person_name(2)!r}"
        )
    return person


def is_name(person: str) -> bool:
    """Whether it is the name of a person."""
    return re.fullmatch(r"person-[1-9][0-9]*", person) is not None


def in_order(names: Iterable[str]) -> list[str]:
    """Names of persons, each once, in the order in which they appear."""
    return sorted(set(names), key=lambda name: int(name.rpartition("-")[2]))


def unknown_person(person: str, names: Iterable[str]) -> str:
    """The message where nobody has the name that was asked for."""
    found = in_order(names)
    if not found:
        return f"person={person!r}: nobody is seen in the clip; leave the name out"
    return f"person={person!r}: nobody in the clip has this name; there are {', '.join(found)}"


__all__ = [
    "ALL",
    "LARGEST",
    "PERSONS",
    "SPEAKERS",
    "SPEAKING",
    "check_person",
    "in_order",
    "is_name",
    "person_name",
    "unknown_person",
]
