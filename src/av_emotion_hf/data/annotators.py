"""The labels of several annotators: a column for each of them, or lists of labels."""

from collections.abc import Sequence
from typing import Any

from datasets import ClassLabel, Dataset, LargeList, List, Value

from .dataset import column_values, require_columns
from .labels import class_names, reader_of_classes


def holds_lists_of_names(feature: Any) -> bool:
    """Whether the cells of a column are lists of classes by name; lists of numbers are votes."""
    if not isinstance(feature, List | LargeList):
        return False
    cell = feature.feature
    return isinstance(cell, ClassLabel) or (isinstance(cell, Value) and cell.dtype in ("string", "large_string"))


def read_annotators(dataset: Dataset, columns: Sequence[str]) -> tuple[list[list[str | None]], list[str]]:
    """What the annotators of each clip said.

    Args:
        dataset: a table.
        columns: each holds the label that one annotator gave, or a list of the labels of several.

    Returns:
        By row the labels, `None` where an annotator abstained: an empty cell, NaN or blanks alone. And the names of
        the classes: in the order of the `ClassLabel` of the columns, else sorted.

    Raises:
        InputError: a column is missing, or does not hold classes.
    """
    require_columns(dataset, *columns)
    by_column = [_labels_in(dataset, column) for column in columns]
    rows = [[name for labels in clip for name in labels] for clip in zip(*by_column, strict=True)]
    features = [dataset.features[column] for column in columns]
    kinds = [each.feature if holds_lists_of_names(each) else each for each in features]
    if all(isinstance(kind, ClassLabel) for kind in kinds):
        return rows, list(dict.fromkeys(name for kind in kinds for name in kind.names))
    return rows, sorted({name for row in rows for name in row if name is not None})


def _labels_in(dataset: Dataset, column: str) -> list[list[str | None]]:
    """The labels in each cell of a column."""
    feature = dataset.features[column]
    if not holds_lists_of_names(feature):
        return [[name] for name in class_names(dataset, column)]
    class_name = reader_of_classes(feature.feature)
    return [[class_name(value) for value in cell or ()] for cell in column_values(dataset, column)]


__all__ = ["holds_lists_of_names", "read_annotators"]
