"""Faces over time: the boxes found in single frames, linked into tracks."""

from dataclasses import dataclass, field

import numpy as np

MAX_MISS = 0.5  # seconds without a detection that are bridged by interpolation
MAX_ABSENCE = 2.0  # seconds after which a face at the same place counts as another one
SMOOTHING = np.array([1.0, 2.0, 3.0, 2.0, 1.0])  # weights of the boxes in neighboring frames
SMOOTHING_REACH = len(SMOOTHING) // 2  # neighboring frames on each side


@dataclass(eq=False)
class FaceTrack:
    """One face over time.

    Attributes:
        number: counts the tracks of a clip from 0.
        times: seconds at which the face was found.
        boxes: (5,) x0, y0, x1, y1 in pixels and the score, for each of the times.
    """

    number: int
    times: list[float] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)

    def add(self, time: float, box: np.ndarray) -> None:
        """Note that the face was found once more."""
        self.times.append(time)
        self.boxes.append(box)

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
        recent = [track for track in self.tracks if time - track.times[-1] <= MAX_ABSENCE]
        pairs, new = match([track.boxes[-1] for track in recent], found)
        for row, column in pairs:
            recent[row].add(time, found[column])
        for column in new:
            self.tracks.append(FaceTrack(self._count, [time], [found[column]]))
            self._count += 1

    def forget(self, time: float) -> None:
        """Drop what no frame after `time` depends on, so that memory does not grow."""
        self.tracks = [track for track in self.tracks if time - track.times[-1] <= MAX_ABSENCE]
        for track in self.tracks:
            old = sum(known < time - MAX_ABSENCE for known in track.times[:-1][: 2 * SMOOTHING_REACH])
            del track.times[:old], track.boxes[:old]


def match(known: list[np.ndarray], found: np.ndarray) -> tuple[list[tuple[int, int]], list[int]]:
    """Pairs of indices of boxes that are one face, best first, and the indices of `found` without a partner."""
    affinity = np.array([[_affinity(a, b) for b in found] for a in known]).reshape(len(known), len(found))
    pairs, free = [], set(range(len(found)))
    while affinity.size and affinity.max() > 0:
        row, column = np.unravel_index(affinity.argmax(), affinity.shape)
        pairs.append((int(row), int(column)))
        free.discard(int(column))
        affinity[row], affinity[:, column] = 0, 0
    return pairs, sorted(free)


def _affinity(a: np.ndarray, b: np.ndarray) -> float:
    """How surely two boxes are one face: 1 if they are equal, 0 if they are apart or of very different size."""
    size_a, size_b = max(a[2] - a[0], a[3] - a[1]), max(b[2] - b[0], b[3] - b[1])
    if not 0.5 < size_a / max(size_b, 1e-6) < 2.0:
        return 0.0
    distance = np.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2
    return max(0.0, 1.0 - distance / (0.75 * min(size_a, size_b)))


__all__ = ["MAX_MISS", "SMOOTHING_REACH", "FaceTrack", "TrackLinker", "match"]
