"""Pooling: from the frames of a clip to its sentence-level vector.

Axes: B clips, T frames, D states of the RNN, F features.
"""

import torch
from torch import Tensor, nn

from .configuration_av_emotion import AVEmotionEncoderConfig
from .rnn_av_emotion import mean_pool

FEWEST_VOICED = 5  # frames of a clip below which all of its frames count
SMALLEST_VARIANCE = 1e-8  # below it the deviation is that of rounding, and its gradient has no end


class SentencePooling(nn.Module):
    r"""Pools the RNN's states, and where configured the raw features as well.

    - `mean`: their mean (CN112633263A), D values.
    - `statistics`: mean and standard deviation (Snyder et al. 2018, x-vectors), 2 D values.
    - `attention`: mean and deviation weighted by a learned score of each frame (Okabe et al. 2018), 2 D values.

    With `pool_features`, mean and deviation of the normalized features follow, 2 F more: an RNN does better with few
    labels, the statistics of its input with many. With `pool_voiced` they are those of the voiced frames only, and so
    are the mean and the deviation of the dataset and of a person by which features are normalized: what a recording
    has of silence and of noise in it is left out, which helps where recordings differ.

    Args:
        config: of the encoder.
        num_features: F.
        voicing_column: index of the raw feature that is above 0.5 in voiced frames, for `pool_voiced`.
    """

    def __init__(self, config: AVEmotionEncoderConfig, num_features: int, voicing_column: int | None = None):
        super().__init__()
        self.kind, self.pool_features = config.pooling, config.pool_features
        self.voicing_column = voicing_column if config.pool_voiced else None
        self.size = config.hidden_size * (1 if self.kind == "mean" else 2) + 2 * num_features * self.pool_features
        if self.kind == "attention":
            self.hidden = nn.Linear(config.hidden_size, max(8, config.hidden_size // 2))
            self.score = nn.Linear(max(8, config.hidden_size // 2), 1)

    def forward(self, states: Tensor, features: Tensor, frame_mask: Tensor, raw: Tensor) -> Tensor:
        """Sentence-level vectors `(B, size)`, zero for a clip without frames.

        Args:
            states: of the RNN `(B, T, D)`.
            features: normalized `(B, T, F)`.
            frame_mask: `(B, T)`, True = real frame.
            raw: the features before they were normalized `(B, T, F)`.
        """
        if self.kind == "mean":
            pooled = mean_pool(states, frame_mask)
        elif self.kind == "statistics":
            pooled = statistics_pool(states, equal_weights(frame_mask, states))
        else:
            score = self.score(torch.tanh(self.hidden(states))).squeeze(-1)
            weights = score.float().masked_fill(~frame_mask, torch.finfo(torch.float32).min).softmax(dim=1)
            pooled = statistics_pool(states, (weights * frame_mask).to(states.dtype))
        if self.pool_features:
            if self.voicing_column is not None:
                voiced = frame_mask & (raw[..., self.voicing_column] > 0.5)
                few = voiced.sum(dim=1, keepdim=True) < FEWEST_VOICED
                frame_mask = (frame_mask & few) | voiced  # ONNX Runtime chooses between no booleans
            weights = equal_weights(frame_mask, features)
            pooled = torch.cat([pooled, statistics_pool(features, weights).to(pooled.dtype)], dim=-1)
        return pooled

    def counted_cells(self, cells: Tensor, raw: Tensor) -> Tensor:
        """Which cells `(..., F)` of the `raw` features count in their statistics: with `pool_voiced` those of voiced
        frames, and of all frames the voicing itself.
        """
        if self.voicing_column is None:
            return cells
        is_voicing = torch.arange(raw.shape[-1], device=raw.device) == self.voicing_column
        return cells & ((raw[..., self.voicing_column, None] > 0.5) | is_voicing)


def statistics_pool(frames: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean and standard deviation `(B, 2 F)` of `frames (B, T, F)`; zero where the weights are.

    Args:
        frames: what is pooled.
        weights: `(B, T)`, which sum to 1, or are all 0.
    """
    weights = weights.unsqueeze(-1)
    mean = (frames * weights).sum(dim=1)
    variance = ((frames - mean.unsqueeze(1)).square() * weights).sum(dim=1)
    deviation = variance.clamp(min=SMALLEST_VARIANCE).sqrt() * (weights.sum(dim=1) > 0)
    return torch.cat([mean, deviation], dim=-1)


def equal_weights(frame_mask: Tensor, like: Tensor) -> Tensor:
    """Weights `(B, T)` that count every real frame of a clip alike, in the type of `like`."""
    weights = frame_mask.to(like.dtype)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=1)


__all__ = ["SentencePooling", "equal_weights", "statistics_pool"]
