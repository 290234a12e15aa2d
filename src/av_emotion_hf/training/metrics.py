"""Metrics of emotion recognition: UAR, WAR, macro-F1 and the confusion matrix.

The classes are [`evaluate.Metric`]s made here rather than by `evaluate.load`, which needs the network.
"""

import datasets
import evaluate
import numpy as np
from transformers import EvalPrediction


def confusion_matrix(references, predictions, num_labels: int) -> np.ndarray:
    """Counts `(K, K)`: rows are the true classes, columns the predicted ones."""
    cells = np.asarray(references, dtype=np.int64) * num_labels + np.asarray(predictions, dtype=np.int64)
    return np.bincount(cells, minlength=num_labels**2).reshape(num_labels, num_labels)


def unweighted_average_recall(confusion: np.ndarray) -> float:
    """Mean of the recalls of the classes that occur (UAR, also called balanced accuracy)."""
    totals = confusion.sum(axis=1)
    return float((np.diag(confusion)[totals > 0] / totals[totals > 0]).mean()) if totals.any() else 0.0


def weighted_average_recall(confusion: np.ndarray) -> float:
    """Share of correct clips (WAR, also called accuracy)."""
    return float(np.diag(confusion).sum() / confusion.sum()) if confusion.any() else 0.0


def macro_f1(confusion: np.ndarray) -> float:
    """Mean over the classes that occur, truly or as a prediction, of the harmonic mean of precision and recall."""
    totals = confusion.sum(axis=1) + confusion.sum(axis=0)
    return float((2 * np.diag(confusion)[totals > 0] / totals[totals > 0]).mean()) if totals.any() else 0.0


SCORES = {"uar": unweighted_average_recall, "war": weighted_average_recall, "macro_f1": macro_f1}


class EmotionScores(evaluate.Metric):
    """`EmotionScores().compute(references=..., predictions=...)` gives `uar`, `war` and `macro_f1` in [0, 1]."""

    def _info(self):
        return evaluate.MetricInfo(
            description="Unweighted and weighted average recall and macro-F1.",
            citation="Schuller et al., The INTERSPEECH 2009 Emotion Challenge, Interspeech 2009",
            inputs_description="class indices",
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions, references):
        num_labels = int(max(*predictions, *references)) + 1
        confusion = confusion_matrix(references, predictions, num_labels)
        return {name: score(confusion) for name, score in SCORES.items()}


def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """UAR, WAR and macro-F1 of a Trainer's evaluation; of soft labels `(B, K)` the mode counts."""
    logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    references = prediction.label_ids.argmax(-1) if prediction.label_ids.ndim > 1 else prediction.label_ids
    confusion = confusion_matrix(references, logits.argmax(-1), logits.shape[-1])
    return {name: score(confusion) for name, score in SCORES.items()}


__all__ = [
    "EmotionScores",
    "compute_metrics",
    "confusion_matrix",
    "macro_f1",
    "unweighted_average_recall",
    "weighted_average_recall",
]
