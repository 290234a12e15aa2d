import numpy as np
import pytest
import torch
from torchaudio.functional import resample

from av_emotion_hf import InputError
from av_emotion_hf.media.live_audio import LiveAudio, seconds_of


def taken(*chunks):
    """Audio of chunks as `push` takes them."""
    audio = LiveAudio()
    for chunk in chunks:
        audio.add(audio.check(chunk))
    return audio


def sine(hertz, seconds, rate, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("size", [37, 441, 5000])
def test_borders_of_chunks_are_not_heard(rate, size):
    samples = sine(440, 1.0, rate)
    audio = taken(*((samples[at : at + size], rate) for at in range(0, len(samples), size)))
    audio.finish()
    assert audio.end == pytest.approx(1, abs=0.002)
    heard, expected = audio.cut(0.05, 0.95), sine(440, 1.0, 16_000)[800:15_200]
    assert np.abs(heard - expected).max() < 2e-3  # a click would be a hundred times that


def test_resampled_as_by_torchaudio():
    samples = 0.2 * np.random.default_rng(0).standard_normal(44_100).astype(np.float32)
    smooth = np.convolve(samples, np.hanning(33) / 16, "same").astype(np.float32)  # of low frequencies
    audio = taken((smooth, 44_100))
    audio.finish()
    expected = resample(torch.from_numpy(smooth), 44_100, 16_000, lowpass_filter_width=64).numpy()
    assert np.abs(audio.cut(0.1, 0.9) - expected[1600:14_400]).max() < 0.01


def test_types_and_layouts_are_one_signal():
    samples = sine(200, 0.5, 16_000)
    expected = taken((samples, 16_000)).cut(0, 0.5)
    for given in (
        (16_000, samples),
        (samples[None], 16_000),
        (samples[:, None].astype(np.float64), 16_000.0),
        (torch.from_numpy(samples), 16_000),
        (np.stack([samples, samples]), 16_000),
        (np.stack([samples, np.zeros_like(samples)], axis=1), 16_000),
    ):
        assert np.allclose(taken(given).cut(0, 0.5), expected, atol=1e-6)
    quantized = taken(((samples * 32_767).round().astype(np.int16), 16_000)).cut(0, 0.5)
    assert np.allclose(quantized, expected, atol=1e-4)


def test_a_few_samples_of_two_channels_are_told_by_those_before():
    samples = np.stack([sine(200, 0.5, 16_000), sine(300, 0.5, 16_000)])
    whole = taken((samples.T, 16_000)).cut(0, 0.5)
    parts = taken((samples.T[:100], 16_000), *((samples.T[at : at + 2], 16_000) for at in range(100, 8000, 2)))
    assert np.array_equal(parts.cut(0, 0.5), whole)
    with pytest.raises(InputError, match=r"of shape \(2, 2\)"):
        LiveAudio().check((samples[:, :2], 16_000))


def test_opposite_channels_do_not_cancel():
    samples = sine(200, 0.5, 16_000)
    heard = taken((np.stack([samples, -samples]), 16_000)).cut(0, 0.5)
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.01)


def test_what_is_forgotten_takes_no_memory():
    audio = taken((sine(200, 10, 16_000), 16_000))
    audio.drop_before(9.5)
    assert audio._held.base is None and audio._held.nbytes == 8000 * 4
    assert np.allclose(audio.cut(9.5, 10), sine(200, 10, 16_000)[-8000:])
    audio.drop_before(1.0)  # is gone already
    assert audio.end == 10


def test_nothing_is_nothing():
    audio = taken((np.zeros(0), 16_000), (np.zeros((0, 2)), 44_100))
    audio.finish()
    assert not audio.is_given and audio.given == audio.end == 0 and len(audio.cut(0, 1)) == 0


@pytest.mark.parametrize("wrong", [None, True, "1", float("inf"), -0.1, np.zeros(2)])
def test_times_are_seconds(wrong):
    with pytest.raises(InputError, match="has to be seconds since the start of the stream"):
        seconds_of(wrong, 0.0)
    assert seconds_of(np.float32(1.5), 0.0) == 1.5 and seconds_of(torch.tensor(2), 1.0) == 2
