"""What a voice checkpoint recognizes in datasets that it has not learned from: the very weights, clip by clip.

    python examples/voice_strangers.py CHECKPOINT NAME=DATASET... --out examples/results/voice_strangers.json

Four classes (angry, happy, neutral with calm, sad): the answer is the one with the highest score among them. Of each
dataset `--clips` are drawn, each class as often as the others. Every clip is predicted as it is, and with the person's
baseline of all drawn clips of its speaker. A dataset is in the results once it is done, and is then not repeated.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from collect_results import write_json
from datasets import Dataset
from probes import uar
from voice_protocols import FOUR

from av_emotion_hf import EmotionPredictor
from av_emotion_hf.data import open_dataset


def drawn(labels: list[str], clips: int) -> list[int]:
    """Rows of the four classes, the same number of each as far as there are so many."""
    rng = np.random.default_rng(0)
    classes = np.array([FOUR.get(label, "") for label in labels])
    rows = [rng.permutation(np.flatnonzero(classes == each))[: clips // 4] for each in sorted(set(FOUR.values()))]
    return sorted(np.concatenate(rows).tolist())


def strangers(predictor: EmotionPredictor, dataset: Dataset, clips: int) -> dict:
    """UAR over the drawn clips, `plain` and with the baseline of the `person`, and how many they are."""
    names = getattr(dataset.features["emotion"], "names", None)
    labels = [names[label] if names else label for label in dataset["emotion"]]
    rows, speakers = drawn(labels, clips), [str(speaker) for speaker in dataset["speaker"]]
    sounds = {row: dataset[row]["audio"]["bytes"] for row in rows}
    classes = sorted(set(FOUR.values()))
    baselines = {
        speaker: predictor.person_baseline([sounds[row] for row in rows if speakers[row] == speaker])
        for speaker in {speakers[row] for row in rows}
    }
    truth = np.array([classes.index(FOUR[labels[row]]) for row in rows])
    found: dict = {"clips": len(rows), "speakers": len(baselines)}
    for kind in ("plain", "person"):
        answers = []
        for row in rows:
            scores = predictor(sounds[row], baseline=baselines[speakers[row]] if kind == "person" else None).scores
            answers.append(int(np.argmax([scores[each] for each in classes])))
        found[kind] = round(uar(truth, np.array(answers)), 4)
    return found


def main() -> None:
    """Measure the datasets that are not in the results yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="a folder, a Hub name, or the name of a checkpoint in the package")
    parser.add_argument("datasets", nargs="+", help="NAME=FOLDER")
    parser.add_argument("--clips", type=int, default=400, help="of each dataset")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    predictor = EmotionPredictor(args.checkpoint, device="cpu")
    results = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
    for word in args.datasets:
        name, _, folder = word.partition("=")
        if name in results.setdefault(predictor.name, {}):
            continue
        dataset = open_dataset(folder)
        results[predictor.name][name] = strangers(predictor, dataset, args.clips)
        print(name, results[predictor.name][name], flush=True)
        write_json(args.out, results, indent=1)


if __name__ == "__main__":
    main()
