"""Emotion recognition from voice and face that learns most of what it knows from unlabelled clips.

Importing this package makes its models known to the Auto classes of transformers, and its pipeline to `pipeline`.
Names are loaded when first used, and made known when transformers loads its own side, so the import is cheap.
"""

import importlib
import sys
from importlib.machinery import PathFinder

__version__ = "0.1.0"

_HOMES = {
    "acoustics_av_emotion": ("acoustic_descriptors", "acoustic_functionals", "stream_descriptors"),
    "configuration_av_emotion": ("AVEmotionAudioConfig", "AVEmotionConfig", "AVEmotionImageConfig"),
    "feature_extraction_av_emotion": ("AVEmotionFeatureExtractor",),
    "frontend_av_emotion": ("AcousticFrontEnd",),
    "image_processing_av_emotion": ("AVEmotionImageProcessor",),
    "modeling_av_emotion": (
        "AVEmotionAudioForPreTraining",
        "AVEmotionAudioForSequenceClassification",
        "AVEmotionAudioModel",
        "AVEmotionForSequenceClassification",
        "AVEmotionImageForPreTraining",
        "AVEmotionImageForSequenceClassification",
        "AVEmotionImageModel",
        "AVEmotionModel",
        "AVEmotionPreTrainedModel",
    ),
    "pipeline_av_emotion": ("AVEmotionPipeline",),
    "processing_av_emotion": ("AVEmotionProcessor",),
}
HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

# Auto class, configuration and class, by the module of transformers that has the Auto class. There is none for clips
# with sound; a video classifier is the nearest.
_AUDIO, _IMAGE, _BOTH = _HOMES["configuration_av_emotion"][0], _HOMES["configuration_av_emotion"][2], "AVEmotionConfig"
_REGISTRY = {
    "configuration_auto": [("AutoConfig", config, config) for config in (_AUDIO, _IMAGE, _BOTH)],
    "modeling_auto": [
        ("AutoModel", _AUDIO, "AVEmotionAudioModel"),
        ("AutoModel", _IMAGE, "AVEmotionImageModel"),
        ("AutoModel", _BOTH, "AVEmotionModel"),
        ("AutoModelForPreTraining", _AUDIO, "AVEmotionAudioForPreTraining"),
        ("AutoModelForPreTraining", _IMAGE, "AVEmotionImageForPreTraining"),
        ("AutoModelForAudioClassification", _AUDIO, "AVEmotionAudioForSequenceClassification"),
        ("AutoModelForVideoClassification", _IMAGE, "AVEmotionImageForSequenceClassification"),
        ("AutoModelForVideoClassification", _BOTH, "AVEmotionForSequenceClassification"),
    ],
    "feature_extraction_auto": [
        ("AutoFeatureExtractor", config, "AVEmotionFeatureExtractor") for config in (_AUDIO, _BOTH)
    ],
    "image_processing_auto": [("AutoImageProcessor", config, "AVEmotionImageProcessor") for config in (_IMAGE, _BOTH)],
    "processing_auto": [("AutoProcessor", _BOTH, "AVEmotionProcessor")],
}
PIPELINE_TASK = "audio-visual-emotion-recognition"


def auto_classes() -> list[tuple[str, str, str]]:
    """Auto class, configuration and class, by name, of all that is made known to transformers."""
    return [entry for entries in _REGISTRY.values() for entry in entries]


def __getattr__(name: str):
    if name not in HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


# what is not registered yet, by the module that has to be loaded for it
_open = {f"transformers.models.auto.{module}": list(entries) for module, entries in _REGISTRY.items()}
_open["transformers.pipelines"] = [("PIPELINE_REGISTRY", "AVEmotionPipeline")]
_loading = []


def _register() -> None:
    """Register what is not yet with what transformers has loaded; only between imports, which it would disturb."""
    for module, entries in _open.items():
        while entries and not _loading and (home := sys.modules.get(module)):
            name, *ours = entries.pop()
            registry, ours = getattr(home, name), [getattr(sys.modules[__name__], one) for one in ours]
            if name == "AutoConfig":
                registry.register(ours[0].model_type, ours[0])
            elif name == "AutoImageProcessor":
                registry.register(ours[0], image_processor_classes={"pil": ours[1]})
            elif name == "PIPELINE_REGISTRY":
                heads = (home.AutoModelForVideoClassification, home.AutoModelForAudioClassification)
                registry.register_pipeline(PIPELINE_TASK, *ours, pt_model=heads, type="multimodal")
            else:
                registry.register(*ours)


class _Watcher:
    """Finder that registers the package's classes when a module of both sides has been loaded."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        package, _, module = name.rpartition(".")
        if name not in _open and not (package == __name__ and module in _HOMES):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            load = spec.loader.exec_module

            def load_and_register(loaded):
                _loading.append(name)
                try:
                    load(loaded)
                finally:
                    _loading.remove(name)
                _register()

            spec.loader.exec_module = load_and_register
        return spec


sys.meta_path.insert(0, _Watcher)
_register()

__all__ = ["__version__", *sorted(HOME_OF)]
