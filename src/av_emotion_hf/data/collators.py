"""Collators: rows of inputs or features to the tensors of a batch."""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from ..errors import InputError
from ..models.masking_av_emotion import sample_mask
from .schema import NUM_DESCRIPTORS, decode_faces, decode_waveform

if TYPE_CHECKING:  # models are loaded by those who use them
    from transformers import BatchFeature

    from ..models.configuration_av_emotion import AVEmotionEncoderConfig


class ClipCollator:
    """Pads the clips of a batch, in whatever form they are.

    A row holds audio as `input_features`, a `waveform` `(samples,)` or an encoded `audio` cell, and face crops as
    `image_features`, `crops` `(Tv, S, S, 3)` or an encoded `faces` cell; all rows of a batch in the same form.

    Args:
        modality: `audio`, `image` or `fusion`; what goes into the batch.
        feature_extractor: pads waveforms.
        image_processor: prepares and pads face crops.
        feature_sizes: values per frame that the model expects of `audio` and `image` features. Where audio features
            are descriptors and states of a speech encoder (`num_descriptors` of the row says so) and the model
            expects descriptors alone, these are cut out; with the size of a `teacher`, the states become
            `teacher_states` of the batch.
    """

    def __init__(
        self,
        modality: str,
        feature_extractor: "Callable[..., BatchFeature] | None",
        image_processor: "Callable[..., BatchFeature] | None",
        feature_sizes: dict[str, int],
    ):
        self.modality, self.feature_sizes = modality, feature_sizes
        self.feature_extractor, self.image_processor = feature_extractor, image_processor

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """Make one batch; `labels` are added where the rows have them."""
        batch: dict[str, torch.Tensor] = {}
        if self.modality != "image":
            if "input_features" in rows[0]:
                batch |= self._audio_features(rows)
            else:
                assert self.feature_extractor is not None  # the modality needs it
                waveforms = [row["waveform"] if "waveform" in row else decode_waveform(row["audio"]) for row in rows]
                batch |= self.feature_extractor(waveforms, return_tensors="pt")
        if self.modality != "audio":
            if "image_features" in rows[0]:
                features = [row["image_features"] for row in rows]
                batch["image_features"], batch["pixel_mask"] = pad_frames(features, self.feature_sizes["image"])
            else:
                assert self.image_processor is not None
                crops = [row["crops"] if "crops" in row else decode_faces(row["faces"]) for row in rows]
                batch |= self.image_processor(crops, return_tensors="pt")
        if "labels" in rows[0]:
            batch["labels"] = torch.tensor([row["labels"] for row in rows])
        return batch

    def _audio_features(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """`input_features (B, T, F)` with their mask, and `teacher_states (B, T, H)` where they are asked for."""
        size, batch = self.feature_sizes["audio"], {}
        features = [audio_features(row, size) for row in rows]
        batch["input_features"], batch["attention_mask"] = pad_frames(features, size)
        if "teacher" in self.feature_sizes:
            clips = [np.asarray(row["input_features"], np.float32) for row in rows]
            states = [clip[:, size:] if len(clip) else clip for clip in clips]
            batch["teacher_states"], _ = pad_frames(states, self.feature_sizes["teacher"])
        return batch


class MaskingCollator:
    """Adds a mask of the frames that pre-training hides to the batch of another collator.

    Args:
        collate: makes the batch.
        config: of the model, for `mask_time_prob` and `mask_time_length`.
        num_frames: returns the frames of a number of samples, for batches of waveforms.
        seed: when given, masks depend on it and the batch alone, so that validation losses can be compared.
    """

    def __init__(
        self,
        collate: ClipCollator,
        config: "AVEmotionEncoderConfig",
        num_frames: Callable | None = None,
        seed: int | None = None,
    ):
        self.collate, self.config, self.num_frames, self.seed = collate, config, num_frames, seed

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """Make one batch with `mask_time_indices (B, T)`, True = hidden."""
        batch = self.collate(rows)
        mask = batch["pixel_mask"] if "pixel_mask" in batch else batch["attention_mask"]
        if "input_values" in batch:
            assert self.num_frames is not None  # waveforms come with it
            lengths = self.num_frames(mask.sum(dim=1))
            mask = torch.arange(int(self.num_frames(mask.shape[1]))) < lengths[:, None]
        generator = None if self.seed is None else torch.Generator().manual_seed(self.seed)
        batch["mask_time_indices"] = sample_mask(
            cast(torch.BoolTensor, mask.bool()), self.config.mask_time_prob, self.config.mask_time_length, generator
        )
        return batch


def audio_features(row: dict, size: int) -> np.ndarray:
    """Features `(T, F)` of the voice in a row; where `size` of them are the descriptors, these without the states."""
    clip = np.asarray(row["input_features"], np.float32)
    return clip[:, :size] if len(clip) and row.get(NUM_DESCRIPTORS) == size else clip


def pad_frames(clips: list, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of clips of different length to `(B, T, size)` and the mask `(B, T)`, 1 = real frame.

    Raises:
        InputError: a clip's frames do not have `size` values.
    """
    clips = [np.asarray(clip, dtype=np.float32) for clip in clips]
    length = max(1, *(len(clip) for clip in clips))
    frames, mask = np.zeros((len(clips), length, size), np.float32), torch.zeros(len(clips), length, dtype=torch.long)
    for row, clip in enumerate(clips):
        if len(clip):
            if clip.shape[1] != size:
                raise InputError(
                    f"features with {clip.shape[1]} values per frame do not fit the model, which expects {size}; "
                    "extract them again with this model's checkpoint"
                )
            frames[row, : len(clip)] = clip
            mask[row, : len(clip)] = 1
    return torch.from_numpy(frames), mask


__all__ = ["ClipCollator", "MaskingCollator", "audio_features", "pad_frames"]
