import pytest
from helpers.small_timelines import STRETCHES, interview, row, timeline_of, turns

from av_emotion_hf import GivenSegment, InputError
from av_emotion_hf.timeline.formats import write_timeline
from av_emotion_hf.timeline.segment_files import READERS, check_segments, read_segments


@pytest.fixture
def file(tmp_path):
    """A file with a text, in an encoding."""

    def make(name, text, encoding="utf-8"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return tmp_path / name

    return make


def refused(path):
    with pytest.raises(InputError) as caught:
        read_segments(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value).replace(str(path), "FILE")


@pytest.mark.parametrize("name", ["eaf", "textgrid", "rttm", "vtt", "srt"])
def test_our_own_files_have_the_segments_in_the_order_of_time(tmp_path, name):
    path = write_timeline(interview(), tmp_path, "talk", [name])[name]
    segments = read_segments(path)
    times = [(start, end) for start, end, *_ in STRETCHES]
    assert [one.start for one in segments] == [0, 0, 6] and {(one.start, one.end) for one in segments} == set(times)
    assert {one.tier for one in segments} >= {"person-1", "voice"} and len({one.tier for one in segments}) == 3
    assert {one.text.split()[0] for one in segments} == {"angry", "sad", "happy"}


@pytest.mark.parametrize("name", ["eaf", "csv"])
def test_given_segments_come_back_as_they_were_given(tmp_path, name):
    given = [GivenSegment(row.start, row.end, row.person, row.text or "") for row in turns().rows]
    assert read_segments(write_timeline(turns(), tmp_path, "talk", [name])[name]) == given


def test_our_own_table_of_overlapping_windows_is_refused(tmp_path):
    timeline = timeline_of([row(0, 4, (0.7, 0.2, 0.1)), row(1, 5, (0.7, 0.2, 0.1))])
    assert "0-4 s (line 2) and 1-5 s (line 3) of tier 'person-1' overlap" in refused(
        timeline.to_csv(tmp_path / "a.csv")
    )


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("a.csv", "start,end,person,text\n1.5,2.25,Änne,\"ja, so\"\n0,1,,\n", "utf-8"),
        ("a.csv", "start,end,person,text\r\n1.5,2.25,Änne,\"ja, so\"\r\n\r\n0,1,,\r\n", "utf-8-sig"),
        ("a.csv", "\ufeffsep=;\nLabel;Speaker;End;Start\nja, so;Änne;2,25;1,5\n;;1;0\n", "utf-8"),
        ("A.CSV", "id;start;end;tier;label\n1;1,50;2.25; Änne ;ja, so\n2;0;1,0;;\n", "utf-8"),
        ("a.tsv", "start\tend\ttier\ttext\n1,5\t2,25\tÄnne\tja, so\n0\t1\n", "utf-8"),
        ("a.tsv", "start\tend\ttier\ttext\n+1.5e0\t2.25\tÄnne\tja, so\n.0\t1.\t\t\n", "utf-16"),
    ],
)  # fmt: skip
def test_tables(file, name, text, encoding):
    assert read_segments(file(name, text, encoding)) == [GivenSegment(0, 1), GivenSegment(1.5, 2.25, "Änne", "ja, so")]


def test_tables_need_no_tiers_and_texts(file):
    assert read_segments(file("a.csv", "end,start\n2,1\n")) == [GivenSegment(1, 2, None, "")]


def test_names_of_tiers_are_one_line(file):
    (segment,) = read_segments(file("a.csv", 'start,end,tier\n0,1," a\n\tb "\n'))
    assert segment.tier == "a b"


def test_overlaps_are_for_different_tiers(file):
    text = "start,end,tier\n0,3,A\n1,2,B\n{},{},{}\n"
    assert len(read_segments(file("a.csv", text.format(2.9995, 4, "A")))) == 3  # rounding of times
    message = refused(file("a.csv", text.format(2.5, 4, "A")))
    overlap = "FILE: 0-3 s (line 2) and 2.5-4 s (line 4) of tier 'A' overlap"
    assert message == f"{overlap}; shorten one of them, or put them on different tiers"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.docx", "", "FILE: segments are read from files that end in .rttm, .textgrid, .eaf, .srt, .vtt"),
        ("a", "", "FILE: segments are read from files that end in"),
        ("a.csv", "start,end\n", "FILE: has no segments; leave it out, or mark some"),
        ("a.rttm", "", "FILE: has no segments"),
        ("a.srt", "just a text\n", "FILE: has no segments"),
        ("a.vtt", "WEBVTT\n\nNOTE nothing\n", "FILE: has no segments"),
        ("a.csv", "", "FILE: its first line has no columns start and end (it is '')"),
        ("a.csv", "0.5,2.0,Anna\n", "FILE: its first line has no columns start and end (it is '0.5,2.0,Anna'); name"),
        ("a.csv", "x" * 200_000, "FILE: its first line has no columns start and end (it is 'xxx"),
        ("a.csv", "start,end\n1,2\n00:01,2\n", "FILE, line 3: start='00:01' is not a number; write seconds, such as"),
        ("a.csv", "start,end\n1\n", "FILE, line 2: end='' is not a number"),
        ("a.csv", 'start,end\n1,"1,5"\n', "FILE, line 2: end='1,5' is not a number"),
        ("a.csv", "start;end\n1.000,5;2\n", "FILE, line 2: start='1.000,5' is not a number"),
        ("a.csv", "start,end\n1,nan\n", "FILE, line 2: end='nan' is not a number"),
        ("a.csv", "start,end\n1,inf\n", "FILE, line 2: end='inf' is not a number"),
        ("a.csv", 'start,end,text\n1,2,"open\n3,4,\n', "is damaged (unexpected end of data); repair the line"),
        ("a.csv", "start,end\n2,1\n", "FILE, line 2: starts at 2 s and ends at 1 s; a segment has to last"),
        ("a.csv", "start,end\n1,1.0004\n", "FILE, line 2: starts at 1 s and ends at 1.0004 s"),
        ("a.csv", "start,end\n-0.5,1\n", "FILE, line 2: starts at -0.5 s, before the clip; start at 0 or later"),
        ("a.rttm", "SPEAKER f 1 3 -1 <NA> <NA> A <NA> <NA>\n", "FILE, line 1: starts at 3 s and ends at 2 s"),
        ("a.srt", "1\n00:00:02,000 --> 00:00:01,000\nx\n", "FILE, line 2: starts at 2 s and ends at 1 s"),
        ("a.srt", "1\n2 --> 3\nx\n", "FILE, line 2: '2 --> 3' is not a line of times; write it like 00:00:01.000"),
        ("a.srt", "1\n00:00:00,0 --> 00:00:03,0\nx\n\n2\n00:00:02,0 --> 00:00:04,0\ny\n",
         "FILE: 0-3 s (line 2) and 2-4 s (line 6) overlap; shorten one of them"),
        ("a.vtt", "00:01.000 --> 00:02.000\nx\n", "FILE: does not start with WEBVTT, so it is not a WebVTT file"),
        ("a.eaf", "<a>", "FILE: is not XML, or damaged (no element found"),
        ("a.eaf", "start,end\n", "FILE: is not XML, or damaged (syntax error"),
        ("a.eaf", "<html/>", "FILE: is XML of another kind (<html>), not of ELAN"),
        ("a.eaf", '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="PAL-frames"/></ANNOTATION_DOCUMENT>', "times in PAL-"),
        ("a.eaf", '<ANNOTATION_DOCUMENT><TIER TIER_ID="A"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" '
         'TIME_SLOT_REF1="ts1"/></ANNOTATION></TIER></ANNOTATION_DOCUMENT>',
         "FILE, annotation a1 of tier 'A': has no times; give it some in ELAN"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_in_one_line(file, name, text, message):
    assert message in refused(file(name, text))


@pytest.mark.parametrize("suffix", READERS)
def test_files_of_another_encoding_or_kind(file, suffix, tmp_path):
    assert "cannot be read (No such file or directory); check the path" in refused(tmp_path / f"none{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    assert "cannot be read (Is a directory)" in refused(tmp_path / f"folder{suffix}")
    message = refused(file(f"a{suffix}", "start,end,text\n1,2,Grüße\n", "latin-1"))
    assert "is not text in UTF-8 (byte 21 is not); save it" in message
    message = refused(file(f"b{suffix}", b"\0\0\0\x18ftypmp42" + bytes(100)))
    assert "is not text in UTF-8 (it has zero bytes)" in message
    message = refused(file(f"c{suffix}", b"\xff\xfea"))
    assert "is not text in UTF-16" in message


def test_large_files_are_not_read(file, monkeypatch):
    monkeypatch.setattr("av_emotion_hf.timeline.formats.marks.LARGEST", 10)
    assert "has 11 bytes, and a list of segments is shorter" in refused(file("a.csv", "x" * 11))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_before_they_grow(file, encoding):
    levels = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "ha">{levels}]><ANNOTATION_DOCUMENT AUTHOR="&e9;">&e9;</ANNOTATION_DOCUMENT>'
    assert refused(file("a.eaf", bomb, encoding)) == "FILE: declares a DOCTYPE, which no file of ELAN does; remove it"
    outside = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><ANNOTATION_DOCUMENT>&e;</ANNOTATION_DOCUMENT>'
    assert "declares a DOCTYPE" in refused(file("b.eaf", outside, encoding))


def test_segments_fit_the_clip():
    segments = [GivenSegment(0, 10, "A", "x"), GivenSegment(50, 60.5)]
    assert check_segments(segments, 60.5, "turns.csv") == segments
    assert check_segments(segments, 60.0, "turns.csv") == [segments[0], GivenSegment(50, 60.0)]
    with pytest.raises(InputError) as caught:
        check_segments([*segments, GivenSegment(70.04, 75.23, "B")], 60.0, "turns.csv")
    assert str(caught.value) == (
        "turns.csv: segment 70.04-75.23 s, tier 'B' ends at 75.2 s, and the clip lasts 60.0 s: it is of another clip, "
        "or its times are in another unit (milliseconds?); choose the right file, or write seconds"
    )
    with pytest.raises(InputError, match=r"60\.1-60\.3 s ends at 60\.3 s, and the clip lasts 60\.0 s"):
        check_segments([GivenSegment(60.1, 60.3)], 60.0, "turns.csv")
    assert check_segments([], 60.0, "turns.csv") == []
