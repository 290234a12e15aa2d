"""Opening a dataset: any Hugging Face dataset, with its media left undecoded."""

from pathlib import Path

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

AnyDataset = Dataset | IterableDataset
FILE_FORMATS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow"}


def open_dataset(name: str, split: str | None = None, streaming: bool = False) -> AnyDataset:
    """Open a folder (media files or Parquet), a table file, a single media file, or a dataset of the Hub.

    Args:
        name: a path or a Hub name.
        split: which split; may be left out where there is only one.
        streaming: read rows when they are asked for, without a copy on disk.

    Returns:
        The rows. `Audio`, `Video` and `Image` columns give `{"bytes", "path"}`: decoding is this package's own work.

    Raises:
        InputError: nothing is found under that name, or the split is missing or not unique.
    """
    path = Path(name).expanduser()
    try:
        if (path.is_file() and path.suffix.lower() in MEDIA_SUFFIXES) or _is_passed_over(path):
            clips = _list_clips(path)
            found = {"train": clips.to_iterable_dataset() if streaming else clips}
        elif path.is_file():
            if path.suffix.lower() not in FILE_FORMATS:
                raise InputError(
                    f"{name}: a dataset file must be a table ({', '.join(FILE_FORMATS)}) or a clip such as .mp4 or .wav"
                )
            found = load_dataset(FILE_FORMATS[path.suffix.lower()], data_files=str(path), streaming=streaming)
        else:
            found = load_dataset(str(path) if path.is_dir() else name, streaming=streaming)
    except InputError:
        raise
    except (OSError, DatasetsError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{name}: no dataset could be opened there ({reason}); give a folder of clips or Parquet files, a table "
            "file, or the name of a dataset on the Hub"
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


def _is_passed_over(path: Path) -> bool:
    """Whether datasets would silently leave out clips of a folder: kinds it does not know, or sound among video."""
    suffixes = {file.suffix.lower() for file in path.rglob("*")} if path.is_dir() else set()
    clips = suffixes & MEDIA_SUFFIXES
    known = (set(VideoFolder.EXTENSIONS), set(AudioFolder.EXTENSIONS) & AUDIO_SUFFIXES)
    return bool(clips) and not suffixes & set(FILE_FORMATS) and not any(clips <= each for each in known)


def _list_clips(path: Path) -> Dataset:
    """The clips of a folder, in the column `file`; names of folders in it are the column `label`, as in datasets."""
    files = expand_paths([str(path)])
    rows: dict[str, list] = {"file": files}
    folders = [Path(file).parent.name for file in files]
    if path.is_dir() and len(set(folders)) > 1 and path not in {Path(file).parent for file in files}:
        names = sorted(set(folders))
        features = Features({"file": Value("string"), "label": ClassLabel(names=names)})
        return Dataset.from_dict(rows | {"label": [names.index(name) for name in folders]}, features=features)
    return Dataset.from_dict(rows)


def require_columns(dataset: AnyDataset, *columns: str | None) -> None:
    """Raise [`InputError`] for the first of `columns` (`None` is passed over) that the dataset lacks."""
    for column in columns:
        if column is not None and column not in dataset.features:
            raise InputError(
                f"column {column!r} is not in the dataset, which has {', '.join(dataset.features)}; "
                "name one of these instead"
            )


def column_values(dataset: AnyDataset, column: str) -> list:
    """All values of one column; a streamed dataset is read once for it, that column alone."""
    if isinstance(dataset, Dataset):
        return list(dataset[column])
    return [row[column] for row in dataset.select_columns([column])]


def label_names(dataset: AnyDataset, column: str) -> list[str]:
    """The names of the classes: a `ClassLabel`'s own order, else the sorted values."""
    require_columns(dataset, column)
    feature = dataset.features[column]
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    return sorted({str(value) for value in column_values(dataset, column) if value is not None})


def encode_labels(dataset: AnyDataset, column: str, labels: list[str]) -> AnyDataset:
    """Put the index of each row's class within `labels` into the column `labels`; rows without a label are dropped.

    Raises:
        InputError: a class occurs that is not among `labels`.
    """
    feature = dataset.features[column]
    names = feature.names if isinstance(feature, ClassLabel) else None
    index = {name: position for position, name in enumerate(labels)}

    def class_name(value) -> str | None:
        if names is None:
            return None if value is None else str(value)
        return names[value] if value is not None and value >= 0 else None

    foreign = sorted({class_name(value) for value in set(column_values(dataset, column))} - {None} - set(index))
    if foreign:
        raise InputError(
            f"label {foreign[0]!r} of column {column!r} is not among the model's classes {', '.join(labels)}; "
            "rename it or leave its rows out"
        )
    dataset = dataset.filter(lambda value: class_name(value) is not None, input_columns=column)
    return dataset.map(lambda value: {"labels": index[class_name(value)]}, input_columns=column)


__all__ = ["AnyDataset", "column_values", "encode_labels", "label_names", "open_dataset", "require_columns"]
