"""What voice and face tell together of the emotion in a clip, of people that nothing was learned from.

    python examples/fusion_vectors.py INPUTS --face FACE --babble VOICES --out CLIPS.npz
    python examples/voice_vectors.py NAME=FEATURES --out VECTORS
    python examples/voice_vectors.py NAME=DATASET --out VECTORS --augment babble
    python examples/fusion_protocols.py CLIPS.npz VECTORS NAME --face FACE --pictures FACES --out results/fusion.json

CLIPS are those with a voice and a face; VECTORS has NAME, more voices of the same speakers (voice alone), and copies
of these among other voices. One speaker is left out at a time.

Fixed before the first run. Of each sense, a linear head reads mean and deviation of its frames, standardized by all
that is trained on (`plain`), or by the frames of the clip's person as well (`person`), which reads no label. The head
of the voice learns from the voices of the clips, from all others of the same speakers, and from the copies among other
voices; that of the face from the clips. Whether a head learns from clips standardized in one of these ways or in both,
and its penalty, is chosen by UAR on validation speakers: every third of those that are trained on is held out once.
What the heads answer there gives the temperatures of voice, face and both (`calibrate_fusion`), and the weights of the
weighted product; then the heads learn again, from all. Arms:

- `voice`, `face`: each sense alone, calibrated. `better sense` is the one with the higher UAR on validation speakers.
- `late, product`, `late, mean`: of the calibrated distributions (`av-emotion combine`).
- `late, weighted product`: the logits of both in a weighted sum, whose weights fit the answers on validation speakers.
- `one head`: a linear head on both vectors side by side, `fusion="concat"`, as in the patent; learns from the clips.
- `one head, modality dropout`: from the clips as well with one of the two vectors zero.
- `SVM`: with radial basis, C = 10, on both vectors; `voice, SVM` and `face, SVM` on one. Controls.
- `voice, random weights` and `face, random weights`: linear heads on networks with random weights. Controls.

Added after a first run, in which `late, product` had 76.7 % as it is and 84.6 % with the person's baseline: `face by
layer`, the face of the shipped checkpoints (`base_face.py`), a head on each of the layers and on the pooled output,
which learn from pictures of FACES as well, with a share of 0.3 and the penalty 1, and `late, product, face by layer`
with it. Its figures are better than they would be for further clips, as it was made in the knowledge of all of these.

Tested are the clips as they are, among seven other voices (10, 5 and 0 dB), with a face that is hidden in 25, 50 and
100 % of the frames, and without sound. `balanced` answers from scores that are balanced over the clips of the tested
person, which assumes that these hold every emotion equally often, as these do and an interview does not.

Every arm is in the results, whichever wins.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from base_face import MOST, SHARE, Layers, few_of_each, learned
from collect_results import write_json
from expression_network import Faces
from fusion_vectors import layers_at
from probes import by_group, merged, pooled, statistics, support_vectors, uar

from av_emotion_hf import balance_scores
from av_emotion_hf.training import (
    balanced_rows,
    choose_penalty,
    fit_linear_head,
    fit_temperature,
    probabilities,
)

KINDS = ("plain", "person")
WAYS = {"plain": (("plain",), KINDS), "person": (("person",), KINDS)}  # a head may learn from, by what it answers
PENALTIES = {"voice": (1.0, 0.3, 0.1, 0.03), "face": (10.0, 3.0, 1.0, 0.3), "both": (10.0, 3.0, 1.0, 0.3)}
PRIORS = {"voice": 500.0, "face": 100.0}  # frames: 10 seconds
CONDITIONS = {  # of the test clips: vectors of the voice and of the face, `None` for a sense that is missing
    "clean": ("voice", "face"),
    "babble 10 dB": ("voice_babble10", "face"),
    "babble 5 dB": ("voice_babble5", "face"),
    "babble 0 dB": ("voice_babble0", "face"),
    "face hidden 25 %": ("voice", "face_hidden25"),
    "face hidden 50 %": ("voice", "face_hidden50"),
    "face hidden 100 %": ("voice", None),
    "no sound": (None, "face"),
}
THIRDS = 3
FULL = (
    "voice",
    "face",
    "late, product",
    "late, product, face by layer",
)  # arms whose scores of each clip are in the results


@dataclass
class Clips:
    """Clips of which a sense was measured.

    Attributes:
        frames: mean and deviation of the frames that are pooled, `(N, 2, F)`.
        moments: `(N, 3, F)`.
        classes: `(N,)`.
        speakers: `(N,)`.
        group: of clips that count as one dataset; every class of it counts the same.
    """

    frames: np.ndarray
    moments: np.ndarray
    classes: np.ndarray
    speakers: np.ndarray
    group: str

    def of(self, kind: str, dataset: np.ndarray, prior: float) -> np.ndarray:
        """Vectors `(N, 2 F)`, standardized by the dataset's statistics or those of persons."""
        by = dataset if kind == "plain" else by_group(self.moments, self.speakers, dataset, prior=prior)
        return pooled(self.frames, by)


def frames_of(arrays: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """What is pooled of the frames, and their moments: of a voice only voiced frames are pooled."""
    moments = arrays[f"{name}_moments"]
    if f"{name}_voiced" in arrays:
        return arrays[f"{name}_voiced"], moments
    return np.stack([moments[:, 1], np.sqrt(moments[:, 2] / np.maximum(moments[:, 0], 1))], axis=1), moments


@dataclass
class Data:
    """All clips of an experiment.

    Attributes:
        arrays: of the clips with both senses, as `fusion_vectors.py` names them.
        more: further voices of the same speakers.
        classes: of the clips `(N,)`.
        speakers: of the clips `(N,)`.
        names: of the classes.
    """

    arrays: dict[str, np.ndarray]
    more: list[Clips]
    classes: np.ndarray
    speakers: np.ndarray
    names: list[str]

    @classmethod
    def read(cls, clips: Path, folder: Path, name: str) -> "Data":
        """Read what was measured."""
        arrays = dict(np.load(clips))
        facts = json.loads(str(arrays.pop("facts")))
        names = sorted(set(facts["emotion"]))
        more = []
        for stem in (name, f"{name}_babble"):
            voices = np.load(folder / f"{stem}.npz")
            own = json.loads(str(voices["facts"]))
            numbers = np.array([names.index(each) for each in own["emotion"]])
            more.append(Clips(voices["voiced"], voices["moments"], numbers, np.array(own["speaker"]), stem))
        numbers = np.array([names.index(each) for each in facts["emotion"]])
        return cls(arrays, more, numbers, np.array(facts["speaker"]), names)

    def clips(self, name: str, chosen: np.ndarray) -> Clips:
        """Some of the clips `(N,)`, one sense of them under one condition."""
        frames, moments = frames_of(self.arrays, name)
        return Clips(frames[chosen], moments[chosen], self.classes[chosen], self.speakers[chosen], "clips")


class Sense:
    """Linear heads on one sense, fitted on some speakers.

    Args:
        sense: `voice` or `face`.
        parts: clips to learn from.
        ways: how they are standardized.
        num_classes: K.
    """

    def __init__(self, sense: str, parts: list[Clips], ways: tuple[str, ...], num_classes: int):
        self.prior = PRIORS[sense]
        self.dataset = statistics(merged(parts[0].moments), prior=self.prior)
        self.vectors = torch.from_numpy(
            np.concatenate([part.of(kind, self.dataset, self.prior) for kind in ways for part in parts])
        )
        classes = np.concatenate([part.classes for part in parts])
        self.targets = torch.eye(num_classes)[torch.from_numpy(np.tile(classes, len(ways)))]
        cells = [f"{part.group} {each}" for part in parts for each in part.classes]
        counts = {cell: cells.count(cell) for cell in set(cells)}
        self.weights = torch.tensor([1 / counts[cell] for cell in cells] * len(ways))

    def read(self, clips: Clips, kind: str) -> torch.Tensor:
        """Vectors of further clips, standardized as those that it learned from."""
        return torch.from_numpy(clips.of(kind, self.dataset, self.prior))

    def head(self, penalty: float, start=None):
        """The head with a penalty."""
        return fit_linear_head(self.vectors, self.targets, penalty, self.weights, start)


def only(parts: list[Clips], speakers: np.ndarray) -> list[Clips]:
    """The clips of some speakers."""
    found = []
    for part in parts:
        own = np.isin(part.speakers, speakers)
        found.append(Clips(part.frames[own], part.moments[own], part.classes[own], part.speakers[own], part.group))
    return found


@dataclass
class Fitted:
    """What was chosen for a sense and a way to standardize, and what the head answers.

    Attributes:
        held_out: logits `(N, K)` of the clips that are trained on, each by a head that has not learned its speaker.
        score: UAR of these.
        choice: ways and penalty.
        logits: of the test clips, by condition.
    """

    held_out: np.ndarray
    score: float
    choice: tuple
    logits: dict[str, np.ndarray]


def fit(
    sense: str,
    parts: list[Clips],
    tests: dict[str, Clips],
    num_classes: int,
    random: bool = False,
) -> dict[str, Fitted]:
    """Heads on one sense, chosen on validation speakers; by how clips are standardized."""
    clips, actors = parts[0], sorted(set(parts[0].speakers))
    answers: dict[tuple, np.ndarray] = {}
    for start in range(THIRDS):
        third = np.array(actors[start::THIRDS])
        learned, rows = only(parts, np.setdiff1d(actors, third)), np.isin(clips.speakers, third)
        held_out = only([clips], third)[0]
        for ways in (("plain",), ("person",), KINDS):
            own, head = Sense(sense, learned, ways, num_classes), None
            for penalty in PENALTIES[sense][2:3] if random else PENALTIES[sense]:
                head = own.head(penalty, head)
                for kind in ways:
                    table = answers.setdefault((kind, ways, penalty), np.zeros((len(clips.classes), num_classes)))
                    table[rows] = head(own.read(held_out, kind)).double().numpy()
    found = {}
    for kind in KINDS:
        scores = {key: uar(clips.classes, each.argmax(1)) for key, each in answers.items() if key[0] == kind}
        best = max(scores, key=lambda key: scores[key])
        own = Sense(sense, parts, best[1], num_classes)
        head = own.head(best[2])
        logits = {name: head(own.read(test, kind)).double().numpy() for name, test in tests.items()}
        found[kind] = Fitted(answers[best], scores[best], (best[1], best[2]), logits)
    return found


def log_scores(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Log-probabilities `(N, K)` of logits `(N, K)`."""
    return np.log(np.maximum(probabilities(logits, temperature), 1e-12))


def weights_of(logits: list[np.ndarray], classes: np.ndarray) -> np.ndarray:
    """Weights of the logits of both senses with the highest likelihood of the classes; positive."""
    stacked, wanted = torch.from_numpy(np.stack(logits)), torch.from_numpy(classes)
    place = torch.zeros(len(logits), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([place], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        mixed = (place.exp()[:, None, None] * stacked).sum(0)
        value = torch.nn.functional.cross_entropy(mixed, wanted, label_smoothing=1 / (len(wanted) + 1))
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    return place.detach().exp().numpy()


@dataclass
class Pictures:
    """Pictures of faces that a face by layer learns from as well.

    Attributes:
        features: `(N, F)`.
        labels: their emotions.
        blocks: which of the features belong to each layer.
    """

    features: np.ndarray
    labels: np.ndarray
    blocks: list[np.ndarray]

    @classmethod
    def read(cls, face: str, pictures: str) -> "Pictures":
        """Read pictures by the layers of a model of faces."""
        layers = Layers(face, layers_at(face))
        faces = few_of_each(Faces.read(pictures, "train"), MOST)
        return cls(layers(faces.pictures), faces.labels, layers.blocks)


def fit_by_layer(clips: Clips, pictures: Pictures, tests: dict[str, Clips], names: list[str]) -> dict[str, Fitted]:
    """As [`fit`], of the face of the shipped checkpoints, for which nothing is chosen."""
    known = sorted({*names, *pictures.labels})
    columns = [known.index(name) for name in names]
    numbers = [np.array([known.index(names[each]) for each in clips.classes])]
    numbers.append(np.array([known.index(name) for name in pictures.labels]))
    actors = sorted(set(clips.speakers))

    def answers(train: np.ndarray, parts: dict[str, Clips]) -> dict[tuple[str, str], np.ndarray]:
        """Logits `(n, K)` of further clips, by their name and how they are standardized."""
        dataset, weight, bias = learned(clips, train, pictures.features, numbers, len(known), SHARE, pictures.blocks)
        return {
            (name, kind): (torch.from_numpy(part.of(kind, dataset, PRIORS["face"])) @ weight.T + bias).numpy()[
                :, columns
            ]
            for name, part in parts.items()
            for kind in KINDS
        }

    held_out = {kind: np.zeros((len(clips.classes), len(names))) for kind in KINDS}
    for start in range(THIRDS):
        third = np.isin(clips.speakers, actors[start::THIRDS])
        found = answers(~third, {"third": only([clips], np.array(actors[start::THIRDS]))[0]})
        for kind in KINDS:
            held_out[kind][third] = found["third", kind]
    found = answers(np.ones(len(clips.classes), dtype=bool), tests)
    return {
        kind: Fitted(
            held_out[kind],
            uar(clips.classes, held_out[kind].argmax(1)),
            (KINDS, 1.0),
            {name: found[name, kind].astype(np.float64) for name in tests},
        )
        for kind in KINDS
    }


def late(
    voice: Fitted, face: Fitted, classes: np.ndarray, condition: str
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Probabilities `(n, K)` of the test clips under one condition, by arm; and temperatures.

    Temperatures, of `voice`, `face` and `both`, fit the answers on validation speakers.
    """
    heats = [fit_temperature(each.held_out, classes) for each in (voice, face)]
    held_out = [log_scores(each.held_out, heat) for each, heat in zip((voice, face), heats, strict=True)]
    senses = {"voice": (voice, heats[0]), "face": (face, heats[1])}
    given = {
        name: log_scores(each.logits[condition], heat)
        for name, (each, heat) in senses.items()
        if condition in each.logits
    }
    found = {name: np.exp(scores) for name, scores in given.items()}
    better = "voice" if voice.score >= face.score else "face"
    found["better sense"] = found.get(better, next(iter(found.values())))
    heat = fit_temperature(sum(held_out), classes)
    temperatures = {"voice": round(heats[0], 4), "face": round(heats[1], 4), "both": round(heat, 4)}
    if len(given) < 2:
        alone = found[next(iter(given))]
        return found | dict.fromkeys(("late, product", "late, mean", "late, weighted product"), alone), temperatures
    found["late, product"] = probabilities(sum(given.values()), heat)
    mean = np.log(np.mean(np.exp(held_out), axis=0))
    found["late, mean"] = probabilities(
        np.log(np.mean([np.exp(each) for each in given.values()], axis=0)), fit_temperature(mean, classes)
    )
    weights = weights_of([voice.held_out, face.held_out], classes)
    mixed = sum(weight * each.logits[condition] for weight, each in zip(weights, (voice, face), strict=True))
    return found | {"late, weighted product": probabilities(mixed)}, temperatures


def one_head(
    data: Data, train: np.ndarray, tests: dict[str, tuple[Clips | None, Clips | None]], dropout: bool
) -> dict[str, dict[str, np.ndarray]]:
    """Probabilities of the test clips by a head on both vectors; by how they are standardized and condition."""
    count = len(data.names)
    senses = [data.clips("voice", train), data.clips("face", train)]
    actors = sorted(set(senses[0].speakers))

    def rows(parts: list[Clips], ways: tuple[str, ...]) -> tuple:
        own = [Sense(name, [part], ways, count) for name, part in zip(("voice", "face"), parts, strict=True)]
        vectors = torch.cat([each.vectors for each in own], dim=1)
        targets = own[0].targets
        if dropout:
            width = own[0].vectors.shape[1]
            deaf, blind = vectors.clone(), vectors.clone()
            deaf[:, :width], blind[:, width:] = 0, 0
            vectors, targets = torch.cat([vectors, deaf, blind]), targets.repeat(3, 1)
        return own, vectors, targets

    found: dict[str, dict[str, np.ndarray]] = {}
    for kind in KINDS:
        scores: dict[tuple, list[float]] = {}
        for start in range(THIRDS):
            third = np.array(actors[start::THIRDS])
            held_out = only(senses, third)
            for ways in WAYS[kind]:
                own, vectors, targets = rows(only(senses, np.setdiff1d(actors, third)), ways)
                read = torch.cat([each.read(part, kind) for each, part in zip(own, held_out, strict=True)], dim=1)
                tests_of = read, torch.from_numpy(held_out[0].classes)
                _, uars = choose_penalty(vectors, targets, balanced_rows(targets), tests_of, PENALTIES["both"])
                for penalty, score in uars.items():
                    scores.setdefault((ways, penalty), []).append(score)
        ways, penalty = max(scores, key=lambda key: np.mean(scores[key]))
        own, vectors, targets = rows(senses, ways)
        head = fit_linear_head(vectors, targets, penalty, balanced_rows(targets))
        found[kind] = {}
        for condition, pair in tests.items():
            size = len(next(part for part in pair if part is not None).classes)
            read = [
                torch.zeros(size, each.vectors.shape[1]) if part is None else each.read(part, kind)
                for each, part in zip(own, pair, strict=True)
            ]
            found[kind][condition] = head(torch.cat(read, dim=1)).double().softmax(1).numpy()
    return found


def strangers(data: Data, pictures: Pictures) -> Iterator[dict]:
    """Every arm on every speaker under every condition."""
    count = len(data.names)
    for number, actor in enumerate(sorted(set(data.speakers))):
        test = data.speakers == actor
        classes = data.classes[test]
        tests = {
            condition: tuple(None if name is None else data.clips(name, test) for name in names)
            for condition, names in CONDITIONS.items()
        }
        by_sense = [
            {condition: pair[place] for condition, pair in tests.items() if pair[place] is not None}
            for place in (0, 1)
        ]
        more = only(data.more, np.setdiff1d(data.speakers, [actor]))
        voices = fit("voice", [data.clips("voice", ~test), *more], by_sense[0], count)
        faces = fit("face", [data.clips("face", ~test)], by_sense[1], count)
        by_layer = fit_by_layer(data.clips("face", ~test), pictures, by_sense[1], data.names)
        whole = {
            "one head": one_head(data, ~test, tests, False),
            "one head, modality dropout": one_head(data, ~test, tests, True),
        }
        run = {"fold": number, "speaker": str(actor), "clips": int(test.sum()), "labels": data.names, "uar": {}}
        run["choices"] = {
            f"{name}, {kind}": [list(each[kind].choice[0]), each[kind].choice[1], round(each[kind].score, 4)]
            for name, each in (("voice", voices), ("face", faces))
            for kind in KINDS
        }
        run["scores"], run["temperatures"] = {}, {}
        for kind in KINDS:
            for condition in CONDITIONS:
                found, _ = late(voices[kind], faces[kind], data.classes[~test], condition)
                others, run["temperatures"][kind] = late(voices[kind], by_layer[kind], data.classes[~test], condition)
                found |= {
                    f"{title}face by layer": others[name]
                    for title, name in (("", "face"), ("late, product, ", "late, product"))
                    if name in others
                }
                found |= {title: each[kind][condition] for title, each in whole.items()}
                for title, scores in found.items():
                    name = f"{title}, {kind}"
                    run["uar"].setdefault(condition, {})[name] = uar(classes, scores.argmax(1))
                    if kind == "person":
                        balanced = balance_scores(scores, data.speakers[test])
                        run["uar"][condition][f"{name}, balanced"] = uar(classes, balanced.argmax(1))
                    if condition == "clean" and title in FULL:
                        run["scores"][name] = [[round(value, 3) for value in row] for row in scores.tolist()]
        run["classes"] = classes.tolist()
        run["uar"]["clean"] |= controls(data, test)
        yield run


def controls(data: Data, test: np.ndarray) -> dict[str, float]:
    """UAR of support vectors and of networks with random weights on the clips that are tested `(N,)`."""
    found, count, classes = {}, len(data.names), data.classes[test]
    for kind in KINDS:
        vectors = {}
        for sense in ("voice", "face"):
            own = Sense(sense, [data.clips(sense, ~test)], (kind,), count)
            vectors[sense] = own.vectors.numpy(), own.read(data.clips(sense, test), kind).numpy()
        vectors["both"] = tuple(
            np.concatenate([vectors[sense][i] for sense in ("voice", "face")], axis=1) for i in (0, 1)
        )
        for sense, (train, tested) in vectors.items():
            answers = support_vectors(train, data.classes[~test], tested)
            found[f"{'' if sense == 'both' else sense + ', '}SVM, {kind}"] = uar(classes, answers)
    for sense in ("voice", "face"):
        parts = [data.clips(f"{sense}_random", ~test)]
        fitted = fit(sense, parts, {"clean": data.clips(f"{sense}_random", test)}, count, random=True)
        for kind in KINDS:
            found[f"{sense}, random weights, {kind}"] = uar(classes, fitted[kind].logits["clean"].argmax(1))
    return found


def main() -> None:
    """Run the protocol and write its results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("voices")
    parser.add_argument("--face", required=True, help="the image model that CLIPS were measured by")
    parser.add_argument("--pictures", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    data = Data.read(args.clips, args.vectors, args.voices)
    runs = []
    for run in strangers(data, Pictures.read(args.face, args.pictures)):
        run["uar"] = {
            name: {title: round(score, 4) for title, score in own.items()} for name, own in run["uar"].items()
        }
        runs.append(run)
        shown = {title: score for title, score in run["uar"]["clean"].items() if "balanced" not in title}
        print(json.dumps({"speaker": run["speaker"], **shown}), flush=True)
    results = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
    write_json(args.out, results | {"strangers": runs}, indent=1)


if __name__ == "__main__":
    main()
