"""Pseudo-labels (Lee 2013): a pool of unlabeled clips, and the classes that a model is sure of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import ClassLabel, Dataset, Value
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from ..checkpoints import load_classifier
from ..data.collators import ClipCollator
from ..data.corpora import columns_of, joined_rows
from ..data.dataset import AnyDataset, column_values
from ..data.labels import class_names, drop_unlabeled, label_names, name_of
from ..data.reader import ClipReader, with_inputs
from ..data.schema import FEATURE_COLUMNS, INPUT_COLUMNS
from ..data.splits import GroupSplit, drop_augmented, drop_groups, group_names, keep_groups
from ..errors import InputError
from .calibration import expected_calibration_error, fit_temperature, probabilities, reliability
from .evaluation import has_input

NO_GROUP = "(unlabeled)"  # the group of clips of a pool without that column


@dataclass
class Pool:
    """Unlabeled clips.

    Attributes:
        rows: inputs or features.
        names: of the dataset of each row.
        groups: of each row.
    """

    rows: Dataset
    names: list[str]
    groups: list[str]


@dataclass(frozen=True)
class PoolReader:
    """Reads labeled clips and a pool of unlabeled ones into tables that can be joined.

    Attributes:
        reader: reads clips into inputs, where a dataset holds clips.
        split: groups to train and to validate on.
        label_column: column of the label.
        group_column: column of the group (speaker).
        corpus_column: column of the name of the dataset, where several are learned from; groups are `NAME/GROUP` then,
            as in [`join_datasets`].
        num_proc: processes that read clips.
    """

    reader: ClipReader
    split: GroupSplit
    label_column: str
    group_column: str
    corpus_column: str | None = None
    num_proc: int | None = None

    def labeled(self, dataset: AnyDataset) -> Dataset:
        """Inputs or features of the labeled clips of training and validation, with label, group and corpus.

        Raises:
            InputError: the dataset is a stream.
        """
        heard = [*self.split.train, *self.split.validation]
        rows: Any = keep_groups(_table("the labeled dataset", dataset), self.group_column, heard)
        rows = with_inputs(drop_unlabeled(rows, self.label_column), self.reader, self.num_proc, "labeled")
        labels = label_names(dataset, self.label_column)
        index = [labels.index(str(name)) for name in class_names(rows, self.label_column)]
        groups = [str(name_of(value)) for value in column_values(rows, self.group_column)]
        names = column_values(rows, self.corpus_column) if self.corpus_column is not None else []
        table = rows.select_columns(columns_of(rows, self.reader))
        return self._described(table, index, ClassLabel(names=labels), groups, names)

    def unlabeled(self, pool: Sequence[tuple[str, AnyDataset]]) -> Pool:
        """Inputs or features of the clips of a pool.

        Augmented copies are left out. So are, where a dataset has the column of the group, clips of validation and
        test groups, and those of which the group is not known.

        Args:
            pool: datasets, each with its name.

        Raises:
            InputError: a dataset is a stream, they have different forms, or no clip is left.
        """
        parts, names, groups = [], [], []
        for name, dataset in pool:
            rows: Any = drop_augmented(_table(name, dataset))
            prefix = "" if self.corpus_column is None else f"{name}/"
            has_groups = self.group_column in rows.features
            if has_groups:
                held_out = {group.removeprefix(prefix) for group in self.split.validation + self.split.test}
                known = held_out & set(group_names(rows, self.group_column))
                rows = drop_groups(rows, self.group_column, sorted(known))
            if not len(rows):
                continue
            rows = with_inputs(rows, self.reader, self.num_proc, f"{name} (pool)")
            names += [name] * len(rows)
            groups += (
                [f"{prefix}{name_of(value)}" for value in column_values(rows, self.group_column)]
                if has_groups
                else [NO_GROUP] * len(rows)
            )
            parts.append(rows.select_columns(columns_of(rows, self.reader)))
        if not parts:
            raise InputError("the pool has no clip of a group that is neither for validation nor for test; add some")
        require_same_form(parts)
        return Pool(joined_rows(parts), names, groups)

    def joined(self, labeled: Dataset, pool: Pool, rows: list[int], index: list[int]) -> Dataset:
        """The labeled clips, and `rows` of the pool with the classes `index`."""
        groups, names = ([each[row] for row in rows] for each in (pool.groups, pool.names))
        classes = labeled.features[self.label_column]
        return joined_rows([labeled, self._described(pool.rows.select(rows), index, classes, groups, names)])

    def _described(
        self, table: Dataset, index: list[int], classes: ClassLabel, groups: list[str], names: list[str]
    ) -> Dataset:
        """A table with the columns of label, group and corpus."""
        table = table.add_column(self.label_column, index, feature=classes)
        table = table.add_column(self.group_column, groups, feature=Value("string"))
        if self.corpus_column is not None:
            table = table.add_column(self.corpus_column, names, feature=Value("string"))
        return table


def require_same_form(tables: Sequence[Dataset]) -> None:
    """Raise [`InputError`] where some tables hold features and some inputs."""
    media = {*INPUT_COLUMNS.values(), *FEATURE_COLUMNS.values()}
    forms = sorted({", ".join(sorted(media & set(table.features))) for table in tables})
    if len(forms) > 1:
        raise InputError(
            f"labeled clips and pool have different forms ({' and '.join(forms)}); extract all of them in the same way"
        )


def label_pool(
    checkpoint: str,
    validation: Dataset,
    pool: Dataset,
    label_column: str,
    *,
    threshold: float,
    fraction: float,
    batch_size: int,
    device: torch.device,
) -> dict[str, Any]:
    """Choose clips of a pool, and classes for them, by a classifier that is calibrated on validation clips.

    Args:
        checkpoint: of the classifier.
        validation: inputs or features with the column `label_column`, indices of the classifier's classes.
        pool: inputs or features.
        label_column: see `validation`.
        threshold: lowest calibrated confidence.
        fraction: of the clips of the pool, how many are kept at most.
        batch_size: clips per step.
        device: where the classifier runs.

    Returns:
        `rows` of the pool and their classes, `index`; `temperature`; `expected_calibration_error` on the validation
        clips and `expected_calibration_error_calibrated`, with the `reliability` that remains; and by class `sure`,
        how many clips reach the threshold, and `kept`.
    """
    modality, classifier = load_classifier(checkpoint)
    model: Any = classifier.model.to(device)  # type: ignore[arg-type]  # the stub of transformers loses `self`
    labels = [model.config.id2label[number] for number in range(model.config.num_labels)]
    collate = ClipCollator(
        modality, classifier.feature_extractor, classifier.image_processor, classifier.feature_sizes
    )
    references = np.array(column_values(validation, label_column))
    logits, _ = _predict(model, validation, collate, batch_size)
    temperature = fit_temperature(logits, references)
    before, after = probabilities(logits), probabilities(logits, temperature)
    logits, heard = _predict(model, pool, collate, batch_size)
    scores = probabilities(logits, temperature)
    rows = choose_rows(np.where(heard[:, None], scores, 0), threshold, fraction)
    sure = np.where(heard & (scores.max(-1) >= threshold), scores.argmax(-1), -1)
    return {
        "rows": rows,
        "index": scores[rows].argmax(-1).tolist(),
        "temperature": temperature,
        "expected_calibration_error": expected_calibration_error(before, references),
        "expected_calibration_error_calibrated": expected_calibration_error(after, references),
        "reliability": reliability(after, references),
        "sure": {label: int((sure == number).sum()) for number, label in enumerate(labels)},
        "kept": {label: int((sure[rows] == number).sum()) for number, label in enumerate(labels)},
    }


def choose_rows(scores: np.ndarray, threshold: float, fraction: float) -> list[int]:
    """The clips of the highest scores in their order, as many of each class that is the highest of any clip.

    Args:
        scores: calibrated probabilities `(N, K)`; all 0 of a clip without audio and faces.
        threshold: lowest score.
        fraction: of the N clips, how many are chosen at most.
    """
    highest, classes = scores.max(-1), scores.argmax(-1)
    ranked = np.argsort(-highest, kind="stable")
    ranked = ranked[highest[ranked] > 0]
    found = np.unique(classes[ranked]).tolist()
    if not found:
        return []
    sure = [ranked[(classes[ranked] == number) & (highest[ranked] >= threshold)] for number in found]
    each = min(*map(len, sure), int(fraction * len(scores) / len(found)))
    return sorted(row for rows in sure for row in rows[:each].tolist())


@torch.no_grad()
def _predict(model: Any, rows: Dataset, collate: ClipCollator, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits `(N, K)`, and which clips have anything to hear or see `(N,)`."""
    logits, heard = [], []
    for batch in tqdm(DataLoader(rows, batch_size=batch_size, collate_fn=collate), desc="Labeling", unit="batch"):
        found = model(**{name: value.to(model.device) for name, value in batch.items()}).logits.float().cpu()
        logits.append(found)
        heard.append(has_input(batch, len(found)))
    return torch.cat(logits).numpy(), torch.cat(heard).numpy()


def _table(name: str, dataset: AnyDataset) -> Dataset:
    if not isinstance(dataset, Dataset):
        raise InputError(f"{name}: pseudo-labels are for tables, and this one is a stream; do not stream")
    return dataset


__all__ = ["NO_GROUP", "Pool", "PoolReader", "choose_rows", "label_pool", "require_same_form"]
