"""What pre-training minimizes: the complete sequence (patent), hidden frames, frames ahead, or two of these."""

import torch
from torch import Tensor

from .masking_av_emotion import MaskedFrames, mean_square


class CompleteObjective:
    """L2 distance to the complete features over all real frames, hidden or not (CN112633263A, modules 2 and 5).

    Most of the frames are visible, so most of the loss rewards copying what is seen.
    """

    heads = ("reconstruction",)

    def __call__(self, model, frames: MaskedFrames) -> tuple[Tensor, Tensor]:
        """Loss and reconstruction `(B, T, F)` of the masked `frames` by the pre-training `model`."""
        reconstruction = model.reconstruction(model.base_model.encode(frames.visible, frames.frame_mask))
        distance = (reconstruction.float() - frames.features.float()).pow(2).mean(dim=-1)
        loss = (distance * frames.frame_mask).sum() / frames.frame_mask.sum().clamp(min=1)
        return loss, reconstruction


class HiddenObjective:
    """L2 distance over the hidden cells alone, so that copying visible frames earns nothing (Liu et al. 2020).

    It belongs together with spans and a high share of hidden frames: a single hidden frame lies between two visible
    ones that nearly give it away. Cells that mean nothing, such as F0 without voice, do not count.
    """

    heads = ("reconstruction",)

    def __call__(self, model, frames: MaskedFrames) -> tuple[Tensor, Tensor]:
        """Loss and reconstruction `(B, T, F)` of the masked `frames` by the pre-training `model`."""
        reconstruction = model.reconstruction(model.base_model.encode(frames.visible, frames.frame_mask))
        cells = frames.cell_mask & frames.hidden.unsqueeze(-1)
        return mean_square(reconstruction, frames.features, cells), reconstruction


class FutureObjective:
    """Autoregressive predictive coding (Chung et al. 2019) with an L2 distance, in both directions of time.

    The forward direction of the RNN predicts the frame `future_frames` ahead, the backward direction the one as far
    behind. Each reads apart from the other (`encode_sides`): an answer that one of them has passed already never
    reaches the other.
    """

    heads = ("prediction",)

    def __call__(self, model, frames: MaskedFrames) -> tuple[Tensor, Tensor]:
        """Loss and reconstruction `(B, T, F)` of the masked `frames` by the pre-training `model`.

        The reconstruction of a frame is the mean of its predictions from before and from behind, as far as there are.
        """
        ahead = model.config.future_frames
        sides = model.base_model.encode_sides(frames.visible, frames.frame_mask)
        predictions = [
            _shift(model.prediction(states), frames.frame_mask, steps)
            for states, steps in zip(sides, (ahead, -ahead), strict=False)
        ]
        loss = sum(
            mean_square(predicted, frames.features, frames.cell_mask & there.unsqueeze(-1))
            for predicted, there in predictions
        )
        total = sum(predicted for predicted, _ in predictions)
        count = sum(there.to(total.dtype) for _, there in predictions)
        return loss / len(predictions), total / count.clamp(min=1).unsqueeze(-1)


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


def _shift(predicted: Tensor, frame_mask: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Predictions `(B, T, F)` moved to the frames that they are of, zero elsewhere, and where these are `(B, T)`.

    Args:
        predicted: `(B, T, F)`, at the frames at which they were made.
        frame_mask: `(B, T)`, True = real frame.
        steps: frames between the two; negative for predictions of earlier frames.
    """
    there = torch.zeros_like(frame_mask)
    moved = torch.zeros_like(predicted)
    size = max(0, predicted.shape[1] - abs(steps))
    made, of = (slice(0, size), slice(steps, None)) if steps > 0 else (slice(-steps, None), slice(0, size))
    there[:, of] = frame_mask[:, made] & frame_mask[:, of]
    moved[:, of] = predicted[:, made] * there[:, of].unsqueeze(-1)
    return moved, there


OBJECTIVE_CLASSES = {
    "complete": CompleteObjective,
    "hidden": HiddenObjective,
    "future": FutureObjective,
    "mixed": MixedObjective,
}

__all__ = ["OBJECTIVE_CLASSES", "CompleteObjective", "FutureObjective", "HiddenObjective", "MixedObjective"]
