"""The person's baseline: statistics of a person's own frames, by which that person's clips are standardized.

A calm voice of one person resembles an excited one of another. Mean and deviation over some clips of the same person,
whatever is felt in them, tell how that person speaks, and need no labels: speaker normalization (Viikki and Laurila
1998; of emotions Busso et al. 2011). Of little speech they tell more about its words than about the person, so they
are shrunk toward those of the dataset as in MAP adaptation (Gauvain and Lee 1994).

Axes: B clips, T frames, F values per frame, N parts.
"""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PersonBaseline:
    """What is known of how one person speaks and looks, from unlabeled clips of that person.

    Attributes:
        moments: by modality (`audio`, `image`) the count, mean and sum of squared deviations `(3, F)`, float64, of the
            person's raw frame features. Each value has a count of its own: F0 has none without voice.
        clips: how many there are.
        seconds: their duration.
    """

    moments: dict[str, Tensor]
    clips: int
    seconds: float

    @property
    def mark(self) -> dict[str, float]:
        """What a score that used it says: `clips` and `seconds`."""
        return {"clips": self.clips, "seconds": round(self.seconds, 1)}

    @classmethod
    def merge(cls, parts: Iterable["PersonBaseline"]) -> "PersonBaseline":
        """The baseline of several clips of one person."""
        parts = list(parts)
        names = {name: None for part in parts for name in part.moments}
        moments = {
            name: merge_moments(torch.stack([part.moments[name] for part in parts if name in part.moments]))
            for name in names
        }
        return cls(moments, sum(part.clips for part in parts), sum(part.seconds for part in parts))

    @classmethod
    def collect(cls, measured: Iterable[tuple[str, "PersonBaseline | str"]]) -> "PersonBaseline":
        """The baseline of all clips that could be measured; the others are logged by name.

        Args:
            measured: the name of each clip, with its own baseline, or with the reason why it has none.

        Raises:
            ValueError: there is no clip, or none could be measured.
        """
        found, skipped = [], []
        for name, part in measured:
            if isinstance(part, PersonBaseline):
                found.append(part)
            else:
                skipped.append(part if name in part else f"{name}: {part}")
                logger.warning("baseline: skipped %s", skipped[-1])
        if not found:
            what = f"none of {len(skipped)} clip(s) can be used, the first: {skipped[0]}" if skipped else "no clip"
            raise ValueError(f"baseline: {what}; give clips in which the person speaks (is seen)")
        return cls.merge(found)

    def statistics(self, model: Any, prior: float | None = None) -> dict[str, Tensor]:
        """Arguments of a model's `forward` for one clip of the person, `{"audio_statistics": (2, F)}`, on the CPU.

        Args:
            model: any model with an `audio_encoder`, an `image_encoder`, or both.
            prior: seconds, see [`blend`]; that of the configuration when `None`.

        Raises:
            ValueError: the baseline has nothing that the model uses, or was measured with a model of another size.
        """
        known = {name: encoder.num_features for name, encoder in encoders(model).items()}
        sizes = {name: moments.shape[-1] for name, moments in self.moments.items() if name in known}
        if not sizes:
            measured = " and ".join(self.moments) or "nothing"
            raise ValueError(
                f"a baseline of {measured} for a model of {' and '.join(known)}; measure it with this one"
            )
        for name, size in sizes.items():
            if size != known[name]:
                raise ValueError(
                    f"a baseline with {size} {name} values per frame for a model with {known[name]}; measure it with "
                    "this one"
                )
        return Shrinkage(model, prior)({name: self.moments[name] for name in sizes})


def encoders(model: Any) -> dict[str, Any]:
    """The encoders of a model by modality, `audio` and `image`."""
    names = {name: f"{name}_encoder" for name in ("audio", "image")}
    return {name: getattr(model, attribute) for name, attribute in names.items() if hasattr(model, attribute)}


@torch.no_grad()
def clip_moments(model: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Count, mean and sum of squared deviations `(B, 3, F)` of each clip's raw frame features, by modality.

    Args:
        model: any model with an `audio_encoder`, an `image_encoder`, or both.
        batch: arguments of its `forward`, inputs or features.
    """
    found = {}
    for name, encoder in encoders(model).items():
        values, mask, features = encoder.input_names
        if values in batch or features in batch:
            frames, frame_mask = encoder.frame_features(batch.get(values), batch.get(mask), batch.get(features))
            found[name] = frame_moments(frames, encoder.counted_cells(frames) & frame_mask.unsqueeze(-1))
    return found


def frame_moments(features: Tensor, cells: Tensor) -> Tensor:
    """Count, mean and sum of squared deviations `(B, 3, F)`, float64, on the CPU.

    Args:
        features: `(B, T, F)`.
        cells: `(B, T, F)`, True = defined value of a real frame.
    """
    features, cells = features.detach().cpu().double(), cells.cpu()
    count = cells.sum(dim=1).double()
    mean = features.masked_fill(~cells, 0).sum(dim=1) / count.clamp(min=1)
    squares = (features - mean.unsqueeze(1)).square().masked_fill(~cells, 0).sum(dim=1)
    return torch.stack([count, mean, squares], dim=1)


def merge_moments(parts: Tensor) -> Tensor:
    """Moments `(3, F)`, float64, of the whole from its parts' `(N, 3, F)` (Chan et al. 1979); N may be 0."""
    counts, means, squares = parts.double().unbind(1)
    count = counts.sum(dim=0)
    mean = (counts * means).sum(dim=0) / count.clamp(min=1)
    return torch.stack([count, mean, (squares + counts * (means - mean).square()).sum(dim=0)])


def blend(moments: Tensor, dataset: Tensor, prior: float) -> Tensor:
    """Mean and deviation `(..., 2, F)`, float32: the person's, shrunk toward those of the dataset.

    With n frames of the person and a prior of k frames, the mean is (n person + k dataset) / (n + k), and so is the
    variance. The difference of the two means adds nothing to it, as it would in a mixture of both: frames are
    standardized about the person's mean, and how far persons lie from each other is part of the dataset's variance
    already. Without frames the result is `dataset`, to the bit.

    Args:
        moments: of the person `(..., 3, F)`, see [`frame_moments`].
        dataset: mean and deviation `(2, F)`.
        prior: k, in frames, above 0.
    """
    count, mean, squares = moments.unbind(-2)
    dataset_mean, dataset_std = dataset.double()
    share = count / (count + prior)
    variance = torch.lerp(dataset_std.square().expand_as(share), squares / count.clamp(min=1), share)
    return torch.stack([torch.lerp(dataset_mean.expand_as(share), mean, share), variance.sqrt()], dim=-2).float()


class Shrinkage:
    """Shrinks statistics of persons toward those that a model has of its dataset; without the model itself.

    Args:
        model: any model with an `audio_encoder`, an `image_encoder`, or both.
        prior: seconds, see [`blend`]; `baseline_prior` of each encoder's configuration when `None`.

    Raises:
        ValueError: the prior is not positive.
    """

    def __init__(self, model: Any, prior: float | None = None):
        if prior is not None and not 0 < prior < math.inf:
            raise ValueError(f"prior={prior}: has to be positive seconds; use 10, for instance")
        self.toward = {
            name: (
                encoder.feature_statistics.detach().cpu().clone(),
                (encoder.config.baseline_prior if prior is None else prior) * encoder.config.frames_per_second,
            )
            for name, encoder in encoders(model).items()
        }

    def __call__(self, moments: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Arguments of `forward`, such as `audio_statistics (..., 2, F)`, from moments `(..., 3, F)` by modality."""
        return {f"{name}_statistics": blend(own, *self.toward[name]) for name, own in moments.items()}


def standardize(features: Tensor, mean: Tensor, std: Tensor, statistics: Tensor | None = None) -> Tensor:
    """Features `(B, T, F)` or `(..., F)`, less their mean and divided by their deviation.

    Args:
        features: raw.
        mean: of the dataset `(F,)`.
        std: of the dataset `(F,)`.
        statistics: `(B, 2, F)`, mean and deviation that each clip has instead of these.
    """
    if statistics is not None:
        mean, std = statistics.unsqueeze(2).unbind(1)
    return (features - mean) / std.clamp(min=1e-6)


__all__ = [
    "PersonBaseline",
    "Shrinkage",
    "blend",
    "clip_moments",
    "encoders",
    "frame_moments",
    "merge_moments",
    "standardize",
]
