"""Model inputs of a clip as dataset columns: sound as FLAC, face crops as PNG, or the features made from them."""

import io
import logging
from dataclasses import dataclass

import numpy as np
import soundfile
import torch
from datasets import Features, Image, List, Value
from PIL import Image as PILImage

from ..errors import InputError
from ..media import DETECTORS, blazeface_is_cached, load_detector, open_clip, track_faces
from .corpus import Corpus

logger = logging.getLogger(__name__)

SAMPLING_RATE = 16000
SILENCE = 1e-4  # 80 dB below full scale: what stays below it is no sound
MODALITIES = ("audio", "image", "both")
FEATURE_COLUMNS = {"audio": "input_features", "image": "image_features"}
INPUT_COLUMNS = {"audio": "audio", "image": "faces"}
REPORT_FEATURES = {
    "duration": Value("float32"),
    "lead_black": Value("float32"),
    "face_coverage": Value("float32"),
    "detector": Value("string"),
    "error": Value("string"),
}


@dataclass(frozen=True)
class ClipInputs:
    """What a clip gives to the models.

    Attributes:
        waveform: `(samples,)` float32 at 16 kHz; of length 0 when the clip has no sound, or nothing but silence.
        crops: `(Tv, S, S, 3)` uint8, the followed face in the frames that show it.
        face_times: `(Tv,)` seconds.
        duration: seconds.
        lead_black: seconds of black pictures that were cut from the start.
        face_coverage: share of the frames that show the followed face.
        detector: name of the face detector that ran, `None` when none did.
    """

    waveform: np.ndarray
    crops: np.ndarray
    face_times: np.ndarray
    duration: float
    lead_black: float
    face_coverage: float
    detector: str | None

    @property
    def modalities(self) -> list[str]:
        """`audio` and `image`, as far as the clip has them."""
        return [name for name, part in (("audio", self.waveform), ("image", self.crops)) if len(part)]


class ClipReader:
    """Reads clips, and rows that hold clips, into the inputs of the models.

    Args:
        modality: `audio`, `image` or `both`; what is not asked for is not decoded.
        fps: frames per second.
        detector: name of the face detector, see [`load_detector`].
        crop_size: side of a face crop in pixels.

    Raises:
        InputError: an unknown modality or detector.
    """

    def __init__(self, modality: str = "both", fps: float = 10.0, detector: str = "auto", crop_size: int = 112):
        if modality not in MODALITIES:
            raise InputError(f"modality {modality!r} is not one of {', '.join(MODALITIES)}")
        if detector not in DETECTORS:
            raise InputError(f"there is no face detector {detector!r}; choose one of {', '.join(DETECTORS)}")
        self.modality, self.fps, self.detector, self.crop_size = modality, fps, detector, crop_size
        self._detector = None

    def __getstate__(self) -> dict:
        # workers receive this, and datasets finds its cache by it: the settings and what "auto" comes to
        return self.__dict__ | {"_detector": None, "has_blazeface": blazeface_is_cached()}

    def read(self, source: str | bytes) -> ClipInputs:
        """Read one clip from a path or from bytes.

        Raises:
            InputError: the clip cannot be read.
        """
        clip = open_clip(source, fps=self.fps)
        waveform, track = np.zeros(0, np.float32), None
        if self.modality != "image" and clip.waveform is not None and np.abs(clip.waveform).max(initial=0) > SILENCE:
            waveform = clip.waveform
        if self.modality != "audio" and clip.has_picture:
            track = track_faces(clip, self._loaded_detector(), crop_size=self.crop_size)
        return ClipInputs(
            waveform=waveform,
            crops=track.crops if track else np.zeros((0, self.crop_size, self.crop_size, 3), np.uint8),
            face_times=track.timestamps if track else np.zeros(0),
            duration=float(clip.duration),
            lead_black=float(clip.lead_black),
            face_coverage=float(track.coverage) if track else 0.0,
            detector=track.detector if track else None,
        )

    def _loaded_detector(self):
        self._detector = self._detector or load_detector(self.detector)
        return self._detector

    @property
    def features(self) -> Features:
        """Types of the columns that `__call__` fills."""
        columns = {}
        if self.modality != "image":
            # datasets asks for torchcodec to write an `Audio`; what that holds is this struct
            columns["audio"] = {"bytes": Value("binary"), "path": Value("string")}
        if self.modality != "audio":
            columns |= {"faces": List(Image(decode=False)), "face_times": List(Value("float32"))}
        return Features(columns | REPORT_FEATURES)

    def __call__(self, row: dict) -> dict:
        """Columns for a row whose clip stands in `video`, `audio`, `file` or `path`.

        A clip that cannot be read gives empty inputs and the reason in `error`, so that it costs that clip only.

        Raises:
            InputError: the face detector cannot be loaded, which would cost every clip.
        """
        columns = dict.fromkeys(self.features)
        if "faces" in columns:
            self._loaded_detector()
        try:
            inputs = self.read(clip_source(row))
        except InputError as error:
            return columns | {"error": str(error)}
        columns |= {name: getattr(inputs, name) for name in ("duration", "lead_black", "face_coverage", "detector")}
        if "audio" in columns and len(inputs.waveform):
            columns["audio"] = {"bytes": encode_waveform(inputs.waveform), "path": None}
        if "faces" in columns:
            columns["faces"] = [{"bytes": encode_crop(crop), "path": None} for crop in inputs.crops]
            columns["face_times"] = inputs.face_times.tolist()
        return columns


def clip_source(row: dict) -> str | bytes:
    """Path or bytes of the clip in a row."""
    for column in ("video", "audio", "file", "path"):
        cell = row.get(column)
        if isinstance(cell, dict):
            cell = cell["bytes"] if cell.get("bytes") is not None else cell.get("path")
        if cell is not None:
            return cell
    raise InputError("the row holds no clip: expected one of the columns video, audio, file, path")


def encode_waveform(waveform: np.ndarray) -> bytes:
    """Mono waveform `(samples,)` at 16 kHz to 16-bit FLAC."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(waveform, -1, 1), SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def encode_crop(crop: np.ndarray) -> bytes:
    """Face crop `(S, S, 3)` uint8 to PNG."""
    buffer = io.BytesIO()
    PILImage.fromarray(crop).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def decode_waveform(cell: dict | None) -> np.ndarray:
    """The waveform `(samples,)` of an `audio` cell; of length 0 where the clip has no sound."""
    if cell is None:
        return np.zeros(0, np.float32)
    return soundfile.read(io.BytesIO(cell["bytes"]), dtype="float32")[0]


def decode_faces(cells: list[dict] | None) -> list[np.ndarray]:
    """The crops of a `faces` cell."""
    return [np.asarray(PILImage.open(io.BytesIO(cell["bytes"])).convert("RGB")) for cell in cells or []]


class FeatureReader:
    """Adds to a row of inputs what the frozen part of a model makes of them: descriptors or image features.

    Args:
        audio_model: an [`AVEmotionAudioModel`], for `input_features`.
        image_model: an [`AVEmotionImageModel`], for `image_features`.
        image_processor: prepares the crops for `image_model`.
    """

    def __init__(self, audio_model=None, image_model=None, image_processor=None):
        self.audio_model, self.image_model, self.image_processor = audio_model, image_model, image_processor

    @property
    def features(self) -> Features:
        """Types of the columns that `__call__` fills: one list of floats per frame."""
        models = {"audio": self.audio_model, "image": self.image_model}
        return Features(
            {
                FEATURE_COLUMNS[name]: List(List(Value("float32")))
                for name, model in models.items()
                if model is not None
            }
        )

    @torch.no_grad()
    def __call__(self, row: dict) -> dict:
        """Compute the features of one row of inputs; a clip without the modality has no frames."""
        computed = {}
        if self.audio_model is not None:
            waveform = torch.from_numpy(decode_waveform(row["audio"]))
            computed["input_features"] = (
                self.audio_model.extract_features(waveform[None])[0][0].numpy() if len(waveform) else []
            )
        if self.image_model is not None:
            crops = decode_faces(row["faces"])
            computed["image_features"] = []
            if crops:
                pixels = self.image_processor([crops], return_tensors="pt").pixel_values
                computed["image_features"] = self.image_model.extract_features(pixels)[0][0].numpy()
        return computed


def modality_kind(corpus: Corpus, modality: str) -> str | None:
    """In what form a corpus holds one modality: `features`, `inputs`, `clips`, or `None`."""
    if FEATURE_COLUMNS[modality] in corpus.features:
        return "features"
    if modality == "image" and "faces" in corpus.features:
        return "inputs"
    if modality == "audio" and "audio" in corpus.features:
        return "inputs" if "face_coverage" in corpus.features else "clips"
    if any(column in corpus.features for column in ("video", "file", "path")):
        return "clips"
    return None


def require_modality(corpus: Corpus, modality: str) -> str:
    """As [`modality_kind`], but an [`InputError`] where the corpus has nothing of the modality."""
    kind = modality_kind(corpus, modality)
    if kind is None:
        raise InputError(
            f"the corpus has no {modality}: expected a column video, audio, file or path (clips), "
            f"{INPUT_COLUMNS[modality]} or {FEATURE_COLUMNS[modality]} (written by `extract`); "
            f"it has {', '.join(corpus.features)}"
        )
    return kind


def with_inputs(corpus: Corpus, reader: ClipReader, num_proc: int | None = None) -> Corpus:
    """The corpus with its clips read by `reader`, where it does not hold inputs or features already.

    A table on disk is read once and kept in the cache of datasets; a stream is read as it goes by.
    Rows that cannot be read are dropped with a warning.

    Raises:
        InputError: the corpus has no clip, input or feature of the modality asked for.
    """
    wanted = [name for name in ("audio", "image") if reader.modality in (name, "both")]
    if "clips" not in [require_modality(corpus, name) for name in wanted]:
        return corpus
    media = [column for column in ("video", "audio", "file", "path") if column in corpus.features]
    kept = {name: feature for name, feature in corpus.features.items() if name not in media}
    options = {"num_proc": num_proc, "desc": "Reading clips"} if not _is_stream(corpus) else {}
    corpus = corpus.map(reader, remove_columns=media, features=Features(kept | dict(reader.features)), **options)
    return corpus.filter(readable, input_columns="error")


def readable(error: str | None) -> bool:
    """Whether a clip was read; says so when it was not."""
    if error is not None:
        logger.warning("left out: %s", error)
    return error is None


def _is_stream(corpus: Corpus) -> bool:
    return not hasattr(corpus, "num_rows")


__all__ = [
    "ClipInputs",
    "ClipReader",
    "FeatureReader",
    "decode_faces",
    "decode_waveform",
    "modality_kind",
    "with_inputs",
]
