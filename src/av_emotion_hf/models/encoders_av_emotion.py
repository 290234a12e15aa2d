"""The audio and the image encoder (CN112633263A, modules 1, 3, 4 and 6 without their classifiers).

Axes: B batch, S samples, Ta and Tv frames of audio and video, F values per frame, D hidden.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.utils import can_return_tuple

from .backbones_av_emotion import POOLED
from .base_av_emotion import FrameEncoder
from .configuration_av_emotion import AVEmotionAudioConfig, AVEmotionImageConfig
from .frontend_av_emotion import AcousticFrontEnd
from .masking_av_emotion import as_frame_mask
from .outputs_av_emotion import AVEmotionEncoderOutput
from .person_baseline_av_emotion import standardize
from .pooling_av_emotion import SentencePooling
from .rnn_av_emotion import MaskedRNN
from .speech_backbone_av_emotion import SpeechBackbone


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
        from transformers import AutoModel  # registers the models, whose file imports this one

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
        """Backbone features `(B, Tv, F)` of face crops `(B, Tv, 3, H, W)`, and their frame mask `(B, Tv)`.

        Only real frames pass through the backbone.
        """
        frame_mask = as_frame_mask(pixel_values, pixel_mask)
        if torch.compiler.is_exporting():  # all frames: how many are real is known only when the graph runs
            pooled = self._of_faces(pixel_values.flatten(0, 1).to(self.backbone.dtype))
            features = pooled.unflatten(0, frame_mask.shape).float()
            return features.masked_fill(~frame_mask.unsqueeze(-1), 0), frame_mask
        frames = pixel_values[frame_mask].to(self.backbone.dtype).contiguous(memory_format=torch.channels_last)
        parts = [self._of_faces(part) for part in frames.split(self.config.backbone_batch_size)]
        features = torch.zeros(*frame_mask.shape, self.num_features, dtype=torch.float32, device=pixel_values.device)
        if len(frames):
            features = features.masked_scatter(frame_mask.unsqueeze(-1), torch.cat(parts).float())
        return features, frame_mask

    def _of_faces(self, faces: Tensor) -> Tensor:
        """Features `(N, F)` of face crops `(N, 3, H, W)`."""
        layers = self.config.backbone_layers
        output = self.backbone(faces, output_hidden_states=layers is not None)
        return layer_features(output, layers, self.config.backbone_fields)

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


def layer_features(output: Any, layers: list[int] | None, fields: int) -> Tensor:
    """Features `(N, F)` of pictures: the pooled output of an image model, or some of its layers side by side.

    Args:
        output: of the model; with layers also its `hidden_states`, `(N, C, height, width)` each.
        layers: numbers of hidden states, or `POOLED` for the pooled output; `None` for that alone.
        fields: into which a hidden state is averaged, in each direction: it is `fields * fields * C` values.
    """
    pooled = output.pooler_output.flatten(1)
    if layers is None:
        return pooled
    states = output.hidden_states
    parts = [pooled if one == POOLED else F.adaptive_avg_pool2d(states[one], fields).flatten(1) for one in layers]
    return torch.cat(parts, dim=1)


__all__ = ["AVEmotionAudioModel", "AVEmotionImageModel"]
