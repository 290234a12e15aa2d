"""How far annotators agree beyond chance: Krippendorff's alpha of nominal labels.

Axes: N clips, K classes. All that counts is how many annotators gave a clip each class, so annotators need not be the
same from clip to clip, and each may have left clips out.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import InputError


def count_labels(rows: Sequence[Sequence[str | None]], names: Sequence[str]) -> np.ndarray:
    """Votes `(N, K)`: how many annotators gave each clip each of the `names`.

    Args:
        rows: by clip the labels of its annotators; `None` and what is not among `names` is no vote.
        names: of the classes.
    """
    return np.array([[row.count(name) for name in names] for row in map(list, rows)], np.float64).reshape(
        len(rows), len(names)
    )


def coincidence_matrix(votes: np.ndarray) -> np.ndarray:
    """Pairs of labels `(K, K)` that two annotators gave the same clip; a clip counts as many as it has labels.

    Args:
        votes: `(N, K)`. A clip with a single label has no pair.
    """
    paired = votes[votes.sum(axis=1) > 1]
    shares = paired / (paired.sum(axis=1, keepdims=True) - 1)
    return shares.T @ paired - np.diag(shares.sum(axis=0))  # nobody agrees with himself


def krippendorff_alpha(votes: np.ndarray) -> float:
    """Krippendorff's alpha of nominal labels (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability).

    Args:
        votes: `(N, K)`, how many annotators gave each clip each class; see [`count_labels`].

    Returns:
        1 where annotators always agree, about 0 where they agree as often as by chance, less where rarer than that.

    Raises:
        InputError: no clip has the labels of two annotators, or all of these labels are the same, so that no
            disagreement could be expected; or a vote is a fraction or below 0.
    """
    if (votes < 0).any() or (votes % 1).any():
        raise InputError("agreement is measured on counts of votes, 0 or more, and there are others; give counts")
    matrix = coincidence_matrix(votes)
    totals = matrix.sum(axis=0)
    if not totals.any():
        raise InputError("no clip has labels of two annotators, and agreement needs pairs of labels; add annotators")
    expected = totals.sum() ** 2 - (totals**2).sum()  # times n (n - 1), as is what was observed
    if not expected:
        raise InputError(
            "all labels of clips with two annotators are the same, so no disagreement could be expected and agreement "
            "means nothing; measure it on clips of several classes"
        )
    return float(1 - (totals.sum() - 1) * (matrix.sum() - np.trace(matrix)) / expected)


__all__ = ["coincidence_matrix", "count_labels", "krippendorff_alpha"]
