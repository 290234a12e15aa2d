"""A short clip of a drawn face and a synthetic voice, for where no recording is at hand."""

from pathlib import Path
from typing import Literal

import numpy as np

SECONDS, FPS, SIDE, RATE = 2.0, 10, 240, 16_000
HAIR, SKIN, LIGHT, SHADE, LIPS = (50, 35, 25), (215, 170, 145), (235, 195, 172), (185, 138, 116), (175, 85, 85)
WHITE, DARK, BACKGROUND = (240, 238, 235), (60, 40, 30), (90, 100, 110)
Ellipse = tuple[float, float, float, float, tuple[int, int, int], float, float]
# ellipses one over the other: center and radii in sides of the picture from the middle of the face, color, width of
# the edge, opacity; those with a side are drawn left and right
FACE: tuple[Ellipse, ...] = (
    (0.0, -0.10, 0.235, 0.29, HAIR, 0.02, 1.0),
    (0.0, 0.36, 0.10, 0.16, SHADE, 0.03, 1.0),  # neck
    (0.0, 0.0, 0.20, 0.265, SKIN, 0.02, 1.0),
    (0.0, -0.10, 0.16, 0.10, LIGHT, 0.10, 0.6),  # forehead
    (0.0, -0.25, 0.19, 0.075, HAIR, 0.03, 1.0),
    (0.012, 0.03, 0.014, 0.07, SHADE, 0.03, 0.6),  # nose
    (-0.008, 0.03, 0.014, 0.07, LIGHT, 0.03, 0.6),
    (0.0, 0.172, 0.07, 0.024, LIPS, 0.012, 1.0),
    (0.0, 0.168, 0.066, 0.005, DARK, 0.006, 1.0),
)
BOTH_SIDES: tuple[Ellipse, ...] = (
    (0.085, -0.045, 0.06, 0.04, SHADE, 0.05, 0.7),  # eye socket
    (0.085, -0.095, 0.055, 0.012, DARK, 0.01, 1.0),  # brow
    (0.085, -0.04, 0.038, 0.018, WHITE, 0.008, 1.0),
    (0.085, -0.04, 0.017, 0.018, DARK, 0.006, 1.0),
    (0.085, -0.053, 0.042, 0.008, DARK, 0.008, 1.0),  # lid
    (0.022, 0.095, 0.012, 0.008, SHADE, 0.01, 1.0),  # nostril
)
PITCH = 180.0  # Hz
FORMANTS = ((700.0, 90.0), (1200.0, 110.0), (2500.0, 160.0))  # Hz, and their widths: an open vowel


def draw_face(shift: float = 0.0, side: int = SIDE) -> np.ndarray:
    """A drawn face (side, side, 3) uint8 RGB, moved to the right by a fraction of the picture."""
    down, right = np.mgrid[0:side, 0:side] / side - 0.5
    image = np.broadcast_to(np.array(BACKGROUND, np.float64), (side, side, 3)).copy()
    mirrored = [(-one[0], *one[1:]) for one in BOTH_SIDES]
    for x, y, wide, high, color, edge, opacity in (*FACE, *BOTH_SIDES, *mirrored):
        distance = np.hypot((right - shift - x) / wide, (down - y) / high)
        cover = opacity * np.clip((1 - distance) * min(wide, high) / edge + 0.5, 0, 1)[..., None]
        image += cover * (np.array(color) - image)
    return image.round().astype(np.uint8)


def hum(seconds: float = SECONDS) -> np.ndarray:
    """A vowel (samples,) float32 with a vibrato, at 16 kHz: harmonics under formants."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(PITCH * (1 + 0.02 * np.sin(2 * np.pi * 5.5 * time))) / RATE
    sound = np.zeros_like(time)
    for number in range(1, int(5000 / PITCH)):
        frequency = number * PITCH
        loud = sum(1 / (1 + ((frequency - center) / width) ** 2) for center, width in FORMANTS)
        sound += loud / number * np.sin(number * phase)
    return (0.4 * sound / np.abs(sound).max()).astype(np.float32)


def write_drawn_clip(path: str | Path, codec: Literal["mpeg4", "libx264"] = "mpeg4") -> None:
    """Write the clip.

    Args:
        path: of a container that holds the video and AAC, as the suffix says, such as Matroska.
        codec: of the video, as FFmpeg calls it; `libx264` is played by browsers.
    """
    import av

    with av.open(str(path), "w") as file:
        video, audio = file.add_stream(codec, rate=FPS), file.add_stream("aac", rate=RATE, layout="mono")
        video.width = video.height = SIDE
        video.pix_fmt, video.bit_rate = "yuv420p", 2_000_000
        for number in range(round(SECONDS * FPS)):
            image = draw_face(0.02 * np.sin(number / 3))
            file.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        file.mux(video.encode())
        samples = av.AudioFrame.from_ndarray(hum()[None], "fltp", "mono")
        samples.sample_rate, samples.pts = RATE, 0
        file.mux(audio.encode(samples))
        file.mux(audio.encode())


__all__ = ["draw_face", "hum", "write_drawn_clip"]
