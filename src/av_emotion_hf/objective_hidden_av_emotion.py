"""Predict what is hidden, and nothing else."""

from torch import Tensor

from .masking_av_emotion import MaskedFrames, mean_square


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


__all__ = ["HiddenObjective"]
