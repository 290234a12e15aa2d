"""Metrics of emotion recognition: UAR, WAR, macro-F1 and the confusion matrix.

[`EmotionScores`] is an [`evaluate.Metric`] defined here rather than loaded with `evaluate.load`, which needs the
network.
"""

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
from transformers import EvalPrediction


def confusion_matrix(
    references: Sequence[int] | np.ndarray,
    predictions: Sequence[int] | np.ndarray,
    num_labels: int,
    no_answer: bool = False,
) -> np.ndarray:
    """Counts `(K, K)`: rows are the true classes, columns the predicted ones.

    Args:
        references: true classes.
        predictions: predicted classes; -1 for no answer, where there was neither audio nor a face.
        num_labels: K.
        no_answer: add a last column that counts the clips without an answer, `(K, K + 1)`; else they are left out.
    """
    columns = num_labels + 1
    predicted = np.where(np.asarray(predictions) < 0, num_labels, predictions).astype(np.int64)
    cells = np.asarray(references, dtype=np.int64) * columns + predicted
    counts = np.bincount(cells, minlength=num_labels * columns).reshape(num_labels, columns)
    return counts if no_answer else counts[:, :-1]


def unweighted_average_recall(confusion: np.ndarray) -> float:
    """Mean of the recalls of the classes that occur (UAR, also called balanced accuracy)."""
    totals = confusion.sum(axis=1)
    return float((np.diag(confusion)[totals > 0] / totals[totals > 0]).mean()) if totals.any() else 0.0


def weighted_average_recall(confusion: np.ndarray) -> float:
    """Fraction of correct clips (WAR, also called accuracy)."""
    return float(np.diag(confusion).sum() / confusion.sum()) if confusion.any() else 0.0


def macro_f1(confusion: np.ndarray) -> float:
    """Mean over the classes that occur, truly or as a prediction, of the harmonic mean of precision and recall."""
    totals = confusion.sum(axis=1) + confusion.sum(axis=0)[: len(confusion)]
    return float((2 * np.diag(confusion)[totals > 0] / totals[totals > 0]).mean()) if totals.any() else 0.0


SCORES: dict[str, Callable[[np.ndarray], float]] = {
    "uar": unweighted_average_recall,
    "war": weighted_average_recall,
    "macro_f1": macro_f1,
}


class EmotionScores(evaluate.Metric):
    """UAR, WAR and macro-F1 of class indices; a prediction of -1 is no answer, and wrong.

    Example:
    ```python
    >>> from av_emotion_hf.training import EmotionScores

    >>> scores = EmotionScores()
    >>> scores.add_batch(references=[0, 0, 1], predictions=[0, 1, 1])
    >>> scores.compute()
    {'uar': 0.75, 'war': 0.6666666666666666, 'macro_f1': 0.6666666666666666}
    ```
    """

    def __init__(self, **kwargs: Any):
        # in memory: the processes of a run, each of which has all predictions, would wait for each other's files
        super().__init__(**({"keep_in_memory": True} | kwargs))

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Unweighted and weighted average recall and macro-F1.",
            citation="Schuller et al., The INTERSPEECH 2009 Emotion Challenge, Interspeech 2009",
            inputs_description="class indices",
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        num_labels = int(max(*predictions, *references)) + 1  # classes that do not occur do not count
        confusion = confusion_matrix(references, predictions, num_labels, no_answer=True)
        return {name: score(confusion) for name, score in SCORES.items()}


def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """UAR, WAR and macro-F1 for [`Trainer`]; of soft labels `(B, K)` the most probable class counts."""
    logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    labels = prediction.label_ids[0] if isinstance(prediction.label_ids, tuple) else prediction.label_ids
    references = labels.argmax(-1) if labels.ndim > 1 else labels
    return EmotionScores().compute(references=references, predictions=logits.argmax(-1))


__all__ = [
    "EmotionScores",
    "compute_metrics",
    "confusion_matrix",
    "macro_f1",
    "unweighted_average_recall",
    "weighted_average_recall",
]
