"""Size of the report of an hour with three persons, and how long a browser takes to open it.

    python benchmarks/report_size.py [OUT.json]

The timeline is drawn at random: a window of 4 s each second, faces of noise for the contact sheets, which compress
worse than any face. `open_s` is the time from the address to a page whose lanes are drawn and whose table is filled,
`zoom_s` that of one step of zoom. It is the median of new pages of one browser; needs chromium and playwright.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from av_emotion_hf.timeline.report.page import write_report

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers.timelines import make_timeline  # noqa: E402

REPEATS = 7
SECONDS, PERSONS = 3600.0, ("person-1", "person-2", "person-3")
FRAMES_DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def measure(folder: Path) -> dict:
    """Size in bytes, and seconds of opening and of zooming."""
    noise = np.random.default_rng(0).integers(0, 256, (len(PERSONS), 96, 96, 3), dtype=np.uint8)
    timeline = make_timeline(PERSONS, SECONDS, gaps=((600.0, 660.0), (2400.0, 2700.0)), pictures=list(noise))
    start = time.perf_counter()
    path = write_report(timeline, folder / "hour.html")
    written = time.perf_counter() - start
    bare = make_timeline(PERSONS, SECONDS, gaps=((600.0, 660.0), (2400.0, 2700.0)))
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    opened, zoomed = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(REPEATS + 1):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            start = time.perf_counter()
            page.goto(path.as_uri())
            page.evaluate(FRAMES_DRAWN)
            opened.append(time.perf_counter() - start)
            assert page.locator("#rows tbody tr").count() and page.locator(".lane .area").count()
            start = time.perf_counter()
            page.keyboard.press("+")
            page.evaluate(FRAMES_DRAWN)
            zoomed.append(time.perf_counter() - start)
            page.close()
        version = browser.version
        browser.close()
    return {
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "browser": version,
        "seconds": SECONDS,
        "persons": len(PERSONS),
        "rows": len(timeline.rows),
        "segments": len(timeline.segments),
        "bytes": path.stat().st_size,
        "bytes_without_pictures": write_report(bare, folder / "bare.html").stat().st_size,
        "write_s": round(written, 2),
        "open_s": round(statistics.median(opened[1:]), 2),  # the first fills caches
        "zoom_s": round(statistics.median(zoomed[1:]), 3),
        "repeats": REPEATS,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "benchmarks" / "results" / "report.json")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name))
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
