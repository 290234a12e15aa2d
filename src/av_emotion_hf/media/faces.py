"""The faces of the persons in a clip, or of the one who is chosen: found, followed over time, cropped."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from ..models.persons_av_emotion import ALL, LARGEST, SPEAKING, check_person, in_order, is_name, unknown_person
from .clip import Clip
from .crops import area
from .detector import FaceDetector, load_detector
from .follower import follow_persons
from .memory_clip import MemoryClip
from .persons import MIN_FACE_FRAMES, FaceFrame
from .speaker import audio_levels, choose_speaker, speech_evidence
from .tracks import MAX_ABSENCE

CONTINUITY = 1.2  # factor on the size of the face that was chosen before


@dataclass
class FollowedFace:
    """The faces that were followed through a clip, or through a window of it.

    Attributes:
        crops: (Tv, S, S, 3) uint8 RGB, only of frames that show a followed face, in the order of time.
        timestamps: (Tv,) float64, seconds; where several persons are followed, a frame may occur several times.
        boxes: (Tv, 4) float64, the face without margin: x0, y0, x1, y1 in pixels of the frame.
        found: Tv words, one for each of the crops: `detected` or `tracked` (interpolated).
        persons: Tv names, one for each of the crops: `person-1`, ...
        frame_times: (n,) float64, seconds, of all frames that were examined.
        num_faces: persons among which the choice was made.
        detector: name of the detector.
    """

    crops: np.ndarray
    timestamps: np.ndarray
    boxes: np.ndarray
    found: list[str]
    persons: list[str]
    frame_times: np.ndarray
    num_faces: int
    detector: str

    @property
    def num_frames(self) -> int:
        """Number of frames that were examined."""
        return len(self.frame_times)

    @property
    def coverage(self) -> float:
        """Fraction of the frames that show a followed face; 0 without video."""
        return len(np.unique(self.timestamps)) / self.num_frames if self.num_frames else 0.0

    @property
    def status(self) -> list[str]:
        """A word for each frame that was examined: `detected` or `tracked`, as the face in it was, or `none`."""
        words = dict(zip(self.timestamps.tolist(), self.found, strict=True))
        return [words.get(time, "none") for time in self.frame_times.tolist()]

    @property
    def names(self) -> list[str]:
        """The persons that are followed, each once, in the order in which they appeared in the clip."""
        return in_order(self.persons)

    def of(self, person: str) -> "FollowedFace":
        """What is followed of one person."""
        rows = [row for row, name in enumerate(self.persons) if name == person]
        return replace(
            self,
            crops=self.crops[rows],
            timestamps=self.timestamps[rows],
            boxes=self.boxes[rows],
            found=[self.found[row] for row in rows],
            persons=[person] * len(rows),
        )


def track_faces(
    clip: Clip | MemoryClip,
    detector: FaceDetector | str = "auto",
    crop_size: int = 112,
    margin: float = 0.3,
    person: str = LARGEST,
    speaker: str | None = None,
) -> FollowedFace:
    """Follow faces through a whole clip; arguments and errors as for [`face_windows`].

    All crops are in memory at the end; for clips of many minutes use [`face_windows`].
    """
    if isinstance(detector, str):
        detector = load_detector(detector)
    whole = list(face_windows(clip, detector, crop_size, margin, person, float("inf"), speaker))
    return whole[0] if whole else _assemble([], [], crop_size, detector.name)


def face_windows(
    clip: Clip | MemoryClip,
    detector: FaceDetector | str = "auto",
    crop_size: int = 112,
    margin: float = 0.3,
    person: str = LARGEST,
    window: float = 10.0,
    speaker: str | None = None,
) -> Iterator[FollowedFace]:
    """Follow the faces of persons, window after window, in memory that does not grow with the clip.

    Frames are read once. The detector runs on about three of them per second, on those beside a cut, and on those in
    between where a face appears, disappears or jumps; elsewhere boxes are interpolated. Gaps of up to half a second
    are bridged. Persons are called `person-1`, `person-2`, ... in the order in which they appear, and keep their names
    through cuts and windows. They are told apart by how they look in this recording, of which nothing is kept.

    Args:
        clip: the clip; without a video track nothing is yielded.
        detector: a detector or its name.
        crop_size: side of the crops in pixels.
        margin: fraction of the longer side of the box that is added to it to make the side of the crop.
        person: who is followed if there are several. `largest`: in each shot the one who is largest for longest;
            `speaking`: in each shot the one whose mouth moves with the audio (the largest if none does); `all`; or the
            name of one, such as `person-2`. Where that person leaves for more than two seconds without a cut,
            `largest` and `speaking` choose again among the others.
        window: seconds for which the choice is made.
        speaker: old name of `person`, until 0.3: `size` or `speech`.

    Yields:
        The faces in [0, window), [window, 2 window), ... seconds; without crops if there are none.

    Raises:
        ValueError: an argument is out of range.
        InputError: an unknown detector or choice of a person; at the end, nobody has the name.
    """
    if crop_size < 1:
        raise ValueError(f"crop_size={crop_size}: the side of a crop has to be positive; use 112, for instance")
    if margin < 0:
        raise ValueError(f"margin={margin}: the margin cannot be negative; use 0.3, for instance")
    if not window > 0:
        raise ValueError(f"window={window}: has to be positive; use 10 seconds, for instance")
    person = person_choice(person, speaker)
    if isinstance(detector, str):
        detector = load_detector(detector)
    return _followed(clip, detector, crop_size, margin, person, window)


def person_choice(person: str, speaker: str | None = None) -> str:
    """As [`check_person`], with an [`InputError`]."""
    try:
        return check_person(person, speaker)
    except ValueError as error:
        raise InputError(str(error)) from error


def _followed(
    clip: Clip | MemoryClip, detector: FaceDetector, crop_size: int, margin: float, person: str, window: float
) -> Iterator[FollowedFace]:
    levels: Iterator[np.ndarray] = iter(())
    if person == SPEAKING and clip.has_audio:
        levels = audio_levels(clip, window)
    choice = FaceChoice(person, crop_size, detector.name)
    for number, frames in enumerate(_windows(follow_persons(clip, detector, crop_size, margin), window)):
        followed = choice.of_window(frames, number * window if number else 0.0, next(levels, None))
        frames.clear()  # the crops of two windows would take much memory
        yield followed
        del followed
    names = choice.names
    if is_name(person) and person not in names:
        raise InputError(unknown_person(person, names))


def _windows(frames: Iterator[FaceFrame], window: float) -> Iterator[list[FaceFrame]]:
    """The frames of [0, window), [window, 2 window), ...; empty lists for windows without a frame."""
    held: list[FaceFrame] = []
    number = 0
    for frame in frames:
        while frame.time // window > number:
            yield held
            held, number = [], number + 1
        held.append(frame)
    if held:
        yield held


class FaceChoice:
    """Chooses who is followed, window after window.

    Args:
        person: the choice, see [`face_windows`].
        crop_size: side of the crops in pixels.
        detector: name of the detector.

    Attributes:
        names: of all persons who were seen.
    """

    def __init__(self, person: str, crop_size: int, detector: str):
        self.person, self.crop_size, self.detector = person, crop_size, detector
        self.names: set[str] = set()
        self._previous: str | None = None

    def of_window(self, frames: list[FaceFrame], start: float, levels: np.ndarray | None = None) -> FollowedFace:
        """The faces that are followed in a window.

        Args:
            frames: of the window.
            start: seconds at which it starts.
            levels: of its audio, see [`audio_levels`]; `None` if the audio does not matter.
        """
        self.names.update(name for frame in frames for name in frame.faces)
        if self.person == ALL:
            shown = [in_order(frame.faces) for frame in frames]
        elif is_name(self.person):
            shown = [[self.person]] * len(frames)
        else:
            choice = _Choice(start, levels, self._previous)
            shown, self._previous = choice.of_frames(frames), choice.previous
        return _assemble(frames, shown, self.crop_size, self.detector)


class _Choice:
    """Chooses the person to follow in each shot of a window.

    Args:
        start: seconds at which the window starts.
        levels: of its audio, see [`audio_levels`]; `None` if the audio does not matter.
        previous: name of the person that was chosen last.
    """

    def __init__(self, start: float, levels: np.ndarray | None, previous: str | None):
        self.start, self.levels, self.previous = start, levels, previous

    def of_frames(self, frames: list[FaceFrame]) -> list[list[str]]:
        """The name to follow in each frame, none or one."""
        shots = itertools.groupby(frames, lambda frame: frame.shot)
        return [names for _, shot in shots for names in self._of_shot(list(shot))]

    def _of_shot(self, frames: list[FaceFrame]) -> list[list[str]]:
        """The same for frames of one shot; again for those before the chosen person comes, or after it has left."""
        best = self._best(frames)
        if best is None:
            return [[] for _ in frames]
        self.previous = best
        shown = [number for number, frame in enumerate(frames) if best in frame.faces]
        before, after = frames[: shown[0]], frames[shown[-1] + 1 :]
        names = [[best]] * (shown[-1] + 1 - shown[0])
        return [*self._of_others(before, best), *names, *self._of_others(after, best)]

    def _of_others(self, frames: list[FaceFrame], absent: str) -> list[list[str]]:
        """The same for frames without a person who was chosen, who may be absent for a moment only."""
        if not frames or frames[-1].time - frames[0].time < MAX_ABSENCE:
            return [[absent] for _ in frames]
        return self._of_shot(frames)

    def _best(self, frames: list[FaceFrame]) -> str | None:
        """The name of the person to follow in frames of one shot; None if there is nobody."""
        seen: dict[str, list[FaceFrame]] = {}
        for frame in frames:
            for name in frame.faces:
                seen.setdefault(name, []).append(frame)
        if not seen:
            return None
        sizes = {
            name: sum(area(frame.faces[name].box) * frame.faces[name].box[4] for frame in own)
            for name, own in seen.items()
        }
        if self.previous in sizes:
            sizes[self.previous] *= CONTINUITY
        evidence = {}
        if self.levels is not None and len(seen) > 1:
            for name, own in seen.items():
                crops = np.stack([frame.faces[name].crop for frame in own])
                times = np.array([frame.time for frame in own]) - self.start
                evidence[name] = speech_evidence(crops, times, self.levels)
        return choose_speaker(sizes, evidence)


def _assemble(frames: list[FaceFrame], shown: list[list[str]], crop_size: int, detector: str) -> FollowedFace:
    """The faces of those who are shown in each of the frames."""
    parts = [
        (frame.time, name, frame.faces[name])
        for frame, names in zip(frames, shown, strict=True)
        for name in names
        if name in frame.faces
    ]
    seen = Counter(name for frame in frames for name in frame.faces)
    crops = [face.crop for _, _, face in parts]
    return FollowedFace(
        crops=np.stack(crops) if crops else np.zeros((0, crop_size, crop_size, 3), np.uint8),
        timestamps=np.array([time for time, _, _ in parts], np.float64),
        boxes=np.array([face.box[:4] for _, _, face in parts], np.float64).reshape(-1, 4),
        found=["detected" if face.detected else "tracked" for _, _, face in parts],
        persons=[name for _, name, _ in parts],
        frame_times=np.array([frame.time for frame in frames], np.float64),
        num_faces=sum(count >= min(MIN_FACE_FRAMES, len(frames)) for count in seen.values()),
        detector=detector,
    )


__all__ = ["FaceChoice", "FollowedFace", "face_windows", "person_choice", "track_faces"]
