"""Persons' baselines in training and evaluation: the statistics of each clip, and of the clips of its person."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from ..data.dataset import AnyDataset, column_values
from ..data.labels import name_of
from ..errors import InputError, require_fraction
from ..models.person_baseline_av_emotion import Shrinkage, clip_moments, encoders, merge_moments

Moments = dict[str, Tensor]  # by modality `(N, 3, F)`, see [`clip_moments`]
NOBODY = torch.zeros(0, dtype=torch.long)


def measure_clips(
    model: Any, dataset: AnyDataset, collate: Callable, device: torch.device, batch_size: int = 16
) -> Moments:
    """Count, mean and sum of squared deviations `(N, 3, F)`, float32, of the features of each clip, by modality.

    Args:
        model: any model of this package with encoders; it is moved to the device.
        dataset: N rows of inputs or features.
        collate: makes batches of them.
        device: where it runs.
        batch_size: clips per batch.
    """
    model.to(device).eval()
    batches = DataLoader(dataset, batch_size=batch_size, collate_fn=collate)
    parts = [
        clip_moments(model, {name: values.to(device) for name, values in batch.items()})
        for batch in tqdm(batches, desc="Measuring baselines", unit="batch")
    ]
    return {name: torch.cat([part[name].float() for part in parts]) for name in (parts[0] if parts else ())}


def clips_of_groups(dataset: AnyDataset, group_column: str) -> dict[str, list[int]]:
    """The rows of each group; those without a group belong to none."""
    rows = defaultdict(list)
    for number, value in enumerate(column_values(dataset, group_column)):
        name = name_of(value)
        if name is not None:
            rows[name].append(number)
    return dict(rows)


def freeze_features(model: PreTrainedModel) -> None:
    """Keep what computes the frame features from being trained: statistics would be those of other features.

    Raises:
        InputError: the configuration asks for a speech backbone that is trained.
    """
    found = encoders(model)
    if "audio" in found:
        encoder = found["audio"]
        if encoder.backbone is not None and not encoder.backbone.frozen:
            raise InputError(
                "a person's baseline with freeze_backbone=false: the statistics of a backbone that changes do not "
                "hold; leave out one of them"
            )
        for name in ("filterbank", "compression"):
            getattr(encoder.frontend, name).requires_grad_(False)
    for encoder in found.values():
        if encoder.backbone is not None:
            encoder.backbone.requires_grad_(False)


def require_persons(share: float, group_column: str | None) -> None:
    """Check the fraction of the training clips that are standardized by their person's.

    Raises:
        InputError: it is not from 0 to below 1, or the column of the person is missing.
    """
    require_fraction("person_baseline", share)
    if share and group_column is None:
        raise InputError("a person's baseline needs to know the persons: add --group-column (group_column)")


class BaselineCollator:
    """Standardizes clips of a batch by statistics of their person, and the others by those of the dataset.

    Args:
        collate: makes the batch.
        model: whose features were measured; its statistics are read once.
        group_column: column of the person.
        moments: of all clips, see [`measure_clips`].
        rows: of each person among them, see [`clips_of_groups`].
        probability: with which a clip is standardized by its person's statistics. They are those of a random subset of
            the person's clips, of one as often as of two or three, or of four to seven, and so on, so that a model
            learns to work with little and with much; drawn from torch's global generator. `None` standardizes each
            clip by all clips of its person, itself included.
    """

    def __init__(
        self,
        collate: Callable[[list[dict]], dict[str, Tensor]],
        model: PreTrainedModel,
        group_column: str,
        moments: Moments,
        rows: Mapping[str, Sequence[int]],
        probability: float | None = None,
    ):
        self.collate, self.group_column, self.probability = collate, group_column, probability
        self.rows = {group: torch.tensor(numbers) for group, numbers in rows.items()}
        self.moments, self.shrink = moments, Shrinkage(model)

    def __call__(self, rows: list[dict]) -> dict[str, Tensor]:
        """Make one batch, with `audio_statistics` and `image_statistics (B, 2, F)`."""
        batch = self.collate(rows)
        persons = [self.rows.get(name_of(row[self.group_column]) or "", NOBODY) for row in rows]
        return batch | statistics_of(self.moments, [self._draw(clips) for clips in persons], self.shrink)

    def _draw(self, clips: Tensor) -> Tensor:
        if self.probability is None:
            return clips
        use, size = torch.rand(2).tolist()
        if use >= self.probability or not len(clips):
            return NOBODY
        return clips[torch.randperm(len(clips))[: int((len(clips) + 1) ** size)]]


def statistics_of(moments: Moments, chosen: Sequence[Tensor], shrink: Shrinkage) -> dict[str, Tensor]:
    """Mean and deviation `(B, 2, F)` by which clips are standardized, as arguments of a model's `forward`.

    Args:
        moments: of all clips.
        chosen: for each of the B clips the rows of its baseline, none for the statistics of the dataset.
        shrink: toward these.
    """
    return shrink(
        {name: torch.stack([merge_moments(parts[clips]) for clips in chosen]) for name, parts in moments.items()}
    )


class GroupBaselines:
    """The baselines of all clips of a dataset, in the order of its rows.

    Args:
        model: any model of this package with encoders.
        dataset: rows of inputs or features.
        collate: makes batches of them.
        group_column: column of the person.
        clips: see [`choose_clips`].
        seed: see [`choose_clips`].
        device: where the model runs.
        batch_size: clips per batch.
    """

    def __init__(
        self,
        model: Any,
        dataset: AnyDataset,
        collate: Callable[[list[dict]], dict[str, Tensor]],
        group_column: str,
        clips: int | None,
        seed: int,
        device: torch.device,
        batch_size: int,
    ):
        self.moments = measure_clips(model, dataset, collate, device, batch_size)
        self.frames_per_second = {name: encoder.config.frames_per_second for name, encoder in encoders(model).items()}
        count = max((len(parts) for parts in self.moments.values()), default=0)
        self.chosen = choose_clips(clips_of_groups(dataset, group_column), count, clips, seed)
        self.limit, self.seed, self.shrink = clips, seed, Shrinkage(model)

    def statistics(self, first: int, count: int) -> dict[str, Tensor]:
        """Arguments of the model's `forward` `(count, 2, F)` for rows from `first` on."""
        return statistics_of(self.moments, self.chosen[first : first + count], self.shrink)

    @property
    def mark(self) -> dict[str, Any]:
        """Of a record: the limit of `clips` with the `seed`, and the mean of clips and of seconds by modality."""
        seconds = {
            name: float(np.mean([float(parts[clips, 0].amax(-1).sum()) for clips in self.chosen]))
            for name, parts in self.moments.items()
        }
        return {
            "clips": self.limit or "all",
            "seed": None if self.limit is None else self.seed,
            "mean_clips": round(float(np.mean([len(clips) for clips in self.chosen])), 2),
            "mean_seconds": {name: round(each / self.frames_per_second[name], 1) for name, each in seconds.items()},
        }


def choose_clips(rows: Mapping[str, Sequence[int]], count: int, clips: int | None, seed: int) -> list[Tensor]:
    """The rows of each clip's baseline: all of its group, itself included, or some of the others.

    Args:
        rows: of each group, see [`clips_of_groups`].
        count: of all clips.
        clips: how many others are drawn for each clip, or all there are where these are fewer; `None` for the whole
            group.
        seed: of the draw.
    """
    chosen = [NOBODY] * count
    generator = torch.Generator().manual_seed(seed)
    for numbers in rows.values():
        own = torch.tensor(numbers)
        for number in numbers:
            others = own[own != number]
            chosen[number] = own if clips is None else others[torch.randperm(len(others), generator=generator)[:clips]]
    return chosen


__all__ = [
    "BaselineCollator",
    "GroupBaselines",
    "choose_clips",
    "clips_of_groups",
    "freeze_features",
    "measure_clips",
    "require_persons",
    "statistics_of",
]
