"""Signals whose acoustic descriptors are known: the ground truth for the front-end."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

RATE = 16000


@dataclass
class Case:
    """A signal, the group it belongs to, and the true values of some descriptors: a number or one per sample."""

    group: str
    waveform: np.ndarray
    truth: dict[str, float | np.ndarray]


def _time(seconds: float = 2.0) -> np.ndarray:
    return np.arange(round(seconds * RATE)) / RATE


def harmonic_tone(f0: float | np.ndarray, tilt: float = 1.0, top: float = 4000, seconds: float = 2.0) -> np.ndarray:
    """Harmonics of `f0` (a number or one per sample) up to `top` Hz whose amplitudes fall with k^tilt, peak 0.5."""
    t = _time(seconds)
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(f0, t.shape)) / RATE
    signal = sum(np.cos(k * phase + k * k) / k**tilt for k in range(1, int(top / np.max(f0)) + 1))
    return 0.5 * signal / np.abs(signal).max()


def clicks(f0: float, jitter: float, shimmer: float, seed: int, seconds: float = 3.0) -> tuple[np.ndarray, dict]:
    """Clicks with perturbed periods and heights, and their true local jitter and shimmer."""
    draw, t = np.random.default_rng(seed), _time(seconds)
    signal, times, heights = np.zeros_like(t), [0.02], []
    while times[-1] < seconds - 0.02:
        heights.append(1 + shimmer * draw.standard_normal())
        z = (t - times[-1]) / 3e-4
        signal += heights[-1] * (1 - z**2) * np.exp(-(z**2) / 2)
        times.append(times[-1] + (1 + jitter * draw.standard_normal()) / f0)
    periods, heights = np.diff(times), np.array(heights)
    return 0.5 * signal, {
        "jitter_local": np.abs(np.diff(periods)).mean() / periods.mean(),
        "shimmer_local_db": np.abs(20 * np.diff(np.log10(heights))).mean(),
    }


def vowel(formants: list[float], f0: float, seconds: float = 1.0) -> np.ndarray:
    """A pulse train of `f0`, -12 dB per octave and radiated, through resonances at `formants`; peak 0.5."""
    period = RATE / f0
    signal = np.zeros(round(seconds * RATE))
    for at in np.arange(0, len(signal) - 2, period):  # pulses between the samples
        whole = int(at)
        signal[whole : whole + 2] += (1 - at + whole, at - whole)
    poles = [(0.99, 0.0), (0.99, 0.0)]
    poles += [(np.exp(-np.pi * (50 + 0.03 * f) / RATE), 2 * np.pi * f / RATE) for f in formants]
    for radius, angle in poles:
        a1, a2 = (-radius, 0.0) if angle == 0 else (-2 * radius * np.cos(angle), radius**2)
        before, last = 0.0, 0.0
        for i, x in enumerate(signal):
            last, before = x - a1 * last - a2 * before, last
            signal[i] = last
    signal = np.diff(signal, prepend=0.0)
    return 0.5 * signal / np.abs(signal).max()


def two_tones(low: float, high: float, difference_db: float) -> np.ndarray:
    """Tones at two frequencies, the second `difference_db` below the first."""
    t = _time(1.0)
    return 0.2 * np.sin(2 * np.pi * low * t) + 0.2 * 10 ** (-difference_db / 20) * np.sin(2 * np.pi * high * t)


def cases() -> Iterator[Case]:
    """All signals."""
    for f0 in (60, 80, 100, 131, 165, 220, 300, 400, 500):
        for tilt in (0, 1, 2):
            yield Case("steady F0", harmonic_tone(f0, tilt), {"f0_hz": f0})
    sweep = 60 * (500 / 60) ** (_time(6.0) / 6)
    yield Case("swept F0", harmonic_tone(sweep, 1, top=3000, seconds=6.0), {"f0_hz": sweep})
    yield Case("swept F0", harmonic_tone(sweep[::-1], 1, top=3000, seconds=6.0), {"f0_hz": sweep[::-1]})
    for seed, f0 in enumerate((90, 140, 200, 280)):
        for jitter, shimmer in ((0.005, 0.02), (0.01, 0.05), (0.015, 0.08), (0.02, 0.1)):
            signal, truth = clicks(f0, jitter, shimmer, seed)
            yield Case("jitter and shimmer", signal, truth)
    for seed, f0 in enumerate((90, 140, 200, 280)):
        signal, truth = clicks(f0, 0.03, 0.1, seed)
        yield Case("jitter of 3 %", signal, truth)
    for f0 in (100, 150, 220, 320):
        for hnr in (5, 10, 15, 20, 25):
            tone = harmonic_tone(f0)
            noise = np.random.default_rng(hnr).standard_normal(len(tone))
            noise *= np.sqrt(np.mean(tone**2) / np.mean(noise**2) / 10 ** (hnr / 10))
            yield Case("HNR", tone + noise, {"hnr_db": hnr})
    vowels = ((730, 1090, 2440), (530, 1840, 2480), (390, 1990, 2550), (570, 840, 2410), (440, 1020, 2240))
    for formants in vowels:  # Peterson and Barney 1952
        for f0 in (90, 120, 160, 220):
            truth = {f"f{i}_frequency": f for i, f in enumerate(formants, 1)}
            yield Case("formants", vowel([*formants, 3500, 4500], f0), truth)
    for f0 in (110, 160, 230):
        for difference in (-6, 0, 6, 12):
            t = _time()
            heights = [10 ** (difference / 20), 1] + [1 / k for k in range(2, 12)]
            signal = sum(h * np.cos(2 * np.pi * f0 * k * t + k * k) for k, h in enumerate(heights, 1))
            yield Case("H1-H2", 0.5 * signal / np.abs(signal).max(), {"h1_h2_db": difference})
    for difference in (0, 10, 20, 30):
        truth = {"alpha_ratio_db": -difference, "hammarberg_index_db": difference}
        yield Case("two tones", two_tones(500, 3000, difference), truth)
    for frequency in (100, 200, 440):
        yield Case("pure tone", 0.3 * np.sin(2 * np.pi * frequency * _time()), {"f0_hz": frequency})
    noise = np.random.default_rng(0).standard_normal(2 * RATE)
    pink = np.fft.irfft(np.fft.rfft(noise) / np.sqrt(np.arange(1, RATE + 2)))
    yield Case("white noise", 0.1 * noise, {"voiced": 0})
    yield Case("pink noise", 0.1 * pink / pink.std(), {"voiced": 0})
    yield Case("silence", np.zeros(RATE), {"voiced": 0})
