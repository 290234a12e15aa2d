"""The face that a clip is about: found in its frames, followed over time, cut out."""

from dataclasses import dataclass, field

import numpy as np

from .clip import Clip
from .detector import FaceDetector, load_detector

MAX_MISS = 0.5  # seconds without a detection that are bridged by interpolation
MAX_ABSENCE = 2.0  # seconds after which a face at the same place counts as another one
MIN_DETECTIONS = 3  # fewer in a whole clip are a false alarm
SMOOTHING = np.array([1.0, 2.0, 3.0, 2.0, 1.0])  # weights of neighbouring boxes


@dataclass
class FaceTrack:
    """The face that was followed through a clip.

    Attributes:
        crops: (Tv, S, S, 3) uint8 RGB, only of frames that show the face.
        timestamps: (Tv,) float64, seconds.
        boxes: (Tv, 4) float64, the face without margin: x0, y0, x1, y1 in pixels of the frame.
        num_frames: frames that were looked at.
        detector: name of the detector.
    """

    crops: np.ndarray
    timestamps: np.ndarray
    boxes: np.ndarray
    num_frames: int
    detector: str

    @property
    def coverage(self) -> float:
        """Share of the frames that show the face; 0 without a picture."""
        return len(self.timestamps) / self.num_frames if self.num_frames else 0.0


def track_faces(
    clip: Clip, detector: FaceDetector | str = "auto", crop_size: int = 112, margin: float = 0.3
) -> FaceTrack:
    """Follow the face that is largest for longest, and cut it out of each frame that shows it.

    The frames are read twice, once to find faces and once to cut out the one that was chosen, so that memory holds
    one batch of frames however long the clip is.

    Args:
        clip: the clip; without a picture track the result is empty.
        detector: a detector or its name.
        crop_size: side of the crops in pixels.
        margin: part of the box that is added to its longer side to make the side of the crop.

    Raises:
        ValueError: `crop_size` or `margin` is out of range, or there is no detector of this name.
    """
    if crop_size < 1:
        raise ValueError(f"crop_size={crop_size}: the side of a crop has to be positive; use 112, for instance")
    if margin < 0:
        raise ValueError(f"margin={margin}: the margin cannot be negative; use 0.3, for instance")
    if isinstance(detector, str):
        detector = load_detector(detector)

    times, faces = [], []
    for batch_times, frames in clip.frames():
        times += batch_times.tolist()
        faces += detector.detect(frames)
    frame_indices, boxes = _choose(_link(np.array(times), faces), np.array(times))
    crops = _cut(clip, frame_indices, boxes, crop_size, margin)
    return FaceTrack(crops, np.array(times)[frame_indices], boxes, len(times), detector.name)


@dataclass
class _Track:
    """One face over time: frame indices and the boxes (x0, y0, x1, y1, score) found in them."""

    frames: list[int] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)

    @property
    def weight(self) -> float:
        boxes = np.array(self.boxes)
        return float(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) * boxes[:, 4]).sum())


def _link(times: np.ndarray, faces: list[np.ndarray]) -> list[_Track]:
    """Join the detections of one face, frame after frame, best match first."""
    tracks: list[_Track] = []
    recent: list[_Track] = []
    for index, found in enumerate(faces):
        recent = [track for track in recent if times[index] - times[track.frames[-1]] <= MAX_ABSENCE]
        affinity = np.array([[_affinity(track.boxes[-1], box) for box in found] for track in recent])
        free = set(range(len(found)))
        while affinity.size and affinity.max() > 0:
            row, column = np.unravel_index(affinity.argmax(), affinity.shape)
            recent[row].frames.append(index)
            recent[row].boxes.append(found[column])
            free.discard(int(column))
            affinity[row], affinity[:, column] = 0, 0
        new = [_Track([index], [found[i]]) for i in sorted(free)]
        tracks += new
        recent += new
    return tracks


def _affinity(a: np.ndarray, b: np.ndarray) -> float:
    """How surely two boxes are one face: 1 where they are equal, 0 where they are apart or of very different size."""
    size_a, size_b = max(a[2] - a[0], a[3] - a[1]), max(b[2] - b[0], b[3] - b[1])
    if not 0.5 < size_a / max(size_b, 1e-6) < 2.0:
        return 0.0
    distance = np.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2
    return max(0.0, 1.0 - distance / (0.75 * min(size_a, size_b)))


def _choose(tracks: list[_Track], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frame indices (Tv,) and smooth boxes (Tv, 4) of the largest track, short misses filled in."""
    tracks = [track for track in tracks if len(track.frames) >= min(MIN_DETECTIONS, len(times))]
    if not tracks:
        return np.zeros(0, int), np.zeros((0, 4))
    track = max(tracks, key=lambda track: track.weight)
    seen, boxes = np.array(track.frames), np.array(track.boxes)[:, :4]
    frames, smooth = [], []
    for stretch in np.split(np.arange(len(seen)), np.flatnonzero(np.diff(times[seen]) > MAX_MISS) + 1):
        filled = np.arange(seen[stretch[0]], seen[stretch[-1]] + 1)
        sides = [np.interp(times[filled], times[seen[stretch]], boxes[stretch, side]) for side in range(4)]
        frames.append(filled)
        smooth.append(_smooth(np.stack(sides, axis=1)))
    return np.concatenate(frames), np.concatenate(smooth)


def _smooth(boxes: np.ndarray) -> np.ndarray:
    """Weighted mean of each box and its neighbours; at the ends, of the neighbours that are there on both sides."""
    reach = len(SMOOTHING) // 2
    result = np.empty_like(boxes)
    for index in range(len(boxes)):
        near = min(reach, index, len(boxes) - 1 - index)  # symmetric, so that a moving face is not held back
        result[index] = np.average(
            boxes[index - near : index + near + 1], axis=0, weights=SMOOTHING[reach - near : reach + near + 1]
        )
    return result


def _cut(clip: Clip, frame_indices: np.ndarray, boxes: np.ndarray, crop_size: int, margin: float) -> np.ndarray:
    crops = np.empty((len(frame_indices), crop_size, crop_size, 3), np.uint8)
    rows = {int(frame): row for row, frame in enumerate(frame_indices)}
    index = 0
    for _, frames in clip.frames() if rows else ():
        for frame in frames:
            if index in rows:
                crops[rows[index]] = crop_square(frame, boxes[rows[index]], crop_size, margin)
            index += 1
    return crops


def crop_square(frame: np.ndarray, box: np.ndarray, crop_size: int, margin: float = 0.3) -> np.ndarray:
    """Cut a square around a box; where it leaves the picture, the edge is repeated.

    Args:
        frame: (H, W, 3) uint8.
        box: x0, y0, x1, y1 in pixels.
        crop_size: side of the result in pixels.
        margin: part of the box that is added to its longer side.

    Returns:
        (crop_size, crop_size, 3) uint8.
    """
    import cv2

    x0, y0, x1, y1 = box
    side = max(2, round(max(x1 - x0, y1 - y0) * (1 + margin)))
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    height, width = frame.shape[:2]
    left, top = min(max(left, -side + 1), width - 1), min(max(top, -side + 1), height - 1)
    inside = frame[max(top, 0) : top + side, max(left, 0) : left + side]
    outside = (max(-top, 0), max(top + side - height, 0), max(-left, 0), max(left + side - width, 0))
    square = cv2.copyMakeBorder(inside, *outside, cv2.BORDER_REPLICATE)
    method = cv2.INTER_AREA if side > crop_size else cv2.INTER_LINEAR
    return cv2.resize(square, (crop_size, crop_size), interpolation=method)
