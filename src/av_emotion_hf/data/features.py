"""Features of a clip, what the frozen part of a model computes from its audio and face crops; and their columns."""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Features, List, Value

from ..errors import InputError
from .schema import FEATURE_COLUMNS, NUM_DESCRIPTORS

if TYPE_CHECKING:  # models are loaded by those who use them
    from transformers import BatchFeature

    from ..checkpoints import SpeechEncoder
    from ..models.modeling_av_emotion import AVEmotionAudioModel, AVEmotionImageModel


class FeatureReader:
    """Computes what the frozen part of a model makes of audio and face crops: descriptors or image features.

    Args:
        audio_model: for `input_features`.
        image_model: for `image_features`.
        image_processor: prepares the crops for `image_model`.
        device: where the features are computed.
    """

    def __init__(
        self,
        audio_model: "AVEmotionAudioModel | None" = None,
        image_model: "AVEmotionImageModel | None" = None,
        image_processor: "Callable[..., BatchFeature] | None" = None,
        device: torch.device | str = "cpu",
    ):
        self.audio_model, self.image_model, self.image_processor = audio_model, image_model, image_processor
        self.device = torch.device(device)

    @classmethod
    def from_checkpoints(
        cls,
        modality: str,
        checkpoints: Sequence[str] = (),
        device: torch.device | str = "cpu",
        speech_encoder: "SpeechEncoder | None" = None,
        config_overrides: dict[str, Any] | None = None,
    ) -> "FeatureReader":
        """The reader that uses the encoders of checkpoints, or new ones where none of them has the modality.

        Args:
            modality: `audio`, `image` or `both`.
            checkpoints: folders or Hub names, see [`build_model`].
            device: where the features are computed.
            speech_encoder: backbone of a new audio model.
            config_overrides: configuration fields to change, such as `backbone_sums` of a new audio model or
                `backbone_layers` of an image model; with `both` nested in `audio_config` and `image_config`.

        Raises:
            InputError: image features are asked for and there is no checkpoint, or one cannot be read.
        """
        from ..checkpoints import build_model, fits

        if modality != "audio" and not checkpoints:
            raise InputError("image features are computed by a trained backbone: name its checkpoint with --init")
        wanted = ("audio", "image") if modality == "both" else (modality,)
        overrides = config_overrides or {}
        own = {name: overrides.get(f"{name}_config", {}) if modality == "both" else overrides for name in wanted}
        unknown = sorted(set(overrides) - {"audio_config", "image_config"}) if modality == "both" else []
        if unknown:
            raise InputError(
                f"--config {unknown[0]!r}: with --modality both, fields belong to one of the two models; nest them in "
                '"audio_config" or "image_config"'
            )
        initial = {
            name: build_model(
                "pretraining",
                name,
                [each for each in checkpoints if fits(each, name)],
                config_overrides=own[name],
                speech_encoder=speech_encoder if name == "audio" else None,
            )
            for name in wanted
        }
        encoders: dict[str, Any] = {name: each.model.base_model.eval() for name, each in initial.items()}
        processor = initial["image"].image_processor if "image" in initial else None
        return cls(encoders.get("audio"), encoders.get("image"), processor, device)

    @property
    def settings(self) -> dict[str, Any]:
        """A digest of the weights that decide each feature, and the layers that are read, as JSON values."""
        parts: dict[str, torch.nn.Module] = {}
        if self.audio_model is not None:
            parts["audio"] = self.audio_model.frontend
            if self.audio_model.backbone is not None:
                parts["audio"] = torch.nn.ModuleList([self.audio_model.frontend, self.audio_model.backbone])
        if self.image_model is not None:
            parts["image"] = self.image_model.backbone
        found: dict[str, Any] = {FEATURE_COLUMNS[name]: _digest(part) for name, part in parts.items()}
        if self.image_model is not None and self.image_model.config.backbone_layers is not None:
            config = self.image_model.config
            found |= {"backbone_layers": config.backbone_layers, "backbone_fields": config.backbone_fields}
        return found

    @property
    def features(self) -> Features:
        """Types of the columns that `__call__` fills: one list of floats per frame.

        With a speech encoder, `num_descriptors` says how many of the values are descriptors; its states follow.

        The number of values is not part of the type: datasets does not concatenate columns in which it differs, so
        that shards of an earlier version could not be used beside new ones.
        """
        models = {"audio": self.audio_model, "image": self.image_model}
        columns: dict[str, Any] = {
            FEATURE_COLUMNS[name]: List(List(Value("float32"))) for name, model in models.items() if model is not None
        }
        if self.audio_model is not None and self.audio_model.backbone is not None:
            columns[NUM_DESCRIPTORS] = Value("int32")
        return Features(columns)

    @torch.no_grad()
    def __call__(self, waveform: np.ndarray, crops: Sequence[np.ndarray] | np.ndarray) -> dict[str, Any]:
        """Compute the columns of one clip, features `(T, F)` float32 each; without the modality it has no frames.

        Args:
            waveform: `(samples,)` float32 at 16 kHz.
            crops: face crops `(S, S, 3)` uint8.
        """
        computed: dict[str, Any] = {}
        if self.audio_model is not None:
            frames = torch.zeros(0, self.audio_model.num_features)
            if len(waveform):
                # by the process that uses it: a GPU cannot be handed to a worker
                self.audio_model.to(self.device)  # type: ignore[arg-type]  # the stub of transformers loses `self`
                frames = self.audio_model.extract_features(torch.from_numpy(waveform)[None].to(self.device))[0][0]
            computed[FEATURE_COLUMNS["audio"]] = frames.cpu().numpy()
            if self.audio_model.backbone is not None:
                computed[NUM_DESCRIPTORS] = len(self.audio_model.frontend.descriptor_names)
        if self.image_model is not None:
            frames = torch.zeros(0, self.image_model.num_features)
            if len(crops):
                assert self.image_processor is not None  # it comes with the model
                pixels = self.image_processor([crops], return_tensors="pt").pixel_values
                self.image_model.to(self.device)  # type: ignore[arg-type]
                frames = self.image_model.extract_features(pixels.to(self.device))[0][0]
            computed[FEATURE_COLUMNS["image"]] = frames.cpu().numpy()
        return computed

    def defined_cells(self, column: str) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """Which cells of a feature column count in [`RunningStatistics`]."""
        if column == FEATURE_COLUMNS["audio"] and self.audio_model is not None:
            return self.audio_model.counted_cells
        return None


def encode_frames(frames: np.ndarray) -> pa.ListArray:
    """Features `(T, F)` float32 to a feature column of one row."""
    num_frames, size = frames.shape
    inner = pa.ListArray.from_arrays(np.arange(num_frames + 1, dtype=np.int32) * size, pa.array(frames.ravel()))
    return pa.ListArray.from_arrays(np.array([0, num_frames], np.int32), inner)


def decode_frames(column: pa.ListArray) -> list[np.ndarray]:
    """The features `(T, F)` of each row of a feature column, as views of it.

    Raises:
        InputError: the frames do not all have the same number of values.
    """
    offsets = column.offsets.to_numpy()
    frames = column.values.slice(offsets[0], offsets[-1] - offsets[0])
    values = frames.flatten().to_numpy(zero_copy_only=False)
    sizes = np.unique(frames.value_lengths().to_numpy(zero_copy_only=False))
    if len(sizes) > 1:
        raise InputError(f"one column has frames with {sizes[0]} and with {sizes[-1]} values; extract it again")
    values = values.reshape(len(frames), -1 if len(frames) else 0)
    return [values[start:stop] for start, stop in itertools.pairwise(offsets - offsets[0])]


def _digest(module: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


__all__ = ["FeatureReader", "decode_frames", "encode_frames"]
