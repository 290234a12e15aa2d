"""A real browser for tests of pages. It has no network: what a page asks for beyond its own files is a mistake."""

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOCAL = ("file:", "data:", "blob:", "about:")


@dataclass
class Visit:
    """An open page, and what it did that it must not: addresses that it asked for, and errors."""

    page: object
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def check(self):
        assert not self.requests, self.requests
        assert not self.errors, self.errors


@contextmanager
def launch_browser(*flags):
    """Chromium of the system, as playwright drives it; the test is skipped where one of them is missing.

    Args:
        flags: more flags of the command line of chromium.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"needs a browser: none of {', '.join(NAMES)} is installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *flags])
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def browser():
    """A browser that plays without being asked, closed before another module may launch its own."""
    with launch_browser("--autoplay-policy=no-user-gesture-required") as browser:
        yield browser


@pytest.fixture
def visit(browser):
    """Function from a file (or `html`) to a [`Visit`]; at the end nothing may have been asked for and no error said.

    Keyword arguments are those of a browser context, such as `color_scheme="dark"`; `ignored` are parts of errors that
    are expected.
    """
    visits = []

    def open_page(path: Path, ignored=(), width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True, **options)
        made = Visit(context.new_page())
        visits.append((context, made))

        def is_local(url):
            return url.startswith(LOCAL)

        def refuse(route):
            if is_local(route.request.url):
                route.continue_()
            else:
                made.requests.append(route.request.url)
                route.abort()

        def said(text):
            if not any(part in text for part in ignored):
                made.errors.append(text)

        context.route("**/*", refuse)
        made.page.on("console", lambda message: said(message.text) if message.type in ("error", "warning") else None)
        made.page.on("pageerror", lambda error: said(str(error)))
        made.page.goto(path.resolve().as_uri())
        return made

    yield open_page
    for context, made in visits:
        context.close()
        made.check()


def until(page, expression, seconds=10):
    """Waits until an expression of JavaScript is true; the policy of our pages forbids `wait_for_function`."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"still not: {expression}"
        page.wait_for_timeout(20)


@contextmanager
def downloaded(page):
    """The text of the file that is downloaded meanwhile, in a list."""
    found = []
    with page.expect_download() as download:
        yield found
    found.append(Path(download.value.path()).read_bytes().decode("utf-8"))


__all__ = ["Visit", "browser", "downloaded", "launch_browser", "until", "visit"]
