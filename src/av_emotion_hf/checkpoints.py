"""Checkpoints as starting points: which kind one is, and how its parts get into a new model."""

import logging
from dataclasses import dataclass
from pathlib import Path

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
)
from .models.processing_av_emotion import AVEmotionProcessor

logger = logging.getLogger(__name__)

DEFAULT_CHECKPOINT = str(Path(__file__).parent / "checkpoints" / "av-emotion-small")
KINDS = {
    "av_emotion_audio": "an audio model",
    "av_emotion_image": "an image model",
    "av_emotion": "a fusion model",
    "resnet": "an expression recogniser",
    "timm_wrapper": "an expression recogniser",
}
FITTING = {
    "audio": ("av_emotion_audio", "av_emotion"),
    "image": ("av_emotion_image", "av_emotion", "resnet", "timm_wrapper"),
    "fusion": ("av_emotion_audio", "av_emotion_image", "av_emotion", "resnet", "timm_wrapper"),
}
CONFIGS = {"audio": AVEmotionAudioConfig, "image": AVEmotionImageConfig, "fusion": AVEmotionConfig}
MODELS = {
    ("pretraining", "audio"): AVEmotionAudioForPreTraining,
    ("pretraining", "image"): AVEmotionImageForPreTraining,
    ("classification", "audio"): AVEmotionAudioForSequenceClassification,
    ("classification", "image"): AVEmotionImageForSequenceClassification,
    ("classification", "fusion"): AVEmotionForSequenceClassification,
}

MODALITY_OF = {"av_emotion_audio": "audio", "av_emotion_image": "image", "av_emotion": "fusion"}


def read_config(checkpoint: str) -> PreTrainedConfig:
    """The configuration of a checkpoint folder or Hub name.

    Raises:
        InputError: there is none, or it is of a kind that this package does not know.
    """
    if Path(checkpoint).exists() and not (Path(checkpoint) / "config.json").is_file():
        raise InputError(
            f"{checkpoint}: is not a checkpoint, it has no config.json; give a folder that a training wrote"
        )
    try:
        config = AutoConfig.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{checkpoint}: no checkpoint could be read there; give a folder that a training wrote, or a Hub name"
        ) from error
    if config.model_type not in KINDS:
        raise InputError(
            f"{checkpoint}: is a {config.model_type!r} checkpoint; this package takes {', '.join(sorted(set(KINDS)))}"
        )
    return config


def load_weights(model_class, checkpoint: str, **kwargs):
    """`model_class.from_pretrained(checkpoint)`, with one clear error for weights that are missing or damaged.

    Raises:
        InputError: the weights cannot be read.
    """
    try:
        return model_class.from_pretrained(checkpoint, **kwargs)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{checkpoint}: its weights cannot be read ({reason}); copy or download the checkpoint anew"
        ) from error


@dataclass
class StartingPoint:
    """A new model and the processors that prepare its input.

    Attributes:
        model: the model, partly trained where checkpoints were given.
        feature_extractor: for waveforms.
        image_processor: for face crops.
        normalized: modalities whose feature statistics came with a checkpoint.
    """

    model: PreTrainedModel
    feature_extractor: AVEmotionFeatureExtractor
    image_processor: AVEmotionImageProcessor
    normalized: frozenset[str] = frozenset()

    def processor(self, modality: str):
        """What is saved beside a model of this modality."""
        if modality == "fusion":
            return AVEmotionProcessor(self.feature_extractor, self.image_processor)
        return self.feature_extractor if modality == "audio" else self.image_processor

    @property
    def feature_sizes(self) -> dict[str, int]:
        """Values per frame that the model's encoders read."""
        encoders = {"audio": "audio_encoder", "image": "image_encoder"}
        found = {name: getattr(self.model, attribute, None) for name, attribute in encoders.items()}
        return {name: encoder.num_features for name, encoder in found.items() if encoder is not None}


def build_model(
    task: str, modality: str, checkpoints: list[str], labels: list[str] | None = None, settings: dict | None = None
) -> StartingPoint:
    """Build a model and put the parts of earlier checkpoints into it.

    Args:
        task: `pretraining` or `classification`.
        modality: `audio`, `image` or `fusion`.
        checkpoints: folders or Hub names of audio, image or fusion models, or of an expression recogniser; each
            part is taken from the last checkpoint that has it. Heads always start anew.
        labels: class names of a classifier.
        settings: configuration fields that differ from the checkpoints' or from the defaults; for a fusion model
            those of its encoders stand in `audio_config` and `image_config`.

    Raises:
        InputError: a checkpoint is missing or of a kind that has no part for this modality.
    """
    found = {}
    for checkpoint in checkpoints:
        config = read_config(checkpoint)
        if config.model_type not in FITTING[modality]:
            raise InputError(
                f"{checkpoint}: is {KINDS[config.model_type]}, which has no part for --modality {modality}; "
                f"give {' or '.join(sorted({KINDS[kind] for kind in FITTING[modality]}))}"
            )
        found[checkpoint] = config
    config = _configuration(modality, list(found.values()), labels, dict(settings or {}))
    model = MODELS[task, modality](config)
    image_processor = AVEmotionImageProcessor()
    for checkpoint in checkpoints:
        _transplant(load_weights(AutoModel, checkpoint), model)
        if found[checkpoint].model_type != "av_emotion_audio":
            image_processor = AVEmotionImageProcessor.from_pretrained(checkpoint)
    sampling_rate = getattr(config, "audio_config", config).to_dict().get("sampling_rate", 16000)
    kinds = {config.model_type for config in found.values()}
    normalized = {name for name in ("audio", "image") if kinds & {f"av_emotion_{name}", "av_emotion"}}
    feature_extractor = AVEmotionFeatureExtractor(sampling_rate=sampling_rate)
    return StartingPoint(model, feature_extractor, image_processor, frozenset(normalized))


def _configuration(modality: str, found: list, labels: list[str] | None, settings: dict):
    """The configuration of a new model: from the checkpoints' where they have that part, changed by `settings`."""
    parts = {"audio": {}, "image": {}}
    for config in found:
        if config.model_type in ("resnet", "timm_wrapper"):
            parts["image"]["backbone_config"] = _fields(config) | {"model_type": config.model_type}
        for name in parts:
            part = getattr(config, f"{name}_config", config if config.model_type == f"av_emotion_{name}" else None)
            if part is not None:
                parts[name] = _fields(part)
    names = {}
    if labels is not None:
        names = {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
    if modality != "fusion":
        return CONFIGS[modality].from_dict(parts[modality] | names | settings)
    for name in parts:
        parts[name] |= settings.pop(f"{name}_config", {})
    return AVEmotionConfig(
        audio_config=AVEmotionAudioConfig.from_dict(parts["audio"]),
        image_config=AVEmotionImageConfig.from_dict(parts["image"]),
        **names,
        **settings,
    )


def _fields(config: PreTrainedConfig) -> dict:
    """A configuration's fields, without the place it was loaded from: that must not travel with a new model."""
    fields = config.to_dict()
    for owner in (fields, fields.get("backbone_config") or {}):
        owner.pop("_name_or_path", None)
    return fields


def _transplant(trained: PreTrainedModel, model: PreTrainedModel) -> None:
    """Copy the encoders of `trained`, or its backbone, into the model."""
    kind = trained.config.model_type
    if kind in ("resnet", "timm_wrapper"):
        model.image_encoder.backbone.load_state_dict(trained.state_dict())
        return
    for name in ("audio_encoder", "image_encoder"):
        target = getattr(model, name, None)
        source = trained if kind == f"av_emotion_{name.removesuffix('_encoder')}" else getattr(trained, name, None)
        if target is not None and source is not None:
            target.load_state_dict(source.state_dict())


def load_classifier(checkpoint: str) -> tuple[str, StartingPoint]:
    """The modality (`expression` for a recogniser of pictures), the classifier and its processors.

    Raises:
        InputError: the checkpoint has no trained classifier.
    """
    config = read_config(checkpoint)
    modality = MODALITY_OF.get(config.model_type, "expression")
    if modality == "expression":
        model_class = AutoModelForImageClassification
    else:
        model_class = MODELS["classification", modality]
    model, info = load_weights(model_class, checkpoint, output_loading_info=True)
    if info["missing_keys"]:
        raise InputError(
            f"{checkpoint}: is {KINDS[config.model_type]} without a trained classifier "
            f"(it lacks {min(info['missing_keys'])}); fine-tune it first"
        )
    has_sound, has_picture = modality in ("audio", "fusion"), modality != "audio"
    feature_extractor = AVEmotionFeatureExtractor.from_pretrained(checkpoint) if has_sound else None
    image_processor = AVEmotionImageProcessor.from_pretrained(checkpoint) if has_picture else None
    return modality, StartingPoint(model.eval(), feature_extractor, image_processor)


__all__ = [
    "DEFAULT_CHECKPOINT",
    "KINDS",
    "StartingPoint",
    "build_model",
    "load_classifier",
    "load_weights",
    "read_config",
]
