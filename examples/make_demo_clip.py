"""Write a three-second clip of a face and a voice-like sound, made of nothing that has to be downloaded.

    python examples/make_demo_clip.py demo.mp4

The face is scikit-image's portrait of the astronaut Eileen Collins (NASA, public domain) under a slow camera move; the
voice is synthesized: glottal pulses with vibrato through the formants of a few vowels. Same file every time.
"""

import sys

import av
import numpy as np
from PIL import Image
from scipy.signal import lfilter
from skimage.data import astronaut

SECONDS, FPS, SIZE, RATE = 3, 25, 320, 44_100
VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
}  # formants, Hz


def picture() -> np.ndarray:
    """Frames (n, SIZE, SIZE, 3) uint8: a crop of the portrait that drifts and zooms a little."""
    portrait = Image.fromarray(astronaut())
    frames = []
    for time in np.arange(SECONDS * FPS) / FPS:
        side = 300 - 10 * time
        left, top = 65 + 12 * np.sin(1.5 * time), 8 * (1 - np.cos(2 * time))
        box = (left, top, left + side, top + side)
        frames.append(np.asarray(portrait.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box)))
    return np.stack(frames)


def voice() -> np.ndarray:
    """Samples (n,) float32 in [-1, 1]: one vowel after the other, with a falling melody and a breath between."""
    rng = np.random.default_rng(0)
    parts = []
    for number, formants in enumerate(VOWELS[v] for v in "aeoiao"):
        time = np.arange(SECONDS * RATE // 6) / RATE
        pitch = (210 - 12 * number) * 2 ** (0.3 * np.sin(2 * np.pi * 5.5 * time) / 12)
        phase = np.cumsum(pitch) / RATE
        pulses = np.diff(np.floor(phase), prepend=0.0) + 0.002 * rng.standard_normal(len(time))
        sound = lfilter([1.0], [1.0, -0.97], pulses)
        for formant in formants:
            radius, angle = np.exp(-np.pi * 90 / RATE), 2 * np.pi * formant / RATE
            sound = lfilter([1 - radius], [1.0, -2 * radius * np.cos(angle), radius**2], sound)
        parts.append(sound / np.abs(sound).max() * np.hanning(len(time)) ** 0.5)
    return (0.6 * np.concatenate(parts)).astype(np.float32)


def write(path: str) -> None:
    """Write both tracks with H.264 and AAC."""
    with av.open(path, "w") as file:
        video = file.add_stream("libx264", rate=FPS, options={"crf": "20", "threads": "1"})
        video.width = video.height = SIZE
        video.pix_fmt = "yuv420p"
        audio = file.add_stream("aac", rate=RATE, layout="mono")
        for image in picture():
            file.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        file.mux(video.encode())
        samples = av.AudioFrame.from_ndarray(voice()[None], "fltp", "mono")
        samples.sample_rate, samples.pts = RATE, 0
        file.mux(audio.encode(samples))
        file.mux(audio.encode())


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(f"usage: {sys.argv[0]} OUT.mp4")
    write(sys.argv[1])
