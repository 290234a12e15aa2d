"""The part of a dataset that a command works on."""

from collections.abc import Sequence

from ..errors import InputError
from .dataset import AnyDataset, open_dataset, require_columns
from .splits import drop_groups, group_names, keep_groups


def open_selection(
    name: str,
    split: str | None = None,
    streaming: bool = False,
    *,
    group_column: str | None = None,
    groups: Sequence[str] | None = None,
    exclude_groups: Sequence[str] = (),
    limit: int | None = None,
    label_column: str | None = None,
) -> AnyDataset:
    """Open a dataset and select rows of it.

    Args:
        name: see [`open_dataset`].
        split: see [`open_dataset`].
        streaming: see [`open_dataset`].
        group_column: column of the group (speaker).
        groups: groups to keep; all of them when `None`.
        exclude_groups: groups to drop.
        limit: number of rows to take, from the first; all of them when `None`.
        label_column: column of the label, if one is needed; see [`open_dataset`].

    Raises:
        InputError: there is no such dataset, column or group.
    """
    dataset = open_dataset(name, split, streaming, label_column)
    require_columns(dataset, group_column)
    for option, is_given in (("--groups", groups is not None), ("--exclude-groups", bool(exclude_groups))):
        if is_given and group_column is None:
            raise InputError(f"{option} needs to know the groups: add --group-column")
    if group_column is not None and exclude_groups:
        dataset = drop_groups(dataset, group_column, list(exclude_groups))
    if limit:
        dataset = dataset.take(limit)
    if group_column is not None and groups is not None:
        known = set(group_names(dataset, group_column))
        unknown = [group for group in groups if group not in known]
        if unknown:
            raise InputError(f"{group_column}: there is no group {unknown[0]!r} in {name}")
        dataset = keep_groups(dataset, group_column, list(groups))
    return dataset


__all__ = ["open_selection"]
