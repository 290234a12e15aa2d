"""Reads 2,000 damaged clips to their ends, in worker processes, and counts how that ends.

    python benchmarks/damaged_clips.py [OUT.json] [NUMBER] [SEED]

Every other one is given as bytes, the rest as files. A result is a clip that was read to the end of its frames and
audio, an error is a `ClipError`; anything else is a failure: another exception, a process that dies, and one that
takes more than 30 seconds.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import TimeoutError
from pathlib import Path

from pebble import ProcessExpired, ProcessPool

from av_emotion_hf.media import ClipError, open_clip

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers.damage import base_clips, damaged_clips

LIMIT = 30.0  # seconds per clip


def read(source: str | bytes) -> str:
    """Read all frames and all audio; return "result" or "error"."""
    try:
        clip = open_clip(source)
    except ClipError as error:
        assert "\n" not in str(error)
        return "error"
    for _ in clip.frames():
        pass
    for _ in clip.audio():
        pass
    return "result"


def main(out: Path, number: int, seed: int) -> None:
    """Read them all and write the counts by kind of damage."""
    counts, failures, seconds = {}, [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ProcessPool(max_workers=2) as pool:
        jobs = []
        for index, (kind, base, suffix, data) in enumerate(damaged_clips(base_clips(Path(folder)), number, seed)):
            path = Path(folder) / f"{index}.{suffix}"
            path.write_bytes(data)
            source = data if index % 2 else str(path)
            jobs.append((index, kind, base, pool.schedule(read, args=[source], timeout=LIMIT)))
        for index, kind, base, job in jobs:
            try:
                end = job.result()
            except TimeoutError:
                end = "timeout"
            except ProcessExpired:
                end = "crash"
            except Exception as error:
                end = f"{type(error).__name__}: {error}"
            if end not in ("result", "error"):
                failures.append({"index": index, "damage": kind, "base": base, "end": end})
                end = end if end in ("timeout", "crash") else "exception"
            counts.setdefault(kind, Counter())[end] += 1
    total = sum(counts.values(), Counter())
    record = {"number": number, "seed": seed, "seconds_at_most": LIMIT, "total": total, "by_damage": counts}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record | {"failures": failures}, indent=1) + "\n")
    print(dict(total), f"{time.monotonic() - seconds:.0f} s", *failures[:20], sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).parent / "results" / "damaged_clips.json")
    parser.add_argument("number", nargs="?", type=int, default=2000, help="of damaged clips")
    parser.add_argument("seed", nargs="?", type=int, default=0)
    args = parser.parse_args()
    main(args.out, args.number, args.seed)
