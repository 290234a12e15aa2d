"""Features of a clip: what the frozen part of a model makes of its sound and face crops."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from datasets import Features, List, Value

from ..errors import InputError
from .schema import FEATURE_COLUMNS


class FeatureReader:
    """What the frozen part of a model makes of sound and face crops: descriptors or image features.

    Args:
        audio_model: an [`AVEmotionAudioModel`], for `input_features`.
        image_model: an [`AVEmotionImageModel`], for `image_features`.
        image_processor: prepares the crops for `image_model`.
    """

    def __init__(self, audio_model=None, image_model=None, image_processor=None):
        self.audio_model, self.image_model, self.image_processor = audio_model, image_model, image_processor

    @classmethod
    def from_checkpoints(cls, modality: str, checkpoints: Sequence[str] = ()) -> "FeatureReader":
        """The reader that uses the encoders of checkpoints, or new ones where none of them has the modality.

        Args:
            modality: `audio`, `image` or `both`.
            checkpoints: folders or Hub names, see [`build_model`].

        Raises:
            InputError: image features are asked for and there is no checkpoint, or one cannot be read.
        """
        from ..checkpoints import build_model, fits

        if modality != "audio" and not checkpoints:
            raise InputError("image features are made by a trained backbone: name its checkpoint with --init")
        wanted = ("audio", "image") if modality == "both" else (modality,)
        initial = {
            name: build_model("pretraining", name, [each for each in checkpoints if fits(each, name)])
            for name in wanted
        }
        encoders = {name: each.model.base_model.eval() for name, each in initial.items()}
        processor = initial["image"].image_processor if "image" in initial else None
        return cls(encoders.get("audio"), encoders.get("image"), processor)

    @property
    def settings(self) -> dict[str, str]:
        """A digest of the weights that decide each feature, as JSON values."""
        parts = {}
        if self.audio_model is not None:
            parts["audio"] = self.audio_model.frontend
        if self.image_model is not None:
            parts["image"] = self.image_model.backbone
        return {FEATURE_COLUMNS[name]: _digest(part) for name, part in parts.items()}

    @property
    def features(self) -> Features:
        """Types of the columns that `__call__` fills: one list of floats per frame."""
        models = {"audio": self.audio_model, "image": self.image_model}
        return Features(
            {
                FEATURE_COLUMNS[name]: List(List(Value("float32")))
                for name, model in models.items()
                if model is not None
            }
        )

    @torch.no_grad()
    def __call__(self, waveform: np.ndarray, crops: list[np.ndarray]) -> dict[str, np.ndarray | list]:
        """Compute the feature columns of one clip; a clip without the modality has no frames.

        Args:
            waveform: `(samples,)` float32 at 16 kHz.
            crops: face crops `(S, S, 3)` uint8.
        """
        computed = {}
        if self.audio_model is not None:
            frames = self.audio_model.extract_features(torch.from_numpy(waveform)[None])[0][0] if len(waveform) else []
            computed[FEATURE_COLUMNS["audio"]] = [frame.numpy() for frame in frames]
        if self.image_model is not None:
            frames = []
            if crops:
                pixels = self.image_processor([crops], return_tensors="pt").pixel_values
                frames = self.image_model.extract_features(pixels)[0][0]
            computed[FEATURE_COLUMNS["image"]] = [frame.numpy() for frame in frames]
        return computed

    def defined_cells(self, column: str, frames: np.ndarray) -> np.ndarray | None:
        """Which cells of `frames (N, F)` count in statistics (not the F0 of unvoiced frames); None for all."""
        if column != FEATURE_COLUMNS["audio"]:
            return None
        return self.audio_model.frontend.defined_cells(torch.tensor(frames)).numpy()


def _digest(module: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


__all__ = ["FeatureReader"]
