"""Subtitles, a cue for each segment with an emotion: WebVTT and SubRip (SRT). Both are also read for segments."""

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ...utils import write_text
from .lanes import NOTICE, answer_text, cues, lane_names, one_line
from .marks import Mark, read_text

if TYPE_CHECKING:
    from ..segments import Segment
    from ..table import Timeline

_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>")
_VTT_TAG = re.compile(r"</?[a-z0-9][^>]*>", re.I)
_SRT_TAG = re.compile(r"</?(?:i|b|u|font)\b[^>]*>|\{\\an?\d+\}", re.I)
_PREFIX = re.compile(r"\[?([^\]:]{1,60})\]?: (.*)", re.S)  # also as whisperX writes it, [SPEAKER_00]: ...


def write_vtt(timeline: "Timeline", path: str | Path) -> None:
    """Write a timeline as WebVTT: persons are voices, `<v person-1>angry 0.71`."""
    names = {person: html.escape(name, quote=False) for person, name in lane_names(timeline).items()}
    blocks = ["WEBVTT", f"NOTE\n{NOTICE}"]
    for start, end, segment in cues(timeline):
        lines = [html.escape(line, quote=False) for line in _payload(segment)]
        lines[0] = f"<v {names[segment.person]}>{lines[0]}"
        blocks.append("\n".join([f"{_clock(start, '.')} --> {_clock(end, '.')}", *lines]))
    write_text(path, "\n\n".join(blocks) + "\n")


def write_srt(timeline: "Timeline", path: str | Path) -> None:
    """Write a timeline as SubRip: `person-1: angry 0.71`."""
    names = lane_names(timeline)
    blocks = []
    for number, (start, end, segment) in enumerate(cues(timeline), start=1):
        lines = _payload(segment)
        lines[0] = f"{names[segment.person]}: {lines[0]}"
        lines = [line.replace("-->", "->") for line in lines]  # that would be another line of times
        blocks.append("\n".join([str(number), f"{_clock(start, ',')} --> {_clock(end, ',')}", *lines]) + "\n")
    write_text(path, "\n".join(blocks))


def _payload(segment: "Segment") -> list[str]:
    """The lines of a cue: the answer, and below it the text of a given segment."""
    text = one_line(segment.text or "")
    return [answer_text(segment), *([text] if text else [])]


def _clock(milliseconds: int, point: str) -> str:
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{rest:03}"


def read_vtt(path: str | Path) -> list[Mark]:
    """The cues of a WebVTT file; each voice in a cue is a segment of its tier.

    Without voice tags, names before a colon are tiers if all cues have one.

    Raises:
        InputError: it is not such a file.
    """
    text = read_text(path)
    if not re.match(r"WEBVTT(\s|$)", text):
        raise InputError(f"{path}: does not start with WEBVTT, so it is not a WebVTT file; put that in its first line")
    marks = []
    for place, start, end, payload in _cues(text, path):
        parts = _VOICE.split(payload)  # text before the first voice, then voice and text in turn
        spoken = [(None, parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
        voices: dict[str | None, str] = {}
        for voice, said in spoken:
            tier = None if voice is None else html.unescape(voice)
            plain = html.unescape(_VTT_TAG.sub("", said)).strip()
            if plain or voice is not None or len(spoken) == 1:
                voices[tier] = f"{voices[tier]} {plain}".strip() if tier in voices else plain
        marks += [Mark(place, start, end, tier, said) for tier, said in voices.items()]
    return _with_names(marks)


def read_srt(path: str | Path) -> list[Mark]:
    """The cues of a SubRip file; names before a colon are tiers if all cues have one.

    Raises:
        InputError: it is not such a file.
    """
    found = _cues(read_text(path), path)
    return _with_names([Mark(place, start, end, None, _SRT_TAG.sub("", said)) for place, start, end, said in found])


def _cues(text: str, path: str | Path) -> list[tuple[str, float, float, str]]:
    """Place, start, end and text of each cue. Numbers, notes and styles have no line of times, and are passed by."""
    lines = text.split("\n")
    found: list[tuple[str, float, float, str]] = []
    number = 0
    while number < len(lines):
        line, place = lines[number], f"line {number + 1}"
        number += 1
        if re.match(r"(NOTE|STYLE|REGION)(\s|$)", line):
            while number < len(lines) and lines[number].strip():
                number += 1
        elif "-->" in line:
            times = _TIMES.fullmatch(line)
            if not times:
                raise InputError(
                    f"{path}, {place}: {line.strip()!r} is not a line of times; "
                    "write it like 00:00:01.000 --> 00:00:02.500"
                )
            said = []
            while number < len(lines) and lines[number].strip() and "-->" not in lines[number]:
                said.append(lines[number].strip())
                number += 1
            found.append((place, _seconds(times.groups()[:4]), _seconds(times.groups()[4:]), " ".join(said)))
    return found


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, whole, rest = parts
    milliseconds = int((rest or "0").ljust(3, "0"))
    return ((int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(whole or 0)) + milliseconds / 1000


def _with_names(marks: list[Mark]) -> list[Mark]:
    """The marks with the names before a colon as tiers, if all have one and there are no voices."""
    found = [_PREFIX.fullmatch(mark.text) for mark in marks if mark.tier is None]
    if len(found) < len(marks) or not all(found):
        return marks
    return [mark._replace(tier=name[1], text=name[2].strip()) for mark, name in zip(marks, found, strict=True) if name]


__all__ = ["read_srt", "read_vtt", "write_srt", "write_vtt"]
