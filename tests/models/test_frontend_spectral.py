"""Spectral descriptors against numpy."""

import math

import numpy as np
import pytest
from helpers.signals import INNER, RATE, columns, harmonics, noise, time_axis

pytestmark = pytest.mark.usefixtures("one_thread")


def test_spectral_descriptors_against_numpy(frontend):
    signal = (0.1 * noise() + harmonics(200)).astype(np.float32).astype(np.float64)
    found, length, n_fft, frame = columns(frontend, signal), 400, 512, 20
    n = np.arange(length)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * n / length)
    frames = [signal[t * 320 - 200 :][:length] * window for t in (frame - 1, frame)]
    before, power = (2 * np.abs(np.fft.rfft(x, n_fft)) ** 2 / n_fft / np.sum(window**2) for x in frames)
    hz = np.arange(n_fft // 2 + 1) * RATE / n_fft

    def band(low, high):
        return (hz >= low) & (hz < high)

    def line(low, high):
        return np.polyfit(hz[band(low, high)], 10 * np.log10(power[band(low, high)]), 1)[0]

    flux = np.sqrt(np.mean((np.sqrt(power) - np.sqrt(before))[band(0, 5000)] ** 2))
    log_mel = np.log(1e-9 + power @ frontend.filterbank.detach().numpy())
    mfcc = [math.sqrt(2 / 40) * np.sum(log_mel * np.cos(np.pi * i * (np.arange(40) + 0.5) / 40)) for i in (1, 4)]
    expected = {
        "log_energy_db": 10 * np.log10(np.sum(frames[1] ** 2) / np.sum(window**2)),
        "alpha_ratio_db": 10 * np.log10(power[band(1000, 5000)].sum() / power[band(50, 1000)].sum()),
        "hammarberg_index_db": 10 * np.log10(power[band(0, 2000)].max() / power[band(2000, 5000)].max()),
        "slope_0_500": line(0, 500),
        "slope_500_1500": line(500, 1500),
        "spectral_flux": flux,
        "spectral_centroid": np.sum(hz * power) / np.sum(power),
        "mfcc_1": mfcc[0],
        "mfcc_4": mfcc[1],
        "log_mel_07": log_mel[7],
    }
    for name, value in expected.items():
        assert found[name][frame] == pytest.approx(value, rel=1e-3, abs=0.02 if name.endswith("_db") else 1e-6), name


def test_tone_lights_its_band_and_loudness_grows(frontend):
    quiet = columns(frontend, 0.05 * np.sin(2 * np.pi * 1000 * time_axis()))
    loud = columns(frontend, 0.5 * np.sin(2 * np.pi * 1000 * time_axis()))
    bands = np.stack([loud[f"log_mel_{i:02d}"] for i in range(40)])
    assert set(bands[:, INNER].argmax(axis=0)) == {13}  # 1000 mel between 32 and 2840 mel in 41 steps
    np.testing.assert_allclose(loud["log_energy_db"][INNER], 10 * math.log10(0.125), atol=0.05)
    ratio = (loud["loudness"] / quiet["loudness"])[INNER]
    assert (ratio > 3).all() and (ratio < 10 ** (2 / 3)).all()  # cube root of 20 dB, less the floor


def test_slopes_rolloff_and_crossings(egemaps):
    signal = 0.1 * noise() + harmonics(200)
    found, frame = columns(egemaps, signal), 30
    spectrum = np.fft.rfft(
        signal[frame * 160 - 160 :][:320] * (0.54 - 0.46 * np.cos(np.pi * np.arange(320) / 160)), 512
    )
    hz, power = np.arange(257) * RATE / 512, np.abs(spectrum) ** 2
    level = 10 * np.log10(power)
    for low, high in ((0, 500), (500, 1500)):
        band = (hz >= low) & (hz <= high)
        f, y, count = hz[band], level[band], band.sum() - 1
        slope = (count * (f @ y) - f.sum() * y.sum()) / (count * (f @ f) - f.sum() ** 2)
        assert found[f"egemaps_slope_{low}_{high}"][frame] == pytest.approx(slope, rel=1e-3)
    assert found["spectral_rolloff"][frame] == hz[np.searchsorted(np.cumsum(power), 0.85 * power.sum())]
    part = signal[frame * 160 - 160 :][:320] > 0
    assert found["zero_crossing_rate"][frame] == pytest.approx(np.mean(part[1:] != part[:-1]))
