"""ELAN's annotation files (EAF 3.0): a tier for each person, its confidence below it. Also read for segments."""

import mimetypes
import os
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ...errors import InputError
from ...utils import atomic_write
from ..answers import UNCERTAIN
from .lanes import NOTICE, Span, encodable, exclusive_spans, lane_names, one_line, unused
from .marks import Mark, read_text

if TYPE_CHECKING:
    from ..table import Timeline

FORMAT = "3.0"
SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
SCHEMA_ATTRIBUTE = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
ANNOTATOR = "av-emotion"
VOCABULARY = "emotions"
UNDETERMINED = {  # the language of the labels
    "LANG_DEF": "http://cdb.iso.org/lg/CDB-00130975-001",
    "LANG_ID": "und",
    "LANG_LABEL": "undetermined (und)",
}
ASSOCIATION = "Symbolic_Association"  # one to one with the annotation that it belongs to
MIME_TYPES = {".wav": "audio/x-wav", ".mov": "video/quicktime"}  # as ELAN calls them
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_eaf(timeline: "Timeline", path: str | Path) -> None:
    """Write a timeline for ELAN.

    The tier of a person has the emotions, and the dependent tier `NAME confidence` the confidence of each. Of given
    segments, the tier has what was given, with its texts, and emotions are in the dependent tier `NAME emotion`. The
    emotions are a controlled vocabulary, so that they are corrected by choosing from a list. The clip is linked, if it
    is a file.

    Raises:
        InputError: segments of a tier overlap.
    """
    root = Element("ANNOTATION_DOCUMENT", AUTHOR=ANNOTATOR, DATE=_now(), FORMAT=FORMAT, VERSION=FORMAT)
    root.set(SCHEMA_ATTRIBUTE, SCHEMA)
    header = SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    _link(header, timeline.clip, Path(path))
    SubElement(header, "PROPERTY", NAME="notice").text = NOTICE
    order = SubElement(root, "TIME_ORDER")

    given = timeline.settings.get("segments") is not None
    names = lane_names(timeline, lambda name: _NOT_XML.sub(" ", one_line(name)))
    lanes = {person: exclusive_spans(timeline, person) for person in names}
    slots = _time_slots(order, lanes)
    taken, count = set(names.values()), 0
    for person, name in names.items():
        tier = SubElement(root, "TIER", TIER_ID=name, PARTICIPANT=name, ANNOTATOR=ANNOTATOR)
        tier.set("LINGUISTIC_TYPE_REF", "segment" if given else "emotion")
        parents = []
        for number, span in enumerate(lanes[person]):
            count += 1
            first, last = slots[person, number]
            annotation = SubElement(SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", ANNOTATION_ID=f"a{count}")
            annotation.set("TIME_SLOT_REF1", first)
            annotation.set("TIME_SLOT_REF2", last)
            text = span.segment.text if given else span.segment.emotion
            SubElement(annotation, "ANNOTATION_VALUE").text = _xml(text or "")
            parents.append((f"a{count}", span))
        for kind in ("emotion", "confidence") if given else ("confidence",):
            own = unused(f"{name} {kind}", taken)
            tier = SubElement(root, "TIER", TIER_ID=own, PARTICIPANT=name, ANNOTATOR=ANNOTATOR, PARENT_REF=name)
            tier.set("LINGUISTIC_TYPE_REF", kind)
            for parent, span in parents:
                text = span.segment.emotion if kind == "emotion" else _confidence(span)
                if text is not None:
                    count += 1
                    annotation = SubElement(SubElement(tier, "ANNOTATION"), "REF_ANNOTATION")
                    annotation.set("ANNOTATION_ID", f"a{count}")
                    annotation.set("ANNOTATION_REF", parent)
                    SubElement(annotation, "ANNOTATION_VALUE").text = _xml(text)
    SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(count)
    _types(root, given)
    vocabulary = SubElement(root, "CONTROLLED_VOCABULARY", CV_ID=VOCABULARY)
    SubElement(vocabulary, "DESCRIPTION", LANG_REF=UNDETERMINED["LANG_ID"])
    for number, label in enumerate(dict.fromkeys((*timeline.labels, UNCERTAIN)), start=1):
        entry = SubElement(vocabulary, "CV_ENTRY_ML", CVE_ID=f"cveid{number}")
        SubElement(entry, "CVE_VALUE", LANG_REF=UNDETERMINED["LANG_ID"], DESCRIPTION="").text = _xml(label)
    ElementTree.indent(root, "    ")
    with atomic_write(path) as partial:
        ElementTree.ElementTree(root).write(partial, encoding="UTF-8", xml_declaration=True)


def _time_slots(order: Element, lanes: dict[str | None, list[Span]]) -> dict[tuple[str | None, int], tuple[str, str]]:
    """Two time slots for each span, by person and its number there; slots are in the order of time."""
    times = sorted(
        (time, is_end, lane, number)
        for lane, spans in enumerate(lanes.values())
        for number, span in enumerate(spans)
        for is_end, time in enumerate(span[:2])
    )
    names: dict[tuple[int, int, int], str] = {}
    for count, (time, is_end, lane, number) in enumerate(times, start=1):
        SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{count}", TIME_VALUE=str(time))
        names[lane, number, is_end] = f"ts{count}"
    return {
        (person, number): (names[lane, number, 0], names[lane, number, 1])
        for lane, (person, spans) in enumerate(lanes.items())
        for number in range(len(spans))
    }


def _types(root: Element, given: bool) -> None:
    """The linguistic types, and what they refer to."""
    kinds = (
        {"segment": False, "emotion": True, "confidence": True} if given else {"emotion": False, "confidence": True}
    )
    for kind, is_dependent in kinds.items():
        own = SubElement(root, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=kind, GRAPHIC_REFERENCES="false")
        own.set("TIME_ALIGNABLE", "false" if is_dependent else "true")
        if is_dependent:
            own.set("CONSTRAINTS", ASSOCIATION)
        if kind == "emotion":
            own.set("CONTROLLED_VOCABULARY_REF", VOCABULARY)
    SubElement(root, "LANGUAGE", UNDETERMINED)
    SubElement(root, "CONSTRAINT", STEREOTYPE=ASSOCIATION, DESCRIPTION="1-1 association with a parent annotation")


def _link(header: Element, clip: str, path: Path) -> None:
    """The clip as ELAN finds it: by its absolute path, or relative to the file. It does not escape either of them."""
    source = Path(clip)
    if not source.is_file():
        return
    link = SubElement(header, "MEDIA_DESCRIPTOR")
    absolute = source.resolve().as_posix()
    link.set("MEDIA_URL", _xml(f"file://{'' if absolute.startswith('/') else '/'}{absolute}"))
    link.set("MIME_TYPE", MIME_TYPES.get(source.suffix.lower()) or mimetypes.guess_type(source.name)[0] or "unknown")
    try:
        relative = Path(os.path.relpath(source.resolve(), path.parent.resolve())).as_posix()
    except ValueError:  # on another drive of Windows
        return
    link.set("RELATIVE_MEDIA_URL", _xml(relative if relative.startswith("../") else f"./{relative}"))


def _confidence(span: Span) -> str | None:
    return None if span.segment.confidence is None else f"{span.segment.confidence:.2f}"


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", encodable(text))


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def read_eaf(path: str | Path) -> list[Mark]:
    """The annotations of all tiers that depend on no other, also those without text.

    Raises:
        InputError: it is not such a file, or an annotation has no times.
    """
    text = read_text(path, "save it again in ELAN")
    if "<!DOCTYPE" in text:  # a few entities that it declares can be made gigabytes
        raise InputError(f"{path}: declares a DOCTYPE, which no file of ELAN does; remove it")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: is not XML, or damaged ({error}); save it again in ELAN") from error
    if root.tag != "ANNOTATION_DOCUMENT":
        raise InputError(f"{path}: is XML of another kind (<{root.tag}>), not of ELAN; choose another file")
    header = root.find("HEADER")
    units = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if units != "milliseconds":
        raise InputError(f"{path}: has times in {units}, and milliseconds are read; save it again in ELAN")
    times = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iterfind("TIME_ORDER/TIME_SLOT")}
    marks = []
    for tier in root.iterfind("TIER"):
        if tier.get("PARENT_REF"):
            continue
        name = tier.get("TIER_ID")
        for annotation in tier.iterfind("ANNOTATION/ALIGNABLE_ANNOTATION"):
            place = f"annotation {annotation.get('ANNOTATION_ID')} of tier {name!r}"
            values = [times.get(annotation.get(one)) for one in ("TIME_SLOT_REF1", "TIME_SLOT_REF2")]
            if not all(value and re.fullmatch(r"\d+", value) for value in values):
                raise InputError(f"{path}, {place}: has no times; give it some in ELAN, or remove it")
            start, end = (int(str(value)) / 1000 for value in values)
            said = annotation.findtext("ANNOTATION_VALUE") or ""
            marks.append(Mark(place, start, end, name, said.strip()))
    return marks


__all__ = ["read_eaf", "write_eaf"]
