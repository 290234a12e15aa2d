import numpy as np
import pytest

from av_emotion_hf.training.calibration import (
    expected_calibration_error,
    fit_temperature,
    probabilities,
    reliability,
)


def two_classes(margin, right, wrong):
    """Logits `(N, 2)` that differ by `margin`, and labels of which so many agree and disagree with them."""
    count = right + wrong
    logits = np.zeros((count, 2), np.float32)
    logits[:, 0] = margin
    return logits, np.array([0] * right + [1] * wrong)


@pytest.mark.parametrize(("margin", "right", "wrong"), [(4.0, 3, 1), (0.5, 90, 10), (2.0, 4, 0)])
def test_the_temperature_makes_confidence_the_accuracy(margin, right, wrong):
    """Where all margins are equal, the best score is the share of right ones, half a clip more on either side."""
    logits, labels = two_classes(margin, right, wrong)
    share = (right + 0.5) / (right + wrong + 1)
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(margin / np.log(share / (1 - share)), rel=1e-4)
    scores = probabilities(logits, temperature)
    assert scores[:, 0] == pytest.approx(share, rel=1e-4)
    assert expected_calibration_error(scores, labels) == pytest.approx(abs(share - right / len(labels)), abs=1e-4)


def test_logits_that_were_scaled_are_scaled_back():
    draw = np.random.default_rng(0)
    true = draw.normal(0, 2, (4000, 5))
    labels = np.array([draw.choice(5, p=row) for row in probabilities(true)])
    assert fit_temperature(true, labels) == pytest.approx(1, abs=0.05)
    assert fit_temperature(3 * true + 7, labels) == pytest.approx(3 * fit_temperature(true, labels), rel=1e-3)
    before, after = (expected_calibration_error(probabilities(3 * true, t), labels) for t in (1, 3))
    assert after < 0.03 < before


def test_scores_that_are_always_wrong_become_equal():
    assert 10 < fit_temperature(*two_classes(2.0, 0, 4)) <= 20


def test_reliability_and_its_error_by_hand():
    scores = np.array([[0.95, 0.05], [0.91, 0.09], [0.4, 0.6], [0.45, 0.55], [0.5, 0.5]])
    labels = np.array([0, 1, 1, 0, 0])
    first, second, third = reliability(scores, labels, bins=10)
    assert (first["lower"], first["upper"], first["clips"]) == (0.4, 0.5, 1)  # an upper end belongs to its bin
    assert first["confidence"] == 0.5 and first["accuracy"] == 1
    assert second["clips"] == 2 and second["confidence"] == pytest.approx(0.575) and second["accuracy"] == 0.5
    assert third["clips"] == 2 and third["confidence"] == pytest.approx(0.93) and third["accuracy"] == 0.5
    error = (0.5 + 2 * 0.075 + 2 * 0.43) / 5
    assert expected_calibration_error(scores, labels, bins=10) == pytest.approx(error)
    assert expected_calibration_error(np.eye(3), np.arange(3)) == 0
    assert expected_calibration_error(np.eye(3), (np.arange(3) + 1) % 3) == 1
