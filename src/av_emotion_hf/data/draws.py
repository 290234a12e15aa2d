"""Random draws for batches: which can be repeated, since they follow from numbers such as that of the batch."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def numbered_draws(*numbers: int) -> Iterator[None]:
    """Within it, draws from torch's global generator follow from `numbers` alone; its state is the same afterwards."""
    seed = np.random.SeedSequence(numbers).generate_state(1)[0]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(seed))  # torch.manual_seed would seed the GPUs as well
        yield


def is_drawn(probability: float) -> bool:
    """True with a probability; what is impossible costs no draw."""
    return probability > 0 and float(torch.rand(())) < probability


def uniform(low: float, high: float) -> float:
    """A number from `low` to `high`."""
    return low + (high - low) * float(torch.rand(()))


def draw_mixture(size: int, alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
    """With which other item each of a batch is mixed, and to what fraction (Zhang et al. 2018, mixup).

    Returns:
        Fraction of the other `(B,)` from Beta(`alpha`, `alpha`), folded so that it is at most a half; and its index
        `(B,)`, which may be that of the item itself.
    """
    fraction = torch.distributions.Beta(alpha, alpha).sample((size,))
    return torch.minimum(fraction, 1 - fraction), torch.randperm(size)


__all__ = ["draw_mixture", "is_drawn", "numbered_draws", "uniform"]
