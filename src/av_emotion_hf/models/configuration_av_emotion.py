"""Configurations of the audio, image and fusion models."""
# No `from __future__ import annotations` here: it would switch off the validation that `@strict` gives.

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .backbones_av_emotion import as_config, default_backbone, depth, feature_size
from .descriptors_av_emotion import select_descriptors

RNN_TYPES = ("lstm", "gru")
FUSION_TYPES = ("concat", "gated", "attention", "late")
LATE_RULES = ("product", "mean")
PRESENCES = ("audio", "image", "both")  # what a clip has
SPEECH_ENCODERS = ("whisper", "wav2vec2", "hubert", "wavlm")  # model types
POOLINGS = ("mean", "statistics", "attention")
OBJECTIVES = ("complete", "hidden", "future", "mixed", "distill")


def _without_remote_pipeline(fields: dict) -> dict:
    """Fields of a `config.json` as the installed package reads them.

    Its pipeline is registered and needs no trust; transformers would still ask for it if a checkpoint brings one.
    """
    is_remote = __name__.startswith("transformers_modules.")
    return fields if is_remote else {name: value for name, value in fields.items() if name != "custom_pipelines"}


@strict
class AVEmotionEncoderConfig(PreTrainedConfig):
    r"""What the audio and the image encoder have in common: the RNN, the masking and the head.

    Args:
        rnn_type (`str`, *optional*, defaults to `"lstm"`): one of `RNN_TYPES`.
        hidden_size (`int`, *optional*, defaults to 128):
            Size D of the frame-level states, both directions together, and of their mean.
        num_hidden_layers (`int`, *optional*, defaults to 2): layers of the RNN.
        bidirectional (`bool`, *optional*, defaults to `True`): whether each layer also reads from the end.
        hidden_dropout (`float`, *optional*, defaults to 0.1): dropout between RNN layers.
        classifier_dropout (`float`, *optional*, defaults to 0.0): dropout before the fully connected layer.
        pooling (`str`, *optional*, defaults to `"mean"`):
            How the states of a clip become its sentence-level vector: their `mean` (CN112633263A), mean and deviation
            (`statistics`), or both weighted by a learned `attention`.
        pool_features (`bool`, *optional*, defaults to `False`):
            Append mean and deviation of the frame features to the sentence-level vector.
        pool_voiced (`bool`, *optional*, defaults to `False`):
            Count voiced frames only, in these statistics and in those that normalize features; for voices.
        baseline_prior (`float`, *optional*, defaults to 10.0):
            Seconds of a person's frames, ten per second of a face, at which that person's statistics weigh as much as
            the dataset's, see [`PersonBaseline`].
        mask_time_prob (`float`, *optional*, defaults to 0.1):
            Fraction of the real frames that pre-training hides (CN112633263A: 10 %).
        mask_time_length (`int`, *optional*, defaults to 1): frames in one hidden span (CN112633263A: single frames).
        objective (`str`, *optional*, defaults to `"complete"`):
            What pre-training minimizes, one of `OBJECTIVES`: the distance to the `complete` sequence (CN112633263A),
            to its `hidden` frames only, to the frame some steps in the `future`, or the last two `mixed`; of voices
            also to the states of a speech encoder (`distill`).
        future_frames (`int`, *optional*, defaults to 3): how many frames ahead `future` and `mixed` predict.
        future_weight (`float`, *optional*, defaults to 0.5): weight of the prediction ahead in the loss of `mixed`.
    """

    rnn_type: str = "lstm"
    hidden_size: int = 128
    num_hidden_layers: int = 2
    bidirectional: bool = True
    hidden_dropout: float | int = 0.1
    classifier_dropout: float | int = 0.0
    pooling: str = "mean"
    pool_features: bool = False
    pool_voiced: bool = False
    baseline_prior: float | int = 10.0
    mask_time_prob: float | int = 0.1
    mask_time_length: int = 1
    objective: str = "complete"
    future_frames: int = 3
    future_weight: float | int = 0.5

    def __post_init__(self, **kwargs):
        super().__post_init__(**_without_remote_pipeline(kwargs))

    @property
    def voicing_is_known(self) -> bool:
        """Whether a feature tells which frames are voiced."""
        return False

    def validate_rnn(self):
        """Check the fields of the RNN against each other."""
        if self.rnn_type not in RNN_TYPES:
            raise ValueError(f"rnn_type={self.rnn_type!r} is not one of {RNN_TYPES}")
        if self.hidden_size < 1 or self.num_hidden_layers < 1:
            raise ValueError(
                f"hidden_size={self.hidden_size} and num_hidden_layers={self.num_hidden_layers} must be at least 1"
            )
        if self.bidirectional and self.hidden_size % 2:
            raise ValueError(
                f"hidden_size={self.hidden_size} is odd; a bidirectional RNN gives half of it to each direction, "
                "choose an even number"
            )

    def validate_pooling(self):
        """Check the pooling."""
        if self.pool_voiced and not self.pool_features:
            raise ValueError("pool_voiced=True is about what pool_features appends: set pool_features=True as well")
        if self.pool_voiced and not self.voicing_is_known:
            raise ValueError(
                "pool_voiced=True needs to know which frames are voiced: use it for voices, with 'voiced' among the "
                "descriptors"
            )
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling={self.pooling!r} is not one of {POOLINGS}")

    def validate_baseline(self):
        """Check that a person without frames has the statistics of the dataset."""
        if not 0 < self.baseline_prior < math.inf:
            raise ValueError(f"baseline_prior={self.baseline_prior} must be positive seconds")

    def validate_dropout(self):
        """Check that dropout leaves something."""
        for name in ("hidden_dropout", "classifier_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be from 0 to below 1")

    def validate_masking(self):
        """Check that masking hides something and not everything."""
        if not 0 < self.mask_time_prob < 1:
            raise ValueError(f"mask_time_prob={self.mask_time_prob} must be between 0 and 1, exclusive")
        if self.mask_time_length < 1:
            raise ValueError(f"mask_time_length={self.mask_time_length} must be at least 1 frame")

    def validate_objective(self):
        """Check what pre-training minimizes."""
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective={self.objective!r} is not one of {OBJECTIVES}")
        if self.future_frames < 1:
            raise ValueError(f"future_frames={self.future_frames} must be at least 1 frame ahead")
        if not 0 < self.future_weight < 1:
            raise ValueError(
                f"future_weight={self.future_weight} must be between 0 and 1, exclusive; "
                "for either end choose objective='hidden' or 'future'"
            )


@strict
class AVEmotionAudioConfig(AVEmotionEncoderConfig):
    r"""Configuration of the audio models: acoustic front-end and RNN (CN112633263A, modules 1 to 3).

    Args:
        sampling_rate (`int`, *optional*, defaults to 16000): samples per second of `input_values`.
        frame_shift_ms (`float`, *optional*, defaults to 20): distance between the centers of two frames.
        frame_length_ms (`float`, *optional*, defaults to 25): window of the spectral descriptors.
        pitch_frame_length_ms (`float`, *optional*, defaults to 60):
            Window of F0, jitter, shimmer and HNR, which need several periods of the voice.
        num_mel_bins (`int`, *optional*, defaults to 40): bands of the learnable filterbank.
        f0_min (`float`, *optional*, defaults to 55): lowest F0 searched for, in Hz.
        f0_max (`float`, *optional*, defaults to 600): highest F0 searched for, in Hz.
        voicing_threshold (`float`, *optional*, defaults to 0.45):
            Normalized autocorrelation above which a frame counts as voiced.
        silence_db (`float`, *optional*, defaults to -60):
            Level relative to full scale (the RMS of the pitch frame) below which no frame is voiced.
        descriptors (`list[str]`, *optional*):
            Names of descriptors or of their families (`prosody`, `voice_quality`, `spectral`); `egemaps` stands for
            the 25 of eGeMAPSv02. `None` selects the 20 of the first checkpoints and the log-mel bands.
        deltas (`bool`, *optional*, defaults to `False`): whether each descriptor also has its slope over time.
        smoothing_frames (`int`, *optional*, defaults to 1):
            Frames over which each descriptor is averaged, an odd number; eGeMAPS uses 3.
        fft_length (`int`, *optional*):
            Points of the transform of the spectral window; `None` is the smallest fast size that holds the window.
        mel_max_hz (`float`, *optional*): upper end of the filterbank; half the sampling rate by default.
        mel_floor_db (`float`, *optional*, defaults to -90): start of the log-mel bands' learnable compression.
        power_floor_db (`float`, *optional*, defaults to -120): floor of the power spectrum, relative to full scale.
        backbone_config (`PreTrainedConfig` or `dict`, *optional*):
            Of a speech encoder of transformers (Whisper, wav2vec 2.0, HuBERT, WavLM), whose states stand beside the
            descriptors in each frame. `None` for the front-end of the patent alone.
        backbone_normalize (`bool`, *optional*, defaults to `False`):
            Give each waveform zero mean and unit deviation before the backbone, as some of these encoders expect.
        backbone_sums (`int`, *optional*, defaults to 1):
            Learned weighted sums over the backbone's layers that stand side by side in each frame. A single one begins
            with equal weights, several begin at the last layers, one each.
        freeze_backbone (`bool`, *optional*, defaults to `True`):
            Whether fine-tuning leaves the backbone as it is; pre-training always does.
        teacher_size (`int`, *optional*, defaults to 0):
            States per frame of the speech encoder that the objective `distill` predicts.
        teacher_statistics_weight (`float`, *optional*, defaults to 1.0):
            Weight in the loss of `distill` of predicting mean and deviation of these states over the clip.

    Example:
    ```python
    >>> from av_emotion_hf import AVEmotionAudioConfig, AVEmotionAudioModel

    >>> model = AVEmotionAudioModel(AVEmotionAudioConfig(rnn_type="gru"))
    ```
    """

    model_type = "av_emotion_audio"
    base_config_key = "audio_config"

    sampling_rate: int = 16000
    frame_shift_ms: float | int = 20
    frame_length_ms: float | int = 25
    pitch_frame_length_ms: float | int = 60
    num_mel_bins: int = 40
    f0_min: float | int = 55
    f0_max: float | int = 600
    voicing_threshold: float | int = 0.45
    silence_db: float | int = -60
    descriptors: list[str] | None = None
    deltas: bool = False
    smoothing_frames: int = 1
    fft_length: int | None = None
    mel_max_hz: float | int | None = None
    mel_floor_db: float | int = -90
    power_floor_db: float | int = -120
    backbone_config: dict | PreTrainedConfig | None = None
    backbone_normalize: bool = False
    backbone_sums: int = 1
    freeze_backbone: bool = True
    teacher_size: int = 0
    teacher_statistics_weight: float | int = 1.0

    def __post_init__(self, **kwargs):
        if isinstance(self.backbone_config, dict):
            self.backbone_config = as_config(self.backbone_config, "whisper")
        super().__post_init__(**kwargs)

    @classmethod
    def egemaps(cls, sampling_rate: int = 16000, **overrides: Any) -> "AVEmotionAudioConfig":
        """Analysis of eGeMAPSv02 (Eyben et al. 2016): its 25 descriptors, 100 times a second.

        Args:
            sampling_rate: samples per second.
            **overrides: other fields of the configuration; these override the ones of eGeMAPSv02.
        """
        defaults = {
            "descriptors": ["egemaps"],
            "frame_shift_ms": 10,
            "frame_length_ms": 20,
            "fft_length": 2 ** math.ceil(math.log2(0.02 * sampling_rate)),
            "num_mel_bins": 26,
            "mel_max_hz": min(8000, sampling_rate / 2),
            "mel_floor_db": -135,
            "power_floor_db": -160,
            "voicing_threshold": 0.63,
            "silence_db": -52,
            "smoothing_frames": 3,
        }
        return cls(sampling_rate=sampling_rate, **(defaults | overrides))

    @property
    def frames_per_second(self) -> float:
        """Frames per second of audio."""
        return 1000 / self.frame_shift_ms

    @property
    def voicing_is_known(self) -> bool:
        """Whether a descriptor tells which frames are voiced."""
        families = select_descriptors(self.descriptors, self.num_mel_bins, self.deltas)
        return any(name in family for family in families.values() for name in ("voiced", "f0_semitone"))

    def validate_backbone(self):
        """Check that the backbone is a speech encoder that hears what the front-end hears."""
        if self.backbone_config is None or isinstance(self.backbone_config, dict):
            return
        if self.backbone_config.model_type not in SPEECH_ENCODERS:
            raise ValueError(
                f"backbone_config is of a {self.backbone_config.model_type!r} model; a speech encoder is one of "
                f"{', '.join(SPEECH_ENCODERS)}"
            )
        if self.sampling_rate != 16000:
            raise ValueError(f"sampling_rate={self.sampling_rate} with a speech backbone, which hears 16000 Hz")
        most = depth(self.backbone_config) + 1
        if not 1 <= self.backbone_sums <= most:
            raise ValueError(
                f"backbone_sums={self.backbone_sums} must be from 1 to {most}, the backbone's layers and its input"
            )

    def validate_teacher(self):
        """Check that there is something to distill, and that the model does not read it."""
        if self.teacher_size < 0 or not 0 <= self.teacher_statistics_weight < math.inf:
            raise ValueError(
                f"teacher_size={self.teacher_size} and teacher_statistics_weight={self.teacher_statistics_weight} "
                "must not be negative"
            )
        if self.objective != "distill":
            return
        if self.backbone_config is not None:
            raise ValueError("objective='distill' is for models without a speech backbone; start from one of these")
        if self.teacher_size == 0:
            raise ValueError("objective='distill' needs teacher_size, the number of states of the teacher per frame")

    def validate_frames(self):
        """Check the fields of the analysis against the sampling rate."""
        for name in ("sampling_rate", "frame_shift_ms", "frame_length_ms", "pitch_frame_length_ms", "num_mel_bins"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        if not 0 < self.f0_min < self.f0_max < self.sampling_rate / 2:
            raise ValueError(
                f"f0_min={self.f0_min} and f0_max={self.f0_max} must increase and stay below half of "
                f"sampling_rate={self.sampling_rate}"
            )
        if self.pitch_frame_length_ms * self.f0_min < 2000:
            raise ValueError(
                f"pitch_frame_length_ms={self.pitch_frame_length_ms} holds less than two periods of "
                f"f0_min={self.f0_min} Hz; use at least {2000 / self.f0_min:.0f} ms"
            )

    def validate_descriptors(self):
        """Check the selection of descriptors and how they are processed."""
        select_descriptors(self.descriptors, self.num_mel_bins, self.deltas)
        if self.smoothing_frames < 1 or self.smoothing_frames % 2 == 0:
            raise ValueError(f"smoothing_frames={self.smoothing_frames} must be an odd number of frames: 1, 3, 5, ...")
        samples = round(self.frame_length_ms * self.sampling_rate / 1000)
        if self.fft_length is not None and self.fft_length < samples:
            raise ValueError(
                f"fft_length={self.fft_length} is shorter than frame_length_ms={self.frame_length_ms}, "
                f"which is {samples} samples"
            )


@strict
class AVEmotionImageConfig(AVEmotionEncoderConfig):
    r"""Configuration of the image models: expression backbone and RNN (CN112633263A, modules 4 to 6).

    Args:
        backbone_config (`PreTrainedConfig` or `dict`, *optional*):
            Any image model of transformers whose output has a `pooler_output`; a small [`ResNetConfig`] by default.
            `TimmWrapperConfig(architecture="densenet121")` is a DenseNet (extra `timm`).
        backbone_batch_size (`int`, *optional*, defaults to 256):
            Face crops that pass through the backbone at once, which bounds the memory for long clips.
        backbone_layers (`list[int]`, *optional*):
            Numbers of the backbone's hidden states that stand side by side in each frame, -1 for its pooled output,
            which alone is read by default. Of acted clips, layers halfway up tell more than the last one, which
            knows the emotions of pictures alone.
        backbone_fields (`int`, *optional*, defaults to 4):
            Each of these hidden states is averaged over so many fields of the picture in each direction.

    Example:
    ```python
    >>> from av_emotion_hf import AVEmotionImageConfig, AVEmotionImageModel

    >>> model = AVEmotionImageModel(AVEmotionImageConfig())
    ```
    """

    model_type = "av_emotion_image"
    base_config_key = "image_config"

    backbone_config: dict | PreTrainedConfig | None = None
    backbone_batch_size: int = 256
    backbone_layers: list[int] | None = None
    backbone_fields: int = 4

    def __post_init__(self, **kwargs):
        if self.backbone_config is None:
            self.backbone_config = default_backbone()
        elif isinstance(self.backbone_config, dict):
            self.backbone_config = as_config(self.backbone_config, "resnet")
        super().__post_init__(**kwargs)

    def validate_modality(self):
        """Check that the objective is one of faces."""
        if self.objective == "distill":
            raise ValueError("objective='distill' predicts a speech encoder, for voices; choose another for faces")

    @property
    def frames_per_second(self) -> float:
        """Face crops per second, as clips are read unless another rate is asked for."""
        return 10.0

    @property
    def image_feature_size(self) -> int:
        """Size F of what is read from the backbone in each frame."""
        backbone: Any = self.backbone_config  # no dict after `__post_init__`
        return feature_size(backbone, self.backbone_layers, self.backbone_fields)

    def validate_layers(self):
        """Check the choice of layers; whether the backbone has them is known only once it is built."""
        if self.backbone_layers is not None and not self.backbone_layers:
            raise ValueError("backbone_layers=[]: leave it out for the pooled output, or name layers, such as [7, 10]")
        if self.backbone_fields < 1:
            raise ValueError(f"backbone_fields={self.backbone_fields} must be at least 1")


@strict
class AVEmotionConfig(PreTrainedConfig):
    r"""Configuration of the fusion models (CN112633263A, modules 7 and 8).

    Args:
        audio_config (`AVEmotionAudioConfig` or `dict`, *optional*): the audio encoder.
        image_config (`AVEmotionImageConfig` or `dict`, *optional*): the image encoder.
        fusion (`str`, *optional*, defaults to `"concat"`):
            How voice and face come together: one of `FUSION_TYPES`. Their sentence-level vectors are concatenated
            (CN112633263A), mixed by a gate (`gated`) or by `attention` over the two; or each has a classifier of its
            own, whose distributions are combined (`late`).
        fusion_size (`int`, *optional*, defaults to 128): size of the fused vector of `gated` and `attention`.
        late_rule (`str`, *optional*, defaults to `"product"`):
            Whether `late` takes the `product` or the `mean` of the two distributions.
        temperatures (`dict[str, float]`, *optional*):
            By what the logits are divided so that scores are as high as they are often right: of clips with `audio`
            alone, with `image` alone and with `both`. With `late`, the first two also divide the logits of each
            modality before the two are combined.
        modality_dropout (`float`, *optional*, defaults to 0.0):
            Probability that training drops one modality of a clip, so that one checkpoint also serves audio only and
            video only. Never both modalities of a clip. The patent has no such dropout.
        classifier_dropout (`float`, *optional*, defaults to 0.0): dropout before the fully connected layer.

    Example:
    ```python
    >>> from av_emotion_hf import AVEmotionConfig, AVEmotionForSequenceClassification

    >>> model = AVEmotionForSequenceClassification(AVEmotionConfig(num_labels=6))
    ```
    """

    model_type = "av_emotion"
    keys_to_ignore_at_inference = ["modality_shares"]  # noqa: RUF012  # a Trainer gathers the logits alone
    sub_configs_defaults = {  # noqa: RUF012
        "audio_config": AVEmotionAudioConfig,  # type: ignore[dict-item]  # transformers accepts a class as a spec
        "image_config": AVEmotionImageConfig,  # type: ignore[dict-item]
    }

    audio_config: dict | PreTrainedConfig | None = None
    image_config: dict | PreTrainedConfig | None = None
    fusion: str = "concat"
    fusion_size: int = 128
    late_rule: str = "product"
    temperatures: dict | None = None
    modality_dropout: float | int = 0.0
    classifier_dropout: float | int = 0.0

    def __post_init__(self, **kwargs):
        # transformers 5.21 and later does this itself
        if not isinstance(self.audio_config, PreTrainedConfig):
            self.audio_config = AVEmotionAudioConfig(**(self.audio_config or {}))
        if not isinstance(self.image_config, PreTrainedConfig):
            self.image_config = AVEmotionImageConfig(**(self.image_config or {}))
        super().__post_init__(**_without_remote_pipeline(kwargs))

    @property
    def hidden_size(self) -> int:
        """Size of the fused vector with the patent's pooling."""
        return sum(config.hidden_size for config in self.encoder_configs)

    @property
    def encoder_configs(self) -> tuple[AVEmotionAudioConfig, AVEmotionImageConfig]:
        """Configurations of the audio and of the image encoder."""
        return self.audio_config, self.image_config  # type: ignore[return-value]  # no dict after `__post_init__`

    def validate_fusion(self):
        """Check the fields of the fusion."""
        if self.fusion not in FUSION_TYPES:
            raise ValueError(f"fusion={self.fusion!r} is not one of {FUSION_TYPES}")
        if self.late_rule not in LATE_RULES:
            raise ValueError(f"late_rule={self.late_rule!r} is not one of {LATE_RULES}")
        if self.fusion_size < 1:
            raise ValueError(f"fusion_size={self.fusion_size} must be at least 1")
        for name, value in (self.temperatures or {}).items():
            if name not in PRESENCES or isinstance(value, bool) or not 0 < value < math.inf:
                raise ValueError(
                    f"temperatures={self.temperatures}: each of {', '.join(PRESENCES)} has a positive number, and "
                    f"{name!r} has {value!r}"
                )
        if not 0 <= self.modality_dropout <= 1:
            raise ValueError(f"modality_dropout={self.modality_dropout} must be between 0 and 1")
        if not 0 <= self.classifier_dropout < 1:
            raise ValueError(f"classifier_dropout={self.classifier_dropout} must be from 0 to below 1")


__all__ = [
    "AVEmotionAudioConfig",
    "AVEmotionConfig",
    "AVEmotionEncoderConfig",
    "AVEmotionImageConfig",
]
