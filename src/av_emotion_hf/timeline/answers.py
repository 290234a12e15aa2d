"""The answer that scores amount to: the most probable class, or that it is uncertain."""

from ..errors import InputError

UNCERTAIN = "uncertain"  # the answer that is none


def check_abstain(abstain: float) -> float:
    """The probability below which nothing is answered.

    Raises:
        InputError: it is not from 0 to 1.
    """
    if isinstance(abstain, bool) or not isinstance(abstain, int | float) or not 0 <= abstain <= 1:
        raise InputError(f"abstain={abstain!r}: has to be a probability, from 0 to 1; use 0.6, for instance")
    return float(abstain)


def answer_of(scores: dict[str, float], abstain: float) -> str | None:
    """The most probable class, `UNCERTAIN` where it is less probable than `abstain`; `None` without scores."""
    if not scores:
        return None
    label = max(scores, key=lambda name: scores[name])
    return label if scores[label] >= abstain else UNCERTAIN


__all__ = ["UNCERTAIN", "answer_of", "check_abstain"]
