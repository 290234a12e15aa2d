"""What each augmentation of a training batch costs, in times real time on one thread.

    python benchmarks/augmentation.py [OUT.json]

Waveforms are synthesized voices, features the frames of the default front-end. Processor time, median of the rounds.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from av_emotion_hf import AVEmotionAudioConfig, AVEmotionAudioModel, AVEmotionFeatureExtractor
from av_emotion_hf.data import ClipCollator
from av_emotion_hf.data.augmentation import AUGMENTATIONS, AugmentingCollator
from av_emotion_hf.data.frame_augmentation import FRAME_AUGMENTATIONS, MeanFrame
from av_emotion_hf.data.schema import SAMPLING_RATE, encode_waveform

BATCH, SECONDS, ROUNDS = 16, 3.7, 9


def voice(f0: float, seconds: float = SECONDS) -> np.ndarray:
    """Harmonics of `f0` in a little noise, with a course of loudness as syllables have."""
    instants = np.arange(round(seconds * SAMPLING_RATE)) / SAMPLING_RATE
    harmonics = sum(np.cos(2 * np.pi * k * f0 * instants) / k for k in range(1, int(6000 / f0)))
    noise = np.random.default_rng(0).standard_normal(len(instants))
    return (0.05 * (harmonics + 0.1 * noise) * (1.1 + np.sin(2 * np.pi * 4 * instants))).astype(np.float32)


def seconds(make: Callable[[list[dict]], dict], rows: list[dict]) -> float:
    """Median processor time of a batch; the first round warms up."""
    times = []
    for _ in range(ROUNDS + 1):
        start = time.process_time()
        make(rows)
        times.append(time.process_time() - start)
    return statistics.median(times[1:])


def main(out: Path) -> None:
    """Time batches with one augmentation each, beside batches without one."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = AVEmotionAudioModel(AVEmotionAudioConfig())
    collate = ClipCollator("audio", AVEmotionFeatureExtractor(), None, {"audio": model.num_features})
    sounds = [{"bytes": encode_waveform(voice(100 + 10 * number)), "path": None} for number in range(BATCH)]
    waveforms = [{"audio": sound, "labels": number % 4} for number, sound in enumerate(sounds)]
    with torch.no_grad():
        frames = model.extract_features(torch.from_numpy(voice(150))[None])[0][0].numpy()
    features = [{"input_features": frames, "labels": number % 4} for number in range(BATCH)]
    names = ["angry", "happy", "neutral", "sad"]
    rows = []
    for name in AUGMENTATIONS:
        kind, mean = (features, MeanFrame.of(model)) if name in FRAME_AUGMENTATIONS else (waveforms, None)
        with_it, without = (
            seconds(AugmentingCollator(collate, chosen, names, mean), kind) for chosen in ({name: 1.0}, {})
        )
        rows.append({"augmentation": name, "times_real_time": round(BATCH * SECONDS / max(with_it - without, 1e-6))})
        print(rows[-1])
    facts = {
        "clips": BATCH,
        "seconds": SECONDS,
        "rounds": ROUNDS,
        "threads": 1,
        "torch": torch.__version__,
        "rows": rows,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).parent / "results" / "augmentation.json")
    main(parser.parse_args().out)
