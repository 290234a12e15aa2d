"""Guesses of hidden frames that need no learning: the measure for what pre-training learned.

Every baseline accepts complete features `(B, T, F)`, where they are known `(B, T, F)` (True = a visible value that
means something), and `mean (F,)` of the dataset; it returns its guesses `(B, T, F)`. It reads no value that is not
known. Each feature is guessed by itself: F0 from the nearest voiced frames.
"""

import torch
from torch import Tensor


def corpus_mean(features: Tensor, known: Tensor, mean: Tensor) -> Tensor:
    """The same value everywhere."""
    return mean.expand_as(features)


def nearest_visible(features: Tensor, known: Tensor, mean: Tensor) -> Tensor:
    """The nearest known value of the clip, the earlier of two that are equally near; `mean` where there is none."""
    before, after, distance_before, distance_after = _neighbors(features, known)
    guess = torch.where(distance_before <= distance_after, before, after)
    return torch.where(torch.minimum(distance_before, distance_after).isinf(), mean, guess)


def interpolation(features: Tensor, known: Tensor, mean: Tensor) -> Tensor:
    """The straight line between the known values on both sides; before the first and after the last as nearest."""
    before, after, distance_before, distance_after = _neighbors(features, known)
    inside = torch.isfinite(distance_before + distance_after)
    fraction = torch.where(inside, distance_before / (distance_before + distance_after).clamp(min=1), 0.0)
    line = before + (after - before) * fraction
    return torch.where(inside, line, nearest_visible(features, known, mean))


def _neighbors(features: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Nearest known values at or before and at or after each cell, and their distances in frames, inf for none."""
    frames = torch.arange(features.shape[1], device=features.device).view(1, -1, 1).expand_as(features)
    last = features.shape[1] - 1
    before = torch.where(known, frames, -1).cummax(dim=1).values
    after = last - torch.where(known, last - frames, -1).flip(1).cummax(dim=1).values.flip(1)
    distance_before = torch.where(before >= 0, (frames - before).to(features.dtype), torch.inf)
    distance_after = torch.where(after <= last, (after - frames).to(features.dtype), torch.inf)
    values_before, values_after = (features.gather(1, nearest.clamp(0, last)) for nearest in (before, after))
    return values_before, values_after, distance_before, distance_after


BASELINES = {"corpus_mean": corpus_mean, "nearest_visible": nearest_visible, "interpolation": interpolation}

__all__ = ["BASELINES", "corpus_mean", "interpolation", "nearest_visible"]
