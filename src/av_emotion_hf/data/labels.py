"""Labels and groups as people type them: names, which rows have none, and the indices of classes."""

import logging
import math
from collections.abc import Callable
from typing import Any

from datasets import ClassLabel, Dataset, Value

from ..errors import InputError, printable
from .dataset import AnyDataset, column_values, require_columns
from .reader import ClipReader, with_inputs
from .schema import CLIP, FEATURE_COLUMNS

logger = logging.getLogger(__name__)

CLASS_TYPES = ("string", "large_string", "bool", "int", "uint", "float", "double", "null")
SHOWN = 5  # names in a message


def name_of(value: Any) -> str | None:
    """The class or group that a cell names.

    Returns:
        Its text without blanks around it; `None` for an empty cell, NaN or blanks alone. A whole number in a column of
        floats, as pandas makes of integers where cells are empty, is written without a fraction.
    """
    if value is None:
        return None
    if isinstance(value, float):
        if math.isnan(value):
            return None
        value = int(value) if value.is_integer() else value
    return str(value).strip() or None


def label_names(dataset: AnyDataset, column: str) -> list[str]:
    """The names of the classes: in the order of a `ClassLabel`, else sorted.

    Raises:
        InputError: there is no such column, or it does not hold classes.
    """
    feature = _require_classes(dataset, column)
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    names = {name_of(value) for value in column_values(dataset, column)}
    return sorted(name for name in names if name is not None)


def class_names(dataset: AnyDataset, column: str) -> list[str | None]:
    """The class of each row, `None` where it has no label.

    Raises:
        InputError: there is no such column, or it does not hold classes.
    """
    class_name = reader_of_classes(_require_classes(dataset, column))
    return [class_name(value) for value in column_values(dataset, column)]


def drop_unlabeled(dataset: AnyDataset, column: str) -> AnyDataset:
    """The rows that have a label; the others are logged with their number.

    Raises:
        InputError: there is no such column, or it does not hold classes.
    """
    missing = [number for number, name in enumerate(class_names(dataset, column)) if name is None]
    if not missing:
        return dataset
    report_missing(dataset, column, missing)
    class_name = reader_of_classes(dataset.features[column])
    return dataset.filter(lambda value: class_name(value) is not None, input_columns=column)


def encode_labels(dataset: AnyDataset, column: str, labels: list[str]) -> AnyDataset:
    """Add the column `labels`, the index of each row's class within `labels`; rows without a label are dropped.

    Raises:
        InputError: there is no such column, it does not hold classes, or a class occurs that is not among `labels`.
    """
    dataset = drop_unlabeled(dataset, column)
    class_name = reader_of_classes(dataset.features[column])
    index: dict[str | None, int] = {name: position for position, name in enumerate(labels)}
    values = column_values(dataset, column)
    unknown = sorted(str(name) for name in {class_name(value) for value in set(values)} - set(index))
    if unknown:
        raise InputError(
            f"label {unknown[0]!r} of column {column!r} is not among the model's classes {', '.join(labels)}; "
            "rename it or remove its rows"
        )
    report_trimmed(column, values)
    if not isinstance(dataset, Dataset):
        return dataset.map(lambda value: {"labels": index[class_name(value)]}, input_columns=column)
    return with_labels(dataset, [index[class_name(value)] for value in values], Value("int64"))


def with_labels(dataset: Dataset, values: list, feature: Any) -> Dataset:
    """The table with the column `labels`; mapping the rows would copy what is in them."""
    others = dataset.remove_columns("labels") if "labels" in dataset.features else dataset
    return others.add_column("labels", values, feature=feature)


def read_labeled(
    dataset: AnyDataset,
    column: str,
    labels: list[str],
    reader: ClipReader,
    num_proc: int | None = None,
    part: str = "dataset",
) -> AnyDataset:
    """[`with_inputs`] and [`encode_labels`] together: clips without a label are not read."""
    if isinstance(dataset, Dataset):  # to encode first would copy the media
        read = with_inputs(drop_unlabeled(dataset, column), reader, num_proc, part)
        return features_as_arrays(encode_labels(read, column, labels))
    return with_inputs(encode_labels(dataset, column, labels), reader, num_proc, part)


def features_as_arrays(dataset: AnyDataset) -> AnyDataset:
    """The rows of a table, features as arrays: making every value a number of Python takes longer than an epoch."""
    features = [name for name in FEATURE_COLUMNS.values() if name in dataset.features]
    if not features or not isinstance(dataset, Dataset):
        return dataset
    return dataset.with_format("numpy", columns=features, output_all_columns=True)


def reader_of_classes(feature: Any) -> Callable[[Any], str | None]:
    """Function that returns the class that a cell names."""
    if not isinstance(feature, ClassLabel):
        return name_of
    return lambda value: feature.names[value] if value is not None and value >= 0 else None


def class_counts(dataset: AnyDataset, labels: list[str]) -> dict[str, int]:
    """How many rows of a dataset with the column `labels` belong to each of these classes.

    Where `labels` holds distributions, each row counts as its fractions, and the sums are rounded.
    """
    values = column_values(dataset, "labels")
    if values and isinstance(values[0], list):
        return {label: round(sum(row[i] for row in values)) for i, label in enumerate(labels)}
    return {label: values.count(i) for i, label in enumerate(labels)}


def report_trimmed(column: str, values: list) -> None:
    """Log which names of a column have blanks around them."""
    texts = {value for value in values if isinstance(value, str)}
    trimmed = sorted(repr(text) for text in texts if text.strip() and text != text.strip())
    if trimmed:
        logger.warning("column %r: %s are read without the blanks around them", column, ", ".join(trimmed[:SHOWN]))


def report_missing(dataset: AnyDataset, column: str, rows: list[int]) -> None:
    """Log which rows have nothing in a column."""
    if not rows:
        return
    shown: list[Any] = [f"row {number}" for number in rows[:SHOWN]]
    if isinstance(dataset, Dataset) and CLIP in dataset.features:
        shown = [printable(str(name)) for name in dataset.select(rows[:SHOWN])[CLIP]]
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    count = f"{len(rows)} of {len(dataset)} rows" if isinstance(dataset, Dataset) else f"rows: {len(rows)}"
    logger.warning("column %r: empty in %s, left out: %s%s", column, count, ", ".join(shown), more)


def _require_classes(dataset: AnyDataset, column: str) -> Any:
    """The feature of a column that holds classes."""
    require_columns(dataset, column)
    feature = dataset.features[column]
    if isinstance(feature, ClassLabel):
        return feature
    if not isinstance(feature, Value):
        raise InputError(
            f"column {column!r} holds {type(feature).__name__} cells, and a clip needs one label; votes of several "
            "annotators are read by train-expression, by evaluate, and by finetune on one dataset alone: put their "
            "mode into a column of its own"
        )
    if not feature.dtype.startswith(CLASS_TYPES):
        raise InputError(
            f"column {column!r} holds {feature.dtype} values, which are no classes; choose another --label-column"
        )
    if feature.dtype.startswith(("float", "double")):
        fractions = [v for v in column_values(dataset, column) if v is not None and math.isfinite(v) and v % 1]
        if fractions:
            raise InputError(
                f"column {column!r} holds fractions ({', '.join(map(str, fractions[:2]))}), which are no classes, and "
                "regression is not supported; divide them into named classes, or choose another --label-column"
            )
    return feature


__all__ = [
    "class_counts",
    "class_names",
    "drop_unlabeled",
    "encode_labels",
    "features_as_arrays",
    "label_names",
    "name_of",
    "read_labeled",
    "reader_of_classes",
    "report_missing",
    "report_trimmed",
    "with_labels",
]
