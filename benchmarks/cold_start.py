"""What a single prediction costs from a cold start, and what more threads than one cost.

    python benchmarks/cold_start.py [--rounds 7] [--before SRC] [OUT.json]

Every round runs new processes in turn: the two libraries alone, what of transformers no model can do without, the
import of the predictor, and `av-emotion predict` on the demo clip (with `--before`, also that of an earlier version,
from its folder `src`). Figures are medians of processor time, which other programs disturb less than the clock, and of
peak memory. Then 60 steps of streamed pre-training beside one busy process, with the number of threads that the
command chooses and with one per core.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
PREDICT = [sys.executable, "-m", "av_emotion_hf", "predict"]
BEFORE = "av-emotion predict, before"
BASE = "import torch, transformers"
IMPORTS = ("from transformers import PreTrainedModel, ProcessorMixin", "from av_emotion_hf import EmotionPredictor")
LINES = {BASE: BASE} | {line: f"{BASE}; {line}" for line in IMPORTS}
WORK = """
import sys, time
from av_emotion_hf import EmotionPredictor
predictor = EmotionPredictor(device="cpu")
predictor(sys.argv[1])
before = time.process_time()
for _ in range(3):
    predictor(sys.argv[1])
print((time.process_time() - before) / 3)
"""
STEPS, CLIPS, FRAMES, FEATURES = 60, 512, 400, 60


def run(command: list, **env: str) -> tuple[float, float, float]:
    """Processor seconds, peak MB and seconds on the clock of a new process and its children."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, "HF_HUB_OFFLINE": "1", **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with status {status}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, time.perf_counter() - begun


def cold_start(clip: Path, rounds: int, before: Path | None) -> dict:
    """Medians of processor seconds and peak MB by what was run."""
    commands = {name: [sys.executable, "-c", line] for name, line in LINES.items()}
    commands["av-emotion predict"] = [*PREDICT, str(clip), "--device", "cpu"]
    environments = {}
    if before is not None:
        commands[BEFORE] = [*PREDICT, str(clip)]  # the first version had no --device
        environments[BEFORE] = {"PYTHONPATH": str(before.resolve())}
    found: dict[str, list] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            found[name].append(run(command, **environments.get(name, {})))
    result = {}
    for name, values in found.items():
        seconds, megabytes, _ = (statistics.median(column) for column in zip(*values[1:], strict=True))
        result[name] = {"seconds": round(seconds, 2), "peak_mb": round(megabytes)}
    base = result[BASE]["seconds"]
    work = subprocess.run([sys.executable, "-c", WORK, str(clip)], capture_output=True, text=True, check=True)
    work = float(work.stdout)
    result["the clip itself"] = {"seconds": round(work, 2)}
    for name in list(commands)[1:]:
        result[name]["over_base"] = round(result[name]["seconds"] - base, 2)
        result[name]["ratio_to_base"] = round(result[name]["seconds"] / base, 2)
    result["av-emotion predict"]["over_base_and_work"] = round(
        result["av-emotion predict"]["seconds"] - base - work, 2
    )
    return result


def write_features(folder: Path) -> None:
    """Shards of drawn features, as `extract --as features` writes them."""
    from datasets import Dataset

    rng = np.random.default_rng(0)
    frames = rng.standard_normal((CLIPS, FRAMES, FEATURES)).astype(np.float32)
    for number, part in enumerate(np.array_split(frames, 4)):
        Dataset.from_dict({"input_features": list(part)}).to_parquet(folder / f"train-{number}.parquet")


def threads(rounds: int) -> dict:
    """Seconds of 60 steps beside one busy process, by the number of threads."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        data.mkdir()
        write_features(data)
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        found: dict[str, list[float]] = {"chosen": [], "one per core": []}
        try:
            for number in range(rounds):
                for name, env in (("chosen", {}), ("one per core", {"OMP_NUM_THREADS": str(os.cpu_count())})):
                    out = Path(folder, f"{name}-{number}")
                    command = [*PREDICT[:-1], "pretrain", str(data), "--streaming", "--modality", "audio"]
                    command += ["--out", str(out), "--max-steps", str(STEPS), "--save-steps", str(STEPS)]
                    run([*command, "--device", "cpu"], **env)
                    found[name].append(json.loads((out / "run.json").read_text())["seconds"])
        finally:
            busy.kill()
    seconds = {name: round(statistics.median(values), 1) for name, values in found.items()}
    return {
        "steps": STEPS,
        "cores": os.cpu_count(),
        "seconds": seconds,
        "ratio": round(seconds["one per core"] / seconds["chosen"], 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).parent / "results" / "cold_start.json")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--before", type=Path, help="folder `src` of an earlier version, which runs in turn")
    args = parser.parse_args()
    os.environ.pop("OMP_NUM_THREADS", None)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        subprocess.run([sys.executable, str(ROOT / "examples" / "make_demo_clip.py"), str(clip)], check=True)
        result = {"rounds": args.rounds, "cold_start": cold_start(clip, args.rounds, args.before)}
    result["threads"] = threads(max(1, args.rounds // 2))
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
