"""Predict what is hidden, and what is to come."""

from torch import Tensor

from .masking_av_emotion import MaskedFrames
from .objective_future_av_emotion import FutureObjective
from .objective_hidden_av_emotion import HiddenObjective


class MixedObjective:
    """[`HiddenObjective`] and [`FutureObjective`] of the same masked clips, each with a head of its own.

    `future_weight` of the configuration is the share of the second in the loss. The RNN reads each batch twice.
    """

    heads = HiddenObjective.heads + FutureObjective.heads

    def __call__(self, model, frames: MaskedFrames) -> tuple[Tensor, Tensor]:
        """Loss and reconstruction `(B, T, F)` of the masked `frames` by the pre-training `model`."""
        hidden, reconstruction = HiddenObjective()(model, frames)
        future, _ = FutureObjective()(model, frames)
        weight = model.config.future_weight
        return (1 - weight) * hidden + weight * future, reconstruction


__all__ = ["MixedObjective"]
