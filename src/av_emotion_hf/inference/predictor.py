"""Prediction: a clip to the emotion in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints import DEFAULT_CHECKPOINT, SHIPPED_CHECKPOINTS, load_classifier
from ..data.reader import ReaderOptions
from ..devices import choose_device
from ..errors import InputError
from ..models.collections_av_emotion import several_clips
from ..models.person_baseline_av_emotion import PersonBaseline
from ..models.persons_av_emotion import ALL, LARGEST, SPEAKING, in_order, is_name
from ..models.pipeline_av_emotion import AVEmotionPipeline, by_person
from ..models.windows_av_emotion import check_fps, check_window
from ..timeline.answers import answer_of, check_abstain

if TYPE_CHECKING:
    from ..timeline.table import Timeline

DIGITS = 4  # of a score


@dataclass(frozen=True)
class Prediction:
    """The emotion of one clip, or of one person in it.

    Attributes:
        path: the clip.
        emotion: the most probable class; `None` when the clip has neither audio nor a face, `UNCERTAIN` when its
            probability is below that at which the predictor abstains.
        scores: probability of each class, in descending order.
        modalities: `audio` and `image`, as far as they were used.
        duration: seconds.
        face_coverage: fraction of the frames that show the followed face.
        detector: name of the face detector that ran.
        baseline: `clips` and `seconds` of the person's baseline that was used; `None` without.
        checkpoint: folder or Hub name of the model that answered; of those in this package the name.
        balanced: whether the scores were balanced over the clips of a group, see [`balance_scores`].
        person: whose face was used, such as `person-1`; several with a comma between them; `None` if nobody's was.
        modality_shares: how much of the decision comes from `audio` and `image`, see [`AVEmotionClassifierOutput`];
            `None` where a model of one modality has answered.
    """

    path: str
    emotion: str | None
    scores: dict[str, float]
    modalities: list[str]
    duration: float
    face_coverage: float
    detector: str | None
    baseline: dict[str, float] | None = None
    checkpoint: str | None = None
    balanced: bool = False
    person: str | None = None
    modality_shares: dict[str, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The prediction as one JSON object."""
        return asdict(self)


class EmotionPredictor:
    """Predicts the emotion of clips: mp4, mpg, mov, wav, flac and whatever else PyAV or decord reads.

    It is the pipeline `audio-visual-emotion-recognition`, with the same scores: the mean over the windows of a clip.
    It also reports what reading the clip has shown.

    Args:
        checkpoint: folder or Hub name of an audio, image or fusion classifier, by default `DEFAULT_CHECKPOINT`, which
            answers clips with a voice, with a face, and with both. Of those in this package the name is enough, such
            as `av-emotion-base-mit`; that is `MIT_CHECKPOINT`, whose license allows commercial use.
        detector: name of the face detector, see [`load_detector`].
        fps: frames per second.
        window: seconds; a longer clip is cut into windows of this length, whose probabilities are averaged. `"whole"`
            for one window of the whole clip, which is then in memory.
        device: where the model runs, see [`choose_device`].
        person: who is followed if several persons are seen, see [`face_windows`]: `largest`, `speaking`, one by name,
            such as `person-2`, or `all`, which returns a list of predictions, one for each. Of a person who is not the
            only one in a window, the voice is not used, as it may be another's; `largest` and `speaking` use it
            always.
        baseline: unlabeled clips of the person that speaks in the clips, in any form that the pipeline accepts, or a
            [`PersonBaseline`]; predictions are marked with it. See [`person_baseline`].
        speaker: old name of `person`, until 0.3: `size` or `speech`.
        abstain: lowest probability of the most probable class that is an answer, from 0 to 1; below it the emotion is
            `UNCERTAIN`, and the scores remain. Cards say how many clips are answered, and how many of these rightly.

    Raises:
        InputError: the checkpoint is missing, or has no trained classifier for clips; a setting, or not one clip of
            the baseline, can be used.

    Example:
    ```python
    >>> from av_emotion_hf import EmotionPredictor

    >>> EmotionPredictor()("clip.mp4").emotion  # doctest: +SKIP
    ```
    """

    def __init__(
        self,
        checkpoint: str | None = None,
        detector: str = "auto",
        fps: float = 10.0,
        window: float | str | None = None,
        device: str = "auto",
        person: str = LARGEST,
        baseline: Any = None,
        speaker: str | None = None,
        abstain: float = 0.0,
    ):
        self.abstain = check_abstain(abstain)
        with _input_errors():  # before anything is loaded
            self.window, fps = check_window(window), check_fps(fps)
        self.person = ReaderOptions(fps=fps, detector=detector, person=person, speaker=speaker).person
        self.options: dict[str, Any] = {"fps": fps, "detector": detector, "person": self.person}
        self.choice = choose_device(device)
        checkpoint = checkpoint or DEFAULT_CHECKPOINT
        self.name = Path(checkpoint).name if checkpoint in SHIPPED_CHECKPOINTS.values() else checkpoint
        self.modality, self.classifier = load_classifier(checkpoint)
        if self.modality == "expression":
            raise InputError(
                f"{checkpoint}: is an expression recognizer of single images; clips need an audio, image or fusion "
                "model: fine-tune one with it as --init"
            )
        if self.modality == "audio" and self.person not in (LARGEST, SPEAKING):
            raise InputError(f"person={self.person!r}: {self.name} hears voices and sees nobody; leave it out")
        self.baseline: PersonBaseline | None = None if baseline is None else self.person_baseline(baseline)

    @cached_property
    def pipeline(self) -> AVEmotionPipeline:
        """What predicts; made in the process that uses it, since a GPU cannot be handed to a worker."""
        return AVEmotionPipeline(
            model=self.classifier.model,
            feature_extractor=self.classifier.feature_extractor,
            image_processor=self.classifier.image_processor,
            device=self.choice.device,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "pipeline"}

    def person_baseline(self, clips: Any) -> PersonBaseline:
        """How a person speaks and looks, from unlabeled clips of that person; those that cannot be used are logged.

        The clips of that person are then standardized by statistics of its own frames. 30 seconds are well worth it;
        a single clip does no harm, since it counts as much as it lasts (`baseline_prior` of the configuration).

        Raises:
            InputError: no clip can be read, or has audio (a face) that is used; or the baseline is another model's, or
                one for all persons.
        """
        with self.choice.limited_threads(), _input_errors():
            return self.pipeline.person_baseline(clips, self.window, **self.options)

    def measure(self, source: Any, alive: Callable[[], None] = lambda: None) -> PersonBaseline:
        """The statistics of one clip, for a baseline; `alive` is called after each window of it.

        Raises:
            InputError: the clip cannot be read, or has nothing that the model uses.
        """

        def windows() -> Iterator[dict[str, Any]]:
            person = LARGEST if is_name(self.person) else self.person  # another one may have the name in this clip
            for item in self._items(source, person=person):
                yield item
                alive()

        with self.choice.limited_threads(), _input_errors():
            return self.pipeline.measure(windows())

    def __call__(
        self,
        source: Any,
        alive: Callable[[], None] = lambda: None,
        baseline: PersonBaseline | None = None,
        digits: int | None = DIGITS,
    ) -> Prediction | list[Prediction]:
        """Predict one clip, given as a path or as bytes; `alive` is called after each window of it.

        With `person="all"` the result is a list with a prediction for each person, in the order in which they appear;
        of a clip in which nobody is seen, with one of the voice. A `baseline` takes the place of the predictor's own.
        Scores are rounded to `digits`, or not at all if that is `None`. The other forms of a clip that the pipeline
        accepts, such as `{"waveform": ..., "faces": ...}`, are accepted as well.

        Raises:
            InputError: the clip cannot be read, or there are several; or nobody in it has the name.
        """
        found = self.persons(source, alive, baseline, digits)
        return found if self.person == ALL else found[0]

    def persons(
        self,
        source: Any,
        alive: Callable[[], None] = lambda: None,
        baseline: PersonBaseline | None = None,
        digits: int | None = DIGITS,
    ) -> list[Prediction]:
        """As a call, but a list with whatever choice of a person: of one prediction unless all are asked for."""
        parts = []
        baseline = baseline or self.baseline
        if baseline is not None and self.person == ALL:
            raise InputError("a baseline is one person's, and person='all' asks for several; give the name of one")
        with self.choice.limited_threads():
            for item in self._items(source):
                parts.append(self.pipeline.forward(item, baseline=baseline))
                alive()
        detector = next((part["facts"]["detector"] for part in parts if part["facts"]["detector"]), None)
        windows = {part["facts"]["start"]: part["facts"] for part in parts}.values()
        whole = Prediction(
            path=fspath(source) if isinstance(source, str | PathLike) else f"<{type(source).__name__}>",
            emotion=None,
            scores={},
            modalities=[],
            duration=round(parts[-1]["facts"]["end"], 3),
            face_coverage=0.0,
            detector=detector,
            baseline=None if baseline is None else baseline.mark,
            checkpoint=self.name,
        )
        frames = sum(each["num_frames"] for each in windows)
        rows = by_person(parts).values() if self.person == ALL else [parts]
        return [self._of_person(whole, own, frames, digits) for own in rows]

    def timeline(self, source: Any, segments: Any = None, **settings: Any) -> "Timeline":
        """Who shows what when in a clip: a row for each person and window, to look at or to write to files.

        Args:
            source: path or content of a clip.
            segments: of the clip, instead of windows: [`GivenSegment`]s, or a file of them, see [`read_segments`].
            **settings: of [`TimelineMaker`], such as `window`, `hop`, `smoothing` and `abstain`.

        Raises:
            InputError: the clip or its segments cannot be read, or a setting cannot be used.

        Example:
        ```python
        >>> from av_emotion_hf import EmotionPredictor

        >>> timeline = EmotionPredictor().timeline("clip.mp4", window=4, hop=2)  # doctest: +SKIP
        >>> timeline.to_csv("clip.csv"), timeline.to_html("clip.html")  # doctest: +SKIP
        ```
        """
        from ..timeline.segment_files import read_segments
        from .timelines import TimelineMaker  # which needs this module

        given: dict[str, Any] = {"segments": segments}
        if isinstance(segments, str | PathLike):
            given = {"segments": read_segments(Path(segments)), "segments_name": Path(segments).name}
        return TimelineMaker(self, **settings)(source, **given)

    def _of_person(self, whole: Prediction, parts: list[dict], frames: int, digits: int | None) -> Prediction:
        """The prediction from the windows of one person, of a clip with so many frames."""
        facts = [part["facts"] for part in parts]
        ranked = self.pipeline.mean(parts)
        scores = {one["label"]: one["score"] if digits is None else round(one["score"], digits) for one in ranked}
        answer = answer_of({one["label"]: one["score"] for one in ranked}, self.abstain)
        names = {name for each in facts for name in (each["person"] or "").split(", ") if name}
        return replace(
            whole,
            emotion=answer,
            scores=scores,
            modalities=sorted({name for each in facts for name in each["modalities"]}),
            face_coverage=round(sum(each["num_faces"] for each in facts) / frames, 3) if frames else 0.0,
            person=", ".join(in_order(names)) or None,
            modality_shares=self.pipeline.modality_shares(parts),
        )

    def _items(self, source: Any, **changes: Any) -> Iterator[dict[str, Any]]:
        """The windows of one clip as model inputs, read with the predictor's options but for some changes.

        Raises:
            InputError: the clip cannot be read, or there are several.
        """
        with _input_errors():
            if several_clips(source) is not None:
                raise ValueError(
                    f"several clips, as {type(source).__name__}: here one is predicted at a time; give them one by "
                    "one, or all to the pipeline audio-visual-emotion-recognition"
                )
            yield from self.pipeline.preprocess(source, self.window, **(self.options | changes))


@contextmanager
def _input_errors() -> Iterator[None]:
    """What the pipeline finds wrong with an input, as [`InputError`]."""
    try:
        yield
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(str(error)) from error


__all__ = ["EmotionPredictor", "Prediction"]
