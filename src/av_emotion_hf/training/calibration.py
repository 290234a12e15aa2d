"""Calibration: scores that are as high as they are often right (Guo et al. 2017)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.nn import functional as F
from transformers import Trainer

from ..models.configuration_av_emotion import PRESENCES
from ..models.modeling_av_emotion import AVEmotionForSequenceClassification
from .linear_head import MASKS

# by modality: what a batch may hold of it
INPUTS = {
    "audio": ("input_values", "attention_mask", "input_features", "audio_statistics"),
    "image": ("pixel_values", "pixel_mask", "image_features", "image_statistics"),
}
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
    """Make the scores of a model fit validation rows: a temperature, or of a fusion model one for each modality.

    The weights of a classifier of one modality are divided by its temperature; a fusion model has `temperatures` in
    its configuration, see [`AVEmotionConfig`].

    Returns:
        `temperature`, and `ece` and `reliability` (see [`reliability`]) on these rows `before` and `after`; of a
        fusion model all that of clips with `audio` alone, with `image` alone and with `both`.
    """
    if isinstance(trainer.model, AVEmotionForSequenceClassification):
        return calibrate_fusion(trainer.model, list(trainer.get_eval_dataloader(validation)))
    prediction = trainer.predict(validation)
    logits, classes = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
    temperature = fit_temperature(logits, classes)
    with torch.no_grad():
        for parameter in trainer.model.get_submodule("classifier").parameters():  # type: ignore[union-attr]
            parameter.div_(temperature)
    return _calibrated(logits, classes, temperature)


def calibrate_fusion(model: AVEmotionForSequenceClassification, batches: list[dict[str, Any]]) -> dict[str, Any]:
    """Fit the `temperatures` of a fusion model's configuration on labeled batches.

    What a clip lacks, or lacks in a part of the fit, the model is not given: a clip with a voice and a face counts for
    all three. First comes each modality alone, on which late fusion builds.

    Args:
        model: which is changed.
        batches: of a [`ClipCollator`], with `labels`.

    Returns:
        By `audio`, `image` and `both` what [`calibrate_classifier`] returns of a model of one modality; those of which
        there is no clip are left out, and have the temperature 1.
    """
    model.config.temperatures = None
    facts: dict[str, Any] = {}
    for name in PRESENCES:
        logits, classes = _logits_with(model, batches, ("audio", "image") if name == "both" else (name,))
        if not len(classes):
            continue
        temperature = fit_temperature(logits, classes)
        facts[name] = _calibrated(logits, classes, temperature)
        model.config.temperatures = (model.config.temperatures or {}) | {name: facts[name]["temperature"]}
    return facts


@torch.no_grad()
def _logits_with(
    model: AVEmotionForSequenceClassification, batches: list[dict[str, Any]], modalities: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Logits `(N, K)` and classes `(N,)` of the clips that have these modalities, of which the model gets no other."""
    was_training = model.training
    model.eval()
    num_labels: int = model.config.num_labels  # type: ignore[assignment]  # always one
    logits, classes = [np.zeros((0, num_labels))], [np.zeros(0, np.int64)]
    for batch in batches:
        masks = [batch[MASKS[name]] for name in modalities if MASKS[name] in batch]
        if len(masks) < len(modalities):
            continue
        chosen = torch.stack([mask.any(dim=1) for mask in masks]).all(dim=0)
        if not chosen.any():
            continue
        wanted = {key for name in modalities for key in INPUTS[name] if key in batch}
        output = model(**{key: batch[key][chosen].to(model.device) for key in wanted})
        labels = batch["labels"][chosen]
        logits.append(output.logits.double().cpu().numpy())
        classes.append((labels if labels.ndim == 1 else labels.argmax(dim=1)).cpu().numpy())
    model.train(was_training)
    return np.concatenate(logits), np.concatenate(classes)


def _calibrated(logits: np.ndarray, classes: np.ndarray, temperature: float) -> dict[str, Any]:
    """The facts of a calibration for the record."""
    facts: dict[str, Any] = {"temperature": round(temperature, 4), "clips": len(classes)}
    for name, divisor in (("before", 1.0), ("after", temperature)):
        scores = probabilities(logits, divisor)
        error = expected_calibration_error(scores, classes)
        facts[name] = {"ece": round(error, 4), "reliability": reliability(scores, classes)}
    return facts


def coverage(scores: np.ndarray, labels: np.ndarray, thresholds: Sequence[float]) -> list[dict[str, float | None]]:
    """How much is answered and how often that is right, if answers below a confidence are left out.

    Args:
        scores: probabilities `(N, K)`.
        labels: class indices `(N,)`.
        thresholds: lowest confidences, such as those of `predict --abstain`.

    Returns:
        `threshold`, `coverage` (the fraction of clips that are answered) and `accuracy` of these, `None` where nothing
        is answered.
    """
    highest, right = np.asarray(scores).max(-1), np.asarray(scores).argmax(-1) == np.asarray(labels)
    rows = []
    for threshold in thresholds:
        kept = highest >= threshold
        accuracy = float(right[kept].mean()) if kept.any() else None
        rows.append({"threshold": threshold, "coverage": float(kept.mean()), "accuracy": accuracy})
    return rows


__all__ = [
    "calibrate_classifier",
    "calibrate_fusion",
    "coverage",
    "expected_calibration_error",
    "fit_temperature",
    "probabilities",
    "reliability",
]
