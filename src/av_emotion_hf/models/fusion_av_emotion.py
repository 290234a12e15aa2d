"""Feature-level fusion (CN112633263A, module 7): what stands for a modality that a clip lacks.

Axes: B clips, D values of a sentence-level vector.
"""

import torch
from torch import Tensor


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


__all__ = ["drop_modality", "present_or_absent"]
