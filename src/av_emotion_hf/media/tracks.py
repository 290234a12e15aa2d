"""Faces over time: the boxes found in single frames, linked into tracks.

A track never goes on through a cut of the video, or where two faces are so close that it could go on with either:
which person is seen in it is told by [`PersonNames`], from its looks.
"""

from dataclasses import dataclass, field

import numpy as np

MAX_MISS = 0.5  # seconds without a detection that are bridged by interpolation
MAX_ABSENCE = 2.0  # seconds after which a face at the same place counts as another one
MAX_MOTION = 0.5  # seconds at most for which a face is expected to go on as it moved
AMBIGUOUS = 0.5  # affinity of a second track, as a fraction of that of the first, from which on either may go on
DUPLICATE = 0.5  # affinity from which on two boxes in a frame show one face
SMOOTHING = np.array([1.0, 2.0, 3.0, 2.0, 1.0])  # weights of the boxes in neighboring frames
SMOOTHING_REACH = len(SMOOTHING) // 2  # neighboring frames on each side


@dataclass(eq=False)
class FaceTrack:
    """One face over time.

    Attributes:
        number: counts the tracks of a clip from 0.
        times: seconds at which the face was found.
        boxes: (5,) x0, y0, x1, y1 in pixels and the score, for each of the times.
        ended: whether no further detection may be linked to it.
    """

    number: int
    times: list[float] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    ended: bool = False

    def add(self, time: float, box: np.ndarray) -> None:
        """Note that the face was found once more."""
        self.times.append(time)
        self.boxes.append(box)

    def expected(self, time: float) -> np.ndarray:
        """Box (5,) at a later time, if the face moves on as it did between its last two detections."""
        if len(self.times) < 2:
            return self.boxes[-1]
        ahead = min(time - self.times[-1], MAX_MOTION) / (self.times[-1] - self.times[-2])
        step = self.boxes[-1][:4] - self.boxes[-2][:4]
        shift = ahead * np.tile((step[:2] + step[2:]) / 2, 2)
        return np.append(self.boxes[-1][:4] + shift, self.boxes[-1][4])

    def was_beside(self, other: "FaceTrack", since: float) -> bool:
        """Whether this face was seen since a time, and of late beside the other one: not as a second box of it."""
        boxes = dict(zip(other.times, other.boxes, strict=True))
        common = [
            affinity(box, boxes[time]) for time, box in zip(self.times, self.boxes, strict=True) if time in boxes
        ]
        return self.times[-1] >= since and min(common, default=1.0) == 0

    def box_at(self, times: np.ndarray) -> np.ndarray | None:
        """Box (5,) at the middle one of `times`, smoothed over the others; None where there is no face.

        Between two detections that are at most `MAX_MISS` apart the box is interpolated. At the ends of such a
        stretch the mean covers as many neighbors before as after, so that a moving face is not held back.

        Args:
            times: (5,) of neighboring frames, increasing; nan for frames that the clip does not have.
        """
        reach = SMOOTHING_REACH
        known, time = np.array(self.times), times[reach]
        after = int(np.searchsorted(known, time))
        found = after < len(known) and known[after] == time
        if not found and (after in (0, len(known)) or known[after] - known[after - 1] > MAX_MISS):
            return None
        starts = np.concatenate([[0], np.flatnonzero(np.diff(known) > MAX_MISS) + 1, [len(known)]])
        stretch = np.searchsorted(starts, after, side="right")
        first, last = starts[stretch - 1], starts[stretch] - 1
        inside = (times >= known[first]) & (times <= known[last])
        near = next(n for n in range(reach, -1, -1) if inside[reach - n : reach + n + 1].all())
        part = slice(reach - near, reach + near + 1)
        sides = np.array(self.boxes[first : last + 1]).T
        return np.array(
            [
                np.average(np.interp(times[part], known[first : last + 1], side), weights=SMOOTHING[part])
                for side in sides
            ]
        )


class TrackLinker:
    """Joins the detections of one face, frame after frame, best match first.

    Attributes:
        tracks: those that were not forgotten.
    """

    def __init__(self) -> None:
        self.tracks: list[FaceTrack] = []
        self._count = 0

    def add(self, time: float, found: np.ndarray) -> None:
        """Link the faces (k, 5) of the next frame."""
        recent = [track for track in self.tracks if not track.ended and time - track.times[-1] <= MAX_ABSENCE]
        # a head that moves back and forth is where it was as often as where its motion leads
        scores = np.maximum(
            affinities([track.boxes[-1] for track in recent], found),
            affinities([track.expected(time) for track in recent], found),
        )
        pairs, new = best_pairs(scores)
        for row, column in pairs:
            close = np.flatnonzero(scores[:, column] > AMBIGUOUS * scores[row, column]).tolist()
            rivals = [recent[k] for k in close if k != row and recent[k].was_beside(recent[row], time - MAX_MISS)]
            if rivals:  # either may be hidden behind the other
                for track in (recent[row], *rivals):
                    track.ended = True
                new.append(column)
        for row, column in pairs:
            if column not in new:
                recent[row].add(time, found[column])
        for column in sorted(new):
            self.tracks.append(FaceTrack(self._count, [time], [found[column]]))
            self._count += 1

    def cut(self) -> None:
        """End all tracks: the next frame shows something else."""
        for track in self.tracks:
            track.ended = True

    def forget(self, time: float) -> None:
        """Drop what no frame after `time` depends on, so that memory does not grow."""
        self.tracks = [track for track in self.tracks if time - track.times[-1] <= MAX_ABSENCE]
        for track in self.tracks:
            old = sum(known < time - MAX_ABSENCE for known in track.times[:-1][: 2 * SMOOTHING_REACH])
            del track.times[:old], track.boxes[:old]


def match(known: list[np.ndarray], found: np.ndarray) -> tuple[list[tuple[int, int]], list[int]]:
    """Pairs of indices of boxes that are one face, best first, and the indices of `found` without a partner."""
    return best_pairs(affinities(known, found))


def without_duplicates(placed: list[tuple[FaceTrack, np.ndarray]]) -> list[tuple[FaceTrack, np.ndarray]]:
    """Tracks and their boxes in one frame without those that show the face of another one, seen more often."""
    kept: list[tuple[FaceTrack, np.ndarray]] = []
    for track, box in sorted(placed, key=lambda pair: -len(pair[0].times)):
        if all(affinity(box, other) < DUPLICATE for _, other in kept):
            kept.append((track, box))
    return kept


def affinities(known: list[np.ndarray], found: np.ndarray) -> np.ndarray:
    """How surely each known box is each found one, (known, found) in [0, 1]."""
    return np.array([[affinity(a, b) for b in found] for a in known]).reshape(len(known), len(found))


def best_pairs(scores: np.ndarray) -> tuple[list[tuple[int, int]], list[int]]:
    """Rows and columns of the largest scores above 0, each used once, best first, and the columns that are left."""
    scores = scores.copy()
    pairs, free = [], set(range(scores.shape[1]))
    while scores.size and scores.max() > 0:
        row, column = np.unravel_index(scores.argmax(), scores.shape)
        pairs.append((int(row), int(column)))
        free.discard(int(column))
        scores[row], scores[:, column] = 0, 0
    return pairs, sorted(free)


def affinity(a: np.ndarray, b: np.ndarray) -> float:
    """How surely two boxes are one face: 1 if they are equal, 0 if they are apart or of very different size."""
    size_a, size_b = max(a[2] - a[0], a[3] - a[1]), max(b[2] - b[0], b[3] - b[1])
    if not 0.5 < size_a / max(size_b, 1e-6) < 2.0:
        return 0.0
    distance = np.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2
    return max(0.0, 1.0 - distance / (0.75 * min(size_a, size_b)))


__all__ = [
    "MAX_ABSENCE",
    "MAX_MISS",
    "SMOOTHING_REACH",
    "FaceTrack",
    "TrackLinker",
    "affinity",
    "match",
    "without_duplicates",
]
