"""Tables of what `face_protocols.py` and `face_conditions.py` have measured."""

import numpy as np
from voice_tables import by_arm, percent

Runs = list[dict]
KINDS = {"as it is": "plain", "person's baseline": "person", "and balanced": "person, balanced"}
ALONE = "each way alone"  # a head that has learned from clips standardized in the tested way, and from no others
# UAR in percent in the same folds, plain and by actor: histograms of oriented gradients, 100 principal components, SVM
HOG = ("37.1", "50.0")


def actors_table(runs: Runs, wanted: dict[str, str] | None = None) -> str:
    """Arms down, how the clips of the tested actor were standardized across.

    Args:
        runs: of `strangers`.
        wanted: arms by their titles. By default all under their own names, and heads that have learned each way alone
            beside those that have learned both.
    """
    keys = runs[0]["uar"]
    names = [key.removesuffix(", plain") for key in keys if key.endswith(", plain")]
    arms = wanted or {name: name for name in names if not name.endswith(ALONE)}
    columns = {title: f", {kind}" for title, kind in KINDS.items()}
    if not wanted:
        columns |= {f"{ALONE}, {title}": f", {ALONE}, {kind}" for title, kind in KINDS.items()}
    lines = [
        f"| UAR %, {len(runs[0]['labels'])} emotions | {' | '.join(columns)} |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for title, arm in arms.items():
        cells = [percent(run["uar"][arm + own] for run in runs if arm + own in run["uar"]) for own in columns.values()]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    others = " | -" * (len(columns) - 2)
    lines.append(f"| histograms of gradients, SVM | {HOG[0]} | {HOG[1]}{others} |")
    chance = f"{100 / len(runs[0]['labels']):.1f}"
    lines.append(f"| chance{f' | {chance}' * len(columns)} |")
    return "\n".join(lines)


def few_labels_table(runs: Runs) -> str:
    """Arms down, percent of the labels across; "" without runs."""
    if not runs:
        return ""
    percents = sorted({run["percent"] for run in runs})
    columns = {f"{each} %": lambda run, each=each: run["percent"] == each for each in percents}
    return by_arm("UAR % with so many labels", runs, columns)


def confusion_of(runs: Runs, arm: str) -> dict:
    """Labels and the confusion matrix of an arm over all actors."""
    matrix = sum(np.array(run["confusion"][arm]) for run in runs)
    return {"labels": runs[0]["labels"], "confusion_matrix": matrix.tolist()}


def emotion_table(runs: Runs, arm: str) -> str:
    """Recall of each emotion over all actors, and what it is taken for most."""
    plain, person = (
        np.array(confusion_of(runs, f"{arm}, {kind}")["confusion_matrix"]) for kind in ("plain", "person")
    )
    labels = runs[0]["labels"]
    lines = ["| emotion | clips | recall % | with the person's baseline | taken for most |", "|---" * 5 + "|"]
    for row, label in enumerate(labels):
        recalls = [f"{100 * each[row, row] / each[row].sum():.1f}" for each in (plain, person)]
        others = plain[row].copy()
        others[row] = -1
        lines.append(f"| {label} | {plain[row].sum()} | {' | '.join(recalls)} | {labels[int(others.argmax())]} |")
    return "\n".join(lines)


def class_table(test: dict, before: dict) -> str:
    """Recall of each class on test faces, as the network was trained and with classes that count the same."""
    lines = ["| class | test faces | recall % | of the network alone |", "|---" * 4 + "|"]
    for row, label in enumerate(test["labels"]):
        counts = [each["confusion_matrix"][row] for each in (test, before)]
        recalls = " | ".join(f"{100 * each[row] / max(1, sum(each)):.1f}" for each in counts)
        lines.append(f"| {label} | {sum(counts[0])} | {recalls} |")
    return "\n".join(lines)


def copies_table(conditions: dict) -> str:
    """Scores of each copy of the test faces, and what is measured of it on average."""
    lines = [
        "| test faces | accuracy % | UAR % | sharpness | brightness | symmetry |",
        "|---" * 6 + "|",
    ]
    for each in conditions["copies"]:
        name = " ".join(filter(None, [each["change"], each["amount"]]))
        measured = each["measured"]
        values = [f"{measured['sharpness']:.2f}", f"{measured['brightness']:.0f}", f"{measured['symmetry']:.2f}"]
        lines.append(f"| {name} | {100 * each['accuracy']:.1f} | {100 * each['uar']:.1f} | {' | '.join(values)} |")
    return "\n".join(lines)


def groups_table(conditions: dict, of: str) -> str:
    """Accuracy in groups by each measure, from its lowest values to its highest."""
    measures = conditions[of]
    count = len(next(iter(measures.values())))
    names = ["lowest", *[""] * (count - 2), "highest"]
    lines = [f"| accuracy % of the {of} by | {' | '.join(names)} |", "|---" * (1 + count) + "|"]
    for name, rows in measures.items():
        cells = [f"{100 * row['accuracy']:.1f} ({row['lower']:.3g} to {row['upper']:.3g})" for row in rows]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
