"""Tables of what `voice_protocols.py` has measured."""

import statistics
from collections.abc import Callable, Iterable

from scipy import stats

Runs = list[dict]


def percent(scores: Iterable[float]) -> str:
    """`"77.0 ± 6.4"`: mean and standard deviation over folds (and draws), in percent."""
    scores = [100 * score for score in scores]
    if not scores:
        return "-"
    return f"{statistics.mean(scores):.1f}" + (f" ± {statistics.pstdev(scores):.1f}" if len(scores) > 1 else "")


def by_arm(title: str, runs: Runs, columns: dict[str, Callable[[dict], bool]]) -> str:
    """A row for each arm, a column for each selection of runs."""
    arms = list(dict.fromkeys(arm for run in runs for arm in run["uar"]))
    lines = [f"| {title} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for arm in arms:
        cells = [
            percent(run["uar"][arm] for run in runs if chosen(run) and arm in run["uar"])
            for chosen in columns.values()
        ]
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def in_corpus_table(runs: Runs) -> str:
    """Arms down, datasets across, with the number of classes."""
    classes = {run["dataset"]: run["classes"] for run in runs}
    columns = {
        f"{name}, {count} classes": lambda run, name=name: run["dataset"] == name for name, count in classes.items()
    }
    return by_arm("UAR %, speakers apart", runs, columns)


def unseen_table(runs: Runs) -> str:
    """Arms down, datasets that nothing was learned from across, and their mean."""
    lines = by_arm(
        "UAR %, 4 classes, dataset unseen",
        runs,
        {run["dataset"]: lambda each, name=run["dataset"]: each["dataset"] == name for run in runs},
    ).splitlines()
    means = ["mean", "---"]
    for line in lines[2:]:
        arm = line.split(" | ")[0].removeprefix("| ")
        scores = [run["uar"][arm] for run in runs if arm in run["uar"]]
        means.append(f"{100 * statistics.mean(scores):.1f}")
    return "\n".join(f"{line} {mean} |" for line, mean in zip(lines, means, strict=True))


def from_one_table(measured: dict[str, Runs]) -> str:
    """What one dataset alone teaches, beside all others together, by how the test was standardized.

    The same datasets are tested in both, a column each, and nothing was learned from the tested one.
    """
    alone = measured["from-one-corpus"]
    lines = [f"| UAR %, 4 classes, dataset unseen | {' | '.join(run['dataset'] for run in alone)} | mean |"]
    lines.append("|---" * (len(alone) + 2) + "|")
    for kind in ("plain", "dataset", "person"):
        for title, runs in (("all other datasets", all_others(measured)), (f"{alone[0]['train']} alone", alone)):
            scores = [100 * run["uar"][f"model, {kind}"] for run in runs]
            cells = " | ".join(f"{score:.1f}" for score in [*scores, statistics.mean(scores)])
            lines.append(f"| learned from {title}, {kind} | {cells} |")
    return "\n".join(lines)


def all_others(measured: dict[str, Runs]) -> Runs:
    """Of `leave-one-corpus-out` the runs that tested what `from-one-corpus` tested, in the same order."""
    tested = {run["dataset"]: run for run in measured["leave-one-corpus-out"]}
    return [tested[run["dataset"]] for run in measured["from-one-corpus"]]


def price(measured: dict[str, Runs], own: dict[str, dict]) -> dict[str, str]:
    """Mean UAR in percent over the datasets of `from-one-corpus`: learned from `one`, from all `others`, and `own`.

    The last one is that of a checkpoint, of `voice_strangers.py`.
    """
    sides = {"one": measured["from-one-corpus"], "others": all_others(measured)}
    itself = {
        "own": percent([statistics.mean(own[run["dataset"]]["plain"] for run in sides["one"])]),
        "own_person": percent([statistics.mean(own[run["dataset"]]["person"] for run in sides["one"])]),
    }
    return itself | {
        name if kind == "plain" else f"{name}_{kind}": percent(
            [statistics.mean(run["uar"][f"model, {kind}"] for run in runs)]
        )
        for name, runs in sides.items()
        for kind in ("plain", "person")
    }


def fractions_table(runs: Runs) -> str:
    """Arms of each dataset down, percent of the labels across."""
    names = list(dict.fromkeys(run["dataset"] for run in runs))
    parts = []
    for name in names:
        own = [run for run in runs if run["dataset"] == name]
        percents = sorted({run["percent"] for run in own})
        columns = {f"{each} %": lambda run, each=each: run["percent"] == each for each in percents}
        parts.append(by_arm(f"{name}: UAR % with so many labels", own, columns))
    return "\n\n".join(parts)


def clips_table(runs: Runs) -> str:
    """Datasets down, number of unlabeled clips of the tested person across."""
    counts = list(runs[0]["uar"])
    lines = ["| UAR % with the baseline of so many clips | " + " | ".join(counts) + " |"]
    lines.append("|---" * (len(counts) + 1) + "|")
    for name in dict.fromkeys(run["dataset"] for run in runs):
        cells = [percent(run["uar"][count] for run in runs if run["dataset"] == name) for count in counts]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def summary_table(measured: dict[str, Runs]) -> str:
    """The main figures of all protocols: the model, with the person's baseline, balanced, and the control."""
    inside, few = measured["in-corpus"], measured["label-fractions"]
    selections = {
        "RAVDESS, 8 emotions, other people": [run for run in inside if run["dataset"] == "ravdess"],
        "the same, from 10 % of the labels": [
            run for run in few if run["dataset"] == "ravdess" and run["percent"] == 10
        ],
        "Java-SED, 6 emotions, other people": [run for run in inside if run["dataset"] == "javased"],
        "a whole dataset unseen, 4 emotions, mean of 7": measured["leave-one-corpus-out"],
    }
    arms = {
        "as it is": "model, plain",
        "person's baseline": "model, person",
        "and balanced": "model, person, balanced",
        "SVM on the encoder": "speech encoder + SVM, plain",
    }
    lines = ["| UAR % | " + " | ".join(arms) + " | chance |", "|---" * (len(arms) + 2) + "|"]
    for title, runs in selections.items():
        cells = [percent(run["uar"][arm] for run in runs if arm in run["uar"]) for arm in arms.values()]
        classes = 4 if "4 emotions" in title else 6 if "6 emotions" in title else 8
        lines.append(f"| {title} | " + " | ".join(cells) + f" | {100 / classes:.1f} |")
    return "\n".join(lines)


def recall_table(runs: Runs) -> str:
    """Recall of each emotion over datasets that nothing was learned from, and what it is taken for most."""
    labels = runs[0]["labels"]
    lines = ["| emotion, dataset unseen | recall % | with the person's baseline | taken for most |", "|---" * 4 + "|"]
    for row, label in enumerate(labels):
        recalls = []
        for kind in ("plain", "person"):
            each = [run[f"confusion_{kind}"][row] for run in runs]
            recalls.append(percent(counts[row] / sum(counts) for counts in each))
        shares = [0.0] * len(labels)
        for run in runs:
            counts = run["confusion_plain"][row]
            shares = [share + count / sum(counts) for share, count in zip(shares, counts, strict=True)]
        shares[row] = -1.0
        lines.append(f"| {label} | {recalls[0]} | {recalls[1]} | {labels[shares.index(max(shares))]} |")
    return "\n".join(lines)


def gender_table(measured: dict[str, Runs]) -> str:
    """UAR of the model by gender of the speaker, over unseen datasets and over folds of RAVDESS; "" without runs."""
    selections = {
        "a whole dataset unseen, 4 emotions": measured.get("leave-one-corpus-out", []),
        "RAVDESS, 8 emotions, other people": [
            run for run in measured.get("in-corpus", []) if run["dataset"] == "ravdess"
        ],
    }
    kinds = {"as it is": "plain", "person's baseline": "person"}
    lines = []
    for title, runs in selections.items():
        found = [run["uar_by_gender"] for run in runs if "uar_by_gender" in run]
        for gender in sorted({gender for each in found for gender in each}):
            own = [each[gender] for each in found if gender in each]
            cells = " | ".join(percent(each[kind] for each in own) for kind in kinds.values())
            lines.append(f"| {title}, {gender} | {cells} | {len(own)} |")
    head = [f"| UAR % by gender | {' | '.join(kinds)} | datasets or folds |", "|---" * 4 + "|"]
    return "\n".join(head + lines) if lines else ""


def augmentations_table(runs: Runs) -> str:
    """For each dataset what each augmentation gives on clips as they are and on changed ones; "" without runs.

    Differences are means over folds with their standard error.
    """
    parts = []
    for name in dict.fromkeys(run["dataset"] for run in runs):
        lines = [
            f"| {name}: UAR % | clips as they are: without | with | difference "
            "| changed clips: without | with | difference |",
            "|---" * 7 + "|",
        ]
        own = [run for run in runs if run["dataset"] == name]
        for augmentation in dict.fromkeys(run["augmentation"] for run in own):
            scores = [run["uar"] for run in own if run["augmentation"] == augmentation]
            cells = [augmentation]
            for kind in ("clean", "changed"):
                pairs = [
                    (each[f"{kind}, without"], each[f"{kind}, with"]) for each in scores if f"{kind}, with" in each
                ]
                cells += compared(pairs)
            lines.append("| " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def compared(pairs: list[tuple[float, float]]) -> list[str]:
    """Means of both sides over folds in percent, and of their difference with its standard error."""
    if not pairs:
        return ["-"] * 3
    differences = [100 * (after - before) for before, after in pairs]
    means = [f"{100 * statistics.mean(side):.1f}" for side in zip(*pairs, strict=True)]
    error = f" ± {statistics.stdev(differences) / len(pairs) ** 0.5:.1f}" if len(pairs) > 1 else ""
    return [*means, f"{statistics.mean(differences):+.1f}{error}"]


def reliability_table(calibration: dict) -> str:
    """Confidence and accuracy of the clips in each bin, after temperature scaling."""
    lines = ["| highest score | clips | mean | right |", "|---|---|---|---|"]
    for each in calibration["after"]["reliability"]:
        span = f"{each['lower']:.2f} to {each['upper']:.2f}"
        lines.append(
            f"| {span} | {each['clips']} | {100 * each['confidence']:.0f} % | {100 * each['accuracy']:.0f} % |"
        )
    return "\n".join(lines)


def strangers_table(found: dict[str, dict]) -> str:
    """What `voice_strangers.py` has measured: datasets across, and their mean."""
    columns = [f"{name}, {found[name]['clips']} clips" for name in sorted(found)]
    lines = [f"| UAR %, 4 classes | {' | '.join(columns)} | mean |", "|---" * (len(columns) + 2) + "|"]
    for title, kind in (("as it is", "plain"), ("person's baseline", "person")):
        scores = [100 * found[name][kind] for name in sorted(found)]
        lines.append(f"| {title} | {' | '.join(f'{each:.1f}' for each in [*scores, statistics.mean(scores)])} |")
    return "\n".join(lines)


def tried_table(tried: dict[str, dict]) -> str:
    """Validation scores by the number of epochs: the best that training reached, and those of what was kept."""
    lines = ["| epochs | best of training % | kept | as it is % | person's baseline % |", "|---" * 5 + "|"]
    for epochs, each in tried.items():
        kept = "linear head" if each["is_head"] else "trained"
        scores = [max(each["trained_uar"]), each["validation_uar"], each["validation_with_baseline_uar"]]
        best, plain, person = (f"{100 * score:.1f}" for score in scores)
        lines.append(f"| {epochs} | {best} | {kept} | {plain} | {person} |")
    return "\n".join(lines)


def dataset_table(scores: dict[str, dict]) -> str:
    """Validation scores of each dataset that the shipped voice learned from."""
    lines = ["| validation speakers of | clips | UAR % | WAR % |", "|---|---|---|---|"]
    for name, each in scores.items():
        lines.append(f"| {name} | {each['clips']} | {100 * each['uar']:.1f} | {100 * each['war']:.1f} |")
    return "\n".join(lines)


def fold_means(runs: Runs, percent_of_labels: str) -> list[float]:
    """UAR of each fold, the mean over its draws and over the seeds of some runs."""
    folds = zip(*(run["uar"][percent_of_labels] for run in runs), strict=True)
    return [statistics.mean(score for draws in fold for score in draws) for fold in folds]


def gain(runs: Runs, controls: Runs, percent_of_labels: str) -> str:
    """`"+8.1 (6.0 to 10.2)"`: mean difference of the folds in points, and its 95 % interval (paired t)."""
    pairs = zip(fold_means(runs, percent_of_labels), fold_means(controls, percent_of_labels), strict=True)
    differences = [100 * (score - control) for score, control in pairs]
    mean, count = statistics.mean(differences), len(differences)
    if count < 2:
        return f"{mean:+.1f}"
    reach = stats.t.ppf(0.975, count - 1) * statistics.stdev(differences) / count**0.5
    return f"{mean:+.1f} ({mean - reach:+.1f} to {mean + reach:+.1f})"


def unlabeled_table(runs: Runs) -> str:
    """Networks and what they learned without labels down; of each tested dataset scores and gains across."""
    names = list(dict.fromkeys(run["dataset"] for run in runs))
    percents = list(runs[0]["uar"])
    heads = [f"{name}, {each} %" for name in names for each in percents]
    heads += [f"{name}, gain with {percents[0]} %" for name in names]
    lines = [
        "| network, learned without labels | seeds | " + " | ".join(heads) + " |",
        "|---" * (2 + len(heads)) + "|",
    ]
    for size, arm in dict.fromkeys((run["size"], run["arm"]) for run in runs):
        cells, gains = [], []
        for name in names:
            of_size = [run for run in runs if run["dataset"] == name and run["size"] == size]
            own, controls = ([run for run in of_size if run["arm"] == each] for each in (arm, "random"))
            cells += [percent(fold_means(own, each)) if own else "-" for each in percents]
            gains.append(gain(own, controls, percents[0]) if own and controls and arm != "random" else "-")
        seeds = len({run["seed"] for run in runs if (run["size"], run["arm"]) == (size, arm)})
        lines.append(f"| {size}, {arm} | {seeds} | " + " | ".join(cells + gains) + " |")
    return "\n".join(lines)
