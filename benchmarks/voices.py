"""How fast the voices in the package answer, from file to emotion, in times real time on one thread; and their size.

    python benchmarks/voices.py [--seconds 4 30] [--rounds 7] [--out OUT.json]

A synthesized voice, written as WAV. Processor time; the voices take turns, and the median of the rounds is reported.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import soundfile
import torch
from augmentation import voice

from av_emotion_hf.checkpoints import SHIPPED
from av_emotion_hf.data.schema import SAMPLING_RATE
from av_emotion_hf.inference.predictor import EmotionPredictor


def main() -> None:
    """Time every shipped checkpoint that hears alone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, nargs="+", default=[4, 30])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "voices.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folders = sorted(SHIPPED.glob("*voice*"))
    predictors = {folder.name: EmotionPredictor(str(folder), device="cpu") for folder in folders}
    results: dict = {"torch": torch.__version__, "threads": 1, "rounds": args.rounds, "voices": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for seconds in args.seconds:
            path = Path(scratch) / f"{seconds}.wav"
            soundfile.write(path, voice(180.0, seconds), SAMPLING_RATE)
            times: dict[str, list[float]] = {name: [] for name in predictors}
            for _ in range(args.rounds + 1):
                for name, predictor in predictors.items():
                    start = time.process_time()
                    predictor(str(path))
                    times[name].append(time.process_time() - start)
            for folder in folders:
                facts = results["voices"].setdefault(
                    folder.name, {"megabytes": round((folder / "model.safetensors").stat().st_size / 1e6, 1)}
                )
                facts[f"real_time_{seconds}_s"] = round(seconds / statistics.median(times[folder.name][1:]), 1)
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
