"""Base classes of the models: how weights begin, and what the audio and the image encoder share.

Axes: B batch, T frames, F values per frame, D hidden.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .frontend_av_emotion import AcousticFrontEnd
from .masking_av_emotion import as_frame_mask
from .objectives_av_emotion import TeacherHead
from .outputs_av_emotion import AVEmotionEncoderOutput
from .pooling_av_emotion import SentencePooling
from .rnn_av_emotion import MaskedRNN
from .speech_backbone_av_emotion import SpeechBackbone


class AVEmotionPreTrainedModel(PreTrainedModel):
    """Weight initialization and loading for all models of this package."""

    accepts_loss_kwargs = False  # it is a mean over the batch; a Trainer must not divide by `num_items_in_batch`
    supports_gradient_checkpointing = False
    # frequencies and windows lose too much in half precision
    _keep_in_fp32_modules_strict = ["frontend"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, AcousticFrontEnd | SpeechBackbone | TeacherHead):
            tensors = dict(module.named_parameters()) | dict(module.named_buffers())
            for name, value in module.initial_tensors().items():
                init.copy_(tensors[name], value)
        elif isinstance(module, nn.GRU | nn.LSTM):
            for name, parameter in module.named_parameters():
                if "weight_ih" in name:
                    init.xavier_uniform_(parameter)
                elif "weight_hh" in name:
                    init.orthogonal_(parameter)
                else:
                    init.zeros_(parameter)
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)


class FrameEncoder(AVEmotionPreTrainedModel):
    """What the audio and the image encoder share: frame features, the RNN over them, and pooling."""

    input_names: ClassVar[tuple[str, str, str]]  # arguments of `forward`: raw inputs, their mask, frame features
    rnn: MaskedRNN
    pooling: SentencePooling

    def extract_features(self, inputs: Tensor, mask: Tensor | None = None, /) -> tuple[Tensor, Tensor]:
        """Raw frame features `(B, T, F)` of a batch of clips, and their frame mask `(B, T)`."""
        raise NotImplementedError

    @property
    def _standardized(self) -> list[Any]:
        """The modules that have mean and deviation of their features, in the order of these."""
        return [self]

    @property
    def feature_statistics(self) -> Tensor:
        """Mean and deviation `(2, F)` of the raw features of the dataset."""
        return torch.cat([torch.stack([part.feature_mean, part.feature_std]) for part in self._standardized], dim=-1)

    def set_feature_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Set mean and deviation `(F,)` of the raw features, by which [`normalize`] standardizes them."""
        sizes = [len(part.feature_mean) for part in self._standardized]
        for part, own_mean, own_std in zip(self._standardized, mean.split(sizes), std.split(sizes), strict=True):
            part.feature_mean.copy_(own_mean)
            part.feature_std.copy_(own_std)

    def normalize(self, features: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Features `(B, T, F)`, standardized by the dataset's mean and deviation, or by `statistics (B, 2, F)`."""
        raise NotImplementedError

    def defined_cells(self, features: Tensor) -> Tensor:
        """Which of the raw `features (..., F)` are defined."""
        return torch.ones_like(features, dtype=torch.bool)

    def counted_cells(self, features: Tensor) -> Tensor:
        """Which of the raw `features (..., F)` count in statistics of the dataset or of a person."""
        return self.pooling.counted_cells(self.defined_cells(features), features)

    def frame_features(
        self, inputs: Tensor | None, mask: Tensor | None, features: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Raw frame features `(B, T, F)` and their frame mask `(B, T)`, from either `inputs` or `features`.

        Raises:
            ValueError: both or neither are given, or the mask does not fit the features.
        """
        if features is None and inputs is not None:
            return self.extract_features(inputs, mask)
        if features is None or inputs is not None:
            raise ValueError(f"give either {self.input_names[0]} or {self.input_names[2]}, and not both")
        return features, as_frame_mask(features, mask)

    def encode(self, features: Tensor, frame_mask: Tensor) -> Tensor:
        """Normalized features `(B, T, F)` to the RNN's states `(B, T, D)`."""
        return self.rnn(features, frame_mask)

    def encode_sides(self, features: Tensor, frame_mask: Tensor) -> list[Tensor]:
        """As [`encode`], for each direction of the RNN on its own."""
        return self.rnn.sides(features, frame_mask)

    def _encode_clips(self, features: Tensor, frame_mask: Tensor, statistics: Tensor | None) -> AVEmotionEncoderOutput:
        """Output for raw frame features `(B, T, F)`."""
        normalized = self.normalize(features, statistics) * frame_mask.unsqueeze(-1)
        states = self.encode(normalized, frame_mask)
        pooled = self.pooling(states, normalized, frame_mask, features)
        return AVEmotionEncoderOutput(states, pooled, normalized, frame_mask)


__all__ = ["AVEmotionPreTrainedModel", "FrameEncoder"]
