"""A timeline of a clip of a minute and of one of an hour: speed, peak of memory, time to the first window, cancel.

    python benchmarks/timeline.py CLIP [OUT.json] [--minutes 1 60]

CLIP is a short clip of a talking face, repeated without being encoded again. Each length is run in a process of its
own. Speed is by processor time, which other work on the machine does not change: seconds of the clip for each second
of one core. `cancel` is the time on the clock from an exception in the progress callback to its return.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loops import repeat_clip
from memory import peak_mb

from av_emotion_hf import EmotionPredictor, TimelineMaker


class Canceled(Exception):
    """What the progress callback raises."""


def measure(path: str) -> None:
    """Make the timeline of a clip, and print what that took."""
    maker = TimelineMaker(EmotionPredictor(device="cpu"))
    maker.settings  # noqa: B018  # loads the detector
    loaded, start, marks = peak_mb(), time.perf_counter(), []

    def cancel(seconds: float, duration: float) -> None:
        marks.append(time.perf_counter())
        if len(marks) == 2:
            raise Canceled

    try:
        maker(path, progress=cancel)
        after = None  # the clip is too short
    except Canceled:
        after = time.perf_counter() - marks[1]
    first = marks[0] - start
    start = time.process_time()
    timeline = maker(path)
    took = time.process_time() - start
    print(
        json.dumps(
            {
                "seconds": round(timeline.duration, 1),
                "windows": len({row.start for row in timeline.rows}),
                "rows": len(timeline.rows),
                "persons": len(timeline.persons),
                "core_s": round(took, 1),
                "times_real_time": round(timeline.duration / took, 2),
                "first_window_s": round(first, 2),
                "cancel_s": None if after is None else round(after, 3),
                "loaded_mb": round(loaded),
                "peak_mb": round(peak_mb()),
                "detector": timeline.settings["detector"],
                "window_s": timeline.settings["window"],
                "hop_s": timeline.settings["hop"],
            }
        )
    )


def main(clip: Path, out: Path, minutes: list[float]) -> None:
    """Repeat the clip, measure each length, and write the record."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in minutes:
            path = Path(folder) / f"{count:g}.mp4"
            repeat_clip(clip, path, 60 * count)
            child = subprocess.run([sys.executable, __file__, "--measure", path], check=True, capture_output=True)
            rows.append({"minutes": count} | json.loads(child.stdout.splitlines()[-1]))
            path.unlink()
    record = {"clip": clip.name, "rows": rows, "difference_mb": rows[-1]["peak_mb"] - rows[0]["peak_mb"]}
    out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2])
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("clip", type=Path)
        results = Path(__file__).parent / "results"
        parser.add_argument("out", nargs="?", type=Path, default=results / "timeline.json")
        parser.add_argument("--minutes", nargs="+", type=float, default=[1, 60])
        given = parser.parse_args()
        main(given.clip, given.out, given.minutes)
