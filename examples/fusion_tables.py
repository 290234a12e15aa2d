"""Tables of what `fusion_protocols.py` and `label_curve.py` have measured.

python examples/fusion_tables.py temperature examples/results/fusion.json
"""

import json
import sys
from pathlib import Path

import numpy as np
from voice_tables import percent

from av_emotion_hf.training import coverage, expected_calibration_error, reliability

Runs = list[dict]
KINDS = {"as it is": "plain", "person's baseline": "person", "and balanced": "person, balanced"}
ARMS = {
    "voice and face, product of both": "late, product",
    "the same with the face by layer": "late, product, face by layer",
    "voice and face, mean of both": "late, mean",
    "voice and face, weighted product": "late, weighted product",
    "voice and face, one head (patent)": "one head",
    "voice and face, one head, modality dropout": "one head, modality dropout",
    "voice": "voice",
    "face": "face",
    "face by layer": "face by layer",
    "voice and face, SVM": "SVM",
    "voice, SVM": "voice, SVM",
    "face, SVM": "face, SVM",
    "voice, random weights": "voice, random weights",
    "face, random weights": "face, random weights",
}
EXAM_ARMS = {
    "voice and face": "late, product, face by layer",
    "voice and face, one head (patent)": "one head",
    "voice alone (no face, or hidden in all frames)": "voice",
    "face alone (no sound)": "face by layer",
    "voice and face, SVM": "SVM",
    "voice, SVM": "voice, SVM",
}
SHOWN = ("late, product", "late, product, face by layer", "late, mean", "one head, modality dropout", "voice", "face")
THRESHOLDS = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def arms_table(runs: Runs, arms: dict[str, str] | None = None) -> str:
    """Arms down, how the clips of the tested person were standardized across."""
    lines = [f"| UAR %, {len(runs[0]['labels'])} emotions | {' | '.join(KINDS)} |", "|---" * 4 + "|"]
    for title, arm in (arms or ARMS).items():
        scores = [[run["uar"]["clean"].get(f"{arm}, {kind}") for run in runs] for kind in KINDS.values()]
        cells = [percent(own) if None not in own else "-" for own in scores]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    chance = f"{100 / len(runs[0]['labels']):.1f}"
    lines.append(f"| chance | {' | '.join([chance] * 3)} |")
    return "\n".join(lines)


def overview_table(runs: Runs, unseen: Runs) -> str:
    """The main figures of both, of each alone, and of voices of whole datasets that nothing was learned from."""
    lines = [f"| UAR % of people that nothing was learned from | {' | '.join(KINDS)} | chance |", "|---" * 5 + "|"]
    arms = {"voice and face": "late, product, face by layer", "voice": "voice", "face": "face by layer"}
    chance = 100 / len(runs[0]["labels"])
    for title, arm in arms.items():
        cells = [percent(run["uar"]["clean"][f"{arm}, {kind}"] for run in runs) for kind in KINDS.values()]
        lines.append(f"| {title}, {len(runs[0]['labels'])} emotions | {' | '.join(cells)} | {chance:.1f} |")
    cells = [percent(run["uar"][f"model, {kind}"] for run in unseen) for kind in KINDS.values()]
    title = f"voice, a whole dataset unseen, {len(unseen[0]['labels'])} emotions"
    lines.append(f"| {title} | {' | '.join(cells)} | {100 / len(unseen[0]['labels']):.1f} |")
    return "\n".join(lines)


def conditions_table(runs: Runs, kind: str = "plain") -> str:
    """Conditions down, arms across."""
    titles = {arm: title for title, arm in ARMS.items()}
    lines = [f"| UAR % | {' | '.join(titles[arm] for arm in SHOWN)} |", "|---" * (1 + len(SHOWN)) + "|"]
    for condition in runs[0]["uar"]:
        scores = [[run["uar"][condition].get(f"{arm}, {kind}") for run in runs] for arm in SHOWN]
        cells = [f"{100 * np.mean(own):.1f}" if None not in own else "-" for own in scores]
        name = "as they are" if condition == "clean" else condition
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def scores_of(runs: Runs, arm: str) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `(N, K)` and classes `(N,)` of all clips."""
    return (
        np.concatenate([np.array(run["scores"][arm]) for run in runs]),
        np.concatenate([np.array(run["classes"]) for run in runs]),
    )


def coverage_table(runs: Runs) -> str:
    """How much is answered and how often that is right, by the confidence from which on it is."""
    arm = "late, product, face by layer"
    titles = {"as it is": f"{arm}, plain", "person's baseline": f"{arm}, person"}
    lines = [
        f"| `--abstain` | {' | '.join(f'answered %, {title} | right %' for title in titles)} |",
        "|---" * (1 + 2 * len(titles)) + "|",
    ]
    found = [coverage(*scores_of(runs, arm), THRESHOLDS) for arm in titles.values()]
    for rows in zip(*found, strict=True):
        right = ["-" if row["accuracy"] is None else f"{100 * row['accuracy']:.0f}" for row in rows]
        cells = [f"{100 * row['coverage']:.0f} | {own}" for row, own in zip(rows, right, strict=True)]
        lines.append(f"| {rows[0]['threshold']:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def calibration(runs: Runs, arm: str) -> dict:
    """Expected calibration error, what chance alone would make of it, and the reliability diagram of an arm.

    A model whose scores are right on average has an error above 0 on a finite number of clips; `chance` is its mean.
    """
    scores, classes = scores_of(runs, arm)
    rng, errors = np.random.default_rng(0), []
    for _ in range(200):  # answers as often right as the scores say
        drawn = [int(rng.choice(len(row), p=row / row.sum())) for row in scores]
        errors.append(expected_calibration_error(scores, np.array(drawn)))
    error = expected_calibration_error(scores, classes)
    return {"ece": error, "chance": float(np.mean(errors)), "after": {"reliability": reliability(scores, classes, 10)}}


CURVE_ARMS = {
    "random weights": "random",
    "pre-trained as in the patent": "patent",
    "distilled from a speech encoder (voice), future frames (face)": "distill",
    "frozen backbones": "backbone",
    "backbones, network of ours with random weights": "backbone-random",
    "backbones, pre-trained as in the patent": "backbone-patent",
    "backbones, pre-trained on future frames": "backbone-future",
    "backbones, learned as clips are and by person": "model",
    "backbones, the person's unlabeled clips": "baseline",
    "backbones, SVM (control)": "svm",
    "eGeMAPS functionals, SVM (control)": "functionals",
}
PANELS = {
    "RAVDESS, voice, 8 emotions": ("ravdess", "voice"),
    "Java-SED, voice, 6 emotions": ("javasedvideo", "voice"),
    "Java-SED, face, 6 emotions": ("javasedvideo", "face"),
    "Java-SED, voice and face, 6 emotions": ("javasedvideo", "both"),
}
RESAMPLES = 2000  # of the speakers


def interval(runs: Runs, percent: str) -> tuple[float, float]:
    """95 % interval of the mean UAR over speakers, by a bootstrap of them; of several seeds, their mean counts."""
    speakers = np.mean([run["speakers"][percent] for run in runs], axis=0)
    rng = np.random.default_rng(0)
    means = rng.choice(speakers, (RESAMPLES, len(speakers))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def curve_table(runs: Runs) -> str:
    """A table for each dataset and sense: arms down, percent of the labels across."""
    tables = []
    for title, (dataset, sense) in PANELS.items():
        own = [run for run in runs if (run["dataset"], run["sense"]) == (dataset, sense)]
        if not own:
            continue
        percents = list(own[0]["uar"])
        lines = [f"| {title}, UAR % | {' | '.join(f'{each} %' for each in percents)} |"]
        lines.append("|---" * (1 + len(percents)) + "|")
        for name, arm in CURVE_ARMS.items():
            chosen = [run for run in own if run["arm"] == arm]
            if not chosen:
                continue
            cells = []
            for each in percents:
                folds = np.mean([[np.mean(fold) for fold in run["uar"][each]] for run in chosen], axis=0)
                low, high = interval(chosen, each)
                cells.append(
                    f"{100 * folds.mean():.1f} ± {100 * folds.std():.1f} ({100 * low:.0f} to {100 * high:.0f})"
                )
            lines.append(f"| {name} | {' | '.join(cells)} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def core_hours(runs: Runs) -> str:
    """What all of the curve took, in a sentence: heads and vectors, and the pre-training of each network once."""
    calls = {(run["arm"], run["dataset"], run["seed"]): run for run in runs}
    heads = sum(run["cpu_seconds"] for run in calls.values())
    networks = {(run["arm"], run["seed"]): run.get("pretraining_cpu_seconds", 0) for run in runs}
    return (
        f"On frames of the frozen networks, which were computed once, vectors and heads took {heads / 3600:.1f} core "
        f"hours, the pre-training of the networks {sum(networks.values()) / 3600:.1f}."
    )


def exam_table(runs: Runs, unseen: Runs) -> str:
    """Arms down, what was tested across; UAR in percent, as it is.

    Args:
        runs: `strangers` of `fusion_protocols.py`.
        unseen: `leave-one-corpus-out` of `voice_protocols.py`.
    """
    conditions = {"clean": "speakers unseen"} | {
        name: name for name in runs[0]["uar"] if name not in ("clean", "face hidden 100 %", "no sound")
    }
    lines = [f"| UAR % | {' | '.join(conditions.values())} | corpus unseen, 4 emotions |"]
    lines.append("|---" * (2 + len(conditions)) + "|")
    others = {"voice": "model, plain", "voice, SVM": "speech encoder + SVM, plain"}
    for title, arm in EXAM_ARMS.items():
        scores = [[run["uar"][name].get(f"{arm}, plain") for run in runs] for name in conditions]
        cells = [f"{100 * np.mean(own):.1f}" if None not in own else "-" for own in scores]
        other = [run["uar"][others[arm]] for run in unseen] if arm in others else []
        lines.append(f"| {title} | {' | '.join(cells)} | {f'{100 * np.mean(other):.1f}' if other else '-'} |")
    chance = f"{100 / len(runs[0]['labels']):.1f}"
    lines.append(f"| chance | {' | '.join([chance] * len(conditions))} | 25.0 |")
    return "\n".join(lines)


def temperature(runs: Runs) -> float:
    """Mean over speakers and ways to standardize of the temperature of both senses together."""
    return round(
        float(np.mean([run["temperatures"][kind]["both"] for run in runs for kind in ("plain", "person")])), 4
    )


if __name__ == "__main__":
    print(temperature(json.loads(Path(sys.argv[2]).read_text())["strangers"]))
