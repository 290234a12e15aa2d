"""What is made known to transformers: the classes of the Auto classes, and the pipeline.

Registering needs classes of transformers and of this package; loading either takes seconds. So the registration waits
until transformers loads its own side: a finder in front of the others notices when one of the modules named here has
been loaded, and registers what belongs to it. `import av_emotion_hf` then adds next to nothing to the time of
`import transformers` (`benchmarks/import_time.py`).
"""

import importlib
import sys
from importlib.machinery import PathFinder

PIPELINE_TASK = "audio-visual-emotion-recognition"
MODELS = f"{__package__}.models"
HOMES = {
    "configuration_av_emotion": ("AVEmotionAudioConfig", "AVEmotionConfig", "AVEmotionImageConfig"),
    "feature_extraction_av_emotion": ("AVEmotionFeatureExtractor",),
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
}  # by file of `models`, the classes that transformers works with
HOME_OF = {name: home for home, names in HOMES.items() for name in names}

# Auto class, configuration and class, by the module of transformers that has the Auto class. There is none for clips
# with sound; a video classifier is the nearest.
_AUDIO, _IMAGE, _BOTH = "AVEmotionAudioConfig", "AVEmotionImageConfig", "AVEmotionConfig"
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


def auto_classes() -> list[tuple[str, str, str]]:
    """Auto class, configuration and class, by name, of all that is made known to transformers."""
    return [entry for entries in _REGISTRY.values() for entry in entries]


def model_class(name: str) -> type:
    """One of the classes of `HOMES`, by name."""
    return getattr(importlib.import_module(f"{MODELS}.{HOME_OF[name]}"), name)


# what is not registered yet, by the module that has to be loaded for it
_open: dict[str, list[tuple[str, ...]]] = {
    f"transformers.models.auto.{module}": list(entries) for module, entries in _REGISTRY.items()
}
_open["transformers.pipelines"] = [("PIPELINE_REGISTRY", "AVEmotionPipeline")]
_loading: list[str] = []


def register() -> None:
    """Register what is not yet with what transformers has loaded; only between imports, which it would disturb."""
    for module, entries in _open.items():
        while entries and not _loading and (home := sys.modules.get(module)):
            name, *ours = entries.pop()
            registry, classes = getattr(home, name), [model_class(one) for one in ours]
            if name == "AutoConfig":
                registry.register(classes[0].model_type, classes[0])
            elif name == "AutoImageProcessor":
                registry.register(classes[0], image_processor_classes={"pil": classes[1]})
            elif name == "PIPELINE_REGISTRY":
                _register_pipeline(home, classes[0])
            else:
                registry.register(*classes)


def clip_reader(*args, **kwargs):
    """A `ClipReader`; it is imported when the first clip is read."""
    from .data.reader import ClipReader

    return ClipReader(*args, **kwargs)


def _register_pipeline(pipelines, pipeline_class) -> None:
    pipeline_class.reader_factory = staticmethod(clip_reader)
    heads = (pipelines.AutoModelForVideoClassification, pipelines.AutoModelForAudioClassification)
    pipelines.PIPELINE_REGISTRY.register_pipeline(PIPELINE_TASK, pipeline_class, pt_model=heads, type="multimodal")


class _Watcher:
    """Finder that calls [`register`] when a module of either side has been loaded."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        package, _, module = name.rpartition(".")
        if name not in _open and not (package == MODELS and module in HOMES):
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
                register()

            spec.loader.exec_module = load_and_register
        return spec


def watch() -> None:
    """Register what transformers has loaded already, and the rest as soon as it is loaded."""
    if _Watcher not in sys.meta_path:
        sys.meta_path.insert(0, _Watcher)
    register()


__all__ = ["HOMES", "HOME_OF", "PIPELINE_TASK", "auto_classes", "model_class", "watch"]
