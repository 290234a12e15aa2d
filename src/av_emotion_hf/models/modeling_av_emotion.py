"""The audio, image and fusion models (CN112633263A, modules 2, 3 and 5 to 8).

Axes: B batch, S samples, Ta and Tv frames of audio and video (T of either), F values per frame, D hidden, K classes.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import can_return_tuple

from .base_av_emotion import AVEmotionPreTrainedModel, FrameEncoder
from .classification_av_emotion import classify
from .configuration_av_emotion import (
    AVEmotionAudioConfig,
    AVEmotionConfig,
    AVEmotionEncoderConfig,
    AVEmotionImageConfig,
)
from .frontend_av_emotion import AcousticFrontEnd
from .fusion_av_emotion import drop_modality, present_or_absent
from .masking_av_emotion import as_frame_mask
from .outputs_av_emotion import AVEmotionEncoderOutput, AVEmotionForPreTrainingOutput, AVEmotionOutput
from .person_baseline_av_emotion import standardize
from .pooling_av_emotion import SentencePooling
from .pretraining_av_emotion import FramePreTrainer
from .rnn_av_emotion import MaskedRNN
from .speech_backbone_av_emotion import SpeechBackbone

if TYPE_CHECKING:  # never run: transformers copies the files that a file imports, so the pipeline goes with a model
    from .pipeline_av_emotion import AVEmotionPipeline  # noqa: F401


class AVEmotionAudioModel(FrameEncoder):
    """Acoustic front-end, RNN and pooling to the sentence-level acoustic vector (module 3 without its classifier).

    With a speech backbone, its states follow the descriptors in each frame.
    """

    config: AVEmotionAudioConfig
    base_model_prefix = "audio_encoder"
    main_input_name = "input_values"
    input_names = ("input_values", "attention_mask", "input_features")
    input_modalities = "audio"

    def __init__(self, config: AVEmotionAudioConfig):
        super().__init__(config)
        self.frontend = AcousticFrontEnd(config)
        self.backbone: SpeechBackbone | None = None
        if config.backbone_config is not None:
            self.backbone = SpeechBackbone(
                config.backbone_config,  # type: ignore[arg-type]  # no dict after `__post_init__`
                config.backbone_normalize,
                config.frames_per_second,
                config.freeze_backbone,
                config.backbone_sums,
            )
        self.rnn = MaskedRNN(config, self.num_features)
        self.pooling = SentencePooling(config, self.num_features, self.frontend.voicing_column)
        self.post_init()
        self.train(self.training)  # which freezes the backbone

    @property
    def num_features(self) -> int:
        """Number F of values per frame: descriptors, and states of the backbone."""
        return len(self.frontend.descriptor_names) + (self.backbone.num_states if self.backbone else 0)

    @property
    def mean_features(self) -> Tensor:
        """The dataset's mean frame `(F,)` after normalization."""
        offset = self.frontend.offset.detach()
        return F.pad(offset, (0, self.num_features - len(offset)))

    def extract_features(self, input_values: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Descriptors in physical units and backbone states `(B, Ta, F)` of waveforms `(B, S)`, and frame mask."""
        features, frame_mask = self.frontend.descriptors(input_values, attention_mask)
        if self.backbone is not None:
            exporting = torch.compiler.is_exporting()
            waveform, lengths = self.frontend.unpadded(input_values, attention_mask, check=not exporting)
            hear = self.backbone.trace if exporting else self.backbone
            states = hear(waveform, lengths, features.shape[1])
            features = torch.cat([features, states.masked_fill(~frame_mask[..., None], 0)], dim=-1)
        return features, frame_mask

    def normalize(self, features: Tensor, statistics: Tensor | None = None) -> Tensor:
        """As in the base class; descriptors are scaled by the front-end's learnable gain and offset as well."""
        if self.backbone is None:
            return self.frontend.normalize(features, statistics)
        descriptors, states = self._split(features)
        of_descriptors, of_states = (None, None) if statistics is None else self._split(statistics)
        parts = self.frontend.normalize(descriptors, of_descriptors), self.backbone.standardize(states, of_states)
        return torch.cat(parts, dim=-1)

    def defined_cells(self, features: Tensor) -> Tensor:
        """Which of the features `(..., F)` are defined: F0 and others in voiced frames only."""
        descriptors, states = self._split(features)
        return torch.cat([self.frontend.defined_cells(descriptors), torch.ones_like(states, dtype=torch.bool)], dim=-1)

    @property
    def _standardized(self) -> list[Any]:
        return [self.frontend] if self.backbone is None else [self.frontend, self.backbone]

    def _split(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features `(..., F)` as descriptors and states."""
        count = len(self.frontend.descriptor_names)
        return features[..., :count], features[..., count:]

    @can_return_tuple
    def forward(
        self,
        input_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_features: Tensor | None = None,
        audio_statistics: Tensor | None = None,
        **kwargs: object,
    ) -> AVEmotionEncoderOutput:
        r"""Encode a batch of clips.

        Args:
            input_values (`(B, S)`): mono waveforms in [-1, 1].
            attention_mask (`(B, S)`, or `(B, Ta)` with `input_features`): 1 = real.
            input_features (`(B, Ta, F)`): descriptors from [`extract_features`] instead of waveforms.
            audio_statistics (`(B, 2, F)`):
                Mean and deviation by which each clip is standardized instead of by those of the dataset, see
                [`PersonBaseline`].
            **kwargs: ignored.
        """
        frames = self.frame_features(input_values, attention_mask, input_features)
        return self._encode_clips(*frames, audio_statistics)


class AVEmotionImageModel(FrameEncoder):
    """Expression backbone, RNN and pooling to the sentence-level image vector (module 6 without its classifier)."""

    config: AVEmotionImageConfig
    base_model_prefix = "image_encoder"
    main_input_name = "pixel_values"
    input_names = ("pixel_values", "pixel_mask", "image_features")
    input_modalities = "video"
    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, config: AVEmotionImageConfig):
        super().__init__(config)
        # in the type that is being loaded, not in the one that the backbone's own configuration remembers
        self.backbone = AutoModel.from_config(config.backbone_config, dtype=torch.get_default_dtype())
        num_features = config.image_feature_size
        self.register_buffer("feature_mean", torch.zeros(num_features))
        self.register_buffer("feature_std", torch.ones(num_features))
        self.rnn = MaskedRNN(config, num_features)
        self.pooling = SentencePooling(config, num_features)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            init.zeros_(self.feature_mean)
            init.ones_(self.feature_std)

    @property
    def num_features(self) -> int:
        """Number F of image features per frame."""
        return len(self.feature_mean)

    @property
    def mean_features(self) -> Tensor:
        """The dataset's mean frame `(F,)` after normalization."""
        return torch.zeros_like(self.feature_mean)

    def train(self, mode: bool = True) -> Self:
        """As in torch, but batch norms of the backbone keep their statistics: a clip's frames are not independent."""
        super().train(mode)
        for module in self.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def extract_features(self, pixel_values: Tensor, pixel_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Pooled backbone features `(B, Tv, F)` of face crops `(B, Tv, 3, H, W)`, and their frame mask `(B, Tv)`.

        Only real frames pass through the backbone.
        """
        frame_mask = as_frame_mask(pixel_values, pixel_mask)
        if torch.compiler.is_exporting():  # all frames: how many are real is known only when the graph runs
            pooled = self.backbone(pixel_values.flatten(0, 1).to(self.backbone.dtype)).pooler_output.flatten(1)
            features = pooled.unflatten(0, frame_mask.shape).float()
            return features.masked_fill(~frame_mask.unsqueeze(-1), 0), frame_mask
        frames = pixel_values[frame_mask].to(self.backbone.dtype).contiguous(memory_format=torch.channels_last)
        parts = [
            self.backbone(part).pooler_output.flatten(1) for part in frames.split(self.config.backbone_batch_size)
        ]
        features = torch.zeros(*frame_mask.shape, self.num_features, dtype=torch.float32, device=pixel_values.device)
        if len(frames):
            features = features.masked_scatter(frame_mask.unsqueeze(-1), torch.cat(parts).float())
        return features, frame_mask

    def normalize(self, features: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Features `(B, Tv, F)`, standardized by the dataset's mean and deviation, or by `statistics (B, 2, F)`."""
        return standardize(features, self.feature_mean, self.feature_std, statistics)

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        image_features: Tensor | None = None,
        image_statistics: Tensor | None = None,
        **kwargs: object,
    ) -> AVEmotionEncoderOutput:
        r"""Encode a batch of clips.

        Args:
            pixel_values (`(B, Tv, 3, H, W)`): face crops from the image processor.
            pixel_mask (`(B, Tv)`): 1 = real frame. One value per frame, where ViLT and DETR have one per pixel.
            image_features (`(B, Tv, F)`): features from [`extract_features`] instead of face crops.
            image_statistics (`(B, 2, F)`): as in [`AVEmotionAudioModel.forward`].
            **kwargs: ignored.
        """
        return self._encode_clips(*self.frame_features(pixel_values, pixel_mask, image_features), image_statistics)


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
        self.post_init()

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
        audio_embeds = present_or_absent(audio and audio.pooler_output, has_audio, self.audio_absent)
        image_embeds = present_or_absent(image and image.pooler_output, has_video, self.image_absent)
        return AVEmotionOutput(audio_embeds, image_embeds, torch.cat([audio_embeds, image_embeds], dim=-1))


class AVEmotionForSequenceClassification(AVEmotionModel):  # a subclass, as the names of its weights have no prefix
    """Emotion from voice and face (CN112633263A, module 8)."""

    def __init__(self, config: AVEmotionConfig):
        super().__init__(config)
        size = len(self.audio_absent) + len(self.image_absent)
        self.classifier = nn.Linear(size, config.num_labels)  # type: ignore[arg-type]  # an int
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
    ) -> SequenceClassifierOutput:
        r"""Classify a batch of clips; `labels`, class indices `(B,)` or class distributions `(B, K)`, add the loss.

        For the other arguments see [`AVEmotionModel.forward`].
        """
        inputs = (input_values, attention_mask, pixel_values, pixel_mask, input_features, image_features)
        fused = super().forward(*inputs, audio_statistics, image_statistics, return_dict=True)
        return classify(self.classifier, fused.fused_embeds, self.config.classifier_dropout, labels)


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
