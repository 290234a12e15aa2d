"""What the page shows of a timeline: sentences, and the report in a frame."""

from html import escape
from typing import TYPE_CHECKING

from ..timeline.answers import UNCERTAIN

if TYPE_CHECKING:
    from ..timeline.summary import PersonSummary
    from ..timeline.table import Timeline

# the frame is as high as the report, and stays so when that changes
FIT = (
    "const page = this.contentDocument.documentElement; const fit = () => "
    "this.style.height = Math.min(page.scrollHeight, 4000) + 'px'; fit(); "
    "new this.contentWindow.ResizeObserver(fit).observe(this.contentDocument.body)"
)


def answer_html(timeline: "Timeline") -> str:
    """The main answer for each person, in sentences."""
    lines = [f"<p>{_sentence(one)}</p>" for one in timeline.summary]
    lines = lines or ["<p>Nobody is seen or heard in this clip.</p>"]
    return f'<div class="answer" role="status">{"".join(lines)}</div>'


def problem_html(message: str) -> str:
    """A sentence about what went wrong."""
    return f'<div class="problem" role="alert">{escape(message)}</div>'


def report_frame(page: str) -> str:
    """The report, in a frame of its own.

    Args:
        page: text of the whole HTML page.
    """
    return (
        f'<iframe class="report" title="Report: timeline, persons, table" srcdoc="{escape(page, quote=True)}" '
        f'onload="{escape(FIT, quote=True)}"></iframe>'
    )


def _sentence(one: "PersonSummary") -> str:
    """Such as `Person 1: the expression is mostly happy (12 of 20 s), also neutral (5 s)`."""
    name = "The voice" if one.person is None else one.person.replace("-", " ").capitalize()
    name = f"<strong>{escape(name)}</strong>"
    if one.emotion is None:
        return f"{name}: nothing was seen or heard that could be recognized."
    if one.emotion == UNCERTAIN:
        return f"{name}: no expression is clear enough to name it."
    shown = one.emotion_seconds
    others = [f"{escape(label)} ({seconds:.0f} s)" for label, seconds in shown.items() if label != one.emotion]
    also = f", also {', '.join(others[:3])}" if others else ""
    return (
        f"{name}: the expression is mostly <strong>{escape(one.emotion)}</strong> "
        f"({shown[one.emotion]:.0f} of {one.seconds:.0f} s){also}."
    )


__all__ = ["answer_html", "problem_html", "report_frame"]
