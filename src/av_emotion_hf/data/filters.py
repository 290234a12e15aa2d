"""Filters of waveforms: convolution, a band of frequencies, and another tempo."""

import math
from contextlib import suppress
from fractions import Fraction

import av
import numpy as np
import torch
import torchaudio.functional as F
from torch import Tensor

from .schema import SAMPLING_RATE

BAND_TAPS = 257  # the edges of a band are 200 Hz wide
TEMPO_PAUSE = 1600  # samples of silence behind a clip, which the filter of FFmpeg may swallow in place of its end


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


def change_tempo(waveform: Tensor, tempo: float) -> Tensor:
    """A waveform that is spoken `tempo` times as fast, at the same pitch, by WSOLA (Verhelst and Roelands 1993).

    It is FFmpeg's filter `atempo`; events are moved by up to 50 ms from where they belong.

    Args:
        waveform: `(samples,)` float32 at 16 kHz.
        tempo: from 0.5 to 2.

    Returns:
        `(samples / tempo,)`, rounded up.
    """
    samples = torch.nn.functional.pad(waveform, (0, TEMPO_PAUSE)).numpy()
    frame = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
    frame.sample_rate, frame.time_base, frame.pts = SAMPLING_RATE, Fraction(1, SAMPLING_RATE), 0
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=SAMPLING_RATE, format="flt", layout="mono", time_base=Fraction(1, SAMPLING_RATE)
    )
    graph.link_nodes(source, graph.add("atempo", f"{tempo:.9f}"), graph.add("abuffersink")).configure()
    graph.push(frame)
    graph.push(None)
    pieces = []
    with suppress(EOFError):
        while True:
            pieces.append(graph.pull().to_ndarray().ravel())
    changed, length = torch.from_numpy(np.concatenate(pieces)), math.ceil(len(waveform) / tempo)
    return torch.nn.functional.pad(changed, (0, max(0, length - len(changed))))[:length]


__all__ = ["band_pass", "change_tempo", "convolve"]
