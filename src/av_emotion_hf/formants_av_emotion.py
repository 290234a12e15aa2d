"""Formants: linear prediction from a power spectrum, and the resonances of its polynomial."""

import math

import torch
from torch import Tensor

ITERATIONS = 14  # of the simultaneous search for roots; speech converges in about ten
LAG_WINDOW_HZ = 20.0  # keeps the prediction stable where a spectrum is all lines


def linear_prediction(acf: Tensor) -> Tensor:
    """Coefficients (N, p + 1) of the prediction error filter of autocorrelations (N, p + 1); the first is 1.

    Levinson-Durbin (Makhoul 1975). A frame without energy gives the filter 1, 0, ...
    """
    order = acf.shape[-1] - 1
    scale = acf[:, :1]
    acf = acf / scale.clamp(min=1e-30)
    acf = torch.cat([acf.new_ones(len(acf), 1) * (1 + 1e-6), acf[:, 1:]], dim=1)
    filter = acf.new_zeros(order + 1, len(acf))
    filter[0] = 1
    lags = acf.T.contiguous()
    error = lags[0].clone()
    for i in range(1, order + 1):
        reflection = -(filter[:i] * lags[1 : i + 1].flip(0)).sum(0) / error
        filter[1 : i + 1] = filter[1 : i + 1] + reflection * filter[:i].flip(0)
        error = error * (1 - reflection.square()).clamp(min=1e-9)
    return filter.T


def polynomial_roots(coefficients: Tensor) -> Tensor:
    """Roots (N, p) of monic real polynomials (N, p + 1), highest power first, all at once (Aberth 1973)."""
    order = coefficients.shape[-1] - 1
    start = torch.arange(order, device=coefficients.device).to(coefficients)
    angle = 2 * math.pi * (start + 0.25) / order
    real, imaginary = 0.9 * angle.cos()[:, None], 0.9 * angle.sin()[:, None]  # (p, 1)
    roots = torch.complex(real, imaginary).expand(order, len(coefficients)).clone()
    coefficients = coefficients.T.contiguous()  # (p + 1, N)
    itself = torch.eye(order, device=roots.device, dtype=roots.dtype)[..., None]
    for _ in range(ITERATIONS):
        value, slope = torch.ones_like(roots), torch.zeros_like(roots)
        for c in coefficients[1:]:
            slope = slope * roots + value
            value = value * roots + c
        newton = value / (slope + 1e-20)
        repulsion = (1 / (roots[:, None] - roots + itself)).sum(1) - 1
        roots = roots - newton / (1 - newton * repulsion)
    return roots.T


def formants(acf: Tensor, sampling_rate: float, count: int = 3) -> tuple[Tensor, Tensor]:
    """Frequencies and bandwidths (N, count) in Hz of the lowest resonances of autocorrelations (N, p + 1).

    A resonance lies between 50 Hz and 50 Hz below half the sampling rate of the autocorrelation. Where there are too
    few, the values are 0.
    """
    roots = polynomial_roots(linear_prediction(acf))
    frequency = roots.angle() * (sampling_rate / (2 * math.pi))
    bandwidth = -roots.abs().clamp(min=1e-6).log() * (sampling_rate / math.pi)
    usable = (frequency > 50) & (frequency < sampling_rate / 2 - 50)
    frequency, order = frequency.masked_fill(~usable, math.inf).sort(dim=-1)
    frequency, bandwidth = frequency[:, :count], bandwidth.gather(-1, order[:, :count])
    missing = frequency.isinf() | ~bandwidth.isfinite()
    return frequency.masked_fill(missing, 0), bandwidth.masked_fill(missing, 0)


__all__ = ["formants", "linear_prediction", "polynomial_roots"]
