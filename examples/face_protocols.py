"""What a face tells of the emotion in a clip, of people that nothing was learned from.

    av-emotion extract CLIPS --out INPUTS --modality image
    python examples/face_protocols.py PROTOCOL INPUTS --network NETWORK --model MODEL --out results/face.json

INPUTS are the faces of labeled clips (columns `faces`, `emotion`, `speaker`), NETWORK an expression recognizer
(`train-expression`), MODEL what `face_model.py` made of it. PROTOCOL is one of

- `strangers`: one actor is left out at a time. Every arm of frames to clip, and the controls.
- `label-fractions`: 10, 25 and 100 % of the labels of each class, three draws, in the same folds: the linear head on
  mean and deviation, with a prior of 10 seconds and a penalty of 0.1, those of `finetune` without validation.

Fixed before the first run. `plain` is standardized by all that is trained on, `person` by the frames of the tested
actor's clips as well, which reads no label of theirs; `balanced` answers from scores that are balanced over these
clips (`balance_scores`), which hold every emotion equally often.

Arms that learn nothing from these clips, with a prior of 10 seconds; the answer is the one with the highest score
among the emotions of the clips, which all are classes of the network, by the same or another name
(`expression_network.NAMES`):

- `mean of decisions`: of the probabilities of each frame among these emotions. `person` standardizes the features of
  the frames, and the network reads them as they would be if the person had mean and deviation of the faces that it
  learned from.
- `mean of logits`: what the network's classifier makes of the mean frame.
- `model`: MODEL, where the classes count more alike.

Arms that learn from the clips of the other actors, each clip once as it is and once standardized by its person:

- `head on ...`: a linear head on the mean of the features; on mean and deviation of the features, of the logits, of
  both, and of an earlier layer in 4 x 4 fields of the picture, at 0.4, 0.55 or 0.7 of the depth. Its penalty, and the
  prior, are chosen on validation actors, every third of those that are trained on in turn; then it is fitted again
  with all of them. `chosen head` is the one of all these that did best on validation actors, `mean of the heads` has
  the mean of their probabilities, and `mean of the layers` that of the heads on the three earlier layers.
- `... each way alone`: the same with heads that learn from clips as they are alone, for `plain`, and from clips
  standardized by their person alone, for `person`.
- `head on a random network`: on mean and deviation of features of the same network with random weights; a control.
- `SVM on mean and deviation`: with radial basis, C = 10, and a prior of 10 seconds; a control.
- `RNN`: `finetune` on the features: mean and deviation of the states of a GRU of 48 values.
  `RNN and features, head first`: with mean and deviation of the features beside them, and a linear head first, which
  stays where training does not beat it. Two validation actors choose the epoch; a seed draws these and the weights.

Changed after a first run of the heads, in which the strongest penalty, then 1, was chosen nearly always (`chosen head`
had 46.2, 58.3 and 59.6 % UAR): penalties up to 10, and a prior of 3 seconds. Added after runs with other networks on
all clips: the earlier layers alone, and in fields, of which those at 0.4 to 0.7 of the depth did best; the means of
heads; heads that learn each way alone. What is said of these arms is therefore better than for further clips.

Every arm is in the results, whichever wins.
"""

import argparse
import functools
import itertools
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from collect_results import write_json
from datasets import Dataset, Features, List, Value, concatenate_datasets
from expression_network import ExpressionNetwork
from probes import (
    Part,
    by_group,
    drawn,
    folds_of,
    learn,
    merged,
    penalty_scores,
    pooled,
    statistics,
    support_vectors,
    tested,
    uar,
)
from tqdm.auto import tqdm

from av_emotion_hf import (
    AVEmotionImageForSequenceClassification,
    EmotionTrainingArguments,
    InputError,
    balance_scores,
    evaluate,
    finetune,
    open_dataset,
)
from av_emotion_hf.data import split_groups
from av_emotion_hf.training import confusion_matrix, probabilities

FRACTIONS = (0.1, 0.25, 1.0)
DRAWS = 3
FPS = 10  # frames per second
PRIOR = 10.0  # seconds: `baseline_prior`
PRIORS = (10.0, 3.0)
PENALTIES = (10.0, 3.0, 1.0, 0.3)
DEPTHS = (0.4, 0.55, 0.7)
SPLITS = 3  # into which the actors of the training part are divided
SHARE = 0.6  # of the clips that `finetune` standardizes by their person
EPOCHS = 20
RNN = {"rnn_type": "gru", "hidden_size": 48, "num_hidden_layers": 1, "pooling": "statistics"}
RNNS = {"RNN": (RNN, False), "RNN and features, head first": (RNN | {"pool_features": True}, True)}
KINDS = ("plain", "person")
WAYS = {"": (KINDS,), ", each way alone": tuple((kind,) for kind in KINDS)}  # what a head learns from
CONTROL = "a random network"
SHOWN = ("model", "chosen head")  # whose confusions are in the results


@dataclass
class Frames:
    """Values of the frames of labeled clips; N clips, F values.

    Attributes:
        clips: `(T, F)` each.
        facts: `emotion` and `speaker` of each clip.
    """

    clips: list[np.ndarray]
    facts: Dataset

    @functools.cached_property
    def classes(self) -> list[str]:
        """The emotions in order."""
        return sorted(self.facts.features["emotion"].names)

    @functools.cached_property
    def numbers(self) -> np.ndarray:
        """The class `(N,)` of each clip."""
        names = self.facts.features["emotion"].names
        return np.array([self.classes.index(names[each]) for each in self.facts["emotion"]])

    @functools.cached_property
    def speaker(self) -> np.ndarray:
        """The actor `(N,)` of each clip."""
        return np.array(self.facts["speaker"])

    @functools.cached_property
    def moments(self) -> np.ndarray:
        """Count, mean and sum of squared deviations `(N, 3, F)`."""
        return np.stack(
            [
                np.stack([np.full(clip.shape[1], len(clip)), clip.mean(0), len(clip) * clip.var(0)])
                for clip in self.clips
            ]
        )

    @property
    def rows(self) -> Dataset:
        """A dataset of features, for `finetune`."""
        column = Dataset.from_dict(
            {"image_features": self.clips}, features=Features({"image_features": List(List(Value("float32")))})
        )
        return concatenate_datasets([self.facts, column], axis=1)

    def beside(self, others: list[np.ndarray]) -> "Frames":
        """With further values of each frame."""
        pairs = zip(self.clips, others, strict=True)
        return Frames([np.concatenate(pair, axis=1) for pair in pairs], self.facts)

    def part(self, train: np.ndarray, prior: float = PRIOR, has_deviation: bool = True) -> Part:
        """What a head reads of each clip, standardized by those that are trained on `(N,)`, and by persons as well."""
        dataset = statistics(merged(self.moments[train]))
        means = np.stack([self.moments[:, 1], np.sqrt(self.moments[:, 2] / self.moments[:, 0])], axis=1)
        by = {"plain": dataset, "person": by_group(self.moments, self.speaker, dataset, prior=prior * FPS)}
        width = means.shape[-1] * (1 + has_deviation)
        vectors = {kind: pooled(means, own)[:, :width] for kind, own in by.items()}
        cells = [("", str(number)) for number in self.numbers]
        return Part(vectors, self.numbers, cells, self.speaker, np.full(len(cells), ""))


def read_frames(inputs: str, network: ExpressionNetwork) -> tuple[Frames, list[list[np.ndarray]]]:
    """What a network makes of faces: the features of each clip, and by depth its earlier layers.

    Raises:
        InputError: a clip has no face.
    """
    rows = open_dataset(inputs, "train")
    found: list[list[np.ndarray]] = [[] for _ in (None, *DEPTHS)]
    for number, cells in enumerate(tqdm(rows["faces"], desc="Frames", unit="clip")):
        if not cells:
            raise InputError(f"{Path(inputs).name}: row {number} shows no face; leave it out")
        for each, layer in zip(found, network.layers(cells, DEPTHS), strict=True):
            each.append(layer)
    return Frames(found[0], rows.select_columns(["emotion", "speaker"])), found[1:]


@dataclass
class Choice:
    """What did best on validation actors: UAR there, prior in seconds, and penalty."""

    score: float
    prior: float
    penalty: float


def choose(frames: Frames, train: np.ndarray, kinds: tuple[str, ...], has_deviation: bool) -> Choice:
    """The prior and penalty of a head with the best mean UAR on validation actors among those that are trained on."""
    actors = sorted(set(frames.speaker[train]))
    found = []
    for prior in PRIORS:
        part = frames.part(train, prior, has_deviation).pick(np.flatnonzero(train))
        thirds = [np.isin(part.speakers, actors[start::SPLITS]) for start in range(min(SPLITS, len(actors)))]
        scores = [penalty_scores(part, kinds, len(frames.classes), each, PENALTIES) for each in thirds]
        found += [Choice(float(np.mean([each[own] for each in scores])), prior, own) for own in PENALTIES]
    return max(found, key=lambda choice: choice.score)


def answered(run: dict, title: str, classes: np.ndarray, scores: dict[str, np.ndarray], speakers: np.ndarray) -> None:
    """Write UAR and confusions of probabilities `(n, K)` of test clips into a run, by how they are standardized."""
    scores = scores | {"person, balanced": balance_scores(scores["person"], speakers)}
    for kind, each in scores.items():
        run["uar"][f"{title}, {kind}"] = uar(classes, each.argmax(1))
        if title in SHOWN and kind in KINDS:
            confusion = confusion_matrix(classes, each.argmax(1), each.shape[1])
            run.setdefault("confusion", {})[f"{title}, {kind}"] = confusion.tolist()


def head_scores(
    frames: Frames, test: np.ndarray, kinds: tuple[str, ...], has_deviation: bool
) -> tuple[Choice, dict[str, np.ndarray]]:
    """Probabilities `(n, K)` of the clips that are tested `(N,)`, by a head that learns from the others."""
    choice = choose(frames, ~test, kinds, has_deviation)
    part = frames.part(~test, choice.prior, has_deviation)
    train, held_out = (part.pick(np.flatnonzero(clips)) for clips in (~test, test))
    none = np.zeros(len(train.classes), dtype=bool)
    head, _ = learn(train, kinds, len(frames.classes), none, choice.penalty)
    vectors = {kind: torch.from_numpy(held_out.vectors[kind]) for kind in kinds}
    return choice, {kind: head(each).double().softmax(1).numpy() for kind, each in vectors.items()}


def untrained(frames: Frames, network: ExpressionNetwork, model) -> dict[str, dict[str, np.ndarray]]:
    """Probabilities `(N, K)` of all clips by arms that learn nothing from them, and by how they are standardized."""
    dataset = model.get_submodule("image_encoder").feature_statistics.numpy()
    own = by_group(frames.moments, frames.speaker, dataset.astype(np.float64), prior=PRIOR * FPS).astype(np.float32)
    chosen = [network.labels.index(name) for name in frames.classes]
    kept = [model.config.label2id[name] for name in frames.classes]
    found: dict[str, dict[str, list]] = {
        title: {kind: [] for kind in KINDS} for title in ("mean of decisions", "mean of logits", "model")
    }
    for clip, (mean, std) in zip(frames.clips, own, strict=True):
        moved = (clip - mean) / std * dataset[1] + dataset[0]
        by = torch.from_numpy(np.stack([mean, std]))[None]
        for kind, each, given in (("plain", clip, {}), ("person", moved, {"image_statistics": by})):
            logits = network.logits(each)[:, chosen]
            found["mean of decisions"][kind].append(probabilities(logits).mean(0))
            found["mean of logits"][kind].append(probabilities(logits.mean(0)))
            with torch.no_grad():
                answer = model(image_features=torch.from_numpy(clip)[None], **given).logits[0, kept]
            found["model"][kind].append(probabilities(answer.numpy()))
    return {title: {kind: np.stack(rows) for kind, rows in by.items()} for title, by in found.items()}


def tuned(rows: Dataset, network: str, actor: str, seeds: int) -> dict[str, list[float]]:
    """UAR of each recurrent network on the clips of an actor, for each seed."""
    actors = sorted(set(rows["speaker"]))
    tests = rows.select([number for number, each in enumerate(rows["speaker"]) if each == actor])
    found: dict[str, list[float]] = {}
    for (title, (config, head_first)), seed in itertools.product(RNNS.items(), range(seeds)):
        others = [each for each in actors if each != actor]
        validation = np.random.default_rng(seed).permutation(others)[:2].tolist()
        with tempfile.TemporaryDirectory() as folder:
            finetune(
                rows,
                split_groups(actors, [actor], validation),
                args=EmotionTrainingArguments(
                    folder, num_train_epochs=EPOCHS, learning_rate=1e-3, seed=seed, report_to=[], use_cpu=True
                ),
                modality="image",
                group_column="speaker",
                init=[network],
                config_overrides=config,
                person_baseline=SHARE,
                head_first=head_first,
            )
            for kind in (*KINDS, "person, balanced"):
                scores = evaluate(
                    folder,
                    tests,
                    group_column="speaker",
                    person_baseline=kind != "plain",
                    balanced=kind.endswith("balanced"),
                    device="cpu",
                )
                found.setdefault(f"{title}, {kind}", []).append(scores["uar"])
    return found


def heads_of(frames: Frames, layers: list[list[np.ndarray]], network: ExpressionNetwork) -> dict[str, Frames]:
    """What heads read, by what it is called."""
    logits = list(map(network.logits, frames.clips))
    found = {
        "mean": frames,
        "mean and deviation": frames,
        "logits": Frames(logits, frames.facts),
        "features and logits": frames.beside(logits),
    }
    return found | {
        f"a layer at {depth}": Frames(layer, frames.facts) for depth, layer in zip(DEPTHS, layers, strict=True)
    }


def answer_with_heads(
    run: dict, heads: dict[str, Frames], test: np.ndarray, suffix: str, ways: Sequence[tuple[str, ...]]
) -> None:
    """Write what heads reach on the clips that are tested `(N,)`, each and together, into a run.

    Args:
        run: results of the actor that is tested.
        heads: what each reads.
        test: which of the clips are tested.
        suffix: of the titles of the arms.
        ways: the ways to standardize that a head learns from, for each that is fitted.
    """
    frames = heads["mean"]
    classes, actors = frames.numbers[test], frames.speaker[test]
    choices: dict[str, list[Choice]] = {}
    found: dict[str, dict[str, np.ndarray]] = {}
    for title, own in heads.items():
        fits = [head_scores(own, test, kinds, title != "mean") for kinds in ways]
        choices[title] = [choice for choice, _ in fits]
        found[title] = {kind: scores for _, each in fits for kind, scores in each.items()}
        answered(run, f"head on {title}{suffix}", classes, found[title], actors)
    run[f"choices{suffix}"] = {
        title: [[choice.prior, choice.penalty] for choice in each] for title, each in choices.items()
    }
    known = [title for title in heads if title != CONTROL]
    best = max(known, key=lambda title: sum(choice.score for choice in choices[title]))
    run[f"chosen{suffix}"] = best
    answered(run, f"chosen head{suffix}", classes, found[best], actors)
    for name, titles in (("heads", known), ("layers", [title for title in known if "layer" in title])):
        means = {kind: np.mean([found[title][kind] for title in titles], axis=0) for kind in KINDS}
        answered(run, f"mean of the {name}{suffix}", classes, means, actors)


def strangers(args: argparse.Namespace) -> Iterator[dict]:
    """Every arm on every actor."""
    network = ExpressionNetwork(args.network)
    frames, layers = read_frames(args.inputs, network)
    model = AVEmotionImageForSequenceClassification.from_pretrained(args.model).eval()
    without = untrained(frames, network, model)
    heads = heads_of(frames, layers, network)
    network.randomize()
    heads[CONTROL] = read_frames(args.inputs, network)[0]
    rows = frames.rows
    for number, test in enumerate(folds_of("", frames.speaker, {})):
        classes, actors = frames.numbers[test], frames.speaker[test]
        run = {"fold": number, "actor": str(actors[0]), "clips": int(test.sum()), "labels": frames.classes, "uar": {}}
        for title, scores in without.items():
            answered(run, title, classes, {kind: each[test] for kind, each in scores.items()}, actors)
        for suffix, ways in WAYS.items():
            answer_with_heads(run, heads, test, suffix, ways)
        for kind, vectors in frames.part(~test).vectors.items():
            answers = support_vectors(vectors[~test], frames.numbers[~test], vectors[test])
            run["uar"][f"SVM on mean and deviation, {kind}"] = uar(classes, answers)
        for title, scores in tuned(rows, args.network, str(actors[0]), args.seeds).items():
            run.setdefault("seeds", {})[title] = [round(score, 4) for score in scores]
            run["uar"][title] = float(np.mean(scores))
        yield run


def label_fractions(args: argparse.Namespace) -> Iterator[dict]:
    """The head on mean and deviation with few labels; statistics are those of all clips of the training part."""
    frames, _ = read_frames(args.inputs, ExpressionNetwork(args.network))
    for number, test in enumerate(folds_of("", frames.speaker, {})):
        train, held_out = (frames.part(~test).pick(np.flatnonzero(clips)) for clips in (~test, test))
        for fraction in FRACTIONS:
            for draw in range(DRAWS if fraction < 1 else 1):
                few = train.pick(drawn(train.classes, fraction, draw))
                head, _ = learn(few, KINDS, len(frames.classes), np.zeros(len(few.classes), dtype=bool))
                run = {"fold": number, "percent": round(100 * fraction), "draw": draw, "clips": len(few.classes)}
                yield run | {"uar": {f"head, {kind}": tested(head, held_out, kind)[0] for kind in KINDS}}


PROTOCOLS = {"strangers": strangers, "label-fractions": label_fractions}


def main() -> None:
    """Run one protocol and write its results beside those of the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("inputs")
    parser.add_argument("--network", required=True)
    parser.add_argument("--model", help="for strangers")
    parser.add_argument("--seeds", type=int, default=2, help="of the recurrent networks")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.protocol == "strangers" and not args.model:
        parser.error("strangers needs --model")
    runs = []
    for run in PROTOCOLS[args.protocol](args):
        run["uar"] = {title: round(score, 4) for title, score in run["uar"].items()}
        runs.append(run)
        print(json.dumps({name: value for name, value in run.items() if name != "confusion"}), flush=True)
    results = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
    write_json(args.out, results | {args.protocol: runs}, indent=1)


if __name__ == "__main__":
    main()
