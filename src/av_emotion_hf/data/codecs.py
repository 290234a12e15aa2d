"""What a waveform loses on its way through a codec: Opus at a low bit rate, and the telephone network."""

from typing import Literal

import av
import numpy as np
import torch
import torchaudio.functional as F
from torch import Tensor

from .filters import band_pass
from .schema import SAMPLING_RATE

OPUS_RATE = 48_000  # Hz, of its decoder, and of the count of samples to skip in its header
OPUS_PAUSE = 960  # samples of silence behind a clip, in which the end of its last frame comes out
TELEPHONE_RATE = 8_000  # Hz
TELEPHONE_BAND = (300.0, 3400.0)  # Hz, ITU-T G.712


def code_opus(waveform: Tensor, bit_rate: int) -> Tensor:
    """A waveform that was encoded with Opus (RFC 6716, Valin et al. 2012) for speech, and decoded.

    Args:
        waveform: `(samples,)` float32 at 16 kHz.
        bit_rate: bits per second; 6,000 to 24,000 is what calls over a bad connection have.

    Returns:
        `(samples,)`, each sample at its own time: the delay of the codec is removed.
    """
    padded = torch.nn.functional.pad(waveform, (0, OPUS_PAUSE))
    encoder = _context("libopus", "w", SAMPLING_RATE)
    encoder.bit_rate = bit_rate
    encoder.options = {"application": "voip", "compression_level": "2"}  # of 10, as a phone would
    decoder = _context("libopus", "r", OPUS_RATE)
    decoded = _transcode(padded, encoder, decoder)
    assert encoder.extradata is not None  # the header, RFC 7845, section 5.1
    delay = int.from_bytes(encoder.extradata[10:12], "little")
    return F.resample(decoded[delay:], OPUS_RATE, SAMPLING_RATE)[: len(waveform)]


def code_telephone(waveform: Tensor) -> Tensor:
    """A waveform `(samples,)` at 16 kHz after a call: 300 to 3400 Hz, 8 kHz, 8 bits of mu-law (ITU-T G.711)."""
    narrow = band_pass(waveform, *TELEPHONE_BAND)[::2].contiguous()  # nothing is left that could be aliased
    encoder, decoder = _context("pcm_mulaw", "w", TELEPHONE_RATE), _context("pcm_mulaw", "r", TELEPHONE_RATE)
    spread = torch.zeros(2 * len(narrow))
    spread[::2] = 2 * _transcode(narrow, encoder, decoder)
    return band_pass(spread, *TELEPHONE_BAND)[
        : len(waveform)
    ]  # which also removes the image of the spectrum above 4 kHz


def _context(codec: Literal["libopus", "pcm_mulaw"], mode: Literal["r", "w"], rate: int) -> av.AudioCodecContext:
    context = av.CodecContext.create(codec, mode)
    context.sample_rate, context.layout, context.format = rate, "mono", "s16"
    return context


def _transcode(waveform: Tensor, encoder: av.AudioCodecContext, decoder: av.AudioCodecContext) -> Tensor:
    """Samples as they come out of the decoder, at its rate; float32, full scale 1."""
    samples = np.round(waveform.numpy() * 32768).clip(-32768, 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
    frame.sample_rate = encoder.sample_rate
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    decoded = [piece.to_ndarray().ravel() for packet in packets for piece in decoder.decode(packet)]
    return torch.from_numpy(np.concatenate(decoded).astype(np.float32) / 32768)


__all__ = ["code_opus", "code_telephone"]
