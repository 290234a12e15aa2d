"""Mono from any number of channels."""

from collections.abc import Sequence

import numpy as np

SILENCE = 1e-4  # 80 dB below full scale: what stays below it is not audio


def to_mono(samples: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
    """The mean `(n,)` float32 of channels `(C, n)`, whatever their names are."""
    return np.asarray(samples, np.float32).mean(axis=0)


__all__ = ["SILENCE", "to_mono"]
