"""Linear prediction and the roots of its polynomial against numpy."""

import numpy as np
import torch

from av_emotion_hf.models.frontend_formants_av_emotion import (
    TABLE_HZ,
    discrete_all_pole,
    formants,
    harmonic_table,
    linear_prediction,
    polynomial_roots,
)


def resonances(frequencies, bandwidths, rate):
    """Prediction error filter of resonators, and the autocorrelation of their response to an impulse."""
    poles = [np.exp((-np.pi * b + 2j * np.pi * f) / rate) for f, b in zip(frequencies, bandwidths, strict=True)]
    polynomial = np.poly([*poles, *np.conj(poles)]).real
    power = 1 / np.abs(np.fft.rfft(polynomial, 8192)) ** 2
    return polynomial, np.fft.irfft(power)[: len(polynomial)]


def test_linear_prediction_finds_the_filter():
    polynomial, acf = resonances((500, 1500, 2500, 3500, 4500), (60, 90, 120, 150, 180), 11000)
    found, _ = linear_prediction(torch.tensor(acf[None]))
    np.testing.assert_allclose(found[0].numpy(), polynomial, atol=1e-2)
    silent, _ = linear_prediction(torch.zeros(1, 11))
    np.testing.assert_allclose(silent[0].numpy(), np.eye(11)[0])


def test_roots_against_numpy():
    draw = np.random.default_rng(0)
    angles, radii = draw.uniform(0.1, 3.0, (50, 5)), draw.uniform(0.6, 0.99, (50, 5))
    expected = np.sort_complex(radii * np.exp(1j * angles))
    polynomials = np.array([np.poly([*row, *row.conj()]).real for row in expected])
    x, y = polynomial_roots(torch.tensor(polynomials))
    found = np.sort_complex((x + 1j * y).numpy())
    converged = np.isfinite(found).all(axis=1)
    assert converged.mean() > 0.95
    np.testing.assert_allclose(found[converged], expected[converged], atol=2e-2)


def test_formants_and_bandwidths():
    _, acf = resonances((600, 1200, 2600, 3600, 4600), (70, 90, 150, 200, 200), 11000)
    frequency, bandwidth = formants(linear_prediction(torch.tensor(acf[None], dtype=torch.float32))[0], 11000)
    np.testing.assert_allclose(frequency[0], (600, 1200, 2600), rtol=0.01)
    np.testing.assert_allclose(bandwidth[0], (70, 90, 150), rtol=0.15)
    frequency, bandwidth = formants(linear_prediction(torch.zeros(2, 11))[0], 11000)
    assert frequency.isfinite().all() and bandwidth.isfinite().all()


def test_harmonics_of_a_high_voice_do_not_draw_formants():
    polynomial, _ = resonances((390, 1990, 2550, 3500, 4500), (60, 110, 130, 150, 180), 11000)
    row = torch.arange(1, 25)[None] * round(220 / TABLE_HZ)  # the first formant lies between two harmonics
    omega = 2 * np.pi * row.numpy() * TABLE_HZ / 11000
    level = torch.tensor(1 / np.abs(np.exp(-1j * omega[..., None] * np.arange(11)) @ polynomial) ** 2)
    table = torch.tensor(harmonic_table(11000, 10))
    frequency, _ = formants(discrete_all_pole(level, row, table), 11000)
    np.testing.assert_allclose(frequency[0], (390, 1990, 2550), rtol=0.05)
    drawn, _ = formants(linear_prediction(level @ table[row[0], :11])[0], 11000)
    assert drawn[0, 0] > 1.08 * 390
