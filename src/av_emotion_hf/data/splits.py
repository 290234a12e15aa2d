"""Speaker-disjoint splits of a dataset: each group (speaker) belongs to one part."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Value

from ..errors import InputError, require_fraction
from .dataset import AnyDataset, column_values, require_columns
from .labels import name_of, report_missing, report_trimmed
from .schema import AUGMENTED


@dataclass(frozen=True)
class GroupSplit:
    """The groups of training, validation and test; no group belongs to two of them."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def as_dict(self) -> dict[str, list[str]]:
        """The split as it is written to `run.json`."""
        return {"train": list(self.train), "validation": list(self.validation), "test": list(self.test)}


def group_names(dataset: AnyDataset, column: str) -> list[str]:
    """The groups of a dataset, sorted. Rows without a group belong to none; they are logged with their number."""
    require_columns(dataset, column)
    values = column_values(dataset, column)
    names = [name_of(value) for value in values]
    report_trimmed(column, values)
    report_missing(dataset, column, [number for number, name in enumerate(names) if name is None])
    return sorted({name for name in names if name is not None})


def keep_groups(dataset: AnyDataset, column: str, groups: tuple[str, ...] | list[str]) -> AnyDataset:
    """The rows whose group is among `groups`."""
    wanted = sorted(groups)  # datasets finds its cache by it: the order in a set changes from run to run
    return _filter(dataset, column, lambda value: name_of(value) in wanted)


def drop_groups(dataset: AnyDataset, column: str, groups: tuple[str, ...] | list[str]) -> AnyDataset:
    """The rows whose group is not among `groups`; of a row without one nobody knows, so it is dropped as well.

    Raises:
        InputError: one of `groups` does not occur.
    """
    _require_known(groups, group_names(dataset, column), column)
    unwanted = [None, *sorted(groups)]
    return _filter(dataset, column, lambda value: name_of(value) not in unwanted)


def drop_augmented(dataset: AnyDataset) -> AnyDataset:
    """The rows without the augmented copies that `extract` may have added: nothing is measured on these."""
    if AUGMENTED not in dataset.features or dataset.features[AUGMENTED] != Value("bool"):
        return dataset
    return _filter(dataset, AUGMENTED, lambda value: not value)


def _filter(dataset: AnyDataset, column: str, keep: Callable[[Any], bool]) -> AnyDataset:
    if isinstance(dataset, Dataset):
        return dataset.filter(keep, input_columns=column)
    # in Arrow: converting the features of a streamed row to Python numbers takes longer than reading them

    def keep_rows(table: pa.Table) -> list[bool]:
        return [keep(value) for value in table.column(column).to_pylist()]

    return dataset.with_format("arrow").filter(keep_rows, batched=True).with_format(None)


def split_groups(
    groups: list[str],
    test: tuple[str, ...] | list[str] = (),
    validation: tuple[str, ...] | list[str] = (),
    validation_fraction: float = 0.2,
    folds: int | None = None,
    fold: int | None = None,
    seed: int = 0,
) -> GroupSplit:
    """Divide groups into training, validation and test; parts that are not named are drawn with `seed`.

    Args:
        groups: all groups.
        test: groups of the test part. With `folds`, fold number `fold` is the test part instead.
        validation: groups for validation; drawn from the remaining groups when empty.
        validation_fraction: fraction of the remaining groups that is drawn, at least one group unless it is 0.
        folds: number of cross-validation folds; the groups are assigned to them in turn, after shuffling with seed 0.
        fold: which fold, from 0.
        seed: of the validation groups that are drawn.

    Raises:
        InputError: an unknown group, a group in two parts, a fold that does not exist, a fraction that is not in
            [0, 1), or no group left to train on.
    """
    require_fraction("validation_fraction", validation_fraction)
    _require_known([*test, *validation], groups, "group")
    if both := sorted(set(test) & set(validation)):
        raise InputError(f"group {both[0]!r} is named for test and for validation; a group belongs to one part")
    if (folds is None) != (fold is None):
        raise InputError("--folds and --fold go together: how many folds there are, and which one is the test")
    if folds is not None and fold is not None:
        if test:
            raise InputError("use either test groups or a fold, not both")
        if not 2 <= folds <= len(groups) or not 0 <= fold < folds:
            raise InputError(
                f"fold {fold} of {folds} does not exist: with {len(groups)} groups there can be 2 to {len(groups)} "
                "folds, counted from 0"
            )
        # the folds are the same whatever the seed of a run
        test = sorted(np.random.default_rng(0).permutation(groups)[fold::folds].tolist())
    train = [group for group in groups if group not in set(test) | set(validation)]
    if not validation and validation_fraction > 0 and len(train) > 1:
        count = min(len(train) - 1, max(1, round(validation_fraction * len(train))))
        validation = np.random.default_rng(seed).permutation(train)[:count].tolist()
        train = [group for group in train if group not in set(validation)]
    if not train:
        raise InputError(f"no group is left to train on: {len(groups)} groups, all named for test or validation")
    return GroupSplit(tuple(train), tuple(sorted(validation)), tuple(sorted(test)))


def _require_known(names: Iterable[str], known: list[str], column: str) -> None:
    for name in names:
        if name not in known:
            raise InputError(f"{column}: there is no group {name!r}; the groups are {', '.join(known)}")


__all__ = ["GroupSplit", "drop_augmented", "drop_groups", "group_names", "keep_groups", "split_groups"]
