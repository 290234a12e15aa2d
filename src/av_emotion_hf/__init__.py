"""Emotion recognition from voice and face that learns most of what it knows from unlabelled clips.

Importing this package makes its models known to the Auto classes of transformers. Names are loaded when first used,
and the models are made known when transformers loads an Auto class, so the import itself costs next to nothing.
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
    "processing_av_emotion": ("AVEmotionProcessor",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

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


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


_AUTO = "transformers.models.auto."
_open = {module: list(entries) for module, entries in _REGISTRY.items()}  # what is not registered yet
_loading = []


def _register() -> None:
    """Register what is not yet with the Auto classes that are loaded; only between imports, which it would disturb."""
    for module, entries in _open.items():
        while entries and not _loading and (auto := sys.modules.get(_AUTO + module)):
            auto_class, *names = entries.pop()
            config, value = (getattr(sys.modules[__name__], name) for name in names)
            if auto_class == "AutoConfig":
                auto.AutoConfig.register(config.model_type, config)
            elif auto_class == "AutoImageProcessor":
                auto.AutoImageProcessor.register(config, image_processor_classes={"pil": value})
            else:
                getattr(auto, auto_class).register(config, value)


class _Watcher:
    """Finder that registers the package's classes when a module of both sides has been loaded."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        package, _, module = name.rpartition(".")
        if module not in {_AUTO[:-1]: _REGISTRY, __name__: _HOMES}.get(package, ()):
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

__all__ = ["__version__", *sorted(_HOME_OF)]
