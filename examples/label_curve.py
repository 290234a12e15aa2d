"""The label curve: what voice, face and both recognize of strangers with 5, 10, 25 and 100 % of the labels.

    python examples/label_curve.py ARM SHARDS CLIPS.npz VECTORS WORK --folds FOLDS.json --face FACE \
        --out examples/results/label_curve.json
    python examples/label_curve.py figure --out examples/results/label_curve.json

Each row of the table is one call. SHARDS holds features of datasets, as `voice_checkpoint.sh DATA RUNS features`
writes them: `ravdess`, `javasedvideo` (voice and face of clips, `extract --modality both`), and others, to be heard
without labels. CLIPS is what `fusion_vectors.py` and VECTORS what `voice_vectors.py` wrote of the same clips. WORK
keeps the pre-trained networks. ARM is one of

- `random`: networks with random weights: a GRU on descriptors of the voice, and the face's network.
- `patent`: the same GRU, pre-trained as in the patent (10 % single frames hidden, L2 distance to the whole sequence)
  on unlabeled speech; and a GRU on an expression recognizer's frames, pre-trained so on unlabeled faces.
- `distill`: the GRU on descriptors has learned to predict a speech encoder's frames on unlabeled speech; that on the
  expression recognizer's frames to predict frames ahead.
- `backbone`: frames of the speech encoder and of the expression recognizer, without a network of ours on top.
- `backbone-random`, `backbone-patent`, `backbone-future`: a GRU on these frames, with random weights, pre-trained as
  in the patent, and by predicting frames ahead.
- `model`: `backbone`, learned from clips as they are and standardized by their person (`finetune --person-baseline`).
- `baseline`: `backbone`, with each clip standardized by the person's unlabeled clips.
- `functionals`: an SVM on the 88 functionals of eGeMAPS, which no encoder has heard. A control, of voices.
- `svm`: an SVM on `backbone`. A control.

Fixed before the first run: RAVDESS in the folds of HiCMAE (8 emotions), Java-SED clips with one actor left out (6
emotions); three draws of the labels of each class, all folds, one seed of what is drawn at random. A linear head on
mean and deviation of the states and of the frames, with the penalty 0.1; of both senses, the product of the two heads
(of an SVM, one on both vectors).
Nothing is chosen. Voices are pre-trained on the datasets of SHARDS that are not tested, faces on half of the actors,
for tests on the other half. Intervals are those of a bootstrap over speakers.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from collect_results import write_json
from fusion_protocols import frames_of
from probes import by_group, drawn, folds_of, merged, pooled, statistics, support_vectors, uar
from torch.nn import functional as F
from unlabeled_speech import LONGEST, frozen_vectors, prepared

from av_emotion_hf import (
    ClipCollator,
    EmotionTrainingArguments,
    build_model,
    encode_labels,
    label_names,
    open_dataset,
    pretrain,
)
from av_emotion_hf.training import PRESETS, estimate_statistics, fit_linear_head, sentence_vectors

DRAWS = {5: 3, 10: 3, 25: 3, 100: 1}  # by percent of the labels
PENALTY = 0.1
TESTED = ("ravdess", "javasedvideo")
PRIORS = {"voice": 500.0, "face": 100.0}
SIZES = {"small": {"hidden_size": 384, "steps": 600}, "large": {"hidden_size": 256, "steps": 300}}
VOICES = {  # by arm the size and objective of the voice's network
    "random": ("small", "random"),
    "patent": ("small", "complete"),
    "distill": ("small", "distill"),
    "backbone-random": ("large", "random"),
    "backbone-patent": ("large", "complete"),
    "backbone-future": ("large", "future"),
}
FACES = {  # by arm the objective of the face's network
    "patent": "complete",
    "distill": "future",
    "backbone-random": "random",
    "backbone-patent": "complete",
    "backbone-future": "future",
}
FACE_RNN = {
    "rnn_type": "gru",
    "hidden_size": 128,
    "num_hidden_layers": 1,
    "pooling": "statistics",
    "pool_features": True,
}
FACE_STEPS = 400
MACHINES = ("functionals", "svm")  # arms with support vectors
ARMS = ("random", "patent", "distill", "backbone", "backbone-random", "backbone-patent", "backbone-future",
        "model", "baseline", "functionals", "svm")  # fmt: skip


class Table:
    """Vectors of the clips of one dataset by one sense.

    Attributes:
        of: function from the clips that are trained on `(N,)` to vectors `(N, D)`.
        also: the same for further vectors to learn from; `None` for none.
        classes: `(N,)`.
        speakers: `(N,)`.
    """

    def __init__(self, of, classes: np.ndarray, speakers: np.ndarray, also=None):
        self.of, self.classes, self.speakers, self.also = of, classes, speakers, also

    @classmethod
    def fixed(cls, vectors: torch.Tensor, classes: np.ndarray, speakers: np.ndarray) -> "Table":
        """Of vectors that do not depend on what is trained on."""
        return cls(lambda train: vectors, classes, speakers)

    @classmethod
    def standardized(
        cls, frames: np.ndarray, moments: np.ndarray, classes: np.ndarray, speakers: np.ndarray, prior: float, by: str
    ) -> "Table":
        """Of mean and deviation of frames, standardized by what is trained on.

        With `by="baseline"` they are standardized by the person as well, with `by="model"` both ways are learned from.
        """

        def plain(train: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(pooled(frames, statistics(merged(moments[train]), prior=prior)))

        def person(train: np.ndarray) -> torch.Tensor:
            dataset = statistics(merged(moments[train]), prior=prior)
            return torch.from_numpy(pooled(frames, by_group(moments, speakers, dataset, prior=prior)))

        if by == "baseline":
            return cls(person, classes, speakers)
        return cls(plain, classes, speakers, person if by == "model" else None)


def measured(args: argparse.Namespace, dataset: str, sense: str, random: bool, by: str) -> Table:
    """Vectors that `fusion_vectors.py` or `voice_vectors.py` has measured."""
    if dataset == "javasedvideo":
        arrays = dict(np.load(args.clips))
        name = f"{sense}_random" if random else sense
    else:
        arrays = {f"voice_{key}": value for key, value in np.load(args.vectors / f"{dataset}.npz").items()}
        arrays["facts"], name = arrays.pop("voice_facts"), "voice"
    facts = json.loads(str(arrays["facts"]))
    names = sorted(set(facts["emotion"]))
    classes = np.array([names.index(each) for each in facts["emotion"]])
    speakers = np.array([f"{dataset}/{each}" for each in facts["speaker"]])
    return Table.standardized(*frames_of(arrays, name), classes, speakers, PRIORS[sense], by)


def functionals(args: argparse.Namespace, dataset: str) -> Table:
    """The 88 functionals of eGeMAPS."""
    arrays = np.load(args.vectors / f"{dataset}_functionals.npz")
    facts = json.loads(str(arrays["facts"]))
    names = sorted(set(facts["emotion"]))
    classes = np.array([names.index(each) for each in facts["emotion"]])
    speakers = np.array([f"{dataset}/{each}" for each in facts["speaker"]])
    return Table.fixed(torch.from_numpy(np.nan_to_num(arrays["functionals"])).float(), classes, speakers)


def voice_of_network(args: argparse.Namespace, dataset: str, size: str, arm: str, seed: int) -> Table:
    """Vectors of a voice by a network of ours."""
    args.hidden_size, args.steps = SIZES[size]["hidden_size"], SIZES[size]["steps"]
    vectors, classes, speakers = frozen_vectors(args, dataset, size, arm, seed)
    names = label_names(args.datasets[dataset], "emotion")
    in_order = np.array([sorted(names).index(name) for name in names])  # as of the other senses
    return Table.fixed(vectors, in_order[classes], speakers)


def face_of_network(args: argparse.Namespace, objective: str, seed: int) -> list[Table]:
    """Vectors of the faces by two networks, each pre-trained on half of the actors; the first is for tests on others.

    The halves are the even and the odd actors, in the order of their names.
    """
    rows = open_dataset(str(args.shards / "javasedvideo"), "train")
    rows = rows.select_columns(["image_features", "emotion", "speaker"])
    rows = rows.with_format("numpy", columns=["image_features"], output_all_columns=True)
    labels = sorted({rows.features["emotion"].names[each] for each in rows["emotion"]})
    actors = sorted(set(rows["speaker"]))
    fields = FACE_RNN | {"backbone_layers": args.layers}
    found = []
    for half in (0, 1):
        heard = [row for row, actor in enumerate(rows["speaker"]) if actor in actors[half::2]]
        folder = args.work / f"face_{objective}_{seed}_{half}"
        if objective == "random":
            torch.manual_seed(seed)
            bundle = build_model("classification", "image", [args.face], labels, fields)
            estimate_statistics(bundle.model, "image", rows.select(heard), collator(bundle))
        else:
            if not (folder / "run.json").is_file():
                pretrain(
                    [rows.select(heard).select_columns(["image_features"])],
                    args=EmotionTrainingArguments(
                        str(folder), max_steps=FACE_STEPS, per_device_train_batch_size=16, learning_rate=1e-3,
                        seed=seed, report_to="none", resume=folder.is_dir(),
                    ),
                    modality="image",
                    init=[args.face],
                    config_overrides=PRESETS[objective] | fields,
                )  # fmt: skip
            bundle = build_model("classification", "image", [str(folder)], labels)
        encoded = encode_labels(rows, "emotion", labels)
        encoded = encoded.with_format("numpy", columns=["image_features"], output_all_columns=True)
        vectors = sentence_vectors(bundle.model, encoded, collator(bundle), 16)
        speakers = np.array([f"javasedvideo/{each}" for each in rows["speaker"]])
        found.append(Table.fixed(vectors.vectors["classifier"], vectors.targets.argmax(1).numpy(), speakers))
    return found


def collator(bundle) -> ClipCollator:
    """What makes batches of features of faces."""
    return ClipCollator("image", None, bundle.image_processor, bundle.feature_sizes)


def probabilities_of(table: Table, train: np.ndarray, rows: np.ndarray, test: np.ndarray, machine: bool) -> np.ndarray:
    """Scores `(n, K)` of the test clips by what learns from some rows; `train` gives the statistics.

    Args:
        table: of the clips.
        train: which may be trained on `(N,)`.
        rows: numbers of those that have labels.
        test: which are tested `(N,)`.
        machine: whether support vectors learn; they answer 1 for a class and 0 for the others.
    """
    vectors, count = table.of(train), int(table.classes.max()) + 1
    classes = table.classes[rows]
    if machine:
        answers = support_vectors(vectors[rows].numpy(), classes, vectors[np.flatnonzero(test)].numpy())
        return np.eye(count)[answers]
    counts = np.bincount(classes, minlength=count)
    learned, weights = vectors[rows], torch.from_numpy(1 / counts[classes])
    targets = F.one_hot(torch.from_numpy(classes), count).float()
    if table.also is not None:
        learned, targets = torch.cat([learned, table.also(train)[rows]]), targets.repeat(2, 1)
        weights = weights.repeat(2)
    head = fit_linear_head(learned, targets, PENALTY, weights)
    return head(vectors[np.flatnonzero(test)]).double().softmax(1).numpy()


def beside(senses: dict[str, list[Table]]) -> Table:
    """The vectors of all senses side by side."""
    tables = [each[0] for each in senses.values()]
    return Table(
        lambda train: torch.cat([table.of(train) for table in tables], dim=1), tables[0].classes, tables[0].speakers
    )


def curve(senses: dict[str, list[Table]], name: str, folds: dict, machine: bool) -> dict[str, dict]:
    """By sense, and for both together, UAR of every fold and draw by percent of the labels; and that of each speaker.

    Of two tables of a sense, the second is for tests on the actors that the first has learned from.
    """
    first = next(iter(senses.values()))[0]
    if any((table.classes != first.classes).any() for tables in senses.values() for table in tables):
        raise ValueError("the senses number the classes of the clips differently")
    names = [*senses, "both"] if len(senses) > 1 else list(senses)
    found: dict[str, dict] = {each: {str(percent): [] for percent in DRAWS} for each in names}
    speakers: dict[str, dict] = {each: {str(percent): {} for percent in DRAWS} for each in names}
    for number, test in enumerate(folds_of(name, first.speakers, folds)):
        train = np.flatnonzero(~test)
        for percent, draws in DRAWS.items():
            scores: dict[str, list[float]] = {each: [] for each in names}
            for draw in range(draws):
                rows = train[drawn(first.classes[train], percent / 100, draw)]
                given = {
                    sense: probabilities_of(tables[(number + 1) % len(tables)], ~test, rows, test, machine)
                    for sense, tables in senses.items()
                }
                if len(given) > 1 and machine:
                    given["both"] = probabilities_of(beside(senses), ~test, rows, test, machine)
                elif len(given) > 1:
                    given["both"] = np.prod(list(given.values()), axis=0)
                for sense, own in given.items():
                    answers = own.argmax(1)
                    scores[sense].append(round(uar(first.classes[test], answers), 4))
                    for speaker in np.unique(first.speakers[test]):
                        rows_of = first.speakers[test] == speaker
                        score = uar(first.classes[test][rows_of], answers[rows_of])
                        speakers[sense][str(percent)].setdefault(str(speaker), []).append(score)
            for sense, own in scores.items():
                found[sense][str(percent)].append(own)
    means = {
        sense: {percent: [round(float(np.mean(each)), 4) for each in by.values()] for percent, by in own.items()}
        for sense, own in speakers.items()
    }
    return {sense: {"uar": own, "speakers": means[sense]} for sense, own in found.items()}


def tables_of(args: argparse.Namespace, arm: str, dataset: str, seed: int) -> dict[str, list[Table]]:
    """By sense the vectors of an arm."""
    has_face = dataset == "javasedvideo"
    if arm == "functionals":
        return {"voice": [functionals(args, dataset)]}
    if arm in ("backbone", "model", "baseline", "svm"):
        senses = ("voice", "face") if has_face else ("voice",)
        return {sense: [measured(args, dataset, sense, False, arm)] for sense in senses}
    found = {"voice": [voice_of_network(args, dataset, *VOICES[arm], seed)]}
    if has_face:
        faces = (
            [measured(args, dataset, "face", True, arm)]
            if arm == "random"
            else face_of_network(args, FACES[arm], seed)
        )
        found["face"] = faces
    return found


def pretraining_seconds(args: argparse.Namespace, arm: str, seed: int) -> int:
    """Processor seconds of the pre-training that an arm rests on."""
    names = [f"{size}_{objective}_{seed}" for size, objective in [VOICES[arm]]] if arm in VOICES else []
    names += [f"face_{FACES[arm]}_{seed}_{half}" for half in (0, 1)] if arm in FACES else []
    records = [args.work / name / "run.json" for name in names]
    return round(sum(json.loads(path.read_text())["cpu_seconds"] for path in records if path.is_file()))


def figure(results: dict, out: Path) -> None:
    """Draw the curves."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    panels = [("ravdess", "voice"), ("javasedvideo", "voice"), ("javasedvideo", "face"), ("javasedvideo", "both")]
    titles = ["RAVDESS, voice", "Java-SED, voice", "Java-SED, face", "Java-SED, voice and face"]
    drawing, axes = pyplot.subplots(1, len(panels), figsize=(14, 4), sharey=True)
    percents, lines = list(DRAWS), {}
    for axis, (dataset, sense), title in zip(axes, panels, titles, strict=True):
        for number, arm in enumerate(ARMS):
            own = (arm, dataset, sense)
            runs = [run for run in results["runs"] if (run["arm"], run["dataset"], run["sense"]) == own]
            if runs:
                scores = [[np.mean(each) for run in runs for each in run["uar"][str(one)]] for one in percents]
                means = [100 * np.mean(each) for each in scores]
                lines[arm] = axis.plot(percents, means, marker="o", markersize=3, color=f"C{number}")[0]
        axis.set(title=title, xlabel="% of the labels", xscale="log", xticks=percents, xticklabels=percents)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("UAR %, people not learned from")
    arms = [arm for arm in ARMS if arm in lines]
    place = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "fontsize": 8}
    axes[-1].legend([lines[arm] for arm in arms], arms, **place)
    drawing.tight_layout()
    drawing.savefig(out, metadata={"Date": None})


def main() -> None:
    """Measure what is not in the JSON file yet, or draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arm", choices=(*ARMS, "figure"))
    parser.add_argument("shards", type=Path, nargs="?")
    parser.add_argument("clips", type=Path, nargs="?")
    parser.add_argument("vectors", type=Path, nargs="?")
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--folds", type=Path)
    parser.add_argument("--face", help="image model whose backbone computed the faces of SHARDS")
    parser.add_argument("--layers", type=int, nargs="+", default=[6, 8, 10], help="`backbone_layers` of these")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--speech-encoder", default="openai/whisper-base")
    parser.add_argument("--speech-layers", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    results = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {"runs": []}
    if args.arm == "figure":
        figure(results, args.out.with_suffix(".svg"))
        return
    if args.work is None or args.folds is None or args.face is None:
        parser.error("an arm needs SHARDS CLIPS VECTORS WORK, --folds and --face")
    folds = json.loads(args.folds.read_text(encoding="utf-8"))
    args.tested, networks = TESTED, args.arm in VOICES
    names = sorted(path.name for path in args.shards.iterdir() if (path / "manifest.json").is_file())
    if networks:
        args.datasets = {name: prepared(args.shards / name, args.work / "clips" / name, None) for name in TESTED}
        args.heard = [
            prepared(args.shards / name, args.work / "windows" / name, LONGEST)
            for name in names
            if not name.startswith(("ravdess", "javased"))
        ]
    done = {(run["arm"], run["dataset"], run["seed"]) for run in results["runs"]}
    for seed in args.seeds if networks else args.seeds[:1]:
        for dataset in TESTED:
            if (args.arm, dataset, seed) in done:
                continue
            started, cpu = time.perf_counter(), time.process_time()
            found = curve(tables_of(args, args.arm, dataset, seed), dataset, folds, args.arm in MACHINES)
            cost = {"seconds": round(time.perf_counter() - started), "cpu_seconds": round(time.process_time() - cpu)}
            cost["pretraining_cpu_seconds"] = pretraining_seconds(args, args.arm, seed)
            for sense, scores in found.items():
                run = {"arm": args.arm, "dataset": dataset, "sense": sense, "seed": seed} | cost | scores
                results["runs"].append(run)
                means = {
                    percent: round(float(np.mean([np.mean(each) for each in own])), 3)
                    for percent, own in scores["uar"].items()
                }
                print(f"{args.arm}, {dataset}, {sense}, seed {seed}: {means}", flush=True)
            write_json(args.out, results, indent=None)


if __name__ == "__main__":
    main()
