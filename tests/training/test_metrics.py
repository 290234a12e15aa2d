import numpy as np
import pytest
from transformers import EvalPrediction

from av_emotion_hf.training.metrics import (
    EmotionScores,
    compute_metrics,
    confusion_matrix,
    macro_f1,
    unweighted_average_recall,
    weighted_average_recall,
)

REFERENCES = [0, 0, 0, 0, 1, 1, 2]
PREDICTIONS = [0, 0, 0, 1, 1, 2, 2]


def test_scores_against_hand_computed_ones():
    confusion = confusion_matrix(REFERENCES, PREDICTIONS, 4)
    assert confusion.tolist() == [[3, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert unweighted_average_recall(confusion) == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert weighted_average_recall(confusion) == pytest.approx(5 / 7)
    assert macro_f1(confusion) == pytest.approx((6 / 7 + 1 / 2 + 2 / 3) / 3)  # the class that never occurs is left out


def test_evaluate_metric_without_the_network():
    scores = EmotionScores().compute(references=REFERENCES, predictions=PREDICTIONS)
    assert scores["war"] == pytest.approx(5 / 7) and set(scores) == {"uar", "war", "macro_f1"}


def test_trainer_metrics_take_hard_and_soft_labels():
    logits = np.eye(3)[PREDICTIONS]
    hard = compute_metrics(EvalPrediction(logits, np.array(REFERENCES)))
    soft = compute_metrics(EvalPrediction((logits, None), np.eye(3)[REFERENCES] * 0.8))
    assert hard == soft and hard["uar"] == pytest.approx(0.75)


def test_nothing_to_score_is_zero():
    assert unweighted_average_recall(np.zeros((2, 2), int)) == 0


def test_a_clip_without_an_answer_counts_as_wrong():
    references, predictions = [0, 0, 0, 1, 1], [0, -1, 1, 1, -1]
    confusion = confusion_matrix(references, predictions, 3, no_answer=True)
    assert confusion.tolist() == [[1, 1, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0]]
    assert confusion_matrix(references, predictions, 3).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    scores = EmotionScores().compute(references=references, predictions=predictions)
    assert scores["uar"] == pytest.approx((1 / 3 + 1 / 2) / 2) and scores["war"] == pytest.approx(2 / 5)
    assert scores["macro_f1"] == pytest.approx((2 / 4 + 2 / 4) / 2)
