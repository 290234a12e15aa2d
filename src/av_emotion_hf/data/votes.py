"""Votes of several annotators as labels: their distribution, their mode, and the majority by which scores count.

Where many annotators label each sample, CN112633263A (paragraph 3) takes the mode. FER+ (Barsoum et al. 2016) learns
from the distribution of the votes, and scores the pictures on whose class more than half of the votes agree. Votes are
counted already, or are the labels that each annotator gave.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from datasets import Dataset, LargeList, List, Value

from ..errors import InputError
from .agreement import count_labels, krippendorff_alpha
from .annotators import holds_lists_of_names, read_annotators
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
        columns: by class the column with the number of its votes.
        labels: names of what the lists in the label column have votes for.
        ignored: columns, or entries of the label column, of votes for no class, such as "unknown" and "not a face", or
            for a class that is left out. Where one of them has more votes than each class, the row is left out; else
            its votes are dropped.
        min_votes: what has fewer votes has none. 2 drops single votes, as FER+ does.
        annotators: columns with the label that each annotator gave; an empty cell is an abstention. Without them and
            without `columns`, the label column holds all votes of a row: a list of labels, a list of numbers, or
            numbers by name.

    Raises:
        InputError: a name occurs twice, `min_votes` is no count, or votes are given in two ways.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    labels: Sequence[str] = ()
    ignored: Sequence[str] = ()
    min_votes: int = 1
    annotators: Sequence[str] = ()

    def __post_init__(self) -> None:
        ways = {"--vote-columns": self.columns, "--annotator-columns": self.annotators, "--labels": self.labels}
        given = [way for way, names in ways.items() if names]
        if len(given) > 1:
            raise InputError(f"{given[0]} and {given[1]} say in two ways where votes are; give one of the two")
        names = [*self.columns.values(), *self.annotators, *(self.ignored if self.columns else ())]
        for each in (names, list(self.labels), list(self.ignored)):
            repeated = [name for name in each if each.count(name) > 1]
            if repeated:
                raise InputError(f"{repeated[0]!r} is named twice among the votes; name each once")
        if self.min_votes < 1:
            raise InputError(f"min_votes={self.min_votes}: has to be 1 or more; use 2 to drop single votes")

    def label_column(self, given: str) -> str | None:
        """The label column, `None` where votes have columns of their own."""
        return None if self.columns or self.annotators else given

    def are_in(self, dataset: AnyDataset, label_column: str) -> bool:
        """Whether the labels of a dataset are votes.

        Raises:
            InputError: they are not, although there are options of votes.
        """
        if self.label_column(label_column) is None or _is_nested(dataset.features.get(label_column)):
            return True
        if self.record() != VoteOptions().record():
            raise InputError(
                f"column {label_column!r} holds no votes, which --ignored-votes, --min-votes and --labels are about; "
                "give --vote-columns, --annotator-columns, or a --label-column of lists"
            )
        return False

    def record(self) -> dict[str, Any]:
        """The options as JSON values."""
        return {name: value for name, value in asdict(self).items() if value}


def require_target(targets: str, are_votes: bool) -> None:
    """Raise [`InputError`] unless `targets` is what a model may learn, from votes or from single labels."""
    if targets not in TARGETS:
        raise InputError(f"targets {targets!r} is not one of {', '.join(TARGETS)}")
    if targets != TARGETS[0] and not are_votes:
        raise InputError(
            f"targets {targets!r} is about votes, and there are none; add --vote-columns or --annotator-columns"
        )


def vote_classes(dataset: AnyDataset, label_column: str, options: VoteOptions) -> dict[str, str]:
    """By class the column, or the entry of the label column, that has its votes; in the order of the options.

    Raises:
        InputError: the dataset is a stream, a column is missing, or the entries of a list have no names.
    """
    table = _require_table(dataset)
    if options.columns:
        return dict(options.columns)
    require_columns(table, options.label_column(label_column))
    columns = _columns_of_names(table, label_column, options)
    if columns:
        entries = read_annotators(table, columns)[1]
    else:
        feature = table.features[label_column]
        entries = list(feature) if isinstance(feature, dict) else list(options.labels)
    if not entries and not columns:
        raise InputError(f"column {label_column!r} holds lists of votes without names; name the entries with --labels")
    return {name: name for name in entries if name not in options.ignored}


def encode_parts(
    parts: Mapping[str, AnyDataset], label_column: str, options: VoteOptions, labels: Sequence[str], targets: str
) -> tuple[dict[str, Dataset], dict[str, Any]]:
    """[`encode_votes`] of each part of the data: `train` by `targets`, others by the majority, as they are scored.

    Returns:
        The parts, and what a record says of their votes: the options, `targets`, and by part `left_out` and
        `agreement`, see [`vote_agreement`].

    Raises:
        InputError: see [`encode_votes`].
    """
    encoded, left_out, agreement = {}, {}, {}
    for name, part in parts.items():
        target = targets if name == "train" else MAJORITY
        encoded[name], left_out[name] = encode_votes(part, label_column, options, labels, target, name)
        agreement[name] = vote_agreement(part, label_column, options)
    return encoded, options.record() | {"targets": targets, "left_out": left_out, "agreement": agreement}


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
    table = _require_table(dataset)
    votes, ignored = _count_votes(table, label_column, options, labels)
    chosen, left_out = choose_labels(drop_few(votes, options.min_votes), drop_few(ignored, options.min_votes), target)
    kept = np.flatnonzero(np.all([~rows for rows in left_out.values()], axis=0))
    counts = {reason: int(rows.sum()) for reason, rows in left_out.items()}
    shown = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    if not len(kept):
        raise InputError(f"none of the {len(table)} {part} rows has a label by its votes ({shown}); check the columns")
    if shown:
        logger.warning("left out %d of %d %s rows: %s", len(table) - len(kept), len(table), part, shown)
    feature = List(Value("float32")) if chosen.ndim == 2 else Value("int64")
    return with_labels(table, list(chosen), feature).select(kept), counts


def vote_agreement(dataset: AnyDataset, label_column: str, options: VoteOptions) -> dict[str, Any]:
    """How far the annotators of a dataset agree, before anything is left out.

    Returns:
        `alpha`, see [`krippendorff_alpha`]: of all votes for a class, `None` where nothing can be compared; `clips`,
        and how many of them are `compared`, as they have several of these votes; `ties`, clips without a mode, after
        `min_votes`; and where the labels of each annotator are given `abstentions`, cells without one.

    Raises:
        InputError: see [`encode_votes`].
    """
    table = _require_table(dataset)
    votes, ignored = _count_votes(table, label_column, options, list(vote_classes(table, label_column, options)))
    try:
        alpha = round(krippendorff_alpha(votes), 4)
    except InputError as error:
        logger.warning("agreement is not known: %s", error)
        alpha = None
    _, left_out = choose_labels(drop_few(votes, options.min_votes), drop_few(ignored, options.min_votes), "mode")
    facts = {
        "alpha": alpha,
        "clips": len(table),
        "compared": int((votes.sum(axis=1) > 1).sum()),
        "ties": int(left_out["with a tie"].sum()),
    }
    if columns := _columns_of_names(table, label_column, options):
        facts["abstentions"] = sum(row.count(None) for row in read_annotators(table, columns)[0])
    return facts


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


def _require_table(dataset: AnyDataset) -> Dataset:
    if not isinstance(dataset, Dataset):
        raise InputError("votes are counted over a whole table, and this dataset is a stream; do not stream it")
    return dataset


def _is_nested(feature: Any) -> bool:
    """Whether cells hold several values: lists, or values by name."""
    return isinstance(feature, List | LargeList | dict)


def _columns_of_names(dataset: Dataset, label_column: str, options: VoteOptions) -> list[str]:
    """The columns in which annotators name classes; none where votes are counted already."""
    if options.columns or options.annotators or not holds_lists_of_names(dataset.features.get(label_column)):
        return list(options.annotators)
    if options.labels:
        raise InputError(
            f"--labels {','.join(options.labels)}: names the entries of lists of numbers, and column {label_column!r} "
            "holds lists of names; leave it out"
        )
    return [label_column]


def _count_votes(
    dataset: Dataset, label_column: str, options: VoteOptions, labels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Votes `(N, K)` for `labels`, and `(N, I)` for none of them, I > 0.

    Raises:
        InputError: a column is missing or does not hold votes, or there are votes for a class that is not among
            `labels`.
    """
    classes = vote_classes(dataset, label_column, options)
    table = _read_votes(dataset, label_column, options)
    missing = [name for name in (*classes.values(), *options.ignored) if name not in table]
    if missing:
        raise InputError(
            f"there are no votes for {missing[0]!r} in column {label_column!r}; it has "
            f"{', '.join(table)}; choose of these"
        )
    unknown = [name for name, place in classes.items() if name not in labels and table[place].any()]
    if unknown:
        raise InputError(
            f"votes for {unknown[0]!r}, which is not among the model's classes {', '.join(labels)}; name the model's "
            "class (--vote-columns CLASS=COLUMN, where votes are counted), or add it to --ignored-votes"
        )
    none = np.zeros(len(dataset))
    votes = np.stack([table[classes[name]] if name in classes else none for name in labels], axis=1)
    return votes, np.stack([none, *(table[name] for name in options.ignored)], axis=1)


def _read_votes(dataset: Dataset, label_column: str, options: VoteOptions) -> dict[str, np.ndarray]:
    """Votes `(N,)` by column or entry; an empty cell has none.

    Raises:
        InputError: a column is missing, or holds something else.
    """
    if options.columns:
        names = [*options.columns.values(), *options.ignored]
        require_columns(dataset, *names)
        return {name: _counts(name, column_values(dataset, name), dataset.features[name], True) for name in names}
    if named := _columns_of_names(dataset, label_column, options):
        labels, entries = read_annotators(dataset, named)
        entries += [name for name in options.ignored if name not in entries]
        return dict(zip(entries, count_labels(labels, entries).T, strict=True))
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
    whole = options.min_votes > 1  # else fractions serve as well
    return {
        name: _counts(f"{label_column}, {name}", values, kinds[name], whole)
        for name, values in zip(entries, zip(*rows, strict=True), strict=True)
    }


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


__all__ = [
    "MAJORITY",
    "TARGETS",
    "VoteOptions",
    "choose_labels",
    "drop_few",
    "encode_parts",
    "encode_votes",
    "require_target",
    "vote_agreement",
    "vote_classes",
]
