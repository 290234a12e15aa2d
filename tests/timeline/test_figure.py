"""The figure of a timeline."""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers.timelines import LABELS, make_timeline
from PIL import Image

from av_emotion_hf.errors import InputError
from av_emotion_hf.timeline.figure import _draw_signal, plot_timeline, scored_runs
from av_emotion_hf.timeline.palette import colors_of


@pytest.mark.slow
def test_the_suffix_is_the_format(tmp_path):
    timeline = make_timeline(("Anna $x_1$", None), 20.0)
    image = np.asarray(Image.open(timeline.plot(tmp_path / "a.png")).convert("RGB"))
    for emotion in {one.emotion for one in timeline.segments} - {"uncertain"}:
        color = [int(colors_of(LABELS)[emotion][place : place + 2], 16) for place in (1, 3, 5)]
        assert (image == color).all(axis=-1).sum() > 100
    text = plot_timeline(timeline, tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "Anna $x_1$" in re.sub(r"<[^>]+>", "", text)  # text stays text, and a name is no formula
    assert all(label in text for label in (*LABELS, "voice", "loudness", "time, seconds"))
    assert plot_timeline(timeline, tmp_path / "b.svg").read_text(encoding="utf-8") == text
    assert plot_timeline(timeline, tmp_path / "a.PDF").read_bytes().startswith(b"%PDF")


def test_runs_end_where_nothing_is_seen():
    rows = make_timeline(("Anna",), 20.0, gaps=((8.0, 12.0),)).rows
    (start, before, first), (after, end, second) = scored_runs(rows)
    assert [*first, *second] == [row for row in rows if row.scores]
    assert start == 0 and end == 20 and first[-1].center < 8 and second[0].center > 12
    assert (before, after) == (7.5, 12.5)  # halfway between the last and the first window with and without scores
    parts = scored_runs([row for row in rows if not 3 < row.center < 13])  # windows that are not there at all
    assert [(start, end) for start, end, _ in parts] == [(0, 5), (11, 20)]


def lines_of(timeline):
    """What is drawn of the loudness, as arrays (points, 2)."""
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    _draw_signal(axis, timeline, "loudness")
    return [line.get_xydata() for line in axis.lines]


def test_loudness_of_the_clip_is_one_line_and_that_of_channels_is_two():
    timeline = make_timeline(("Anna", "Ben"), 20.0)
    timeline.rows = [row for row in timeline.rows if row.person == "Anna" or row.start > 9]  # Ben comes later
    (line,) = lines_of(timeline)
    known = {row.center: row.loudness for row in timeline.rows}
    assert line[:, 0].tolist() == list(known)
    assert np.array_equal(line[:, 1], [np.nan if value is None else value for value in known.values()], equal_nan=True)
    timeline.rows = [
        replace(row, loudness=-50.0) if row.person == "Ben" and row.loudness is not None else row
        for row in timeline.rows
    ]
    assert len(lines_of(timeline)) == 2


@pytest.mark.slow
def test_who_shows_nothing_has_no_panel(tmp_path):
    timeline = make_timeline(("Anna", None), 12.0, gaps=())
    timeline.rows = [replace(row, scores={}) if row.person is None else row for row in timeline.rows]
    text = plot_timeline(timeline, tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "Anna" in text and "voice" not in text


@pytest.mark.parametrize("name", ["a.jpeg", "a", "a.html"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"end it in \.png, \.pdf or \.svg"):
        plot_timeline(make_timeline(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_no_windows_and_no_matplotlib_are_said(tmp_path, monkeypatch):
    timeline = make_timeline(seconds=4.0)
    timeline.rows.clear()
    with pytest.raises(InputError, match="has no windows to draw"):
        plot_timeline(timeline, tmp_path / "a.png")
    with pytest.raises(InputError, match="nothing that could be drawn"):
        plot_timeline(make_timeline(seconds=6.0, gaps=((0.0, 6.0),)), tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'av-emotion-hf\[plots\]'"):
        plot_timeline(make_timeline(), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
