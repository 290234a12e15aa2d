"""All large faces of a clip, frame after frame: found, followed, cropped, and named by the person."""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from .appearance import appearance
from .clip import Clip
from .crops import area, crop_square
from .detector import FaceDetector
from .memory_clip import MemoryClip
from .persons import FaceFrame, PersonNames, SeenFace
from .shots import ShotDetector
from .tracks import MAX_MISS, SMOOTHING_REACH, TrackLinker, match, without_duplicates

SPACING = 0.34  # seconds at most between runs of the detector; between them boxes are interpolated
MAX_FACES = 8  # largest faces of a frame that are cropped
BATCH = 12  # frames that are read at a time
LOOKS = (3, 0.3, 2.0)  # so many looks of a track are taken so many seconds apart, and then one in so many seconds


def follow_persons(
    clip: Clip | MemoryClip, detector: FaceDetector, crop_size: int, margin: float
) -> Iterator[FaceFrame]:
    """Each frame of a clip with the faces of the persons in it, by name.

    Frames are read once, and held until what follows cannot change who is seen in them: for about two seconds.
    """
    follower = PersonFollower(detector, crop_size, margin)
    for times, frames in clip.frames(BATCH):
        yield from follower.add(times.tolist(), frames)
    yield from follower.flush()


class PersonFollower:
    """Follows the persons of a recording whose frames come bit by bit.

    Args:
        detector: finds the faces.
        crop_size: side of the crops in pixels.
        margin: see [`face_windows`].
    """

    def __init__(self, detector: FaceDetector, crop_size: int, margin: float):
        self._faces, self._names = FaceFollower(detector, crop_size, margin), PersonNames()

    def add(self, times: Sequence[float], frames: Sequence[np.ndarray] | np.ndarray) -> Iterator[FaceFrame]:
        """Take further frames; yields those in which nothing can change any more, with faces by the person's name.

        What is yielded does not depend on how frames are divided among calls.

        Args:
            times: seconds, increasing.
            frames: (H, W, 3) uint8 RGB each; they are kept for a while, not copied.
        """
        for frame in self._faces.add(times, frames):
            yield from self._names.add(frame)

    def flush(self) -> Iterator[FaceFrame]:
        """The frames that are still held, settled by what was seen so far; others may follow."""
        for frame in self._faces.flush():
            yield from self._names.add(frame)
        yield from self._names.flush()


class FaceFollower:
    """Finds and crops the large faces of a clip, holding only frames in which they are not settled yet."""

    def __init__(self, detector: FaceDetector, crop_size: int, margin: float):
        self.detector, self.crop_size, self.margin = detector, crop_size, margin
        self.linker, self.shots = TrackLinker(), ShotDetector()
        self.held: deque[tuple[float, np.ndarray, int]] = deque()  # frames whose faces were not cropped yet; the shot
        self.before: deque[float] = deque([np.nan] * SMOOTHING_REACH, SMOOTHING_REACH)  # times of the last that were
        self.looks: dict[int, list[float]] = {}  # by track when its looks were taken
        self.shot = 0  # of the last frame
        self.look = -np.inf  # time of the last frame in which faces were looked for
        self.group: list[tuple[float, np.ndarray]] = []  # frames since then
        self.last, self.last_shot = np.zeros((0, 5)), 0  # what was found then, in which shot

    def add(self, times: Sequence[float], frames: Sequence[np.ndarray] | np.ndarray) -> Iterator[FaceFrame]:
        """Take further frames; yields those that are settled, with faces by the number of their track."""
        yield from self._found(self._groups(times, frames))

    def flush(self) -> Iterator[FaceFrame]:
        """The frames that are held; the detector runs on the last of them."""
        if self.group:
            groups, self.look, self.group = [(self.shot, self.group)], self.group[-1][0], []
            yield from self._found(groups)
        yield from self._settled(np.inf)

    def _found(self, groups: list[tuple[int, list[tuple[float, np.ndarray]]]]) -> Iterator[FaceFrame]:
        """Run the detector at the ends of groups, and in between where a face comes, goes or jumps."""
        found = self._detect([group[-1][1] for _, group in groups])
        for (number, group), faces in zip(groups, found, strict=True):
            if number != self.last_shot:
                self.linker.cut()
                self.last, self.last_shot = faces, number
            between = group[:-1] if _changed(self.last, faces) else []
            for (time, _), missed in zip(between, self._detect([frame for _, frame in between]), strict=True):
                self.linker.add(time, missed)
            self.linker.add(group[-1][0], faces)
            self.last = faces
            yield from self._settled(group[-1][0])

    def _groups(
        self, times: Sequence[float], frames: Sequence[np.ndarray] | np.ndarray
    ) -> list[tuple[int, list[tuple[float, np.ndarray]]]]:
        """Frames of one shot, with its number, in groups at whose ends the detector runs.

        Those of a batch come together, as the detector is faster on several. A cut ends a group, and the first frame
        of a shot is one of its own.
        """
        groups = []
        for frame in zip(times, frames, strict=True):
            is_cut = self.shots.starts_shot(frame[1])
            if self.group and (is_cut or frame[0] - self.look > SPACING):
                groups.append((self.shot, self.group))
                self.look, self.group = self.group[-1][0], []
            self.shot += is_cut
            self.held.append((*frame, self.shot))
            self.group.append(frame)
            if is_cut or frame[0] - self.look > SPACING:
                groups.append((self.shot, self.group))
                self.look, self.group = frame[0], []
        return groups

    def _detect(self, frames: list[np.ndarray]) -> list[np.ndarray]:
        """Faces (k, 5) in each of the frames, which may differ in size."""
        found = []
        for _, same in itertools.groupby(frames, key=np.shape):
            found += self.detector.detect(np.stack(list(same)))
        return found

    def _settled(self, now: float) -> Iterator[FaceFrame]:
        """Crop the faces of the frames that no detection after `now` can change."""
        while self.held:
            ahead = [self.held[i][0] if i < len(self.held) else np.nan for i in range(SMOOTHING_REACH + 1)]
            if now < np.inf and not ahead[-1] + MAX_MISS <= now:
                return
            time, frame, shot = self.held.popleft()
            times = np.array([*self.before, *ahead])
            placed = [(track, track.box_at(times)) for track in self.linker.tracks]
            seen = [(track, box) for track, box in placed if box is not None]
            largest = sorted(without_duplicates(seen), key=lambda pair: -area(pair[1]))[:MAX_FACES]
            faces = {
                track.number: SeenFace(
                    box,
                    crop_square(frame, box[:4], self.crop_size, self.margin),
                    time in track.times,
                    appearance(frame, box) if self._wants_look(track.number, time) else None,
                )
                for track, box in largest
            }
            yield FaceFrame(time, shot, faces)
            self.before.append(time)
            self.linker.forget(time)
            alive = {track.number for track in self.linker.tracks}
            self.looks = {number: taken for number, taken in self.looks.items() if number in alive}

    def _wants_look(self, number: int, time: float) -> bool:
        """Whether the looks of a track are taken at a time; they are then noted as taken."""
        count, soon, later = LOOKS
        taken = self.looks.setdefault(number, [])
        wanted = not taken or time - taken[-1] >= (soon if len(taken) < count else later) - 1e-6
        if wanted:
            taken.append(time)
            del taken[:-count]
        return wanted


def _changed(before: np.ndarray, found: np.ndarray) -> bool:
    """Whether a face appeared, disappeared or jumped between two runs of the detector."""
    pairs, new = match(list(before), found)
    return bool(new) or len(pairs) < len(before)


__all__ = ["FaceFollower", "PersonFollower", "follow_persons"]
