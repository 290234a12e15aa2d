"""What is heard in a stretch of audio: how much of it is voiced, how loud it is, and at what pitch."""

from dataclasses import dataclass

import numpy as np

from ..acoustics.descriptors import MIN_SECONDS, acoustic_descriptors
from ..models.downmix_av_emotion import SILENCE
from ..models.windows_av_emotion import READER_RATE

SEMITONE_ZERO = 27.5  # Hz, of which `f0_semitone` counts semitones


@dataclass(frozen=True)
class Sound:
    """Measures of a stretch of audio; `None` is what cannot be measured.

    Attributes:
        voice_coverage: fraction of the time that is voiced.
        loudness: root mean square in dB relative to full scale.
        pitch: median fundamental frequency of the voiced frames in Hz.
    """

    voice_coverage: float | None = None
    loudness: float | None = None
    pitch: float | None = None


def measure_sound(waveform: np.ndarray, duration: float) -> Sound:
    """The measures of a waveform.

    Args:
        waveform: `(samples,)` at 16 kHz; of length 0 where there is nothing but silence.
        duration: seconds of the stretch that it belongs to.
    """
    power = float(np.square(waveform, dtype=np.float64).mean()) if len(waveform) else 0.0
    loudness = 10 * float(np.log10(power)) if power > SILENCE**2 else None
    if loudness is None or len(waveform) < MIN_SECONDS * READER_RATE:
        return Sound(0.0, loudness)
    table = acoustic_descriptors(waveform, READER_RATE, ("f0_semitone", "voiced"), smoothing_frames=1)
    voiced = table["voiced"] > 0.5
    seconds = voiced.mean() * len(waveform) / READER_RATE
    pitch = SEMITONE_ZERO * 2 ** (float(np.median(table["f0_semitone"][voiced])) / 12) if voiced.any() else None
    return Sound(min(1.0, float(seconds / duration)) if duration else 0.0, loudness, pitch)


__all__ = ["Sound", "measure_sound"]
