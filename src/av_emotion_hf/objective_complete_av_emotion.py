"""The patent's objective: predict the complete sequence."""

from torch import Tensor

from .masking_av_emotion import MaskedFrames


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


__all__ = ["CompleteObjective"]
