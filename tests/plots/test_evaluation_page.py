"""The report of an evaluation."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest

from av_emotion_hf.errors import InputError
from av_emotion_hf.plots import write_evaluation_report
from av_emotion_hf.training.calibration import probabilities
from av_emotion_hf.training.evaluation import calibration_of, scores_of_groups
from av_emotion_hf.training.metrics import SCORES, confusion_matrix

LABELS = ["angry", "happy", "<b>sad</b>"]
CURVE = {
    "runs": [
        {"arm": arm, "dataset": "d", "sense": "both", "uar": {"5": [[low, low + 0.2]], "100": [[high]]}}
        for arm, low, high in (("model", 0.4, 0.7), ("<i>random</i>", 0.3, 0.5))
    ]
}


@pytest.fixture
def result():
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 3, 200)
    logits = draw.normal(0, 1, (200, 3))
    logits[np.arange(200), truth] += 1.5
    scores = probabilities(logits * 2)
    answers = np.where(np.arange(200) < 5, -1, scores.argmax(-1))
    confusion = confusion_matrix(truth, answers, 3, no_answer=True)
    return {name: score(confusion) for name, score in SCORES.items()} | {
        "recalls": {name: float(confusion[i, i] / confusion[i].sum()) for i, name in enumerate(LABELS)},
        "confusion_matrix": confusion[:, :-1].tolist(),
        "no_answer": {name: int(confusion[i, -1]) for i, name in enumerate(LABELS) if confusion[i, -1]},
        "not_tested": [],
        "labels": LABELS,
        "clips": 200,
        **calibration_of(scores[5:], truth[5:]),
        "groups": scores_of_groups(truth.tolist(), answers, ["01", "02", "<u>", None] * 50, 3),
        "protocol": {
            "checkpoint": "model</script>",
            "person_baseline": None,
            "votes": {"min_votes": 2, "left_out": {"with a tie": 3}},
            "group_column": "speaker",
            "groups": ["01", "02"],
            "seen_in_training": [],
        },
    }


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_says_what_was_found(visit, result, tmp_path, scheme):
    page = visit(write_evaluation_report(result, tmp_path / "page.html", CURVE), color_scheme=scheme).page
    assert page.locator(".big").first.inner_text() == f"{100 * result['uar']:.1f} %"
    cells = page.locator(".confusion tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.querySelector('.count')?.textContent))"
    )
    counts = [[int(cell) for cell in row if cell is not None] for row in cells]
    assert [row[:3] for row in counts] == result["confusion_matrix"]
    assert [row[3] for row in counts] == [result["no_answer"].get(label, 0) for label in LABELS]
    first = result["confusion_matrix"][0]
    total = sum(first) + result["no_answer"].get("angry", 0)
    assert page.locator(".fraction").first.inner_text() == f"{100 * first[0] / total:.0f} %"
    assert page.locator(".bin").count() == len(result["reliability"])
    assert page.locator(".groups tbody th").all_inner_texts() == ["01", "02", "<u>"]
    assert page.locator(".confusion tbody th").all_inner_texts() == LABELS
    # label curve: a line for each arm, and their numbers in a table
    figure = page.locator("figure", has_text="d, voice and face")
    assert figure.locator(".line").count() == 2
    figure.locator("summary").click()
    assert figure.locator("tbody tr").first.locator("td").all_inner_texts() == ["50.0", "70.0"]
    facts = dict(zip(*(page.locator(f".protocol {tag}").all_inner_texts() for tag in ("dt", "dd")), strict=True))
    assert facts == {
        "Checkpoint": "model</script>", "Votes, min votes": "2", "Votes, left out, with a tie": "3",
        "Group column": "speaker", "Groups": "01, 02",
    }  # fmt: skip
    # text in cells can be read on their color
    contrast = page.evaluate(
        """() => {
          const light = (color) => {
            const canvas = document.createElement("canvas").getContext("2d");
            canvas.fillStyle = color;
            canvas.fillRect(0, 0, 1, 1);
            const linear = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => (v / 255) ** 2.2);
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05;
          };
          return Math.min(...[...document.querySelectorAll(".heat")].map((cell) => {
            const { color, backgroundColor } = getComputedStyle(cell);
            const [a, b] = [light(color), light(backgroundColor)];
            return Math.max(a, b) / Math.min(a, b);
          }));
        }"""
    )
    assert contrast >= 4.3


@pytest.mark.slow
def test_a_phone_shows_it_without_scrolling_sideways(visit, result, tmp_path):
    page = visit(write_evaluation_report(result, tmp_path / "page.html", CURVE), width=390).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_results_of_older_versions_have_a_page(result, tmp_path):
    old = copy.deepcopy(result)
    for name in ("ece", "reliability", "coverage", "groups", "not_tested", "no_answer"):
        del old[name]
    text = write_evaluation_report(old, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Reliability" not in text and "Confusion" in text


def test_the_same_scores_from_a_json_file(result, tmp_path):
    again = json.loads(json.dumps(result))
    texts = [write_evaluation_report(each, tmp_path / "page.html").read_text("utf-8") for each in (result, again)]
    assert texts[0] == texts[1]


def test_the_label_curve_of_the_examples(result, tmp_path):
    curve = json.loads((Path(__file__).parents[2] / "examples" / "results" / "label_curve.json").read_text())
    text = write_evaluation_report(result, tmp_path / "page.html", curve).read_text(encoding="utf-8")
    panels = {(run["dataset"], run["sense"]) for run in curve["runs"]}
    assert len(re.findall(r'<figcaption id="curve-', text)) == len(panels)


@pytest.mark.parametrize("curve", [{}, {"runs": []}, {"runs": [{"arm": "a"}]}, [], {"runs": [1]}])
def test_other_files_are_refused(result, tmp_path, curve):
    with pytest.raises(InputError, match="label curve"):
        write_evaluation_report(result, tmp_path / "page.html", curve)
    with pytest.raises(InputError, match="the result has no labels, confusion_matrix"):
        write_evaluation_report({}, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_groups_are_scored_apart():
    found = scores_of_groups([0, 1, 0, 1, 1], np.array([0, 1, 1, -1, 1]), ["b", "b", "a", "a", None], 2)
    assert list(found) == ["a", "b"]
    assert found["b"] == {"clips": 2, "uar": 1.0, "war": 1.0, "macro_f1": 1.0}
    assert found["a"] == {"clips": 2, "uar": 0.0, "war": 0.0, "macro_f1": 0.0}


def test_calibration_of_no_clips_is_none():
    assert calibration_of(np.zeros((0, 3)), np.zeros(0, int)) == {"ece": None, "reliability": [], "coverage": []}
    found = calibration_of(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]))
    assert found["ece"] == pytest.approx((0.1 + 0.6) / 2)
    assert found["coverage"][0] == {"threshold": 0.0, "coverage": 1.0, "accuracy": 0.5}
    assert found["coverage"][-1] == {"threshold": 0.95, "coverage": 0.0, "accuracy": None}
