"""Augmentation of waveforms: random changes of voice, room, noise, level and channel that leave the emotion.

Each function `random_...` draws its strength from torch's global generator and applies the function of that effect,
which is named for what it does. Waveforms are `(samples,)` float32 at 16 kHz, full scale 1.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import torch
import torchaudio.functional as F
from torch import Tensor

from .codecs import code_opus, code_telephone
from .draws import is_drawn, uniform
from .filters import change_tempo, convolve
from .schema import SAMPLING_RATE

SPEEDS = (90, 110)  # percent; Ko et al. 2015
SEMITONES = (-2.0, 2.0)
GAINS = (-12.0, 6.0)  # dB
NOISE_EXPONENTS = (0.0, 2.0)  # white, pink at 1, brown
NOISE_RATIOS = (5.0, 30.0)  # dB
BABBLE_VOICES = (3, 7)  # Snyder et al. 2018
BABBLE_RATIOS = (10.0, 25.0)  # dB
REVERBERATION_TIMES = (0.2, 1.0)  # seconds
DIRECT_RATIOS = (0.0, 12.0)  # dB
BIT_RATES = (6_000, 24_000)  # bits per second

FINEST = 200  # denominator of the ratio of two pitches
LOWEST_NOISE = 50.0  # Hz; below it the spectrum is flat, or brown noise would be inaudible
DECAY = 60.0  # dB that sound falls by in the reverberation time


def change_speed(waveform: Tensor, percent: int) -> Tensor:
    """Play a waveform at `percent` of its speed by resampling (Ko et al. 2015); pitch and formants change with it.

    Returns:
        `(100 * samples / percent,)`, rounded up.
    """
    return F.resample(waveform, percent, 100)


def shift_pitch(waveform: Tensor, semitones: float) -> Tensor:
    """Move F0 and formants by `semitones`, at the same length.

    [`change_tempo`] makes it longer or shorter, resampling brings it back. The ratio of the pitches is rounded to a
    fraction of small numbers, which is off by less than a twentieth of a semitone.
    """
    ratio = Fraction(2 ** (semitones / 12)).limit_denominator(FINEST)
    if ratio == 1:
        return waveform
    longer = change_tempo(waveform, float(1 / ratio))
    return F.resample(longer, ratio.numerator, ratio.denominator)[: len(waveform)]


def change_level(waveform: Tensor, decibels: float) -> Tensor:
    """Make a waveform louder by `decibels`."""
    return waveform * 10 ** (decibels / 20)


def add_noise(waveform: Tensor, noise: Tensor, ratio: float) -> Tensor:
    """Add `noise (samples,)`, scaled so that the mean power of the waveform lies `ratio` dB above its own.

    A waveform or a noise of nothing but zeros has no ratio: the waveform is returned as it is.
    """
    if not (waveform.norm() and noise.norm()):
        return waveform
    return F.add_noise(waveform, noise, torch.tensor(ratio))


def colored_noise(samples: int, exponent: float) -> Tensor:
    """Gaussian noise `(samples,)` whose power falls as 1 / f^`exponent` above 50 Hz (Timmer and König 1995)."""
    size = 1 << max(1, samples - 1).bit_length()  # a power of two, for the transform
    frequencies = torch.fft.rfftfreq(size, 1 / SAMPLING_RATE)
    amplitudes = frequencies.clamp(min=LOWEST_NOISE).pow(-exponent / 2)
    amplitudes[0] = 0
    return torch.fft.irfft(torch.randn(len(frequencies), dtype=torch.cfloat) * amplitudes, n=size)[:samples]


def make_babble(voices: Sequence[Tensor], samples: int) -> Tensor:
    """The sum `(samples,)` of voices of equal power, each read in a circle from a random place on."""
    babble = torch.zeros(samples)
    for voice in voices:
        babble += read_in_circle(voice, samples) / voice.square().mean().sqrt()
    return babble


def read_in_circle(sequence: Tensor, length: int) -> Tensor:
    """`length` items of `sequence (n, ...)`, n > 0, from a random one on; behind the last comes the first."""
    start = int(torch.randint(len(sequence), ()))
    return sequence[(torch.arange(length) + start) % len(sequence)]


def add_reverberation(waveform: Tensor, seconds: float, ratio: float) -> Tensor:
    """Put a voice into a room whose impulse response is exponentially decaying noise (Moorer 1979; Polack 1988).

    Args:
        waveform: of the voice.
        seconds: reverberation time, in which the sound falls by 60 dB.
        ratio: of the power of the direct sound, which is not delayed, to that of all reflections, in dB.

    Returns:
        `(samples,)` at the same mean power; what sounds after the end is cut off.
    """
    size = round(seconds * SAMPLING_RATE)
    reflections = torch.randn(size) * 10 ** (-DECAY / 20 / size * torch.arange(size))
    reflections[0] = 0
    response = reflections * (10 ** (-ratio / 20) / reflections.norm())
    response[0] = 1
    reverberant = convolve(waveform, response)[: len(waveform)]
    return reverberant * (waveform.norm() / reverberant.norm().clamp(min=torch.finfo(torch.float32).tiny))


def random_speed(waveform: Tensor, others: Sequence[Tensor] = ()) -> Tensor:
    """[`change_speed`] to 90 to 110 %, but not 100 %."""
    percent = int(torch.randint(SPEEDS[0], SPEEDS[1], ()))
    return change_speed(waveform, percent + (percent >= 100))


def random_pitch(waveform: Tensor, others: Sequence[Tensor] = ()) -> Tensor:
    """[`shift_pitch`] by up to 2 semitones."""
    return shift_pitch(waveform, uniform(*SEMITONES))


def random_gain(waveform: Tensor, others: Sequence[Tensor] = ()) -> Tensor:
    """[`change_level`] by -12 to 6 dB."""
    return change_level(waveform, uniform(*GAINS))


def random_noise(waveform: Tensor, others: Sequence[Tensor] = ()) -> Tensor:
    """[`add_noise`] of a color from white to brown, at 5 to 30 dB."""
    return add_noise(waveform, colored_noise(len(waveform), uniform(*NOISE_EXPONENTS)), uniform(*NOISE_RATIOS))


def random_babble(waveform: Tensor, others: Sequence[Tensor] = ()) -> Tensor:
    """[`add_noise`] of 3 to 7 of the `others` (Snyder et al. 2018, x-vectors), or of all there are, at 10 to 25 dB."""
    audible = [other for other in others if other.norm() > 0]
    count = int(torch.randint(BABBLE_VOICES[0], BABBLE_VOICES[1] + 1, ()))
    voices = [audible[index] for index in torch.randperm(len(audible))[:count].tolist()]
    return add_noise(waveform, make_babble(voices, len(waveform)), uniform(*BABBLE_RATIOS))


def random_reverb(waveform: Tensor, others: Sequence[Tensor] = ()) -> Tensor:
    """[`add_reverberation`] of 0.2 to 1 seconds, at a direct-to-reverberant ratio of 0 to 12 dB."""
    return add_reverberation(waveform, uniform(*REVERBERATION_TIMES), uniform(*DIRECT_RATIOS))


def random_opus(waveform: Tensor, others: Sequence[Tensor] = ()) -> Tensor:
    """[`code_opus`] at 6 to 24 kbit/s."""
    return code_opus(waveform, int(torch.randint(BIT_RATES[0], BIT_RATES[1] + 1, ())))


def random_telephone(waveform: Tensor, others: Sequence[Tensor] = ()) -> Tensor:
    """[`code_telephone`], which has nothing to draw."""
    return code_telephone(waveform)


# in the order in which sound meets them: voice, room, noise, microphone, channel
WAVEFORM_AUGMENTATIONS: dict[str, Callable[[Tensor, Sequence[Tensor]], Tensor]] = {
    "speed": random_speed,
    "pitch": random_pitch,
    "reverb": random_reverb,
    "noise": random_noise,
    "babble": random_babble,
    "gain": random_gain,
    "telephone": random_telephone,
    "opus": random_opus,
}


def augment_waveform(waveform: Tensor, probabilities: Mapping[str, float], others: Sequence[Tensor] = ()) -> Tensor:
    """Apply each of `WAVEFORM_AUGMENTATIONS` with its probability, in their order.

    Args:
        waveform: `(samples,)`; where it is silent or empty it is returned as it is.
        probabilities: by name; names of other augmentations are ignored.
        others: the other waveforms of the batch, of which `babble` is made.

    Returns:
        `(samples,)`, of another length only after `speed`, and within full scale.
    """
    for name, change in WAVEFORM_AUGMENTATIONS.items():
        if is_drawn(probabilities.get(name, 0)) and waveform.any():
            waveform = change(waveform, others)
            waveform = waveform / waveform.abs().max().clamp(min=1)
    return waveform


__all__ = [
    "WAVEFORM_AUGMENTATIONS",
    "add_noise",
    "add_reverberation",
    "augment_waveform",
    "change_level",
    "change_speed",
    "colored_noise",
    "make_babble",
    "read_in_circle",
    "shift_pitch",
]
