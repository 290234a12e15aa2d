"""Scores of clips whose classes are known to be equally frequent, as in an experiment with balanced conditions."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from ..errors import InputError

PRIOR_CLIPS = 10.0
ROUNDS = 100  # at most; less than 50 are enough where no score is 0
PRECISION = 1e-6  # of the mean scores
ROUNDING = 0.01  # by which a row may miss a sum of 1: scores are often rounded


def balance_scores(
    scores: np.ndarray | Sequence[Sequence[float]],
    groups: Iterable[Hashable],
    prior_clips: float = PRIOR_CLIPS,
) -> np.ndarray:
    """Scores whose mean over each group is the same for every class, as far as the group has clips enough.

    The scores of a group's clips are multiplied by one factor per class and normalized again. It is the adjustment of
    a classifier to new class frequencies (Saerens et al. 2002, Neural Computation 14(1)) with frequencies that are
    assumed, not estimated. No label is used, but all scores of the group are (the task is transductive).

    Use it only where the clips of each group hold every class about equally often, as in an experiment with balanced
    conditions: elsewhere, as in an interview, it gives clips of a frequent class to the others.

    Args:
        scores: probabilities `(N, K)`. A row of NaN is a clip without an answer: it is left alone and does not count.
        groups: of each of the N clips, such as its person; `None` is no group, and such a clip is left alone.
        prior_clips: the logarithms of the factors count `n / (n + prior_clips)` for n clips of the group, so that few
            clips do no harm: a single one stays nearly what it is. 0 for the whole factors.

    Returns:
        `(N, K)`, float64; rows sum to 1. A score of 0 stays 0.

    Raises:
        InputError: the scores are no probabilities `(N, K)`, there are not as many groups, or `prior_clips` is
            negative.

    Example:
    ```python
    >>> from av_emotion_hf import balance_scores

    >>> scores = [[0.9, 0.1], [0.6, 0.4]]  # both clips are the first class, the first one more than the second
    >>> balance_scores(scores, ["anna", "anna"], prior_clips=0).round(2).tolist()
    [[0.71, 0.29], [0.29, 0.71]]
    ```
    """
    found, names = _checked(scores), list(groups)
    if len(names) != len(found):
        raise InputError(f"{len(names)} groups for {len(found)} clips: give the group of each clip, None for no group")
    if not prior_clips >= 0:
        raise InputError(f"prior_clips={prior_clips}: has to be a number of clips, 0 or more; 10 is a good one")
    answered = ~np.isnan(found).any(axis=1)
    found[answered] /= found[answered].sum(axis=1, keepdims=True)
    rows = defaultdict(list)
    for row in np.flatnonzero(answered).tolist():
        if names[row] is not None:
            rows[names[row]].append(row)
    for own in rows.values():
        factors = _log_factors(found[own]) * len(own) / (len(own) + prior_clips)
        found[own] = _multiplied(found[own], factors)
    return found


def _checked(scores: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
    """A copy of probabilities `(N, K)` with rows of NaN among them.

    Raises:
        InputError: they are not.
    """
    found = np.array(scores, dtype=np.float64)
    if found.ndim != 2 or not found.shape[1]:
        raise InputError(f"scores of shape {found.shape}: give probabilities (N, K) of N clips and K classes")
    missing = np.isnan(found)
    partly = np.flatnonzero(missing.any(axis=1) & ~missing.all(axis=1))
    if len(partly):
        raise InputError(f"scores of clip {partly[0]} are NaN in part; a clip without an answer is a row of NaN")
    rest = np.flatnonzero(~missing.any(axis=1))
    wrong = rest[(found[rest] < 0).any(axis=1) | ~(np.abs(found[rest].sum(axis=1) - 1) <= ROUNDING)]
    if len(wrong):
        raise InputError(
            f"scores of clip {wrong[0]} are no probabilities, which are 0 or more and sum to 1; "
            "give the softmax of logits"
        )
    return found


def _log_factors(scores: np.ndarray) -> np.ndarray:
    """Logarithms `(K,)` of the factors after which the means of probabilities `(n, K)` are equal."""
    count = scores.shape[1]
    factors = np.zeros(count)
    for _ in range(ROUNDS):
        means = _multiplied(scores, factors).mean(axis=0)
        if np.abs(means - 1 / count).max() < PRECISION:
            break
        factors -= np.log(count * (means + 1e-9))
    return factors


def _multiplied(scores: np.ndarray, log_factors: np.ndarray) -> np.ndarray:
    """Probabilities `(n, K)` times the factor of each class, normalized."""
    with np.errstate(divide="ignore"):  # the logarithm of 0 stays 0 in the end
        logits = np.log(scores) + log_factors
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)


__all__ = ["PRIOR_CLIPS", "balance_scores"]
