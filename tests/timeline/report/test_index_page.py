"""The summary page of a folder of clips, and its CSV file."""

import csv
from dataclasses import replace

import pytest
from helpers.timelines import make_timeline

from av_emotion_hf.errors import InputError
from av_emotion_hf.timeline.report.index_page import ClipSummary, uncertain_fraction, write_index, write_summary_csv

HOSTILE = "</script><script>alert('x')</script>\"&.mp4"


@pytest.fixture
def clips(tmp_path):
    long = make_timeline(("Anna", None), 40.0, clip="folder/talk 10.mp4", seed=1)
    short = make_timeline(("person-1",), 9.0, clip="folder/talk 9.mp4", gaps=(), seed=2)
    return [
        ClipSummary.of(long, tmp_path / "talk 10" / "report #1.html"),
        ClipSummary.failed("folder/" + HOSTILE, f"{HOSTILE}: has no audio and no video"),
        short,
    ]


def column(page, place):
    return page.locator("#sortable tbody tr").evaluate_all(
        "(rows, place) => rows.map((row) => row.cells[place]?.textContent.trim())", place
    )


@pytest.mark.slow
def test_a_row_for_each_clip_and_person(visit, clips, tmp_path):
    page = visit(write_index(clips, tmp_path / "index.html")).page
    assert column(page, 0) == ["talk 10.mp4", "talk 10.mp4", 'script>"&.mp4', "talk 9.mp4"]
    assert column(page, 1)[:2] == ["Anna", "voice"] and column(page, 1)[3] == "person-1"
    assert "has no audio and no video" in column(page, 1)[2] and page.locator("script").count() == 2
    assert page.locator("#sortable a").first.get_attribute("href") == "./talk%2010/report%20%231.html"
    anna = clips[0].persons[0]
    bar = page.locator("#sortable svg.share").first
    widths = bar.locator("rect").evaluate_all("all => all.map((one) => +one.getAttribute('width'))")
    assert sum(widths) == pytest.approx(100, abs=0.1) and len(widths) == len(anna.emotion_seconds)
    assert all(name in bar.get_attribute("aria-label") for name in anna.emotion_seconds)
    assert "1 failed" in page.locator("header").inner_text()


@pytest.mark.slow
def test_columns_are_sorted_by_keyboard(visit, clips, tmp_path):
    page = visit(write_index(clips, tmp_path / "index.html"), color_scheme="dark").page
    duration = page.get_by_role("columnheader", name="Duration")
    duration.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert duration.get_attribute("aria-sort") == "ascending"
    assert column(page, 2)[:3] == ["9.0 s", "0:40", "0:40"]
    page.keyboard.press("Space")
    assert duration.get_attribute("aria-sort") == "descending"
    assert column(page, 2)[:3] == ["0:40", "0:40", "9.0 s"]
    assert "Failed" in column(page, 1)[3]  # what has no value stays last
    page.get_by_role("columnheader", name="Clip").get_by_role("button").click()
    assert duration.get_attribute("aria-sort") == "none"
    assert column(page, 0)[1:] == ["talk 9.mp4", "talk 10.mp4", "talk 10.mp4"]  # numbers in names count as such


def test_the_csv_has_what_persons_showed(clips, tmp_path):
    path = write_summary_csv(clips, tmp_path / "summary.csv")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert [row["person"] for row in rows] == ["Anna", "", "", "person-1"]
    anna = clips[0].persons[0]
    assert float(rows[0]["seconds"]) == pytest.approx(anna.seconds, abs=1e-4)
    for name, seconds in anna.emotion_seconds.items():
        assert float(rows[0][f"seconds_{name}"]) == pytest.approx(seconds, abs=1e-4)
    for name, score in anna.mean_scores.items():
        assert float(rows[0][f"score_{name}"]) == pytest.approx(score, abs=1e-4)
    assert float(rows[0]["uncertain"]) == pytest.approx(uncertain_fraction(anna), abs=1e-4)
    assert rows[1]["share_image"] == "" and rows[1]["share_audio"] == "1.0"
    assert rows[2]["error"].endswith("no video") and not rows[2]["seconds"] and not rows[2]["uncertain"]


def test_lines_of_the_csv_end_alike(clips, tmp_path):
    text = write_summary_csv(clips, tmp_path / "summary.csv").read_bytes()
    assert text.count(b"\n") == len(text.splitlines()) == 5


def test_nobody_has_no_fraction(tmp_path):
    silent = make_timeline(("Anna",), 8.0, gaps=((0.0, 8.0),))
    (summary,) = silent.summary
    assert uncertain_fraction(summary) is None and summary.emotion is None
    assert "nobody" not in write_index([silent], tmp_path / "a.html").read_text(encoding="utf-8").split("<main")[0]
    assert "nobody seen or heard" in write_index([replace(silent, rows=[])], tmp_path / "b.html").read_text()


def test_a_folder_is_no_page(clips, tmp_path):
    for write in (write_index, write_summary_csv):
        with pytest.raises(InputError, match="is a folder"):
            write(clips, tmp_path)
