"""Times `pretrain_stream.sh` with one process, two processes, and two nodes that this machine plays both of.

python examples/time_pretrain_stream.py CLIPS OUT.json
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = Path(__file__).with_name("pretrain_stream.sh")
VARIANTS = {
    "one process": [{}],
    "two processes": [{"PROCESSES": "2"}],
    "two nodes": [{"NODES": "2", "NODE": str(node), "MASTER": "127.0.0.1:29533"} for node in range(2)],
}


def run(clips: str, variables: list[dict[str, str]]) -> dict:
    """Run the script on all nodes at once; returns what it took and what came out."""
    with tempfile.TemporaryDirectory() as runs:
        started = time.perf_counter()
        nodes = [
            subprocess.Popen([str(SCRIPT), clips, runs], env=os.environ | {"OMP_NUM_THREADS": "1"} | each)
            for each in variables
        ]
        if any([node.wait() for node in nodes]):  # noqa: C419, each has to be waited for
            raise SystemExit(f"{SCRIPT.name} failed with {variables}")
        record = json.loads((Path(runs) / "audio" / "run.json").read_text())
        manifest = json.loads((Path(runs) / "features" / "manifest.json").read_text())
        rates = [entry["frames_per_second"] for entry in record["history"] if "loss" in entry]
        return {
            "seconds": round(time.perf_counter() - started),
            "of which pre-training": round(record["seconds"]),
            "steps": record["steps"],
            "clips a step": record["options"]["batch_size"] * record["processes"],
            "frames per second": round(sorted(rates)[len(rates) // 2]),
            "loss": next(entry["loss"] for entry in reversed(record["history"]) if "loss" in entry),
            "clips": manifest["clips"],
            "minutes of sound": round(manifest["seconds"] / 60, 1),
        }


def main(clips: str, out: str) -> None:
    """Time all variants and write what was found."""
    results = {"corpus": Path(clips).name, "cores": len(os.sched_getaffinity(0)), "runs": {}}
    for name, variables in VARIANTS.items():
        results["runs"][name] = run(clips, variables)
        print(name, results["runs"][name], flush=True)
        Path(out).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
