"""The audio, image and fusion models (CN112633263A, modules 2, 3 and 5 to 8).

Axes: B batch, S samples, Ta and Tv frames of audio and video (T of either), F values per frame, D hidden, K classes.
"""

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import can_return_tuple

from .base_av_emotion import AVEmotionPreTrainedModel, FrameEncoder
from .classification_av_emotion import check_labels, classify
from .configuration_av_emotion import (
    AVEmotionAudioConfig,
    AVEmotionConfig,
    AVEmotionEncoderConfig,
    AVEmotionImageConfig,
)
from .encoders_av_emotion import AVEmotionAudioModel, AVEmotionImageModel
from .fusion_av_emotion import (
    AttentionFusion,
    GatedFusion,
    LateFusion,
    drop_modality,
    each_loss,
    present_or_absent,
    shares_of_sum,
    temperature_of,
)
from .outputs_av_emotion import AVEmotionClassifierOutput, AVEmotionForPreTrainingOutput, AVEmotionOutput
from .pretraining_av_emotion import FramePreTrainer

if TYPE_CHECKING:  # never run: transformers copies the files that a file imports, so the pipeline goes with a model
    from .pipeline_av_emotion import AVEmotionPipeline  # noqa: F401


class AVEmotionAudioForPreTraining(FramePreTrainer):
    """Speech pre-training (CN112633263A, module 2)."""

    config: AVEmotionAudioConfig
    base_model_prefix = "audio_encoder"
    main_input_name = "input_values"
    input_modalities = "audio"
    encoder_class = AVEmotionAudioModel
    frozen_parts = ("frontend", "backbone")

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_features: Tensor | None = None,
        mask_time_indices: Tensor | None = None,
        return_loss: bool = True,
        teacher_states: Tensor | None = None,
        **kwargs: object,
    ) -> AVEmotionForPreTrainingOutput:
        r"""Predict the complete descriptors of clips of which some frames are hidden.

        `mask_time_indices (B, Ta)`, True = hidden, is drawn as configured where it is not given; `distill` compares
        its prediction with `teacher_states (B, Ta, H)`. For the others see [`AVEmotionAudioModel.forward`].
        """
        inputs = (input_values, attention_mask, input_features)
        return self._pretrain(inputs, mask_time_indices, return_loss, teacher_states)


class AVEmotionImageForPreTraining(FramePreTrainer):
    """Image pre-training (CN112633263A, module 5)."""

    config: AVEmotionImageConfig
    base_model_prefix = "image_encoder"
    main_input_name = "pixel_values"
    input_modalities = "video"
    encoder_class = AVEmotionImageModel
    frozen_parts = ("backbone",)

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        image_features: Tensor | None = None,
        mask_time_indices: Tensor | None = None,
        return_loss: bool = True,
        **kwargs: object,
    ) -> AVEmotionForPreTrainingOutput:
        r"""Predict the complete image features of clips of which some frames are hidden.

        `mask_time_indices (B, Tv)`, True = hidden, is drawn as configured where it is not given. For the other
        arguments see [`AVEmotionImageModel.forward`].
        """
        return self._pretrain((pixel_values, pixel_mask, image_features), mask_time_indices, return_loss, None)


class _FrameClassifier(AVEmotionPreTrainedModel):
    """An encoder and one fully connected layer on its sentence-level vector (modules 3 and 6)."""

    encoder_class: ClassVar[type[FrameEncoder]]

    def __init__(self, config: AVEmotionEncoderConfig):
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.encoder_class(config))
        self.classifier = nn.Linear(self.base_model.pooling.size, config.num_labels)  # type: ignore[arg-type]  # an int
        self.post_init()

    def _classify_clips(self, inputs: tuple[Tensor | None, ...], labels: Tensor | None) -> SequenceClassifierOutput:
        encoded = self.base_model(*inputs, return_dict=True)
        return classify(self.classifier, encoded.pooler_output, self.config.classifier_dropout, labels)


class AVEmotionAudioForSequenceClassification(_FrameClassifier):
    """Emotion from the voice (CN112633263A, module 3); gradients reach the front-end's own parameters."""

    config: AVEmotionAudioConfig
    base_model_prefix = "audio_encoder"
    main_input_name = "input_values"
    input_modalities = "audio"
    encoder_class = AVEmotionAudioModel

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_features: Tensor | None = None,
        audio_statistics: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: object,
    ) -> SequenceClassifierOutput:
        r"""Classify a batch of clips; `labels`, class indices `(B,)` or class distributions `(B, K)`, add the loss.

        For the other arguments see [`AVEmotionAudioModel.forward`].
        """
        return self._classify_clips((input_values, attention_mask, input_features, audio_statistics), labels)


class AVEmotionImageForSequenceClassification(_FrameClassifier):
    """Emotion from the face (CN112633263A, module 6); gradients reach the expression backbone."""

    config: AVEmotionImageConfig
    base_model_prefix = "image_encoder"
    main_input_name = "pixel_values"
    input_modalities = "video"
    encoder_class = AVEmotionImageModel

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        image_features: Tensor | None = None,
        image_statistics: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: object,
    ) -> SequenceClassifierOutput:
        r"""Classify a batch of clips; `labels`, class indices `(B,)` or class distributions `(B, K)`, add the loss.

        For the other arguments see [`AVEmotionImageModel.forward`].
        """
        return self._classify_clips((pixel_values, pixel_mask, image_features, image_statistics), labels)


class AVEmotionModel(AVEmotionPreTrainedModel):
    """Both encoders and feature-level fusion (CN112633263A, module 7)."""

    config: AVEmotionConfig
    main_input_name = "input_values"
    input_modalities = ["audio", "video"]  # noqa: RUF012

    def __init__(self, config: AVEmotionConfig):
        super().__init__(config)
        audio_config, image_config = config.encoder_configs
        self.audio_encoder = AVEmotionAudioModel(audio_config)
        self.image_encoder = AVEmotionImageModel(image_config)
        # the sentence-level vectors of a modality that a clip lacks
        self.audio_absent = nn.Parameter(torch.zeros(self.audio_encoder.pooling.size))
        self.image_absent = nn.Parameter(torch.zeros(self.image_encoder.pooling.size))
        fusions = {"gated": GatedFusion, "attention": AttentionFusion}
        self.fusion: nn.Module | None = None
        if config.fusion in fusions:
            self.fusion = fusions[config.fusion](self.vector_sizes, config.fusion_size)
        self.post_init()

    @property
    def vector_sizes(self) -> tuple[int, int]:
        """Sizes Da and Di of the sentence-level vectors."""
        return len(self.audio_absent), len(self.image_absent)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            init.zeros_(self.audio_absent)
            init.zeros_(self.image_absent)

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        input_features: Tensor | None = None,
        image_features: Tensor | None = None,
        audio_statistics: Tensor | None = None,
        image_statistics: Tensor | None = None,
        **kwargs: object,
    ) -> AVEmotionOutput:
        r"""Encode a batch of clips. A modality may be absent, or empty (mask all 0) for some clips.

        The arguments are those of [`AVEmotionAudioModel.forward`] and [`AVEmotionImageModel.forward`].
        """
        audio = image = None
        if input_values is not None or input_features is not None:
            audio = self.audio_encoder(
                input_values, attention_mask, input_features, audio_statistics, return_dict=True
            )
        if pixel_values is not None or image_features is not None:
            image = self.image_encoder(pixel_values, pixel_mask, image_features, image_statistics, return_dict=True)
        given = audio or image
        if given is None:
            raise ValueError("a clip needs audio or video: give input_values or pixel_values, or features of either")
        size = given.pooler_output.shape[0]
        absent = torch.zeros(size, dtype=torch.bool, device=given.frame_mask.device)
        has_audio = absent if audio is None else audio.frame_mask.any(dim=1)
        has_video = absent if image is None else image.frame_mask.any(dim=1)
        if self.training and self.config.modality_dropout > 0:
            has_audio, has_video = drop_modality(has_audio, has_video, self.config.modality_dropout)
        vectors = (
            present_or_absent(audio and audio.pooler_output, has_audio, self.audio_absent),
            present_or_absent(image and image.pooler_output, has_video, self.image_absent),
        )
        present = torch.stack([has_audio, has_video], dim=1)
        fused, shares = torch.cat(vectors, dim=-1), None
        if self.fusion is not None:
            fused, shares = self.fusion(vectors, present)
        return AVEmotionOutput(*vectors, fused, present, shares)


class AVEmotionForSequenceClassification(AVEmotionModel):  # a subclass, as the names of its weights have no prefix
    """Emotion from voice and face (CN112633263A, module 8)."""

    def __init__(self, config: AVEmotionConfig):
        super().__init__(config)
        num_labels: int = config.num_labels  # type: ignore[assignment]  # always one
        self.classifier: nn.Linear | LateFusion
        if config.fusion == "late":
            self.classifier = LateFusion(self.vector_sizes, num_labels, config.late_rule)
        else:
            size = sum(self.vector_sizes) if self.fusion is None else config.fusion_size
            self.classifier = nn.Linear(size, num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        input_features: Tensor | None = None,
        image_features: Tensor | None = None,
        audio_statistics: Tensor | None = None,
        image_statistics: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: object,
    ) -> AVEmotionClassifierOutput:
        r"""Classify a batch of clips; `labels`, class indices `(B,)` or class distributions `(B, K)`, add the loss.

        With late fusion, the classifier of each modality learns from the clips that have it. For the other arguments
        see [`AVEmotionModel.forward`].
        """
        inputs = (input_values, attention_mask, pixel_values, pixel_mask, input_features, image_features)
        fused = super().forward(*inputs, audio_statistics, image_statistics, return_dict=True)
        vectors, present = (fused.audio_embeds, fused.image_embeds), fused.modality_mask
        temperature = temperature_of(self.config.temperatures, present)
        if isinstance(self.classifier, LateFusion):
            return self._decide_late(vectors, present, temperature, labels)
        output = classify(self.classifier, fused.fused_embeds, self.config.classifier_dropout, labels)
        shares = fused.modality_shares
        if shares is None:  # what each part of the vector adds to the logits
            weights = self.classifier.weight.split(self.vector_sizes, dim=1)
            parts = [F.linear(vector, weight) for vector, weight in zip(vectors, weights, strict=True)]
            shares = shares_of_sum(torch.stack(parts, dim=1), present)
        logits: Tensor = output.logits  # type: ignore[assignment]  # never None
        return AVEmotionClassifierOutput(output.loss, logits / temperature, shares.detach())

    def _decide_late(
        self, vectors: tuple[Tensor, Tensor], present: Tensor, temperature: Tensor, labels: Tensor | None
    ) -> AVEmotionClassifierOutput:
        """The combined decision, and the sum of the losses of both classifiers."""
        dropout = self.config.classifier_dropout
        alone = self.classifier([F.dropout(vector, dropout, self.training) for vector in vectors])
        loss = None
        if labels is not None:
            check_labels(labels, alone.shape[-1])
            loss = each_loss(alone, present, labels)
        own = self.config.temperatures or {}
        divisors = alone.new_tensor([own.get("audio", 1.0), own.get("image", 1.0)])
        logits, shares = self.classifier.combine(alone / divisors[:, None], present)  # type: ignore[operator]
        calibrated = torch.where(present.all(dim=1, keepdim=True), logits / temperature, logits)
        return AVEmotionClassifierOutput(loss, calibrated, shares.detach())


__all__ = [
    "AVEmotionAudioForPreTraining",
    "AVEmotionAudioForSequenceClassification",
    "AVEmotionAudioModel",
    "AVEmotionForSequenceClassification",
    "AVEmotionImageForPreTraining",
    "AVEmotionImageForSequenceClassification",
    "AVEmotionImageModel",
    "AVEmotionModel",
    "AVEmotionPreTrainedModel",
]
