"""A face detector that is told what to find, and the frames and clips that it knows."""

import numpy as np

from av_emotion_hf.media import MemoryClip, open_clip

from .synthetic import gray_frames, write_clip


class ScriptedDetector:
    """Returns what it is told of a frame, which it recognizes by its gray level, as `numbered` made it."""

    name = "scripted"

    def __init__(self, faces):
        self.faces, self.looks = faces, []

    def detect(self, frames):
        numbers = [round((frame[-8:].mean() - 20) / 5) for frame in frames]
        self.looks += numbers
        return [np.array(self.faces[number], np.float64).reshape(-1, 5) for number in numbers]


def numbered(count, height=96, width=128):
    """Frames that tell their number by their gray level."""
    return gray_frames([20 + 5 * number for number in range(count)], height, width)


def box(x, y, side, score=1.0):
    return [x, y, x + side, y + side, score]


def clip_of(tmp_path, frames, fps=10):
    return open_clip(write_clip(tmp_path / "clip.mp4", frames, fps=fps))


LOOKS = {  # color of hair and face, and how often dark stripes run across and down the face
    "ann": ((60, 30, 10), (230, 180, 150), 4, 0),
    "bob": ((200, 180, 60), (170, 120, 90), 0, 4),
    "cat": ((20, 20, 30), (250, 220, 210), 3, 3),
}


def paint(frame, who, x, y, side):
    """Draw the face of one of `LOOKS` into a frame, in the box at (x, y)."""
    hair, skin, across, down = LOOKS[who]
    rows, columns = np.mgrid[0:side, 0:side] / side
    face = np.broadcast_to(np.array(skin, np.float64), (side, side, 3)).copy()
    face *= (1 - 0.4 * (np.sin(2 * np.pi * across * rows) > 0.3) - 0.4 * (np.sin(2 * np.pi * down * columns) > 0.3))[
        ..., None
    ]
    top = max(0, y - side // 2)
    frame[top:y, max(0, x) : x + side] = hair
    part = frame[y : y + side, max(0, x) : x + side]
    part[:] = face[: part.shape[0], max(0, -x) : max(0, -x) + part.shape[1]].astype(np.uint8)


def scenes(shots, height=120, width=200, fps=10):
    """A clip in memory and its detector: shots of (number of frames, faces), faces (who, x, y, side) or functions."""
    frames, found = [], []
    for count, faces in shots:
        for step in range(count):
            frame = np.full((height, width, 3), 90, np.uint8)
            frame[-8:] = 20 + 5 * (len(frames) % 44)  # what `ScriptedDetector` knows a frame by
            places = [face(step) if callable(face) else face for face in faces]
            for who, x, y, side in places:
                paint(frame, who, x, y, side)
            frames.append(frame)
            found.append([box(x, y, side) for _, x, y, side in places])
    assert len(frames) <= 44
    return MemoryClip(np.stack(frames), np.arange(len(frames)) / fps), ScriptedDetector(found)
