"""Pre-training from a stream of shards: throughput, two processes beside one, memory, and what a large corpus costs.

    python benchmarks/pretraining.py [throughput] [processes] [memory] [--quick]

Shards of random features are made in a temporary folder: clips of 2 to 12 seconds, 50 frames of 60 values a second.
The trainer is whole: stream, collator, masks, loss, clipping, optimizer, log and checkpoints. The bare loop runs
forward and backward of the same RNN on batches of the same shapes that stand in memory. They take turns in one process
with one thread; figures are medians, by wall clock and processor time. Each part adds to `results/pretraining.json`.
"""

import argparse
import contextlib
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from av_emotion_hf import EmotionTrainer, EmotionTrainingArguments, open_dataset, pretrain

RESULTS = Path(__file__).parent / "results" / "pretraining.json"
RATE, SIZE, CLIPS_PER_SHARD, BATCH = 50, 60, 250, 32
HOURS = (1_000, 10_000, 100_000)


def write_shards(folder: Path, hours: float) -> None:
    """Write shards as `extract` does."""
    draw = np.random.default_rng(0)
    noise = draw.normal(0, 1, (RATE * 60, SIZE)).astype(np.float32)
    kind = pa.list_(pa.list_(pa.float32()))
    left, shard = round(hours * 3600 * RATE), 0
    while left > 0:
        schema = pa.schema({"input_features": kind})
        with pq.ParquetWriter(folder / f"train-{shard:05d}-00000.parquet", schema) as file:
            for _ in range(0, CLIPS_PER_SHARD, 50):
                frames = [min(int(n), left) for n in draw.integers(2 * RATE, 12 * RATE, 50)]
                starts = draw.integers(0, len(noise) - 12 * RATE, 50)
                values = np.concatenate([noise[s : s + n] for s, n in zip(starts, frames, strict=True)])
                inner = pa.ListArray.from_arrays(np.arange(0, values.size + 1, SIZE, dtype=np.int32), values.ravel())
                outer = pa.ListArray.from_arrays(np.cumsum([0, *frames]).astype(np.int32), inner)
                file.write_table(pa.table([outer], schema=schema))
                left -= sum(frames)
                if left <= 0:
                    break
        shard += 1


class Meter:
    """Wall and processor time of `EmotionTrainer.train`, and the shapes of what it trained on."""

    def __init__(self):
        self.shapes, self.frames, self.seconds = [], 0, {}

    def __enter__(self):
        self.train, self.step = EmotionTrainer.train, EmotionTrainer.training_step
        meter = self

        def train(trainer, *args, **kwargs):
            with clock() as meter.seconds:
                return meter.train(trainer, *args, **kwargs)

        def step(trainer, model, inputs, *args, **kwargs):
            meter.shapes.append((inputs["input_features"].shape, inputs["attention_mask"].sum(dim=1)))
            meter.frames += int(inputs["attention_mask"].sum())
            return meter.step(trainer, model, inputs, *args, **kwargs)

        EmotionTrainer.train, EmotionTrainer.training_step = train, step
        return self

    def __exit__(self, *_):
        EmotionTrainer.train, EmotionTrainer.training_step = self.train, self.step


@contextlib.contextmanager
def clock():
    """Seconds of what runs below, by wall clock and by processor time."""
    found = {"wall": time.perf_counter(), "processor": time.process_time()}
    yield found
    found["wall"] = time.perf_counter() - found["wall"]
    found["processor"] = time.process_time() - found["processor"]


def train(folder: Path, steps: int, config_overrides: dict | None = None, **changes) -> dict:
    """Pre-train on a folder of shards in this process; the log goes nowhere."""
    with tempfile.TemporaryDirectory() as out, open(os.devnull, "w") as nowhere:
        args = EmotionTrainingArguments(f"{out}/model", max_steps=steps, per_device_train_batch_size=BATCH, **changes)
        with contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
            dataset = open_dataset(str(folder), streaming=True)
            return pretrain(
                [dataset], args=args, modality="audio", config_overrides=config_overrides, statistics_limit=100
            )


def bare(shapes: list, rnn: nn.Module) -> dict:
    """Forward and backward of the RNN on batches in memory."""
    batches = [
        (torch.randn(shape), torch.arange(shape[1]) < lengths[:, None]) for shape, lengths in shapes
    ]  # made before the clock runs
    with clock() as seconds:
        for features, mask in batches:
            rnn(features, mask).sum().backward()
            rnn.zero_grad()
    return seconds


def throughput(folder: Path, repeats: int, steps: int) -> dict:
    """Frames per second of the trainer over those of the bare loop."""
    from transformers import AutoModelForPreTraining

    from av_emotion_hf import AVEmotionAudioConfig

    torch.set_num_threads(1)
    found = {}
    for rnn_type in ("lstm", "gru"):
        rnn = AutoModelForPreTraining.from_config(AVEmotionAudioConfig(rnn_type=rnn_type)).train().audio_encoder.rnn
        rounds = []
        for _ in range(repeats):
            with Meter() as meter:
                train(folder, steps, {"rnn_type": rnn_type}, save_steps=steps)
            rounds.append((meter.seconds, bare(meter.shapes, rnn), meter.frames))
        found[rnn_type] = {
            "frames per second of the trainer": round(statistics.median(n / t["wall"] for t, _, n in rounds)),
            "share of the bare loop, wall clock": median(b["wall"] / t["wall"] for t, b, _ in rounds),
            "share of the bare loop, processor time": median(b["processor"] / t["processor"] for t, b, _ in rounds),
        }
        print(rnn_type, found[rnn_type], flush=True)
    return found | {"steps": steps, "repeats": repeats}


def processes(folder: Path, repeats: int, steps: int) -> dict:
    """Frames per second of two processes over those of one, each with one thread."""
    rates: dict[int, list] = {1: [], 2: []}
    for _ in range(repeats):
        for count in rates:
            with tempfile.TemporaryDirectory() as out:
                words = [
                    sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count),
                    "-m", "av_emotion_hf", "pretrain", str(folder), "--modality", "audio", "--streaming", "--out",
                    f"{out}/model", "--max-steps", str(steps), "--batch-size", str(BATCH), "--statistics-limit", "100",
                ]  # fmt: skip
                environment = os.environ | {"OMP_NUM_THREADS": "1"}
                subprocess.run(words, check=True, env=environment, capture_output=True)
                history = json.loads(Path(f"{out}/model/run.json").read_text())["history"]
                rates[count].append(statistics.median(e["frames_per_second"] for e in history[1:] if "loss" in e))
                print(count, rates[count][-1], flush=True)
    pairs = zip(rates[1], rates[2], strict=True)
    return {
        "frames per second, 1 process": round(statistics.median(rates[1])),
        "frames per second, 2 processes": round(statistics.median(rates[2])),
        "2 processes over 1": median(two / one for one, two in pairs),
        "cores": len(os.sched_getaffinity(0)),
        "steps": steps,
        "repeats": repeats,
    }


def memory(folder: Path, hours: float) -> dict:
    """Growth of the resident memory while every frame of the shards passes a small model once."""
    sizes: list[tuple[int, int]] = []
    with Meter() as meter:
        step = EmotionTrainer.training_step

        def noting(trainer, *args, **kwargs):
            sizes.append((meter.frames, resident()))
            meter.shapes.clear()
            return step(trainer, *args, **kwargs)

        EmotionTrainer.training_step = noting
        clips = hours * 3600 / 7
        train(folder, int(clips / BATCH), {"hidden_size": 16, "num_hidden_layers": 1, "rnn_type": "gru"})
    quarters = [[s for f, s in sizes if q <= 4 * f / sizes[-1][0] < q + 1] for q in range(4)]
    medians = [statistics.median(quarter) / 2**20 for quarter in quarters]
    return {
        "hours of frames": round(meter.frames / RATE / 3600, 1),
        "MB in each quarter, median": [round(size) for size in medians],
        "growth from the second to the last quarter": round(medians[3] / medians[1] - 1, 4),
        "peak MB": round(max(size for _, size in sizes) / 2**20),
        "frames per second": round(meter.frames / meter.seconds["wall"]),
    }


def resident() -> int:
    """Bytes of this process in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def median(values) -> float:
    """Rounded to three places."""
    return round(statistics.median(values), 3)


def costs(rate: float) -> list[dict]:
    """What one pass over large corpora takes, carried on from the frames per second of one thread."""
    return [
        {
            "hours": hours,
            "shards, GB": round(hours * 3600 * RATE * SIZE * 4 / 1e9),
            "core hours of a pass": round(hours * RATE / rate, 1),
            "hours of 16 cores": round(hours * RATE / rate / 16, 1),
        }
        for hours in HOURS
    ]


def main() -> None:
    """Run the parts that were asked for and note them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=["throughput", "processes", "memory"])
    parser.add_argument("--quick", action="store_true", help="a small version, which is printed and not noted")
    options = parser.parse_args()
    quick = options.quick
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for part in options.parts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            hours = 0.5 if quick else 21 if part == "memory" else 10  # of little, processes get unequal batches
            write_shards(folder, hours)
            if part == "throughput":
                results[part] = throughput(folder, 1 if quick else 5, 32 if quick else 64)
                results["costs"] = costs(results[part]["lstm"]["frames per second of the trainer"])
            elif part == "processes":
                results[part] = processes(folder, 1 if quick else 5, 20 if quick else 60)
            elif part == "memory":
                results[part] = memory(folder, hours)
            else:
                raise SystemExit(f"{part}: is none of throughput, processes, memory")
            print(part, json.dumps(results[part], indent=1), flush=True)
    facts = {"date": datetime.date.today().isoformat(), "torch": torch.__version__, "batch": BATCH}
    if not quick:
        RESULTS.write_text(json.dumps(results | facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
