"""From a clip to its timeline: windows in the order of time, each scored for every person in it."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from ..checkpoints import weights_sha256
from ..data.reader import ClipReader
from ..errors import InputError
from ..media.clip import Clip
from ..media.faces import person_choice
from ..models.persons_av_emotion import ALL, LARGEST, SPEAKING, is_name, unknown_person
from ..models.windows_av_emotion import ClipInputs, of_person, person_rows
from ..timeline.answers import answer_of, check_abstain
from ..timeline.segment_files import check_segments
from ..timeline.smoothing import smoothed
from ..timeline.table import Timeline, TimelineRow
from ..timeline.tiers import GivenSegment
from .face_pictures import FacePictures
from .predictor import EmotionPredictor
from .sound import Sound, measure_sound
from .spans import given_windows, grid_windows

CHUNK = 1.0  # seconds that are read at a time
WINDOW, HOP, SMOOTHING = 4.0, 2.0, 3.0  # seconds
ABSTAIN, HYSTERESIS = 0.4, 0.1
DIGITS = 4  # of scores, fractions and probabilities
SAME_CHANNELS = 0.98  # correlation of channels from which on they are one signal

Progress = Callable[[float, float], None]


def no_progress(seconds: float, duration: float) -> None:
    """Nobody wants to know."""


class TimelineMaker:
    """Makes the timelines of clips, in memory that does not grow with their length.

    Args:
        predictor: what predicts; its own window, choice of a person and abstention do not count here.
        person: whose rows are made, see [`EmotionPredictor`]: by default each person's. A given segment has one row:
            that of who speaks in it, instead of all.
        window: seconds of a window.
        hop: seconds from the start of a window to that of the next one; no longer than a window.
        smoothing: half the width of the filter over the scores in seconds, see [`smoothed`]; 0 for none.
        abstain: lowest probability of an emotion that is named; below it the answer is `uncertain`.
        hysteresis: by how much another emotion has to be more probable to end a segment, see [`segments_of`].
        channels: whether both channels of a stereo clip are a person each, `channel-1` and `channel-2`. Its video is
            not looked at.
        pictures: whether to keep a few face crops of each person for a contact sheet.

    Raises:
        InputError: a setting cannot be used.
    """

    def __init__(
        self,
        predictor: EmotionPredictor,
        person: str = ALL,
        window: float = WINDOW,
        hop: float = HOP,
        smoothing: float = SMOOTHING,
        abstain: float = ABSTAIN,
        hysteresis: float = HYSTERESIS,
        channels: bool = False,
        pictures: bool = True,
    ):
        for name, value, least in (("window", window, 0.5), ("hop", hop, 0.1), ("smoothing", smoothing, 0.0)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
                raise InputError(f"{name}={value!r}: has to be {least:g} seconds or more; use 4, for instance")
        if hop > window:
            raise InputError(f"hop={hop:g}: is longer than the window of {window:g} s, so that parts would be skipped")
        check_abstain(abstain)
        if isinstance(hysteresis, bool) or not isinstance(hysteresis, int | float) or not 0 <= hysteresis < 1:
            raise InputError(f"hysteresis={hysteresis!r}: has to be from 0 to below 1; use 0.1, for instance")
        if channels and predictor.modality == "image":
            raise InputError(f"channels: {predictor.name} sees faces and hears nothing; choose another checkpoint")
        person = person_choice(person)
        if channels and person not in (ALL, LARGEST):
            raise InputError(f"channels: are persons, and person={person!r} chooses one by the face; give one of them")
        if predictor.modality == "audio" and is_name(person):
            raise InputError(f"person={person!r}: {predictor.name} hears voices and sees nobody; leave it out")
        if predictor.baseline is not None and (channels or (person == ALL and predictor.modality != "audio")):
            raise InputError("a baseline is one person's, and this is a timeline of several; choose a person by name")
        self.predictor = predictor
        self.person = LARGEST if channels or predictor.modality == "audio" else person
        self.window, self.hop, self.smoothing = float(window), float(hop), float(smoothing)
        self.abstain, self.hysteresis = float(abstain), float(hysteresis)
        self.channels, self.pictures = channels, pictures
        self._readers: dict[str, ClipReader] = {}

    def reader(self, person: str) -> ClipReader:
        """What reads chunks of a clip with these persons in them; its face detector is loaded once."""
        person = ALL if is_name(person) else person
        if person not in self._readers:
            modality = {"fusion": "both"}.get(self.predictor.modality, self.predictor.modality)
            options = self.predictor.options | {"window": CHUNK, "person": person}
            self._readers[person] = ClipReader("audio" if self.channels else modality, **options)
        return self._readers[person]

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the timeline beside clip, segments and model, as JSON values."""
        baseline = self.predictor.baseline
        reader = self.reader(self.person)
        return {
            "window": self.window,
            "hop": self.hop,
            "smoothing": self.smoothing,
            "abstain": self.abstain,
            "hysteresis": self.hysteresis,
            "channels": self.channels,
            "person": self.person,
            "fps": self.predictor.options["fps"],
            "detector": None if reader.modality == "audio" else reader.load().name,
            "baseline": None if baseline is None else baseline.mark,
            "segments": None,
        }

    def __call__(
        self,
        source: str | bytes,
        segments: Sequence[GivenSegment] | None = None,
        segments_name: str = "segments",
        progress: Progress = no_progress,
        known: Sequence[list[TimelineRow]] = (),
        made: Callable[[list[TimelineRow]], None] = lambda rows: None,
    ) -> Timeline:
        """The timeline of one clip.

        Args:
            source: path or content of the clip.
            segments: of the clip, instead of windows: each gets one row, with the mean over its windows. Tiers that
                are called `person-1`, `person-2`, ... are those persons, if all are; other ones show who speaks.
            segments_name: what the settings call them, such as the file.
            progress: called with the seconds that are done and the clip's duration; what it raises ends the work.
            known: rows of the first windows before smoothing, from an interrupted run: these are not scored again. The
                clip is still read from its start, so that persons have the same names.
            made: called with the rows of each window that is scored.

        Raises:
            InputError: the clip cannot be read, a segment is not in it, or nobody has the name that is asked for;
                with `channels`, it is not stereo, or both channels are the same.
        """
        person = self._person_of(segments)
        reader = self.reader(person)
        clip = reader.open(source)
        if segments is not None:
            segments = check_segments(segments, clip.duration, segments_name)
        pictures = FacePictures() if self.pictures else None
        with self.predictor.choice.limited_threads():
            if self.channels:
                if segments is not None:
                    raise InputError("channels: are persons, and segments say who speaks as well; give one of them")
                rows = self._of_channels(clip, progress, known, made)
            else:
                chunks = reader.windows(clip, keep_silence=True)  # it may be within a window
                chunks = chunks if pictures is None else pictures.watched(chunks)
                if segments is None:
                    rows = self._of_windows(chunks, clip, person, progress, known, made)
                else:
                    rows = self._of_segments(chunks, clip, segments, person, progress)
        named = None if segments is None else segments_name
        return Timeline(
            clip=source if isinstance(source, str) else clip.name,
            duration=round(max([clip.duration, *(row.end for row in rows)]), 3),
            labels=tuple(self.labels),
            rows=self.finished(rows, smooth=segments is None),
            settings=self.settings | {"segments": named},
            model=self.model,
            has_audio=clip.has_audio and reader.modality != "image",
            has_video=clip.has_video and reader.modality != "audio",
            pictures=pictures.chosen() if pictures else {},
        )

    @cached_property
    def model(self) -> dict[str, Any]:
        """Name and hash of the weights."""
        return {"name": self.predictor.name, "sha256": weights_sha256(self.predictor.name)}

    @property
    def labels(self) -> list[str]:
        """The classes, in the order of the model's."""
        names: Any = self.predictor.classifier.model.config.id2label
        return [names[number] for number in sorted(names)]

    def _person_of(self, segments: Sequence[GivenSegment] | None) -> str:
        """Whom to follow: with segments, each person where all tiers are persons, else who speaks."""
        if segments is None or self.person != ALL:
            return self.person
        return ALL if all(one.tier is not None and is_name(one.tier) for one in segments) else SPEAKING

    def finished(self, rows: list[TimelineRow], smooth: bool = True) -> list[TimelineRow]:
        """Rows with smoothed and rounded scores, and the answers that follow from these."""
        if smooth:
            at: dict[str | None, list[int]] = {}
            for number, row in enumerate(rows):
                at.setdefault(row.person, []).append(number)
            for numbers in at.values():
                for number, row in zip(numbers, smoothed([rows[i] for i in numbers], self.smoothing), strict=True):
                    rows[number] = row
        return [self.answered(row) for row in rows]

    def answered(self, row: TimelineRow) -> TimelineRow:
        """A row with rounded scores, and the answer that follows from them."""
        confidence = round(max(row.scores.values()), DIGITS) if row.scores else None
        scores = {label: round(score, DIGITS) for label, score in row.scores.items()}
        return replace(row, scores=scores, confidence=confidence, emotion=answer_of(row.scores, self.abstain))

    def row(self, inputs: ClipInputs, sound: Sound, num_persons: int | None, has_video: bool) -> TimelineRow:
        """The row of one person in one window, with scores as the model has them, and without an answer."""
        pipeline = self.predictor.pipeline
        if pipeline.has_audio:
            inputs = pipeline.windows.resampled(inputs)
        part = pipeline.forward(pipeline.prepare(inputs) | {"is_last": True}, baseline=self.predictor.baseline)
        probabilities = pipeline.probabilities(part)
        used = part["facts"]["modalities"]
        shares = pipeline.modality_shares([part]) or dict.fromkeys(used, 1.0)
        return TimelineRow(
            start=round(inputs.start, 3),
            end=round(inputs.start + inputs.duration, 3),
            person=inputs.person,
            scores={} if probabilities is None else dict(zip(self.labels, map(float, probabilities), strict=True)),
            face_coverage=round(inputs.face_coverage, DIGITS) if has_video else None,
            voice_coverage=_rounded(sound.voice_coverage, DIGITS),
            shares={} if probabilities is None else {name: shares[name] for name in used if name in shares},
            loudness=_rounded(sound.loudness, 1),
            pitch=_rounded(sound.pitch, 1),
            num_persons=num_persons,
        )

    def rows_of(
        self,
        windows: Iterable[ClipInputs],
        person: str,
        has_audio: bool,
        has_video: bool,
        known: Sequence[list[TimelineRow]] = (),
    ) -> Iterator[list[TimelineRow]]:
        """The rows of each window in turn, with all its persons; those that are known are not scored again.

        Args:
            windows: with all persons, in the order of time.
            person: whose rows are wanted: one by name, `all`, or who is followed in them.
            has_audio: whether the clip has audio that is heard.
            has_video: whether the clip has video that is looked at.
            known: rows of the first windows.
        """
        heard: dict[float, tuple[Sound, int | None]] = {}
        numbers = itertools.count()

        def watched() -> Iterator[ClipInputs]:
            for number, window in zip(numbers, windows, strict=False):
                sound = Sound()
                if has_audio and number >= len(known):
                    sound = measure_sound(window.waveform, window.duration)
                heard[window.start] = sound, len(set(window.persons)) if has_video else None
                yield window

        grouped = itertools.groupby(_input_errors(person_rows(watched(), person)), lambda one: one.start)
        for number, (start, group) in enumerate(grouped):
            inputs = list(group)
            sound, count = heard.pop(start)
            if number < len(known):
                yield known[number]
            else:
                yield [self.row(one, sound, count, has_video) for one in inputs]

    def _of_windows(
        self,
        chunks: Iterable[ClipInputs],
        clip: Clip,
        person: str,
        progress: Progress,
        known: Sequence[list[TimelineRow]],
        made: Callable[[list[TimelineRow]], None],
        has_video: bool | None = None,
    ) -> list[TimelineRow]:
        rows: list[TimelineRow] = []
        has_video = clip.has_video and self.predictor.modality != "audio" if has_video is None else has_video
        has_audio = clip.has_audio and self.predictor.modality != "image"
        windows = grid_windows(chunks, self.window, self.hop)
        for number, own in enumerate(self.rows_of(windows, person, has_audio, has_video, known)):
            if number >= len(known):
                made(own)
            rows += own
            progress(own[0].end, max(clip.duration, own[0].end))
        return rows

    def _of_segments(
        self,
        chunks: Iterable[ClipInputs],
        clip: Clip,
        segments: Sequence[GivenSegment],
        person: str,
        progress: Progress,
    ) -> list[TimelineRow]:
        """One row for each segment: the mean of its windows, weighted by what they last."""
        has_audio = clip.has_audio and self.predictor.modality != "image"
        has_video = clip.has_video and self.predictor.modality != "audio"
        parts: dict[int, list[TimelineRow]] = {}
        seen: set[str] = set()
        spans = [(one.start, one.end) for one in segments]
        for number, window in given_windows(_noting(chunks, seen), spans, self.window):
            count = len(set(window.persons)) if has_video else None
            sound = measure_sound(window.waveform, window.duration) if has_audio else Sound()
            wanted = segments[number].tier if person == ALL else person
            own = of_person(window, wanted, speaks=True) if wanted is not None and is_name(wanted) else window
            parts.setdefault(number, []).append(self.row(own, sound, count, has_video))
            progress(window.start + window.duration, max(clip.duration, window.start + window.duration))
        asked = [one.tier for one in segments if one.tier] if person == ALL else [person] if is_name(person) else []
        for name in asked:
            if name not in seen:
                raise InputError(unknown_person(name, seen))
        return [_merged(parts[number], one) for number, one in enumerate(segments)]

    def _of_channels(
        self,
        clip: Clip,
        progress: Progress,
        known: Sequence[list[TimelineRow]],
        made: Callable[[list[TimelineRow]], None],
    ) -> list[TimelineRow]:
        """The rows of both channels of a stereo clip, each as of a person."""
        if clip.num_channels != 2:
            count = {0: "no audio", 1: "one channel"}.get(clip.num_channels, f"{clip.num_channels} channels")
            raise InputError(f"{clip.name}: has {count}, and a call with two people has two; leave out --channels")
        if abs(likeness := clip.likeness_of_channels()) >= SAME_CHANNELS:
            raise InputError(
                f"{clip.name}: both channels are the same (correlation {likeness:.2f}), so both people are in each; "
                "leave out --channels, or give --segments that say who speaks when"
            )
        rows: list[TimelineRow] = []
        for number in (1, 2):
            name = f"channel-{number}"

            def half(seconds: float, duration: float, number: int = number) -> None:
                progress((seconds + (number - 1) * duration) / 2, duration)

            def made_of(own: list[TimelineRow], name: str = name) -> None:
                made([replace(row, person=name) for row in own])

            chunks = _channel_chunks(clip.channel(number))
            before = [own for own in known if own[0].person == name]
            found = self._of_windows(chunks, clip, LARGEST, half, before, made_of, has_video=False)
            rows += [replace(row, person=name) for row in found]
        return sorted(rows, key=lambda row: (row.start, str(row.person)))


def _channel_chunks(clip: Clip) -> Iterator[ClipInputs]:
    """The audio of a clip as chunks without faces."""
    start = 0.0
    nobody = np.zeros((0, 1, 1, 3), np.uint8)
    for waveform in clip.audio(CHUNK):
        seconds = len(waveform) / clip.sampling_rate
        yield ClipInputs(waveform, nobody, np.zeros(0), 0, start, seconds)
        start += seconds


def _noting(chunks: Iterable[ClipInputs], seen: set[str]) -> Iterator[ClipInputs]:
    """The chunks, and in `seen` who is in them."""
    for chunk in chunks:
        seen.update(chunk.persons)
        yield chunk


def _input_errors(windows: Iterable[ClipInputs]) -> Iterator[ClipInputs]:
    """The windows; what is wrong with the choice of a person as [`InputError`]."""
    try:
        yield from windows
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(str(error)) from error


def _merged(parts: list[TimelineRow], segment: GivenSegment) -> TimelineRow:
    """The row of a segment from those of its windows, which are equally long."""
    scored = [part for part in parts if part.scores]
    weight, labels = len(scored), list(scored[0].scores) if scored else []
    names = dict.fromkeys(name for part in scored for name in part.shares)
    counts = [part.num_persons for part in parts if part.num_persons is not None]
    return replace(
        parts[0],
        end=parts[-1].end,
        person=segment.tier,
        scores={label: sum(part.scores[label] for part in scored) / weight for label in labels},
        shares={name: round(sum(part.shares.get(name, 0.0) for part in scored) / weight, DIGITS) for name in names},
        face_coverage=_mean([part.face_coverage for part in parts], DIGITS),
        voice_coverage=_mean([part.voice_coverage for part in parts], DIGITS),
        loudness=_mean([part.loudness for part in parts], 1),
        pitch=_mean([part.pitch for part in parts], 1),
        num_persons=max(counts, default=None),
        text=segment.text or None,
    )


def _mean(values: list[float | None], digits: int) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), digits) if known else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


__all__ = ["TimelineMaker", "no_progress"]
