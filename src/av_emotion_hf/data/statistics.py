"""Mean and deviation of frame features over a dataset, in one pass."""

from collections.abc import Callable

import numpy as np
import torch


class RunningStatistics:
    """Count, mean and sum of squared deviations per feature; parts can be merged (Chan et al. 1979).

    Args:
        num_features: number of features per frame.
        defined_cells: returns for `frames (N, F)` which cells count, such as [`AcousticFrontEnd.defined_cells`] (not
            the F0 of an unvoiced frame); all of them when `None`.
    """

    def __init__(self, num_features: int, defined_cells: Callable[[torch.Tensor], torch.Tensor] | None = None):
        self.count = np.zeros(num_features)
        self.mean = np.zeros(num_features)
        self.squares = np.zeros(num_features)
        self.defined_cells = defined_cells

    def update(self, frames: np.ndarray | torch.Tensor) -> "RunningStatistics":
        """Add `frames (N, F)`."""
        if self.defined_cells is None:
            defined = np.ones(frames.shape, dtype=bool)
        else:
            defined = self.defined_cells(torch.tensor(np.asarray(frames))).numpy()
        values = np.asarray(frames, dtype=np.float64)
        part = RunningStatistics(len(self.mean))
        part.count = defined.sum(axis=0).astype(np.float64)
        part.mean = np.where(defined, values, 0).sum(axis=0) / np.maximum(part.count, 1)
        part.squares = np.where(defined, (values - part.mean) ** 2, 0).sum(axis=0)
        return self.merge(part)

    def merge(self, other: "RunningStatistics") -> "RunningStatistics":
        """Add what `other` has counted."""
        total = self.count + other.count
        fraction = other.count / np.maximum(total, 1)
        difference = other.mean - self.mean
        self.squares = self.squares + other.squares + difference**2 * self.count * fraction
        self.mean = self.mean + difference * fraction
        self.count = total
        return self

    def as_dict(self) -> dict[str, list[float]]:
        """As JSON values."""
        return {name: getattr(self, name).tolist() for name in ("count", "mean", "squares")}

    @classmethod
    def from_dict(cls, values: dict[str, list[float]]) -> "RunningStatistics":
        """The inverse of [`as_dict`]."""
        statistics = cls(len(values["mean"]))
        for name, value in values.items():
            setattr(statistics, name, np.array(value, dtype=np.float64))
        return statistics

    @property
    def std(self) -> np.ndarray:
        """Standard deviation `(F,)`; 1 where a feature never varied, so that it can be divided by."""
        std = np.sqrt(self.squares / np.maximum(self.count, 1))
        return np.where(std > 1e-6 * np.maximum(1, np.abs(self.mean)), std, 1.0)


__all__ = ["RunningStatistics"]
