"""Which objective of pre-training fills in hidden frames best, and which helps a classifier most?

    python examples/pretraining_objectives.py RAVDESS FOLDS.json WORK examples/results/objectives.json

RAVDESS is a dataset folder of its speech (columns `audio`, `emotion`, `speaker`), FOLDS.json names the test actors of
each fold under `ravdess`. What was measured is kept in the JSON file run by run; started again, the script resumes.

Protocol, fixed before the first full run; a trial with a twentieth of the steps, one fold and one seed, set its size:

- Voice alone: the 60 descriptors of the default front-end, a frame each 50 ms, computed once. A bidirectional GRU of
  one layer and 128 units. Folds of HiCMAE, the first where nothing else is said; no clip of a test actor is used
  before the errors and scores below.
- Pre-training on all clips of the other actors, without labels: 1200 steps of 32 clips with each objective as
  `av-emotion pretrain --objective` sets it, and once with none: random weights and the statistics of the same clips.
- Error on hidden frames of the test actors, in gaps of 1, 3, 7 and 15 frames, of the model and of three guesses.
- Fine-tuning of each on 5, 25 and 100 % of the labels of the other actors (the same fraction of every class, at
  least one clip): 200, 400 and 800 steps of 16 clips. The last weights count, so no label chooses anything. UAR on the
  test actors.
- Three seeds; a seed draws the weights, the masks, the order and which labels are used. Learning rates are the
  defaults of the commands. Every objective is in the table, whoever wins.
"""

import argparse
import itertools
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from collect_results import write_json
from datasets import Dataset
from transformers import set_seed

from av_emotion_hf import (
    AVEmotionAudioConfig,
    AVEmotionAudioForPreTraining,
    AVEmotionAudioModel,
    ClipCollator,
    ClipReader,
    EmotionTrainingArguments,
    FeatureReader,
    build_model,
    evaluate,
    extract,
    finetune,
    keep_groups,
    open_dataset,
    pretrain,
)
from av_emotion_hf.training import PRESETS, estimate_statistics, reconstruction_report

FRONTEND = {"frame_shift_ms": 50, "frame_length_ms": 50}
ENCODER = FRONTEND | {"rnn_type": "gru", "hidden_size": 128, "num_hidden_layers": 1}
PRETRAINING_STEPS = 1200
OBJECTIVES = {name: fields for name, fields in PRESETS.items() if name != "distill"}  # which needs a teacher
FINETUNING_STEPS = {5: 200, 25: 400, 100: 800}  # by percent of the labels


def features_of(dataset: str, folder: Path) -> Dataset:
    """The descriptors of all clips, computed by the front-end as it is before any training."""
    frontend = AVEmotionAudioModel(AVEmotionAudioConfig(**FRONTEND)).eval()
    reader, metadata = ClipReader("audio"), {"frontend": FRONTEND}
    extract(open_dataset(dataset), str(folder), reader, FeatureReader(frontend), metadata=metadata)
    return open_dataset(str(folder))


def fraction_of_labels(dataset: Dataset, percent: int, seed: int) -> Dataset:
    """The same fraction of the clips of every class, at least one."""
    labels, generator = np.array(dataset["emotion"]), np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        chosen += rows[: max(1, round(len(rows) * percent / 100))].tolist()
    return dataset.select(sorted(chosen))


def pretrained(objective: str, dataset: Dataset, seed: int, steps: int, out: Path) -> float:
    """Write a pre-trained encoder, or one of random weights with the statistics of the dataset; return the seconds."""
    started = time.perf_counter()
    if objective == "none":
        set_seed(seed)
        initial = build_model("pretraining", "audio", config_overrides=ENCODER)
        collate = ClipCollator("audio", initial.feature_extractor, None, initial.feature_sizes)
        estimate_statistics(initial.model, "audio", dataset, collate)
        initial.model.save_pretrained(out)
    else:
        args = EmotionTrainingArguments(str(out), max_steps=steps, per_device_train_batch_size=32, seed=seed)
        pretrain([dataset], args=args, modality="audio", config_overrides=ENCODER | OBJECTIVES[objective])
    return round(time.perf_counter() - started, 1)


def errors_on_hidden_frames(checkpoint: Path, dataset: Dataset) -> list[dict]:
    """The report of a pre-trained encoder on clips of actors that it has never heard."""
    model = AVEmotionAudioForPreTraining.from_pretrained(checkpoint)
    collate = ClipCollator("audio", None, None, {"audio": model.audio_encoder.num_features})
    return reconstruction_report(model, dataset.select_columns(["input_features"]), collate)


def finetuned(checkpoint: Path, dataset: Dataset, test: Dataset, seed: int, steps: int, out: Path) -> dict[str, float]:
    """UAR and WAR on the test clips after fine-tuning on `dataset`."""
    args = EmotionTrainingArguments(
        str(out), max_steps=steps, per_device_train_batch_size=16, label_smoothing_factor=0.1, seed=seed
    )
    finetune(dataset, args=args, modality="audio", init=[str(checkpoint)])
    scores = evaluate(str(out), test)
    shutil.rmtree(out)
    return {"uar": scores["uar"], "war": scores["war"], "labels": len(dataset)}


def measure(
    run: dict, train: Dataset, test: Dataset, settings: dict, budgets: dict, checkpoint: Path
) -> Iterator[str]:
    """Add what is missing to `run`, and yield a line each time; `budgets` are the steps by percent of the labels."""
    if "errors" not in run:
        shutil.rmtree(checkpoint, ignore_errors=True)
        run["seconds"] = pretrained(run["objective"], train, run["seed"], settings["pretraining_steps"], checkpoint)
        run["errors"] = errors_on_hidden_frames(checkpoint, test) if run["objective"] != "none" else []
        yield f"pre-trained in {run['seconds']} s"
    for percent, steps in budgets.items():
        if percent not in run["scores"]:
            tuned = checkpoint.with_name(f"{checkpoint.name}_{percent}")
            shutil.rmtree(tuned, ignore_errors=True)
            labeled = fraction_of_labels(train, int(percent), run["seed"])
            run["scores"][percent] = finetuned(checkpoint, labeled, test, run["seed"], steps, tuned)
            yield f"{percent} % of the labels, UAR {run['scores'][percent]['uar']:.3f}"


def main() -> None:
    """Measure what is not in the JSON file yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("folds", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fold", type=int, nargs="+", default=[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--objectives", nargs="+", default=["none", *OBJECTIVES])
    parser.add_argument("--shorten", type=float, default=1.0, help="factor on the steps, to try the script")
    args = parser.parse_args()
    dataset = features_of(args.dataset, args.work / "features")
    folds = json.loads(args.folds.read_text(encoding="utf-8"))["ravdess"]
    results = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {"runs": {}}
    results["settings"] = {
        "dataset": Path(args.dataset).name,
        "encoder": ENCODER,
        "objectives": OBJECTIVES,
        "pretraining_steps": max(1, round(PRETRAINING_STEPS * args.shorten)),
        "finetuning_steps": {f"{percent}": max(1, round(n * args.shorten)) for percent, n in FINETUNING_STEPS.items()},
        "threads": torch.get_num_threads(),
    }
    actors = sorted(set(dataset["speaker"]))
    # all encoders first: their errors on hidden frames are the first question
    for fold, budgets in itertools.product(args.fold, ({}, results["settings"]["finetuning_steps"])):
        test = keep_groups(dataset, "speaker", folds[fold])
        train = keep_groups(dataset, "speaker", [actor for actor in actors if actor not in folds[fold]])
        for seed, objective in itertools.product(args.seeds, args.objectives):
            name = f"fold {fold}, seed {seed}, {objective}"
            run = results["runs"].setdefault(name, {"fold": fold, "seed": seed, "objective": objective, "scores": {}})
            checkpoint = args.work / f"fold{fold}_seed{seed}_{objective}"
            for line in measure(run, train, test, results["settings"], budgets, checkpoint):
                write_json(args.out, results)
                print(f"{name}: {line}", flush=True)


if __name__ == "__main__":
    main()
