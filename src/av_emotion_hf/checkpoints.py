"""Checkpoints: what kind one is, and models that are built from the parts of earlier ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from .errors import InputError
from .models.configuration_av_emotion import AVEmotionAudioConfig, AVEmotionConfig, AVEmotionImageConfig
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

DEFAULT_CHECKPOINT = str(Path(__file__).parent / "checkpoints" / "av-emotion-small")

# by `model_type`: what a checkpoint is, and its modality; an expression recognizer is the backbone of an image model
KINDS = {
    "av_emotion_audio": "an audio model",
    "av_emotion_image": "an image model",
    "av_emotion": "a fusion model",
    "resnet": "an expression recognizer",
    "timm_wrapper": "an expression recognizer",
}
MODALITY_OF = {
    "av_emotion_audio": "audio",
    "av_emotion_image": "image",
    "av_emotion": "fusion",
    "resnet": "expression",
    "timm_wrapper": "expression",
}
# by modality: the parts that a checkpoint has and that a model needs
PARTS = {"audio": {"audio"}, "image": {"image"}, "fusion": {"audio", "image"}, "expression": {"image"}}
MODELS: dict[tuple[str, str], type[AVEmotionPreTrainedModel]] = {
    ("pretraining", "audio"): AVEmotionAudioForPreTraining,
    ("pretraining", "image"): AVEmotionImageForPreTraining,
    ("classification", "audio"): AVEmotionAudioForSequenceClassification,
    ("classification", "image"): AVEmotionImageForSequenceClassification,
    ("classification", "fusion"): AVEmotionForSequenceClassification,
}


def read_config(checkpoint: str) -> PreTrainedConfig:
    """The configuration of a checkpoint folder or Hub name.

    Raises:
        InputError: there is none, or it is of a kind that this package does not support.
    """
    if Path(checkpoint).exists() and not (Path(checkpoint) / "config.json").is_file():
        raise InputError(
            f"{checkpoint}: is not a checkpoint, it has no config.json; give a folder that a training command wrote"
        )
    try:
        config = AutoConfig.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{checkpoint}: no checkpoint could be read there; give a folder that a training command wrote, or a Hub "
            "name"
        ) from error
    if config.model_type not in KINDS:
        raise InputError(
            f"{checkpoint}: is a {config.model_type!r} checkpoint; this package supports {', '.join(sorted(KINDS))}"
        )
    return config


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
        return model_class.from_pretrained(checkpoint, **kwargs)
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


def build_model(
    task: str,
    modality: str,
    checkpoints: Sequence[str] = (),
    labels: list[str] | None = None,
    config_overrides: dict | None = None,
) -> ModelBundle:
    """Build a model from the parts of earlier checkpoints.

    Args:
        task: `pretraining` or `classification`.
        modality: `audio`, `image` or `fusion`.
        checkpoints: folders or Hub names of audio, image or fusion models, or of an expression recognizer; each
            part is taken from the last checkpoint that has it. Heads are always initialized from scratch.
        labels: class names of a classifier.
        config_overrides: configuration fields that differ from the checkpoints' or from the defaults; those of the
            encoders of a fusion model are nested in `audio_config` and `image_config`.

    Raises:
        InputError: a checkpoint is missing or has no part for this modality.
    """
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
    model = MODELS[task, modality](
        _configuration(modality, list(found.values()), labels, dict(config_overrides or {}))
    )
    feature_extractor = image_processor = None
    if "audio" in PARTS[modality]:
        audio_config = getattr(model.config, "audio_config", model.config)
        feature_extractor = AVEmotionFeatureExtractor(sampling_rate=audio_config.sampling_rate)
    if "image" in PARTS[modality]:
        image_processor = AVEmotionImageProcessor()
    normalized: set[str] = set()
    for checkpoint, config in found.items():
        own = MODALITY_OF[config.model_type]
        _copy_parts(load_weights(AutoModel, checkpoint), model)
        if image_processor is not None and "image" in PARTS[own]:
            image_processor = AVEmotionImageProcessor.from_pretrained(checkpoint)
        if own != "expression":
            normalized |= PARTS[own]
    return ModelBundle(model, feature_extractor, image_processor, frozenset(normalized))


def _configuration(
    modality: str, found: list[PreTrainedConfig], labels: list[str] | None, overrides: dict
) -> PreTrainedConfig:
    """The configuration of a new model: the checkpoints' for the parts that they have, changed by `overrides`."""
    parts: dict[str, dict] = {"audio": {}, "image": {}}
    for config in found:
        own = MODALITY_OF[config.model_type]
        if own == "expression":
            parts["image"]["backbone_config"] = _fields(config) | {"model_type": config.model_type}
        elif own == "fusion":
            parts = {part: _fields(getattr(config, f"{part}_config")) for part in parts}
        else:
            parts[own] = _fields(config)
    names = {} if labels is None else label_maps(labels)
    if modality == "fusion":
        audio_config = AVEmotionAudioConfig.from_dict(parts["audio"] | overrides.pop("audio_config", {}))
        image_config = AVEmotionImageConfig.from_dict(parts["image"] | overrides.pop("image_config", {}))
        return AVEmotionConfig(audio_config=audio_config, image_config=image_config, **names, **overrides)
    config_class = AVEmotionAudioConfig if modality == "audio" else AVEmotionImageConfig
    return config_class.from_dict(parts[modality] | names | overrides)


def _fields(config: PreTrainedConfig) -> dict:
    """A configuration's fields, without the path it was loaded from, which must not be saved with a new model."""
    fields = config.to_dict()
    for owner in (fields, fields.get("backbone_config") or {}):
        owner.pop("_name_or_path", None)
    return fields


def _copy_parts(trained: PreTrainedModel, model: PreTrainedModel) -> None:
    """Copy the encoders of `trained`, or its backbone, into the model."""
    own = MODALITY_OF[trained.config.model_type]
    if own == "expression":
        model.get_submodule("image_encoder.backbone").load_state_dict(trained.state_dict())
        return
    for part in ("audio", "image"):
        target = getattr(model, f"{part}_encoder", None)
        source = trained if own == part else getattr(trained, f"{part}_encoder", None)
        if target is not None and source is not None:
            target.load_state_dict(source.state_dict())


def load_classifier(checkpoint: str) -> tuple[str, ModelBundle]:
    """The modality of a classifier (`expression` for one of single images), and the classifier with its processors.

    Raises:
        InputError: the checkpoint has no trained classifier.
    """
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


StartingPoint = ModelBundle  # the old name works until 0.3

__all__ = [
    "DEFAULT_CHECKPOINT",
    "KINDS",
    "ModelBundle",
    "build_model",
    "fits",
    "load_classifier",
    "load_weights",
    "read_config",
]
