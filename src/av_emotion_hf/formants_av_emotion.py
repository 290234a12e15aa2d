"""Formants: linear prediction from a power spectrum, and the resonances of its polynomial."""

import math

import torch
from torch import Tensor

ITERATIONS = 10  # of the simultaneous search for roots; 6 of 1000 random ones have not converged then


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


def polynomial_roots(coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """Roots in the upper half plane of monic real polynomials (N, p + 1) of even degree, all at once (Aberth 1973).

    Each root stands for itself and its conjugate. A pair of real roots is not found: its place does not converge.

    Returns:
        Real and imaginary part (N, p / 2), nan where a root did not converge.
    """
    pairs = (coefficients.shape[-1] - 1) // 2
    angle = math.pi * (torch.arange(pairs, device=coefficients.device).to(coefficients) + 0.5) / pairs
    x, y = (0.9 * part[:, None].expand(pairs, len(coefficients)).contiguous() for part in (angle.cos(), angle.sin()))
    coefficients = coefficients.T.contiguous()  # (p + 1, N)
    itself = torch.eye(pairs, device=x.device, dtype=x.dtype)[..., None] * 1e12
    for _ in range(ITERATIONS):
        # value and slope at x + iy by two real recursions: division by (z - root)(z - conjugate)
        double, norm = 2 * x, -(x.square() + y.square())
        b1, b2 = torch.ones_like(x), torch.zeros_like(x)
        c1, c2 = torch.zeros_like(x), torch.zeros_like(x)
        for c in coefficients[1:-1]:
            b1, b2, c1, c2 = c + double * b1 + norm * b2, b1, b1 + double * c1 + norm * c2, c1
        # the remainder is b1 (z - 2x) + b0, that of the quotient's own division c2 (z - 2x) + c1
        b0 = coefficients[-1] + double * b1 + norm * b2
        value_x, value_y = b0 - x * b1, y * b1
        quotient_x, quotient_y = c1 - x * c2, y * c2
        # the slope is 2iy times the quotient, plus b1
        slope_x, slope_y = b1 - 2 * y * quotient_y, 2 * y * quotient_x
        scale = 1 / (slope_x.square() + slope_y.square() + 1e-20)
        newton_x = (value_x * slope_x + value_y * slope_y) * scale
        newton_y = (value_y * slope_x - value_x * slope_y) * scale
        # repulsion by the other roots, the conjugates, and its own conjugate
        dx, dy, sy = x[:, None] - x, y[:, None] - y, y[:, None] + y
        square = dx.square()
        near, far = 1 / (square + dy.square() + itself), 1 / (square + sy.square() + 1e-12)
        push_x, push_y = (dx * (near + far)).sum(1), -(dy * near + sy * far).sum(1)
        below_x = 1 - (newton_x * push_x - newton_y * push_y)
        below_y = -(newton_x * push_y + newton_y * push_x)
        scale = 1 / (below_x.square() + below_y.square() + 1e-20)
        x = x - (newton_x * below_x + newton_y * below_y) * scale
        y = (y - (newton_y * below_x - newton_x * below_y) * scale).abs()
    lost = newton_x.square() + newton_y.square() > 1e-4
    return x.masked_fill(lost, math.nan).T, y.masked_fill(lost, math.nan).T


def formants(acf: Tensor, sampling_rate: float, count: int = 3) -> tuple[Tensor, Tensor]:
    """Frequencies and bandwidths (N, count) in Hz of the lowest resonances of autocorrelations (N, p + 1).

    A resonance lies between 50 Hz and 50 Hz below half the sampling rate of the autocorrelation. Where there are too
    few, the values are 0.
    """
    x, y = polynomial_roots(linear_prediction(acf))
    frequency = torch.atan2(y, x) * (sampling_rate / (2 * math.pi))
    bandwidth = -(x.square() + y.square()).clamp(min=1e-12).log() * (sampling_rate / (2 * math.pi))
    usable = (frequency > 50) & (frequency < sampling_rate / 2 - 50)
    frequency, order = frequency.masked_fill(~usable, math.inf).sort(dim=-1)
    frequency, bandwidth = frequency[:, :count], bandwidth.gather(-1, order[:, :count])
    missing = frequency.isinf() | ~bandwidth.isfinite()
    return frequency.masked_fill(missing, 0), bandwidth.masked_fill(missing, 0)


__all__ = ["formants", "linear_prediction", "polynomial_roots"]
