"""Arrays of numbers from whatever holds them, and what an error says of them."""

import numbers
from typing import Any

import numpy as np
import torch

NUMERIC = "biufc"  # the kinds of types that are numbers


def is_number(value: Any) -> bool:
    """Whether something is one number: of Python or numpy, or an array or tensor without axes."""
    if isinstance(value, np.ndarray | np.generic):
        return value.shape == () and value.dtype.kind in NUMERIC
    return isinstance(value, numbers.Number) or (isinstance(value, torch.Tensor) and value.shape == ())


def as_array(values: Any, name: str) -> np.ndarray:
    """Numbers as an array, without a copy where they are one: of numpy, torch on any device, or lists.

    Args:
        values: what holds the numbers.
        name: of it, for the error.

    Raises:
        ValueError: it holds something else, or lists of different lengths.
    """
    if isinstance(values, torch.Tensor):
        if values.layout != torch.strided or values.is_meta:
            raise ValueError(f"{name} given as a tensor without plain storage: give one as of to_dense()")
        values = values.detach().resolve_conj().resolve_neg()
        return (values.float() if values.dtype == torch.bfloat16 else values).cpu().numpy()
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{name} given as a {_kind(values)} of unequal parts: give an array of numbers") from error
    if array.dtype.kind not in NUMERIC:
        raise ValueError(f"{name} given as a {_kind(values)} without numbers: give an array of numbers")
    return array


def describe(array: np.ndarray) -> str:
    """Shape, type and range of an array, as in `shape (2, 100), type int16, values 0 to 3`."""
    text = f"shape {array.shape}, type {array.dtype}"
    finite = array[np.isfinite(array)] if array.dtype.kind in "biuf" else array[:0]
    return f"{text}, values {finite.min():.6g} to {finite.max():.6g}" if finite.size else text


def refuse_infinite(arrays: list[np.ndarray], name: str) -> None:
    """Refuse floating-point arrays with values that are not finite.

    Raises:
        ValueError: there are some; the message counts them.
    """
    # the extremes are NaN where a value is, and finding them takes no memory
    if all(np.isfinite(array.min()) and np.isfinite(array.max()) for array in arrays if array.size):
        return
    wrong, total = sum(int(np.sum(~np.isfinite(array))) for array in arrays), sum(array.size for array in arrays)
    raise ValueError(
        f"{name} of {describe(arrays[0])}: {wrong} of {total} values are NaN or infinite; replace them, or leave the "
        "clip out"
    )


def _kind(values: Any) -> str:
    return f"{type(values).__name__} of {values.dtype}" if hasattr(values, "dtype") else type(values).__name__


__all__ = ["as_array", "describe", "is_number", "refuse_infinite"]
