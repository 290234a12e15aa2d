"""Predict the frame some way ahead from all frames so far."""

import torch
from torch import Tensor

from .masking_av_emotion import MaskedFrames, mean_square


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


__all__ = ["FutureObjective"]
