"""The audio, image and fusion models (CN112633263A, modules 2, 3 and 5 to 8).

Axes: B batch, S samples, Ta and Tv frames of audio and video (T of either), F values per frame, D hidden, K classes.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import can_return_tuple

from .classification_av_emotion import classify
from .configuration_av_emotion import (
    AVEmotionAudioConfig,
    AVEmotionConfig,
    AVEmotionEncoderConfig,
    AVEmotionImageConfig,
)
from .frontend_av_emotion import AcousticFrontEnd
from .fusion_av_emotion import drop_modality, present_or_absent
from .masking_av_emotion import MaskedFrames, as_frame_mask, sample_mask
from .objectives_av_emotion import OBJECTIVE_CLASSES, TeacherHead
from .outputs_av_emotion import AVEmotionEncoderOutput, AVEmotionForPreTrainingOutput, AVEmotionOutput
from .person_baseline_av_emotion import standardize
from .pooling_av_emotion import SentencePooling
from .rnn_av_emotion import MaskedRNN
from .speech_backbone_av_emotion import SpeechBackbone

if TYPE_CHECKING:  # never run: transformers copies the files that a file imports, so the pipeline goes with a model
    from .pipeline_av_emotion import AVEmotionPipeline  # noqa: F401


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
            init.zeros_(module.bias)
        elif isinstance(module, AVEmotionImageModel):
            init.zeros_(module.feature_mean)
            init.ones_(module.feature_std)
        elif isinstance(module, AVEmotionModel):
            init.zeros_(module.audio_absent)
            init.zeros_(module.image_absent)


class _FrameEncoder(AVEmotionPreTrainedModel):
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


class AVEmotionAudioModel(_FrameEncoder):
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


class AVEmotionImageModel(_FrameEncoder):
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
        self.register_buffer("feature_mean", torch.zeros(self.num_features))
        self.register_buffer("feature_std", torch.ones(self.num_features))
        self.rnn = MaskedRNN(config, self.num_features)
        self.pooling = SentencePooling(config, self.num_features)
        self.post_init()

    @property
    def num_features(self) -> int:
        """Number F of image features per frame."""
        return self.config.image_feature_size

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


class _FramePreTrainer(AVEmotionPreTrainedModel):
    """Masked-frame pre-training (modules 2 and 5): hide frames, and predict the complete sequence with the RNN."""

    config: AVEmotionEncoderConfig
    encoder_class: ClassVar[type[_FrameEncoder]]
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
    def encoder(self) -> AVEmotionAudioModel | AVEmotionImageModel:
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


class AVEmotionAudioForPreTraining(_FramePreTrainer):
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


class AVEmotionImageForPreTraining(_FramePreTrainer):
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

    encoder_class: ClassVar[type[_FrameEncoder]]

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
