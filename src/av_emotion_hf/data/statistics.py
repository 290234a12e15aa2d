"""Mean and deviation of frame features over a dataset, in one pass."""

import numpy as np


class RunningStatistics:
    """Count, mean and sum of squared deviations per feature; parts can be merged (Chan et al. 1979).

    Args:
        num_features: number of features per frame.
    """

    def __init__(self, num_features: int):
        self.count = np.zeros(num_features)
        self.mean = np.zeros(num_features)
        self.squares = np.zeros(num_features)

    def update(self, frames: np.ndarray, valid: np.ndarray | None = None) -> "RunningStatistics":
        """Add `frames (N, F)`; where `valid (N, F)` is False a cell does not count (F0 of an unvoiced frame)."""
        frames = np.asarray(frames, dtype=np.float64)
        valid = np.ones_like(frames, dtype=bool) if valid is None else valid
        part = RunningStatistics(len(self.mean))
        part.count = valid.sum(axis=0).astype(np.float64)
        part.mean = np.where(valid, frames, 0).sum(axis=0) / np.maximum(part.count, 1)
        part.squares = np.where(valid, (frames - part.mean) ** 2, 0).sum(axis=0)
        return self.merge(part)

    def merge(self, other: "RunningStatistics") -> "RunningStatistics":
        """Add what `other` has seen."""
        total = self.count + other.count
        share = other.count / np.maximum(total, 1)
        difference = other.mean - self.mean
        self.squares = self.squares + other.squares + difference**2 * self.count * share
        self.mean = self.mean + difference * share
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
