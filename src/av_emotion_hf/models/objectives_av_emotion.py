"""What pre-training minimizes: the distance to the complete sequence (patent) or a part of it, or to a teacher."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .masking_av_emotion import MaskedFrames, mean_square
from .pooling_av_emotion import equal_weights, statistics_pool

PreTrainingModel = Any  # a model of `pretraining_av_emotion`, which imports this file
Encoder = Any  # likewise
Heads = dict[str, Callable[[Encoder], nn.Module]]  # by name, how each is made for an encoder


def frame_head(encoder: Encoder) -> nn.Linear:
    """Head from states `(B, T, D)` to frame features `(B, T, F)`."""
    return nn.Linear(encoder.config.hidden_size, encoder.num_features)


class CompleteObjective:
    """L2 distance to the complete features over all real frames, hidden or not (CN112633263A, modules 2 and 5).

    Most of the frames are visible, so most of the loss rewards copying them.
    """

    heads: ClassVar[Heads] = {"reconstruction": frame_head}

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

    heads: ClassVar[Heads] = {"reconstruction": frame_head}

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

    heads: ClassVar[Heads] = {"prediction": frame_head}

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

    heads: ClassVar[Heads] = HiddenObjective.heads | FutureObjective.heads

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


class TeacherHead(nn.Module):
    """Predicts the states of a teacher `(B, T, H)`, and their mean and deviation over a clip `(B, 2 H)`.

    It belongs to the pre-training model alone, like the statistics by which the teacher's states are standardized.

    Args:
        encoder: that learns.
    """

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, encoder: Encoder):
        super().__init__()
        config = encoder.config
        self.frames = nn.Linear(config.hidden_size, config.teacher_size)
        self.clip: nn.Linear | None = None
        if config.teacher_statistics_weight > 0:
            self.clip = nn.Linear(2 * config.hidden_size, 2 * config.teacher_size)
        for name, tensor in self.initial_tensors().items():
            self.register_buffer(name, tensor)

    def initial_tensors(self) -> dict[str, Tensor]:
        """Initial values of the buffers, by name."""
        size = self.frames.out_features
        return {"feature_mean": torch.zeros(size), "feature_std": torch.ones(size)}

    def set_feature_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Set mean and deviation `(H,)` of the teacher's states."""
        self.feature_mean.copy_(mean)
        self.feature_std.copy_(std)

    def standardize(self, states: Tensor) -> Tensor:
        """The teacher's states `(B, T, H)`, standardized by the statistics of the dataset."""
        return (states.float() - self.feature_mean.float()) / self.feature_std.float()


class DistillObjective:
    """Distance to the states of a speech encoder that has heard far more speech (Chang et al. 2022, DistilHuBERT).

    A linear head predicts the standardized state h of every real frame, hidden or not, from that of the RNN. The loss
    is the mean over the frames of `mean(|p - h|) - log(sigmoid(cos(p, h)))` for the prediction p. With the weight
    `teacher_statistics_weight` of the configuration it has the mean absolute error of another prediction: mean and
    deviation of h over the clip, from those of the RNN's states.
    """

    heads: ClassVar[Heads] = {"teacher": TeacherHead}

    def __call__(self, model: PreTrainingModel, frames: MaskedFrames) -> tuple[Tensor | None, Tensor]:
        """Loss, and predicted states `(B, T, H)`; no loss without the teacher's states."""
        head, states = model.teacher, model.base_model.encode(frames.visible, frames.frame_mask)
        predicted = head.frames(states)
        if frames.teacher_states is None:
            return None, predicted
        target, guess = head.standardize(frames.teacher_states), predicted.float()
        distance = (guess - target).abs().mean(-1) - F.logsigmoid(F.cosine_similarity(guess, target, dim=-1))
        loss = (distance * frames.frame_mask).sum() / frames.frame_mask.sum().clamp(min=1)
        if head.clip is not None:
            weights, is_heard = equal_weights(frames.frame_mask, target), frames.frame_mask.any(dim=1)
            found = head.clip(statistics_pool(states, weights.to(states.dtype))).float()
            distance = (found - statistics_pool(target, weights)).abs().mean(-1) * is_heard
            loss = loss + model.config.teacher_statistics_weight * distance.sum() / is_heard.sum().clamp(min=1)
        return loss, predicted


Objective = CompleteObjective | HiddenObjective | FutureObjective | MixedObjective | DistillObjective
OBJECTIVE_CLASSES: dict[str, type[Objective]] = {  # by name in `OBJECTIVES`
    "complete": CompleteObjective,
    "hidden": HiddenObjective,
    "future": FutureObjective,
    "mixed": MixedObjective,
    "distill": DistillObjective,
}

__all__ = [
    "OBJECTIVE_CLASSES",
    "CompleteObjective",
    "DistillObjective",
    "FutureObjective",
    "HiddenObjective",
    "MixedObjective",
    "TeacherHead",
]
