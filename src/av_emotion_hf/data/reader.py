"""Clips, and rows that hold clips, to the inputs of the models; these as dataset columns: FLAC and PNG."""

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import InitVar, asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, shortened
from ..media import (
    Clip,
    FaceDetector,
    FollowedFace,
    MemoryClip,
    blazeface_is_cached,
    face_windows,
    load_detector,
    open_clip,
    parse_detector,
    person_choice,
    track_faces,
)
from ..models.persons_av_emotion import ALL, LARGEST, is_name
from ..models.windows_av_emotion import ClipInputs, audible, concatenate, merge_short_tail, person_rows
from .schema import (
    CLIP,
    MEDIA_COLUMNS,
    SAMPLING_RATE,
    clip_name,
    clip_source,
    encode_crop,
    encode_waveform,
    require_modality,
)

if TYPE_CHECKING:  # it takes a second, which a prediction does not need
    from datasets import Dataset, Features

    from .dataset import AnyDataset

logger = logging.getLogger(__name__)

MODALITIES = ("audio", "image", "both")
REPORT_COLUMNS = {
    "start": "float32",
    "duration": "float32",
    "lead_black": "float32",
    "face_coverage": "float32",
    "detector": "string",
}


@dataclass(frozen=True)
class ReaderOptions:
    """What a user may choose about how clips are read.

    Attributes:
        fps: frames per second that are read from a video.
        detector: name of the face detector, see [`load_detector`].
        person: who is followed if there are several, see [`face_windows`]: `largest`, `speaking`, `all`, or a name.
        window: seconds. A longer clip is read as several windows, so that memory does not grow with it; a remainder of
            less than half a window belongs to the window before it.
        crop_size: side of a face crop in pixels.

    Raises:
        InputError: a value is out of range, or a detector or choice of a person is unknown.
    """

    fps: float = 10.0
    detector: str = "auto"
    person: str = LARGEST
    window: float = 60.0
    crop_size: int = 112
    speaker: InitVar[str | None] = None  # old name of `person`, until 0.3

    def __post_init__(self, speaker: str | None) -> None:
        parse_detector(self.detector)
        object.__setattr__(self, "person", person_choice(self.person, speaker))
        for name, example in (("fps", "10"), ("window", "10"), ("crop_size", "112")):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise InputError(f"{name}={value!r}: has to be a positive number; use {example}, for instance")


class ClipReader:
    """Reads clips, and rows that hold clips, into the inputs of the models.

    Args:
        modality: `audio`, `image` or `both`; what is not asked for is not decoded.
        options: how clips are read.
        **changes: fields of [`ReaderOptions`] that differ from `options`.

    Raises:
        InputError: an unknown modality or option, or a value that an option cannot have.
    """

    def __init__(self, modality: str = "both", options: ReaderOptions | None = None, **changes: Any):
        if modality not in MODALITIES:
            raise InputError(f"modality {modality!r} is not one of {', '.join(MODALITIES)}")
        if not isinstance(options, ReaderOptions | None):
            raise InputError(f"reader options {options!r} are not ReaderOptions; give single ones by name, as fps=10")
        known = [field.name for field in fields(ReaderOptions)]
        for name in changes:
            if name not in (*known, "speaker"):
                raise InputError(f"reader option {name!r} is unknown; the options are {', '.join(known)}")
        self.modality, self.options = modality, replace(options or ReaderOptions(), **changes)
        self._detector: FaceDetector | None = None

    def __getstate__(self) -> dict:
        # workers receive this, and datasets finds its cache by it: the settings and what "auto" comes to
        return self.__dict__ | {"_detector": None, "has_blazeface": blazeface_is_cached()}

    @property
    def settings(self) -> dict:
        """What decides what is read, as JSON values."""
        detector = self.load().name if self.modality != "audio" else None
        return {"modality": self.modality} | asdict(self.options) | {"detector": detector}

    def load(self) -> FaceDetector:
        """The face detector, loaded once.

        Raises:
            InputError: it cannot be loaded, which would cost every clip.
        """
        self._detector = self._detector or load_detector(self.options.detector)
        return self._detector

    def windows(self, source: str | bytes | Clip, keep_silence: bool = False) -> Iterator[ClipInputs]:
        """Read one clip from a path or bytes, or an open one, window after window; always at least one.

        With `person="all"` or a name, windows hold the crops of all persons; [`person_rows`] makes rows of them. The
        waveform of a silent window is empty unless `keep_silence` is true, as for pieces of longer windows.

        Raises:
            InputError: the clip cannot be read.
        """
        return merge_short_tail(self._full_windows(source, keep_silence), self.options.window)

    def open(self, source: str | bytes) -> Clip:
        """The clip, opened as `windows` would; of the sound alone nothing is lost because of the picture."""
        return open_clip(source, fps=self.options.fps, trim_black=self.modality != "audio")

    def _full_windows(self, source: str | bytes | Clip, keep_silence: bool) -> Iterator[ClipInputs]:
        options = self.options
        clip = source if isinstance(source, Clip) else self.open(source)
        audio = clip.audio(options.window) if self.modality != "image" and clip.has_audio else iter(())
        faces: Iterator[FollowedFace] = iter(())
        if self.modality != "audio" and clip.has_video:
            faces = face_windows(clip, self.load(), options.crop_size, person=self._followed, window=options.window)
        parts = itertools.zip_longest(audio, faces)
        first = next(parts, (None, None))  # a clip that has nothing of what is asked for is one empty window
        for number, (waveform, face) in enumerate(itertools.chain([first], parts)):
            start = number * options.window if number else 0.0
            waveform = np.zeros(0, np.float32) if waveform is None else waveform
            shown = face.frame_times[-1] - start if face and face.num_frames else 0.0
            remainder = max(clip.duration - start, len(waveform) / SAMPLING_RATE, shown)  # the header may be wrong
            yield ClipInputs(
                waveform=waveform if keep_silence else audible(waveform),
                crops=face.crops if face else np.zeros((0, options.crop_size, options.crop_size, 3), np.uint8),
                face_times=face.timestamps - start if face else np.zeros(0),
                num_frames=face.num_frames if face else 0,
                start=start,
                duration=min(remainder, options.window),
                lead_black=clip.lead_black,
                detector=face.detector if face else None,
                persons=tuple(face.persons) if face else (),
            )
            del waveform, face  # before the next window is read

    def read(self, source: str | bytes) -> ClipInputs:
        """Read a whole clip; its waveform and all its crops are in memory.

        Raises:
            InputError: the clip cannot be read.
        """
        return concatenate(list(self.windows(source)))

    def read_frames(
        self, frames: np.ndarray, times: np.ndarray, waveform: np.ndarray, sampling_rate: int
    ) -> ClipInputs:
        """Find the face in frames that are in memory already.

        Args:
            frames: `(n, H, W, 3)` uint8 RGB.
            times: `(n,)` seconds, increasing.
            waveform: `(samples,)` float32, mono; of length 0 where there is no audio.
            sampling_rate: of the waveform, in Hz.
        """
        options, clip = self.options, MemoryClip(frames, times, waveform, sampling_rate)
        face = track_faces(clip, self.load(), options.crop_size, person=self._followed)
        return ClipInputs(
            waveform=waveform,
            crops=face.crops,
            face_times=face.timestamps,
            num_frames=face.num_frames,
            start=0.0,
            duration=max(float(times[-1]) if len(times) else 0.0, len(waveform) / sampling_rate),
            detector=face.detector,
            persons=tuple(face.persons),
        )

    @property
    def has_person_rows(self) -> bool:
        """Whether a row is of one person: of each, or of one by name."""
        return self.options.person == ALL or is_name(self.options.person)

    @property
    def _followed(self) -> str:
        """Who is followed so that [`person_rows`] can tell who is seen alone."""
        return ALL if self.has_person_rows else self.options.person

    @property
    def features(self) -> "Features":
        """Types of the columns that [`encode`] fills."""
        from datasets import Features, Image, List, Value

        columns: dict[str, Any] = {}
        if self.modality != "image":
            # datasets asks for torchcodec to write an `Audio`; what that holds is this struct
            columns["audio"] = {"bytes": Value("binary"), "path": Value("string")}
        if self.modality != "audio":
            columns |= {"faces": List(Image(decode=False)), "face_times": List(Value("float32"))}
        return Features(columns | {name: Value(kind) for name, kind in self._report_columns.items()})

    @property
    def _report_columns(self) -> dict[str, str]:
        return REPORT_COLUMNS | ({"person": "string"} if self.has_person_rows else {})

    def rows(self, row: dict, cells: Callable[[ClipInputs], dict] | None = None) -> Iterator[dict]:
        """The rows that a row of a dataset becomes, one for each window of its clip, and each person if asked for.

        Args:
            row: holds the clip in `video`, `audio`, `file` or `path`.
            cells: returns what a window adds to the row; [`encode`] when `None`.

        Raises:
            InputError: the clip cannot be read.
        """
        for inputs in self._person_rows(clip_source(row)):
            made = row | (self.encode if cells is None else cells)(inputs)
            del inputs  # its crops, before the next window is read
            yield made

    def _person_rows(self, source: str | bytes) -> Iterator[ClipInputs]:
        try:
            yield from person_rows(self.windows(source), self.options.person)
        except ValueError as error:
            raise error if isinstance(error, InputError) else InputError(str(error)) from error

    def encode(self, inputs: ClipInputs, media: bool = True) -> dict:
        """The cells of [`features`] for a window; without `media`, those beside sound and crops alone."""
        cells = {name: getattr(inputs, name) for name in self._report_columns}
        if self.modality != "audio":
            cells["face_times"] = inputs.face_times.tolist()
            if media:
                cells["faces"] = [{"bytes": encode_crop(crop), "path": None} for crop in inputs.crops]
        if self.modality != "image" and media:
            sound = {"bytes": encode_waveform(inputs.waveform), "path": None} if len(inputs.waveform) else None
            cells["audio"] = sound
        return cells


def with_inputs(
    dataset: "AnyDataset", reader: ClipReader, num_proc: int | None = None, part: str = "dataset"
) -> "AnyDataset":
    """The dataset with its clips read by `reader`, where it does not hold inputs or features already.

    A table on disk is read once and kept in the cache of datasets; a stream is read as it goes by. A clip that is
    longer than the reader's window becomes several rows. Clips that cannot be read are skipped with a warning.
    Pictures of faces (a column `image`) are clips of one frame.

    Args:
        dataset: rows with clips, inputs or features, or pictures.
        reader: how clips are read.
        num_proc: processes that read a table.
        part: what messages call the dataset, such as `validation`.

    Raises:
        InputError: the dataset has no clip, input or feature of the modality asked for, the face detector cannot be
            loaded, or not one clip of a table can be read.
    """
    from datasets import Dataset, Features, Value

    from .dataset import undecoded
    from .still_faces import with_faces

    dataset = with_faces(undecoded(dataset))
    wanted = [name for name in ("audio", "image") if reader.modality in (name, "both")]
    if "clips" not in [require_modality(dataset, name) for name in wanted]:
        return dataset
    if reader.modality != "audio":
        reader.load()
    media = [column for column in MEDIA_COLUMNS if column in dataset.features]
    kept = {name: feature for name, feature in dataset.features.items() if name not in media}
    columns = Features({CLIP: Value("string")} | kept | dict(reader.features))
    is_table = isinstance(dataset, Dataset)
    options: dict[str, Any] = {"num_proc": num_proc, "desc": "Reading clips"} if is_table else {}
    read = dataset.map(
        _read_batch,
        batched=True,
        batch_size=1,
        with_indices=is_table,
        fn_kwargs={"reader": reader, "columns": list(columns)},
        remove_columns=media,
        features=columns,
        **options,
    )
    if isinstance(dataset, Dataset):
        _report_skipped(dataset, read, reader, part)
    return read


def _read_batch(
    batch: dict[str, list], indices: Sequence[int] = (), *, reader: ClipReader, columns: list[str]
) -> dict[str, list]:
    """The rows of one clip, in the way in which datasets lets one row become none or several."""
    row = {name: values[0] for name, values in batch.items()}
    try:
        rows = [{CLIP: _name(row, *indices)} | each for each in reader.rows(row)]
    except InputError as error:
        logger.warning("skipped: %s", error)
        rows = []
    return {name: [each[name] for each in rows] for name in columns}


def _name(row: dict, index: int | None = None) -> str | None:
    """Name of the clip of a row, else its number."""
    return clip_name(row) or (None if index is None else f"row {index}")


def _report_skipped(dataset: "Dataset", read: "Dataset", reader: ClipReader, part: str) -> None:
    """Say which clips of a table are not in what was read from it, also where that comes from a cache.

    Raises:
        InputError: none is.
    """
    found = set(read[CLIP]) if read.num_rows else set()
    if len(found) == len(dataset):
        return
    if not found:
        cause = "it has neither audio nor frames"
        try:
            next(reader.rows(dataset[0]), None)
        except InputError as error:
            cause = str(error)
        raise InputError(
            f"not one of the {len(dataset)} clips of the {part} part could be read; the first reason: {cause}"
        )
    names = dataset[CLIP] if CLIP in dataset.features else [_name(row, index) for index, row in enumerate(dataset)]
    skipped = [str(name) for name in names if name not in found]
    if skipped:
        counts = len(skipped), len(dataset)
        logger.warning("skipped %d of %d clips, which cannot be read: %s", *counts, shortened(skipped))


__all__ = ["ClipInputs", "ClipReader", "ReaderOptions", "with_inputs"]
