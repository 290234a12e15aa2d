"""What unlabeled speech gives a voice: pre-training by each objective beside the same network with random weights.

    python examples/unlabeled_speech.py SHARDS WORK --folds FOLDS.json --out examples/results/unlabeled.json

SHARDS holds a folder for each dataset, with or without labels, written by `examples/voice_checkpoint.sh DATA RUNS
features`: descriptors and three layers of the speech encoder in each frame. What was measured is kept in the JSON
file; started again, the script resumes.

Fixed before the first full run:

- Of the speech encoder the middle one of these layers is used, which costs a third of all three.
- The networks hear all datasets but the tested ones, without labels. Objectives as `av-emotion pretrain --objective`
  sets them, the same number of steps of 16 clips for all networks of a size, several seeds.
- `small` hears descriptors alone: a GRU of two layers, which may learn from the speech encoder's frames (`distill`)
  and does without them afterwards. `large` hears the frames of the encoder as well.
- Then a linear head on the frozen network: mean and deviation of its states and of its input, 10 % of the labels of
  each class in three draws, and all of them, in every fold of speakers. The penalty is 0.1: nothing is chosen.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from collect_results import write_json
from datasets import Dataset, concatenate_datasets
from probes import drawn, folds_of, uar
from transformers import set_seed

from av_emotion_hf import (
    ClipCollator,
    EmotionTrainingArguments,
    build_model,
    encode_labels,
    label_names,
    load_speech_encoder,
    open_dataset,
    pretrain,
)
from av_emotion_hf.training import PRESETS, estimate_statistics, fit_linear_head, sentence_vectors

LAYERS = 3  # of the speech encoder in each frame
COLUMNS = ["input_features", "num_descriptors"]
LONGEST = 200  # frames of a window to pre-train on: 4 s
ARMS = {
    "small": ("random", "complete", "hidden", "future", "distill"),
    "large": ("random", "complete", "hidden", "future"),
}
DRAWS = {5: 3, 10: 3, 25: 3, 100: 1}  # by percent of the labels
PENALTY = 0.1
BATCH_SIZE = 16


def settings_of(hidden_size: int) -> dict:
    """Configuration fields of a network."""
    fields = {"rnn_type": "gru", "hidden_size": hidden_size, "num_hidden_layers": 2}
    return fields | {"pooling": "statistics", "pool_features": True}


def prepared(shards: Path, folder: Path, longest: int | None) -> Dataset:
    """A dataset of features with the middle one of the layers in each frame, written to a folder once.

    To pre-train on, clips are cut into windows of at most `longest` frames, without labels: padding costs time.
    """
    path = folder / "train-00000-of-00001.parquet"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        dataset = open_dataset(str(shards), "train")
        if longest is not None:
            dataset = dataset.select_columns(COLUMNS)
        rows = dataset.with_format("arrow").map(
            cut, batched=True, batch_size=64, features=dataset.features, fn_kwargs={"longest": longest}
        )
        rows.to_parquet(str(path.with_suffix(".part")))
        path.with_suffix(".part").rename(path)
    return open_dataset(str(folder), "train")


def cut(table: pa.Table, longest: int | None) -> pa.Table:
    """Rows without the other layers, in windows of at most so many frames."""
    clips, descriptors = table["input_features"].combine_chunks(), table["num_descriptors"][0].as_py()
    frames = clips.flatten()
    values = frames.flatten().to_numpy().reshape(len(frames), -1)
    size = (values.shape[1] - descriptors) // LAYERS
    first = descriptors + LAYERS // 2 * size
    kept = np.concatenate([values[:, :descriptors], values[:, first : first + size]], axis=1)
    frames = pa.ListArray.from_arrays(np.arange(len(kept) + 1, dtype=np.int32) * kept.shape[1], pa.array(kept.ravel()))
    ends, start = [0], 0
    for length in clips.value_lengths().to_pylist():
        windows = 1 if longest is None else max(1, -(-length // longest))
        ends += [start + length * (number + 1) // windows for number in range(windows)]
        start += length
    clips = pa.ListArray.from_arrays(np.array(ends, dtype=np.int32), frames)
    if longest is not None:
        return pa.table({COLUMNS[0]: clips, COLUMNS[1]: np.full(len(clips), descriptors, dtype=np.int32)})
    return table.set_column(table.column_names.index(COLUMNS[0]), COLUMNS[0], clips)


def pretrained(args: argparse.Namespace, size: str, arm: str, seed: int) -> str:
    """Folder of the encoder that an arm has made of the datasets that are not tested."""
    folder = args.work / f"{size}_{arm}_{seed}"
    if not (folder / "run.json").is_file():
        pretrain(
            args.heard,
            args=EmotionTrainingArguments(
                str(folder),
                max_steps=args.steps,
                per_device_train_batch_size=BATCH_SIZE,
                learning_rate=args.learning_rate,
                seed=seed,
                report_to="none",
                resume=folder.is_dir(),
            ),
            modality="audio",
            config_overrides=PRESETS[arm] | settings_of(args.hidden_size),
            speech_encoder=args.speech_encoder if size == "large" else None,
            speech_layers=args.speech_layers if size == "large" else None,
        )
    return str(folder)


def frozen_vectors(args: argparse.Namespace, tested: str, size: str, arm: str, seed: int) -> tuple:
    """Vectors (N, D), classes (N,) and speakers (N,) of a tested dataset, by the network of an arm."""
    dataset = args.datasets[tested]
    labels = label_names(dataset, "emotion")
    set_seed(seed)
    if arm == "random":
        backbone = load_speech_encoder(args.speech_encoder, args.speech_layers) if size == "large" else None
        bundle = build_model("classification", "audio", [], labels, settings_of(args.hidden_size), backbone)
    else:
        bundle = build_model("classification", "audio", [pretrained(args, size, arm, seed)], labels)
    collate = ClipCollator("audio", bundle.feature_extractor, None, bundle.feature_sizes)
    if arm == "random":
        estimate_statistics(bundle.model, "audio", joined(args.heard), collate)
    rows = encode_labels(dataset, "emotion", labels)
    rows = rows.with_format("numpy", columns=["input_features"], output_all_columns=True)
    found = sentence_vectors(bundle.model, rows, collate, BATCH_SIZE)
    return (
        found.vectors["classifier"],
        found.targets.argmax(1).numpy(),
        np.array([f"{tested}/{name}" for name in dataset["speaker"]]),
    )


def joined(datasets: list):
    """The features of several datasets as one."""
    return concatenate_datasets(datasets).with_format("numpy")


def scores_of(vectors: torch.Tensor, classes: np.ndarray, tests: list[np.ndarray]) -> dict[str, list[list[float]]]:
    """By percent of the labels the UAR of every fold and draw."""
    found = {}
    for percent, draws in DRAWS.items():
        found[str(percent)] = []
        for test in tests:
            train = np.flatnonzero(~test)
            scores = []
            for draw in range(draws):
                rows = train[drawn(classes[train], percent / 100, draw)]
                targets = torch.nn.functional.one_hot(torch.from_numpy(classes[rows]), int(classes.max()) + 1).float()
                counts = np.bincount(classes[rows])
                head = fit_linear_head(vectors[rows], targets, PENALTY, torch.from_numpy(1 / counts[classes[rows]]))
                predicted = head(vectors[np.flatnonzero(test)]).argmax(1).numpy()
                scores.append(round(uar(classes[test], predicted), 4))
            found[str(percent)].append(scores)
    return found


def main() -> None:
    """Measure what is not in the JSON file yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--folds", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tested", nargs="+", default=["ravdess", "javased"])
    parser.add_argument("--sizes", nargs="+", default=list(ARMS))
    parser.add_argument("--arms", nargs="+", help="all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--speech-encoder", default="openai/whisper-base")
    parser.add_argument(
        "--speech-layers", type=int, default=3, help="the last of them is the middle one of the shards"
    )
    args = parser.parse_args()
    names = sorted(path.name for path in args.shards.iterdir() if (path / "manifest.json").is_file())
    args.datasets = {
        name: prepared(args.shards / name, args.work / "clips" / name, None)
        if name in args.tested
        else prepared(args.shards / name, args.work / "windows" / name, LONGEST)
        for name in names
    }
    args.heard = [dataset for name, dataset in args.datasets.items() if name not in args.tested]
    folds = json.loads(args.folds.read_text(encoding="utf-8"))
    results = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {"runs": []}
    heard = [name for name in names if name not in args.tested]
    results["settings"] = {"tested": args.tested, "heard": heard}
    done = {(run["dataset"], run["size"], run["arm"], run["seed"]) for run in results["runs"]}
    for seed, size, tested in itertools.product(args.seeds, args.sizes, args.tested):
        for arm in args.arms or ARMS[size]:
            if (tested, size, arm, seed) in done or arm not in ARMS[size]:
                continue
            vectors, classes, speakers = frozen_vectors(args, tested, size, arm, seed)
            scores = scores_of(vectors, classes, folds_of(tested, speakers, folds))
            run = {"dataset": tested, "size": size, "arm": arm, "seed": seed, "hidden_size": args.hidden_size}
            run |= ({} if arm == "random" else {"steps": args.steps}) | {"uar": scores}
            results["runs"].append(run)
            write_json(args.out, results, indent=1)
            means = {percent: round(float(np.mean(each)), 3) for percent, each in scores.items()}
            print(f"{tested}, {size}, {arm}, seed {seed}: {means}", flush=True)


if __name__ == "__main__":
    main()
