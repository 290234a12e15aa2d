"""Augmentation of frame features `(T, F)`: stretches of time and of neighboring features are hidden (SpecAugment)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:  # models are loaded by those who use them
    from ..models.modeling_av_emotion import AVEmotionAudioModel

MASKS = 2  # of either kind, as in the policies LD and SM of Park et al. 2019
LARGEST_MASK = 0.2  # share of the frames, or of the features


@dataclass(frozen=True)
class MeanFrame:
    """The dataset's mean of raw frame features, which the model standardizes to its own `mean_features`.

    Attributes:
        values: `(F,)`.
        voiced_only: `(F,)`, which features are defined in voiced frames only.
        voicing_column: index of the feature that is above 0.5 in these; `None` if none depends on it.
    """

    values: Tensor
    voiced_only: Tensor
    voicing_column: int | None

    @classmethod
    def of(cls, encoder: "AVEmotionAudioModel") -> "MeanFrame":
        """That of an encoder's present statistics, on the CPU."""
        frontend, backbone = encoder.frontend, encoder.backbone
        values = [frontend.feature_mean] if backbone is None else [frontend.feature_mean, backbone.feature_mean]
        mean = torch.cat(values).detach().cpu()
        voiced_only = torch.zeros(len(mean), dtype=torch.bool)
        voiced_only[: len(frontend.voiced_only)] = frontend.voiced_only.cpu()
        return cls(mean, voiced_only, frontend.voicing_column)

    def fill(self, frames: Tensor) -> Tensor:
        """Frames `(T, F)` with the mean where a feature is not defined, as the model will see them."""
        if self.voicing_column is None:
            return frames
        unvoiced = frames[:, self.voicing_column, None] <= 0.5
        return torch.where(unvoiced & self.voiced_only, self.values, frames)


def hide_time(frames: Tensor, mean: MeanFrame, start: int, stop: int) -> Tensor:
    """Frames `(T, F)` of which those from `start` to before `stop` are the mean frame."""
    hidden = frames.clone()
    hidden[start:stop] = mean.values
    return hidden


def hide_features(frames: Tensor, mean: MeanFrame, start: int, stop: int) -> Tensor:
    """Frames `(T, F)` whose features from `start` to before `stop` have their mean.

    What tells voiced frames stays: the model ignores other features by it.
    """
    hidden = frames.clone()
    hidden[:, start:stop] = mean.values[start:stop]
    if mean.voicing_column is not None:
        hidden[:, mean.voicing_column] = frames[:, mean.voicing_column]
    return hidden


def random_time_mask(frames: Tensor, mean: MeanFrame) -> Tensor:
    """[`hide_time`] twice, each time up to a fifth of the frames."""
    for _ in range(MASKS):
        frames = hide_time(frames, mean, *_random_span(len(frames)))
    return frames


def random_frequency_mask(frames: Tensor, mean: MeanFrame) -> Tensor:
    """[`hide_features`] twice, each time up to a fifth of the features."""
    for _ in range(MASKS):
        frames = hide_features(frames, mean, *_random_span(frames.shape[1]))
    return frames


def _random_span(size: int) -> tuple[int, int]:
    """Start and end of up to a fifth of `size` items: first the width is drawn, then the place (Park et al. 2019)."""
    width = int(torch.randint(int(LARGEST_MASK * size) + 1, ()))
    start = int(torch.randint(size - width + 1, ()))
    return start, start + width


FRAME_AUGMENTATIONS: dict[str, Callable[[Tensor, MeanFrame], Tensor]] = {
    "time_mask": random_time_mask,
    "frequency_mask": random_frequency_mask,
}

__all__ = ["FRAME_AUGMENTATIONS", "MeanFrame", "hide_features", "hide_time"]
