"""Checkpoints: what kind one is, and models that are built from the parts of earlier ones."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForImageClassification,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import SAFE_WEIGHTS_NAME, cached_file

from .errors import InputError
from .models.backbones_av_emotion import cut_layers, depth
from .models.configuration_av_emotion import (
    SPEECH_ENCODERS,
    AVEmotionAudioConfig,
    AVEmotionConfig,
    AVEmotionImageConfig,
)
from .models.feature_extraction_av_emotion import AVEmotionFeatureExtractor
from .models.image_processing_av_emotion import AVEmotionImageProcessor
from .models.modeling_av_emotion import (
    AVEmotionAudioForPreTraining,
    AVEmotionAudioForSequenceClassification,
    AVEmotionForSequenceClassification,
    AVEmotionImageForPreTraining,
    AVEmotionImageForSequenceClassification,
    AVEmotionPreTrainedModel,
)
from .models.processing_av_emotion import AVEmotionProcessor
from .utils import label_maps, reason

SHIPPED = Path(__file__).parent / "checkpoints"
DEFAULT_CHECKPOINT = str(SHIPPED / "av-emotion-base")  # voice, face or both, for research
MIT_CHECKPOINT = str(SHIPPED / "av-emotion-base-mit")  # the same of one dataset, also for commercial use
VOICE_CHECKPOINT = str(SHIPPED / "av-emotion-voice")  # the voice of the default one, of many datasets, for research
MIT_VOICE_CHECKPOINT = str(SHIPPED / "av-emotion-voice-mit")  # of one dataset, also for commercial use
SMALL_VOICE_CHECKPOINT = str(SHIPPED / "av-emotion-voice-small")  # distilled, without a speech encoder, for research
FACE_CHECKPOINT = str(SHIPPED / "av-emotion-face")  # of pictures of faces alone, for research
SHIPPED_CHECKPOINTS = {
    Path(path).name: path
    for path in (
        DEFAULT_CHECKPOINT,
        MIT_CHECKPOINT,
        VOICE_CHECKPOINT,
        MIT_VOICE_CHECKPOINT,
        SMALL_VOICE_CHECKPOINT,
        FACE_CHECKPOINT,
    )
}

# by `model_type`: what a checkpoint is, and its modality; an expression recognizer is the backbone of an image model
KINDS = {
    "av_emotion_audio": "an audio model",
    "av_emotion_image": "an image model",
    "av_emotion": "a fusion model",
    "mobilenet_v2": "an expression recognizer",
    "resnet": "an expression recognizer",
    "timm_wrapper": "an expression recognizer",
}
MODALITY_OF = {
    "av_emotion_audio": "audio",
    "av_emotion_image": "image",
    "av_emotion": "fusion",
    "mobilenet_v2": "expression",
    "resnet": "expression",
    "timm_wrapper": "expression",
}
CLASSIFIER_FIELDS = ("id2label", "label2id", "architectures")  # of a recognizer, whose last layer a backbone lacks
FUSION_FIELDS = ("fusion", "fusion_size", "late_rule")  # of a fusion model that another one begins with
# by modality: the parts that a checkpoint has and that a model needs
PARTS = {"audio": {"audio"}, "image": {"image"}, "fusion": {"audio", "image"}, "expression": {"image"}}
MODELS: dict[tuple[str, str], type[AVEmotionPreTrainedModel]] = {
    ("pretraining", "audio"): AVEmotionAudioForPreTraining,
    ("pretraining", "image"): AVEmotionImageForPreTraining,
    ("classification", "audio"): AVEmotionAudioForSequenceClassification,
    ("classification", "image"): AVEmotionImageForSequenceClassification,
    ("classification", "fusion"): AVEmotionForSequenceClassification,
}


def locate_checkpoint(checkpoint: str) -> str:
    """Where a checkpoint is: the folder of one in this package for its name, else what was given.

    Args:
        checkpoint: folder or Hub name, or the name of one in this package, such as `av-emotion-voice-mit`. A folder
            of that name comes first.
    """
    return checkpoint if Path(checkpoint).exists() else SHIPPED_CHECKPOINTS.get(checkpoint, checkpoint)


def read_config(checkpoint: str) -> PreTrainedConfig:
    """The configuration of a checkpoint, see [`locate_checkpoint`].

    Raises:
        InputError: there is none, or it is of a kind that this package does not support.
    """
    config = _read_any_config(locate_checkpoint(checkpoint))
    if config.model_type not in KINDS:
        raise InputError(
            f"{checkpoint}: is a {config.model_type!r} checkpoint; this package supports {', '.join(sorted(KINDS))}"
        )
    return config


def _read_any_config(
    checkpoint: str, remedy: str = "give a folder that a training command wrote, or a Hub name"
) -> PreTrainedConfig:
    if Path(checkpoint).exists() and not (Path(checkpoint) / "config.json").is_file():
        raise InputError(f"{checkpoint}: is not a checkpoint, it has no config.json; {remedy}")
    try:
        return AutoConfig.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        raise InputError(f"{checkpoint}: no checkpoint could be read there; {remedy}") from error


def fits(checkpoint: str, modality: str) -> bool:
    """Whether a checkpoint has a part for a model of this modality.

    Raises:
        InputError: the checkpoint cannot be read.
    """
    return _has_part(read_config(checkpoint).model_type, modality)


def _has_part(model_type: str, modality: str) -> bool:
    return bool(PARTS[MODALITY_OF[model_type]] & PARTS[modality])


def load_weights(model_class: Any, checkpoint: str, **kwargs: Any) -> Any:
    """`model_class.from_pretrained(checkpoint)`, with one clear error for weights that are missing or damaged.

    Raises:
        InputError: the weights cannot be read.
    """
    try:
        return model_class.from_pretrained(locate_checkpoint(checkpoint), **kwargs)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise InputError(
            f"{checkpoint}: its weights cannot be read ({reason(error)}); copy or download the checkpoint again"
        ) from error


@dataclass
class ModelBundle:
    """A model and the processors that prepare its inputs.

    Attributes:
        model: the model.
        feature_extractor: for waveforms; `None` for a model without audio.
        image_processor: for face crops; `None` for a model without video.
        normalized: the parts, `audio` and `image`, whose feature statistics came with a checkpoint.
    """

    model: PreTrainedModel
    feature_extractor: AVEmotionFeatureExtractor | None
    image_processor: AVEmotionImageProcessor | None
    normalized: frozenset[str] = frozenset()

    def processor(self, modality: str) -> AVEmotionProcessor | AVEmotionFeatureExtractor | AVEmotionImageProcessor:
        """The processor that is saved with a model of this modality."""
        if modality == "fusion":
            return AVEmotionProcessor(self.feature_extractor, self.image_processor)
        processor = self.feature_extractor if modality == "audio" else self.image_processor
        if processor is None:
            raise ValueError(f"modality={modality!r}: {type(self.model).__name__} has no processor for it")
        return processor

    @property
    def feature_sizes(self) -> dict[str, int]:
        """Number of values per frame of each of the model's encoders, by part."""
        encoders = {part: getattr(self.model, f"{part}_encoder", None) for part in ("audio", "image")}
        return {part: encoder.num_features for part, encoder in encoders.items() if encoder is not None}


@dataclass
class SpeechEncoder:
    """A speech encoder of transformers, as the backbone of a new audio model.

    Attributes:
        fields: of the audio model's configuration.
        weights: of the layers that are used.
    """

    fields: dict[str, Any]
    weights: dict[str, Tensor]


def load_speech_encoder(name: str | None, layers: int | None = None) -> SpeechEncoder | None:
    """Load a speech encoder.

    Args:
        name: Hub name or folder of a Whisper, wav2vec 2.0, HuBERT or WavLM model, such as `openai/whisper-base`;
            `None` gives `None`.
        layers: that are used, from the first; all of them when `None`. The others do not become part of the model.

    Raises:
        InputError: there is none, it is a model of another kind, it has fewer layers, its weights cannot be read or
            are of another size, or there are layers of no encoder.
    """
    if name is None:
        if layers is not None:
            raise InputError(f"--speech-layers {layers}: are those of --speech-encoder; add it, or leave them out")
        return None
    config = _read_any_config(name, "give the Hub name or folder of a speech encoder, such as openai/whisper-base")
    if config.model_type not in SPEECH_ENCODERS:
        raise InputError(
            f"{name}: is a {config.model_type!r} model, and a speech encoder is one of {', '.join(SPEECH_ENCODERS)}; "
            "use openai/whisper-base, for instance"
        )
    model, info = load_weights(
        AutoModel, name, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
    )
    try:
        cut_layers(config, depth(config) if layers is None else layers)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    is_whisper = config.model_type == "whisper"
    prefix = "encoder." if is_whisper else ""
    for key, found, expected in sorted(info["mismatched_keys"]):
        if key.startswith(prefix):
            shapes = " and ".join("x".join(map(str, shape)) for shape in (found, expected))
            raise InputError(
                f"{name}: its weights are of another size than its config.json says ({key}: {shapes}); copy the model "
                "again"
            )
    missing = [key for key in info["missing_keys"] if key.startswith(prefix)]
    if missing:
        raise InputError(f"{name}: its weights cannot be used (it lacks {min(missing)}); copy the model again")
    encoder = model.encoder if is_whisper else model
    unused = [f"{'' if is_whisper else 'encoder.'}layers.{number}." for number in range(depth(config), 100)]
    unused += ["layer_norm."] if is_whisper else []
    weights = {key: value for key, value in encoder.state_dict().items() if not key.startswith(tuple(unused))}
    normalize = False
    if not is_whisper:
        try:
            normalize = bool(AutoFeatureExtractor.from_pretrained(name).do_normalize)
        except OSError as error:
            raise InputError(
                f"{name}: has no preprocessor_config.json, which says how it expects waveforms; copy the model again"
            ) from error
    fields = _fields(config) | {"model_type": config.model_type}
    return SpeechEncoder({"backbone_config": fields, "backbone_normalize": normalize}, weights)


def build_model(
    task: str,
    modality: str,
    checkpoints: Sequence[str] = (),
    labels: list[str] | None = None,
    config_overrides: dict | None = None,
    speech_encoder: SpeechEncoder | None = None,
) -> ModelBundle:
    """Build a model from the parts of earlier checkpoints.

    Args:
        task: `pretraining` or `classification`.
        modality: `audio`, `image` or `fusion`.
        checkpoints: folders or Hub names of audio, image or fusion models, or of an expression recognizer, or names
            of those in this package, see [`locate_checkpoint`]; each part is taken from the last checkpoint that has
            it. Heads are always initialized from scratch.
        labels: class names of a classifier.
        config_overrides: configuration fields that differ from the checkpoints' or from the defaults; those of the
            encoders of a fusion model are nested in `audio_config` and `image_config`.
        speech_encoder: backbone of a new audio part, see [`load_speech_encoder`].

    Raises:
        InputError: a checkpoint is missing, has no part for this modality, or has weights of another size than the
            configuration asks for; or there are two audio parts.
    """
    config_overrides = dict(config_overrides or {})
    found = {}
    for checkpoint in checkpoints:
        config = read_config(checkpoint)
        if not _has_part(config.model_type, modality):
            fitting = sorted({KINDS[model_type] for model_type in KINDS if _has_part(model_type, modality)})
            raise InputError(
                f"{checkpoint}: is {KINDS[config.model_type]}, which has no part for --modality {modality}; "
                f"give {' or '.join(fitting)}"
            )
        found[checkpoint] = config
    if speech_encoder is not None:
        for checkpoint, config in found.items():
            if "audio" in PARTS[MODALITY_OF[config.model_type]]:
                raise InputError(
                    f"{checkpoint}: has an audio part already; leave out --speech-encoder, or this --init"
                )
        if "audio" not in PARTS[modality]:
            raise InputError(f"--speech-encoder is for voices, not for --modality {modality}")
        if modality == "fusion":
            config_overrides["audio_config"] = speech_encoder.fields | config_overrides.get("audio_config", {})
        else:
            config_overrides = speech_encoder.fields | config_overrides
    configuration = _configuration(modality, list(found.values()), labels, config_overrides)
    try:
        model = MODELS[task, modality](configuration)
    except ValueError as error:  # a backbone without a layer that is asked for
        raise InputError(f"--config: {error}") from error
    if speech_encoder is not None:
        model.get_submodule("audio_encoder.backbone.encoder").load_state_dict(speech_encoder.weights)
    feature_extractor = image_processor = None
    if "audio" in PARTS[modality]:
        audio_config = getattr(model.config, "audio_config", model.config)
        feature_extractor = AVEmotionFeatureExtractor(sampling_rate=audio_config.sampling_rate)
    if "image" in PARTS[modality]:
        image_processor = AVEmotionImageProcessor()
    normalized: set[str] = set()
    for checkpoint, config in found.items():
        trained = load_weights(AutoModel, checkpoint)
        try:
            normalized |= _copy_parts(trained, model)
        except RuntimeError as error:  # of torch: a line for each weight
            raise InputError(
                f"{checkpoint}: its weights do not fit into the model ({_misfit(error)}); leave out of --config what "
                "changes the size of its parts, or leave out this --init"
            ) from error
        if image_processor is not None and "image" in PARTS[MODALITY_OF[config.model_type]]:
            image_processor = AVEmotionImageProcessor.from_pretrained(locate_checkpoint(checkpoint))
    return ModelBundle(model, feature_extractor, image_processor, frozenset(normalized))


def _configuration(
    modality: str, found: list[PreTrainedConfig], labels: list[str] | None, overrides: dict
) -> PreTrainedConfig:
    """The configuration of a new model: the checkpoints' for the parts that they have, changed by `overrides`."""
    parts: dict[str, dict] = {"audio": {}, "image": {}}
    fusion = {}
    for config in found:
        own = MODALITY_OF[config.model_type]
        if own == "expression":
            fields = {name: value for name, value in _fields(config).items() if name not in CLASSIFIER_FIELDS}
            parts["image"]["backbone_config"] = fields | {"model_type": config.model_type}
        elif own == "fusion":
            parts = {part: _fields(getattr(config, f"{part}_config")) for part in parts}
            fusion = {name: getattr(config, name) for name in FUSION_FIELDS}
        else:
            parts[own] = _fields(config)
    names = {} if labels is None else label_maps(labels)
    if modality == "fusion":
        audio_config = AVEmotionAudioConfig.from_dict(parts["audio"] | overrides.pop("audio_config", {}))
        image_config = AVEmotionImageConfig.from_dict(parts["image"] | overrides.pop("image_config", {}))
        return AVEmotionConfig(audio_config=audio_config, image_config=image_config, **(names | fusion | overrides))
    config_class = AVEmotionAudioConfig if modality == "audio" else AVEmotionImageConfig
    return config_class.from_dict(parts[modality] | names | overrides)


def _fields(config: PreTrainedConfig) -> dict:
    """A configuration's fields, without the path it was loaded from, which must not be saved with a new model."""
    fields = config.to_dict()
    for owner in (fields, fields.get("backbone_config") or {}):
        owner.pop("_name_or_path", None)
    return fields


def _copy_parts(trained: PreTrainedModel, model: PreTrainedModel) -> set[str]:
    """Copy the encoders of `trained`, or its backbone, into the model.

    Returns:
        The parts whose feature statistics came along: not those of a backbone that is read at other layers.
    """
    own = MODALITY_OF[trained.config.model_type]
    if own == "expression":
        model.get_submodule("image_encoder.backbone").load_state_dict(trained.state_dict())
        return set()
    normalized = set()
    for part in ("audio", "image"):
        target: Any = getattr(model, f"{part}_encoder", None)
        source: Any = trained if own == part else getattr(trained, f"{part}_encoder", None)
        if target is None or source is None:
            continue
        if part == "image" and _read_layers(source.config) != _read_layers(target.config):
            target.backbone.load_state_dict(source.backbone.state_dict())
            continue
        target.load_state_dict(source.state_dict())
        normalized.add(part)
    return normalized


def _read_layers(config: AVEmotionImageConfig) -> tuple:
    """What decides which values of the backbone a frame holds."""
    return config.backbone_layers, None if config.backbone_layers is None else config.backbone_fields


def _misfit(error: RuntimeError) -> str:
    """The first weight that `load_state_dict` complains of, in one line."""
    lines = [line.strip().rstrip(".") for line in str(error).splitlines()]
    return next((line for line in lines[1:] if line), lines[0])


def load_classifier(checkpoint: str) -> tuple[str, ModelBundle]:
    """The modality of a classifier (`expression` for one of single images), and the classifier with its processors.

    Args:
        checkpoint: folder or Hub name, or the name of one in this package, see [`locate_checkpoint`].

    Raises:
        InputError: the checkpoint has no trained classifier.
    """
    checkpoint = locate_checkpoint(checkpoint)
    config = read_config(checkpoint)
    modality = MODALITY_OF[config.model_type]
    model_class = MODELS.get(("classification", modality), AutoModelForImageClassification)
    model, info = load_weights(model_class, checkpoint, output_loading_info=True)
    if info["missing_keys"]:
        raise InputError(
            f"{checkpoint}: is {KINDS[config.model_type]} without a trained classifier "
            f"(it lacks {min(info['missing_keys'])}); fine-tune it first"
        )
    has_audio, has_video = "audio" in PARTS[modality], "image" in PARTS[modality]
    feature_extractor = AVEmotionFeatureExtractor.from_pretrained(checkpoint) if has_audio else None
    image_processor = AVEmotionImageProcessor.from_pretrained(checkpoint) if has_video else None
    return modality, ModelBundle(model.eval(), feature_extractor, image_processor)


def weights_sha256(checkpoint: str) -> str | None:
    """SHA-256 of a checkpoint's `model.safetensors`, in hexadecimal digits; `None` where it has no such file.

    Args:
        checkpoint: folder, Hub name, or name of one in this package, see [`load_classifier`].
    """
    if not Path(checkpoint).exists():
        checkpoint = SHIPPED_CHECKPOINTS.get(checkpoint, checkpoint)
    file = cached_file(checkpoint, SAFE_WEIGHTS_NAME, _raise_exceptions_for_missing_entries=False)
    if file is None:
        return None
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


StartingPoint = ModelBundle  # the old name works until 0.3

__all__ = [
    "DEFAULT_CHECKPOINT",
    "FACE_CHECKPOINT",
    "KINDS",
    "MIT_CHECKPOINT",
    "MIT_VOICE_CHECKPOINT",
    "MODALITY_OF",
    "ModelBundle",
    "SHIPPED_CHECKPOINTS",
    "SMALL_VOICE_CHECKPOINT",
    "VOICE_CHECKPOINT",
    "SpeechEncoder",
    "build_model",
    "fits",
    "load_classifier",
    "load_speech_encoder",
    "load_weights",
    "locate_checkpoint",
    "read_config",
    "weights_sha256",
]
