"""Several labeled datasets as one: one set of classes, no shared speaker, each class of each drawn equally often.

With voice and face asked for, a dataset may have one of the two: speech corpora and pictures of faces are plenty,
clips with both are rare. Its rows lack the other, as clips in which nobody is seen do.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from datasets import Audio, Dataset, List, Value, concatenate_datasets

from ..errors import InputError
from .dataset import AnyDataset, column_values, require_columns, undecoded
from .labels import class_names, drop_unlabeled, label_names, name_of
from .reader import ClipReader, with_inputs
from .schema import (
    AUGMENTED,
    CLIP,
    FEATURE_COLUMNS,
    INPUT_COLUMNS,
    NUM_DESCRIPTORS,
    SAMPLING_RATE,
    modality_kind,
)
from .still_faces import holds_pictures, with_faces

logger = logging.getLogger(__name__)

CORPUS = "corpus"  # column of the name of the dataset that a row comes from
KEPT = (*INPUT_COLUMNS.values(), *FEATURE_COLUMNS.values(), NUM_DESCRIPTORS, "face_coverage", CLIP, AUGMENTED)

FORMS = dict.fromkeys(FEATURE_COLUMNS.values(), "features") | dict.fromkeys(INPUT_COLUMNS.values(), "inputs")
EMPTY = {NUM_DESCRIPTORS: 0, "face_coverage": 0.0}  # of rows without a voice (a face)

LabelMap = Mapping[str, Any]  # by class its new name, or None to leave it out; by dataset such a map of its own


def join_datasets(
    datasets: Sequence[tuple[str, AnyDataset]],
    label_column: str,
    group_column: str | None,
    reader: ClipReader,
    label_map: LabelMap | None = None,
    num_proc: int | None = None,
) -> Dataset:
    """Read several datasets of labeled clips, inputs, features or pictures of faces into one table.

    Args:
        datasets: each with its name. A class that only some of them have is a class of the whole.
        label_column: of all of them.
        group_column: of the speaker; in the result it is `NAME/SPEAKER`, so that no two datasets share a speaker. The
            rows of a dataset of pictures without this column are one group, `NAME`.
        reader: reads clips where a dataset holds them; one for both modalities reads what a dataset has.
        label_map: new names of classes, `{"calm": "neutral", "surprised": None}`, where `None` leaves a class out; a
            dataset of which it has the name may have a map of its own, which comes first. Other classes keep their
            names.
        num_proc: processes that read clips.

    Returns:
        Inputs or features, `clip`, the label and the group as text, and `corpus`, the name of the dataset.

    Raises:
        InputError: two datasets have the same name, one is streamed, a column is missing, the map names a class that
            no dataset has, or some datasets hold features and others clips.
    """
    repeated = [name for name, count in Counter(name for name, _ in datasets).items() if count > 1]
    if repeated:
        raise InputError(
            f"two datasets are called {repeated[0]!r}, so their speakers cannot be told apart; rename one of them"
        )
    _require_known_classes(datasets, label_column, label_map or {})
    parts = []
    for name, dataset in datasets:
        if not isinstance(dataset, Dataset):
            raise InputError(f"{name}: several datasets are joined as tables, and this one is a stream; do not stream")
        require_columns(dataset, label_column, None if holds_pictures(dataset) else group_column)
        parts.append(_part(name, dataset, label_column, group_column, reader, label_map or {}, num_proc))
    forms = {FORMS[column] for part in parts for column in part.features if column in FORMS}
    if len(forms) > 1:
        raise InputError("some datasets hold features and some clips or inputs; extract all of them in the same way")
    return joined_rows(_with_the_same_columns(parts, reader.modality))


def _with_the_same_columns(parts: list[Dataset], modality: str) -> list[Dataset]:
    """The tables with the same columns: what a table lacks is empty in it.

    Raises:
        InputError: both modalities are asked for, and no dataset has voices, or none has faces.
    """
    features = {name: feature for part in parts for name, feature in part.features.items() if name != AUGMENTED}
    for one in ("audio", "image") if modality == "both" else ():
        if not {FEATURE_COLUMNS[one], INPUT_COLUMNS[one]} & set(features):
            raise InputError(
                f"no dataset has {'a voice' if one == 'audio' else 'a face'}, and the model reads both; add one, or "
                f"train --modality {'image' if one == 'audio' else 'audio'}"
            )
    filled = []
    for part in parts:
        for name, feature in features.items():
            if name not in part.features:
                empty: Any = [] if isinstance(feature, List) else EMPTY.get(name)
                part = part.add_column(name, [empty] * len(part), feature=feature)
        filled.append(part)
    return filled


def _reader_for(dataset: AnyDataset, reader: ClipReader) -> ClipReader:
    """The reader for what a dataset has of what a reader for both modalities asks for."""
    present = [name for name in ("audio", "image") if modality_kind(dataset, name) is not None]
    if reader.modality != "both" or len(present) != 1:
        return reader
    return ClipReader(present[0], reader.options)


def _part(
    name: str,
    dataset: Dataset,
    label_column: str,
    group_column: str | None,
    reader: ClipReader,
    label_map: LabelMap,
    num_proc: int | None,
) -> Dataset:
    own, dataset = _map_of(name, label_map), with_faces(undecoded(dataset))
    reader = _reader_for(dataset, reader)
    labels = [own.get(label, label) for label in class_names(dataset, label_column) if label is not None]
    dataset = drop_unlabeled(dataset, label_column)
    kept = [row for row, label in enumerate(labels) if label is not None]
    if len(kept) < len(labels):
        logger.warning("%s: left out %d of %d clips by the label map", name, len(labels) - len(kept), len(labels))
        dataset = dataset.select(kept)
    # the names go along while clips become windows, or are skipped
    read = with_inputs(dataset, reader, num_proc, name)
    cells = {label_column: [own.get(str(label), label) for label in class_names(read, label_column)]}
    cells[CORPUS] = [name] * len(read)
    if group_column is not None:
        if group_column in read.features:
            groups = map(name_of, column_values(read, group_column))
            cells[group_column] = [None if group is None else f"{name}/{group}" for group in groups]
        else:  # of pictures, nobody knows who is on which
            cells[group_column] = [name] * len(read)
    # as columns of their own: mapping the rows would copy what was read
    joined = read.select_columns(columns_of(read, reader))
    for column, values in cells.items():
        joined = joined.add_column(column, values, feature=Value("string"))
    return joined


def columns_of(dataset: AnyDataset, reader: ClipReader) -> list[str]:
    """The columns of a dataset that a model of the reader's modality may read."""
    unwanted = {"audio": "image", "image": "audio"}.get(reader.modality)
    others = {FEATURE_COLUMNS[unwanted], INPUT_COLUMNS[unwanted]} if unwanted else set()
    return [column for column in KEPT if column in dataset.features and column not in others]


def joined_rows(parts: Sequence[Dataset]) -> Dataset:
    """The rows of several tables, audio that `extract` has written beside audio that was read just now."""
    audio = Audio(sampling_rate=SAMPLING_RATE, decode=False)  # the first has this type, and the second has its fields
    return concatenate_datasets(
        [part.cast_column("audio", audio) if "audio" in part.features else part for part in parts]
    )


def _map_of(name: str, label_map: LabelMap) -> dict[str, str | None]:
    """New name by class for one dataset."""
    common = {label: new for label, new in label_map.items() if not isinstance(new, Mapping)}
    return common | dict(label_map[name] if isinstance(label_map.get(name), Mapping) else {})


def _require_known_classes(datasets: Sequence[tuple[str, AnyDataset]], label_column: str, label_map: LabelMap) -> None:
    """Refuse a map that names a dataset or a class that is not there."""
    classes = {name: set(label_names(dataset, label_column)) for name, dataset in datasets}
    everywhere = set().union(*classes.values())
    for key, new in label_map.items():
        if isinstance(new, Mapping):
            if key not in classes:
                raise InputError(f"label map: there is no dataset {key!r}; they are {', '.join(classes)}")
            unknown = sorted(set(new) - classes[key])
            if unknown:
                raise InputError(
                    f"label map: {key} has no class {unknown[0]!r}; it has {', '.join(sorted(classes[key]))}"
                )
        elif key not in everywhere:
            raise InputError(
                f"label map: no dataset has a class {key!r}; the classes are {', '.join(sorted(everywhere))}"
            )


def balanced_weights(dataset: Dataset, corpus_column: str = CORPUS) -> torch.Tensor:
    """Weight `(N,)` of each row with which every class of every dataset is drawn equally often.

    Args:
        dataset: with the column `labels`.
        corpus_column: of the dataset that a row comes from.
    """
    cells = list(zip(column_values(dataset, corpus_column), column_values(dataset, "labels"), strict=True))
    counts = Counter(cells)
    return torch.tensor([1 / counts[cell] for cell in cells])


__all__ = ["CORPUS", "LabelMap", "balanced_weights", "columns_of", "join_datasets", "joined_rows"]
