"""The page in a real browser."""

import re
import time

import pytest
from helpers.browser import launch_browser

pytest.importorskip("gradio")
pytestmark = pytest.mark.slow
SECONDS = 60_000  # milliseconds that an answer may take on a machine that is busy
FAKE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
FRAME = "document.querySelector('iframe.report')"
PROBLEM = "#answer .problem"


@pytest.fixture
def open_page(app):
    """Function that opens the page in a browser of its own; afterward no request has left this machine."""
    addresses, errors, contexts = set(), [], []

    def open_page(*flags, **options):
        context = launch_browser(*flags)
        contexts.append(context)
        page = context.__enter__().new_page(**options)
        page.on("request", lambda request: addresses.add(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_default_timeout(SECONDS)
        page.goto(app.url)
        page.wait_for_selector("#analyze")
        return page

    yield open_page
    for context in contexts:
        context.__exit__(None, None, None)
    assert not [address for address in addresses if not address.startswith((app.url, "data:", "blob:", "about:"))]
    assert not errors


def analyze(page, path):
    page.set_input_files("#clip input[type=file]", path)
    page.wait_for_selector(f"#clip :text('{path.stem}')")
    page.click("#analyze")


def test_a_clip_is_uploaded_and_its_timeline_shown(app, open_page, clip, tmp_path):
    page = open_page()
    analyze(page, clip)
    page.wait_for_selector("#answer .answer")
    assert re.fullmatch(r"Person 1: .*\.", page.inner_text("#answer .answer"))
    report = page.frame_locator("iframe.report")
    report.get_by_role("heading", name="Timeline").wait_for()
    assert "face and voice.mp4" in report.locator("h1").inner_text()
    page.wait_for_function(
        "document.querySelector('iframe.report').contentDocument.querySelector('video').readyState > 0"
    )
    page.wait_for_function(f"{FRAME}.clientHeight > 600")  # as high as the report
    names = page.locator("#files a").evaluate_all("links => links.map(link => link.download || link.href)")
    for suffix in ("zip", "html", "csv", "json"):
        assert any(name.endswith(f"face and voice.{suffix}") for name in names), names
    with page.expect_download() as download:
        page.locator("#files a").first.click()
    assert download.value.path().read_bytes()[:2] == b"PK"
    assert app.files()
    page.context.close()  # as when a tab is closed
    app.wait_until_empty(20)


def test_who_has_no_clip_tries_a_drawn_face(app, open_page):
    page = open_page()
    page.click("#example")
    page.wait_for_selector("#clip :text('drawn face')")
    page.click("#analyze")
    page.wait_for_selector("#answer .answer")
    page.wait_for_function(
        "document.querySelector('iframe.report').contentDocument.querySelector('video').readyState > 0"
    )  # the browser plays it
    page.context.close()
    app.wait_until_empty(20)


def test_the_next_clip_replaces_the_one_before(app, open_page, clip, tmp_path):
    page = open_page()
    page.set_input_files("#clip input[type=file]", clip)
    page.wait_for_selector("#clip :text('face and voice')")
    [first] = wait_for(app.files, 1)
    page.get_by_label("Clear").or_(page.get_by_label("Remove")).first.click()
    app.wait_until_empty()
    other = clip.rename(tmp_path / "other.mp4")
    page.set_input_files("#clip input[type=file]", other)
    page.wait_for_selector("#clip :text('other')")
    [second] = wait_for(app.files, 1)
    assert second.name == "other.mp4" and not first.exists()


def wait_for(found, count, seconds=10):
    end = time.monotonic() + seconds
    while len(found()) != count and time.monotonic() < end:
        time.sleep(0.05)
    return found()


def test_progress_is_shown_and_cancel_works_within_two_seconds(app, open_page, long_clip, clip):
    page = open_page()
    analyze(page, long_clip)
    page.wait_for_selector("text=/[1-9][0-9]* of 60 s of the clip/")
    begun = time.monotonic()
    page.click("#cancel")
    page.wait_for_selector("text=Canceled.")
    assert time.monotonic() - begun < 2
    analyze_again = page.locator("#clip")
    assert analyze_again.is_visible()
    page.get_by_label("Clear").or_(page.get_by_label("Remove")).first.click()
    analyze(page, clip)
    page.wait_for_selector("#answer .answer")


def test_who_waits_sees_the_place_in_the_queue(open_page, long_clip, clip):
    busy = open_page()
    analyze(busy, long_clip)
    busy.wait_for_selector("text=/of 60 s of the clip/")
    waiting = busy.context.browser.new_page()
    waiting.goto(busy.url)
    waiting.wait_for_selector("#analyze")
    analyze(waiting, clip)
    waiting.wait_for_selector("text=/queue: 1/")
    busy.click("#cancel")
    waiting.wait_for_selector("#answer .answer", timeout=SECONDS)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("words.mp4", b"these are words", "words.mp4: is a text file, and a clip is an audio or video file"),
        ("noise.mp4", bytes(range(256)) * 40, "noise.mp4: neither audio nor video can be read"),
        ("<b>bold<b>.mp4", b"\x00" * 400, ": neither audio nor video can be read"),
    ],
)
def test_a_bad_file_is_answered_in_words(open_page, tmp_path, name, content, message):
    page = open_page()
    path = tmp_path / name
    path.write_bytes(content)
    page.set_input_files("#clip input[type=file]", path)
    page.wait_for_selector("#clip .file-preview, #clip table")
    page.click("#analyze")
    page.wait_for_selector(PROBLEM)
    assert message in page.inner_text(PROBLEM)
    assert "Traceback" not in page.content() and not page.locator(f"{PROBLEM} b").count()


def test_without_a_clip_it_says_what_to_do(open_page):
    page = open_page()
    page.click("#analyze")
    page.wait_for_selector(PROBLEM)
    assert page.inner_text(PROBLEM) == "There is no clip yet: choose a file, or record one."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_cut_off(open_page, clip, scheme):
    page = open_page(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    analyze(page, clip)
    page.wait_for_selector("iframe.report")
    for tab in ("Clip", "Live", "Clip"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", color)[:3])) < 200) == (scheme == "dark")


def test_a_recording_of_the_camera_is_analyzed_after_the_notice(open_page):
    page = open_page(*FAKE)
    page.get_by_role("tab", name="Camera").click()
    assert page.get_by_text("Everyone who is recorded has to be told beforehand").first.is_visible()
    assert not page.locator("#camera").is_visible()
    page.get_by_label("Everyone who is recorded knows this").first.check()
    page.locator("#camera").wait_for()
    page.get_by_text("Click to Access Webcam").click()
    page.get_by_title("start recording").click()
    page.wait_for_timeout(3000)
    page.get_by_title("stop recording").click()
    page.locator("#camera video[src]").wait_for()
    page.click("#analyze")
    page.wait_for_selector("#answer .answer")
    assert page.inner_text("#answer .answer").startswith("The voice: ")  # a beep, and a pattern without a face


def test_live_shows_a_timeline_that_goes_on(open_page):
    page = open_page(*FAKE)
    page.get_by_role("tab", name="Live").click()
    assert page.locator(".live .start").is_disabled()
    page.check(".live .known")
    page.click(".live .start")
    page.wait_for_selector(".live .bar i")
    assert re.match(r"Voice: \w+ \(0\.\d\d\)", page.inner_text(".live .now"))
    assert re.match(r"Answers come \d+\.\d s after", page.inner_text(".live .delay"))
    page.wait_for_function("document.querySelectorAll('.live .bar i').length > 2")
    page.click(".live .stop")
    page.wait_for_selector("text=Stopped.")
    page.click(".live .start")  # its process is free again
    page.locator(".live .state", has_text="Live: ").wait_for()
    page.click(".live .stop")
    page.wait_for_selector("text=Stopped.")


def test_live_without_a_camera_says_so(open_page):
    page = open_page()
    page.get_by_role("tab", name="Live").click()
    page.check(".live .known")
    page.click(".live .start")
    page.wait_for_selector("text=No camera and no microphone was found; connect one, or choose a file.")


def test_live_where_the_browser_may_not_says_so(open_page):
    page = open_page("--use-fake-device-for-media-stream", "--deny-permission-prompts")
    page.get_by_role("tab", name="Live").click()
    page.check(".live .known")
    page.click(".live .start")
    page.wait_for_selector("text=/allow it in its address bar/")


def test_only_so_many_cameras_are_live_at_a_time(open_page):
    page = open_page(*FAKE)
    pages = [page, page.context.browser.new_page(permissions=["camera", "microphone"])]
    pages[1].goto(page.url)
    for one in pages:
        one.get_by_role("tab", name="Live").click()
        one.check(".live .known")
    pages[0].click(".live .start")
    pages[0].locator(".live .state", has_text="Live: ").wait_for()
    pages[1].click(".live .start")
    pages[1].wait_for_selector("text=/The camera of somebody else is live/")
    pages[0].close(run_before_unload=True)  # which says that it is gone
    while "somebody else" in pages[1].inner_text(".live .state"):
        pages[1].click(".live .start")
        pages[1].wait_for_timeout(300)
