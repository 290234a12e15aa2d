"""Waveforms whose acoustic descriptors are known, and the descriptors of a waveform by name."""

import functools
import math

import numpy as np
import torch

RATE = 16000
INNER = slice(3, -3)  # frames whose windows lie inside the clip


def columns(frontend, signal):
    """Descriptors of one clip as a dict of arrays (T,)."""
    with torch.no_grad():
        features, mask = frontend.descriptors(torch.as_tensor(np.asarray(signal), dtype=torch.float32)[None])
    assert mask.all()
    return dict(zip(frontend.descriptor_names, features[0].numpy().T, strict=True))


def hertz(semitones):
    return 27.5 * 2 ** (semitones / 12)


def time_axis(seconds=1.0):
    return np.arange(round(seconds * RATE)) / RATE


def harmonics(f0, slope=1.0, top=4000, seconds=1.0, peak=0.5):
    """Harmonics of `f0` up to `top` Hz whose amplitudes fall with k^slope."""
    t = time_axis(seconds)
    signal = sum(np.cos(2 * np.pi * f0 * k * t + k * k) / k**slope for k in range(1, int(top / f0) + 1))
    return peak * signal / np.abs(signal).max()


def noise(seconds=1.0, seed=0):
    return np.random.default_rng(seed).standard_normal(round(seconds * RATE))


@functools.cache
def cycles(f0, jitter, shimmer, seconds=3.0, seed=0):
    """Clicks (each without mean) at perturbed periods, and the local jitter and shimmer they really have."""
    draw, t = np.random.default_rng(seed), time_axis(seconds)
    signal, times, heights = np.zeros_like(t), [0.02], []
    while times[-1] < seconds - 0.02:
        heights.append(1 + shimmer * draw.standard_normal())
        z = (t - times[-1]) / 3e-4
        signal += heights[-1] * (1 - z**2) * np.exp(-(z**2) / 2)
        times.append(times[-1] + (1 + jitter * draw.standard_normal()) / f0)
    periods, heights = np.diff(times), np.array(heights)
    true_jitter = np.abs(np.diff(periods)).mean() / periods.mean()
    return 0.5 * signal, true_jitter, np.abs(np.diff(heights)).mean() / heights.mean()


def vowel(formants, f0, seconds=0.6):
    """Harmonics of `f0` under the envelope of resonators, -6 dB per octave."""
    t, poles = time_axis(seconds), []
    for f in formants:
        pole = math.exp(-math.pi * (50 + 0.03 * f) / RATE) * np.exp(2j * np.pi * f / RATE)
        poles += [pole, pole.conjugate()]
    signal = np.zeros_like(t)
    for k in range(1, int(5000 / f0) + 1):
        z = np.exp(2j * np.pi * k * f0 / RATE)
        response = 1 / np.prod([1 - pole / z for pole in poles])
        signal += abs(response) / k * np.cos(2 * np.pi * k * f0 * t + np.angle(response))
    return 0.3 * signal / np.abs(signal).max()
