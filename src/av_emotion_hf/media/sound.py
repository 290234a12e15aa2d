"""The sound track of a media file as a mono waveform."""

import decord
import numpy as np
import soundfile
import torch
from torchaudio.functional import resample

from .picture import DECODE_ERRORS, quiet

SAMPLING_RATE = 16_000
_COMMON_RATES = np.array([8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000, 192000])


def read_audio_file(path: str) -> tuple[np.ndarray, int] | None:
    """Read a file that holds sound and nothing else (WAV, FLAC, MP3, Ogg, ...).

    Args:
        path: an absolute path.

    Returns:
        Samples (samples, channels) float32 and their rate in Hz; None when it is not such a file.
    """
    try:
        with quiet():
            return soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError, ValueError):
        return None


def read_sound_track(path: str, align: bool = True) -> tuple[np.ndarray, int] | None:
    """Read the sound track of a video file with decord.

    Args:
        path: an absolute path.
        align: put silence before a track that starts later than the file does.

    Returns:
        Samples (samples, channels) float32 and their rate in Hz; None when there is no readable track.
    """
    try:
        native = _decord_sound(path, -1)
        if align:
            native.add_padding()
        samples_16k = _decord_sound(path, SAMPLING_RATE).shape[1]
    except DECODE_ERRORS:
        return None
    if not native.shape[1] or not samples_16k:
        return None
    return native._array.T, _native_rate(native.shape[1], samples_16k)


def to_mono_16k(samples: np.ndarray, rate: int) -> np.ndarray:
    """Average the channels of (samples, channels), resample to 16 kHz and clip to [-1, 1]; (samples,) float32."""
    mono = np.nan_to_num(samples.mean(axis=1, dtype=np.float32), posinf=1.0, neginf=-1.0)
    if rate != SAMPLING_RATE and len(mono):
        mono = resample(torch.from_numpy(mono), rate, SAMPLING_RATE).numpy()
    return np.clip(mono, -1.0, 1.0)


def _decord_sound(path: str, rate: int) -> decord.AudioReader:
    # mono=True would add the channels with a gain of 0.7 each, which overflows; the mean is taken later
    with quiet():
        return decord.AudioReader(path, sample_rate=rate, mono=False)


def _native_rate(native_samples: int, samples_16k: int) -> int:
    """The rate that decord does not tell, from the lengths of the same track unresampled and resampled to 16 kHz."""
    rate = SAMPLING_RATE * native_samples / samples_16k
    nearest = int(_COMMON_RATES[np.abs(_COMMON_RATES - rate).argmin()])
    return nearest if abs(nearest / rate - 1) < max(0.01, 4 / samples_16k) else round(rate)
