"""Masked-frame pre-training (CN112633263A, modules 2 and 5), for an encoder of either modality.

Axes: B batch, T frames, F values per frame, H values of the teacher.
"""

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from .base_av_emotion import AVEmotionPreTrainedModel, FrameEncoder
from .configuration_av_emotion import AVEmotionEncoderConfig
from .masking_av_emotion import MaskedFrames, sample_mask
from .objectives_av_emotion import OBJECTIVE_CLASSES
from .outputs_av_emotion import AVEmotionForPreTrainingOutput


class FramePreTrainer(AVEmotionPreTrainedModel):
    """Masked-frame pre-training (modules 2 and 5): hide frames, and predict the complete sequence with the RNN."""

    config: AVEmotionEncoderConfig
    encoder_class: ClassVar[type[FrameEncoder]]
    frozen_parts: ClassVar[tuple[str, ...]]

    def __init__(self, config: AVEmotionEncoderConfig):
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.encoder_class(config))
        for part in self.frozen:
            part.requires_grad_(False)
        self.objective = OBJECTIVE_CLASSES[config.objective]()
        for name, make in self.objective.heads.items():
            setattr(self, name, make(self.encoder))
        self.post_init()

    @property
    def encoder(self) -> FrameEncoder:
        """The encoder that is trained."""
        return getattr(self, self.base_model_prefix)

    @property
    def frozen(self) -> list[nn.Module]:
        """The modules that compute the features. They are not trained, or the target could become trivial."""
        return [part for name in self.frozen_parts if (part := getattr(self.encoder, name)) is not None]

    def train(self, mode: bool = True) -> Self:
        """As in torch; the frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

    @torch.no_grad()
    def complete_features(self, **inputs: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Target `(B, T, F)`, frame mask `(B, T)` and mask of defined cells `(B, T, F)`; inputs as for [`forward`]."""
        features, frame_mask = self.encoder.frame_features(*(inputs.get(name) for name in self.encoder.input_names))
        real = frame_mask.unsqueeze(-1)
        return self.encoder.normalize(features) * real, frame_mask, self.encoder.defined_cells(features) & real

    def _pretrain(
        self, inputs: tuple[Tensor | None, ...], mask: Tensor | None, return_loss: bool, teacher: Tensor | None
    ) -> AVEmotionForPreTrainingOutput:
        named = dict(zip(self.encoder.input_names, inputs, strict=True))
        target, frame_mask, cell_mask = self.complete_features(**named)
        if mask is None:
            mask = sample_mask(frame_mask.cpu(), self.config.mask_time_prob, self.config.mask_time_length)
        hidden = mask.to(frame_mask.device).bool() & frame_mask
        masked = MaskedFrames(target, frame_mask, cell_mask, hidden, teacher)
        loss, reconstruction = self.objective(self, masked)
        return AVEmotionForPreTrainingOutput(
            loss if return_loss else None, reconstruction, target, cell_mask, hidden, frame_mask
        )


__all__ = ["FramePreTrainer"]
