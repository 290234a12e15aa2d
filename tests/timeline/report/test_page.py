"""The report of a clip, in a browser."""

import base64
import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.browser import downloaded, until
from helpers.synthetic import gray_frames, voice, write_clip
from helpers.timelines import jpeg_of, make_timeline

from av_emotion_hf.errors import InputError
from av_emotion_hf.timeline.report.page import PICTURE_BYTES, report_html, write_report
from av_emotion_hf.timeline.table import FacePicture, Timeline, TimelineRow

SECONDS = 12.0
HOSTILE = "</script><script>alert('x')</script> \"a\" & 'b' <img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A clip of 12 seconds that gets brighter, with a voice."""
    folder = tmp_path_factory.mktemp("clips of a folder")
    return write_clip(folder / "a clip #1.mp4", gray_frames(range(10, 130), 90, 120), 10, voice(SECONDS, 150), 16_000)


@pytest.fixture
def timeline(clip, face):
    return make_timeline(
        ("Anna", "person-2", None), SECONDS, clip=str(clip), gaps=((5.0, 7.0),), window=2.0, pictures=[face]
    )


@pytest.fixture
def report(timeline, clip):
    return write_report(timeline, clip.parent / "reports" / "page.html")


def time_of(page):
    return page.evaluate("document.getElementById('media').currentTime")


def ready(page):
    until(page, "document.getElementById('media').readyState >= 2")


def plot_box(page, lane):
    """Left and width of the time scale of a lane, and the middle of its height, in pixels."""
    page.locator(lane).scroll_into_view_if_needed()
    box = page.locator(lane).locator(".plot").bounding_box()
    gutter = float(page.locator(lane).locator("clipPath rect").first.get_attribute("x"))
    width = float(page.locator(lane).locator("clipPath rect").first.get_attribute("width"))
    return box["x"] + gutter, width, box["y"] + min(box["height"], 100) / 2


@pytest.mark.slow
def test_the_page_shows_clip_persons_and_how_it_was_made(visit, report, timeline):
    page = visit(report).page
    assert page.title() == page.locator("h1").inner_text() == "a clip #1.mp4"
    assert page.locator(".lane.person h3").all_inner_texts() == ["Anna", "person-2", "voice"]
    assert page.locator(".lane.signal").count() == 3  # loudness, pitch, quality
    assert page.locator(".card").count() == 3
    assert page.locator("footer").get_by_text("not what someone feels").is_visible()
    assert "4fe14fe14fe1" in page.locator("footer").inner_text()
    names = page.locator(".legend > span").all_inner_texts()
    assert names[: len(timeline.labels)] == list(timeline.labels) and names[-2] == "uncertain"
    for number, one in enumerate(timeline.summary):
        rows = page.locator(".card").nth(number).locator("tbody th").all_inner_texts()
        assert rows == list(one.emotion_seconds)
    # all persons are drawn: as many segments as the timeline has, each with its name for those who cannot see colors
    drawn = page.locator(".lane .segment")
    assert drawn.count() == len(timeline.segments)
    titles = drawn.evaluate_all("all => all.map((one) => one.querySelector('title').textContent)")
    assert all(segment.emotion in title for segment, title in zip(timeline.segments, titles, strict=True))
    assert page.locator(".lane .uncertain").count() == sum(one.emotion == "uncertain" for one in timeline.segments)


@pytest.mark.slow
def test_a_click_in_the_middle_seeks_to_the_middle(visit, report):
    page = visit(report).page
    ready(page)
    left, width, y = plot_box(page, ".lane.person >> nth=1")
    page.mouse.click(left + width / 2, y)
    until(page, "!document.getElementById('media').seeking")
    assert time_of(page) == pytest.approx(SECONDS / 2, abs=0.02)
    cursors = page.locator(".lane .cursor").evaluate_all("all => all.map((one) => +one.getAttribute('x1'))")
    gutter = left - page.locator(".plot").first.bounding_box()["x"]
    assert len(cursors) == 6 and np.allclose(cursors, gutter + width / 2, atol=0.6)
    page.mouse.move(left + width / 2, y)
    page.mouse.down()
    page.mouse.move(left + width / 4, y, steps=4)
    page.mouse.up()
    assert time_of(page) == pytest.approx(SECONDS / 4, abs=0.02)
    assert page.locator("#axis-box").get_attribute("aria-valuenow") == "3.0"


@pytest.mark.slow
def test_the_cursor_moves_with_the_player(visit, report):
    page = visit(report).page
    ready(page)
    page.keyboard.press("Space")
    until(page, "document.getElementById('media').currentTime > 0.5")
    page.keyboard.press("Space")
    until(page, "document.getElementById('media').paused")
    left, width, _ = plot_box(page, ".lane.person >> nth=0")
    x = page.locator(".lane.person >> nth=0").locator(".cursor").get_attribute("x1")
    gutter = left - page.locator(".plot").first.bounding_box()["x"]
    assert float(x) == pytest.approx(gutter + width * time_of(page) / SECONDS, abs=1)


@pytest.mark.slow
def test_keys_and_what_is_said_to_who_listens(visit, report, timeline):
    page = visit(report).page
    ready(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert time_of(page) == pytest.approx(2.0, abs=0.02)
    segment = next(one for one in timeline.segments if one.person == "Anna" and one.start <= 2 < one.end)
    assert f"Anna: {segment.emotion}" in page.locator("#live").inner_text()
    assert segment.emotion in page.locator(".now-person").first.inner_text()
    page.keyboard.press("Shift+ArrowRight")
    assert time_of(page) == pytest.approx(SECONDS, abs=0.1)
    page.keyboard.press("Home")
    assert time_of(page) == 0
    page.keyboard.press("+")
    until(page, "!document.getElementById('zoom-out').disabled")
    shown = page.locator("#axis text").all_text_contents()
    assert shown[0] == "0:00.0" and shown[-1] == "0:06.0"
    page.keyboard.press("0")
    until(page, "document.getElementById('zoom-out').disabled")
    # a key belongs to a control that has the focus
    page.locator("#follow").focus()
    page.keyboard.press("Space")
    assert page.locator("#follow").get_attribute("aria-pressed") == "false" and page.evaluate("media.paused")
    page.locator("summary", has_text="Keys and mouse").click()
    assert page.locator(".keys dl").is_visible()
    page.locator(".face").nth(3).click()
    assert time_of(page) == pytest.approx(timeline.pictures["Anna"][3].time, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["Stacked", "Rows", "Lines"])
def test_what_was_not_seen_is_a_gap(visit, report, timeline, mode):
    page = visit(report).page
    page.get_by_role("button", name=mode).click()
    left, width, _ = plot_box(page, ".lane.person >> nth=0")
    origin = page.locator(".plot").first.bounding_box()["x"]
    spans = (
        page.locator(".lane.person >> nth=0")
        .locator(".area, .score-line:not(.leading)")
        .evaluate_all("all => all.map((one) => { const box = one.getBBox(); return [box.x, box.x + box.width]; })")
    )
    absent = [row.center for row in timeline.of("Anna") if not row.scores]
    assert absent
    for time in absent:
        x = left - origin + width * time / SECONDS
        assert not any(start < x - 0.5 and x + 0.5 < end for start, end in spans)
    assert len(spans) == 2 * len(timeline.labels)  # before and after
    # loudness and pitch have the gap as well
    assert page.locator("[data-signal=loudness] .signal-line").count() == 2
    assert page.locator("[data-kind='no face']").count() == 1


@pytest.mark.slow
def test_the_table_and_its_csv_are_the_columns(visit, report, timeline):
    page = visit(report).page
    with downloaded(page) as found:
        page.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(io.StringIO(found[0])))
    columns = timeline.columns()
    assert list(rows[0]) == list(columns) and len(rows) == len(timeline.rows)
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            if value is None:
                assert row[name] == ""
            elif isinstance(value, str):
                assert row[name] == value
            else:
                assert float(row[name]) == pytest.approx(value, abs=0.051 if name == "pitch" else 0.0051)
                if name.startswith(("score_", "share_", "confidence")):
                    assert float(row[name]) == pytest.approx(value, abs=1e-4)
    assert page.locator("#rows tbody tr").count() == min(50, len(rows))
    page.locator("#who").select_option("0")
    assert page.locator("#rows tbody tr").count() == len(timeline.of("Anna"))
    third = page.locator("#rows tbody tr").nth(2)
    third.get_by_role("button").click()
    assert page.locator("#axis-box").get_attribute("aria-valuenow") == f"{timeline.of('Anna')[2].center:.1f}"
    assert "current" in third.get_attribute("class")


@pytest.mark.slow
def test_dark_and_light(visit, report):
    page = visit(report, color_scheme="dark").page
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Use light colors").click()
    light = page.evaluate(background)
    assert dark != light and page.get_by_role("button", name="Use dark colors").is_visible()
    assert visit(report, color_scheme="light").page.evaluate(background) == light
    # somebody who wants no dark colors on a dark system keeps them
    page.reload()
    assert page.evaluate(background) == light


@pytest.mark.slow
def test_a_phone_shows_everything_without_scrolling_sideways(visit, report):
    page = visit(report, width=390, height=844, has_touch=True).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ready(page)
    left, width, y = plot_box(page, ".lane.person >> nth=0")
    assert width > 250
    page.touchscreen.tap(left + width / 2, y)
    assert time_of(page) == pytest.approx(SECONDS / 2, abs=0.1)


@pytest.mark.slow
def test_less_motion_moves_the_cursor_as_well(visit, report):
    page = visit(report, reduced_motion="reduce").page
    ready(page)
    page.keyboard.press("Space")
    until(page, "+document.getElementById('axis-box').getAttribute('aria-valuenow') > 0.4")


@pytest.mark.slow
def test_a_clip_that_is_missing_is_named_and_can_be_opened(visit, timeline, tmp_path, clip):
    page = visit(
        write_report(timeline, tmp_path / "page.html", media=tmp_path / "gone.mp4"), ignored=["ERR_FILE"]
    ).page
    page.wait_for_selector("#no-media:visible")
    assert "could not be played" in page.locator("#no-media").inner_text()
    left, width, y = plot_box(page, ".lane.person >> nth=0")
    page.mouse.click(left + width / 2, y)  # the timeline works without it
    assert page.locator("#axis-box").get_attribute("aria-valuenow") == "6.0"
    page.set_input_files("#open", str(clip))
    ready(page)
    assert time_of(page) == pytest.approx(6, abs=0.05) and page.locator("#no-media").is_hidden()
    (tmp_path / "no video.mp4").write_bytes(b"nothing")
    page.set_input_files("#open", str(tmp_path / "no video.mp4"))
    page.wait_for_selector("#no-media:visible")
    assert "cannot play “no video.mp4”" in page.locator("#no-media").inner_text()


@pytest.mark.slow
def test_a_page_without_a_clip_asks_for_it(visit, timeline, tmp_path):
    page = visit(write_report(replace(timeline, clip="elsewhere.mp4"), tmp_path / "page.html")).page
    assert page.locator("#no-media").is_visible() and page.locator("#media").is_hidden()


@pytest.mark.slow
def test_an_embedded_clip_plays_from_the_page_alone(visit, timeline, tmp_path):
    path = write_report(timeline, tmp_path / "page.html", embed=True)
    page = visit(path).page
    ready(page)
    assert page.locator("#media").get_attribute("src").startswith("data:video/mp4;base64,")
    assert page.evaluate("document.getElementById('media').duration") == pytest.approx(SECONDS, abs=0.2)


@pytest.mark.slow
def test_a_voice_alone_has_an_audio_player_and_says_nothing_of_faces(visit, tmp_path):
    write_clip(tmp_path / "call.m4a", None, sound=voice(6, 150), rate=16_000)
    timeline = make_timeline((None,), 6.0, clip=str(tmp_path / "call.m4a"), gaps=(), has_video=False)
    page = visit(write_report(timeline, tmp_path / "page.html")).page
    assert page.locator("audio").is_visible() and page.locator("video").count() == 0
    ready(page)
    assert page.locator("[data-kind='no face']").count() == 0 and "Face" not in page.locator(".card").inner_text()


@pytest.mark.slow
def test_names_and_texts_of_users_stay_texts(visit, timeline, tmp_path):
    rows = [
        replace(row, person=HOSTILE if row.person == "Anna" else row.person, text=HOSTILE) for row in timeline.rows
    ]
    hostile = replace(
        timeline,
        clip=f"folder/{HOSTILE.replace('/', '')}.mp4",
        rows=rows,
        settings={**timeline.settings, "segments": HOSTILE},
        model={"name": HOSTILE, "sha256": HOSTILE},
        labels=tuple(HOSTILE if label == "happy" else label for label in timeline.labels),
        pictures={HOSTILE: timeline.pictures["Anna"]},
    )
    hostile.rows = [
        replace(
            row,
            scores={HOSTILE if name == "happy" else name: value for name, value in row.scores.items()},
            emotion=HOSTILE if row.emotion == "happy" else row.emotion,
        )
        for row in hostile.rows
    ]
    page = visit(write_report(hostile, tmp_path / "page.html")).page
    page.on("dialog", lambda dialog: pytest.fail("a script of a name ran"))
    assert HOSTILE in page.locator(".lane.person h3").all_inner_texts()
    assert HOSTILE in page.locator("#rows thead th").all_inner_texts()
    assert page.locator("script").count() == 2 and page.locator("img[src=x]").count() == 0
    with downloaded(page) as found:
        page.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(io.StringIO(found[0])))
    assert rows[0]["text"] == HOSTILE and rows[0]["person"] == HOSTILE


@pytest.mark.slow
def test_the_policy_of_the_page_forbids_everything_else(visit, report):
    opened = visit(report, ignored=["Content Security Policy", "violates the following", "Failed to"])
    page = opened.page
    blocked = page.evaluate(
        """async () => {
          const found = [];
          document.addEventListener("securitypolicyviolation", (event) => found.push(event.effectiveDirective));
          await fetch("https://example.org/").catch(() => {});
          new Image().src = "https://example.org/a.png";
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          document.getElementById("media").src = "https://example.org/a.mp4";
          await new Promise((done) => setTimeout(done, 300));
          return [...new Set(found)].sort().concat(String(window.ran));
        }"""
    )
    assert blocked == ["connect-src", "img-src", "media-src", "script-src-elem", "undefined"]
    assert not opened.requests


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def test_nothing_is_written_where_the_clip_cannot_be_embedded(timeline, tmp_path):
    with pytest.raises(InputError, match=r"cannot be read .* leave out embed"):
        write_report(timeline, tmp_path / "page.html", media=tmp_path / "gone.mp4", embed=True)
    with pytest.raises(InputError, match="is a folder"):
        write_report(timeline, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_clip_is_found_from_where_the_page_is(timeline, report, clip):
    text = report.read_text(encoding="utf-8")
    assert f'src="./../{clip.name.replace(" ", "%20").replace("#", "%23")}"' in text
    assert 'src="file/of?a=1&amp;b=2"' in report_html(timeline, "file/of?a=1&b=2")
    assert timeline.to_html(report.parent / "again.html").read_text(encoding="utf-8") == text


def test_numbers_are_packed_to_within_their_rounding(timeline):
    columns = data_of(report_html(timeline))["columns"]
    for name, values in timeline.columns().items():
        if name == "person" or name == "emotion":
            continue
        packed = columns[name]
        codes = np.frombuffer(base64.b64decode(packed["base64"]), f"<u{packed['bits'] // 8}")
        assert [code == 2 ** packed["bits"] - 1 for code in codes] == [value is None for value in values]
        known = [(code, value) for code, value in zip(codes, values, strict=True) if value is not None]
        for code, value in known:
            assert packed["low"] + code * packed["step"] == pytest.approx(value, abs=packed["step"] / 2 + 1e-9)


def test_pictures_stay_within_their_bytes(timeline):
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    many = [FacePicture(float(time), jpeg_of(noise)) for time in range(400)]
    damaged = [FacePicture(0.0, b"no image")]
    text = report_html(replace(timeline, pictures={"Anna": many, "person-2": damaged}))
    images = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    assert 1 < len(images) <= 12 and sum(map(len, images)) <= PICTURE_BYTES / 2 * 4 / 3 + 4 * len(images)
    assert 'data-time="0.0"' in text and 'data-time="399.0"' in text  # spread over the time


def test_an_empty_timeline_has_a_page():
    text = report_html(Timeline("a.mp4", 0.0, ("happy", "sad"), [], has_video=False))
    assert data_of(text)["columns"]["start"]["base64"] == "" and "voice only" in text


def test_a_segment_has_the_text_of_its_annotation():
    row = TimelineRow(0.0, 2.0, "Anna", "happy", 0.9, {"happy": 0.9, "sad": 0.1}, text="laughs & sings")
    found = data_of(report_html(Timeline("a.mp4", 4.0, ("happy", "sad"), [row], {"segments": "a.eaf"})))
    assert found["texts"] == found["segment_texts"] == ["laughs & sings"] and found["fields"][-1] == "text"
