"""The audio, image and fusion models (CN112633263A, modules 2, 3 and 5 to 8).

Axes: B batch, S samples, Ta and Tv frames of audio and video, F descriptors, E image features, D hidden, K classes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ModelOutput, SequenceClassifierOutput
from transformers.utils import can_return_tuple

from .configuration_av_emotion import (
    AVEmotionAudioConfig,
    AVEmotionConfig,
    AVEmotionImageConfig,
)
from .frontend_av_emotion import AcousticFrontEnd
from .masking_av_emotion import MaskedFrames, sample_mask
from .objectives_av_emotion import OBJECTIVE_CLASSES
from .rnn_av_emotion import MaskedRNN, mean_pool

if TYPE_CHECKING:  # never run: transformers copies what a file names as its imports, so the pipeline goes with a model
    from .pipeline_av_emotion import AVEmotionPipeline  # noqa: F401


@dataclass
class AVEmotionEncoderOutput(ModelOutput):
    """What an encoder makes of a batch of clips.

    Args:
        last_hidden_state (`torch.FloatTensor` of shape `(B, T, D)`): states of the RNN, zero in padding.
        pooler_output (`torch.FloatTensor` of shape `(B, D)`): sentence-level vector, zero for a clip without frames.
        features (`torch.FloatTensor` of shape `(B, T, F)` or `(B, T, E)`): complete, normalised frame features.
        frame_mask (`torch.BoolTensor` of shape `(B, T)`): True = real frame.
    """

    last_hidden_state: torch.FloatTensor | None = None
    pooler_output: torch.FloatTensor | None = None
    features: torch.FloatTensor | None = None
    frame_mask: torch.BoolTensor | None = None


@dataclass
class AVEmotionForPreTrainingOutput(ModelOutput):
    """Result of masked-frame pre-training.

    Args:
        loss (`torch.FloatTensor` of shape `(1,)`): what the objective of the configuration minimises.
        reconstruction (`torch.FloatTensor` of shape `(B, T, F)` or `(B, T, E)`): the predicted complete features.
        features (same shape): the complete features, which are the target.
        cell_mask (`torch.BoolTensor` of the same shape): True = value of a real frame that means something.
        mask_time_indices (`torch.BoolTensor` of shape `(B, T)`): True = hidden from the model.
        frame_mask (`torch.BoolTensor` of shape `(B, T)`): True = real frame.
    """

    loss: torch.FloatTensor | None = None
    reconstruction: torch.FloatTensor | None = None
    features: torch.FloatTensor | None = None
    cell_mask: torch.BoolTensor | None = None
    mask_time_indices: torch.BoolTensor | None = None
    frame_mask: torch.BoolTensor | None = None


@dataclass
class AVEmotionOutput(ModelOutput):
    """Sentence-level vectors of a batch of clips.

    Args:
        audio_embeds (`torch.FloatTensor` of shape `(B, Da)`): sentence-level acoustic vector.
        image_embeds (`torch.FloatTensor` of shape `(B, Di)`): sentence-level image vector.
        fused_embeds (`torch.FloatTensor` of shape `(B, Da + Di)`): the two, concatenated.
    """

    audio_embeds: torch.FloatTensor | None = None
    image_embeds: torch.FloatTensor | None = None
    fused_embeds: torch.FloatTensor | None = None


class AVEmotionPreTrainedModel(PreTrainedModel):
    """Weight initialisation and loading for all models of this package."""

    # The loss is a mean over the batch; a Trainer must not expect a division by `num_items_in_batch`.
    accepts_loss_kwargs = False
    supports_gradient_checkpointing = False
    # frequencies and windows lose too much in half precision
    _keep_in_fp32_modules_strict = ["frontend"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module):
        if isinstance(module, AcousticFrontEnd):
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


class AVEmotionAudioModel(AVEmotionPreTrainedModel):
    """Acoustic front-end, RNN and pooling to the sentence-level acoustic vector (module 3 without its classifier)."""

    config: AVEmotionAudioConfig
    base_model_prefix = "audio_encoder"
    main_input_name = "input_values"
    input_modalities = "audio"

    def __init__(self, config: AVEmotionAudioConfig):
        super().__init__(config)
        self.frontend = AcousticFrontEnd(config)
        self.rnn = MaskedRNN(config, self.num_features)
        self.post_init()

    @property
    def num_features(self) -> int:
        """Number F of descriptors per frame."""
        return len(self.frontend.descriptor_names)

    @property
    def mean_features(self) -> torch.Tensor:
        """What normalisation makes of the corpus mean `(F,)`."""
        return self.frontend.offset.detach()

    def extract_features(self, input_values, attention_mask=None) -> tuple[torch.Tensor, torch.BoolTensor]:
        """Waveforms `(B, S)` to raw descriptors `(B, Ta, F)` in physical units and their frame mask `(B, Ta)`."""
        return self.frontend.descriptors(input_values, attention_mask)

    def normalized_features(self, input_values=None, attention_mask=None, input_features=None):
        """The complete, normalised frame features and their mask, from waveforms or from descriptors."""
        if (input_values is None) == (input_features is None):
            raise ValueError("give either input_values (waveforms) or input_features (descriptors), and not both")
        if input_features is None:
            input_features, frame_mask = self.extract_features(input_values, attention_mask)
        else:
            frame_mask = _frame_mask(input_features, attention_mask)
        return self.frontend.normalize(input_features) * frame_mask.unsqueeze(-1), frame_mask

    def encode(self, features: torch.Tensor, frame_mask: torch.BoolTensor) -> torch.Tensor:
        """Normalised features `(B, T, F)` to the RNN's states `(B, T, D)`."""
        return self.rnn(features, frame_mask)

    def encode_sides(self, features: torch.Tensor, frame_mask: torch.BoolTensor) -> list[torch.Tensor]:
        """As [`encode`], the states of each direction of the RNN, which has read without the other."""
        return self.rnn.sides(features, frame_mask)

    @can_return_tuple
    def forward(
        self,
        input_values: torch.FloatTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        input_features: torch.FloatTensor | None = None,
        **kwargs,
    ) -> AVEmotionEncoderOutput:
        r"""Encode a batch of clips.

        Args:
            input_values (`(B, S)`): mono waveforms in [-1, 1].
            attention_mask (`(B, S)`, or `(B, Ta)` beside `input_features`): 1 = real.
            input_features (`(B, Ta, F)`): descriptors, as [`extract_features`] gives them, instead of waveforms.
            **kwargs: ignored.
        """
        features, frame_mask = self.normalized_features(input_values, attention_mask, input_features)
        return _encoder_output(self, features, frame_mask)


class AVEmotionImageModel(AVEmotionPreTrainedModel):
    """Expression backbone, RNN and pooling to the sentence-level image vector (module 6 without its classifier)."""

    config: AVEmotionImageConfig
    base_model_prefix = "image_encoder"
    main_input_name = "pixel_values"
    input_modalities = "video"

    def __init__(self, config: AVEmotionImageConfig):
        super().__init__(config)
        # in the type that is being loaded, not in the one that the backbone's own configuration remembers
        self.backbone = AutoModel.from_config(config.backbone_config, dtype=torch.get_default_dtype())
        self.register_buffer("feature_mean", torch.zeros(self.num_features))
        self.register_buffer("feature_std", torch.ones(self.num_features))
        self.rnn = MaskedRNN(config, self.num_features)
        self.post_init()

    @property
    def num_features(self) -> int:
        """Number E of image features per frame."""
        return self.config.image_feature_size

    @property
    def mean_features(self) -> torch.Tensor:
        """What normalisation makes of the corpus mean `(E,)`."""
        return torch.zeros_like(self.feature_mean)

    def train(self, mode: bool = True):
        """As in torch; the backbone's batch norms keep their statistics: a clip's frames are no random batch."""
        super().train(mode)
        for module in self.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def extract_features(self, pixel_values, pixel_mask=None) -> tuple[torch.Tensor, torch.BoolTensor]:
        """Face crops `(B, Tv, 3, H, W)` to last-layer features `(B, Tv, E)` and their frame mask `(B, Tv)`.

        Only real frames pass the backbone.
        """
        frame_mask = _frame_mask(pixel_values, pixel_mask)
        if torch.compiler.is_exporting():  # all frames: how many are real is known only when the graph runs
            pooled = self.backbone(pixel_values.flatten(0, 1).to(self.backbone.dtype)).pooler_output.flatten(1)
            features = pooled.unflatten(0, frame_mask.shape).float()
            return features.masked_fill(~frame_mask.unsqueeze(-1), 0), frame_mask
        frames = pixel_values[frame_mask].to(self.backbone.dtype).contiguous(memory_format=torch.channels_last)
        pooled = [
            self.backbone(part).pooler_output.flatten(1) for part in frames.split(self.config.backbone_batch_size)
        ]
        features = torch.zeros(*frame_mask.shape, self.num_features, dtype=torch.float32, device=pixel_values.device)
        if len(frames):
            features = features.masked_scatter(frame_mask.unsqueeze(-1), torch.cat(pooled).float())
        return features, frame_mask

    def normalized_features(self, pixel_values=None, pixel_mask=None, image_features=None):
        """The complete, normalised frame features and their mask, from face crops or from image features."""
        if (pixel_values is None) == (image_features is None):
            raise ValueError("give either pixel_values (face crops) or image_features, and not both")
        if image_features is None:
            image_features, frame_mask = self.extract_features(pixel_values, pixel_mask)
        else:
            frame_mask = _frame_mask(image_features, pixel_mask)
        features = (image_features - self.feature_mean) / self.feature_std
        return features * frame_mask.unsqueeze(-1), frame_mask

    def encode(self, features: torch.Tensor, frame_mask: torch.BoolTensor) -> torch.Tensor:
        """Normalised features `(B, T, E)` to the RNN's states `(B, T, D)`."""
        return self.rnn(features, frame_mask)

    def encode_sides(self, features: torch.Tensor, frame_mask: torch.BoolTensor) -> list[torch.Tensor]:
        """As [`encode`], the states of each direction of the RNN, which has read without the other."""
        return self.rnn.sides(features, frame_mask)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.FloatTensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        image_features: torch.FloatTensor | None = None,
        **kwargs,
    ) -> AVEmotionEncoderOutput:
        r"""Encode a batch of clips.

        Args:
            pixel_values (`(B, Tv, 3, H, W)`): face crops, as the image processor gives them.
            pixel_mask (`(B, Tv)`): 1 = real frame.
            image_features (`(B, Tv, E)`): features, as [`extract_features`] gives them, instead of crops.
            **kwargs: ignored.
        """
        features, frame_mask = self.normalized_features(pixel_values, pixel_mask, image_features)
        return _encoder_output(self, features, frame_mask)


def _frame_mask(frames: torch.Tensor, mask: torch.Tensor | None) -> torch.BoolTensor:
    """`mask (B, T)` as booleans; all frames where there is none."""
    if mask is None:
        return torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
    if mask.shape != frames.shape[:2]:
        raise ValueError(f"mask of shape {tuple(mask.shape)} does not fit {tuple(frames.shape[:2])} frames")
    return mask.bool()


def _encoder_output(encoder, features, frame_mask) -> AVEmotionEncoderOutput:
    states = encoder.encode(features, frame_mask)
    return AVEmotionEncoderOutput(states, mean_pool(states, frame_mask), features, frame_mask)


class _MaskedFrameModel(AVEmotionPreTrainedModel):
    """Masked-frame pre-training (modules 2 and 5): hide frames, let the RNN predict the complete sequence."""

    def __init__(self, config):
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.encoder_class(config))
        self.frozen.requires_grad_(False)
        self.objective = OBJECTIVE_CLASSES[config.objective]()
        for name in self.objective.heads:
            setattr(self, name, nn.Linear(config.hidden_size, self.base_model.num_features))
        self.post_init()

    @property
    def frozen(self) -> nn.Module:
        """What makes the features. It stays as it is, or the target could become trivial."""
        return getattr(self.base_model, self.frozen_part)

    def train(self, mode: bool = True):
        """As in torch; the frozen part stays in evaluation mode."""
        super().train(mode)
        self.frozen.eval()
        return self

    def _pretrain(self, features, frame_mask, cell_mask, mask_time_indices, return_loss):
        if mask_time_indices is None:
            mask_time_indices = sample_mask(frame_mask.cpu(), self.config.mask_time_prob, self.config.mask_time_length)
        hidden = mask_time_indices.to(frame_mask.device).bool() & frame_mask
        loss, reconstruction = self.objective(self, MaskedFrames(features, frame_mask, cell_mask, hidden))
        loss = loss if return_loss else None
        return AVEmotionForPreTrainingOutput(loss, reconstruction, features, cell_mask, hidden, frame_mask)


class AVEmotionAudioForPreTraining(_MaskedFrameModel):
    """Speech pre-training (CN112633263A, module 2)."""

    config: AVEmotionAudioConfig
    base_model_prefix = "audio_encoder"
    main_input_name = "input_values"
    input_modalities = "audio"
    encoder_class = AVEmotionAudioModel
    frozen_part = "frontend"

    @can_return_tuple
    def forward(
        self,
        input_values: torch.FloatTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        input_features: torch.FloatTensor | None = None,
        mask_time_indices: torch.BoolTensor | None = None,
        return_loss: bool = True,
        **kwargs,
    ) -> AVEmotionForPreTrainingOutput:
        r"""Predict the complete descriptors of clips of which some frames are hidden.

        Args:
            input_values (`(B, S)`): mono waveforms in [-1, 1].
            attention_mask (`(B, S)`, or `(B, Ta)` beside `input_features`): 1 = real.
            input_features (`(B, Ta, F)`): descriptors instead of waveforms.
            mask_time_indices (`(B, Ta)`): True = hidden; drawn from the configuration when left out.
            return_loss: whether to compute the loss.
            **kwargs: ignored.
        """
        return self._pretrain(
            *self.complete_features(input_values, attention_mask, input_features), mask_time_indices, return_loss
        )

    @torch.no_grad()
    def complete_features(self, input_values=None, attention_mask=None, input_features=None):
        """Target `(B, Ta, F)`, frame mask `(B, Ta)` and mask of meaningful cells `(B, Ta, F)`; see [`forward`]."""
        encoder = self.audio_encoder
        if input_values is not None and input_features is None:
            input_features, attention_mask = encoder.extract_features(input_values, attention_mask)
            input_values = None
        features, frame_mask = encoder.normalized_features(input_values, attention_mask, input_features)
        return features, frame_mask, encoder.frontend.defined_cells(input_features) & frame_mask.unsqueeze(-1)


class AVEmotionImageForPreTraining(_MaskedFrameModel):
    """Image pre-training (CN112633263A, module 5)."""

    config: AVEmotionImageConfig
    base_model_prefix = "image_encoder"
    main_input_name = "pixel_values"
    input_modalities = "video"
    encoder_class = AVEmotionImageModel
    frozen_part = "backbone"

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.FloatTensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        image_features: torch.FloatTensor | None = None,
        mask_time_indices: torch.BoolTensor | None = None,
        return_loss: bool = True,
        **kwargs,
    ) -> AVEmotionForPreTrainingOutput:
        r"""Predict the complete face features of clips of which some frames are hidden.

        Args:
            pixel_values (`(B, Tv, 3, H, W)`): face crops.
            pixel_mask (`(B, Tv)`): 1 = real frame.
            image_features (`(B, Tv, E)`): features instead of crops.
            mask_time_indices (`(B, Tv)`): True = hidden; drawn from the configuration when left out.
            return_loss: whether to compute the loss.
            **kwargs: ignored.
        """
        return self._pretrain(
            *self.complete_features(pixel_values, pixel_mask, image_features), mask_time_indices, return_loss
        )

    @torch.no_grad()
    def complete_features(self, pixel_values=None, pixel_mask=None, image_features=None):
        """Target `(B, Tv, E)`, frame mask `(B, Tv)` and mask of meaningful cells `(B, Tv, E)`; see [`forward`]."""
        features, frame_mask = self.image_encoder.normalized_features(pixel_values, pixel_mask, image_features)
        return features, frame_mask, frame_mask.unsqueeze(-1).expand_as(features)


def _classify(model, pooled: torch.Tensor, labels: torch.Tensor | None) -> SequenceClassifierOutput:
    """One fully connected layer; cross-entropy against class indices `(B,)` or class distributions `(B, K)`."""
    logits = model.classifier(F.dropout(pooled, model.config.classifier_dropout, model.training))
    loss = None
    if labels is not None:
        if labels.ndim == 1 and labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[-1]:
            raise ValueError(
                f"labels run from {int(labels.min())} to {int(labels.max())}, the model has {logits.shape[-1]} "
                "classes; load it with num_labels=... and ignore_mismatched_sizes=True to change that"
            )
        loss = F.cross_entropy(logits.float(), labels if labels.ndim == 1 else labels.float())
    return SequenceClassifierOutput(loss=loss, logits=logits)


class AVEmotionAudioForSequenceClassification(AVEmotionPreTrainedModel):
    """Emotion from the voice (CN112633263A, module 3); gradients reach the front-end's own parameters."""

    config: AVEmotionAudioConfig
    base_model_prefix = "audio_encoder"
    main_input_name = "input_values"
    input_modalities = "audio"

    def __init__(self, config: AVEmotionAudioConfig):
        super().__init__(config)
        self.audio_encoder = AVEmotionAudioModel(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.FloatTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        input_features: torch.FloatTensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput:
        r"""Classify a batch of clips.

        Args:
            input_values (`(B, S)`): mono waveforms in [-1, 1].
            attention_mask (`(B, S)`, or `(B, Ta)` beside `input_features`): 1 = real.
            input_features (`(B, Ta, F)`): descriptors instead of waveforms.
            labels (`(B,)` class indices or `(B, K)` distributions): gives the loss.
            **kwargs: ignored.
        """
        encoded = self.audio_encoder(input_values, attention_mask, input_features)
        return _classify(self, encoded.pooler_output, labels)


class AVEmotionImageForSequenceClassification(AVEmotionPreTrainedModel):
    """Emotion from the face (CN112633263A, module 6); gradients reach the expression backbone."""

    config: AVEmotionImageConfig
    base_model_prefix = "image_encoder"
    main_input_name = "pixel_values"
    input_modalities = "video"

    def __init__(self, config: AVEmotionImageConfig):
        super().__init__(config)
        self.image_encoder = AVEmotionImageModel(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.FloatTensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        image_features: torch.FloatTensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput:
        r"""Classify a batch of clips.

        Args:
            pixel_values (`(B, Tv, 3, H, W)`): face crops.
            pixel_mask (`(B, Tv)`): 1 = real frame.
            image_features (`(B, Tv, E)`): features instead of crops.
            labels (`(B,)` class indices or `(B, K)` distributions): gives the loss.
            **kwargs: ignored.
        """
        encoded = self.image_encoder(pixel_values, pixel_mask, image_features)
        return _classify(self, encoded.pooler_output, labels)


class AVEmotionModel(AVEmotionPreTrainedModel):
    """Both encoders and feature-level fusion (CN112633263A, module 7)."""

    config: AVEmotionConfig
    main_input_name = "input_values"
    input_modalities = ("audio", "video")

    def __init__(self, config: AVEmotionConfig):
        super().__init__(config)
        self.audio_encoder = AVEmotionAudioModel(config.audio_config)
        self.image_encoder = AVEmotionImageModel(config.image_config)
        # what stands for the sentence-level vector of a modality that a clip lacks
        self.audio_absent = nn.Parameter(torch.zeros(config.audio_config.hidden_size))
        self.image_absent = nn.Parameter(torch.zeros(config.image_config.hidden_size))
        self.post_init()

    def fuse(
        self,
        input_values=None,
        attention_mask=None,
        pixel_values=None,
        pixel_mask=None,
        input_features=None,
        image_features=None,
    ) -> AVEmotionOutput:
        """Sentence-level vectors of both modalities, and the two concatenated; see [`forward`] for the arguments."""
        audio = image = None
        if input_values is not None or input_features is not None:
            audio = self.audio_encoder(input_values, attention_mask, input_features)
        if pixel_values is not None or image_features is not None:
            image = self.image_encoder(pixel_values, pixel_mask, image_features)
        if audio is None and image is None:
            raise ValueError("a clip needs sound or picture: give input_values or pixel_values, or features of either")
        size = (audio or image).pooler_output.shape[0]
        has_audio = audio.frame_mask.any(dim=1) if audio is not None else torch.zeros(size, dtype=torch.bool)
        has_image = image.frame_mask.any(dim=1) if image is not None else torch.zeros(size, dtype=torch.bool)
        has_audio, has_image = has_audio.to(self.device), has_image.to(self.device)
        if self.training and self.config.modality_dropout > 0:
            # only a clip that has both can lose one
            drop = (torch.rand(size, device=self.device) < self.config.modality_dropout) & has_audio & has_image
            which = torch.rand(size, device=self.device) < 0.5
            has_audio, has_image = has_audio & ~(drop & which), has_image & ~(drop & ~which)
        audio_embeds = self._present_or_absent(audio, has_audio, self.audio_absent)
        image_embeds = self._present_or_absent(image, has_image, self.image_absent)
        return AVEmotionOutput(audio_embeds, image_embeds, torch.cat([audio_embeds, image_embeds], dim=-1))

    @staticmethod
    def _present_or_absent(encoded, present: torch.BoolTensor, absent: torch.Tensor) -> torch.Tensor:
        stand_in = absent.expand(present.shape[0], -1)
        return stand_in if encoded is None else torch.where(present.unsqueeze(-1), encoded.pooler_output, stand_in)

    @can_return_tuple
    def forward(
        self,
        input_values: torch.FloatTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        pixel_values: torch.FloatTensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        input_features: torch.FloatTensor | None = None,
        image_features: torch.FloatTensor | None = None,
        **kwargs,
    ) -> AVEmotionOutput:
        r"""Encode a batch of clips. A modality may be left out, or be empty (mask all 0) for some clips.

        Args:
            input_values (`(B, S)`): mono waveforms in [-1, 1].
            attention_mask (`(B, S)`, or `(B, Ta)` beside `input_features`): 1 = real.
            pixel_values (`(B, Tv, 3, H, W)`): face crops.
            pixel_mask (`(B, Tv)`): 1 = real frame.
            input_features (`(B, Ta, F)`): descriptors instead of waveforms.
            image_features (`(B, Tv, E)`): image features instead of crops.
            **kwargs: ignored.
        """
        return self.fuse(input_values, attention_mask, pixel_values, pixel_mask, input_features, image_features)


class AVEmotionForSequenceClassification(AVEmotionModel):
    """Emotion from voice and face (CN112633263A, module 8)."""

    def __init__(self, config: AVEmotionConfig):
        super().__init__(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.FloatTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        pixel_values: torch.FloatTensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        input_features: torch.FloatTensor | None = None,
        image_features: torch.FloatTensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> SequenceClassifierOutput:
        r"""Classify a batch of clips. A modality may be left out, or be empty (mask all 0) for some clips.

        Args:
            input_values (`(B, S)`): mono waveforms in [-1, 1].
            attention_mask (`(B, S)`, or `(B, Ta)` beside `input_features`): 1 = real.
            pixel_values (`(B, Tv, 3, H, W)`): face crops.
            pixel_mask (`(B, Tv)`): 1 = real frame.
            input_features (`(B, Ta, F)`): descriptors instead of waveforms.
            image_features (`(B, Tv, E)`): image features instead of crops.
            labels (`(B,)` class indices or `(B, K)` distributions): gives the loss.
            **kwargs: ignored.
        """
        fused = self.fuse(input_values, attention_mask, pixel_values, pixel_mask, input_features, image_features)
        return _classify(self, fused.fused_embeds, labels)


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
