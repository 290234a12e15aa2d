"""Filters of waveforms, by the fast Fourier transform."""

import torch
import torchaudio.functional as F
from torch import Tensor

from .schema import SAMPLING_RATE

BAND_TAPS = 257  # the edges of a band are 200 Hz wide


def convolve(waveform: Tensor, response: Tensor) -> Tensor:
    """The first samples of a waveform `(samples,)` behind an impulse response `(n,)`, as many as there are of both."""
    length = len(waveform) + len(response) - 1
    size = 1 << (length - 1).bit_length()  # a power of two: four times as fast as any length
    return F.fftconvolve(torch.nn.functional.pad(waveform, (0, size - length)), response)[:length]


def band_pass(waveform: Tensor, low: float, high: float) -> Tensor:
    """What of a waveform `(samples,)` at 16 kHz lies between two frequencies in Hz, without delay.

    The ideal response under a Hamming window; outside of the edges, less than -50 dB are left.
    """
    time = torch.arange(BAND_TAPS, dtype=torch.float64) - BAND_TAPS // 2
    widths = [2 * edge / SAMPLING_RATE for edge in (low, high)]
    below_low, below_high = (width * torch.sinc(width * time) for width in widths)
    window = torch.hamming_window(BAND_TAPS, periodic=False, dtype=torch.float64)
    filtered = convolve(waveform, ((below_high - below_low) * window).float())
    return filtered[BAND_TAPS // 2 : BAND_TAPS // 2 + len(waveform)]


__all__ = ["band_pass", "convolve"]
