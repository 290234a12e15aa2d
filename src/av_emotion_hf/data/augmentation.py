"""Augmentation of training batches of voices: waveforms, frame features, and clips combined with one another."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .collators import ClipCollator, audio_features, pad_frames
from .dataset import AnyDataset
from .draws import draw_mixture, is_drawn
from .frame_augmentation import FRAME_AUGMENTATIONS, MeanFrame
from .schema import FEATURE_COLUMNS, decode_waveform, require_modality
from .waveform_augmentation import WAVEFORM_AUGMENTATIONS, augment_waveform, read_in_circle

COMBINATIONS = ("copy_paste", "mixup")
AUGMENTATIONS = (*WAVEFORM_AUGMENTATIONS, *COMBINATIONS, *FRAME_AUGMENTATIONS)
MIXUP_ALPHA = 1.0  # any share of the other clip is as likely, up to a half (Tokozume et al. 2018)
NEUTRAL = "neutral"  # the class that may be pasted to any other

Probabilities = Mapping[str, float]  # by name of an augmentation, with which a clip gets it


def check_probabilities(given: Mapping[str, Any], known: Sequence[str] = AUGMENTATIONS) -> dict[str, float]:
    """The probabilities of augmentations by name.

    Raises:
        InputError: a name is not among the known ones, or a value is no probability.
    """
    for name, value in given.items():
        if name not in known:
            is_of_batches = {name, *known} <= set(AUGMENTATIONS)
            rule = "is for training batches, and these are single clips" if is_of_batches else "is unknown"
            raise InputError(f"augmentation {name!r} {rule}; choose from {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(
                f"augmentation {name}={value!r}: has to be a probability from 0 to 1; use 0.3, for instance"
            )
    return dict(given)


def check_augmentations(given: Mapping[str, Any], modality: str, dataset: AnyDataset) -> dict[str, float]:
    """As [`check_probabilities`], for the training of a model on a dataset.

    Args:
        given: probabilities by name.
        modality: of the model: `audio`, `image` or `fusion`.
        dataset: of clips, inputs or features.

    Raises:
        InputError: as in [`check_probabilities`], or the model or the dataset has no use for an augmentation.
    """
    probabilities = check_probabilities(given)
    if not probabilities:
        return probabilities
    if modality == "image":
        raise InputError(
            f"augmentation {next(iter(given))!r} changes voices, and an image model hears none; leave it out"
        )
    holds_features = require_modality(dataset, "audio") == "features"
    for name in probabilities:
        if modality == "fusion" and name in COMBINATIONS:
            raise InputError(f"augmentation {name!r} combines voices, and the clips show faces; leave it out")
        if holds_features and name in WAVEFORM_AUGMENTATIONS:
            raise InputError(
                f"augmentation {name!r} changes waveforms, and the dataset holds features; train on the clips, or add "
                "augmented copies with extract --as features --augment"
            )
        if not holds_features and name in FRAME_AUGMENTATIONS:
            raise InputError(
                f"augmentation {name!r} hides frame features, and the dataset holds waveforms; extract --as features "
                "first, or leave it out"
            )
    return probabilities


class AugmentingCollator:
    """Changes the clips of a training batch at random, and pads them.

    Each clip gets each augmentation with its probability, in the order of `AUGMENTATIONS`. What is drawn comes from
    torch's global generator, so that [`EmotionTrainer`] repeats it in a resumed run.

    - Waveforms are changed by [`augment_waveform`]; `babble` is made of the other clips of the batch.
    - `copy_paste` joins a clip, in either order, to another of its class or to a neutral one (Pappagari et al. 2021);
      its label stays. A batch without such a clip leaves it alone. Of a class distribution the most probable counts.
    - `mixup` mixes a clip and its label with those of another clip (Zhang et al. 2018), which is read in a circle
      where it is shorter. Waveforms are brought to the same power before, so that the label says what is heard, and
      the mixture has it as well (Tokozume et al. 2018). Features that are not defined count as their mean.
    - Masks hide frame features, see [`hide_time`] and [`hide_features`].

    Args:
        collate: pads the clips.
        probabilities: as [`check_probabilities`] returns them.
        labels: names of the classes.
        mean: of the features, for rows that hold them.
    """

    def __init__(
        self, collate: ClipCollator, probabilities: Probabilities, labels: Sequence[str], mean: MeanFrame | None = None
    ):
        self.collate, self.probabilities, self.mean, self.num_labels = collate, probabilities, mean, len(labels)
        self.neutral = next((index for index, name in enumerate(labels) if name.casefold() == NEUTRAL), None)

    def __call__(self, rows: list[dict]) -> dict[str, Tensor]:
        """Make one batch; `labels` are class distributions `(B, K)` with `mixup`, or where those of the rows are."""
        column = FEATURE_COLUMNS["audio"] if FEATURE_COLUMNS["audio"] in rows[0] else "waveform"
        if column == "waveform":
            voices = [torch.from_numpy(decode_waveform(row["audio"])) for row in rows]
            clips = [
                augment_waveform(voice, self.probabilities, voices[:number] + voices[number + 1 :])
                for number, voice in enumerate(voices)
            ]
        else:
            clips = [self._frames(row) for row in rows]
        targets = torch.tensor([row["labels"] for row in rows])
        is_soft = targets.ndim > 1
        clips = self._copy_paste(clips, (targets.argmax(dim=1) if is_soft else targets).tolist())
        if self.probabilities.get("mixup", 0) > 0:
            shares = targets if is_soft else torch.nn.functional.one_hot(targets, self.num_labels)
            clips, targets = self._mix(clips, shares.float())
        clips = [self._mask(clip) for clip in clips]
        batch = self.collate([row | {column: clip.numpy()} for row, clip in zip(rows, clips, strict=True)])
        return batch | {"labels": targets}

    def _frames(self, row: dict) -> Tensor:
        """Frames `(T, F)` of a row of features."""
        size = self.collate.feature_sizes["audio"]
        frames, mask = pad_frames([audio_features(row, size)], size)
        return frames[mask.bool()]

    def _copy_paste(self, clips: list[Tensor], classes: list[int]) -> list[Tensor]:
        pasted = []
        for number, (clip, own) in enumerate(zip(clips, classes, strict=True)):
            fitting = [
                index
                for index, other in enumerate(classes)
                if index != number and other in (own, self.neutral) and clips[index].any()
            ]
            if is_drawn(self.probabilities.get("copy_paste", 0)) and clip.any() and fitting:
                other_clip = clips[fitting[int(torch.randint(len(fitting), ()))]]
                clip = torch.cat([clip, other_clip] if is_drawn(0.5) else [other_clip, clip])
            pasted.append(clip)
        return pasted

    def _mix(self, clips: list[Tensor], targets: Tensor) -> tuple[list[Tensor], Tensor]:
        """Mixed clips, and their class distributions `(B, K)`."""
        fraction, other = draw_mixture(len(clips), MIXUP_ALPHA)
        mixed = []
        for number, (clip, index) in enumerate(zip(clips, other.tolist(), strict=True)):
            mixture = None
            if is_drawn(self.probabilities["mixup"]) and index != number and len(clips[index]):
                mixture = self._mixture(clip, read_in_circle(clips[index], len(clip)), float(fraction[number]))
            if mixture is None:
                fraction[number] = 0
            mixed.append(clip if mixture is None else mixture)
        return mixed, torch.lerp(targets, targets[other], fraction[:, None])

    def _mixture(self, clip: Tensor, partner: Tensor, fraction: float) -> Tensor | None:
        """Two clips of the same length as one; `None` where one of them is silent."""
        if self.mean is not None:
            return torch.lerp(self.mean.fill(clip), self.mean.fill(partner), fraction)
        if not (clip.norm() and partner.norm()):
            return None
        mixed = torch.lerp(clip, partner * (clip.norm() / partner.norm()), fraction)
        mixed = mixed / math.hypot(fraction, 1 - fraction)
        return mixed / mixed.abs().max().clamp(min=1)

    def _mask(self, frames: Tensor) -> Tensor:
        for name, hide in FRAME_AUGMENTATIONS.items():
            if is_drawn(self.probabilities.get(name, 0)):
                assert self.mean is not None  # only features are masked
                frames = hide(frames, self.mean)
        return frames


__all__ = ["AUGMENTATIONS", "AugmentingCollator", "check_augmentations", "check_probabilities"]
