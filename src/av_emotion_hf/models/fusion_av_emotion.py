"""Fusion of voice and face (CN112633263A, modules 7 and 8): of their vectors, or of their decisions.

Axes: B clips, M = 2 modalities (audio, image), D values of a sentence-level vector, H fused values, K classes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def drop_modality(has_audio: Tensor, has_video: Tensor, probability: float) -> tuple[Tensor, Tensor]:
    """Which clips keep their audio and their video `(B,)`: some of those that have both lose one of them.

    Args:
        has_audio: `(B,)`.
        has_video: `(B,)`.
        probability: with which a clip loses one.
    """
    size, device = has_audio.shape, has_audio.device
    drop = (torch.rand(size, device=device) < probability) & has_audio & has_video
    which = torch.rand(size, device=device) < 0.5
    return has_audio & ~(drop & which), has_video & ~(drop & ~which)


def present_or_absent(pooled: Tensor | None, present: Tensor, absent: Tensor) -> Tensor:
    """Sentence-level vectors `(B, D)`: `absent (D,)` for the clips that are not `present (B,)`."""
    stand_in = absent.expand(present.shape[0], -1)
    return stand_in if pooled is None else torch.where(present.unsqueeze(-1), pooled, stand_in)


class _ProjectedFusion(nn.Module):
    """Fusion of states of the same size, to which the vectors of the modalities are projected.

    Args:
        sizes: D of both modalities.
        fusion_size: H.
    """

    def __init__(self, sizes: Sequence[int], fusion_size: int):
        super().__init__()
        self.projections = nn.ModuleList([nn.Linear(size, fusion_size) for size in sizes])

    def states(self, vectors: Sequence[Tensor]) -> Tensor:
        """States `(B, M, H)` of vectors `(B, D)` of each modality."""
        states = [layer(vector).tanh() for layer, vector in zip(self.projections, vectors, strict=True)]
        return torch.stack(states, dim=1)


class GatedFusion(_ProjectedFusion):
    """A gate decides for each fused value how much of it comes from the voice (GMU, Arevalo et al. 2017)."""

    def __init__(self, sizes: Sequence[int], fusion_size: int):
        super().__init__(sizes, fusion_size)
        self.gate = nn.Linear(sum(sizes), fusion_size)

    def forward(self, vectors: Sequence[Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """Fused vectors `(B, H)` and shares `(B, M)`, the mean gate; a modality that is not `present (B, M)` has none.

        A clip without both has the fused vector zero.
        """
        gate = torch.sigmoid(self.gate(torch.cat(list(vectors), dim=-1)))
        gates = torch.stack([gate, 1 - gate], dim=1) * present.unsqueeze(-1)  # (B, M, H)
        gates = gates / gates.sum(dim=1, keepdim=True).clamp_min(torch.finfo(gates.dtype).tiny)
        return (gates * self.states(vectors)).sum(dim=1), gates.mean(dim=-1)


class AttentionFusion(_ProjectedFusion):
    """Attention over the modalities that a clip has: a mean of their states, weighted by a learned score.

    Additive attention as in Bahdanau et al. (2015), with the modalities in place of the frames.
    """

    def __init__(self, sizes: Sequence[int], fusion_size: int):
        super().__init__(sizes, fusion_size)
        self.hidden = nn.Linear(fusion_size, fusion_size)
        self.score = nn.Linear(fusion_size, 1, bias=False)

    def forward(self, vectors: Sequence[Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """Fused vectors `(B, H)` and shares `(B, M)`, the weights; as in [`GatedFusion`]."""
        states = self.states(vectors)
        scores = self.score(self.hidden(states).tanh()).squeeze(-1)
        weights = scores.masked_fill(~present, torch.finfo(scores.dtype).min).softmax(dim=1) * present
        return (weights.unsqueeze(-1) * states).sum(dim=1), weights


class LateFusion(nn.Module):
    """A classifier for each modality, whose calibrated distributions are combined (CN107609572, decision level).

    Args:
        sizes: D of both modalities.
        num_labels: K.
        rule: `product` of the distributions, or their `mean`.
    """

    def __init__(self, sizes: Sequence[int], num_labels: int, rule: str):
        super().__init__()
        self.audio, self.image = (nn.Linear(size, num_labels) for size in sizes)
        self.rule = rule

    @property
    def heads(self) -> tuple[nn.Linear, nn.Linear]:
        """The classifiers of audio and image."""
        return self.audio, self.image

    def forward(self, vectors: Sequence[Tensor]) -> Tensor:
        """Logits `(B, M, K)` of each modality alone."""
        return torch.stack([head(vector) for head, vector in zip(self.heads, vectors, strict=True)], dim=1)

    def combine(self, logits: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `(B, K)` of the combined distribution, and shares `(B, M)`.

        A share of the mean is what a modality adds to the probability of the answer; of the product see
        [`shares_of_sum`].

        Args:
            logits: of each modality, calibrated, `(B, M, K)`.
            present: which modalities a clip has `(B, M)`. A clip without any has the same logit for all classes.
        """
        scores = logits.log_softmax(dim=-1).masked_fill(~present.unsqueeze(-1), 0)
        if self.rule == "product":
            return scores.sum(dim=1), shares_of_sum(scores, present)
        count = present.sum(dim=1, keepdim=True).clamp_min(1)
        chances = scores.exp() * present.unsqueeze(-1)
        mean = chances.sum(dim=1) / count
        answer = mean.argmax(dim=-1)[:, None, None].expand(-1, chances.shape[1], 1)
        parts = chances.gather(2, answer).squeeze(-1)
        shares = parts / parts.sum(dim=1, keepdim=True).clamp_min(torch.finfo(parts.dtype).tiny)
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log(), shares


def shares_of_sum(parts: Tensor, present: Tensor) -> Tensor:
    """How much each of several terms moves the answer of their sum, as fractions `(B, M)` of one.

    A term moves the answer by the distance of its score for that class from its mean over the classes, for or against.

    Args:
        parts: terms of the logits `(B, M, K)`.
        present: which terms count `(B, M)`; the others have the share 0, as has a clip without any.
    """
    centered = (parts - parts.mean(dim=-1, keepdim=True)).masked_fill(~present.unsqueeze(-1), 0)
    answer = centered.sum(dim=1).argmax(dim=-1)[:, None, None].expand(-1, parts.shape[1], 1)
    moved = centered.gather(2, answer).squeeze(-1).abs() + present * torch.finfo(parts.dtype).tiny
    return moved / moved.sum(dim=1, keepdim=True).clamp_min(torch.finfo(parts.dtype).tiny)


def each_loss(logits: Tensor, present: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of each modality's own classifier, each on the clips that have the modality, added up.

    Args:
        logits: `(B, M, K)`.
        present: `(B, M)`.
        labels: class indices `(B,)` or class distributions `(B, K)`.
    """
    targets = labels if labels.ndim == 1 else labels.float()
    losses = [F.cross_entropy(one.float(), targets, reduction="none") for one in logits.unbind(dim=1)]
    weights = present / present.sum(dim=0).clamp_min(1)
    return (torch.stack(losses, dim=1) * weights).sum()


def temperature_of(temperatures: dict[str, Any] | None, present: Tensor) -> Tensor:
    """By what the logits of each clip are divided `(B, 1)`, by the modalities `present (B, M)` in it.

    Args:
        temperatures: of clips with `audio`, `image` or `both`; 1 where there is none.
        present: which of them each clip has.
    """
    known = {"audio": 1.0, "image": 1.0, "both": 1.0} | (temperatures or {})
    by = torch.tensor([1.0, known["audio"], known["image"], known["both"]], device=present.device)
    return by[present[:, 0].long() + 2 * present[:, 1].long()].unsqueeze(-1)


__all__ = [
    "AttentionFusion",
    "GatedFusion",
    "LateFusion",
    "drop_modality",
    "each_loss",
    "present_or_absent",
    "shares_of_sum",
    "temperature_of",
]
