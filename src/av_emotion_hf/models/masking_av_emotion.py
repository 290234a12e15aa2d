"""Masks: which frames are real, which of them pre-training hides, and the masked clips themselves."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MaskedFrames:
    """A batch of clips with some of their frames hidden: the input of every objective.

    Attributes:
        features: `(B, T, F)`, complete and normalized, zero in padding.
        frame_mask: `(B, T)`, True = real frame.
        cell_mask: `(B, T, F)`, True = defined value of a real frame (F0 is defined in voiced frames only).
        hidden: `(B, T)`, True = real frame that the model does not see.
        teacher_states: `(B, T, H)` of a speech encoder, as they are; `None` where nothing is distilled.
    """

    features: Tensor
    frame_mask: Tensor
    cell_mask: Tensor
    hidden: Tensor
    teacher_states: Tensor | None = None

    @property
    def visible(self) -> Tensor:
        """The features `(B, T, F)` with zeros in place of hidden frames (CN112633263A)."""
        return self.features.masked_fill(self.hidden.unsqueeze(-1), 0.0)


def as_frame_mask(frames: Tensor, mask: Tensor | None) -> Tensor:
    """`mask (B, T)` as booleans; without one, all of `frames (B, T, ...)` are real.

    Raises:
        ValueError: the mask does not fit the frames.
    """
    if mask is None:
        return torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
    if mask.shape != frames.shape[:2]:
        raise ValueError(f"mask of shape {tuple(mask.shape)} does not fit {tuple(frames.shape[:2])} frames")
    return mask.bool()


def sample_mask(frame_mask: Tensor, prob: float, length: int = 1, generator: torch.Generator | None = None) -> Tensor:
    """Draw the frames that pre-training hides (CN112633263A: 10 % of the frames, chosen at random).

    Args:
        frame_mask: `(B, T)` on the CPU, True = real frame.
        prob: fraction of a clip's real frames to hide; rounded to the nearest count, at least one frame.
        length: frames in one hidden span; spans may touch, and the last one is cut so that the fraction is exact.
        generator: random generator, for repeatable masks.

    Returns:
        `(B, T)`, True = hidden; never in padding.
    """
    hidden = torch.zeros_like(frame_mask)
    for row, frames in enumerate(frame_mask.sum(dim=1).tolist()):
        missing = min(frames, max(1, int(prob * frames + 0.5)))
        starts = torch.randperm(max(1, frames - length + 1), generator=generator)
        if length == 1:
            hidden[row, starts[:missing]] = True
            continue
        chosen = [False] * (frames + length)  # a list: single cells of a tensor are slow
        for start in starts.tolist():
            if missing <= 0:
                break
            stop = start + min(length, missing)
            missing -= chosen[start:stop].count(False)
            chosen[start:stop] = [True] * (stop - start)
        hidden[row, :frames] = torch.tensor(chosen[:frames], dtype=torch.bool)
    return hidden & frame_mask


def sample_gaps(frame_mask: Tensor, prob: float, length: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw gaps of exactly `length` frames, each with a visible frame on both sides: masks for evaluation.

    Args:
        frame_mask: `(B, T)` on the CPU, True = real frame.
        prob: fraction of a clip's real frames to hide; rounded to whole gaps, at least one.
        length: frames in a gap.
        generator: random generator. It is used clip by clip, so the masks do not depend on the batch size.

    Returns:
        `(B, T)`, True = hidden; nothing in a clip of fewer than `length + 2` frames.
    """
    hidden = torch.zeros_like(frame_mask)
    for row, frames in enumerate(frame_mask.sum(dim=1).tolist()):
        count = min(max(1, round(prob * frames / length)), (frames - 1) // (length + 1))
        spare = frames - 1 - count * (length + 1)  # visible frames beyond the one before each gap and the last
        places = torch.randint(spare + 1, (max(count, 0),), generator=generator).sort().values
        for number, place in enumerate(places.tolist()):
            start = place + number * (length + 1) + 1
            hidden[row, start : start + length] = True
    return hidden


def mean_square(predicted: Tensor, target: Tensor, cells: Tensor) -> Tensor:
    """Mean squared distance over the True ones of `cells`, all `(B, T, F)`; zero where there are none."""
    distance = (predicted.float() - target.float()).pow(2)
    return (distance * cells).sum() / cells.sum().clamp(min=1)


__all__ = ["MaskedFrames", "as_frame_mask", "mean_square", "sample_gaps", "sample_mask"]
