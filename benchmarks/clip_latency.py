"""What one clip takes with a loaded model: from the file to the decision, by voice and face.

    python benchmarks/clip_latency.py CLIP... [--rounds 7] [--out OUT.json]

Every round predicts each clip in turn, by each detector that can be loaded without a network; figures are medians of
seconds on the clock. The aim is a second for a clip of 5 seconds on two cores.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

from av_emotion_hf import EmotionPredictor, open_clip
from av_emotion_hf.media import blazeface_is_cached

DETECTORS = ("blazeface", "mtcnn")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "clip_latency.json")
    args = parser.parse_args()
    names = DETECTORS if blazeface_is_cached() else DETECTORS[1:]
    predictors = {name: EmotionPredictor(detector=name, device="cpu") for name in names}
    seconds: dict[tuple[str, Path], list[float]] = {}
    for number in range(args.rounds + 1):
        for clip in args.clips:
            for name, predictor in predictors.items():
                begun = time.perf_counter()
                found = predictor(str(clip))
                if number:  # the first round loads what is loaded once
                    seconds.setdefault((name, clip), []).append(time.perf_counter() - begun)
                assert found.modalities == ["audio", "image"], f"{clip}: has no voice, or no face"
    rows = []
    for clip in args.clips:
        duration = round(open_clip(str(clip)).duration, 2)
        medians = {name: round(statistics.median(seconds[name, clip]), 3) for name in names}
        rows.append({"clip": clip.name, "duration": duration, "seconds": medians})
    results = {"rounds": args.rounds, "cores": os.cpu_count(), "checkpoint": "av-emotion-base", "clips": rows}
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
