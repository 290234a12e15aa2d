"""Emotion recognition from voice and face that learns most of what it knows from unlabeled clips.

Importing this package makes its models known to the Auto classes of transformers, and its pipeline to `pipeline`.
Names are loaded when first used, so the import is cheap.
"""

from . import auto, deprecated
from .utils import lazy_names

__version__ = "0.1.0"

_HOMES = {f"models.{home}": names for home, names in auto.HOMES.items()} | {
    "acoustics.descriptors": ("acoustic_descriptors", "acoustic_functionals", "stream_descriptors"),
    "checkpoints": ("DEFAULT_CHECKPOINT", "build_model", "load_classifier"),
    "errors": ("InputError",),
    "inference.predictor": ("EmotionPredictor", "Prediction"),
    "media.clip": ("open_clip",),
    "models.frontend_av_emotion": ("AcousticFrontEnd",),
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOMES)
__all__ += ["__version__"]

deprecated.watch()
auto.watch()
