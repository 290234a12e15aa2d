"""Formants: an all-pole model of the harmonics of a voice, and the resonances of its polynomial."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

TABLE_HZ = 4  # between the frequencies that a harmonic may have
AT_ONCE = 256  # models whose harmonics fit in the cache
STEP = 0.7  # toward the harmonics
ITERATIONS = (5, 5)  # of the simultaneous search for roots: for all, then for the third that has not converged


def linear_prediction(acf: Tensor) -> tuple[Tensor, Tensor]:
    """Prediction error filters (N, p + 1) of autocorrelations (N, p + 1), and the fraction (N,) of power they leave.

    Levinson-Durbin (Makhoul 1975). The first coefficient is 1; a frame without energy has the filter 1, 0, ...
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
    return filter.T, error


def harmonic_table(sampling_rate: float, order: int) -> np.ndarray:
    """Cosines and sines (frequencies, 2 * order + 2) of the lags, every `TABLE_HZ` below half the sampling rate."""
    omega = 2 * np.pi * np.arange(0, sampling_rate / 2, TABLE_HZ)[:, None] / sampling_rate
    return np.concatenate([np.cos(omega * np.arange(order + 1)), np.sin(omega * np.arange(order + 1))], axis=1)


def discrete_all_pole(level: Tensor, harmonics: Tensor, table: Tensor) -> Tensor:
    """Filters (N, p + 1) whose response fits the harmonics, one step from that of linear prediction.

    Linear prediction assumes that the autocorrelation of the harmonics is that of the envelope, which biases formants
    toward harmonics, by up to a tenth for high voices. A step of discrete all-pole modeling (El-Jaroudi and Makhoul
    1991) compares the model with the harmonics at their frequencies only.

    Args:
        level: (N, K), power of the harmonics, 0 where there is none.
        harmonics: (N, K), their rows in the table.
        table: (frequencies, 2 * p + 2), from [`harmonic_table`].
    """
    size = table.shape[1] // 2
    exists = (level > 0).to(level)
    level = level / level.sum(-1, keepdim=True).clamp(min=1e-30)
    waves = [F.embedding(row, table) for row in harmonics.split(AT_ONCE)]  # (n, K, 2 p + 2)
    acf = torch.cat([(of[:, None] @ wave)[:, 0, :size] for of, wave in zip(level.split(AT_ONCE), waves, strict=True)])
    filter, error = linear_prediction(acf)
    start = filter / error.sqrt()[:, None]
    both = torch.stack([F.pad(start, (0, size)), F.pad(start, (size, 0))], dim=-1)  # for the cosines and the sines
    responses = []
    for wave, part, real_ones in zip(waves, both.split(AT_ONCE), exists.split(AT_ONCE), strict=True):
        # the response 1 / A of the filter at the harmonics, and its mean with the waves
        real, imaginary = (wave @ part).unbind(-1)
        weight = real_ones / torch.addcmul(real.square(), imaginary, imaginary).clamp_(min=1e-12)
        weight /= real_ones.sum(-1, keepdim=True).clamp(min=1)
        # A = real - i imaginary, so Re(exp(-i w m) / A) = (cos real + sin imaginary) / |A|^2
        sums = torch.stack([weight * real, weight * imaginary], dim=1) @ wave
        responses.append(sums[:, 0, :size] + sums[:, 1, size:])
    response = torch.cat(responses)
    return torch.lerp(start, _solve(filter.T, error, response.T).T, STEP)


def _solve(filter: Tensor, error: Tensor, right: Tensor) -> Tensor:
    """Solution (p + 1, N) of the Toeplitz system whose prediction error filter is `filter` (Gohberg-Semencul)."""
    total = torch.zeros_like(right)
    for side, sign in ((filter, 1), (torch.cat([torch.zeros_like(filter[:1]), filter[1:].flip(0)]), -1)):
        inner, outer = torch.zeros_like(right), torch.zeros_like(right)
        size = len(side)
        for i in range(size):
            inner[: size - i].addcmul_(side[i], right[i:])
        for i in range(size):
            outer[i:].addcmul_(side[i], inner[: size - i])
        total = total + sign * outer
    return total / error


def polynomial_roots(coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """Roots in the upper half plane of monic real polynomials (N, p + 1) of even degree, all at once (Aberth 1973).

    Each root also represents its conjugate. A pair of real roots is not found: it does not converge.

    Returns:
        Real and imaginary part (N, p / 2), nan where a root did not converge.
    """
    pairs = (coefficients.shape[-1] - 1) // 2
    angle = math.pi * (torch.arange(pairs, device=coefficients.device).to(coefficients) + 0.5) / pairs
    x, y = (0.9 * part[:, None].expand(pairs, len(coefficients)).contiguous() for part in (angle.cos(), angle.sin()))
    coefficients = coefficients.T.contiguous()  # (p + 1, N)
    # all of them first, then those that have not converged
    x, y, lost = _approach(coefficients, x, y, ITERATIONS[0])
    left = lost.any(0).nonzero()[:, 0]
    if len(left):
        x[:, left], y[:, left], lost[:, left] = _approach(coefficients[:, left], x[:, left], y[:, left], ITERATIONS[1])
    return x.masked_fill(lost, math.nan).T, y.masked_fill(lost, math.nan).T


def _approach(coefficients: Tensor, x: Tensor, y: Tensor, iterations: int) -> tuple[Tensor, Tensor, Tensor]:
    """Roots x + iy (p / 2, N) of polynomials (p + 1, N) after some steps, and which of them still moved a lot."""
    pairs = len(x)
    # differences and sums of every two roots, as products with matrices of 1 and -1
    first, second = torch.triu_indices(pairs, pairs, 1, device=x.device)
    identity = torch.eye(pairs, device=x.device, dtype=x.dtype)
    minus, plus = identity[first] - identity[second], identity[first] + identity[second]
    for _ in range(iterations):
        # value and slope at x + iy by two real recursions: division by (z - root)(z - conjugate)
        double, norm = 2 * x, -torch.addcmul(x.square(), y, y)
        b1, b2 = double + coefficients[1], torch.ones_like(x)
        c1, c2 = b2, torch.zeros_like(x)
        for c in coefficients[2:-1]:
            b, b2 = torch.addcmul(c, double, b1).addcmul_(norm, b2), b1
            c1, c2 = torch.addcmul(b1, double, c1).addcmul_(norm, c2), c1
            b1 = b
        # the remainder is b1 (z - 2x) + b0, and that of dividing the quotient again c2 (z - 2x) + c1
        b0 = torch.addcmul(coefficients[-1], double, b1).addcmul_(norm, b2)
        value_x, value_y = torch.addcmul(b0, x, b1, value=-1), y * b1
        quotient_x, quotient_y = torch.addcmul(c1, x, c2, value=-1), y * c2
        # the slope is 2iy times the quotient, plus b1
        slope_x, slope_y = torch.addcmul(b1, y, quotient_y, value=-2), 2 * y * quotient_x
        newton_x, newton_y = _divide(value_x, value_y, slope_x, slope_y)
        # repulsion by the other roots, their conjugates, and the root's own conjugate
        dx, dy, sy = minus @ x, minus @ y, plus @ y
        square = dx.square() + 1e-12
        near, far = torch.addcmul(square, dy, dy).reciprocal_(), torch.addcmul(square, sy, sy).reciprocal_()
        push_x = minus.T @ (dx * (near + far))
        push_y = -(minus.T @ dy.mul_(near)).add_(plus.T @ sy.mul_(far)).add_(0.5 / (y + 1e-12))
        below_x = torch.addcmul(1 - newton_x * push_x, newton_y, push_y)
        below_y = -torch.addcmul(newton_x * push_y, newton_y, push_x)
        step_x, step_y = _divide(newton_x, newton_y, below_x, below_y)
        x, y = x - step_x, (y - step_y).abs_()
    return x, y, newton_x.square() + newton_y.square() > 1e-4


def _divide(ax: Tensor, ay: Tensor, bx: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of (ax + i ay) / (bx + i by)."""
    scale = torch.addcmul(bx.square(), by, by).add_(1e-20).reciprocal_()
    return torch.addcmul(ax * bx, ay, by).mul_(scale), torch.addcmul(ay * bx, ax, by, value=-1).mul_(scale)


def formants(filters: Tensor, sampling_rate: float, count: int = 3) -> tuple[Tensor, Tensor]:
    """Frequencies and bandwidths (N, count) in Hz of the lowest resonances of filters (N, p + 1).

    A resonance lies between 50 Hz and 50 Hz below half the sampling rate of the filter. Missing ones are 0.
    """
    x, y = polynomial_roots(filters / filters[:, :1])
    frequency = torch.atan2(y, x) * (sampling_rate / (2 * math.pi))
    bandwidth = (x.square() + y.square()).clamp(min=1e-12).log().abs() * (sampling_rate / (2 * math.pi))
    usable = (frequency > 50) & (frequency < sampling_rate / 2 - 50)
    frequency, order = frequency.masked_fill(~usable, math.inf).sort(dim=-1)
    frequency, bandwidth = frequency[:, :count], bandwidth.gather(-1, order[:, :count])
    missing = frequency.isinf() | ~bandwidth.isfinite()
    return frequency.masked_fill(missing, 0), bandwidth.masked_fill(missing, 0)


__all__ = ["TABLE_HZ", "discrete_all_pole", "formants", "harmonic_table", "linear_prediction", "polynomial_roots"]
