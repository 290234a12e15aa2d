"""The classifier: one fully connected layer on a sentence-level vector (CN112633263A, modules 3, 6 and 8).

Axes: B clips, D values of the vector, K classes.
"""

from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import SequenceClassifierOutput


def classify(
    layer: nn.Module, pooled: Tensor, dropout: float, labels: Tensor | None = None
) -> SequenceClassifierOutput:
    """Logits `(B, K)`, and with labels the cross-entropy.

    Args:
        layer: fully connected.
        pooled: sentence-level vectors `(B, D)`.
        dropout: of these in training.
        labels: class indices `(B,)` or class distributions `(B, K)`.

    Raises:
        ValueError: a class index is not below K.
    """
    logits = layer(F.dropout(pooled, dropout, layer.training))
    loss = None
    if labels is not None:
        check_labels(labels, logits.shape[-1])
        loss = F.cross_entropy(logits.float(), labels if labels.ndim == 1 else labels.float())
    return SequenceClassifierOutput(loss=loss, logits=logits)


def check_labels(labels: Tensor, num_labels: int) -> None:
    """Raise `ValueError` where a class index of `labels (B,)` is not below K; distributions `(B, K)` have none."""
    if labels.ndim == 1 and labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < num_labels:
        raise ValueError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, the model has {num_labels} "
            "classes; load it with num_labels=... and ignore_mismatched_sizes=True to change that"
        )


__all__ = ["check_labels", "classify"]
