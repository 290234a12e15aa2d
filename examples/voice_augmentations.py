"""What each augmentation alone gives a voice, of people that the model has never met.

    python examples/voice_vectors.py NAME=DATASET... --out VECTORS --folds FOLDS.json --augment speed pitch reverb ...
    python examples/voice_augmentations.py VECTORS NAME=FEATURES... --folds FOLDS.json --out results/voice.json

VECTORS holds NAME.npz, and NAME_X.npz for each augmentation X of waveforms (`voice_vectors.py --augment`); FEATURES is
the dataset of features that NAME.npz was made from. What is in OUT.json under `augmentations` is not measured again:
started again, the script resumes. The files of copies that are not there yet are left out.

Fixed before the first full run:

- The folds of speakers, the validation speakers and the linear head are those of `in-corpus` in `voice_protocols.py`,
  with clips as they are, standardized by the training clips: no person's baseline.
- Each augmentation is used at its usual strength and with probability 1. Waveforms: one changed copy of each clip,
  the same in all folds. `together` is all of these at once, each with probability one half. Frames and combinations
  of clips (masks, `mixup`, `copy_paste`): one changed copy of each training clip, made in each fold by the collator
  of `finetune --augment` in shuffled batches of 16 training clips. Validation speakers have batches of their own.
- `without` learns from the clips, `with` from the clips and their copies, which count as much, as `finetune
  --head-first` does. Either chooses its penalty on the clips, not the copies, of the validation speakers.
- Both are tested on the test clips as they are (`clean`) and, where the augmentation is one of waveforms, on the
  copies of the same clips (`changed`).
- Every augmentation is in the results, whatever comes out.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from collect_results import write_json
from datasets import Dataset
from probes import (
    DEFAULT_PENALTY,
    PENALTIES,
    Part,
    folds_of,
    merged,
    pooled,
    statistics,
    uar,
    validation_speakers,
)
from voice_protocols import DESCRIPTORS, Corpus, read_beside, split
from voice_vectors import COPY_KINDS, describe, facts_of, open_features, plain_encoder

from av_emotion_hf import ClipCollator, InputError
from av_emotion_hf.data import AUGMENTATIONS, AugmentingCollator, MeanFrame
from av_emotion_hf.training import balanced_rows, choose_penalty, fit_linear_head

COLLATED = tuple(name for name in AUGMENTATIONS if name not in COPY_KINDS)
BATCH_SIZE = 16  # of `finetune`
ROUNDED = 4  # digits of a score

Copies = tuple[np.ndarray, torch.Tensor]  # of training clips: vectors (N, D), and class distributions (N, K)


def learned(part: Part, num_classes: int, copies: Copies | None):
    """A linear head on clips, and on copies of them if there are any; returns it and the chosen penalty."""
    clean = torch.from_numpy(part.vectors["plain"])
    targets = torch.nn.functional.one_hot(torch.from_numpy(part.classes), num_classes).float()
    validates = torch.from_numpy(validation_speakers(part))

    def rows(chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        weights = balanced_rows(targets[chosen])
        if copies is None:
            return clean[chosen], targets[chosen], weights
        vectors = torch.cat([clean[chosen], torch.from_numpy(copies[0])[chosen]])
        return vectors, torch.cat([targets[chosen], copies[1][chosen]]), weights.repeat(2)

    penalty = DEFAULT_PENALTY
    if validates.any():
        held_out = clean[validates], targets[validates].argmax(1)
        _, scores = choose_penalty(*rows(~validates), held_out, PENALTIES)
        penalty = max(PENALTIES, key=lambda each: scores[each])
    vectors, distributions, weights = rows(torch.ones_like(validates))
    return fit_linear_head(vectors, distributions, penalty, weights), penalty


def batches(validates: np.ndarray) -> Iterator[np.ndarray]:
    """Shuffled rows of each batch; clips that validate and others are in no batch together."""
    for side in (False, True):
        own = np.flatnonzero(validates == side)
        own = own[torch.randperm(len(own)).numpy()]
        yield from (own[start : start + BATCH_SIZE] for start in range(0, len(own), BATCH_SIZE))


def collated_copies(
    augmentation: str, features: Dataset, part: Part, labels: list[str], dataset: np.ndarray
) -> Copies:
    """Copies of the training clips of a fold that the collator of `finetune --augment` makes of their features.

    Args:
        augmentation: of frames, or a combination of clips.
        features: the N training clips.
        part: the same clips.
        labels: names of the classes.
        dataset: mean and deviation (2, F) of the training clips.
    """
    encoder = plain_encoder()
    size = dataset.shape[1]
    voiced_only = torch.zeros(size, dtype=torch.bool)
    voiced_only[:DESCRIPTORS] = encoder.frontend.voiced_only
    mean = MeanFrame(torch.from_numpy(dataset[0]).float(), voiced_only, encoder.frontend.voicing_column)
    collate = AugmentingCollator(ClipCollator("audio", None, None, {"audio": size}), {augmentation: 1.0}, labels, mean)
    voiced = np.zeros((len(part.classes), 2, size), dtype=np.float32)
    targets = torch.zeros(len(part.classes), len(labels))
    torch.manual_seed(0)
    for numbers in batches(validation_speakers(part)):
        rows = [features[int(number)] | {"labels": int(part.classes[number])} for number in numbers]
        batch = collate(rows)
        classes = batch["labels"]
        is_mixed = classes.ndim == 2
        targets[numbers] = classes if is_mixed else torch.nn.functional.one_hot(classes, len(labels)).float()
        lengths = batch["attention_mask"].sum(1).tolist()
        for number, frames, length in zip(numbers, batch["input_features"], lengths, strict=True):
            voiced[number] = describe(encoder, frames[:length])["voiced"]
    return pooled(voiced, dataset), targets


def changed_vectors(folder: Path, corpus: Corpus, folds: dict) -> dict[str, np.ndarray]:
    """By augmentation of waveforms the vectors (N, 2, F) of a copy of each clip, as far as they are there.

    Raises:
        InputError: copies are of other clips, or the voices in their `babble` are of people whom other folds test.
    """
    found = {}
    for kind, probabilities in COPY_KINDS.items():
        arrays = read_beside(folder, corpus.name, kind, corpus.facts)
        if not arrays:
            continue
        tests = np.stack(folds_of(corpus.name, corpus.speaker, folds))
        if "babble" in probabilities and not np.array_equal(arrays["folds"], tests):
            raise InputError(f"{corpus.name}_{kind}.npz was made with other folds; make it with the same --folds")
        found[kind] = arrays["voiced"]
    return found


def score_of(head, vectors: np.ndarray, classes: np.ndarray) -> float:
    """UAR of a head."""
    return round(uar(classes, head(torch.from_numpy(vectors)).argmax(1).numpy()), ROUNDED)


def measured(
    corpus: Corpus, changed: dict[str, np.ndarray], features: Dataset | None, folds: dict, done: set[tuple]
) -> Iterator[dict]:
    """A run for every fold and augmentation that is not done yet.

    Args:
        corpus: of N clips.
        changed: by augmentation of waveforms the vectors (N, 2, F) of a copy of each clip.
        features: of the clips, for the other augmentations.
        folds: by the name of a dataset the test speakers of each fold.
        done: name of dataset, number of fold and augmentation.
    """
    wanted = [*changed, *(COLLATED if features is not None else ())]
    for number, test in enumerate(folds_of(corpus.name, corpus.speaker, folds)):
        missing = [name for name in wanted if (corpus.name, number, name) not in done]
        if not missing:
            continue
        train, held_out, labels = split(corpus, test)
        dataset = statistics(merged(corpus.moments[~test]))
        without, penalty = learned(train, len(labels), None)
        for augmentation in missing:
            tests = {"clean": held_out.vectors["plain"]}
            if augmentation in changed:
                vectors = pooled(changed[augmentation], dataset)
                tests["changed"] = vectors[test]
                targets = torch.nn.functional.one_hot(torch.from_numpy(train.classes), len(labels)).float()
                copies = vectors[~test], targets
            else:
                own = features.select(np.flatnonzero(~test))
                copies = collated_copies(augmentation, own, train, labels, dataset)
            head, own_penalty = learned(train, len(labels), copies)
            scores = {
                f"{kind}, {title}": score_of(each, vectors, held_out.classes)
                for kind, vectors in tests.items()
                for title, each in (("without", without), ("with", head))
            }
            run = {"dataset": corpus.name, "fold": number, "augmentation": augmentation, "clips": int(test.sum())}
            yield run | {"penalty": {"without": penalty, "with": own_penalty}, "uar": scores}


def read_results(path: Path) -> dict:
    """Results of all protocols, nothing before the first."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


@torch.no_grad()
def main() -> None:
    """Measure what is not in the JSON file yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("vectors", type=Path)
    parser.add_argument("datasets", nargs="+", help="NAME=FEATURES, or NAME for augmentations of waveforms alone")
    parser.add_argument("--folds", type=Path, help="JSON: by the name of a dataset the test speakers of each fold")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    folds = json.loads(args.folds.read_text(encoding="utf-8")) if args.folds else {}
    runs = read_results(args.out).get("augmentations", [])
    for name, _, source in (each.partition("=") for each in args.datasets):
        corpus = Corpus.read(args.vectors, name)
        changed = changed_vectors(args.vectors, corpus, folds)
        features = open_features(source) if source else None
        if source and (features is None or facts_of(features) != corpus.facts):
            raise InputError(f"{source} is not the dataset of features that {name}.npz was made from; name that one")
        done = {(run["dataset"], run["fold"], run["augmentation"]) for run in runs}
        for run in measured(corpus, changed, features, folds, done):
            runs.append(run)
            print(json.dumps(run), flush=True)
            write_json(args.out, read_results(args.out) | {"augmentations": runs})


if __name__ == "__main__":
    main()
