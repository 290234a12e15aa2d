"""A contact sheet: what the model sees of a clip, for a person to look at."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..errors import InputError
from ..media.clip import open_clip
from ..media.detector import FaceDetector, load_detector
from ..media.faces import face_windows
from .canvas import BACKGROUND, GAP, INK, draw_time_axis, font, require_image_name, write_image

COLORS = {"detected": (46, 160, 67), "tracked": (227, 179, 65), "none": (200, 60, 60)}
COLUMNS, ROWS = 6, 3
TILE, CROP, BAR = 240, 96, 28  # pixels


@dataclass(frozen=True)
class FaceReport:
    """How the face of a clip was followed.

    Attributes:
        path: the clip.
        duration: seconds.
        frames: number of frames that were examined.
        face_coverage: fraction of them that show the followed face.
        status: number of frames by how their face was found: `detected`, `tracked`, `none`.
        absent: (start, end) in seconds of the stretches without the face.
        num_faces: most faces among which the speaker was chosen.
        detector: name of the detector.
        reader: library that read the video.
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


def draw_faces(
    source: str | os.PathLike,
    out: str | os.PathLike,
    detector: FaceDetector | str = "auto",
    fps: float = 10.0,
    speaker: str = "size",
) -> FaceReport:
    """Draw frames with the followed face, its crops, and the coverage over time into an image file.

    Args:
        source: path of a clip.
        out: image file to write, such as `sheet.png`.
        detector: a detector or its name.
        fps: frames per second that are examined.
        speaker: which of several faces is followed, see [`face_windows`].

    Raises:
        InputError: the clip cannot be read or has no video, or `out` is not the name of an image file.
    """
    require_image_name(out)
    if isinstance(detector, str):
        detector = load_detector(detector)
    clip = open_clip(source, fps=fps)
    if not clip.has_video:
        raise InputError(f"{clip.name}: has no video, so there is no face to follow; name a video file")
    # the tiles need whole frames, which the search for faces drops: a second pass, which converts these few alone
    rate = min(fps, COLUMNS * ROWS / max(clip.duration, 0.1))
    wanted = list(open_clip(source, fps=rate).frames(1))[: COLUMNS * ROWS]
    wanted_times = np.array([times[0] for times, _ in wanted])

    times, words, num_faces = [], [], 0
    boxes: dict[int, np.ndarray] = {}
    crops: dict[int, np.ndarray] = {}
    for window in face_windows(clip, detector, speaker=speaker):
        times += window.frame_times.tolist()
        words += window.status
        num_faces = max(num_faces, window.num_faces)
        for tile, time in enumerate(wanted_times):
            near = np.abs(window.timestamps - time)
            if len(near) and near.min() <= 0.5 / fps:
                boxes[tile], crops[tile] = window.boxes[near.argmin()], window.crops[near.argmin()]
    stretches = _stretches(times, words, clip.duration)
    report = FaceReport(
        path=str(source),
        duration=round(clip.duration, 3),
        frames=len(times),
        face_coverage=round(sum(word != "none" for word in words) / max(1, len(words)), 4),
        status={word: words.count(word) for word in COLORS},
        absent=[(start, end) for start, end, word in stretches if word == "none"],
        num_faces=num_faces,
        detector=detector.name,
        reader=clip.video_reader,
    )
    status = [words[int(np.abs(np.array(times) - time).argmin())] for time in wanted_times]
    tiles = [
        _tile(frames[0], time, word, boxes.get(number), crops.get(number))
        for number, ((_, frames), time, word) in enumerate(zip(wanted, wanted_times, status, strict=True))
    ]
    write_image(_sheet(tiles, report, stretches), out)
    return report


def _stretches(times: list[float], words: list[str], end: float) -> list[tuple[float, float, str]]:
    """Start, end and status of frames with the same status in a row."""
    starts = [i for i in range(len(words)) if i == 0 or words[i] != words[i - 1]]
    ends = [times[i] for i in starts[1:]] + [max(end, times[-1])] if starts else []
    return [(round(times[i], 3), round(stop, 3), words[i]) for i, stop in zip(starts, ends, strict=True)]


def _tile(frame: np.ndarray, time: float, word: str, box: np.ndarray | None, crop: np.ndarray | None) -> Image.Image:
    """A frame with the box of the face, below it the crop and the time."""
    height, width = frame.shape[:2]
    scale = TILE / max(height, width)
    small = Image.fromarray(frame).resize((max(1, round(width * scale)), max(1, round(height * scale))))
    draw = ImageDraw.Draw(small)
    if box is not None:
        draw.rectangle([float(side) * scale for side in box], outline=COLORS[word], width=3)
    tile = Image.new("RGB", (TILE, small.height + CROP), BACKGROUND)
    tile.paste(small, (0, 0))
    if crop is not None:
        tile.paste(Image.fromarray(crop).resize((CROP, CROP)), (0, small.height))
    draw = ImageDraw.Draw(tile)
    draw.text((CROP + GAP, small.height + GAP), f"{time:.2f} s\n{word}", fill=COLORS[word], font=font(18))
    return tile


def _sheet(tiles: list[Image.Image], report: FaceReport, stretches: list[tuple[float, float, str]]) -> Image.Image:
    """Title, tiles, and the bar of coverage over time."""
    height = max((tile.height for tile in tiles), default=0)
    rows = -(-len(tiles) // COLUMNS)
    width = COLUMNS * (TILE + GAP) + GAP
    top = 4 * GAP + 2 * 22
    sheet = Image.new("RGB", (width, top + rows * (height + GAP) + 3 * BAR + 2 * GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), Path(report.path).name, fill=INK, font=font(22))
    line = (
        f"{report.duration:.1f} s, face in {report.face_coverage:.1%} of {report.frames} frames, at most "
        f"{report.num_faces} face(s), detector {report.detector}, read by {report.reader}"
    )
    draw.text((GAP, 2 * GAP + 24), line, fill=INK, font=font(16))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        sheet.paste(tile, (GAP + column * (TILE + GAP), top + row * (height + GAP)))
    bottom = top + rows * (height + GAP) + GAP
    per_second = (width - 2 * GAP) / max(report.duration, 1e-3)
    for start, end, word in stretches:
        draw.rectangle([GAP + start * per_second, bottom, GAP + end * per_second, bottom + BAR], fill=COLORS[word])
    draw_time_axis(draw, GAP, bottom, bottom + BAR, width - 2 * GAP, report.duration)
    x = GAP
    for word, color in COLORS.items():
        draw.rectangle([x, bottom + 2 * BAR, x + 14, bottom + 2 * BAR + 14], fill=color)
        draw.text((x + 20, bottom + 2 * BAR - 2), word, fill=INK, font=font(14))
        x += 110
    return sheet


__all__ = ["FaceReport", "draw_faces"]
