"""Acoustic descriptors of recordings: tables per frame, functionals, and streams of any length."""

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
import torch
from torch import Tensor

from ..models.configuration_av_emotion import AVEmotionAudioConfig
from ..models.descriptors_av_emotion import EGEMAPS_NAMES
from ..models.frontend_av_emotion import AcousticFrontEnd
from ..models.frontend_pitch_av_emotion import PATH_BLOCK, PATH_CONTEXT
from ..models.waveforms_av_emotion import check_rate, to_waveform, to_waveforms
from .functionals import functionals

PIECE_BLOCKS = 16  # of PATH_BLOCK frames each, which are computed at once
BATCH_FRAMES = 16384  # bounds the memory of a batch of pieces
MIN_SECONDS = 0.06  # of a recording that has functionals: one window of the pitch analysis

Waveform = np.ndarray | Tensor
Table = dict[str, np.ndarray]  # columns (T,) by name


@functools.lru_cache(maxsize=8)
def _frontend(
    sampling_rate: int, descriptors: tuple[str, ...], deltas: bool, smoothing_frames: int
) -> AcousticFrontEnd:
    config = AVEmotionAudioConfig.egemaps(
        sampling_rate, descriptors=list(descriptors), deltas=deltas, smoothing_frames=smoothing_frames
    )
    with torch.device("cpu"):
        return AcousticFrontEnd(config).requires_grad_(False).eval()


def context_blocks(frontend: AcousticFrontEnd) -> int:
    """Blocks of frames that a piece needs on both sides so that its result is that of the whole recording."""
    samples = frontend.voice.frame_length + 4 * frontend.sampling_rate / frontend.f0_min
    frames = PATH_CONTEXT + math.ceil(samples / frontend.shift) + frontend.smoothing_frames + 8
    return math.ceil(frames / PATH_BLOCK)


def _pieces(frontend: AcousticFrontEnd, num_frames: int) -> Iterator[tuple[int, int, int, int]]:
    """First and last frame (exclusive) of the pieces of a recording: with their context, then without it."""
    context, size = context_blocks(frontend) * PATH_BLOCK, PIECE_BLOCKS * PATH_BLOCK
    for start in range(0, num_frames, size):
        stop = min(start + size, num_frames)
        yield max(0, start - context), min(stop + context, num_frames), start, stop


@torch.inference_mode()
def frame_descriptors(frontend: AcousticFrontEnd, waveforms: Sequence[Tensor]) -> list[Tensor]:
    """Descriptors (T, F) of each waveform (samples,), computed in pieces that are batched by their length.

    They are those of `frontend.descriptors` for the whole waveform, within rounding. Apart from the result, memory use
    does not depend on the length.
    """
    device = frontend.gain.device
    width = len(frontend.descriptor_names)
    results = [torch.zeros(frontend.num_frames(len(waveform)), width, device=device) for waveform in waveforms]
    pieces = [(i, *piece) for i, result in enumerate(results) for piece in _pieces(frontend, len(result))]
    pieces.sort(key=lambda piece: piece[2] - piece[1])
    while pieces:
        longest = pieces[-1][2] - pieces[-1][1]
        count = max(1, BATCH_FRAMES // longest)
        pieces, batch = pieces[:-count], pieces[-count:]
        before, size = frontend.reach * frontend.shift, (longest + 2 * frontend.reach) * frontend.shift
        values, lengths = torch.zeros(len(batch), size), torch.zeros(len(batch), dtype=torch.long)
        for row, (i, first, last, _, _) in enumerate(batch):
            cut = waveforms[i][first * frontend.shift : last * frontend.shift]
            values[row, before : before + len(cut)] = cut
            lengths[row] = len(cut)
        features, _ = frontend.describe(values.to(device), lengths.to(device))
        for row, (i, first, _, start, stop) in enumerate(batch):
            results[i][start:stop] = features[row, start - first : stop - first]
    return results


@overload
def acoustic_descriptors(
    waveform: Waveform,
    sampling_rate: int,
    descriptors: Sequence[str] = ...,
    deltas: bool = ...,
    smoothing_frames: int = ...,
    device: str | torch.device = ...,
) -> Table: ...
@overload
def acoustic_descriptors(
    waveform: Sequence[Waveform],
    sampling_rate: int,
    descriptors: Sequence[str] = ...,
    deltas: bool = ...,
    smoothing_frames: int = ...,
    device: str | torch.device = ...,
) -> list[Table]: ...
def acoustic_descriptors(
    waveform: Waveform | Sequence[Waveform],
    sampling_rate: int,
    descriptors: Sequence[str] = ("egemaps", "voiced"),
    deltas: bool = False,
    smoothing_frames: int = 3,
    device: str | torch.device = "cpu",
) -> Table | list[Table]:
    """Descriptors of a recording, 100 frames per second, with the analysis parameters of eGeMAPSv02.

    Args:
        waveform: (samples,), or several of them as a list or (B, samples), which is much faster than one by one.
            Floats have full scale 1; int16, int32 and uint8 are scaled. Channels are mixed: (samples, channels), and
            in a list also (channels, samples). A pair with the sampling rate, as scipy reads it, is accepted as well.
            A constant offset stays in, as in openSMILE.
        sampling_rate: samples per second; there is no resampling.
        descriptors: names of descriptors or of their families, see [`AVEmotionAudioConfig`].
        deltas: whether to add the slope of each descriptor over time.
        smoothing_frames: frames over which each descriptor is averaged.
        device: of the computation.

    Returns:
        Columns (T,) by name, or a list of such tables. The first column is `time`, the center of the frame in seconds.
        `pandas.DataFrame` and `pyarrow.table` accept such a table.

    Raises:
        ValueError: type, range or shape of a waveform cannot be used, or its sampling rate is another one.

    Example:
    ```python
    >>> import numpy as np
    >>> from av_emotion_hf import acoustic_descriptors

    >>> table = acoustic_descriptors(0.1 * np.sin(0.1 * np.arange(16000)), sampling_rate=16000)
    >>> table["f0_semitone"].shape
    (100,)
    ```
    """
    rate = check_rate(sampling_rate)
    waveforms, single = to_waveforms(waveform, rate)
    frontend = _frontend(rate, tuple(descriptors), deltas, smoothing_frames).to(device)
    tables = []
    for features in frame_descriptors(frontend, [torch.as_tensor(one) for one in waveforms]):
        time = np.arange(len(features)) * frontend.shift / rate
        columns = zip(frontend.descriptor_names, features.T.contiguous().cpu().numpy(), strict=True)
        tables.append({"time": time} | dict(columns))
    return tables[0] if single else tables


def stream_descriptors(
    blocks: Iterable[Waveform],
    sampling_rate: int,
    descriptors: Sequence[str] = ("egemaps", "voiced"),
    deltas: bool = False,
    smoothing_frames: int = 3,
) -> Iterator[Table]:
    """The table of [`acoustic_descriptors`] in parts, for a recording that arrives in blocks, in constant memory.

    Concatenated, the parts are the table of the whole recording.

    Args:
        blocks: consecutive waveforms (samples,) of any length, of one channel; types as for [`acoustic_descriptors`].
        sampling_rate: samples per second.
        descriptors: as for [`acoustic_descriptors`].
        deltas: as for [`acoustic_descriptors`].
        smoothing_frames: as for [`acoustic_descriptors`].

    Raises:
        ValueError: a block has several channels, which could not be mixed alike in all blocks; or cannot be used.
    """
    sampling_rate = check_rate(sampling_rate)
    frontend = _frontend(sampling_rate, tuple(descriptors), deltas, smoothing_frames)
    shift, size, context = frontend.shift, PIECE_BLOCKS * PATH_BLOCK, context_blocks(frontend) * PATH_BLOCK
    held, first, start = torch.zeros(0), 0, 0  # samples from frame `first` on; frames before `start` are done

    def part(stop: int) -> Table:
        with torch.inference_mode():
            features = frontend.descriptors(held[None])[0][0, start - first : stop - first].T.numpy()
        time = np.arange(start, stop) * shift / sampling_rate
        return {"time": time} | dict(zip(frontend.descriptor_names, features, strict=True))

    for block in blocks:
        if sum(size != 1 for size in np.shape(block)) > 1:
            raise ValueError(f"a block of shape {np.shape(block)}: has to have one channel (samples,); average them")
        held = torch.cat([held, torch.as_tensor(to_waveform(block, name="a block"))])
        while len(held) >= (start + size + context - first) * shift:
            whole, held = held, held[: (start + size + context - first) * shift]
            yield part(start + size)
            start += size
            drop = max(0, start - context) - first
            held, first = whole[drop * shift :].clone(), first + drop
    stop = first + frontend.num_frames(len(held))
    if stop > start:
        yield part(stop)


@overload
def acoustic_functionals(waveform: Waveform, sampling_rate: int) -> dict[str, float]: ...
@overload
def acoustic_functionals(waveform: Sequence[Waveform], sampling_rate: int) -> list[dict[str, float]]: ...
def acoustic_functionals(
    waveform: Waveform | Sequence[Waveform], sampling_rate: int
) -> dict[str, float] | list[dict[str, float]]:
    """The 88 functionals of eGeMAPSv02 of an utterance, or of each of several.

    Args:
        waveform: as for [`acoustic_descriptors`].
        sampling_rate: samples per second.

    Returns:
        Functionals by name, or a list of such dicts. Those of a recording that is shorter than one window of the pitch
        analysis (60 ms) are all NaN, as in openSMILE.

    Raises:
        ValueError: as for [`acoustic_descriptors`].
    """
    rate = check_rate(sampling_rate)
    waveforms, single = to_waveforms(waveform, rate)
    results = []
    tables = acoustic_descriptors(waveforms, rate, tuple(EGEMAPS_NAMES), smoothing_frames=1)
    for table, samples in zip(tables, waveforms, strict=True):
        power = float(np.square(samples, dtype=np.float64).mean()) if len(samples) else 0.0
        result = functionals(table, 0.01, power)
        if len(samples) < math.floor(MIN_SECONDS * rate + 0.5):
            result = dict.fromkeys(result, math.nan)
        results.append(result)
    return results[0] if single else results


__all__ = ["acoustic_descriptors", "acoustic_functionals", "frame_descriptors", "stream_descriptors"]
