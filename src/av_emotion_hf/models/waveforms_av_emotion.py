"""Samples of whatever type and layout as waveforms: one channel, float32, full scale 1."""

import math
import numbers
from typing import Any

import numpy as np

from .arrays_av_emotion import as_array, describe, is_number, refuse_infinite
from .downmix_av_emotion import SILENCE, to_mono

RATES = (1000, 1_000_000)  # Hz: any other rate is a mistake
MAX_CHANNELS = 32  # an axis of a recording that is longer counts samples
SIXTEEN_BITS = 32768  # full scale of 16-bit integers
LOUDEST = 2.0  # times full scale: beyond it, samples have another scale
REMEDY = "give floats with full scale 1, or 16-bit samples as int16"


def to_waveform(samples: Any, channels_first: bool | None = None, name: str = "a waveform") -> np.ndarray:
    """One recording as mono float32, full scale 1; not copied where it is that already.

    Args:
        samples: array, tensor or list `(samples,)`, `(samples, channels)` or `(channels, samples)`. Floats have full
            scale 1; those beyond it are clipped. int16, int32 and uint8 are scaled as in a WAV file.
        channels_first: which of two axes counts the channels; `None` for the shorter one, if it has at most 32 and the
            other more.
        name: of the recording, for the error.

    Returns:
        `(samples,)`; of length 0 where there are no samples.

    Raises:
        ValueError: type, range or shape do not say what the samples are.
    """
    return _mixed(to_channels(samples, channels_first, name))


def to_channels(samples: Any, channels_first: bool | None = None, name: str = "a waveform") -> np.ndarray:
    """The channels `(C, samples)` of one recording as float32, full scale 1; arguments and errors as [`to_waveform`].

    The loudest samples may be up to twice full scale.
    """
    array = as_array(samples, name)
    _channels(array, channels_first, name)  # the shape is told with the type and range that were given
    return _channels(_full_scale(array, name), channels_first, name)


def to_waveforms(given: Any, sampling_rate: int | None = None) -> tuple[list[np.ndarray], bool]:
    """One recording or a batch of them, each as in [`to_waveform`].

    Args:
        given: a recording; a list of them; or an array `(B, samples)`, unless its second axis has at most 32 and its
            first more, which is one recording `(samples, channels)`. A recording may be a pair with its sampling rate.
        sampling_rate: that a pair has to have; `None` for any.

    Returns:
        The waveforms, and whether there was one recording instead of a batch.

    Raises:
        ValueError: a recording cannot be used, or has another sampling rate.
    """
    pair = split_rate(given)
    if pair is None and isinstance(given, list | tuple) and not (given and is_number(given[0])):
        return [_alone(each, sampling_rate) for each in given], False
    if pair is not None:
        return [_alone(given, sampling_rate)], True
    array = as_array(given, "a waveform")
    if array.ndim == 3 or (array.ndim == 2 and not array.shape[1] <= MAX_CHANNELS < array.shape[0]):
        for each in array:
            _channels(each)
        return [_mixed(_channels(each)) for each in _full_scale(array)], False
    return [to_waveform(array)], True


def _alone(given: Any, sampling_rate: int | None) -> np.ndarray:
    """One recording, or a pair of it and its sampling rate."""
    pair = split_rate(given)
    if pair is None:
        return to_waveform(given)
    if sampling_rate is not None and check_rate(pair[1]) != sampling_rate:
        raise ValueError(
            f"a waveform of {pair[1]} Hz where {sampling_rate} Hz is expected; resample it, e.g. with "
            "torchaudio.functional.resample"
        )
    return to_waveform(pair[0])


def split_rate(given: Any) -> tuple[Any, Any] | None:
    """Samples and sampling rate of a pair of both, in either order, as scipy and soundfile return them.

    Returns:
        `None` where it is something else.
    """
    if not isinstance(given, tuple) or len(given) != 2 or is_number(given[0]) == is_number(given[1]):
        return None
    rate, samples = given if is_number(given[0]) else given[::-1]
    return (samples, rate) if isinstance(samples, list | tuple) or hasattr(samples, "dtype") else None


def check_rate(rate: Any) -> int:
    """A sampling rate in Hz as an integer.

    Args:
        rate: of Python, numpy or torch, also as a float without a fraction.

    Raises:
        ValueError: it is no whole number in the range of [`RATES`].
    """
    value = rate.item() if getattr(rate, "shape", None) == () else rate
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (is_real and RATES[0] <= value <= RATES[1] and value == math.floor(value)):
        raise ValueError(
            f"sampling_rate={rate!r}: has to be a whole number of Hz from {RATES[0]:,} to {RATES[1]:,}; give that of "
            "the recording, such as 16000"
        )
    return int(value)


def audible(waveform: np.ndarray) -> np.ndarray:
    """The waveform `(samples,)`, or one of length 0 where it holds nothing but silence."""
    return waveform if np.abs(waveform).max(initial=0) > SILENCE else np.zeros(0, np.float32)


def _full_scale(array: np.ndarray, name: str = "a waveform") -> np.ndarray:
    """Samples of any shape as float32 with full scale 1; the loudest may be up to twice as loud."""
    kind = array.dtype.str[1:]  # without the byte order
    if not array.size:
        return array.astype(np.float32)
    if array.dtype.kind == "f":
        refuse_infinite([array], name)
        if max(-array.min(), array.max()) > LOUDEST:
            raise ValueError(
                f"{name} of {describe(array)}: full scale is 1, and its peak is {max(-array.min(), array.max()):.6g}; "
                f"divide 16-bit samples by {SIXTEEN_BITS}"
            )
        return array.astype(np.float32, copy=False)
    if kind == "i2":
        return array.astype(np.float32) / SIXTEEN_BITS
    if kind == "u1":
        return (array.astype(np.float32) - 128) / 128
    if kind == "i4":
        if 0 < max(-int(array.min()), int(array.max())) <= SIXTEEN_BITS:
            raise ValueError(
                f"{name} of {describe(array)}: may be 16-bit samples or very quiet 32-bit ones; give 16-bit samples "
                "as astype('int16'), and others as floats divided by 2**31"
            )
        return array.astype(np.float32) / 2**31
    if array.dtype.kind == "i":
        remedy = "give 16-bit samples as astype('int16'), and others as floats divided by their full scale"
        raise ValueError(f"{name} of {describe(array)}: this type has no full scale; {remedy}")
    raise ValueError(f"{name} of {describe(array)}: is not a type of samples; {REMEDY}")


def _channels(array: np.ndarray, channels_first: bool | None = None, name: str = "a waveform") -> np.ndarray:
    """One recording as `(C, samples)`.

    Raises:
        ValueError: the shape does not say which axis counts the channels.
    """
    given = array
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 1:
        return array[None]
    if array.ndim == 2:
        few, many = sorted(array.shape)
        if channels_first is None and (few <= 1 or few <= MAX_CHANNELS < many):
            channels_first = array.shape[0] == few
        if channels_first is not None:
            return array if channels_first else array.T
    raise ValueError(
        f"{name} of {describe(given)}: one recording has (samples,), (samples, channels) or (channels, samples) with "
        f"at most {MAX_CHANNELS} channels and more samples than that; average the channels"
    )


def _mixed(channels: np.ndarray) -> np.ndarray:
    """Channels `(C, samples)` as one, within full scale."""
    if not channels.size:
        return np.zeros(0, np.float32)
    mono = to_mono(channels) if len(channels) > 1 else channels[0]
    return mono.clip(-1, 1) if max(-mono.min(), mono.max()) > 1 else mono


__all__ = ["SILENCE", "audible", "check_rate", "split_rate", "to_channels", "to_waveform", "to_waveforms"]
