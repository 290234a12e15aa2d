import html
import re

import pytest
from helpers.small_timelines import STRETCHES, interview, row, timeline_of, turns

from av_emotion_hf.timeline.formats.subtitles import read_srt, read_vtt
from av_emotion_hf.timeline.segment_files import read_segments

BLOCK = re.compile(r"(?:(\d+)\n)?(\d\d):(\d\d):(\d\d)[.,](\d{3}) --> (\d\d):(\d\d):(\d\d)[.,](\d{3})\n(.+)", re.S)
BY_TIME = sorted(STRETCHES, key=lambda one: one[:2])


def blocks(text):
    """Number, start, end and lines of each cue."""
    found = [BLOCK.fullmatch(block.strip("\n")) for block in text.split("\n\n") if "-->" in block]
    return [
        (one[1], *(3600 * int(h) + 60 * int(m) + int(s) + int(ms) / 1000
                   for h, m, s, ms in (one.groups()[1:5], one.groups()[5:9])), one[10])
        for one in found
    ]  # fmt: skip


def test_vtt_has_a_voice_and_an_emotion_in_each_cue(tmp_path):
    text = interview().to_vtt(tmp_path / "talk.vtt").read_text(encoding="utf-8")
    assert text.startswith("WEBVTT\n\nNOTE\nEmotions are the expression shown in voice and face, not what")
    assert blocks(text) == [
        (None, start, end, f"<v {html.escape(name, quote=False)}>{emotion} {confidence:.2f}")
        for start, end, name, emotion, confidence in BY_TIME
    ]


def test_srt_has_numbers_names_and_emotions(tmp_path):
    text = interview().to_srt(tmp_path / "talk.srt").read_text(encoding="utf-8")
    assert text.startswith("1\n00:00:00,000 --> 00:00:02,000\n") and text.endswith("happy 0.50\n")
    assert blocks(text) == [
        (str(number), start, end, f"{name}: {emotion} {confidence:.2f}")
        for number, (start, end, name, emotion, confidence) in enumerate(BY_TIME, start=1)
    ]


def test_given_texts_are_a_second_line_and_segments_without_emotion_no_cue(tmp_path):
    vtt = turns().to_vtt(tmp_path / "talk.vtt").read_text(encoding="utf-8")
    assert [one[3] for one in blocks(vtt)] == ['<v Anna>angry 0.70\nSo "no" &amp; &lt;b&gt;', "<v Ben>happy 0.80"]
    srt = turns().to_srt(tmp_path / "talk.srt").read_text(encoding="utf-8")
    assert [one[3] for one in blocks(srt)] == ['Anna: angry 0.70\nSo "no" & <b>', "Ben: happy 0.80"]


def test_hours_and_cues_that_round_to_nothing(tmp_path):
    rows = [row(3661.5, 3661.5002, (1, 0, 0)), row(7200, 7300.9999, (0, 1, 0))]
    timeline = timeline_of(rows, given=True)
    for text in (timeline.to_vtt(tmp_path / "a.vtt").read_text(), timeline.to_srt(tmp_path / "a.srt").read_text()):
        assert [one[1:3] for one in blocks(text)] == [(3661.5, 3661.501), (7200, 7301)]


def test_arrows_in_names_are_no_times(tmp_path):
    timeline = timeline_of([row(0, 2, (1, 0, 0), "a --> b", text="c --> d")], given=True)
    for path in (timeline.to_vtt(tmp_path / "a.vtt"), timeline.to_srt(tmp_path / "a.srt")):
        assert path.read_text(encoding="utf-8").count("-->") == 1
        assert len(read_segments(path)) == 1


@pytest.mark.parametrize(("name", "read"), [("vtt", read_vtt), ("srt", read_srt)])
def test_what_is_read_is_what_was_written(tmp_path, name, read):
    path = getattr(interview(), f"to_{name}")(tmp_path / f"talk.{name}")
    assert [(one.start, one.end, one.tier, one.text) for one in read(path)] == [
        (start, end, person, f"{emotion} {confidence:.2f}") for start, end, person, emotion, confidence in BY_TIME
    ]
    empty = getattr(timeline_of([row(0, 2)]), f"to_{name}")(tmp_path / f"empty.{name}")
    assert read(empty) == []


def marks(path, text, read):
    path.write_text(text, encoding="utf-8")
    return [(one.place, one.start, one.end, one.tier, one.text) for one in read(path)]


def test_vtt_of_others(tmp_path):
    text = (
        "\ufeffWEBVTT - made by hand\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE 00:01 is\nnot --> a cue\n"
        "\nintro\n00:01.500 --> 00:03.000 align:start line:0\n<v.loud Anna B>Hello <i>you</i> &amp; me</v>\nagain\n\n"
        "01:00:00.000 --> 01:00:01.250\n<v Anna B>No.</v> <v Ben>Yes.\n\n00:05.000 --> 00:06.000\n\n"
    )
    assert marks(tmp_path / "a.vtt", text, read_vtt) == [
        ("line 11", 1.5, 3.0, "Anna B", "Hello you & me again"),
        ("line 15", 3600.0, 3601.25, "Anna B", "No."),
        ("line 15", 3600.0, 3601.25, "Ben", "Yes."),
        ("line 18", 5.0, 6.0, None, ""),
    ]


def test_srt_of_others(tmp_path):
    text = (
        "1\r\n00:00:01,5 --> 00:00:02\r\n[SPEAKER_00]: <i>So</i>: {\\an8}yes\r\n\r\n"
        "2\r\n0:00:03.250 --> 0:00:04,000\r\nBen: a < b\r\n"
    )
    assert marks(tmp_path / "a.srt", text, read_srt) == [
        ("line 2", 1.5, 2.0, "SPEAKER_00", "So: yes"),
        ("line 6", 3.25, 4.0, "Ben", "a < b"),
    ]


def test_names_before_a_colon_are_tiers_only_if_all_cues_have_one(tmp_path):
    text = "1\n00:00:01,000 --> 00:00:02,000\nNote: it rains\n\n2\n00:00:03,000 --> 00:00:04,000\nIt does.\n"
    assert [one[3:] for one in marks(tmp_path / "a.srt", text, read_srt)] == [
        (None, "Note: it rains"),
        (None, "It does."),
    ]
