"""The filter that scores of a timeline pass: a weighted mean over neighboring windows of the same person."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .table import TimelineRow


def smoothed(rows: Sequence["TimelineRow"], seconds: float) -> list["TimelineRow"]:
    """The rows of one person with their scores averaged over time; emotion and confidence are left as they are.

    The scores of a window become the mean over all windows whose centers are less than `seconds` away, with weights
    that fall linearly from 1 to 0 at that distance (a triangular filter). Windows without scores neither count nor
    get any.

    Args:
        rows: of one person, in the order of time.
        seconds: half the width of the filter; 0 changes nothing.
    """
    known = [index for index, row in enumerate(rows) if row.scores]
    if seconds <= 0 or len(known) < 2:
        return list(rows)
    labels = list(rows[known[0]].scores)
    centers = np.array([rows[index].center for index in known])
    scores = np.array([[rows[index].scores[label] for label in labels] for index in known])
    result = list(rows)
    for place, index in enumerate(known):
        # centers are sorted: only neighbors within reach are looked at
        first, last = np.searchsorted(centers, (centers[place] - seconds, centers[place] + seconds))
        weights = np.maximum(0.0, 1 - np.abs(centers[first:last] - centers[place]) / seconds)
        mean = weights @ scores[first:last] / weights.sum()
        result[index] = replace(rows[index], scores=dict(zip(labels, map(float, mean), strict=True)))
    return result


__all__ = ["smoothed"]
