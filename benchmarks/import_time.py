"""What `import av_emotion_hf` adds to the time of `import transformers, torch`.

    python benchmarks/import_time.py [OUT.json]

Processes that import with and without the package run in turn; the figures are medians of their processor time, which
other programs disturb less than the clock.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

REPEATS = 15
LINES = {
    "modules": "import transformers, torch",
    "auto classes and pipelines": "from transformers import AutoModel, AutoProcessor, pipeline",
}


def seconds(line: str) -> float:
    """Processor time of a new process that runs a line."""
    before = os.times()
    subprocess.run([sys.executable, "-c", line], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def measure(repeats: int) -> dict:
    """Seconds without and with the package, and what it adds as a share."""
    result = {}
    for name, line in LINES.items():
        cases = {"without": line, "with": f"import av_emotion_hf; {line}"}
        times = {case: [] for case in cases}
        for _ in range(repeats + 1):
            for case, code in cases.items():
                times[case].append(seconds(code))
        medians = {case: statistics.median(values[1:]) for case, values in times.items()}  # the first fills caches
        result[name] = {
            "line": line,
            "seconds": {case: round(value, 3) for case, value in medians.items()},
            "added_share": round(medians["with"] / medians["without"] - 1, 3),
        }
    return {"repeats": repeats, "imports": result}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).parent / "results" / "import_time.json")
    out = parser.parse_args().out
    found = measure(REPEATS)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
