"""Harmonicity, harmonics and formants of signals whose answers are known."""

import copy
import math

import numpy as np
import pytest
import torch
from helpers.signals import INNER, columns, harmonics, noise, time_axis, vowel

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("f0", [110, 220])
@pytest.mark.parametrize("snr", [0, 10, 20])
def test_hnr(frontend, f0, snr):
    tone, hiss = harmonics(f0, seconds=2), noise(2)
    hiss *= np.sqrt(np.mean(tone**2) / np.mean(hiss**2) / 10 ** (snr / 10))
    found = columns(frontend, tone + hiss)
    voiced = found["voiced"][INNER] > 0
    assert voiced.mean() > 0.8
    assert abs(found["hnr_db"][INNER][voiced].mean() - snr) < 1.5


def test_h1_h2_and_cpp(frontend):
    tone = columns(frontend, harmonics(150, slope=1))
    np.testing.assert_allclose(tone["h1_h2_db"][INNER], 20 * math.log10(2), atol=0.7)
    assert tone["cpp_db"][INNER].min() > columns(frontend, 0.1 * noise())["cpp_db"][INNER].max() + 5


@pytest.mark.parametrize("formants", [(730, 1090, 2440), (530, 1840, 2480), (570, 840, 2410)])
@pytest.mark.parametrize("f0", [90, 120, 160])
def test_formants(egemaps, formants, f0):
    found = columns(egemaps, vowel([*formants, 3500, 4500], f0))
    for i, frequency in enumerate(formants, 1):
        assert np.median(found[f"f{i}_frequency"][6:-6]) == pytest.approx(frequency, rel=0.08)


def test_amplitudes_of_formants(egemaps):
    tones = {200: 0.0, 600: -10.0, 1000: -30.0, 2400: -25.0}  # dB
    signal = sum(10 ** (level / 20) * np.cos(2 * np.pi * f * time_axis() + f) for f, level in tones.items())
    frontend = copy.deepcopy(egemaps)
    power = torch.fft.rfft(
        torch.tensor(0.1 * signal, dtype=torch.float32)[None, 4000:4960] * frontend.voice.window,
        n=frontend.voice.n_fft,
    )
    power = power.abs().square()
    level = frontend.voice._level(power, torch.tensor([[200.0, 600.0, 2500.0]]), 0.2)
    np.testing.assert_allclose(level[0] - level[0, 0], [0, -10, -25], atol=0.5)
