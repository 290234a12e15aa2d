"""Corpora, their splits, the inputs and features made from them, and batches."""

from .collators import ClipCollator, MaskingCollator
from .dataset import encode_labels, label_names, open_dataset
from .features import FeatureReader
from .reader import ClipReader, ReaderOptions, with_inputs
from .splits import GroupSplit, drop_groups, group_names, keep_groups, split_groups
from .statistics import RunningStatistics

__all__ = [
    "ClipCollator",
    "ClipReader",
    "FeatureReader",
    "GroupSplit",
    "MaskingCollator",
    "ReaderOptions",
    "RunningStatistics",
    "drop_groups",
    "encode_labels",
    "group_names",
    "keep_groups",
    "label_names",
    "open_dataset",
    "split_groups",
    "with_inputs",
]
