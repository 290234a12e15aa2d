"""Praat TextGrids: an interval tier for each person, empty where nothing is seen or heard. Also read for segments."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...errors import InputError
from ...utils import write_text
from ..table import VOICE
from .lanes import exclusive_spans, lane_names, one_line, unused
from .marks import Mark, read_content, read_text

if TYPE_CHECKING:
    from ..table import Timeline

# Praat reads strings, free-standing numbers and flags, and nothing else, so that both of its formats are one
_TOKEN = re.compile(
    r'"(?P<string>[^"]*+(?:""[^"]*+)*+)"|(?<!\S)(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?!\S)'
    r"|(?<!\S)(?P<flag><\w+>)|(?P<comment>![^\n]*)"
)


def write_textgrid(timeline: "Timeline", path: str | Path) -> None:
    """Write a timeline as TextGrid in the long text format, in UTF-8.

    The tier of a person has its emotions. If given segments have texts, it has these, and the tier `NAME emotion` the
    emotions.

    Raises:
        InputError: segments of a tier overlap.
    """
    tiers: dict[str, list[tuple[int, int, str]]] = {}
    has_texts = any(one.text for one in timeline.segments)
    names = lane_names(timeline)
    taken = set(names.values())
    for person, name in names.items():
        spans = exclusive_spans(timeline, person)
        if has_texts:
            tiers[name] = [(start, end, one.text or "") for start, end, one in spans]
            name = unused(f"{name} emotion", taken)
        tiers[name] = [(start, end, one.emotion or "") for start, end, one in spans]
    if not tiers:
        tiers[VOICE] = []  # Praat needs a tier
    last = max([round(timeline.duration * 1000), 1, *(end for tier in tiers.values() for _, end, _ in tier)])
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_time(last)}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, tier) in enumerate(tiers.items(), start=1):
        intervals = _covering(tier, last)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f"        name = {_quoted(name)}"]
        lines += ["        xmin = 0", f"        xmax = {_time(last)}", f"        intervals: size = {len(intervals)}"]
        for place, (start, end, text) in enumerate(intervals, start=1):
            lines += [f"        intervals [{place}]:", f"            xmin = {_time(start)}"]
            lines += [f"            xmax = {_time(end)}", f"            text = {_quoted(text)}"]
    write_text(path, "\n".join(lines) + "\n")


def _covering(spans: list[tuple[int, int, str]], last: int) -> list[tuple[int, int, str]]:
    """The spans, and empty ones between them, from 0 to the end."""
    intervals: list[tuple[int, int, str]] = []
    time = 0
    for start, end, text in spans:
        if start > time:
            intervals.append((time, start, ""))
        intervals.append((start, end, text))
        time = end
    return intervals if time == last else [*intervals, (time, last, "")]


def _time(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    return '"' + one_line(text).replace('"', '""') + '"'


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def read_textgrid(path: str | Path) -> list[Mark]:
    """The intervals with a text of all interval tiers, from the long or the short text format.

    Raises:
        InputError: it is not such a file.
    """
    if read_content(path).startswith(b"ooBinaryFile"):
        raise InputError(f"{path}: is a binary TextGrid; save it in Praat by 'Save as text file...'")
    text = read_text(path, "save it in Praat, with UTF-8 in the 'Text writing preferences...'")
    tokens = _Tokens(text, path)
    if tokens.take("string", "the type of the file") != "ooTextFile" or tokens.take("string", "a class") != "TextGrid":
        raise InputError(f'{path}: is not a TextGrid, whose first lines say "ooTextFile" and "TextGrid"')
    tokens.take("number", "its start")
    tokens.take("number", "its end")
    marks: list[Mark] = []
    if tokens.take("flag", "whether it has tiers") != "<exists>":
        return marks
    for _ in range(tokens.count("its number of tiers")):
        kind = tokens.take("string", "the class of a tier")
        name = tokens.take("string", "the name of a tier")
        tokens.take("number", f"the start of tier {name!r}")
        tokens.take("number", f"the end of tier {name!r}")
        if kind not in ("IntervalTier", "TextTier"):
            raise InputError(f"{path}: tier {name!r} is of the class {kind!r}, which is not one of Praat's; repair it")
        for number in range(1, tokens.count(f"the number of intervals of tier {name!r}") + 1):
            place = f"interval {number} of tier {name!r}"
            start = float(tokens.take("number", f"the start of {place}"))
            end = start if kind == "TextTier" else float(tokens.take("number", f"the end of {place}"))
            said = tokens.take("string", f"the text of {place}").strip()
            if kind == "IntervalTier" and said:  # an empty interval is a gap
                marks.append(Mark(place, start, end, name, said))
    return marks


class _Tokens:
    """What Praat reads of a text, piece by piece."""

    def __init__(self, text: str, path: str | Path):
        self.path, self.tokens, self.line = path, self._split(text), 1

    @staticmethod
    def _split(text: str) -> Iterator[_Token]:
        line, seen = 1, 0
        for match in _TOKEN.finditer(text):
            line, seen = line + text.count("\n", seen, match.start()), match.start()
            if match.lastgroup != "comment":
                yield _Token(str(match.lastgroup), match[str(match.lastgroup)], line)

    def take(self, kind: str, what: str) -> str:
        """The next piece, which has to be of a kind."""
        token = next(self.tokens, None)
        if token is None:
            raise InputError(f"{self.path}: ends before {what}, so it is not a whole TextGrid; save it again in Praat")
        if token.kind != kind:
            raise InputError(
                f"{self.path}, line {token.line}: {token.text!r} is not {what}, so it is not a whole TextGrid; "
                "save it again in Praat"
            )
        return token.text.replace('""', '"') if kind == "string" else token.text

    def count(self, what: str) -> int:
        """The next piece, which has to be a whole number."""
        text = self.take("number", what)
        if not text.isdecimal():
            raise InputError(f"{self.path}: {text} is not {what}, so it is damaged; save it again in Praat")
        return int(text)


__all__ = ["read_textgrid", "write_textgrid"]
