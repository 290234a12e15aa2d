"""What a voice model recognizes of people, languages and recordings that it has never met.

    python examples/voice_vectors.py NAME=FEATURES... --out VECTORS
    python examples/voice_protocols.py PROTOCOL VECTORS --folds FOLDS.json --out examples/results/voice.json

PROTOCOL is one of

- `in-corpus`: folds of speakers. RAVDESS in the folds of HiCMAE (FOLDS.json names their actors), others leave one
  speaker out, or one fifth of them where there are more than twelve.
- `leave-one-corpus-out`: four classes (angry, happy, neutral with calm, sad), learned from all other datasets.
- `from-one-corpus`: the same four classes, learned from one dataset alone (`--train`), tested on each other one.
- `label-fractions`: 5, 10, 25 and 100 % of the labels of each class, three draws, in the folds of `in-corpus`; and the
  same with pseudo-labels of half of the other clips of the training part: of each class, whatever else it may look
  like, as many clips of the highest score (`finetune --pseudo-labels` keeps as many of those it takes for the class).
- `baseline-clips`: what 1, 3, 10, 30 and all unlabeled clips of the tested person give.

Fixed before the first full run: what is recognized is a linear head (`finetune --head-first`) on a frozen model with
`pool_features` and `pool_voiced`, whose penalty is chosen on validation speakers, a fifth of those that are trained on
and of every dataset among them; it is then fitted again with these. Every class of every dataset counts the same. No
clip of a test speaker is used but for that person's or dataset's baseline, which reads no label, and scores with one
say so. Across datasets the penalty is 0.1, that of `finetune` without validation: speakers of the same recordings
would ask for a weaker one. Every arm is in the results, whichever wins. Where a dataset says the gender of its
speakers, `in-corpus` and `leave-one-corpus-out` also give the UAR of `model` over the test clips of each gender.

Added after that run: rows that end in `balanced` answer from scores that are balanced over the clips of the tested
person or dataset (`balance_scores`), which reads no label but assumes that these hold every class equally often.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from collect_results import write_json
from probes import (
    Part,
    by_group,
    drawn,
    folds_of,
    learn,
    merged,
    pooled,
    statistics,
    support_vectors,
    tested,
    uar,
)

from av_emotion_hf import InputError
from av_emotion_hf.training import confusion_matrix

FOUR = {"angry": "angry", "happy": "happy", "neutral": "neutral", "calm": "neutral", "sad": "sad"}
FRACTIONS = (0.05, 0.1, 0.25, 1.0)
DRAWS = 3
BASELINE_CLIPS = (1, 3, 10, 30, None)
DESCRIPTORS, SUMS = 60, 3  # of a frame: descriptors of the front-end, and sums over layers of the speech encoder
BALANCED_ARMS = ("model", "trained on person alone")  # across datasets
SURE = 0.5  # fraction of a pool that gets pseudo-labels: `finetune --pseudo-fraction`


@dataclass
class Corpus:
    """Vectors of one dataset, as `voice_vectors.py` wrote them; N clips, F features."""

    name: str
    emotion: np.ndarray  # (N,)
    speaker: np.ndarray  # (N,), with the dataset's name in front
    voiced: np.ndarray  # (N, 2, F)
    moments: np.ndarray  # (N, 3, F)
    functionals: np.ndarray | None  # (N, 88), a control
    random: np.ndarray | None  # (N, 3, F), moments of an encoder with random weights, a control
    facts: dict[str, list[str]]

    @classmethod
    def read(cls, folder: Path, name: str) -> "Corpus":
        """Read VECTORS/NAME.npz, and those of the controls that are there.

        Raises:
            InputError: as of [`read_beside`].
        """
        arrays = np.load(folder / f"{name}.npz")
        facts = json.loads(str(arrays["facts"]))
        speaker = np.array([f"{name}/{value}" for value in facts["speaker"]])
        return cls(
            name,
            np.array(facts["emotion"]),
            speaker,
            arrays["voiced"],
            arrays["moments"],
            read_beside(folder, name, "functionals", facts).get("functionals"),
            read_beside(folder, name, "random", facts).get("moments"),
            facts,
        )

    def select(self, rows: np.ndarray) -> "Corpus":
        """Some of the clips."""
        return Corpus(
            self.name,
            self.emotion[rows],
            self.speaker[rows],
            self.voiced[rows],
            self.moments[rows],
            None if self.functionals is None else self.functionals[rows],
            None if self.random is None else self.random[rows],
            {name: np.array(values)[rows].tolist() for name, values in self.facts.items()},
        )


def read_beside(folder: Path, name: str, kind: str, facts: dict[str, list[str]]) -> dict[str, np.ndarray]:
    """Arrays of VECTORS/NAME_KIND.npz, none if it is not there.

    Raises:
        InputError: they are not of the clips that `facts` are of.
    """
    path = folder / f"{name}_{kind}.npz"
    if not path.is_file():
        return {}
    arrays = dict(np.load(path))
    if json.loads(str(arrays.pop("facts"))) != facts:
        raise InputError(f"{path.name} is not of the same clips as {name}.npz; make both from the same dataset")
    return arrays


def part_of(corpora: list[Corpus], labels: dict[str, str], classes: list[str], dataset: np.ndarray) -> Part:
    """All clips of some datasets that have one of the classes."""
    vectors: dict[str, list] = {"plain": [], "person": [], "dataset": []}
    cells, speakers, genders = [], [], []
    for corpus in corpora:
        rows = np.flatnonzero([label in labels for label in corpus.emotion])
        whole = np.full(len(corpus.emotion), corpus.name)
        vectors["plain"].append(pooled(corpus.voiced[rows], dataset))
        for kind, groups in (("person", corpus.speaker), ("dataset", whole)):
            by = by_group(corpus.moments, groups, dataset)[rows]
            vectors[kind].append(pooled(corpus.voiced[rows], by))
        cells += [(corpus.name, labels[label]) for label in corpus.emotion[rows]]
        speakers.append(corpus.speaker[rows])
        genders.append(np.array(corpus.facts.get("gender", [""] * len(whole)))[rows])
    joined = {name: np.concatenate(each) for name, each in vectors.items()}
    numbers = np.array([classes.index(label) for _, label in cells])
    return Part(joined, numbers, cells, np.concatenate(speakers), np.concatenate(genders))


def by_gender(part: Part, answers: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """UAR of answers, by gender and by how the clips were standardized; of genders with two classes at least."""
    found = {}
    for gender in sorted(set(part.genders) - {""}):
        own = part.genders == gender
        if len(set(part.classes[own])) > 1:
            scores = {kind: uar(part.classes[own], each[own]) for kind, each in answers.items()}
            found[str(gender)] = {kind: round(score, 4) for kind, score in scores.items()}
    return found


def split(corpus: Corpus, test: np.ndarray) -> tuple[Part, Part, list[str]]:
    """Training and test part of one dataset, standardized by the training part; and its classes."""
    classes = sorted(set(corpus.emotion))
    labels = {name: name for name in classes}
    dataset = statistics(merged(corpus.moments[~test]))
    both = part_of([corpus], labels, classes, dataset)
    return both.pick(np.flatnonzero(~test)), both.pick(np.flatnonzero(test)), classes


def in_corpus(corpora: dict[str, Corpus], folds: dict) -> Iterator[dict]:
    """Every arm on every fold of every dataset."""
    for name, corpus in corpora.items():
        for number, test in enumerate(folds_of(name, corpus.speaker, folds)):
            train, held_out, classes = split(corpus, test)
            run = {"dataset": name, "fold": number, "clips": int(test.sum()), "classes": len(classes), "uar": {}}
            head, run["penalty"] = learn(train, ("plain", "person"), len(classes))
            answers = {}
            for kind in ("plain", "person"):
                run["uar"][f"model, {kind}"], answers[kind] = tested(head, held_out, kind)
                run[f"confusion_{kind}"] = confusion_matrix(held_out.classes, answers[kind], len(classes)).tolist()
            run["uar"]["model, person, balanced"] = tested(head, held_out, "person", held_out.speakers)[0]
            run["labels"] = classes
            if genders := by_gender(held_out, answers):
                run["uar_by_gender"] = genders
            for kind in ("plain", "person"):
                alone, _ = learn(train, (kind,), len(classes))
                run["uar"][f"trained on {kind} alone, {kind}"] = tested(alone, held_out, kind)[0]
            for title, vectors in controls(corpus).items():
                run["uar"][title] = uar(
                    held_out.classes, support_vectors(vectors[~test], train.classes, vectors[test])
                )
            yield run


def controls(corpus: Corpus) -> dict[str, np.ndarray]:
    """Vectors (N, D) of the controls by their name, as far as they were measured."""
    found = {}
    if corpus.functionals is not None:
        found["functionals + SVM, plain"] = corpus.functionals
    for title, moments in (("speech encoder", corpus.moments), ("random speech encoder", corpus.random)):
        if moments is not None:
            size = (moments.shape[-1] - DESCRIPTORS) // SUMS  # the middle one of the sums
            counts, mean, squares = moments[:, :, DESCRIPTORS + size : DESCRIPTORS + 2 * size].transpose(1, 0, 2)
            found[f"{title} + SVM, plain"] = np.concatenate([mean, np.sqrt(squares / counts)], axis=1)
    return found


def leave_one_corpus_out(corpora: dict[str, Corpus], folds: dict) -> Iterator[dict]:
    """Every arm on every dataset, learned from the others."""
    classes = sorted(set(FOUR.values()))
    for name in corpora:
        others = [corpus for other, corpus in corpora.items() if other != name]
        dataset = statistics(np.mean([merged(corpus.moments) / len(corpus.emotion) for corpus in others], axis=0))
        train = part_of(others, FOUR, classes, dataset)
        test = part_of([corpora[name]], FOUR, classes, dataset)
        run = {"dataset": name, "clips": len(test.classes), "classes": 4, "uar": {}, "labels": classes}
        groups = {"dataset": np.full(len(test.classes), name), "person": test.speakers}
        arms: dict[str, tuple[str, ...]] = {
            "model": ("plain", "person", "dataset"),
            "trained on plain alone": ("plain",),
            "trained on dataset alone": ("dataset",),
            "trained on person alone": ("person",),
        }
        for title, kinds in arms.items():
            head, penalty = learn(train, kinds, len(classes), np.zeros(len(train.classes), dtype=bool))
            answers = {}
            for kind in ("plain", "dataset", "person"):
                run["uar"][f"{title}, {kind}"], answers[kind] = tested(head, test, kind)
                if title in BALANCED_ARMS and kind in groups:
                    run["uar"][f"{title}, {kind}, balanced"] = tested(head, test, kind, groups[kind])[0]
            if title == "model":
                run["penalty"] = penalty
                for kind, each in answers.items():
                    run[f"confusion_{kind}"] = confusion_matrix(test.classes, each, len(classes)).tolist()
                if genders := by_gender(test, {kind: answers[kind] for kind in ("plain", "person")}):
                    run["uar_by_gender"] = genders
        rows = [np.flatnonzero([label in FOUR for label in corpus.emotion]) for corpus in (*others, corpora[name])]
        measured = [controls(corpus) for corpus in (*others, corpora[name])]
        for title in sorted(set.intersection(*map(set, measured))):
            vectors = [each[title][own] for each, own in zip(measured, rows, strict=True)]
            answered = support_vectors(np.concatenate(vectors[:-1]), train.classes, vectors[-1])
            run["uar"][title] = uar(test.classes, answered)
        yield run


def from_one_corpus(corpora: dict[str, Corpus], folds: dict, train: str = "javased") -> Iterator[dict]:
    """The model of `leave_one_corpus_out` on every other dataset, learned from one alone.

    Raises:
        InputError: that dataset is not among them.
    """
    if train not in corpora:
        raise InputError(f"--train {train}: is none of the datasets ({', '.join(corpora)}); name one of them")
    classes, own = sorted(set(FOUR.values())), corpora[train]
    kinds, dataset = ("plain", "dataset", "person"), statistics(merged(own.moments))
    part = part_of([own], FOUR, classes, dataset)
    head, penalty = learn(part, kinds, len(classes), np.zeros(len(part.classes), dtype=bool))
    for name in (each for each in corpora if each != train):
        test = part_of([corpora[name]], FOUR, classes, dataset)
        run = {"dataset": name, "train": train, "clips": len(test.classes), "classes": 4, "uar": {}}
        run |= {"labels": classes, "penalty": penalty}
        for kind in kinds:
            run["uar"][f"model, {kind}"], answers = tested(head, test, kind)
            run[f"confusion_{kind}"] = confusion_matrix(test.classes, answers, len(classes)).tolist()
        yield run


def self_train(few: Part, pool: Part, head, penalty: float, num_classes: int):
    """A head that learns from labels and from half of a pool, of each class the clips that another is surest of."""
    scores = head(torch.from_numpy(pool.vectors["person"])).softmax(1).numpy()
    count = round(SURE * len(scores) / num_classes)
    sure = pool.pick(np.concatenate([np.argsort(-scores[:, each])[:count] for each in range(num_classes)]))
    classes = np.concatenate([few.classes, np.repeat(np.arange(num_classes), count)])
    both = Part(
        {kind: np.concatenate([few.vectors[kind], sure.vectors[kind]]) for kind in few.vectors},
        classes,
        [(few.cells[0][0], str(each)) for each in classes],
        np.concatenate([few.speakers, sure.speakers]),
        np.concatenate([few.genders, sure.genders]),
    )
    return learn(both, ("plain", "person"), num_classes, np.zeros(len(classes), dtype=bool), penalty)[0]


def label_fractions(corpora: dict[str, Corpus], folds: dict) -> Iterator[dict]:
    """The model with few labels, with pseudo-labels of all other clips that it may train on, and the controls."""
    for name, corpus in corpora.items():
        for (number, test), fraction in itertools.product(enumerate(folds_of(name, corpus.speaker, folds)), FRACTIONS):
            train, held_out, classes = split(corpus, test)
            own_controls = controls(corpus)
            for draw in range(DRAWS if fraction < 1 else 1):
                rows = drawn(train.classes, fraction, draw)
                few = train.pick(rows)
                head, penalty = learn(few, ("plain", "person"), len(classes))
                run = {"dataset": name, "fold": number, "percent": round(100 * fraction), "draw": draw}
                run |= {"clips": len(rows), "penalty": penalty, "uar": {}}
                for kind in ("plain", "person"):
                    run["uar"][f"model, {kind}"] = tested(head, held_out, kind)[0]
                pool = train.pick(np.setdiff1d(np.arange(len(train.classes)), rows))
                if len(pool.classes):
                    taught = self_train(few, pool, head, penalty, len(classes))
                    for kind in ("plain", "person"):
                        run["uar"][f"with pseudo-labels, {kind}"] = tested(taught, held_out, kind)[0]
                for title, vectors in own_controls.items():
                    answers = support_vectors(vectors[~test][rows], few.classes, vectors[test])
                    run["uar"][title] = uar(held_out.classes, answers)
                yield run


def baseline_clips(corpora: dict[str, Corpus], folds: dict) -> Iterator[dict]:
    """The model with the baseline of so many other clips of the tested person."""
    for name, corpus in corpora.items():
        for number, test in enumerate(folds_of(name, corpus.speaker, folds)):
            train, held_out, classes = split(corpus, test)
            head, _ = learn(train, ("plain", "person"), len(classes))
            dataset, own = statistics(merged(corpus.moments[~test])), corpus.select(np.flatnonzero(test))
            run = {"dataset": name, "fold": number, "uar": {"0": tested(head, held_out, "plain")[0]}}
            for clips in BASELINE_CLIPS:
                held_out.vectors["some"] = pooled(own.voiced, by_group(own.moments, own.speaker, dataset, clips))
                run["uar"]["all" if clips is None else str(clips)] = tested(head, held_out, "some")[0]
            yield run


PROTOCOLS: dict[str, Callable[..., Iterator[dict]]] = {
    "in-corpus": in_corpus,
    "leave-one-corpus-out": leave_one_corpus_out,
    "from-one-corpus": from_one_corpus,
    "label-fractions": label_fractions,
    "baseline-clips": baseline_clips,
}


def main() -> None:
    """Run one protocol and write its results beside those of the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--folds", type=Path, help="JSON: by the name of a dataset the test speakers of each fold")
    parser.add_argument("--datasets", nargs="+", help="names; all by default")
    parser.add_argument("--train", help="of from-one-corpus: the dataset that is learned from; javased by default")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.train and args.protocol != "from-one-corpus":
        parser.error(f"--train {args.train} is of from-one-corpus; leave it out for {args.protocol}")
    names = args.datasets or sorted(path.stem for path in args.vectors.glob("*.npz") if "_" not in path.stem)
    corpora = {name: Corpus.read(args.vectors, name) for name in names}
    folds = json.loads(args.folds.read_text(encoding="utf-8")) if args.folds else {}
    runs = []
    options = {"train": args.train} if args.train else {}
    for run in PROTOCOLS[args.protocol](corpora, folds, **options):
        run["uar"] = {title: round(score, 4) for title, score in run["uar"].items()}
        runs.append(run)
        print(json.dumps({name: value for name, value in run.items() if not name.startswith("confusion")}), flush=True)
    results = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
    write_json(args.out, results | {args.protocol: runs}, indent=1)


if __name__ == "__main__":
    main()
