"""The report of a clip: player, timeline, summary and table in one HTML file."""

import base64
import io
import mimetypes
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from ...errors import InputError
from ...utils import require_writable, write_text, writing
from ..answers import UNCERTAIN
from ..table import lane_name
from .document import clock, pack, percent, render_page

if TYPE_CHECKING:
    from ..summary import PersonSummary
    from ..table import Timeline

SCRIPTS = ("data.js", "plots.js", "table.js", "page.js")
PICTURES = 12  # of a person
PICTURE_BYTES = 150_000  # of all persons; base64 makes them a third larger
PICTURE_SIDE = 96  # pixels, twice of what is shown, for dense screens
EMBEDDED_BYTES = 200_000_000  # browsers refuse much longer addresses
TICK, FRACTION, DECIBEL, HERTZ = 1e-4, 2e-5, 0.01, 0.1  # to which numbers are rounded
LOWEST_DECIBEL = -200.0
SETTINGS = {  # how they are called on the page
    "window": "window, seconds",
    "hop": "hop, seconds",
    "smoothing": "smoothing, seconds",
    "abstain": "uncertain below",
    "fps": "frames per second",
}


def write_report(timeline: "Timeline", path: str | Path, media: str | Path | None = None, embed: bool = False) -> Path:
    """Write the report of a clip as one HTML file that loads nothing from the network.

    Args:
        timeline: of the clip.
        path: HTML file to write.
        media: the clip that the page plays; `timeline.clip` by default, if that is a file. The page refers to it by
            its path relative to the page: they are moved together.
        embed: put the clip into the page instead, up to 200 MB.

    Returns:
        The path.

    Raises:
        InputError: the file cannot be written, or `embed` without a clip that can be read and is short enough.
    """
    path = Path(path)
    require_writable(path)
    clip = Path(timeline.clip if media is None else media)
    if embed:
        url: str | None = _embedded(clip)
    else:
        url = _relative_url(clip, path) if media is not None or clip.is_file() else None
    with writing(path):
        write_text(path, report_html(timeline, url))
    return path


def report_html(timeline: "Timeline", media_url: str | None = None) -> str:
    """The text of the report.

    Args:
        timeline: of the clip.
        media_url: address of the clip, from where the page is shown: relative, of the same server, or a `data:` or
            `blob:` address. Without one the page asks for the clip.
    """
    emotions = (*timeline.labels, UNCERTAIN)
    model = {"name": timeline.model.get("name"), "sha256": timeline.model.get("sha256")}
    persons = [_person(one, timeline) for one in timeline.summary]
    count = sum(person is not None for person in timeline.persons)
    people = f"{count or 'no'} person{'' if count == 1 else 's'} seen" if timeline.has_video else "voice only"
    made = [("Clip", Path(timeline.clip).name)]
    if model["name"]:
        made.append(("Model", model["name"] + (f", sha256 {str(model['sha256'])[:12]}" if model["sha256"] else "")))
    settings = {SETTINGS.get(name, name): value for name, value in timeline.settings.items() if value is not None}
    made += [(name[:1].upper() + name[1:], _setting(value)) for name, value in settings.items()]
    return render_page(
        "page.html.jinja",
        styles=["page.css"],
        scripts=SCRIPTS,
        labels=timeline.labels,
        data=_data(timeline),
        title=Path(timeline.clip).name or "clip",
        duration=timeline.duration,
        people=people,
        model=model,
        media=media_url,
        has_video=timeline.has_video,
        emotions=emotions,
        persons=persons,
        signals=_signals(timeline),
        step=_hop(timeline),
        made=made,
    )


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_setting(part)}" for name, part in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _hop(timeline: "Timeline") -> float:
    """Seconds from one window to the next."""
    hop = timeline.settings.get("hop")
    if hop:
        return float(hop)
    starts = sorted({row.start for row in timeline.rows})
    steps = sorted(after - before for before, after in pairwise(starts))
    return steps[len(steps) // 2] if steps else max(timeline.duration, 0.1)


def _data(timeline: "Timeline") -> dict[str, Any]:
    """What the scripts of the page read: columns as packed numbers, in the order of the rows."""
    table = timeline.columns()
    number = {label: place for place, label in enumerate((*timeline.labels, UNCERTAIN))}
    place = {person: index for index, person in enumerate(timeline.persons)}
    segments = timeline.segments
    texts = table.get("text")
    columns = {name: pack(table[name], TICK, 32) for name in ("start", "end")}
    columns["person"] = pack([place[person] for person in table["person"]], 1, 16)
    columns["emotion"] = pack([None if name is None else number[name] for name in table["emotion"]], 1, 8)
    for name in table:
        if name == "confidence" or name.startswith(("score_", "share_")) or name.endswith("_coverage"):
            columns[name] = pack(table[name], FRACTION, 16)
    columns["loudness"] = pack(table["loudness"], DECIBEL, 16, LOWEST_DECIBEL)
    columns["pitch"] = pack(table["pitch"], HERTZ, 16)
    columns["num_persons"] = pack(table["num_persons"], 1, 8)
    return {
        "clip": Path(timeline.clip).name,
        "csv": f"{Path(timeline.clip).stem or 'clip'}.csv",
        "duration": max(timeline.duration, 0.1),
        "hop": _hop(timeline),
        "labels": timeline.labels,
        "persons": timeline.persons,
        "fields": list(table),
        "columns": columns,
        "texts": texts,
        "segments": {
            "start": pack([one.start for one in segments], TICK, 32),
            "end": pack([one.end for one in segments], TICK, 32),
            "person": pack([place[one.person] for one in segments], 1, 16),
            "emotion": pack([None if one.emotion is None else number[one.emotion] for one in segments], 1, 8),
            "confidence": pack([one.confidence for one in segments], FRACTION, 16),
        },
        "segment_texts": [one.text for one in segments] if any(one.text for one in segments) else None,
    }


def _person(summary: "PersonSummary", timeline: "Timeline") -> dict[str, Any]:
    """What the page says about a person without a script."""
    name, rows = lane_name(summary.person), timeline.of(summary.person)
    place = {label: number for number, label in enumerate((*timeline.labels, UNCERTAIN))}
    bars: list[dict[str, Any]] = [
        {
            "name": emotion,
            "number": place[emotion],
            "uncertain": emotion == UNCERTAIN,
            "seconds": seconds,
            "fraction": seconds / summary.seconds if summary.seconds else 0.0,
        }
        for emotion, seconds in summary.emotion_seconds.items()
    ]
    scored = sum(bool(row.scores) for row in rows)
    facts = [("Windows", f"{len(rows):,}" + ("" if scored == len(rows) else f", {scored:,} with an emotion"))]
    facts.append(("Seen or heard", f"{clock(summary.seconds)} of {clock(timeline.duration)}"))
    if summary.face_coverage is not None and summary.person is not None:
        facts.append(("Face", f"in {percent(summary.face_coverage)} of the frames"))
    if summary.voice_coverage is not None:
        facts.append(("Voice", f"in {percent(summary.voice_coverage)} of the time"))
    if len(summary.shares) > 1:
        facts.append(("Decided by", ", ".join(f"{_SHARES[one]} {percent(part)}" for one, part in _shares(summary))))
    main = summary.emotion
    line = "nothing seen or heard"
    if main is not None:
        share = summary.emotion_seconds[main] / summary.seconds if summary.seconds else 0.0
        line = f"mostly {main}, {percent(share)} of {clock(summary.seconds)}"
    named = ", ".join(f"{bar['name']} {clock(bar['seconds'])}" for bar in bars)
    return {
        "name": name,
        "line": line,
        "bars": bars,
        "facts": facts,
        "pictures": _pictures(timeline, summary.person),
        "description": f"Emotions of {name} over time: {named or line}. The table below has all windows.",
    }


_SHARES = {"audio": "voice", "image": "face"}


def _shares(summary: "PersonSummary") -> list[tuple[str, float]]:
    return [(name, summary.shares[name]) for name in _SHARES if name in summary.shares]


def _signals(timeline: "Timeline") -> list[dict[str, str]]:
    """The lanes below those of persons, of what was measured."""
    found = []
    for key, unit in (("loudness", "dB"), ("pitch", "Hz")):
        values = [value for row in timeline.rows if (value := getattr(row, key)) is not None]
        if values:
            description = f"{key.capitalize()} over time, from {min(values):.0f} to {max(values):.0f} {unit}."
            found.append({"key": key, "name": key.capitalize(), "description": description})
    description = "Where there is no face, no voice, or several faces."
    return [*found, {"key": "quality", "name": "Quality", "description": description}]


def _pictures(timeline: "Timeline", person: str | None) -> list[dict[str, Any]]:
    """Faces of a person as data addresses, spread over the time, within the bytes that a person may take."""
    found = timeline.pictures.get(person, []) if person is not None else []
    budget = PICTURE_BYTES // max(1, sum(bool(one) for one in timeline.pictures.values()))
    small = [(one.time, jpeg) for one in _spread(found, PICTURES) if (jpeg := _thumbnail(one.jpeg)) is not None]
    while sum(len(jpeg) for _, jpeg in small) > budget:
        small = _spread(small, len(small) - 1)
    return [{"time": time, "url": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"} for time, jpeg in small]


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """At most so many items, evenly from the first to the last."""
    if len(items) <= count:
        return list(items)
    return [items[round(place * (len(items) - 1) / max(1, count - 1))] for place in range(count)]


def _thumbnail(jpeg: bytes) -> bytes | None:
    """The image in the size that is shown, `None` if it is none."""
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            if image.format == "JPEG" and max(image.size) <= PICTURE_SIDE:
                return jpeg
            small = image.convert("RGB")
    except (UnidentifiedImageError, OSError):
        return None
    small.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    target = io.BytesIO()
    small.save(target, "JPEG", quality=82)
    return target.getvalue()


def _relative_url(clip: Path, page: Path) -> str:
    """The address of a file, relative to the page."""
    try:
        relative = os.path.relpath(os.path.abspath(clip), os.path.abspath(page.parent))
    except ValueError:  # on another drive of Windows
        return Path(os.path.abspath(clip)).as_uri()
    # a leading dot, else a colon in the name would end a scheme
    return "./" + quote(Path(relative).as_posix(), safe="/")


def _embedded(clip: Path) -> str:
    """The content of a file as an address."""
    try:
        size = clip.stat().st_size
        if size > EMBEDDED_BYTES:
            raise InputError(
                f"{clip}: has {size / 1e6:.0f} MB, and at most {EMBEDDED_BYTES / 1e6:.0f} can be part of a page; "
                "leave out embed"
            )
        content = clip.read_bytes()
    except OSError as error:
        raise InputError(
            f"{clip}: cannot be read ({error.strerror}), so it cannot be part of the page; name the clip, or leave "
            "out embed"
        ) from error
    kind = mimetypes.guess_type(clip.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


__all__ = ["report_html", "write_report"]
