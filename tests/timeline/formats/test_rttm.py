import io

import pandas
import pytest
from helpers.small_timelines import interview, row, timeline_of, turns

from av_emotion_hf import InputError
from av_emotion_hf.timeline.formats.rttm import read_rttm

NAMES = ["type", "uri", "channel", "start", "duration", "ortho", "subtype", "speaker", "confidence", "lookahead"]
REST = "<NA> <NA> A <NA> <NA>\n"
ODD_WORD = "Ännchen_<&>_'T'_x_y"


def written(timeline, tmp_path):
    """The table that pyannote makes of a file."""
    text = timeline.to_rttm(tmp_path / "talk.rttm").read_text(encoding="utf-8")
    return pandas.read_csv(io.StringIO(text), names=NAMES, sep=r"\s+", keep_default_na=False)


def test_ten_fields_in_each_line(tmp_path):
    table = written(interview(), tmp_path)
    assert table.values.tolist() == [
        ["SPEAKER", "talk", 1, 0.0, 2.0, "<NA>", "sad", ODD_WORD, 0.7, "<NA>"],
        ["SPEAKER", "talk", 1, 0.0, 4.0, "<NA>", "angry", "person-1", 0.6562, "<NA>"],
        ["SPEAKER", "talk", 1, 6.0, 1.5, "<NA>", "happy", "voice", 0.5, "<NA>"],
    ]


def test_channels_are_those_of_the_clip(tmp_path):
    rows = [row(0, 2, (0.7, 0.2, 0.1), f"channel-{number}") for number in (1, 2)]
    assert written(timeline_of(rows, settings={"channels": True}), tmp_path).channel.tolist() == [1, 2]
    assert written(timeline_of(rows), tmp_path).channel.tolist() == [1, 1]


def test_names_are_words(tmp_path):
    rows = [row(0, 2, (0.7, 0.2, 0.1), person) for person in ("a b", "a\u00a0b", " ")]
    table = written(timeline_of(rows, clip='my "long" talk.final.mp4'), tmp_path)
    assert table.speaker.tolist() == ["a_b", "a_b-2", "unnamed"] and set(table.uri) == {"my_'long'_talk.final"}


def test_segments_without_emotion_have_no_line(tmp_path):
    assert written(turns(), tmp_path).speaker.tolist() == ["Anna", "Ben"]
    assert timeline_of([row(0, 2)]).to_rttm(tmp_path / "none.rttm").read_text() == ""


def test_what_is_read_is_what_was_written(tmp_path):
    marks = read_rttm(interview().to_rttm(tmp_path / "talk.rttm"))
    assert [tuple(one) for one in marks] == [
        ("line 1", 0.0, 2.0, ODD_WORD, "sad"),
        ("line 2", 0.0, 4.0, "person-1", "angry"),
        ("line 3", 6.0, 7.5, "voice", "happy"),
    ]


def test_files_of_others(tmp_path):
    path = tmp_path / "a.rttm"
    path.write_text(
        ";; made by hand\n\nSPKR-INFO talk 1 <NA> <NA> <NA> unknown A <NA>\n"
        "SPEAKER talk 1 0.1 0.2 <NA> <NA> SPEAKER_00 <NA> <NA>\r\nLEXEME talk 1 0.1 0.1 hi lex A <NA>\n"
        "SPEAKER\ttalk\t1\t5\t1e-1\t<NA>\t<NA>\t<NA>\t<NA>\n",
        encoding="utf-8",
    )
    assert [tuple(one) for one in read_rttm(path)] == [
        ("line 4", 0.1, 0.3, "SPEAKER_00", ""),
        ("line 6", 5.0, 5.1, "", ""),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SPEAKER talk 1 0.1 0.2 <NA>\n", "line 1: has 6 fields, and a line of RTTM has 10"),
        ("SPEAKER talk 1 <NA> 0.2 <NA> <NA> A <NA> <NA>\n", "line 1: start='<NA>' is not a number"),
        ("SPEAKER talk 1 0 nan <NA> <NA> A <NA> <NA>\n", "line 1: duration='nan' is not a number"),
        (
            f"SPEAKER a 1 0 1 {REST}SPEAKER b 1 1 1 {REST}",
            "has segments of 2 recordings (a, b); keep the lines of one",
        ),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "a.rttm"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_rttm(path)
    assert message in str(caught.value) and str(path) in str(caught.value)
