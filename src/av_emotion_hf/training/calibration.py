"""Calibration: scores that are as high as they are often right (Guo et al. 2017)."""

import math
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.nn import functional as F
from transformers import Trainer

BINS = 15
HIGHEST = 20.0  # temperature; the lowest is its inverse


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature by which logits are divided, so that the likelihood of the labels is the highest.

    The labels are smoothed by the weight of one clip: where a few clips are all recognized, their likelihood alone
    would ask for certainty about everything.

    Args:
        logits: `(N, K)` of clips that were not trained on.
        labels: class indices `(N,)`.

    Returns:
        Between 1/20 and 20: above 1 where the scores are too high, below 1 where they are too low.
    """
    scores, wanted = torch.from_numpy(np.asarray(logits, np.float64)), torch.from_numpy(np.asarray(labels, np.int64))
    place = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([place], max_iter=100, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def temperature() -> torch.Tensor:
        return (math.log(HIGHEST) * place.tanh()).exp()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(scores / temperature(), wanted, label_smoothing=1 / (len(wanted) + 1))
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return float(temperature().detach())


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities `(N, K)` of logits `(N, K)`, divided by the temperature."""
    return torch.from_numpy(np.asarray(logits, np.float64) / temperature).softmax(-1).numpy()


def reliability(scores: np.ndarray, labels: np.ndarray, bins: int = BINS) -> list[dict[str, float | int]]:
    """How often the highest score of a clip is right, by how high it is: the data of a reliability diagram.

    Args:
        scores: probabilities `(N, K)`.
        labels: class indices `(N,)`.
        bins: of equal width, `(lower, upper]`; those without a clip are left out.

    Returns:
        `lower`, `upper`, `clips`, `confidence` (the mean highest score) and `accuracy` of each bin.
    """
    highest, right = np.asarray(scores).max(-1), np.asarray(scores).argmax(-1) == np.asarray(labels)
    place = np.ceil(highest * bins).astype(int).clip(1, bins) - 1
    return [
        {
            "lower": number / bins,
            "upper": (number + 1) / bins,
            "clips": int((place == number).sum()),
            "confidence": float(highest[place == number].mean()),
            "accuracy": float(right[place == number].mean()),
        }
        for number in np.unique(place).tolist()
    ]


def expected_calibration_error(scores: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Mean distance between confidence and accuracy over the clips (Naeini et al. 2015), of the highest score.

    Args:
        scores: probabilities `(N, K)`.
        labels: class indices `(N,)`.
        bins: see [`reliability`].
    """
    found = reliability(scores, labels, bins)
    return sum(each["clips"] * abs(each["confidence"] - each["accuracy"]) for each in found) / max(1, len(labels))


def calibrate_classifier(trainer: Trainer, validation: Dataset) -> dict[str, Any]:
    """Divide the classifier's weights by the temperature that fits its scores on validation rows.

    Returns:
        `temperature`, and `ece` and `reliability` (see [`reliability`]) on these rows `before` and `after`.
    """
    prediction = trainer.predict(validation)
    logits, classes = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
    temperature = fit_temperature(logits, classes)
    with torch.no_grad():
        for parameter in trainer.model.get_submodule("classifier").parameters():  # type: ignore[union-attr]
            parameter.div_(temperature)
    facts: dict[str, Any] = {"temperature": round(temperature, 4), "clips": len(classes)}
    for name, divisor in (("before", 1.0), ("after", temperature)):
        scores = probabilities(logits, divisor)
        error = expected_calibration_error(scores, classes)
        facts[name] = {"ece": round(error, 4), "reliability": reliability(scores, classes)}
    return facts


__all__ = ["calibrate_classifier", "expected_calibration_error", "fit_temperature", "probabilities", "reliability"]
