"""Opening a dataset: any Hugging Face dataset, with its media left undecoded."""

from pathlib import Path
from typing import Any, TypeAlias

from datasets import (
    Audio,
    ClassLabel,
    Dataset,
    Features,
    Image,
    IterableDataset,
    Value,
    Video,
    load_dataset,
)
from datasets.exceptions import DatasetsError
from datasets.packaged_modules.audiofolder.audiofolder import AudioFolder
from datasets.packaged_modules.videofolder.videofolder import VideoFolder

from ..errors import InputError
from ..media.paths import AUDIO_SUFFIXES, MEDIA_SUFFIXES, expand_paths
from ..utils import reason

AnyDataset: TypeAlias = Dataset | IterableDataset
FILE_FORMATS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow"}


def open_dataset(name: str, split: str | None = None, streaming: bool = False) -> AnyDataset:
    """Open a folder (media files or Parquet), a table file, a single media file, or a dataset of the Hub.

    Args:
        name: a path or a Hub name.
        split: which split; optional where there is only one.
        streaming: read rows when they are needed, without a copy on disk.

    Returns:
        The rows. `Audio`, `Video` and `Image` columns hold `{"bytes", "path"}`: this package decodes them itself.

    Raises:
        InputError: no dataset has that name, or the split does not exist or is not unique.
    """
    path = Path(name).expanduser()
    try:
        if (path.is_file() and path.suffix.lower() in MEDIA_SUFFIXES) or _has_skipped_clips(path):
            clips = _list_clips(path)
            found = {"train": clips.to_iterable_dataset() if streaming else clips}
        elif path.is_file():
            if path.suffix.lower() not in FILE_FORMATS:
                raise InputError(
                    f"{name}: a dataset file must be a table ({', '.join(FILE_FORMATS)}) or a clip such as .mp4"
                )
            found = load_dataset(FILE_FORMATS[path.suffix.lower()], data_files=str(path), streaming=streaming)
        else:
            found = load_dataset(str(path) if path.is_dir() else name, streaming=streaming)
    except InputError:
        raise
    except (OSError, DatasetsError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name}: no dataset could be opened there ({reason(error)}); use a folder of clips or Parquet files, a "
            "table file, or the name of a dataset on the Hub"
        ) from error
    if isinstance(found, dict):
        if split is None and len(found) > 1:
            raise InputError(f"{name}: has the splits {', '.join(found)}; choose one with --split")
        if split is not None and split not in found:
            raise InputError(f"{name}: has no split {split!r}; it has {', '.join(found)}")
        found = found[split or next(iter(found))]
    if found.features is None:
        found = found._resolve_features()
    for column, feature in found.features.items():
        if isinstance(feature, Audio | Image | Video) and feature.decode:
            found = found.cast_column(column, type(feature)(decode=False))
    return found


def dataset_root(name: str) -> Path:
    """The folder of a dataset on disk, to which the names of its clips are relative."""
    path = Path(name).expanduser()
    return path if path.is_dir() else path.parent


def _has_skipped_clips(path: Path) -> bool:
    """Whether datasets would silently skip clips of a folder: formats it does not know, or audio among video."""
    suffixes = {file.suffix.lower() for file in path.rglob("*")} if path.is_dir() else set()
    clips = suffixes & MEDIA_SUFFIXES
    known = (set(VideoFolder.EXTENSIONS), set(AudioFolder.EXTENSIONS) & AUDIO_SUFFIXES)
    return bool(clips) and not suffixes & set(FILE_FORMATS) and not any(clips <= each for each in known)


def _list_clips(path: Path) -> Dataset:
    """The clips of a folder, in the column `file`; subfolders are the column `label`, as in datasets."""
    files = expand_paths([str(path)])
    rows: dict[str, list] = {"file": files}
    folders = [Path(file).parent.name for file in files]
    if path.is_dir() and len(set(folders)) > 1 and path not in {Path(file).parent for file in files}:
        names = sorted(set(folders))
        features = Features({"file": Value("string"), "label": ClassLabel(names=names)})
        return Dataset.from_dict(rows | {"label": [names.index(name) for name in folders]}, features=features)
    return Dataset.from_dict(rows)


def require_columns(dataset: AnyDataset, *columns: str | None) -> None:
    """Raise [`InputError`] for the first of `columns` (`None` is ignored) that the dataset lacks."""
    for column in columns:
        if column is not None and column not in dataset.features:
            raise InputError(
                f"column {column!r} is not in the dataset, which has {', '.join(dataset.features)}; "
                "choose one of these"
            )


def column_values(dataset: AnyDataset, column: str) -> list:
    """All values of one column; a streamed dataset is read once for it, that column alone."""
    if isinstance(dataset, Dataset):
        return list(dataset[column])
    return [row[column] for row in dataset.select_columns([column])]


def label_names(dataset: AnyDataset, column: str) -> list[str]:
    """The names of the classes: in the order of a `ClassLabel`, else the sorted values."""
    require_columns(dataset, column)
    feature = dataset.features[column]
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    return sorted({str(value) for value in column_values(dataset, column) if value is not None})


def encode_labels(dataset: AnyDataset, column: str, labels: list[str]) -> AnyDataset:
    """Add the column `labels`, the index of each row's class within `labels`; rows without a label are dropped.

    Raises:
        InputError: a class occurs that is not among `labels`.
    """
    feature = dataset.features[column]
    names = feature.names if isinstance(feature, ClassLabel) else None
    index = {name: position for position, name in enumerate(labels)}

    def class_name(value: Any) -> str:  # of a row that has a label
        return str(value) if names is None else names[value]

    def has_label(value: Any) -> bool:
        return value is not None and (names is None or value >= 0)

    found = {class_name(value) for value in set(column_values(dataset, column)) if has_label(value)}
    unknown = sorted(found - set(index))
    if unknown:
        raise InputError(
            f"label {unknown[0]!r} of column {column!r} is not among the model's classes {', '.join(labels)}; "
            "rename it or remove its rows"
        )
    dataset = dataset.filter(has_label, input_columns=column)
    return dataset.map(lambda value: {"labels": index[class_name(value)]}, input_columns=column)


__all__ = [
    "AnyDataset",
    "column_values",
    "dataset_root",
    "encode_labels",
    "label_names",
    "open_dataset",
    "require_columns",
]
