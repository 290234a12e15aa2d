import json
from dataclasses import asdict, replace
from importlib.metadata import version

import pytest
from helpers.small_timelines import LABELS, interview, row, timeline_of, turns

from av_emotion_hf import InputError, Timeline


def test_document_by_hand(tmp_path):
    timeline = interview()
    document = json.loads(timeline.to_json(tmp_path / "talk.json").read_text(encoding="utf-8"))
    assert list(document) == [
        "schema", "schema_version", "package_version", "notice", "clip", "duration", "labels", "model", "settings",
        "has_audio", "has_video", "rows", "segments", "summary",
    ]  # fmt: skip
    assert (document["schema"], document["schema_version"]) == ("av-emotion-timeline", 1)
    assert document["package_version"] == version("av-emotion-hf")
    assert "shown in voice and face, not what someone feels" in document["notice"]
    assert (document["clip"], document["duration"], document["labels"]) == ("talk.mp4", 8.0, list(LABELS))
    assert document["rows"][3] == asdict(timeline.rows[3]) and document["rows"][3]["confidence"] is None
    assert document["segments"][0] == {
        "start": 0.0, "end": 4.0, "person": "person-1", "emotion": "angry", "confidence": 0.6562, "text": None
    }  # fmt: skip
    assert [one["person"] for one in document["summary"]] == timeline.persons
    assert document["summary"][0]["emotion_seconds"] == {"angry": 4.0}


@pytest.mark.parametrize("make", [interview, turns, lambda: timeline_of([]), lambda: timeline_of([row(0, 2)], 2.0)])
def test_what_is_read_is_equal(tmp_path, make):
    timeline = make()
    again = Timeline.from_json(timeline.to_json(tmp_path / "talk.json"))
    assert again == timeline and again.segments == timeline.segments and again.summary == timeline.summary


def test_names_that_are_not_text_in_utf8_are_kept(tmp_path):
    timeline = replace(interview(), clip="t\udce4lk.mp4")
    assert Timeline.from_json(timeline.to_json(tmp_path / "talk.json")).clip == "t\udce4lk.mp4"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d | {"schema": "other"}, 'is not a timeline, which has "schema": "av-emotion-timeline"'),
        (lambda d: [d], "is not a timeline"),
        (lambda d: d | {"schema_version": 2}, "has schema version 2, and this package reads up to 1; update it: pip"),
        (lambda d: d | {"schema_version": "1"}, "schema_version='1' has to be 1"),
        (lambda d: d | {"rows": None}, "is damaged (rows=null is not what is written there)"),
        (lambda d: {name: value for name, value in d.items() if name != "labels"}, "damaged (it has no labels)"),
        (lambda d: d | {"duration": True}, "is damaged (duration=true"),
        (lambda d: d | {"duration": 10**400}, "is damaged (duration=1000"),
        (lambda d: d | {"settings": {"abstain": "x"}}, 'settings: is damaged (abstain="x"'),
        (lambda d: d | {"rows": [1]}, "row 1: is damaged (not an object)"),
        (lambda d: d | {"rows": [d["rows"][0], d["rows"][1] | {"start": None}]}, "row 2: is damaged (start=null"),
        (lambda d: d | {"rows": [d["rows"][0] | {"person": 3}]}, "row 1: is damaged (person=3"),
        (lambda d: d | {"rows": [d["rows"][0] | {"scores": {"angry": "high"}}]}, "row 1: is damaged (scores="),
        (lambda d: d | {"rows": [d["rows"][0] | {"scores": {"angry": 1.0}}]}, "row 1: has scores of angry, and not"),
        (lambda d: d | {"rows": [d["rows"][0] | {"num_persons": 1.5}]}, "row 1: is damaged (num_persons=1.5"),
    ],
)
def test_other_documents_are_refused_in_one_line(tmp_path, change, message):
    path = interview().to_json(tmp_path / "talk.json")
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        Timeline.from_json(path)
    assert message in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"start,end\n", b'{"schema": ', b"[" * 100_000, b'{"schema": NaN}', b"\xff\xfe\xff", b"\x00\x01"]
)
def test_files_that_are_no_json_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "talk.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"talk.json: is not (JSON|text)"):
        Timeline.from_json(path)
    with pytest.raises(InputError, match="cannot be read"):
        Timeline.from_json(tmp_path / "none.json")


def test_fields_that_a_later_version_adds_are_ignored(tmp_path):
    path = interview().to_json(tmp_path / "talk.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    document["rows"][0]["valence"] = 0.1
    path.write_text(json.dumps(document | {"new": 1}), encoding="utf-8")
    assert Timeline.from_json(path) == interview()
