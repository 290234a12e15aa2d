"""Tables of `voice_protocols.py`, from runs whose mean and deviation are known."""

import json
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def tables():
    return runpy.run_path(str(EXAMPLES / "voice_tables.py"))


def runs(**scores):
    return [{"dataset": name, "classes": 4, "uar": {"model": each}} for name, own in scores.items() for each in own]


def test_folds_are_averaged(tables):
    lines = tables["in_corpus_table"](runs(a=[0.5, 0.7], b=[0.4])).splitlines()
    assert lines[0].endswith("| a, 4 classes | b, 4 classes |") and lines[2] == "| model | 60.0 ± 10.0 | 40.0 |"


def test_the_mean_is_over_the_datasets(tables):
    lines = tables["unseen_table"](runs(a=[0.5], b=[0.75])).splitlines()
    assert lines[0].endswith("| a | b | mean |") and lines[2] == "| model | 50.0 | 75.0 | 62.5 |"


def test_balanced_rows_follow_and_the_card_explains_them(tables, script):
    uar = {"model, person": 0.5, "model, person, balanced": 0.75, "speech encoder + SVM, plain": 0.25}
    measured = [{"dataset": name, "classes": 4, "uar": uar} for name in "ab"]
    assert tables["unseen_table"](measured).splitlines()[3] == "| model, person, balanced | 75.0 | 75.0 | 75.0 |"
    assert tables["in_corpus_table"](measured).splitlines()[3] == "| model, person, balanced | 75.0 | 75.0 |"
    names = script("write_tables.py")
    results = EXAMPLES / "results"
    runs_of = json.loads((results / "voice.json").read_text())
    record = json.loads((results / "voice_checkpoint.json").read_text())["runs"]["av-emotion-voice"]
    for run in [*runs_of["in-corpus"], *runs_of["leave-one-corpus-out"]]:
        run["uar"] = {arm: score for arm, score in run["uar"].items() if not arm.endswith(", balanced")}
    without = names["voice_card"](record, runs_of)
    assert "balanced conditions" not in without
    runs_of["leave-one-corpus-out"][0]["uar"]["model, person, balanced"] = 0.5
    card = names["voice_card"](record, runs_of)
    assert "whole dataset.\n\n|" in without and "whole dataset.\n\nRows that end in `balanced` assume" in card
    assert "they say nothing of an interview.\n\n|" in card


def test_one_dataset_is_beside_all_others_on_the_same_datasets(tables):
    """The dataset that was learned from, `c`, is tested in one protocol only and does not count."""

    def run(name, plain, **facts):
        arms = {"plain": plain, "dataset": plain + 0.1, "person": plain + 0.2}
        return {"dataset": name, "uar": {f"model, {kind}": score for kind, score in arms.items()}} | facts

    measured = {
        "leave-one-corpus-out": [run("b", 0.7), run("c", 0.0), run("a", 0.5)],
        "from-one-corpus": [run("a", 0.25, train="c"), run("b", 0.35, train="c")],
    }
    lines = tables["from_one_table"](measured).splitlines()
    assert lines[0] == "| UAR %, 4 classes, dataset unseen | a | b | mean |" and len(lines) == 2 + 6
    assert lines[2:4] == [
        "| learned from all other datasets, plain | 50.0 | 70.0 | 60.0 |",
        "| learned from c alone, plain | 25.0 | 35.0 | 30.0 |",
    ]
    assert lines[7] == "| learned from c alone, person | 45.0 | 55.0 | 50.0 |"
    own = {"a": {"plain": 0.25, "person": 0.5}, "b": {"plain": 0.5, "person": 0.75}}
    found = tables["price"](measured, own)
    assert (found.pop("own"), found.pop("own_person")) == ("37.5", "62.5")
    assert found == {"one": "30.0", "one_person": "50.0", "others": "60.0", "others_person": "80.0"}


def test_strangers_are_averaged(tables):
    found = {"b": {"clips": 8, "plain": 0.25, "person": 0.5}, "a": {"clips": 4, "plain": 0.5, "person": 0.625}}
    lines = tables["strangers_table"](found).splitlines()
    assert lines[0] == "| UAR %, 4 classes | a, 4 clips | b, 8 clips | mean |"
    assert lines[2:] == ["| as it is | 50.0 | 25.0 | 37.5 |", "| person's baseline | 62.5 | 50.0 | 56.2 |"]


def test_epochs_are_compared_by_the_best_of_them(tables):
    scores = {"validation_uar": 0.5, "validation_with_baseline_uar": 0.625}
    tried = {
        "1": scores | {"is_head": True, "trained_uar": [0.4]},
        "4": scores | {"is_head": False, "trained_uar": [0.4, 0.5, 0.3]},
    }
    assert tables["tried_table"](tried).splitlines()[2:] == [
        "| 1 | 40.0 | linear head | 50.0 | 62.5 |",
        "| 4 | 50.0 | trained | 50.0 | 62.5 |",
    ]


def test_an_arm_that_is_missing_somewhere_is_a_dash(tables):
    few = [
        {"dataset": "a", "percent": 10, "uar": {"model": 0.5, "other": 0.25}},
        {"dataset": "a", "percent": 5, "uar": {"model": 0.3}},
    ]
    lines = tables["fractions_table"](few).splitlines()
    assert lines[0] == "| a: UAR % with so many labels | 5 % | 10 % |"
    assert lines[2:] == ["| model | 30.0 | 50.0 |", "| other | - | 25.0 |"]


def test_baselines_and_reliability(tables):
    clips = [{"dataset": "a", "uar": {"0": 0.5, "all": 0.6}}, {"dataset": "a", "uar": {"0": 0.7, "all": 0.6}}]
    assert tables["clips_table"](clips).splitlines()[2] == "| a | 60.0 ± 10.0 | 60.0 ± 0.0 |"
    found = {
        "after": {"reliability": [{"lower": 0.4, "upper": 0.6, "clips": 3, "confidence": 0.5, "accuracy": 2 / 3}]}
    }
    assert tables["reliability_table"](found).splitlines()[2] == "| 0.40 to 0.60 | 3 | 50 % | 67 % |"
    scores = {"a": {"clips": 7, "uar": 0.5, "war": 0.25}}
    assert tables["dataset_table"](scores).splitlines()[2] == "| a | 7 | 50.0 | 25.0 |"


def test_the_summary_names_what_was_measured(tables):
    uar = {"model, plain": 0.5, "model, person": 0.75, "speech encoder + SVM, plain": 0.25}
    balanced = {"model, person, balanced": 0.8}
    measured = {
        "in-corpus": [{"dataset": name, "uar": uar | balanced} for name in ("ravdess", "javased")],
        "label-fractions": [{"dataset": "ravdess", "percent": each, "uar": uar} for each in (5, 10)],
        "leave-one-corpus-out": [{"dataset": "a", "uar": uar}, {"dataset": "b", "uar": uar | {"model, plain": 0.7}}],
    }
    lines = tables["summary_table"](measured).splitlines()
    assert len(lines) == 6 and lines[2].endswith("| 50.0 | 75.0 | 80.0 | 25.0 | 12.5 |")
    assert lines[5].endswith("| 60.0 ± 10.0 | 75.0 ± 0.0 | - | 25.0 ± 0.0 | 25.0 |")


def test_recalls_are_averaged_over_datasets(tables):
    found = [
        {"labels": ["sad", "happy"], "confusion_plain": [[3, 1], [0, 4]], "confusion_person": [[4, 0], [0, 4]]},
        {"labels": ["sad", "happy"], "confusion_plain": [[5, 5], [5, 5]], "confusion_person": [[8, 2], [0, 9]]},
    ]
    lines = tables["recall_table"](found).splitlines()
    assert lines[2:] == [
        "| sad | 62.5 ± 12.5 | 90.0 ± 10.0 | happy |",
        "| happy | 75.0 ± 25.0 | 100.0 ± 0.0 | sad |",
    ]


def test_genders_are_averaged_where_they_are_known(tables):
    def run(name, **genders):
        return {
            "dataset": name,
            "uar_by_gender": {key: {"plain": each[0], "person": each[1]} for key, each in genders.items()},
        }

    measured = {
        "leave-one-corpus-out": [
            run("a", female=(0.5, 0.6)),
            run("b", female=(0.7, 0.6), male=(0.2, 0.3)),
            {"dataset": "c"},
        ],
        "in-corpus": [run("a", female=(1.0, 1.0)), run("ravdess", male=(0.25, 0.75))],
    }
    lines = tables["gender_table"](measured).splitlines()
    assert lines[0] == "| UAR % by gender | as it is | person's baseline | datasets or folds |"
    assert lines[2:] == [
        "| a whole dataset unseen, 4 emotions, female | 60.0 ± 10.0 | 60.0 ± 0.0 | 2 |",
        "| a whole dataset unseen, 4 emotions, male | 20.0 | 30.0 | 1 |",
        "| RAVDESS, 8 emotions, other people, male | 25.0 | 75.0 | 1 |",
    ]
    assert tables["gender_table"]({"in-corpus": [{"dataset": "ravdess"}]}) == ""


def test_augmentations_are_compared_fold_by_fold(tables):
    """Differences of 10 and 20 points: their deviation is 7.07, the standard error of their mean 5."""
    waveform = [
        {"clean, without": 0.5, "clean, with": 0.6, "changed, without": 0.3, "changed, with": 0.4},
        {"clean, without": 0.7, "clean, with": 0.9, "changed, without": 0.3, "changed, with": 0.3},
    ]
    runs = [{"dataset": "a", "augmentation": "speed", "uar": uar} for uar in waveform]
    runs += [
        {"dataset": name, "augmentation": "mixup", "uar": {"clean, without": 0.5, "clean, with": 0.4}} for name in "ab"
    ]
    first, second = tables["augmentations_table"](runs).split("\n\n")
    assert first.splitlines()[0].startswith("| a: UAR % | ") and second.splitlines()[0].startswith("| b: UAR % | ")
    assert first.splitlines()[2:] == [
        "| speed | 60.0 | 75.0 | +15.0 ± 5.0 | 30.0 | 35.0 | +5.0 ± 5.0 |",
        "| mixup | 50.0 | 40.0 | -10.0 | - | - | - |",
    ]
    assert {line.count("|") for line in first.splitlines()} == {8} and tables["augmentations_table"]([]) == ""


def test_tables_are_shown_once_they_are_measured(script):
    names = script("write_tables.py")
    results = EXAMPLES / "results"
    measured = json.loads((results / "voice.json").read_text())
    record = json.loads((results / "voice_checkpoint.json").read_text())["runs"]["av-emotion-voice"]
    outside = [
        run | {"uar_by_gender": {"male": {"plain": 0.5, "person": 0.6}}} for run in measured["leave-one-corpus-out"]
    ]
    inside = [{key: value for key, value in run.items() if key != "uar_by_gender"} for run in measured["in-corpus"]]
    measured |= {"leave-one-corpus-out": outside, "in-corpus": inside}
    table = names["gender_table"](measured)
    card = names["voice_card"](record, measured)
    assert table.splitlines()[2:] == ["| a whole dataset unseen, 4 emotions, male | 50.0 ± 0.0 | 60.0 ± 0.0 | 7 |"]
    assert f"{names['recall_table'](outside)}\n\n{table}\n\n{names['in_corpus_table'](inside)}" in card
    for run in outside:
        del run["uar_by_gender"]
    without = names["voice_card"](record, measured)
    assert without == card.replace(f"{table}\n\n", "")
    assert (
        names["introduced"]("Of genders:", table) == f"Of genders:\n\n{table}" and names["introduced"]("x", "") == ""
    )


def test_gains_are_paired_over_folds(tables):
    def run(arm, seed, *folds):
        uar = {"10": [[score, score + 0.1] for score in folds], "100": [[score + 0.2] for score in folds]}
        return {"dataset": "a", "size": "small", "arm": arm, "seed": seed, "uar": uar}

    runs = [run("random", 0, 0.2, 0.4, 0.3), run("distill", 0, 0.3, 0.5, 0.4), run("distill", 1, 0.3, 0.5, 0.7)]
    lines = tables["unlabeled_table"](runs).splitlines()
    assert lines[0] == "| network, learned without labels | seeds | a, 10 % | a, 100 % | a, gain with 10 % |"
    assert lines[2] == "| small, random | 1 | 35.0 ± 8.2 | 50.0 ± 8.2 | - |"
    # differences of 10, 10 and 25 points: 15, and 4.303 standard errors of 5 to either side
    assert lines[3] == "| small, distill | 2 | 50.0 ± 10.8 | 65.0 ± 10.8 | +15.0 (-6.5 to +36.5) |"
