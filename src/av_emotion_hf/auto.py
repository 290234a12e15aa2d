"""Registration with transformers: the Auto classes and the pipeline.

Registering needs classes of transformers and of this package, and either takes seconds to load. So a finder in front
of the others waits until one of the modules below is loaded, and then registers what belongs to it. That way
`import av_emotion_hf` adds almost nothing to the time of `import transformers` (`benchmarks/import_time.py`).
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data.reader import ClipReader

PIPELINE_TASK = "audio-visual-emotion-recognition"
MODELS = f"{__package__}.models"

# Auto class, configuration and class. `transformers.models.auto.KIND_auto` has the first, `models.KIND_av_emotion` the
# last. There is no Auto class for clips with audio; a video classifier is the closest.
_AUDIO, _IMAGE, _BOTH = "AVEmotionAudioConfig", "AVEmotionImageConfig", "AVEmotionConfig"
_REGISTRY = {
    "configuration": [("AutoConfig", one, one) for one in (_AUDIO, _IMAGE, _BOTH)],
    "modeling": [
        ("AutoModel", _AUDIO, "AVEmotionAudioModel"),
        ("AutoModel", _IMAGE, "AVEmotionImageModel"),
        ("AutoModel", _BOTH, "AVEmotionModel"),
        ("AutoModelForPreTraining", _AUDIO, "AVEmotionAudioForPreTraining"),
        ("AutoModelForPreTraining", _IMAGE, "AVEmotionImageForPreTraining"),
        ("AutoModelForAudioClassification", _AUDIO, "AVEmotionAudioForSequenceClassification"),
        ("AutoModelForVideoClassification", _IMAGE, "AVEmotionImageForSequenceClassification"),
        ("AutoModelForVideoClassification", _BOTH, "AVEmotionForSequenceClassification"),
    ],
    "feature_extraction": [
        ("AutoFeatureExtractor", config, "AVEmotionFeatureExtractor") for config in (_AUDIO, _BOTH)
    ],
    "image_processing": [("AutoImageProcessor", one, "AVEmotionImageProcessor") for one in (_IMAGE, _BOTH)],
    "processing": [("AutoProcessor", _BOTH, "AVEmotionProcessor")],
}

# the public classes by file of `models`, and the file of each
HOMES = {f"{kind}_av_emotion": tuple({name: None for *_, name in entries}) for kind, entries in _REGISTRY.items()}
HOMES["modeling_av_emotion"] += ("AVEmotionPreTrainedModel",)
HOMES["pipeline_av_emotion"] = ("AVEmotionPipeline",)
HOME_OF = {name: home for home, names in HOMES.items() for name in names}


def auto_classes() -> list[tuple[str, str, str]]:
    """Auto class, configuration and class, by name, of everything that is registered."""
    return [entry for entries in _REGISTRY.values() for entry in entries]


def model_class(name: str) -> Any:
    """One of the classes of `HOMES`, by name."""
    return getattr(importlib.import_module(f"{MODELS}.{HOME_OF[name]}"), name)


# what is not registered yet, by the module of transformers that it waits for
_open: dict[str, list[tuple[str, ...]]] = {
    f"transformers.models.auto.{kind}_auto": list(entries) for kind, entries in _REGISTRY.items()
}
_open["transformers.pipelines"] = [("PIPELINE_REGISTRY", "AVEmotionPipeline")]
_loading: list[str] = []


def register() -> None:
    """Register what is still open with the loaded modules of transformers; never during an import."""
    for module, entries in _open.items():
        while entries and not _loading and (home := sys.modules.get(module)):
            name, *ours = entries.pop()
            registry, classes = getattr(home, name), [model_class(one) for one in ours]
            if name == "AutoConfig":
                registry.register(classes[0].model_type, classes[0])
            elif name == "AutoImageProcessor":
                # the one class for whichever backend is asked for: transformers warns of a missing one
                registry.register(
                    classes[0], image_processor_classes=dict.fromkeys(("pil", "torchvision"), classes[1])
                )
            elif name == "PIPELINE_REGISTRY":
                _register_pipeline(home, classes[0])
            else:
                registry.register(*classes)


def clip_reader(*args: Any, **kwargs: Any) -> "ClipReader":
    """A `ClipReader`, which is imported when the first clip is read."""
    from .data.reader import ClipReader

    return ClipReader(*args, **kwargs)


def _register_pipeline(pipelines: ModuleType, pipeline_class: Any) -> None:
    pipeline_class.reader_factory = staticmethod(clip_reader)
    heads = (pipelines.AutoModelForVideoClassification, pipelines.AutoModelForAudioClassification)
    pipelines.PIPELINE_REGISTRY.register_pipeline(PIPELINE_TASK, pipeline_class, pt_model=heads, type="multimodal")


class _Finder:
    """Finds the modules that registration waits for."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, module = name.rpartition(".")
        if name not in _open and not (package == MODELS and module in HOMES):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]  # not of that class, but works like one
        return spec


class _Loader:
    """A loader that calls [`register`] after the module has been loaded."""

    def __init__(self, loader: Any):
        self.loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def exec_module(self, module: ModuleType) -> None:
        _loading.append(module.__name__)
        try:
            self.loader.exec_module(module)
        finally:
            _loading.remove(module.__name__)
        register()


def watch() -> None:
    """Register with the modules of transformers that are loaded, and with the others as soon as they are."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    register()


__all__ = ["HOMES", "HOME_OF", "PIPELINE_TASK", "auto_classes", "clip_reader", "model_class", "watch"]
