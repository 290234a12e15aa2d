"""What pre-training minimizes: the complete sequence (patent), hidden frames, frames ahead, or two of these."""

from typing import Any

import torch
from torch import Tensor

from .masking_av_emotion import MaskedFrames, mean_square

PreTrainingModel = Any  # a model of `modeling_av_emotion`, which imports this file


class CompleteObjective:
    """L2 distance to the complete features over all real frames, hidden or not (CN112633263A, modules 2 and 5).

    Most of the frames are visible, so most of the loss rewards copying them.
    """

    heads = ("reconstruction",)

    def __call__(self, model: PreTrainingModel, frames: MaskedFrames) -> tuple[Tensor, Tensor]:
        """Loss and reconstruction `(B, T, F)` of the masked `frames` by the pre-training `model`."""
        reconstruction = model.reconstruction(model.base_model.encode(frames.visible, frames.frame_mask))
        distance = (reconstruction.float() - frames.features.float()).pow(2).mean(dim=-1)
        loss = (distance * frames.frame_mask).sum() / frames.frame_mask.sum().clamp(min=1)
        return loss, reconstruction


class HiddenObjective:
    """L2 distance over the hidden cells alone, so that copying visible frames earns nothing (Liu et al. 2020).

    Use it with spans and a high fraction of hidden frames: a single hidden frame can nearly be guessed from the two
    visible ones beside it. Undefined cells, such as F0 without voice, do not count.
    """

    heads = ("reconstruction",)

    def __call__(self, model: PreTrainingModel, frames: MaskedFrames) -> tuple[Tensor, Tensor]:
        """Loss and reconstruction `(B, T, F)` of the masked `frames` by the pre-training `model`."""
        reconstruction = model.reconstruction(model.base_model.encode(frames.visible, frames.frame_mask))
        cells = frames.cell_mask & frames.hidden.unsqueeze(-1)
        return mean_square(reconstruction, frames.features, cells), reconstruction


class FutureObjective:
    """Autoregressive predictive coding (Chung et al. 2019) with an L2 distance, in both directions of time.

    The forward direction of the RNN predicts the frame `future_frames` ahead, the backward direction the one as far
    behind. Each reads without the other (`encode_sides`), so a target that one of them has already read never reaches
    the other.
    """

    heads = ("prediction",)

    def __call__(self, model: PreTrainingModel, frames: MaskedFrames) -> tuple[Tensor, Tensor]:
        """Loss and reconstruction `(B, T, F)` of the masked `frames` by the pre-training `model`.

        The reconstruction of a frame is the mean of those of its predictions from before and after that exist.
        """
        ahead = model.config.future_frames
        sides = model.base_model.encode_sides(frames.visible, frames.frame_mask)
        predictions = [
            _shift(model.prediction(states), frames.frame_mask, steps)
            for states, steps in zip(sides, (ahead, -ahead), strict=False)
        ]
        losses = [
            mean_square(predicted, frames.features, frames.cell_mask & exists.unsqueeze(-1))
            for predicted, exists in predictions
        ]
        total = torch.stack([predicted for predicted, _ in predictions]).sum(dim=0)
        count = torch.stack([exists for _, exists in predictions]).sum(dim=0)
        return torch.stack(losses).mean(), total / count.clamp(min=1).unsqueeze(-1)


class MixedObjective:
    """[`HiddenObjective`] and [`FutureObjective`] on the same masked clips, each with its own head.

    `future_weight` of the configuration is the weight of the second in the loss. The RNN reads each batch twice.
    """

    heads = HiddenObjective.heads + FutureObjective.heads

    def __call__(self, model: PreTrainingModel, frames: MaskedFrames) -> tuple[Tensor, Tensor]:
        """Loss and reconstruction `(B, T, F)` of the masked `frames` by the pre-training `model`."""
        hidden, reconstruction = HiddenObjective()(model, frames)
        future, _ = FutureObjective()(model, frames)
        weight = model.config.future_weight
        return (1 - weight) * hidden + weight * future, reconstruction


def _shift(predicted: Tensor, frame_mask: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Predictions `(B, T, F)` moved to the frames they predict, zero elsewhere, and which frames `(B, T)` have one.

    Args:
        predicted: `(B, T, F)`, at the frames at which they were made.
        frame_mask: `(B, T)`, True = real frame.
        steps: frames from the first to the second; negative for predictions of earlier frames.
    """
    exists = torch.zeros_like(frame_mask)
    moved = torch.zeros_like(predicted)
    size = max(0, predicted.shape[1] - abs(steps))
    made, of = (slice(0, size), slice(steps, None)) if steps > 0 else (slice(-steps, None), slice(0, size))
    exists[:, of] = frame_mask[:, made] & frame_mask[:, of]
    moved[:, of] = predicted[:, made] * exists[:, of].unsqueeze(-1)
    return moved, exists


Objective = CompleteObjective | HiddenObjective | FutureObjective | MixedObjective
OBJECTIVE_CLASSES: dict[str, type[Objective]] = {  # by name in `OBJECTIVES`
    "complete": CompleteObjective,
    "hidden": HiddenObjective,
    "future": FutureObjective,
    "mixed": MixedObjective,
}

__all__ = ["OBJECTIVE_CLASSES", "CompleteObjective", "FutureObjective", "HiddenObjective", "MixedObjective"]
