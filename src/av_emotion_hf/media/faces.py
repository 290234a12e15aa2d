"""The main face of a clip: found in its frames, followed over time, cropped."""

import itertools
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .clip import Clip
from .crops import crop_square
from .detector import FaceDetector, load_detector
from .memory_clip import MemoryClip
from .speaker import SPEAKERS, audio_levels, choose_speaker, speech_evidence
from .tracks import MAX_MISS, SMOOTHING_REACH, TrackLinker, match

SPACING = 0.34  # seconds at most between runs of the detector; between them boxes are interpolated
MIN_FACE_FRAMES = 3  # a face in fewer frames is a false alarm
MAX_FACES = 4  # largest faces of a frame that are cropped
BATCH = 12  # frames that are read at a time
CONTINUITY = 1.2  # factor on the size of the face that was chosen in the window before


@dataclass
class FollowedFace:
    """The face that was followed through a clip, or through a window of it.

    Attributes:
        crops: (Tv, S, S, 3) uint8 RGB, only of frames that show the face.
        timestamps: (Tv,) float64, seconds.
        boxes: (Tv, 4) float64, the face without margin: x0, y0, x1, y1 in pixels of the frame.
        frame_times: (n,) float64, seconds, of all frames that were examined.
        status: n words, one for each of these frames: `detected`, `tracked` (interpolated) or `none`.
        num_faces: faces among which this one was chosen.
        detector: name of the detector.
    """

    crops: np.ndarray
    timestamps: np.ndarray
    boxes: np.ndarray
    frame_times: np.ndarray
    status: list[str]
    num_faces: int
    detector: str

    @property
    def num_frames(self) -> int:
        """Number of frames that were examined."""
        return len(self.frame_times)

    @property
    def coverage(self) -> float:
        """Fraction of the frames that show the face; 0 without video."""
        return len(self.timestamps) / self.num_frames if self.num_frames else 0.0


def track_faces(
    clip: Clip | MemoryClip,
    detector: FaceDetector | str = "auto",
    crop_size: int = 112,
    margin: float = 0.3,
    speaker: str = "size",
) -> FollowedFace:
    """Follow one face through a whole clip; arguments and errors as for [`face_windows`].

    All its crops are in memory at the end; for clips of many minutes use [`face_windows`].
    """
    if isinstance(detector, str):
        detector = load_detector(detector)
    whole = next(face_windows(clip, detector, crop_size, margin, speaker, window=float("inf")), None)
    return whole or _assemble([], None, crop_size, detector.name)


def face_windows(
    clip: Clip | MemoryClip,
    detector: FaceDetector | str = "auto",
    crop_size: int = 112,
    margin: float = 0.3,
    speaker: str = "size",
    window: float = 10.0,
) -> Iterator[FollowedFace]:
    """Follow the face of the speaker, window after window, in memory that does not grow with the clip.

    Frames are read once. The detector runs on about three of them per second, and on those in between where a face
    appears, disappears or jumps; elsewhere boxes are interpolated. Gaps of up to half a second are bridged.

    Args:
        clip: the clip; without a video track nothing is yielded.
        detector: a detector or its name.
        crop_size: side of the crops in pixels.
        margin: fraction of the longer side of the box that is added to it to make the side of the crop.
        speaker: which face is followed if there are several: `size`, the one that is largest for longest, or
            `speech`, the one whose mouth moves with the audio (`size` decides if none does).
        window: seconds for which the choice is made.

    Yields:
        The face in [0, window), [window, 2 window), ... seconds; without crops if there is none.

    Raises:
        ValueError: an argument is out of range.
        InputError: an unknown detector or way to choose the speaker.
    """
    if crop_size < 1:
        raise ValueError(f"crop_size={crop_size}: the side of a crop has to be positive; use 112, for instance")
    if margin < 0:
        raise ValueError(f"margin={margin}: the margin cannot be negative; use 0.3, for instance")
    if not window > 0:
        raise ValueError(f"window={window}: has to be positive; use 10 seconds, for instance")
    if speaker not in SPEAKERS:
        raise InputError(f"speaker={speaker!r}: there is no such way to choose; use one of {', '.join(SPEAKERS)}")
    if isinstance(detector, str):
        detector = load_detector(detector)

    levels: Iterator[np.ndarray] = iter(())
    if speaker == "speech" and clip.has_audio:
        levels = audio_levels(clip, window)
    chosen, number, seen = None, 0, 0
    for cuts in _windows(_Follower(clip, detector, crop_size, margin).cuts(), window):
        seen += len(cuts)
        start = number * window if number else 0.0
        chosen = _choose(cuts, start, next(levels, None), chosen, min(MIN_FACE_FRAMES, seen))
        track = _assemble(cuts, chosen, crop_size, detector.name)
        cuts.clear()  # the crops of two windows would take much memory
        yield track
        del track
        number += 1


@dataclass(eq=False)
class _Cut:
    """A frame and the faces in it, by the number of their track: box (5,), crop (S, S, 3), whether it was detected."""

    time: float
    faces: dict[int, tuple[np.ndarray, np.ndarray, bool]]


class _Follower:
    """Finds and crops the large faces of a clip, holding only frames in which they are not settled yet."""

    def __init__(self, clip: Clip | MemoryClip, detector: FaceDetector, crop_size: int, margin: float):
        self.clip, self.detector, self.crop_size, self.margin = clip, detector, crop_size, margin
        self.linker = TrackLinker()
        self.held: deque[tuple[float, np.ndarray]] = deque()  # frames whose faces were not cropped yet
        self.before: deque[float] = deque([np.nan] * SMOOTHING_REACH, SMOOTHING_REACH)  # times of the last that were

    def cuts(self) -> Iterator[_Cut]:
        """Each frame of the clip with its faces."""
        last = np.zeros((0, 5))
        for groups in self._groups():
            looks = self._detect([group[-1][1] for group in groups])
            for group, found in zip(groups, looks, strict=True):
                between = group[:-1] if _changed(last, found) else []
                for (time, _), missed in zip(between, self._detect([frame for _, frame in between]), strict=True):
                    self.linker.add(time, missed)
                self.linker.add(group[-1][0], found)
                last = found
                yield from self._settled(group[-1][0])
        yield from self._settled(np.inf)

    def _groups(self) -> Iterator[list[list[tuple[float, np.ndarray]]]]:
        """Frames in groups at whose ends the detector runs; those of a batch together, as it is faster on several."""
        look = -np.inf  # time of the last run of the detector
        group: list[tuple[float, np.ndarray]] = []  # frames since then
        for times, frames in self.clip.frames(BATCH):
            groups = []
            for frame in zip(times.tolist(), frames, strict=True):
                self.held.append(frame)
                if group and frame[0] - look > SPACING:
                    groups.append(group)
                    look, group = group[-1][0], []
                group.append(frame)
                if frame[0] - look > SPACING:
                    groups.append(group)
                    look, group = frame[0], []
            yield groups
        if group:
            yield [group]

    def _detect(self, frames: list[np.ndarray]) -> list[np.ndarray]:
        """Faces (k, 5) in each of the frames, which may differ in size."""
        found = []
        for _, same in itertools.groupby(frames, key=np.shape):
            found += self.detector.detect(np.stack(list(same)))
        return found

    def _settled(self, now: float) -> Iterator[_Cut]:
        """Crop the faces of the frames that no detection after `now` can change."""
        while self.held:
            ahead = [self.held[i][0] if i < len(self.held) else np.nan for i in range(SMOOTHING_REACH + 1)]
            if now < np.inf and not ahead[-1] + MAX_MISS <= now:
                return
            time, frame = self.held.popleft()
            times = np.array([*self.before, *ahead])
            placed = [(track, track.box_at(times)) for track in self.linker.tracks]
            seen = [(track, box) for track, box in placed if box is not None]
            largest = sorted(seen, key=lambda pair: -_area(pair[1]))[:MAX_FACES]
            yield _Cut(
                time,
                {
                    track.number: (
                        box,
                        crop_square(frame, box[:4], self.crop_size, self.margin),
                        time in track.times,
                    )
                    for track, box in largest
                },
            )
            self.before.append(time)
            self.linker.forget(time)


def _changed(before: np.ndarray, found: np.ndarray) -> bool:
    """Whether a face appeared, disappeared or jumped between two runs of the detector."""
    pairs, new = match(list(before), found)
    return bool(new) or len(pairs) < len(before)


def _windows(cuts: Iterator[_Cut], window: float) -> Iterator[list[_Cut]]:
    """The frames of [0, window), [window, 2 window), ...; empty lists for windows without a frame."""
    held: list[_Cut] = []
    number = 0
    for cut in cuts:
        while cut.time // window > number:
            yield held
            held, number = [], number + 1
        held.append(cut)
    if held:
        yield held


def _choose(
    cuts: list[_Cut], start: float, levels: np.ndarray | None, previous: int | None, min_frames: int
) -> int | None:
    """Number of the speaker's track; None if no face is seen long enough."""
    faces: dict[int, list[tuple[float, np.ndarray, np.ndarray]]] = {}
    for cut in cuts:
        for number, (box, crop, _) in cut.faces.items():
            faces.setdefault(number, []).append((cut.time - start, box, crop))
    faces = {number: seen for number, seen in faces.items() if len(seen) >= min_frames or number == previous}
    if not faces:
        return None
    sizes = {number: sum(_area(box) * box[4] for _, box, _ in seen) for number, seen in faces.items()}
    if previous in sizes:
        sizes[previous] *= CONTINUITY
    evidence = {}
    if levels is not None and len(faces) > 1:
        for number, seen in faces.items():
            times, _, crops = zip(*seen, strict=True)
            evidence[number] = speech_evidence(np.stack(crops), np.array(times), levels)
    return choose_speaker(sizes, evidence)


def _assemble(cuts: list[_Cut], chosen: int | None, crop_size: int, detector: str) -> FollowedFace:
    """The chosen face's part of the frames."""
    shown = [(cut.time, *cut.faces[chosen]) for cut in cuts if chosen in cut.faces]
    words = {True: "detected", False: "tracked"}
    seen = Counter(number for cut in cuts for number in cut.faces)
    return FollowedFace(
        crops=np.stack([crop for _, _, crop, _ in shown])
        if shown
        else np.zeros((0, crop_size, crop_size, 3), np.uint8),
        timestamps=np.array([time for time, *_ in shown], np.float64),
        boxes=np.array([box[:4] for _, box, _, _ in shown], np.float64).reshape(-1, 4),
        frame_times=np.array([cut.time for cut in cuts], np.float64),
        status=[words[cut.faces[chosen][2]] if chosen in cut.faces else "none" for cut in cuts],
        num_faces=sum(count >= min(MIN_FACE_FRAMES, len(cuts)) for count in seen.values()),
        detector=detector,
    )


def _area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


__all__ = ["FollowedFace", "face_windows", "track_faces"]
