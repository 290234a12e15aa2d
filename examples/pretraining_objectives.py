"""Which objective of pre-training fills in hidden frames best, and which helps a classifier most?

    python examples/pretraining_objectives.py RAVDESS FOLDS.json WORK examples/results/objectives.json

RAVDESS is a dataset folder of its speech (columns `audio`, `emotion`, `speaker`), FOLDS.json names the test actors of
each fold under `ravdess`. What was measured is kept in the JSON file run by run; started again, the script goes on.

Protocol, fixed before the first full run; a trial with a twentieth of the steps, one fold and one seed, set its size:

- Voice alone: the 60 descriptors of the default front-end, a frame each 50 ms, computed once. A bidirectional GRU of
  one layer and 128 units. Folds of HiCMAE, the first where nothing else is said; no clip of a test actor is used
  before the errors and scores below.
- Pre-training on all clips of the other actors, without labels: 1200 steps of 32 clips with each objective as
  `av-emotion pretrain --objective` sets it, and once with none: random weights and the statistics of the same clips.
- Error on hidden frames of the test actors, in gaps of 1, 3, 7 and 15 frames, of the model and of three guesses.
- Fine-tuning of each on 5, 25 and 100 % of the labels of the other actors (the same share of every class, at least
  one clip): 200, 400 and 800 steps of 16 clips. The last weights count, so no label chooses anything. UAR on the
  test actors.
- Three seeds; a seed draws the weights, the masks, the order and which labels are used. Learning rates are the
  defaults of the verbs. Every objective stands in the table, whoever wins.
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
from datasets import Dataset
from transformers import set_seed

from av_emotion_hf import AVEmotionAudioConfig, AVEmotionAudioModel
from av_emotion_hf.checkpoints import build_model, load_weights
from av_emotion_hf.data import ClipCollator, ClipReader, FeatureReader, keep_groups, open_dataset
from av_emotion_hf.data.extraction import extract
from av_emotion_hf.training.arguments import RunOptions
from av_emotion_hf.training.evaluation import evaluate
from av_emotion_hf.training.finetune import finetune
from av_emotion_hf.training.normalization import estimate_statistics
from av_emotion_hf.training.pretrain import PRESETS, pretrain
from av_emotion_hf.training.reconstruction import reconstruction_report
from av_emotion_hf.training.record import write_json

FRONTEND = {"frame_shift_ms": 50, "frame_length_ms": 50}
ENCODER = FRONTEND | {"rnn_type": "gru", "hidden_size": 128, "num_hidden_layers": 1}
PRETRAINING_STEPS = 1200
FINETUNING_STEPS = {5: 200, 25: 400, 100: 800}  # by percent of the labels
READER = ClipReader("audio")


def features_of(dataset: str, folder: Path) -> Dataset:
    """The descriptors of all clips, computed by the front-end as it is before any training."""
    frontend = AVEmotionAudioModel(AVEmotionAudioConfig(**FRONTEND)).eval()
    extract(open_dataset(dataset), str(folder), READER, FeatureReader(frontend), about={"frontend": FRONTEND})
    return open_dataset(str(folder))


def share_of_labels(corpus: Dataset, percent: int, seed: int) -> Dataset:
    """The same share of the clips of every class, at least one."""
    labels, generator = np.array(corpus["emotion"]), np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        chosen += rows[: max(1, round(len(rows) * percent / 100))].tolist()
    return corpus.select(sorted(chosen))


def pretrained(objective: str, corpus: Dataset, seed: int, steps: int, out: Path) -> float:
    """Write a pre-trained encoder, or one of random weights with the statistics of the corpus; gives the seconds."""
    started = time.perf_counter()
    if objective == "none":
        set_seed(seed)
        beginning = build_model("pretraining", "audio", [], config_overrides=dict(ENCODER))
        collate = ClipCollator("audio", beginning.feature_extractor, None, beginning.feature_sizes)
        estimate_statistics(beginning.model, "audio", corpus, collate)
        beginning.model.save_pretrained(out)
    else:
        options = RunOptions(str(out), max_steps=steps, batch_size=32, seed=seed)
        pretrain([corpus], [], "audio", options, READER, settings=ENCODER | PRESETS[objective])
    return round(time.perf_counter() - started, 1)


def errors_on_hidden_frames(checkpoint: Path, corpus: Dataset) -> list[dict]:
    """The report of a pre-trained encoder on clips of actors that it has never heard."""
    beginning = build_model("pretraining", "audio", [str(checkpoint)])
    model = load_weights(type(beginning.model), str(checkpoint))
    collate = ClipCollator("audio", beginning.feature_extractor, None, beginning.feature_sizes)
    return reconstruction_report(model, corpus.select_columns(["input_features"]), collate)


def finetuned(checkpoint: Path, corpus: Dataset, test: Dataset, seed: int, steps: int, out: Path) -> dict[str, float]:
    """UAR and WAR on the test clips after fine-tuning on `corpus`."""
    options = RunOptions(str(out), max_steps=steps, batch_size=16, label_smoothing=0.1, seed=seed)
    finetune(corpus, None, "audio", options, READER, "emotion", init=[str(checkpoint)])
    scores = evaluate(str(out), test, "emotion")
    shutil.rmtree(out)
    return {"uar": scores["uar"], "war": scores["war"], "labels": len(corpus)}


def measure(run: dict, train: Dataset, test: Dataset, settings: dict, shares: dict, checkpoint: Path) -> Iterator[str]:
    """Put what is missing into `run`, a line of news each time; `shares` are the steps by percent of the labels."""
    if "errors" not in run:
        shutil.rmtree(checkpoint, ignore_errors=True)
        run["seconds"] = pretrained(run["objective"], train, run["seed"], settings["pretraining_steps"], checkpoint)
        run["errors"] = errors_on_hidden_frames(checkpoint, test) if run["objective"] != "none" else []
        yield f"pre-trained in {run['seconds']} s"
    for percent, steps in shares.items():
        if percent not in run["scores"]:
            tuned = checkpoint.with_name(f"{checkpoint.name}_{percent}")
            shutil.rmtree(tuned, ignore_errors=True)
            labelled = share_of_labels(train, int(percent), run["seed"])
            run["scores"][percent] = finetuned(checkpoint, labelled, test, run["seed"], steps, tuned)
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
    parser.add_argument("--objectives", nargs="+", default=["none", *PRESETS])
    parser.add_argument("--shorten", type=float, default=1.0, help="factor on the steps, to try the script")
    args = parser.parse_args()
    corpus = features_of(args.dataset, args.work / "features")
    folds = json.loads(args.folds.read_text(encoding="utf-8"))["ravdess"]
    results = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {"runs": {}}
    results["settings"] = {
        "dataset": Path(args.dataset).name,
        "encoder": ENCODER,
        "objectives": PRESETS,
        "pretraining_steps": max(1, round(PRETRAINING_STEPS * args.shorten)),
        "finetuning_steps": {f"{percent}": max(1, round(n * args.shorten)) for percent, n in FINETUNING_STEPS.items()},
        "threads": torch.get_num_threads(),
    }
    actors = sorted(set(corpus["speaker"]))
    # all encoders first: their errors on hidden frames are the first question
    for fold, shares in itertools.product(args.fold, ({}, results["settings"]["finetuning_steps"])):
        test = keep_groups(corpus, "speaker", folds[fold])
        train = keep_groups(corpus, "speaker", [actor for actor in actors if actor not in folds[fold]])
        for seed, objective in itertools.product(args.seeds, args.objectives):
            name = f"fold {fold}, seed {seed}, {objective}"
            run = results["runs"].setdefault(name, {"fold": fold, "seed": seed, "objective": objective, "scores": {}})
            checkpoint = args.work / f"fold{fold}_seed{seed}_{objective}"
            for line in measure(run, train, test, results["settings"], shares, checkpoint):
                write_json(args.out, results)
                print(f"{name}: {line}", flush=True)


if __name__ == "__main__":
    main()
