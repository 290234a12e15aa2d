"""Pipeline: from clips, or from waveforms and face crops, to the emotions in them."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers.pipelines.base import ChunkPipeline

from .collections_av_emotion import several_clips
from .person_baseline_av_emotion import PersonBaseline, clip_moments
from .persons_av_emotion import ALL, LARGEST, check_person, in_order, is_name
from .processing_av_emotion import AVEmotionProcessor
from .windows_av_emotion import OPTIONS, ClipInputs, ClipWindows, check_window


class AVEmotionPipeline(ChunkPipeline):
    r"""`pipeline("audio-visual-emotion-recognition", model=...)` for audio, image and fusion classifiers.

    A clip is one of:

    - a path or a URL, the content of a file as `bytes`, or a file that is open for reading bytes;
    - a waveform at the sampling rate of the model: an array, tensor or list `(samples,)`, `(channels, samples)` or
      `(samples, channels)`; floats with full scale 1, or int16, int32 or uint8;
    - a pair of a waveform and its sampling rate, in either order;
    - a dict with a clip (`path`, `file`, `video` or `bytes`), such as a row of a dataset;
    - a dict with a waveform (`waveform`, `audio`, `array` or `raw`, and its `sampling_rate`) or a file of which the
      audio is used, and face crops (`faces`, `crops` or `images`), or instead of these `frames` to find the face in.
      Either may be missing. Crops and frames are images of Pillow, encoded images, or arrays, such as
      `(Tv, H, W, 3)`, as [`AVEmotionImageProcessor`] takes them. `face_times (Tv,)` in seconds, or `fps`, say when
      crops and frames were seen.

    Several clips are a list, a tuple, a dataset or a column of one, a series or an array of paths, or a generator.

    Where this package is not installed, of a path, a URL or bytes only the audio is used, if PyAV or soundfile is
    installed, and no face is found in frames.

    Args:
        top_k (`int`, *optional*): labels in the result; all by default.
        window (`float` or `str`, *optional*):
            Seconds: the clip is cut into windows of this length, each with scores of its own. By default the scores
            are those of the clip, the mean over windows of 10 seconds; `"whole"` scores it as one window.
            A remainder of less than half a window belongs to the window before it.
        fps (`float`, *optional*, defaults to 10): frames per second that are read from a clip.
        detector (`str`, *optional*, defaults to `"auto"`): name of the face detector.
        person (`str`, *optional*, defaults to `"largest"`):
            Who is followed if several persons are seen: `"largest"` or `"speaking"` (whose mouth moves with the audio)
            in each shot, one by name, such as `"person-2"` (numbers count in the order in which persons appear), or
            `"all"`. Of a person who is not the only one in a window, the voice is not used, as it may be another's;
            `"largest"` and `"speaking"` use it always.
        baseline (*optional*):
            Unlabeled clips of the person that speaks in the clips, one or several in any of the forms above, or a
            [`PersonBaseline`]: the clips are standardized by that person's statistics instead of the dataset's alone.
            What cannot be used of them is logged.

    Returns (of one clip; several give a list, or from a dataset, its column or a generator an iterator):
        `[{"label": str, "score": float}, ...]` in descending order, or with `window`
        `[{"start": seconds, "end": seconds, "scores": [{"label", "score"}, ...]}, ...]`, of a fusion model with
        `modality_shares`, how much of the decision comes from `audio` and `image`. There are no labels where
        there is neither audio nor a face that the model could use. With `person="all"` there is a row for each person
        (in each window that shows that person): `[{"person": name, "scores": [...]}, ...]`, with `start` and `end`
        where there are windows. The name is `None` in windows in which nobody is seen, and of a clip with nobody.

    Raises:
        ValueError: a clip cannot be read; one line that says what to do.

    Example:
    ```python
    >>> import av_emotion_hf  # makes the pipeline known
    >>> from av_emotion_hf import DEFAULT_CHECKPOINT
    >>> from transformers import pipeline

    >>> emotions = pipeline("audio-visual-emotion-recognition", model=DEFAULT_CHECKPOINT)
    >>> emotions("clip.mp4", top_k=2)  # doctest: +SKIP
    ```
    """

    reader_factory: ClassVar[Callable[..., Any] | None] = None  # the installed package sets it: what reads files

    model: Any
    feature_extractor: Any
    image_processor: Any
    # the types of transformers say None for all of them
    _load_processor = False  # type: ignore[assignment]  # its parts are loaded: a model of one modality has only one
    _load_feature_extractor = None
    _load_image_processor = None
    _load_video_processor = False  # type: ignore[assignment]
    _load_tokenizer = False  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        modalities: str | tuple[str, ...] = self.model.input_modalities
        self.has_audio, self.has_video = "audio" in modalities, "video" in modalities
        kind = type(self.model).__name__
        if not hasattr(self.model, "classifier"):
            raise ValueError(f"{kind} has no classification head; fine-tune the model and load the result")
        if self.has_audio and self.feature_extractor is None:
            raise ValueError(f"{kind} needs a feature extractor: pass feature_extractor=...")
        if self.has_video and self.image_processor is None:
            raise ValueError(f"{kind} needs an image processor: pass image_processor=...")
        sampling_rate = self.feature_extractor.sampling_rate if self.has_audio else None
        self.windows = ClipWindows(sampling_rate, self.has_video, self.reader_factory)
        if "baseline" in self._forward_params:
            given = self._forward_params["baseline"]
            self._forward_params["baseline"] = self.person_baseline(given, **self._preprocess_params)

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Recognize emotions; see the class for what a clip may be."""
        kwargs = _current_options(kwargs)
        clips = several_clips(inputs)
        if clips is None:
            # transformers would take a list or tuple for several clips
            clips = {"waveform": inputs} if isinstance(inputs, list | tuple) else inputs
        if kwargs.get("baseline") is not None:
            reading = {name: value for name, value in kwargs.items() if name in ("window", *OPTIONS)}
            kwargs["baseline"] = self.person_baseline(kwargs["baseline"], **(self._preprocess_params | reading))
        return [] if isinstance(clips, list) and not clips else super().__call__(clips, **kwargs)

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """As in transformers; of a fusion model the processor is saved, which holds both parts."""
        if not (self.has_audio and self.has_video):
            return super().save_pretrained(save_directory, **kwargs)
        parts = self.feature_extractor, self.image_processor
        self.feature_extractor = self.image_processor = None  # each would be saved under the same file name
        try:
            super().save_pretrained(save_directory, **kwargs)
        finally:
            self.feature_extractor, self.image_processor = parts
        AVEmotionProcessor(*parts).save_pretrained(save_directory)

    def _sanitize_parameters(
        self, top_k: int | None = None, window: float | str | None = None, baseline: Any = None, **options: Any
    ) -> tuple[dict, dict, dict]:
        options = _current_options(options)
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise TypeError(
                f"unknown argument {unknown[0]!r}: there are top_k, window, baseline, {', '.join(OPTIONS)}"
            )
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k={top_k}: at least one label has to be in the result; use 1 or more")
        check_window(window)
        cut = {} if window is None else {"window": window}
        known = {} if baseline is None else {"baseline": baseline}
        shown = {name: options[name] for name in ("person",) if name in options}
        return cut | options, known, cut | shown | ({} if top_k is None else {"top_k": top_k})

    def preprocess(  # type: ignore[override]  # windows, where the base class has one input
        self, clip: Any, window: float | str | None = None, **options: Any
    ) -> Iterator[dict[str, Any]]:
        """The windows of a clip as model inputs, one at a time; the last one is marked."""
        held: dict[str, Any] = {}
        for inputs in self.windows(clip, window, **options):
            if held:
                yield held | {"is_last": False}
            held = self.prepare(inputs)
        yield held | {"is_last": True}

    def prepare(self, inputs: ClipInputs) -> dict[str, Any]:
        """One window as in [`prepare`], as far as the model takes it, and what is known of it.

        Returns:
            `input_values`, `pixel_values`, and `facts`: `start`, `end`, `modalities`, `num_frames`, `num_faces`,
            `detector` and `person`.
        """
        used = {"audio": self.has_audio, "image": self.has_video}
        facts = {
            "start": inputs.start,
            "end": inputs.start + inputs.duration,
            "modalities": [name for name in inputs.modalities if used[name]],
            "num_frames": inputs.num_frames,
            "num_faces": len(inputs.face_times),
            "detector": inputs.detector,
            "person": inputs.person,
        }
        extractor = self.feature_extractor if self.has_audio else None
        return {"facts": facts} | prepare(inputs, extractor, self.image_processor if self.has_video else None)

    def person_baseline(self, clips: Any, window: float | str | None = None, **options: Any) -> PersonBaseline:
        """The statistics of a person, from unlabeled clips; those that cannot be used are logged.

        Args:
            clips: of the person, see the class; a [`PersonBaseline`] is returned as it is.
            window: seconds, see the class.
            **options: how the clips are read, see the class.

        Raises:
            ValueError: no clip can be used, or the baseline does not fit the model.
        """
        if options.get("person") == ALL:
            raise ValueError("a baseline is one person's, and person='all' asks for several; give the name of one")
        if is_name(options.get("person", LARGEST)):  # which somebody else may have in these clips
            options["person"] = LARGEST
        if isinstance(clips, PersonBaseline):
            clips.statistics(self.model)  # it fits
            return clips
        several = several_clips(clips)

        def measured() -> Iterator[tuple[str, PersonBaseline | str]]:
            for number, clip in enumerate([clips] if several is None else several):
                name = os.fspath(clip) if isinstance(clip, str | os.PathLike) else f"clip {number}"
                try:
                    yield name, self.measure(self.preprocess(clip, window, **options))
                except ValueError as error:
                    yield name, str(error)

        return PersonBaseline.collect(measured())

    def measure(self, windows: Iterable[dict[str, Any]]) -> PersonBaseline:
        """The statistics of one clip, from its windows as [`preprocess`] returns them.

        Raises:
            ValueError: there is nothing in the clip that the model uses.
        """
        parts = []
        for item in windows:
            facts = item["facts"]
            if facts["modalities"]:
                moments = clip_moments(self.model, self._tensors({name: [one] for name, one in item.items()}))
                own = {name: of_clips[0] for name, of_clips in moments.items()}
                parts.append(PersonBaseline(own, 1, facts["end"] - facts["start"]))
        if not parts:
            lack = "neither audio nor a face" if self.has_audio and self.has_video else "no face"
            raise ValueError(f"there is {lack if self.has_video else 'no audio, or silence alone,'} in it")
        return replace(PersonBaseline.merge(parts), clips=1)

    def _tensors(self, columns: dict[str, list]) -> dict[str, Tensor]:
        """Arguments of the model for several windows, on its device."""
        inputs = {}
        for values, mask in (("input_values", "attention_mask"), ("pixel_values", "pixel_mask")):
            if values in columns:
                inputs[values], inputs[mask] = (part.to(self.device) for part in pad(columns[values]))
        return inputs

    def _forward(  # type: ignore[override]
        self, items: dict[str, Any], baseline: PersonBaseline | None = None
    ) -> dict[str, Any]:
        columns = items if isinstance(items["facts"], list) else {name: [one] for name, one in items.items()}
        inputs = self._tensors(columns)
        if baseline is not None:
            for name, statistics in baseline.statistics(self.model).items():
                inputs[name] = statistics.to(self.device).expand(len(columns["facts"]), -1, -1)
        output = self.model(**inputs)
        found = {"logits": output.logits, "facts": items["facts"], "is_last": items["is_last"]}
        shares = getattr(output, "modality_shares", None)
        return found if shares is None else found | {"modality_shares": shares}

    def postprocess(  # type: ignore[override]
        self,
        parts: list[dict],
        window: float | str | None = None,
        top_k: int | None = None,
        person: str = LARGEST,
    ) -> list[dict]:
        """Scores of the windows of one clip where they were asked for, else those of the clip: the mean over them."""
        if window is None or isinstance(window, str):
            if person == ALL:
                return [{"person": name, "scores": self.mean(own, top_k)} for name, own in by_person(parts).items()]
            return self.mean(parts, top_k)
        return [
            {
                "start": round(float(part["facts"]["start"]), 3),
                "end": round(float(part["facts"]["end"]), 3),
                **({"person": part["facts"]["person"]} if person == ALL else {}),
                **({"modality_shares": shares} if (shares := self.modality_shares([part])) else {}),
                "scores": self.mean([part], top_k),
            }
            for part in parts
        ]

    def mean(self, parts: list[dict], top_k: int | None = None) -> list[dict]:
        """Labels and scores, as in [`ranked`], of several windows: the mean over those with something to go by."""
        probabilities = [self.probabilities(part) for part in parts]
        found = [each for each in probabilities if each is not None]
        return self.ranked(np.mean(found, axis=0), top_k) if found else []

    def probabilities(self, part: dict) -> np.ndarray | None:
        """Probability of each class `(K,)` in one window; `None` where the model has nothing to go by."""
        return part["logits"][0].float().softmax(-1).double().cpu().numpy() if part["facts"]["modalities"] else None

    def modality_shares(self, parts: list[dict]) -> dict[str, float] | None:
        """How much of the decision comes from audio and image, on average over the windows with something to go by.

        Returns:
            Fractions that add up to one; `None` of a model of one modality, and where there is nothing to go by.
        """
        used = [
            part["modality_shares"][0].float().cpu()
            for part in parts
            if "modality_shares" in part and part["facts"]["modalities"]
        ]
        if not used:
            return None
        mean = torch.stack(used).mean(dim=0)
        return {name: round(float(share), 4) for name, share in zip(("audio", "image"), mean, strict=True)}

    def ranked(self, probabilities: np.ndarray, top_k: int | None = None) -> list[dict]:
        """Labels and scores in descending order, of all classes or the first `top_k`."""
        order = np.argsort(-probabilities, kind="stable")[:top_k]
        return [{"label": self.model.config.id2label[int(i)], "score": float(probabilities[i])} for i in order]


def prepare(inputs: ClipInputs, feature_extractor: Any = None, image_processor: Any = None) -> dict[str, np.ndarray]:
    """One window as arrays; transformers would pad tensors, and does not know of clips of crops.

    Returns:
        `input_values (samples,)` with a feature extractor, `pixel_values (Tv, 3, H, W)` with an image processor.
    """
    item: dict[str, np.ndarray] = {}
    if feature_extractor is not None:
        given = feature_extractor(inputs.waveform, sampling_rate=feature_extractor.sampling_rate)
        item["input_values"] = np.asarray(given["input_values"][0], np.float32)[: len(inputs.waveform)]
    if image_processor is not None:
        given = image_processor([inputs.crops], return_tensors="np")
        item["pixel_values"] = given["pixel_values"][0][: len(inputs.crops)]
    return item


def by_person(parts: list[dict]) -> dict[str | None, list[dict]]:
    """The windows of each person in a clip, in the order in which persons appeared; of `None` if nobody did."""
    seen: list[Any] = in_order(part["facts"]["person"] for part in parts if part["facts"]["person"] is not None)
    return {name: [part for part in parts if part["facts"]["person"] == name] for name in seen or [None]}


def _current_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options with a checked choice of a person, which was called `speaker` and is so until 0.3."""
    if not options.keys() & {"person", "speaker"}:
        return options
    chosen = check_person(options.get("person", LARGEST), options.get("speaker"))
    return {name: value for name, value in options.items() if name != "speaker"} | {"person": chosen}


def pad(values: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Arrays `(n, ...)` of different lengths as one tensor `(B, T, ...)`, T at least 1, and its mask `(B, T)`."""
    lengths = torch.tensor([len(value) for value in values])
    padded = pad_sequence([torch.from_numpy(np.ascontiguousarray(value)) for value in values], batch_first=True)
    if not padded.shape[1]:
        padded = padded.new_zeros(len(values), 1, *padded.shape[2:])
    return padded, (torch.arange(padded.shape[1]) < lengths[:, None]).long()


__all__ = ["AVEmotionPipeline", "by_person", "pad", "prepare"]
