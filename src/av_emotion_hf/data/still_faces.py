"""Pictures of faces as clips of a single frame: there are many more of them with labels than clips with a face."""

from typing import TYPE_CHECKING, Any

from .schema import FEATURE_COLUMNS, IMAGE, INPUT_COLUMNS, MEDIA_COLUMNS

if TYPE_CHECKING:
    from .dataset import AnyDataset


def holds_pictures(dataset: "AnyDataset") -> bool:
    """Whether a dataset holds pictures, in a column `image`, and neither clips nor inputs nor features."""
    from datasets import Image

    others = {*MEDIA_COLUMNS, *FEATURE_COLUMNS.values(), *INPUT_COLUMNS.values()}
    return isinstance(dataset.features.get(IMAGE), Image) and not others & set(dataset.features)


def with_faces(dataset: "AnyDataset") -> "AnyDataset":
    """The dataset with each picture as the only face crop of a clip of no length; others are returned as they are.

    The pictures have to show a face from forehead to chin, as the crops of clips do: no face is looked for.

    Args:
        dataset: with its media undecoded.
    """
    if not holds_pictures(dataset):
        return dataset
    from datasets import Features, Image, List, Value

    features = {name: feature for name, feature in dataset.features.items() if name != IMAGE}
    features |= {
        "faces": List(Image(decode=False)),
        "face_times": List(Value("float32")),
        "duration": Value("float32"),
        "face_coverage": Value("float32"),
    }
    options: dict[str, Any] = {} if not hasattr(dataset, "num_rows") else {"desc": "Reading pictures"}
    return dataset.map(_as_clips, batched=True, remove_columns=[IMAGE], features=Features(features), **options)


def _as_clips(batch: dict[str, list]) -> dict[str, list]:
    count = len(batch[IMAGE])
    return {
        "faces": [[picture] for picture in batch[IMAGE]],
        "face_times": [[0.0]] * count,
        "duration": [0.0] * count,
        "face_coverage": [1.0] * count,
    }


__all__ = ["holds_pictures", "with_faces"]
