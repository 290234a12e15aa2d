"""Votes of several annotators as labels: their distribution, their mode, and the majority by which scores count.

Where many annotators label each sample, CN112633263A (paragraph 3) takes the mode. FER+ (Barsoum et al. 2016) learns
from the distribution of the votes, and scores the pictures on whose class more than half of the votes agree.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from datasets import Dataset, LargeList, List, Value

from ..errors import InputError
from .dataset import AnyDataset, column_values, require_columns
from .labels import with_labels

logger = logging.getLogger(__name__)

TARGETS = ("distribution", "mode")  # what a model may learn from votes
MAJORITY = "majority"  # what it is scored by
NUMBERS = ("int", "uint", "float", "double", "null")


@dataclass(frozen=True)
class VoteOptions:
    """How votes are read.

    Args:
        columns: by class the column with the number of its votes; empty where the label column holds all votes of a
            row, as a list or by name.
        labels: names of what the lists in the label column have votes for.
        ignored: columns, or entries of the label column, of votes for no class, such as "unknown" and "not a face", or
            for a class that is left out. Where one of them has more votes than each class, the row is left out; else
            its votes are dropped.
        min_votes: what has fewer votes has none. 2 drops single votes, as FER+ does.

    Raises:
        InputError: a name occurs twice, `min_votes` is no count, or there are columns and names of a list.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    labels: Sequence[str] = ()
    ignored: Sequence[str] = ()
    min_votes: int = 1

    def __post_init__(self) -> None:
        if self.columns and self.labels:
            raise InputError(
                f"--labels {','.join(self.labels)}: names the entries of a list, and --vote-columns gives columns; "
                "give one of the two"
            )
        names = [*self.columns.values(), *(self.ignored if self.columns else ())]
        for each in (names, list(self.labels), list(self.ignored)):
            repeated = [name for name in each if each.count(name) > 1]
            if repeated:
                raise InputError(f"{repeated[0]!r} is named twice among the votes; name each once")
        if self.min_votes < 1:
            raise InputError(f"min_votes={self.min_votes}: has to be 1 or more; use 2 to drop single votes")

    def are_in(self, dataset: AnyDataset, label_column: str) -> bool:
        """Whether the labels of a dataset are votes.

        Raises:
            InputError: they are not, although there are options of votes.
        """
        if self.columns or _is_nested(dataset.features.get(label_column)):
            return True
        if self.record() != VoteOptions().record():
            raise InputError(
                f"column {label_column!r} holds no votes, which --ignored-votes, --min-votes and --labels are about; "
                "give --vote-columns, or a --label-column of lists"
            )
        return False

    def record(self) -> dict[str, Any]:
        """The options as JSON values."""
        return {name: value for name, value in asdict(self).items() if value}


def vote_classes(dataset: AnyDataset, label_column: str, options: VoteOptions) -> dict[str, str]:
    """By class the column, or the entry of the label column, that has its votes; in the order of the options.

    Raises:
        InputError: a column is missing, or the entries of a list have no names.
    """
    if options.columns:
        return dict(options.columns)
    require_columns(dataset, label_column)
    feature = dataset.features[label_column]
    entries = list(feature) if isinstance(feature, dict) else list(options.labels)
    if not entries:
        raise InputError(f"column {label_column!r} holds lists of votes without names; name the entries with --labels")
    return {name: name for name in entries if name not in options.ignored}


def encode_votes(
    dataset: AnyDataset, label_column: str, options: VoteOptions, labels: Sequence[str], target: str, part: str
) -> tuple[Dataset, dict[str, int]]:
    """Add the column `labels`, made of votes; rows whose votes give no label are left out.

    Args:
        dataset: a table.
        label_column: of lists of votes, where these have no columns of their own.
        options: how votes are read.
        labels: the model's classes; those without votes in the dataset have none.
        target: `distribution`, `mode` or `majority`, see [`choose_labels`].
        part: what messages call the dataset, such as `validation`.

    Returns:
        The rows, and how many were left out, by the reason.

    Raises:
        InputError: the dataset is a stream, a column is missing or does not hold votes, a class of the votes is not
            among `labels`, or no row is left.
    """
    if not isinstance(dataset, Dataset):
        raise InputError("votes are counted over a whole table, and this dataset is a stream; do not stream it")
    classes = vote_classes(dataset, label_column, options)
    unknown = [name for name in classes if name not in labels]
    if unknown:
        raise InputError(
            f"votes for {unknown[0]!r}, which is not among the model's classes {', '.join(labels)}; name the model's "
            "class with --vote-columns CLASS=COLUMN, or add it to --ignored-votes"
        )
    table = _read_votes(dataset, label_column, options)
    missing = [name for name in (*classes.values(), *options.ignored) if name not in table]
    if missing:
        raise InputError(
            f"there are no votes for {missing[0]!r} in column {label_column!r}; it has "
            f"{', '.join(table)}; choose of these"
        )
    none = np.zeros(len(dataset))
    votes = np.stack([table[classes[name]] if name in classes else none for name in labels], axis=1)
    ignored = np.stack([none, *(table[name] for name in options.ignored)], axis=1)
    chosen, left_out = choose_labels(drop_few(votes, options.min_votes), drop_few(ignored, options.min_votes), target)
    kept = np.flatnonzero(np.all([~rows for rows in left_out.values()], axis=0))
    counts = {reason: int(rows.sum()) for reason, rows in left_out.items()}
    shown = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    if not len(kept):
        raise InputError(
            f"none of the {len(dataset)} {part} rows has a label by its votes ({shown}); check the columns"
        )
    if shown:
        logger.warning("left out %d of %d %s rows: %s", len(dataset) - len(kept), len(dataset), part, shown)
    feature = List(Value("float32")) if chosen.ndim == 2 else Value("int64")
    return with_labels(dataset, list(chosen), feature).select(kept), counts


def drop_few(votes: np.ndarray, min_votes: int) -> np.ndarray:
    """Votes `(N, K)` of which those for what has fewer than `min_votes` are dropped as outliers."""
    return np.where(votes < min_votes, 0, votes) if min_votes > 1 else votes


def choose_labels(votes: np.ndarray, ignored: np.ndarray, target: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels by votes.

    - `distribution`: the fraction of each class; ties are kept.
    - `mode`: the class with the most votes (CN112633263A); a tie has none.
    - `majority`: the class with more than half of all votes, the ignored ones among them (Barsoum et al. 2016).

    Args:
        votes: `(N, K)` for the classes.
        ignored: `(N, I)` for none of them, I > 0.
        target: which of the three.

    Returns:
        Labels `(N, K)` float32 that add up to 1, or classes `(N,)` int64; and by reason the rows `(N,)` that have no
        label, whose labels mean nothing.
    """
    best, best_ignored = votes.max(axis=1), ignored.max(axis=1)
    total = votes.sum(axis=1) + ignored.sum(axis=1)
    left_out = {"without votes": total == 0, "won by ignored votes": best_ignored > best}
    decided = (total > 0) & (best_ignored <= best)
    if target == "distribution":
        counted = votes.sum(axis=1, keepdims=True)
        return (votes / np.where(counted > 0, counted, 1)).astype(np.float32), left_out
    if target == "mode":
        left_out["with a tie"] = decided & ((votes == best[:, None]).sum(axis=1) > 1)
    else:
        left_out["without a majority"] = decided & (2 * best <= total)
    return votes.argmax(axis=1), left_out


def _is_nested(feature: Any) -> bool:
    """Whether cells hold several values: lists, or values by name."""
    return isinstance(feature, List | LargeList | dict)


def _read_votes(dataset: Dataset, label_column: str, options: VoteOptions) -> dict[str, np.ndarray]:
    """Votes `(N,)` by column or entry; an empty cell has none.

    Raises:
        InputError: a column is missing, or holds something else.
    """
    if options.columns:
        names = [*options.columns.values(), *options.ignored]
        require_columns(dataset, *names)
        return {name: _counts(name, column_values(dataset, name), dataset.features[name], True) for name in names}
    feature, cells = dataset.features[label_column], column_values(dataset, label_column)
    is_list = not isinstance(feature, dict)
    entries = list(options.labels) if is_list else list(feature)
    rows = [_entries(cell, entries) for cell in cells]
    wrong = next((number for number, row in enumerate(rows) if len(row) != len(entries)), None)
    if wrong is not None:
        raise InputError(
            f"column {label_column!r}, row {wrong}: has {len(rows[wrong])} entries, and --labels names "
            f"{len(entries)}; name each entry once"
        )
    kinds = dict.fromkeys(entries, feature.feature) if is_list else feature
    columns = zip(entries, zip(*rows, strict=True), strict=True)
    whole = options.min_votes > 1  # else fractions serve as well
    return {name: _counts(f"{label_column}, {name}", values, kinds[name], whole) for name, values in columns}


def _entries(cell: list | dict | None, names: list[str]) -> list:
    """The votes in one cell; an empty one has none."""
    if cell is None:
        return [None] * len(names)
    return [cell[name] for name in names] if isinstance(cell, dict) else cell


def _counts(name: str, values: Sequence, feature: Any, whole: bool) -> np.ndarray:
    """Votes `(N,)` of one column."""
    if not isinstance(feature, Value) or not feature.dtype.startswith(NUMBERS):
        kind = feature.dtype if isinstance(feature, Value) else type(feature).__name__
        raise InputError(f"column {name!r} holds {kind} cells, and votes are numbers; choose other columns")
    votes = np.array([0 if value is None else value for value in values], dtype=np.float64)
    votes[np.isnan(votes)] = 0  # what pandas makes of an empty cell
    wrong = (votes < 0) | np.isinf(votes) | ((np.floor(votes) != votes) & whole)
    if wrong.any():
        row = int(wrong.argmax())
        rule = "a whole number, 0 or more" if whole else "0 or more, and finite"
        raise InputError(f"column {name!r}, row {row}: {votes[row]:g} votes; a count of votes is {rule}; correct it")
    return votes


__all__ = ["TARGETS", "VoteOptions", "choose_labels", "drop_few", "encode_votes", "vote_classes"]
