"""Write the measured numbers of the READMEs and the card from the JSON files in `results`.

python examples/write_tables.py
"""

import json
import re
import statistics
from collections.abc import Callable
from pathlib import Path

from face_tables import (
    actors_table,
    class_table,
    confusion_of,
    copies_table,
    emotion_table,
    few_labels_table,
    groups_table,
)
from fusion_tables import (
    arms_table,
    calibration,
    conditions_table,
    core_hours,
    coverage_table,
    curve_table,
    exam_table,
    overview_table,
)
from voice_tables import (
    augmentations_table,
    clips_table,
    dataset_table,
    fractions_table,
    from_one_table,
    gender_table,
    in_corpus_table,
    price,
    recall_table,
    reliability_table,
    strangers_table,
    summary_table,
    tried_table,
    unlabeled_table,
    unseen_table,
)

from av_emotion_hf.hub import render_card

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINTS = ROOT / "src" / "av_emotion_hf" / "checkpoints"
BASE = CHECKPOINTS / "av-emotion-base"
MIT_BASE = CHECKPOINTS / "av-emotion-base-mit"
VOICE = CHECKPOINTS / "av-emotion-voice"
MIT_VOICE = CHECKPOINTS / "av-emotion-voice-mit"
SMALL_VOICE = CHECKPOINTS / "av-emotion-voice-small"
FACE = CHECKPOINTS / "av-emotion-face"
RESULTS_PAGE = ROOT / "docs" / "results.md"
EXAMPLES = "https://github.com/av-emotion-hf/av_emotion_hf/blob/main/examples/README.md"  # for a page of the site
# what a training records and what changes no result, or follows from something else
SAME = ("out", "workers", "resume", "report_to", "save_steps", "labels", "columns", "pictures", "left_out")
GENDERS = (
    "`model` by gender of the tested speakers, where the dataset says it; mean and deviation over datasets or folds:"
)
CHANGES = """\
What each change bought: the first row, three epochs at 48 x 48 pixels, is what the others differ from. Validation
images chose among them; the tests had no part in it. Augmentation and mixup cost accuracy on clean faces in so few
epochs:"""
PRICE = """\
`MIT_VOICE_CHECKPOINT` has learned from Java-SED alone, whose license allows commercial use. That costs recognition of
strangers: in four emotions of the six other datasets, a model that has learned from Java-SED alone has a UAR of
{one} %, {one_person} % with the person's baseline; one that has learned from all datasets but the tested one has
{others} % and {others_person} %. The checkpoint itself, which is smaller than both, has {own} % and {own_person} % on
clips drawn from these datasets. Chance is 25 %."""
AUGMENTATIONS = """\
Each augmentation alone, in the same folds. `with` learned from the clips and from one changed copy of each, `without`
from the clips; `changed clips` are the test clips with the same augmentation, and `together` is those of waveforms at
once, each with probability one half. No person's baseline; differences with their standard error over folds:"""


FACES = f"""\
Faces alone, Java-SED clips of ten actors, six acted emotions: what has learned from pictures of faces and from no clip
as it ships, beside what has learned from the clips of the other nine actors, on frames of the same network. Every arm:
[examples]({EXAMPLES}#faces-that-a-model-has-never-met)."""
FUSION = f"""\
Voice and face, Java-SED clips of ten actors, six acted emotions: models made as `DEFAULT_CHECKPOINT`, each without the
actor that it is tested on. Every arm, with few labels, in noise and with hidden faces:
[examples]({EXAMPLES}#voice-and-face-of-people-that-a-model-has-never-met)."""
EXAM = """\
As it is, without a baseline: the same clips as they are, among seven other voices that speak so many decibels below
the voice, and with a face that is not seen in so many percent of the frames; and voices of whole datasets that nothing
was learned from:"""
MAIN_ARMS = {
    "voice and face": "late, product, face by layer",
    "voice and face, one head (patent)": "one head",
    "voice": "voice",
    "face": "face by layer",
    "voice and face, SVM": "SVM",
    "voice, SVM": "voice, SVM",
}
FACE_ARMS = {
    "`FACE_CHECKPOINT`": "model",
    "recurrent network": "RNN",
    "mean of linear heads": "mean of the heads",
    "mean of linear heads on its layers, learned each way alone": "mean of the layers, each way alone",
}
STRANGERS = """\
Mean and standard deviation over actors. Nothing of the tested actor was learned from; `person's baseline` reads the
frames of that actor's other clips without their labels, and `balanced` assumes that they hold every emotion equally
often. Heads have learned from clips as they are and from clips standardized by their person, or `each way alone`:"""
FRACTIONS = "The linear head on mean and deviation, with fewer labels of the other actors:"
CONDITIONS = (
    "The expression recognizer on test faces, and on copies of them; sharpness, brightness and symmetry as measured:"
)


def spread(values: list[float], digits: int) -> str:
    """Mean and standard deviation, as far as there are so many values."""
    if len(values) < 2:
        return f"{values[0]:.{digits}f}" if values else "-"
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def confusion_table(result: dict) -> str:
    """A confusion matrix, true classes down, predicted ones across."""
    names = result["labels"]
    lines = ["| true \\ predicted | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for name, row in zip(names, result["confusion_matrix"], strict=True):
        lines.append(f"| {name} | " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


def expression_table(runs: dict) -> str:
    """What each expression recognizer was trained with, and its scores; in the order of those that may choose one."""
    lines = [
        "| run | network | parameters | epochs | batch | mixup | balance | minutes | validation accuracy % | UAR % "
        "| test accuracy % | UAR % |",
        "|---" * 12 + "|",
    ]
    for name, run in sorted(runs.items(), key=lambda item: item[1]["validation"]["war"] or 0):
        settings, options = run["settings"], run["options"]
        changes = settings.get("config") or {}
        before = [f"from {name}" for name in settings.get("init", [])]
        network = " ".join([settings["architecture"], *before, *(f"{key} {value}" for key, value in changes.items())])
        length = f"{options['epochs']:g}" if options["max_steps"] <= 0 else f"{run['steps']} steps"
        scores = [
            part[score] for part in (run["validation"], next(iter(run["tests"].values()))) for score in ("war", "uar")
        ]
        cells = [
            name,
            network,
            f"{run['parameters'] / 1e6:.2f} M",
            length,
            options["batch_size"],
            settings.get("mixup", 0),
            settings.get("balance", "none"),
            f"{run['seconds'] / 60:.0f}",
            *("-" if score is None else f"{100 * score:.1f}" for score in scores),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def expression_changes_table(runs: dict) -> str:
    """What each expression recognizer was trained with that the first one was not, and what it scores."""
    if not runs:
        return ""
    tests = list(dict.fromkeys(name for run in runs.values() for name in run["tests"]))
    is_voted = {name for run in runs.values() for name, test in run["tests"].items() if test["protocol"].get("votes")}
    shown = [f"{name}, majority of votes" if name in is_voted else name for name in ("validation", *tests)]
    header = ["run", "what differs", "parameters", "minutes", *(f"{name}: accuracy % | UAR %" for name in shown)]
    lines = [f"| {' | '.join(header)} |", "|---" * (4 + 2 * len(shown)) + "|"]
    first = settings_of(next(iter(runs.values())))
    for name, run in runs.items():
        own = settings_of(run)
        keys = [key for key in dict.fromkeys([*own, *first]) if own.get(key) != first.get(key)]
        scores = [(run["tests"] | {"validation": run["validation"]}).get(part) for part in ("validation", *tests)]
        cells = [
            name,
            ", ".join(f"{key} {own.get(key, 'none')}" for key in keys) or "-",
            f"{run['parameters'] / 1e6:.2f} M",
            f"{run['seconds'] / 60:.0f}",
            *(f"{100 * part[score]:.1f}" if part else "-" for part in scores for score in ("war", "uar")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def settings_of(run: dict) -> dict[str, str]:
    """Options and settings of a training by name, without those that change no result."""
    found = {}

    def collect(fields: dict, path: tuple[str, ...]) -> None:
        for key, value in fields.items():
            if isinstance(value, dict) and key not in SAME:
                collect(value, (*path, key))
            elif key not in SAME:
                found[" ".join((*path, key))] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    collect(run["options"] | run["settings"], ())
    return {name: value or "none" for name, value in found.items()}


def objective_errors_table(results: dict) -> str:
    """Errors of every objective and baseline on hidden frames, by the length of the gap."""
    runs = by_objective(results, lambda run: "errors" in run)
    trained = [name for name in runs if name != "none"]
    guesses = ("corpus_mean", "nearest_visible", "interpolation")
    lines = ["| hidden frames in a row | " + " | ".join([name.replace("_", " ") for name in guesses] + trained) + " |"]
    lines.append("|---" * (1 + len(guesses) + len(trained)) + "|")
    for number, row in enumerate(runs[trained[0]][0]["errors"]):
        # the same for every seed
        cells = [f"{statistics.mean(run['errors'][number][name] for run in runs[trained[0]]):.3f}" for name in guesses]
        cells += [spread([run["errors"][number]["model"] for run in runs[name]], 3) for name in trained]
        lines.append(f"| {row['span']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def objective_scores_table(results: dict) -> str:
    """UAR of classifiers by what their encoder learned before and by the fraction of the labels."""
    shares = list(results["settings"]["finetuning_steps"])
    runs = by_objective(results, lambda run: len(run["scores"]) == len(shares))
    lines = [f"| objective | {' | '.join(f'UAR %, {share} % of the labels' for share in shares)} |"]
    lines.append("|---" * (1 + len(shares)) + "|")
    for name, part in runs.items():
        cells = [spread([100 * run["scores"][share]["uar"] for run in part], 1) for share in shares]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def by_objective(results: dict, is_done: Callable[[dict], bool]) -> dict[str, list[dict]]:
    """The runs of each objective, of those folds and seeds for which all of them are done."""
    done = {}
    for run in filter(is_done, results["runs"].values()):
        done.setdefault((run["fold"], run["seed"]), {})[run["objective"]] = run
    names = list(dict.fromkeys(run["objective"] for run in results["runs"].values()))
    complete = [done[key] for key in sorted(done) if len(done[key]) == len(names)]
    return {name: [runs[name] for runs in complete] for name in names}


def stream_table(results: dict) -> str:
    """What `pretrain_stream.sh` took on one process, two processes and two nodes."""
    lines = [
        "| run with | seconds | of which pre-training | steps | clips a step | frames per second | last loss |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, run in results["runs"].items():
        cells = [run[key] for key in ("seconds", "of which pre-training", "steps", "clips a step")]
        lines.append(
            f"| {name} | " + " | ".join(map(str, cells)) + f" | {run['frames per second']:,} | {run['loss']:.3f} |"
        )
    return "\n".join(lines)


def finetune_table(runs: dict) -> str:
    """What the scripts that fine-tune were run with, what it cost, and the scores on the test speakers."""
    lines = [
        "| command | data | test speakers | UAR % | WAR % | chance % | hardware | minutes | CPU minutes |",
        "|---" * 9 + "|",
    ]
    for run in runs.values():
        settings, scores = run["settings"], run["scores"]
        words = [f"configs/{word}" if word.endswith(".json") else word for word in settings["script"]]
        cells = [
            f"`{' '.join(words)}`",
            f"{settings['dataset']}, {settings['modality']}",
            f"{', '.join(settings['groups']['test'])} ({scores['test_clips']} clips)",
            *(f"{100 * score:.1f}" for score in (scores["test_uar"], scores["test_war"], 1 / len(settings["labels"]))),
            f"{run['hardware']}, {run['threads']} used",
            *(f"{run[cost] / 60:.1f}" for cost in ("seconds", "cpu_seconds")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def models_table() -> str:
    """The checkpoints in the package: what they answer, their size, and what their data allow."""
    lines = ["| name | answers | emotions | size | use |", "|---" * 5 + "|"]
    for folder in (BASE, MIT_BASE, VOICE, MIT_VOICE, SMALL_VOICE, FACE):
        config = json.loads((folder / "config.json").read_text())
        answers = {"av_emotion": "voice, face or both", "av_emotion_audio": "voice", "av_emotion_image": "face"}
        of_name = f"[{folder.name}]({folder.relative_to(ROOT).as_posix()}/README.md)"
        card = (folder / "README.md").read_text(encoding="utf-8")
        size = (folder / "model.safetensors").stat().st_size / 1e6
        use = "also commercial (MIT)" if re.search("^license: mit$", card, flags=re.M) else "research"
        cells = [of_name, answers[config["model_type"]], str(len(config["label2id"])), f"{size:.0f} MB", use]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def strangers() -> dict[str, dict]:
    """What the voice for commercial use recognizes, by the dataset."""
    return json.loads((ROOT / "examples" / "results" / "voice_strangers.json").read_text())[MIT_VOICE.name]


def voice_facts(record: dict, measured: dict, folder: Path) -> dict:
    """What both cards of voices say of their weights."""
    is_head = record["linear_head"]["kept"]
    return record | {
        "kept": "Training did not beat the head, which is what ships."
        if is_head
        else "Training beat the head, and ships.",
        "megabytes": (folder / "model.safetensors").stat().st_size / 1e6,
        "reliability_table": reliability_table(record["calibration"]),
        "price": price(measured, strangers()),
    }


def mit_voice_card(record: dict, measured: dict) -> str:
    """The card of the voice that learned from nothing but Java-SED."""
    arms = ("model, plain", "model, person", "speech encoder + SVM, plain")
    own = [
        run | {"uar": {arm: run["uar"][arm] for arm in arms}}
        for run in measured["in-corpus"]
        if run["dataset"] == "javased"
    ]
    facts = voice_facts(record, measured, MIT_VOICE) | {
        "from_one_table": from_one_table(measured),
        "tried_table": tried_table(record["tried"]),
        "strangers_table": strangers_table(strangers()),
        "in_corpus_table": in_corpus_table(own),
    }
    return render_card("mit_voice_checkpoint.md.jinja", facts)


def voice_card(record: dict, measured: dict) -> str:
    """The card of the voice that learned from all datasets."""
    facts = voice_facts(record, measured, VOICE) | {
        "unseen_table": unseen_table(measured["leave-one-corpus-out"]),
        "recall_table": recall_table(measured["leave-one-corpus-out"]),
        "gender_table": gender_table(measured),
        "in_corpus_table": in_corpus_table(measured["in-corpus"]),
        "dataset_table": dataset_table(record["scores_by_corpus"]),
    }
    return render_card("voice_checkpoint.md.jinja", facts)


def small_voice_card(record: dict, measured: dict) -> str:
    """The card of the voice without a speech encoder."""
    results = ROOT / "examples" / "results"
    runs = json.loads((results / "unlabeled.json").read_text())["runs"]
    facts = voice_facts(record, measured, SMALL_VOICE) | {
        "unlabeled_table": unlabeled_table(
            [run for run in runs if run["size"] == "small" and run["arm"] in ("random", "distill")]
        ),
        "dataset_table": dataset_table(record["scores_by_corpus"]),
        "large": json.loads((results / "voice_checkpoint.json").read_text())["runs"][VOICE.name],
    }
    return render_card("small_voice_checkpoint.md.jinja", facts)


def face_card(record: dict, measured: dict) -> str:
    """The card of the model for clips with a face alone."""
    runs = measured["strangers"]
    facts = record | {
        "megabytes": (FACE / "model.safetensors").stat().st_size / 1e6,
        "clips": sum(run["clips"] for run in runs),
        "actors": len(runs),
        "actors_table": actors_table(runs),
        "emotion_table": emotion_table(runs, "model"),
        "confusion_table": confusion_table(confusion_of(runs, "model, plain")),
        "class_table": class_table(record["test"], record["test_before"]),
        "faces_confusion_table": confusion_table(record["test"]),
        "reliability_table": reliability_table({"after": record["test"]}),
        "clips_reliability_table": reliability_table({"after": measured["conditions"]["calibration"]}),
        "conditions": measured["conditions"],
        "copies_table": copies_table(measured["conditions"]),
        "faces_table": groups_table(measured["conditions"], "faces"),
        "clips_table": groups_table(measured["conditions"], "clips"),
    }
    return render_card("face_checkpoint.md.jinja", facts)


def base_card(folder: Path, made: dict, measured: dict) -> str:
    """The card of a model of voice and face."""
    runs, commercial = measured["strangers"], folder == MIT_BASE
    config = json.loads((folder / "config.json").read_text())
    faces = [made["base-mit-face"], made["base-face"]] if commercial else [made["base-face"], made["base-mit-face"]]
    plain = calibration(runs, "late, product, face by layer, plain")
    facts = {
        "name": folder.name,
        "constant": "MIT_CHECKPOINT" if commercial else "DEFAULT_CHECKPOINT",
        "commercial": commercial,
        "voice": "av-emotion-voice-mit" if commercial else "av-emotion-voice",
        "labels": sorted(config["label2id"]),
        "megabytes": (folder / "model.safetensors").stat().st_size / 1e6,
        "parameters": (folder / "model.safetensors").stat().st_size / 2,
        "clips": sum(run["clips"] for run in runs),
        "speakers": len(runs),
        "arms_table": arms_table(runs),
        "conditions_table": conditions_table(runs),
        "coverage_table": coverage_table(runs),
        "reliability_table": reliability_table(plain),
        "plain": plain,
        "person": calibration(runs, "late, product, face by layer, person"),
        "face": faces[0],
        "other_face": faces[1],
        "temperature": config["temperatures"]["both"],
    }
    return render_card("base_checkpoint.md.jinja", facts)


def write_fusion(results: Path) -> None:
    """What was measured of voice and face together."""
    measured = json.loads((results / "fusion.json").read_text())
    made = json.loads((results / "base.json").read_text())
    unseen = json.loads((results / "voice.json").read_text())["leave-one-corpus-out"]
    tables = f"{arms_table(measured['strangers'], MAIN_ARMS)}\n\n{EXAM}\n\n{exam_table(measured['strangers'], unseen)}"
    replace_block(RESULTS_PAGE, "fusion", introduced(FUSION, tables))
    replace_block(ROOT / "README.md", "overview", overview_table(measured["strangers"], unseen))
    examples = ROOT / "examples" / "README.md"
    replace_block(examples, "fusion-strangers", arms_table(measured["strangers"]))
    replace_block(examples, "fusion-conditions", conditions_table(measured["strangers"]))
    replace_block(examples, "fusion-conditions-person", conditions_table(measured["strangers"], "person"))
    curve = read_if_there(results / "label_curve.json")
    shown = f"{curve_table(curve['runs'])}\n\n{core_hours(curve['runs'])}" if curve else ""
    replace_block(examples, "label-curve", shown)
    for folder in (BASE, MIT_BASE):
        (folder / "README.md").write_text(base_card(folder, made, measured), encoding="utf-8")


def write_face(results: Path) -> None:
    """What was measured of faces, as far as it was."""
    measured = read_if_there(results / "face.json")
    for name, introduction, table in (
        ("face-strangers", STRANGERS, actors_table(measured["strangers"]) if "strangers" in measured else ""),
        ("face-fractions", FRACTIONS, few_labels_table(measured.get("label-fractions", []))),
        ("face-conditions", CONDITIONS, copies_table(measured["conditions"]) if "conditions" in measured else ""),
    ):
        replace_block(ROOT / "examples" / "README.md", name, introduced(introduction, table))
    shown = actors_table(measured["strangers"], FACE_ARMS) if "strangers" in measured else ""
    replace_block(RESULTS_PAGE, "face", introduced(FACES, shown))
    if FACE.is_dir():
        record = json.loads((results / "face_checkpoint.json").read_text())
        (FACE / "README.md").write_text(face_card(record, measured), encoding="utf-8")


def read_if_there(path: Path) -> dict:
    """Results, none if nothing was measured yet."""
    return json.loads(path.read_text()) if path.is_file() else {}


def introduced(introduction: str, table: str) -> str:
    """A table that says what it is about, or nothing where nothing was measured yet."""
    return f"{introduction}\n\n{table}" if table else ""


def replace_block(path: Path, name: str, text: str) -> None:
    """Replace what is between `<!-- name -->` and `<!-- /name -->`."""
    old = path.read_text(encoding="utf-8")
    new, count = re.subn(
        rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m: f"{m[1]}{text}\n{m[2]}", old, flags=re.S
    )
    if count != 1:
        raise SystemExit(f"{path}: expected one block <!-- {name} -->, found {count}")
    path.write_text(new, encoding="utf-8")


def main() -> None:
    """Write the tables of the READMEs and the card."""
    choices = json.loads((ROOT / "examples" / "results" / "expression.json").read_text())
    replace_block(ROOT / "examples" / "README.md", "expression", expression_table(choices))
    voted = ROOT / "examples" / "results" / "expression_votes.json"
    changes = expression_changes_table(json.loads(voted.read_text()) if voted.is_file() else {})
    replace_block(ROOT / "examples" / "README.md", "expression-changes", introduced(CHANGES, changes))
    stream = json.loads((ROOT / "examples" / "results" / "pretrain_stream.json").read_text())
    replace_block(ROOT / "examples" / "README.md", "stream", stream_table(stream))
    objectives = json.loads((ROOT / "examples" / "results" / "objectives.json").read_text())
    replace_block(ROOT / "examples" / "README.md", "objective-errors", objective_errors_table(objectives))
    replace_block(ROOT / "examples" / "README.md", "objective-scores", objective_scores_table(objectives))
    tuned = json.loads((ROOT / "examples" / "results" / "finetune.json").read_text())["runs"]
    replace_block(ROOT / "examples" / "README.md", "finetune", finetune_table(tuned))
    measured = json.loads((ROOT / "examples" / "results" / "voice.json").read_text())
    for name, table in (
        ("voice-in-corpus", in_corpus_table(measured["in-corpus"])),
        ("voice-unseen", unseen_table(measured["leave-one-corpus-out"])),
        ("voice-from-one", from_one_table(measured)),
        ("voice-fractions", fractions_table(measured["label-fractions"])),
        ("voice-clips", clips_table(measured["baseline-clips"])),
        ("voice-gender", introduced(GENDERS, gender_table(measured))),
        ("voice-augmentations", introduced(AUGMENTATIONS, augmentations_table(measured.get("augmentations", [])))),
    ):
        replace_block(ROOT / "examples" / "README.md", name, table)
    unlabeled = json.loads((ROOT / "examples" / "results" / "unlabeled.json").read_text())["runs"]
    replace_block(ROOT / "examples" / "README.md", "voice-unlabeled", unlabeled_table(unlabeled))
    replace_block(RESULTS_PAGE, "voice", summary_table(measured))
    replace_block(RESULTS_PAGE, "voice-price", PRICE.format(**price(measured, strangers())))
    replace_block(ROOT / "README.md", "models", models_table())
    write_face(ROOT / "examples" / "results")
    write_fusion(ROOT / "examples" / "results")
    record = json.loads((ROOT / "examples" / "results" / "voice_checkpoint.json").read_text())["runs"]
    for folder, card_of in ((VOICE, voice_card), (MIT_VOICE, mit_voice_card), (SMALL_VOICE, small_voice_card)):
        (folder / "README.md").write_text(card_of(record[folder.name], measured), encoding="utf-8")


if __name__ == "__main__":
    main()
