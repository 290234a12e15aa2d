"""The persons of a recording: which tracks show the same one, and what they are called."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ..models.persons_av_emotion import person_name
from .appearance import unit
from .tracks import MAX_ABSENCE, affinity

MIN_FACE_FRAMES = 3  # a face in fewer frames is a false alarm
STEADY = 0.9  # so is one that nobody is known by and that is seen in a smaller fraction of its first second
SETTLING = 1.0  # seconds from the start of a track until it is decided who is seen in it
SAME_PERSON = 0.875  # likeness of two looks from which on they are of one person
SAME_PLACE = 0.6  # the same for a face that was lost just before and there
MAX_PERSONS = 100  # that are remembered; who was not seen for longest is forgotten
MAX_LOOKS = 50  # that count in the mean, so that a person may change slowly


@dataclass(eq=False)
class SeenFace:
    """A face in one frame.

    Attributes:
        box: (5,) x0, y0, x1, y1 in pixels and the score.
        crop: (S, S, 3) uint8.
        detected: whether the detector found it in this frame; otherwise the box is interpolated.
        looks: its appearance (E,), in some frames.
        name: of the person, once it is known.
    """

    box: np.ndarray
    crop: np.ndarray
    detected: bool
    looks: np.ndarray | None = None
    name: str | None = None


@dataclass(eq=False)
class FaceFrame:
    """A frame and the faces in it.

    Attributes:
        time: seconds.
        shot: number of the shot; a cut is between two of them.
        faces: by the number of their track, or by the person's name.
    """

    time: float
    shot: int
    faces: dict


@dataclass(eq=False)
class _Person:
    """Who was seen: how the person looks in the mean, and where and when the last time."""

    name: str
    looks: np.ndarray = field(default_factory=lambda: np.zeros(1, np.float32))
    count: int = 0
    time: float = -np.inf
    shot: int = -1
    box: np.ndarray = field(default_factory=lambda: np.zeros(4))

    def learn(self, looks: np.ndarray) -> None:
        """Count one more look in the mean."""
        self.count = min(self.count + 1, MAX_LOOKS)
        self.looks = unit(self.looks + (looks - self.looks) / self.count)


@dataclass(eq=False)
class _Track:
    """A track while it is open who is seen in it, from its first frame on."""

    start: float
    shot: int
    box: np.ndarray
    frames: int = 0  # that show it
    passed: int = 0  # of its shot, since its start
    looks: list[np.ndarray] = field(default_factory=list)


class PersonNames:
    """Names the persons of a recording `person-1`, `person-2`, ... in the order in which they appear.

    A track gets its name a second after its start: that of the known person who looks most like it, if that is like
    enough, else a new one, if it is steady. Who is seen beside it at any time cannot be the same person. Persons who
    appear at the same time are counted from left to right. The looks of persons are a vector each, and are forgotten
    with this object.
    """

    def __init__(self) -> None:
        self._persons: list[_Person] = []
        self._number = 0
        self._known: dict[int, _Person] = {}  # by track of the current shot
        self._open: dict[int, _Track] = {}  # those that have no name yet, in the order of their start
        self._held: deque[FaceFrame] = deque()  # frames in which somebody has no name yet, and those after them
        self._last: set[int] = set()  # tracks in the last frame
        self._shot: int | None = None
        self._shot_frames = 0

    def named(self, frames: Iterator[FaceFrame]) -> Iterator[FaceFrame]:
        """The same frames, with faces by the person's name; faces in too few frames are left out.

        Args:
            frames: with faces by the number of their track, none of which goes on in another shot.
        """
        for frame in frames:
            yield from self.add(frame)
        yield from self.flush()

    def add(self, frame: FaceFrame) -> list[FaceFrame]:
        """See one more frame; the frames that are settled by it, see [`named`]."""
        if frame.shot != self._shot:
            self._decide(is_end=True)
            self._known.clear()
            self._shot, self._shot_frames = frame.shot, 0
        self._shot_frames += 1
        self._held.append(frame)
        self._see(frame)
        self._decide(is_end=False)
        return list(self._released())

    def flush(self) -> list[FaceFrame]:
        """Settle all frames that are held, by what was seen so far; others may follow."""
        self._decide(is_end=True)
        return list(self._released())

    def _see(self, frame: FaceFrame) -> None:
        """Name the faces of tracks that have a name, and open tracks for the others."""
        taken: set[str] = set()
        for number in sorted(frame.faces, key=lambda number: (number not in self._last, frame.faces[number].box[0])):
            face, person = frame.faces[number], self._known.get(number)
            if person is not None and person.name not in taken:
                taken.add(person.name)
                _meet(person, frame, face)
                continue
            if person is not None:  # the track was lost for a while, and the person is seen in another one
                del self._known[number]
            if number not in self._open:
                self._open[number] = _Track(frame.time, frame.shot, face.box)
        self._last = set(frame.faces)
        for number, track in self._open.items():
            track.passed += 1
            if number in frame.faces:
                track.frames += 1
                looks = frame.faces[number].looks
                track.looks += [] if looks is None else [looks]

    def _decide(self, is_end: bool) -> None:
        """Name the tracks of which enough has been seen, and at the end of a shot all."""
        while self._open:
            number, track = next(iter(self._open.items()))
            age = self._held[-1].time - track.start
            if not is_end and not (age >= SETTLING and track.passed >= MIN_FACE_FRAMES):
                return
            person = None
            if track.frames >= min(MIN_FACE_FRAMES, self._shot_frames):
                person = self._best_persons().get(number)
                if person is None and (not self._persons or track.frames >= STEADY * track.passed):
                    person = self._new_person()
            if person is not None:
                self._known[number] = person
            del self._open[number]
            for frame in self._held:
                if number in frame.faces and frame.faces[number].name is None:
                    if person is None:
                        del frame.faces[number]
                    else:
                        _meet(person, frame, frame.faces[number])

    def _best_persons(self) -> dict[int, _Person]:
        """The known person whom each open track shows, as far as there is one."""
        beside: dict[int, set[int]] = {number: set() for number in self._open}
        excluded: dict[int, set[str | None]] = {number: set() for number in self._open}
        for frame in self._held:
            names = {face.name for face in frame.faces.values()}
            for number in self._open.keys() & frame.faces.keys():
                beside[number] |= frame.faces.keys() - {number}
                excluded[number] |= names
        likeness = [
            (_likeness(track, person), number, person)
            for number, track in self._open.items()
            for person in self._persons
            if track.looks and person.name not in excluded[number]
        ]
        best: dict[int, _Person] = {}
        for score, number, person in sorted(likeness, key=lambda each: -each[0]):
            if score >= 0 and number not in best and all(best.get(other) is not person for other in beside[number]):
                best[number] = person
        return best

    def _new_person(self) -> _Person:
        self._number += 1
        person = _Person(person_name(self._number))
        self._persons = [*sorted(self._persons, key=lambda each: each.time)[-MAX_PERSONS + 1 :], person]
        return person

    def _released(self) -> Iterator[FaceFrame]:
        """The frames up to the first in which somebody has no name yet."""
        while self._held and all(face.name is not None for face in self._held[0].faces.values()):
            frame = self._held.popleft()
            yield replace(frame, faces={face.name: face for face in frame.faces.values()})


def _meet(person: _Person, frame: FaceFrame, face: SeenFace) -> None:
    """A person is seen in a frame."""
    face.name = person.name
    person.time, person.shot, person.box = frame.time, frame.shot, face.box
    if face.looks is not None:
        person.learn(face.looks)


def _likeness(track: _Track, person: _Person) -> float:
    """How much more alike they are than two looks of one person have to be."""
    is_near = person.shot == track.shot and track.start - person.time <= MAX_ABSENCE
    is_near = is_near and affinity(person.box, track.box) > 0
    looks = unit(np.mean(track.looks, axis=0))
    return float(looks @ person.looks) - (SAME_PLACE if is_near else SAME_PERSON)


__all__ = ["FaceFrame", "PersonNames", "SeenFace"]
