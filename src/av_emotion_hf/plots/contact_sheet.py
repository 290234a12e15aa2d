"""A contact sheet: what the model sees of a clip, and of each person in it, for a human to look at."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..errors import InputError
from ..media.clip import open_clip
from ..media.detector import FaceDetector, load_detector
from ..media.face_quality import measure_faces
from ..media.faces import FollowedFace, face_windows
from ..models.persons_av_emotion import ALL, in_order
from .canvas import BACKGROUND, GAP, INK, draw_time_axis, font, require_image_name, write_image

COLORS = {"detected": (46, 160, 67), "tracked": (227, 179, 65), "none": (200, 60, 60)}
COLUMNS, ROWS = 6, 3
TILE, CROP, BAR = 240, 96, 28  # pixels
CROPS = 13  # of a person, at most
WIDTH = COLUMNS * (TILE + GAP) + GAP


@dataclass(frozen=True)
class PersonReport:
    """How one person was followed.

    Attributes:
        name: `person-1`, ...
        seconds: how long the person is seen.
        face_coverage: fraction of the frames that show the person.
        status: number of frames by how the face was found: `detected`, `tracked`, `none`.
        absent: (start, end) in seconds of the stretches without the person.
        quality: median of each measure of [`measure_faces`] over the frames that show the person.
    """

    name: str
    seconds: float
    face_coverage: float
    status: dict[str, int]
    absent: list[tuple[float, float]]
    quality: dict[str, float]


@dataclass(frozen=True)
class FaceReport:
    """How the faces of a clip were followed.

    Attributes:
        path: the clip.
        duration: seconds.
        frames: number of frames that were examined.
        face_coverage: fraction of them that show a followed face.
        status: number of frames by how a face was found in them: `detected`, `tracked`, `none`.
        absent: (start, end) in seconds of the stretches without a followed face.
        num_faces: most persons in one window of ten seconds.
        detector: name of the detector.
        reader: library that read the video.
        persons: those who were followed, in the order in which they appear.
    """

    path: str
    duration: float
    frames: int
    face_coverage: float
    status: dict[str, int]
    absent: list[tuple[float, float]]
    num_faces: int
    detector: str
    reader: str | None
    persons: list[PersonReport] = field(default_factory=list)


def draw_faces(
    source: str | os.PathLike,
    out: str | os.PathLike,
    detector: FaceDetector | str = "auto",
    fps: float = 10.0,
    person: str = ALL,
    speaker: str | None = None,
) -> FaceReport:
    """Draw frames with the followed faces, and for each person the name, crops and the coverage over time.

    Args:
        source: path of a clip.
        out: image file to write, such as `sheet.png`.
        detector: a detector or its name.
        fps: frames per second that are examined.
        person: who is followed, see [`face_windows`].
        speaker: old name of `person`, until 0.3.

    Raises:
        InputError: the clip cannot be read or has no video, nobody has the name, or `out` is not the name of an image
            file.
    """
    require_image_name(out)
    if isinstance(detector, str):
        detector = load_detector(detector)
    clip = open_clip(source, fps=fps)
    if not clip.has_video:
        raise InputError(f"{clip.name}: has no video, so there is no face to follow; name a video file")
    # the tiles need whole frames, which the search for faces drops: a second pass, which converts these few alone
    rate = min(fps, COLUMNS * ROWS / max(clip.duration, 0.1))
    wanted = [(times[0], frames[0]) for times, frames in open_clip(source, fps=rate).frames(1)][: COLUMNS * ROWS]
    seen = _Seen(fps, clip.duration, [time for time, _ in wanted])
    for window in face_windows(clip, detector, person=person, speaker=speaker):
        seen.add(window)
    coverage, status, absent = seen.summary(seen.words)
    report = FaceReport(
        path=str(source),
        duration=round(clip.duration, 3),
        frames=len(seen.times),
        face_coverage=coverage,
        status=status,
        absent=absent,
        num_faces=seen.num_faces,
        detector=detector.name,
        reader=clip.video_reader,
        persons=[seen.report(name) for name in in_order(seen.found)],
    )
    tiles = [_tile(frame, time, seen.boxes[number]) for number, (time, frame) in enumerate(wanted)]
    write_image(_sheet(tiles, report, seen), out)
    return report


class _Seen:
    """What of a clip goes into its sheet, collected window after window.

    Args:
        fps: frames per second that are examined.
        duration: of the clip, in seconds.
        wanted: times of the tiles.
    """

    def __init__(self, fps: float, duration: float, wanted: list[float]):
        self.fps, self.duration, self.wanted = fps, duration, np.array(wanted)
        self.times: list[float] = []
        self.words: list[str] = []
        self.found: dict[str, dict[float, str]] = {}  # by person and time, how the face was found
        self.measured: dict[str, dict[str, list[float]]] = {}  # by person and measure
        self.crops: dict[str, list[tuple[float, np.ndarray]]] = {}  # by person some crops with their times
        self.gaps: dict[str, float] = {}  # seconds between two of them, which grow with the clip
        self.boxes: list[list[tuple[str, str, np.ndarray]]] = [[] for _ in wanted]  # of each tile
        self.num_faces = 0

    def add(self, window: FollowedFace) -> None:
        """Take what is needed of a window."""
        self.times += window.frame_times.tolist()
        self.words += window.status
        self.num_faces = max(self.num_faces, window.num_faces)
        for name in window.names:
            own = window.of(name)
            self.found.setdefault(name, {}).update(zip(own.timestamps.tolist(), own.found, strict=True))
            for measure, values in measure_faces(own.crops, own.boxes).items():
                self.measured.setdefault(name, {}).setdefault(measure, []).extend(values.tolist())
            crops = self.crops.setdefault(name, [])
            for time, crop in zip(own.timestamps.tolist(), own.crops, strict=True):
                if not crops or time - crops[-1][0] >= self.gaps.setdefault(name, 0.2):
                    crops.append((time, crop.copy()))
                if len(crops) > 4 * CROPS:
                    self.gaps[name] *= 2
                    del crops[1::2]
            for tile, time in enumerate(self.wanted):
                near = np.abs(own.timestamps - time)
                if near.min() <= 0.5 / self.fps:
                    row = int(near.argmin())
                    self.boxes[tile].append((name, own.found[row], own.boxes[row]))

    def summary(self, words: list[str]) -> tuple[float, dict[str, int], list[tuple[float, float]]]:
        """Coverage, number of frames by status, and stretches without a face, of a word for each frame."""
        absent = [(start, end) for start, end, word in self.stretches(words) if word == "none"]
        coverage = round(sum(word != "none" for word in words) / max(1, len(words)), 4)
        return coverage, {word: words.count(word) for word in COLORS}, absent

    def words_of(self, name: str) -> list[str]:
        """A word for each frame, of one person."""
        return [self.found[name].get(time, "none") for time in self.times]

    def report(self, name: str) -> PersonReport:
        """How a person was followed."""
        coverage, status, absent = self.summary(self.words_of(name))
        seconds = self.duration - sum(end - start for start, end in absent)
        quality = {measure: round(float(np.median(own)), 3) for measure, own in self.measured[name].items()}
        return PersonReport(name, round(seconds, 3), coverage, status, absent, quality)

    def stretches(self, words: list[str]) -> list[tuple[float, float, str]]:
        """Start, end and status of frames with the same status in a row."""
        starts = [i for i in range(len(words)) if i == 0 or words[i] != words[i - 1]]
        ends = [self.times[i] for i in starts[1:]] + [max(self.duration, self.times[-1])] if starts else []
        return [(round(self.times[i], 3), round(stop, 3), words[i]) for i, stop in zip(starts, ends, strict=True)]


def _tile(frame: np.ndarray, time: float, boxes: list[tuple[str, str, np.ndarray]]) -> Image.Image:
    """A frame with the boxes of the faces, their names, and the time."""
    height, width = frame.shape[:2]
    scale = TILE / max(height, width)
    small = Image.fromarray(frame).resize((max(1, round(width * scale)), max(1, round(height * scale))))
    tile = Image.new("RGB", (TILE, small.height + 2 * GAP + 18), BACKGROUND)
    tile.paste(small, (0, 0))
    draw = ImageDraw.Draw(tile)
    for name, word, box in boxes:
        x0, y0, x1, y1 = (float(side) * scale for side in box)
        draw.rectangle([x0, y0, x1, y1], outline=COLORS[word], width=3)
        number = name.rpartition("-")[2]
        draw.text((x0 + 5, y0 + 2), number, fill=BACKGROUND, font=font(16), stroke_width=2, stroke_fill=INK)
    color = INK if boxes else COLORS["none"]
    draw.text((GAP, small.height + GAP), f"{time:.2f} s" + ("" if boxes else "  none"), fill=color, font=font(18))
    return tile


def _sheet(tiles: list[Image.Image], report: FaceReport, seen: _Seen) -> Image.Image:
    """Title, tiles, a block for each person, and the legend."""
    line = (
        f"{report.duration:.1f} s, face in {report.face_coverage:.1%} of {report.frames} frames, at most "
        f"{report.num_faces} face(s), detector {report.detector}, read by {report.reader}"
    )
    blocks = [_block(one, seen) for one in report.persons]
    height = max((tile.height for tile in tiles), default=0) + GAP
    top = 4 * GAP + 2 * 22
    tiled = top + -(-len(tiles) // COLUMNS) * height
    sheet = Image.new("RGB", (WIDTH, tiled + sum(block.height for block in blocks) + 2 * BAR), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), Path(report.path).name, fill=INK, font=font(22))
    draw.text((GAP, 2 * GAP + 24), line, fill=INK, font=font(16))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        sheet.paste(tile, (GAP + column * (TILE + GAP), top + row * height))
    for block in blocks:
        sheet.paste(block, (0, tiled))
        tiled += block.height
    for number, (word, color) in enumerate(COLORS.items()):
        x = GAP + 110 * number
        draw.rectangle([x, tiled + GAP, x + 14, tiled + GAP + 14], fill=color)
        draw.text((x + 20, tiled + GAP - 2), word, fill=INK, font=font(14))
    return sheet


def _block(person: PersonReport, seen: _Seen) -> Image.Image:
    """Name, seconds and coverage of a person, crops, and the bar of coverage over time."""
    title, bar = 26 + GAP, 26 + 2 * GAP + CROP
    block = Image.new("RGB", (WIDTH, bar + 2 * BAR + GAP), BACKGROUND)
    draw = ImageDraw.Draw(block)
    line = f"{person.name}   {person.seconds:.1f} s, {person.face_coverage:.1%} of the frames"
    draw.text((GAP, GAP), line, fill=INK, font=font(18))
    crops = seen.crops[person.name]
    for number, row in enumerate(np.linspace(0, len(crops) - 1, min(CROPS, len(crops))).round().astype(int)):
        x = GAP + number * (CROP + GAP)
        block.paste(Image.fromarray(crops[row][1]).resize((CROP, CROP)), (x, title))
        draw.text(
            (x + 4, title + CROP - 20),
            f"{crops[row][0]:.1f} s",
            fill=BACKGROUND,
            font=font(14),
            stroke_width=2,
            stroke_fill=INK,
        )
    per_second = (WIDTH - 2 * GAP) / max(seen.duration, 1e-3)
    for start, end, word in seen.stretches(seen.words_of(person.name)):
        draw.rectangle([GAP + start * per_second, bar, GAP + end * per_second, bar + BAR], fill=COLORS[word])
    draw_time_axis(draw, GAP, bar, bar + BAR, WIDTH - 2 * GAP, seen.duration)
    return block


__all__ = ["COLORS", "FaceReport", "PersonReport", "draw_faces"]
