import itertools

import pytest
from helpers.small_timelines import ODD_LINE, STRETCHES, interview, row, timeline_of, turns
from praatio import textgrid

from av_emotion_hf import InputError
from av_emotion_hf.timeline.formats.textgrid import read_textgrid


def written(timeline, tmp_path, empty=False):
    return textgrid.openTextgrid(str(timeline.to_textgrid(tmp_path / "talk.TextGrid")), includeEmptyIntervals=empty)


def entries(tier):
    return [(one.start, one.end, one.label) for one in tier.entries]


def test_a_tier_for_each_person(tmp_path):
    grid = written(interview(), tmp_path)
    assert grid.tierNames == ("person-1", ODD_LINE, "voice") and (grid.minTimestamp, grid.maxTimestamp) == (0, 8)
    for start, end, name, emotion, _ in STRETCHES:
        assert entries(grid.getTier(name)) == [(start, end, emotion)]


def test_gaps_are_empty_intervals_and_the_whole_clip_is_covered(tmp_path):
    grid = written(interview(), tmp_path, empty=True)
    assert entries(grid.getTier("voice")) == [(0, 6, ""), (6, 7.5, "happy"), (7.5, 8, "")]
    for tier in grid.tiers:
        found = entries(tier)
        assert found[0][0] == 0 and found[-1][1] == 8
        assert all(one[1] == after[0] for one, after in itertools.pairwise(found))


def test_texts_of_given_segments_have_a_tier(tmp_path):
    grid = written(turns(), tmp_path)
    assert grid.tierNames == ("Anna", "Anna emotion", "Ben", "Ben emotion")
    assert entries(grid.getTier("Anna")) == [(0.5, 2.25, 'So "no" & <b>'), (3, 4, "über")]
    assert entries(grid.getTier("Anna emotion")) == [(0.5, 2.25, "angry")]
    assert entries(grid.getTier("Ben")) == [] and entries(grid.getTier("Ben emotion")) == [(2, 3, "happy")]


@pytest.mark.parametrize(("rows", "name"), [([], "voice"), ([row(0, 2)], "person-1")])
def test_nothing_seen_or_heard(tmp_path, rows, name):
    timeline = timeline_of(rows)
    grid = written(timeline, tmp_path, empty=True)
    assert grid.tierNames == (name,) and [one[2] for one in entries(grid.getTier(name))] == [""]
    assert grid.maxTimestamp > 0 and read_textgrid(tmp_path / "talk.TextGrid") == []


def test_overlaps_on_a_tier_are_refused(tmp_path):
    with pytest.raises(InputError, match="overlap, and a tier has one at a time"):
        timeline_of([row(0, 2, (1, 0, 0)), row(1, 3, (1, 0, 0))], given=True).to_textgrid(tmp_path / "a.TextGrid")


def test_what_is_read_is_what_was_written(tmp_path):
    marks = read_textgrid(interview().to_textgrid(tmp_path / "talk.TextGrid"))
    assert [(one.start, one.end, one.tier, one.text) for one in marks] == [one[:4] for one in STRETCHES]


def test_what_a_text_says_in_one_line_is_kept(tmp_path):
    text = '"quoted" ""twice"" ! 3 <exists> xmin = 4'
    timeline = timeline_of([row(0, 2, (1, 0, 0), "A", text=text)], given=True)
    assert entries(written(timeline, tmp_path).getTier("A")) == [(0, 2, text)]
    assert read_textgrid(tmp_path / "talk.TextGrid")[0].text == text


@pytest.mark.parametrize("form", ["short_textgrid", "long_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_both_formats_in_all_encodings_of_praat(tmp_path, form, encoding):
    grid = textgrid.Textgrid()
    grid.addTier(textgrid.IntervalTier("Änne", [(0.5, 1.25, 'say "no"'), (1.25, 2.0, "ja!"), (3, 4, " ")], 0, 5))
    grid.addTier(textgrid.PointTier("beats", [(1.0, "x"), (2.0, "y")], 0, 5))
    grid.addTier(textgrid.IntervalTier("Ben", [(0.7, 3.5, "mm")], 0, 5))
    path = tmp_path / "talk.TextGrid"
    grid.save(str(path), form, includeBlankSpaces=True)
    text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
    path.write_bytes((b"\xfe\xff" if encoding == "utf-16-be" else b"") + text.encode(encoding))
    assert [(one.start, one.end, one.tier, one.text) for one in read_textgrid(path)] == [
        (0.5, 1.25, "Änne", 'say "no"'), (1.25, 2.0, "Änne", "ja!"), (0.7, 3.5, "Ben", "mm")
    ]  # fmt: skip


HEAD = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
SHORT = HEAD + '0\n2\n<exists>\n1\n"IntervalTier"\n"A"\n0\n2\n1\n0\n2\n"x"\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SHORT[:-4].encode(), "ends before the text of interval 1 of tier 'A', so it is not a whole TextGrid"),
        (SHORT.replace("\n1\n0\n2\n", "\n2\n0\n2\n").encode(), "ends before the start of interval 2 of tier 'A'"),
        (SHORT.replace('"A"', "A").encode(), "line 10: '0' is not the name of a tier"),
        (SHORT.replace("1\n0", "1.5\n0").encode(), "1.5 is not the number of intervals of tier 'A'"),
        (SHORT.replace("IntervalTier", "Harmony").encode(), "tier 'A' is of the class 'Harmony'"),
        (SHORT.replace('"TextGrid"', '"Pitch 1"').encode(), "is not a TextGrid, whose first lines"),
        (SHORT.replace('"x"', '"Grüße"').encode("latin-1"), "is not text in UTF-8 (byte 99 is not); save it in Praat"),
        (b"ooBinaryFile\x08TextGrid\0\0", "is a binary TextGrid; save it in Praat by 'Save as text file...'"),
        (b"start,end\n1,2\n", "ends before the type of the file"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "talk.TextGrid"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_textgrid(path)
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_a_grid_without_tiers(tmp_path):
    path = tmp_path / "talk.TextGrid"
    path.write_text('File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n2\n<absent>\n', encoding="utf-8")
    assert read_textgrid(path) == []
