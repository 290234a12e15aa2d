"""What holds several clips: lists, datasets, their columns, series and arrays of paths, generators."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .arrays_av_emotion import is_number
from .waveforms_av_emotion import split_rate


def several_clips(inputs: Any) -> Any:
    """What to iterate over, if `inputs` are several clips; `None` if they are one.

    Files of datasets are not decoded.

    Returns:
        A list, or what transformers answers with an iterator: a dataset of torch or a generator.

    Raises:
        ValueError: an array of paths has two axes.
    """
    if isinstance(inputs, list | tuple):
        single = split_rate(inputs) is not None or (bool(inputs) and is_number(inputs[0]))
        return None if single else list(inputs)
    if isinstance(inputs, str | bytes | bytearray | memoryview | os.PathLike | Mapping | torch.Tensor):
        return None
    if isinstance(inputs, np.ndarray):
        if inputs.dtype.kind not in "OSU" or not inputs.ndim:
            return None
        if inputs.ndim > 1:
            raise ValueError(f"an array of shape {inputs.shape}, type {inputs.dtype}: give paths of clips as (clips,)")
        return [os.fsdecode(clip) for clip in inputs] if inputs.dtype.kind == "S" else inputs.tolist()
    if hasattr(inputs, "cast_column"):  # a dataset of datasets
        return _iterate(undecoded(inputs))
    if hasattr(inputs, "column_name") and hasattr(inputs, "source"):  # its column
        return _iterate(_column(inputs))
    if isinstance(inputs, torch.utils.data.Dataset):
        return _keyed(inputs)
    if hasattr(inputs, "iloc") and hasattr(inputs, "columns"):  # a table of pandas
        return inputs.to_dict("records")
    if hasattr(inputs, "to_pylist"):  # an array of pyarrow
        return several_clips(inputs.to_pylist())
    if hasattr(inputs, "to_numpy"):  # a series
        return several_clips(inputs.to_numpy())
    if hasattr(inputs, "read") or not isinstance(inputs, Iterable) or hasattr(inputs, "__array__"):
        return None
    return _iterate(inputs) if isinstance(inputs, Iterator) else list(inputs)


def undecoded(dataset: Any) -> Any:
    """The dataset of datasets with its media as bytes or paths: decoding audio and video would need torchcodec."""
    for name, feature in (dataset.features or {}).items():
        raw = _undecoded_feature(feature)
        if raw != feature:
            dataset = dataset.cast_column(name, raw)
    return dataset


def _undecoded_feature(feature: Any) -> Any:
    if getattr(feature, "decode", False):
        return replace(feature, decode=False)
    if not hasattr(feature, "feature"):
        return feature
    raw = _undecoded_feature(feature.feature)  # of a list
    return feature if raw == feature.feature else replace(feature, feature=raw)


def _column(column: Any) -> Any:
    """A column of a dataset, undecoded; one of a column is left as it is."""
    return undecoded(column.source)[column.column_name] if hasattr(column.source, "cast_column") else column


def _keyed(dataset: Any) -> Any:
    """A dataset of torch; the `KeyDataset` of transformers over one of datasets is one of undecoded rows."""
    source = getattr(dataset, "dataset", None)
    if not hasattr(source, "cast_column") or not hasattr(dataset, "key"):
        return dataset
    return type(dataset)(undecoded(source), dataset.key)


def _iterate(clips: Iterable) -> Iterator:
    yield from clips


__all__ = ["several_clips", "undecoded"]
