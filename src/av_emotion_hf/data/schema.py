"""What the columns of a dataset hold: clips, model inputs or features; and how their cells are written and read."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from PIL import Image as PILImage

from ..errors import InputError
from ..media.audio import SAMPLING_RATE
from ..models.pictures_av_emotion import to_picture

if TYPE_CHECKING:
    from .dataset import AnyDataset

MEDIA_COLUMNS = ("video", "audio", "file", "path")
CLIP = "clip"  # column of the name of a clip, relative to its dataset
AUGMENTED = "augmented"  # column that tells the augmented copies of a clip, which are for training only
FILE, FILE_NAME, IMAGE = "file", "file_name", "image"
NAME_COLUMNS = (FILE_NAME, *MEDIA_COLUMNS)  # of a table, the first of which tells the clip
FEATURE_COLUMNS = {"audio": "input_features", "image": "image_features"}
INPUT_COLUMNS = {"audio": "audio", "image": "faces"}
# how many of the values in a frame of `input_features` are descriptors, where states of a speech encoder follow
NUM_DESCRIPTORS = "num_descriptors"


def modality_kind(dataset: "AnyDataset", modality: str) -> str | None:
    """In what form a dataset holds one modality: `features`, `inputs`, `clips`, or `None`."""
    if FEATURE_COLUMNS[modality] in dataset.features:
        return "features"
    if modality == "image" and "faces" in dataset.features:
        return "inputs"
    if modality == "audio" and "audio" in dataset.features:
        return "inputs" if "face_coverage" in dataset.features else "clips"
    if any(column in dataset.features for column in MEDIA_COLUMNS if column != "audio"):
        return "clips"
    return None


def require_modality(dataset: "AnyDataset", modality: str) -> str:
    """As [`modality_kind`], but an [`InputError`] where the dataset has nothing of the modality."""
    kind = modality_kind(dataset, modality)
    if kind is None:
        raise InputError(
            f"the dataset has no {modality}: expected a column video, audio, file or path (clips), "
            f"{INPUT_COLUMNS[modality]} or {FEATURE_COLUMNS[modality]} (written by `extract`); "
            f"it has {', '.join(dataset.features)}"
        )
    return kind


def clip_source(row: dict) -> str | bytes:
    """Path or bytes of the clip in a row."""
    for column in MEDIA_COLUMNS:
        cell = row.get(column)
        if isinstance(cell, dict):
            cell = cell["bytes"] if cell.get("bytes") is not None else cell.get("path")
        if cell is not None:
            return cell
    raise InputError("the row holds no clip: expected one of the columns video, audio, file, path")


def clip_name(row: dict, root: str | Path | None = None) -> str | None:
    """Name of the clip in a row: what its column `clip` says, else its path.

    Args:
        row: of a dataset of clips.
        root: folder of the dataset, where it is known.

    Returns:
        The path as it is stored, relative to `root` where it is below that; without `root` the file name alone of an
        absolute path; `None` for bytes without a name.
    """
    if isinstance(row.get(CLIP), str):
        return row[CLIP]
    for column in MEDIA_COLUMNS:
        cell = row.get(column)
        stored = cell.get("path") if isinstance(cell, dict) else cell
        if isinstance(stored, str) and stored:
            path = Path(stored)
            if root is not None:
                return path.relative_to(root).as_posix() if path.is_relative_to(root) else stored
            return path.name if path.is_absolute() else stored
    return None


def encode_waveform(waveform: np.ndarray) -> bytes:
    """Mono waveform `(samples,)` at 16 kHz to 16-bit FLAC."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(waveform, -1, 1), SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def round_to_16_bits(waveform: np.ndarray) -> np.ndarray:
    """The float32 waveform `(samples,)` that [`encode_waveform`] and [`decode_waveform`] together would return."""
    return np.round(waveform * np.float32(32768)).clip(-32768, 32767).astype(np.int16) / np.float32(32768)


def encode_crop(crop: np.ndarray) -> bytes:
    """Face crop `(S, S, 3)` uint8 to PNG."""
    buffer = io.BytesIO()
    PILImage.fromarray(crop).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def decode_waveform(cell: dict | None) -> np.ndarray:
    """The waveform `(samples,)` of an `audio` cell; of length 0 where the clip has no audio."""
    if cell is None or cell["bytes"] is None:
        return np.zeros(0, np.float32)
    return soundfile.read(io.BytesIO(cell["bytes"]), dtype="float32")[0]


def decode_faces(cells: list[dict] | None) -> list[np.ndarray]:
    """The crops `(S, S, 3)` uint8 of a `faces` cell."""
    return [to_picture(cell, "a face crop") for cell in cells or []]


__all__ = [
    "AUGMENTED",
    "CLIP",
    "FILE",
    "FEATURE_COLUMNS",
    "FILE_NAME",
    "IMAGE",
    "INPUT_COLUMNS",
    "MEDIA_COLUMNS",
    "NAME_COLUMNS",
    "NUM_DESCRIPTORS",
    "SAMPLING_RATE",
    "clip_name",
    "clip_source",
    "decode_faces",
    "decode_waveform",
    "encode_crop",
    "encode_waveform",
    "modality_kind",
    "require_modality",
    "round_to_16_bits",
]
