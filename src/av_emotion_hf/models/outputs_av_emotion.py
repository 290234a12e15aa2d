"""What the models return.

Axes: B batch, T frames, F values per frame, D hidden.
"""

from dataclasses import dataclass

from torch import Tensor
from transformers.modeling_outputs import ModelOutput


@dataclass
class AVEmotionEncoderOutput(ModelOutput):
    """Output of an audio or image encoder.

    Args:
        last_hidden_state (`torch.FloatTensor` of shape `(B, T, D)`): states of the RNN, zero in padding.
        pooler_output (`torch.FloatTensor` of shape `(B, P)`):
            Sentence-level vector, zero for a clip without frames; P is D unless another pooling is configured.
        features (`torch.FloatTensor` of shape `(B, T, F)`): complete, normalized frame features.
        frame_mask (`torch.BoolTensor` of shape `(B, T)`): True = real frame.
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    features: Tensor | None = None
    frame_mask: Tensor | None = None


@dataclass
class AVEmotionForPreTrainingOutput(ModelOutput):
    """Output of masked-frame pre-training.

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`):
            What the objective of the configuration minimizes; `None` for `distill` without the teacher's states.
        reconstruction (`torch.FloatTensor` of shape `(B, T, F)`):
            The predicted complete features; of the objective `distill` the predicted states `(B, T, H)` of the
            teacher, standardized.
        features (`torch.FloatTensor` of shape `(B, T, F)`): the complete features, which are the target.
        cell_mask (`torch.BoolTensor` of shape `(B, T, F)`): True = defined value of a real frame.
        mask_time_indices (`torch.BoolTensor` of shape `(B, T)`): True = hidden from the model.
        frame_mask (`torch.BoolTensor` of shape `(B, T)`): True = real frame.
    """

    loss: Tensor | None = None
    reconstruction: Tensor | None = None
    features: Tensor | None = None
    cell_mask: Tensor | None = None
    mask_time_indices: Tensor | None = None
    frame_mask: Tensor | None = None


@dataclass
class AVEmotionOutput(ModelOutput):
    """Sentence-level vectors of a batch of clips.

    Args:
        audio_embeds (`torch.FloatTensor` of shape `(B, Da)`): sentence-level acoustic vector.
        image_embeds (`torch.FloatTensor` of shape `(B, Di)`): sentence-level image vector.
        fused_embeds (`torch.FloatTensor` of shape `(B, H)`): the fused vector; of `concat` and `late` both in a row.
        modality_mask (`torch.BoolTensor` of shape `(B, 2)`): True = the clip has audio (a face).
        modality_shares (`torch.FloatTensor` of shape `(B, 2)`):
            How much of the fused vector comes from audio and image, where `gated` or `attention` decides that.
    """

    audio_embeds: Tensor | None = None
    image_embeds: Tensor | None = None
    fused_embeds: Tensor | None = None
    modality_mask: Tensor | None = None
    modality_shares: Tensor | None = None


@dataclass
class AVEmotionClassifierOutput(ModelOutput):
    """What a fusion classifier returns.

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`): cross-entropy; `None` without labels.
        logits (`torch.FloatTensor` of shape `(B, K)`): calibrated, if the checkpoint is.
        modality_shares (`torch.FloatTensor` of shape `(B, 2)`):
            How much of the decision comes from audio and image; both are 0 where the clip has neither.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    modality_shares: Tensor | None = None


__all__ = [
    "AVEmotionClassifierOutput",
    "AVEmotionEncoderOutput",
    "AVEmotionForPreTrainingOutput",
    "AVEmotionOutput",
]
