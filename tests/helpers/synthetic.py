"""Small clips, written with PyAV, whose content is known exactly."""

from pathlib import Path

import av
import numpy as np


def gray_frames(levels, height=96, width=128):
    """One uniform frame (height, width, 3) per gray level."""
    return [np.full((height, width, 3), level, np.uint8) for level in levels]


def tone(seconds, rate=44_100, hertz=440.0, channels=2, amplitude=0.5):
    """A sine (channels, samples) float32; a second channel is silent."""
    samples = np.zeros((channels, round(seconds * rate)), np.float32)
    samples[0] = amplitude * np.sin(2 * np.pi * hertz * np.arange(samples.shape[1]) / rate)
    return samples


def write_clip(path: Path, frames=None, fps=25, sound=None, rate=44_100, codecs=("libx264", "aac"), times_ms=None):
    """Write RGB frames and sound (channels, samples); `times_ms` gives frames a timestamp each."""
    with av.open(str(path), "w") as file:
        video = audio = None
        if frames is not None:
            video = file.add_stream(codecs[0], rate=1000 if times_ms is not None else fps)
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt = "yuv420p"
            video.codec_context.thread_count = 1
        if sound is not None:
            layout = "stereo" if len(sound) == 2 else "mono"
            audio = file.add_stream(codecs[1], rate=rate, layout=layout)
        for index, frame in enumerate(frames if frames is not None else ()):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24")
            picture.pts = index if times_ms is None else times_ms[index]
            file.mux(video.encode(picture))
        if video:
            file.mux(video.encode())
        if audio:
            samples = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), "fltp", layout)
            samples.sample_rate, samples.pts = rate, 0
            context = audio.codec_context
            resampler = av.AudioResampler(context.format, layout, rate, context.frame_size or 1024)
            for piece in [*resampler.resample(samples), *resampler.resample(None)]:
                file.mux(audio.encode(piece))
            file.mux(audio.encode())
    return path


def voice(seconds, hertz, rate=16_000, amplitude=0.3):
    """A buzz with the pitch `hertz` (1, samples) float32."""
    time = np.arange(round(seconds * rate)) / rate
    return amplitude * np.sign(np.sin(2 * np.pi * hertz * time))[None].astype(np.float32)
