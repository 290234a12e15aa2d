from dataclasses import replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import pympi
import pytest
from helpers.small_timelines import LABELS, ODD_LINE, STRETCHES, interview, row, timeline_of, turns

from av_emotion_hf import InputError
from av_emotion_hf.timeline.formats.elan import read_eaf


def written(timeline, tmp_path):
    return pympi.Elan.Eaf(str(timeline.to_eaf(tmp_path / "talk.eaf")))


def test_a_tier_for_each_person_and_its_confidence_below(tmp_path):
    eaf = written(interview(), tmp_path)
    names = ["person-1", ODD_LINE, "voice"]
    assert list(eaf.get_tier_names()) == [name + end for name in names for end in ("", " confidence")]
    for start, end, name, emotion, confidence in STRETCHES:
        times = (1000 * start, 1000 * end)
        assert eaf.get_annotation_data_for_tier(name) == [(*times, emotion)]
        assert eaf.get_ref_annotation_data_for_tier(f"{name} confidence") == [(*times, f"{confidence:.2f}", emotion)]
        assert eaf.get_parameters_for_tier(f"{name} confidence")["PARENT_REF"] == name
        assert eaf.get_parameters_for_tier(name)["PARTICIPANT"] == name
    assert eaf.get_linguistic_type_names() == {"emotion": 0, "confidence": 0}.keys()
    assert eaf.get_parameters_for_linguistic_type("confidence")["CONSTRAINTS"] == "Symbolic_Association"
    assert eaf.get_parameters_for_linguistic_type("emotion")["CONTROLLED_VOCABULARY_REF"] == "emotions"
    entries = eaf.get_cv_entries("emotions")
    assert [values[0][0][0] for values in entries.values()] == [*LABELS, "uncertain"]


def test_given_segments_keep_their_texts_and_have_emotions_below(tmp_path):
    eaf = written(turns(), tmp_path)
    tiers = ["Anna", "Anna emotion", "Anna confidence", "Ben", "Ben emotion", "Ben confidence"]
    assert list(eaf.get_tier_names()) == tiers
    assert eaf.get_annotation_data_for_tier("Anna") == [(500, 2250, 'So "no" & <b>'), (3000, 4000, "über")]
    assert eaf.get_ref_annotation_data_for_tier("Anna emotion") == [(500, 2250, "angry", 'So "no" & <b>')]
    assert eaf.get_ref_annotation_data_for_tier("Anna confidence") == [(500, 2250, "0.70", 'So "no" & <b>')]
    assert eaf.get_annotation_data_for_tier("Ben") == [(2000, 3000, "")]
    assert [one[2] for one in eaf.get_ref_annotation_data_for_tier("Ben emotion")] == ["happy"]


def test_document_is_as_the_schema_wants_it(tmp_path):
    root = ElementTree.parse(interview().to_eaf(tmp_path / "talk.eaf")).getroot()
    order = ["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LANGUAGE", "CONSTRAINT", "CONTROLLED_VOCABULARY"]
    assert list(dict.fromkeys(child.tag for child in root)) == order
    assert root.get("FORMAT") == root.get("VERSION") == "3.0" and datetime.fromisoformat(root.get("DATE")).tzinfo
    slots = [int(slot.get("TIME_VALUE")) for slot in root.find("TIME_ORDER")]
    assert slots == sorted(slots) == [0, 0, 2000, 4000, 6000, 7500]
    identities = [one.get("ANNOTATION_ID") for one in root.iter() if one.get("ANNOTATION_ID")]
    assert len(identities) == len(set(identities)) == 6
    properties = {one.get("NAME"): one.text for one in root.iterfind("HEADER/PROPERTY")}
    assert properties["lastUsedAnnotationId"] == "6" and "not what someone feels" in properties["notice"]
    assert root.find("HEADER/MEDIA_DESCRIPTOR") is None  # the clip is not there


def test_clip_is_linked(tmp_path):
    (tmp_path / "clips").mkdir()
    clip = tmp_path / "clips" / "my talk ü.wav"
    clip.write_bytes(b"")
    path = replace(interview(), clip=str(clip)).to_eaf(tmp_path / "out" / "talk.eaf")
    (link,) = pympi.Elan.Eaf(str(path)).media_descriptors
    assert link == {
        "MEDIA_URL": f"file://{clip.resolve()}",
        "MIME_TYPE": "audio/x-wav",
        "RELATIVE_MEDIA_URL": "../clips/my talk ü.wav",
    }
    assert (path.parent / Path(link["RELATIVE_MEDIA_URL"])).resolve() == clip.resolve()
    beside = replace(interview(), clip=str(clip)).to_eaf(clip.parent / "talk.eaf")
    assert pympi.Elan.Eaf(str(beside)).media_descriptors[0]["RELATIVE_MEDIA_URL"] == "./my talk ü.wav"


def test_names_that_become_the_same_stay_apart(tmp_path):
    persons = ["a\tb", "a b", "a b confidence", "\x00\x07", None, "voice"]
    rows = [row(0, 2, (0.7, 0.2, 0.1), person) for person in persons]
    eaf = written(timeline_of(rows), tmp_path)
    names = list(eaf.get_tier_names())
    assert len(names) == 12 and {"a b", "a b-2", "a b confidence", "unnamed", "voice", "voice-2"} <= set(names)


@pytest.mark.parametrize(("rows", "names"), [([], []), ([row(0, 2)], ["person-1", "person-1 confidence"])])
def test_nothing_seen_or_heard(tmp_path, rows, names):
    eaf = written(timeline_of(rows), tmp_path)
    assert list(eaf.get_tier_names()) == names
    assert not any(eaf.get_annotation_data_for_tier(name) for name in names)
    assert read_eaf(tmp_path / "talk.eaf") == []


def test_what_cannot_be_in_xml_is_replaced(tmp_path):
    eaf = written(timeline_of([row(0, 2, (0.7, 0.2, 0.1), "A", text="\x01a\nb\ud800")], given=True), tmp_path)
    assert eaf.get_annotation_data_for_tier("A") == [(0, 2000, "\ufffda\nb\\ud800")]


def test_overlaps_on_a_tier_are_refused_and_rounding_is_not(tmp_path):
    rows = [row(0, 2, (0.7, 0.2, 0.1)), row(1.9985, 3, (0.7, 0.2, 0.1))]
    with pytest.raises(InputError, match=r"person-1: segments 0-2 s and 1\.9985-3 s overlap, and a tier has one"):
        timeline_of(rows, given=True).to_eaf(tmp_path / "talk.eaf")
    assert list(tmp_path.iterdir()) == []
    close = [row(0, 2, (0.7, 0.2, 0.1)), row(1.9992, 2.0002, (0.7, 0.2, 0.1)), row(2.0003, 3, (0.1, 0.2, 0.7))]
    eaf = written(timeline_of(close, given=True), tmp_path)
    assert [one[:2] for one in eaf.get_annotation_data_for_tier("person-1")] == [(0, 2000), (2000, 2001), (2001, 3000)]


def test_what_is_read_is_what_was_written(tmp_path):
    marks = read_eaf(interview().to_eaf(tmp_path / "talk.eaf"))
    assert [(one.start, one.end, one.tier, one.text) for one in marks] == [one[:4] for one in STRETCHES]
    given = read_eaf(turns().to_eaf(tmp_path / "turns.eaf"))
    assert [(one.start, one.end, one.tier, one.text) for one in given] == [
        (0.5, 2.25, "Anna", 'So "no" & <b>'), (3.0, 4.0, "Anna", "über"), (2.0, 3.0, "Ben", "")
    ]  # fmt: skip


def test_file_of_another_program(tmp_path):
    eaf = pympi.Elan.Eaf(author="someone")
    eaf.remove_tier("default")
    eaf.add_tier("K-Spch")
    eaf.add_annotation("K-Spch", 1500, 2750, "Grüß Gott")
    eaf.add_annotation("K-Spch", 3000, 3500, "")
    eaf.add_linguistic_type("ref", constraints="Symbolic_Association", timealignable=False)
    eaf.add_tier("K-Gloss", "ref", parent="K-Spch")
    eaf.add_ref_annotation("K-Gloss", "K-Spch", 2000, "hello")
    eaf.add_linguistic_type("words", constraints="Included_In")
    eaf.add_tier("K-Words", "words", parent="K-Spch")  # it has times of its own
    eaf.add_annotation("K-Words", 1500, 2000, "Grüß")
    path = tmp_path / "other.eaf"
    eaf.to_file(str(path))
    marks = sorted(read_eaf(path), key=lambda one: one.start)
    assert [(one.start, one.end, one.tier, one.text) for one in marks] == [
        (1.5, 2.75, "K-Spch", "Grüß Gott"),
        (3.0, 3.5, "K-Spch", ""),
    ]
