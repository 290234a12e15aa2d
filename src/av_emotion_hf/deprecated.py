"""Old names of modules, and of what is in them: they work until 0.3, with a `DeprecationWarning`."""

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGE = __package__
MOVED = {
    "acoustics_av_emotion": "acoustics.descriptors",
    "clips_av_emotion": "models.windows_av_emotion",
    "cycles_av_emotion": "models.frontend_perturbation_av_emotion",
    "data.columns": "data.schema",
    "data.corpus": "data.dataset",
    "data.faces": "data.expressions",
    "data.inputs": "data.reader",
    "data.streams": "data.stream_loader",
    "data.tables": "acoustics.tables",
    "formants_av_emotion": "models.frontend_formants_av_emotion",
    "functionals_av_emotion": "acoustics.functionals",
    "hub.export": "inference.export",
    "media.drawing": "plots.canvas",
    "media.frames": "media.memory_clip",
    "media.heatmap": "plots.heatmap",
    "media.picture": "media.video",
    "media.sheet": "plots.contact_sheet",
    "media.sound": "media.audio",
    "objective_complete_av_emotion": "models.objectives_av_emotion",
    "objective_future_av_emotion": "models.objectives_av_emotion",
    "objective_hidden_av_emotion": "models.objectives_av_emotion",
    "objective_mixed_av_emotion": "models.objectives_av_emotion",
    "pitch_av_emotion": "models.frontend_pitch_av_emotion",
    "predictor": "inference.predictor",
    "recurrence_av_emotion": "models.rnn_av_emotion",
    "spectrum_av_emotion": "models.frontend_spectral_av_emotion",
    "traceable_av_emotion": "models.frontend_export_av_emotion",
    "training.baselines": "training.reconstruction_baselines",
    "training.checkpoint": "checkpoints",
    "training.finetune": "training.finetuning",
    "training.pretrain": "training.pretraining",
    "training.reconstruction_picture": "plots.reconstruction",
    "training.saving": "training.atomic_checkpoints",
    "voice_av_emotion": "models.frontend_voice_av_emotion",
} | {
    f"{name}_av_emotion": f"models.{name}_av_emotion"
    for name in (
        "configuration",
        "descriptors",
        "feature_extraction",
        "frontend",
        "image_processing",
        "masking",
        "modeling",
        "pipeline",
        "processing",
    )
}

RENAMED = {  # names in modules that have moved, too
    "data.corpus": {"open_corpus": "open_dataset"},
    "media.frames": {"FrameSequence": "MemoryClip"},
    "training.checkpoint": {"start": "build_model"},
}


class _Finder:
    """Finds an old name as the module that it has become."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        old = name.removeprefix(f"{PACKAGE}.")
        if name == old or old not in MOVED:
            return None
        warnings.warn(
            f"{name} has moved to {PACKAGE}.{MOVED[old]}; the old name works until 0.3",
            DeprecationWarning,
            stacklevel=2,  # the import statement: Python skips the frames of the import system
        )
        return ModuleSpec(name, _Loader())  # type: ignore[arg-type]  # not of that class, but works like one


class _Loader:
    """Loads the module that has the new name."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        old = spec.name.removeprefix(f"{PACKAGE}.")
        module = importlib.import_module(f"{PACKAGE}.{MOVED[old]}")
        for name, new_name in RENAMED.get(old, {}).items():
            setattr(module, name, getattr(module, new_name))
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # the import system has replaced it by that of the old name


def renamed_names(
    module: str, new_names: dict[str, str], otherwise: Callable[[str], Any] | None = None
) -> Callable[[str], Any]:
    """`__getattr__` of a module some of whose names have changed: the old ones work until 0.3, with a warning.

    Args:
        module: its `__name__`.
        new_names: by old name the new one with its module, relative to this package, such as `media.clip.open_clip`.
        otherwise: is asked for all other names.
    """

    def __getattr__(name: str) -> Any:
        if name in new_names:
            home, _, new = f"{PACKAGE}.{new_names[name]}".rpartition(".")
            warnings.warn(
                f"{module}.{name} is now {home}.{new}; the old name works until 0.3", DeprecationWarning, stacklevel=2
            )
            return getattr(importlib.import_module(home), new)
        if otherwise is not None:
            return otherwise(name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return __getattr__


def watch() -> None:
    """Make the old names importable."""
    if _Finder not in sys.meta_path:
        sys.meta_path.append(_Finder)


__all__ = ["MOVED", "RENAMED", "renamed_names", "watch"]
