"""Descriptors of recordings without a model: tables, pieces and streams."""

import math

import numpy as np
import pytest
import torch

from av_emotion_hf.acoustics import acoustic_descriptors, acoustic_functionals, stream_descriptors
from av_emotion_hf.models.configuration_av_emotion import AVEmotionAudioConfig
from av_emotion_hf.models.descriptors_av_emotion import EGEMAPS_NAMES
from av_emotion_hf.models.frontend_av_emotion import AcousticFrontEnd

pytestmark = pytest.mark.usefixtures("one_thread")

RATE = 16000


def speech_like(seconds, seed=0, rate=RATE):
    """Voiced stretches whose pitch moves, noise and pauses in between."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.7 * t)) / rate
    voice = sum(np.cos(k * phase + k) / k for k in range(1, 15))
    loud = np.clip(np.sin(2 * np.pi * 0.9 * t), 0, None)
    return (0.1 * voice * loud + 0.002 * np.random.default_rng(seed).standard_normal(len(t))).astype(np.float32)


def assert_same(part, whole, fraction=0.0):
    """Equal within rounding, but for a `fraction` of frames in which a close decision differs."""
    assert list(part) == list(whole)
    for name in whole:
        wrong = ~np.isclose(part[name], whole[name], rtol=2e-3, atol=2e-3)
        assert wrong.mean() <= fraction, name


def test_table():
    table = acoustic_descriptors(speech_like(1.0), RATE)
    assert set(table) == {"time", "voiced", *EGEMAPS_NAMES}
    assert all(column.shape == (100,) and np.isfinite(column).all() for column in table.values())
    np.testing.assert_allclose(table["time"][:3], [0, 0.01, 0.02])
    frontend = AcousticFrontEnd(AVEmotionAudioConfig.egemaps(descriptors=["egemaps", "voiced"]))
    features, _ = frontend.descriptors(torch.tensor(speech_like(1.0))[None])
    for i, name in enumerate(frontend.descriptor_names):
        np.testing.assert_allclose(table[name], features[0, :, i].detach().numpy(), rtol=1e-4, atol=1e-4)


def test_several_are_each_alone():
    clips = [speech_like(seconds, seed=i) for i, seconds in enumerate((0.7, 2.3, 0.001, 1.1))]
    for table, clip in zip(acoustic_descriptors(clips, RATE), clips, strict=True):
        assert_same(table, acoustic_descriptors(clip, RATE))


@pytest.mark.parametrize("deltas", [False, True])
def test_pieces_are_the_whole(deltas):
    clip = speech_like(25.0)
    config = AVEmotionAudioConfig.egemaps(descriptors=["egemaps", "voiced"], deltas=deltas)
    frontend = AcousticFrontEnd(config).requires_grad_(False)
    features, _ = frontend.descriptors(torch.tensor(clip)[None])
    whole = dict(zip(frontend.descriptor_names, features[0].T.numpy(), strict=True))
    table = acoustic_descriptors(clip, RATE, deltas=deltas)
    np.testing.assert_allclose(table.pop("time"), np.arange(2500) / 100)
    assert_same(table, whole, fraction=2e-3)


@pytest.mark.parametrize("size", [997, 16000, 400000])
def test_stream_is_the_whole(size):
    clip = speech_like(30.0)
    parts = list(stream_descriptors(np.split(clip, range(size, len(clip), size)), RATE))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    assert len(parts) > 1
    assert_same(joined, acoustic_descriptors(clip, RATE), fraction=2e-3)


def test_stream_of_nothing_and_of_little():
    assert list(stream_descriptors([], RATE)) == []
    (part,) = stream_descriptors([np.zeros(1, np.float32)], RATE)
    assert part["time"].tolist() == [0.0]


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_sampling_rates(rate):
    table = acoustic_descriptors(speech_like(1.0, rate=rate), rate, ("egemaps", "voiced", "voicing_probability"))
    assert all(np.isfinite(column).all() for column in table.values())
    voiced = table["voiced"] > 0
    voiced[:3] = voiced[-5:] = False  # half of their window lies outside of the clip
    assert 0.3 < voiced.mean() < 0.7
    hertz = 27.5 * 2 ** (table["f0_semitone"][voiced] / 12)
    expected = 140 + 40 * np.sin(2 * np.pi * 0.7 * table["time"][voiced])
    np.testing.assert_allclose(hertz, expected, rtol=0.02)


@pytest.mark.parametrize(
    "waveform, rate, message",
    [
        ([np.zeros((2, 20), np.float32)], RATE, r"shape \(2, 20\), .*with at most 32 channels"),
        (np.zeros(100, bool), RATE, "type bool.*is not a type of samples"),
        (np.full(100, 400.0), RATE, "its peak is 400; divide 16-bit samples by 32768"),
        (np.full(100, np.nan, np.float32), RATE, "100 of 100 values are NaN or infinite"),
        ((8000, np.zeros(100)), RATE, "a waveform of 8000 Hz where 16000 Hz is expected"),
        (np.zeros(100), 0, "sampling_rate=0: has to be a whole number of Hz from 1,000 to 1,000,000"),
    ],
)
def test_unusable_waveforms(waveform, rate, message):
    for function in (acoustic_descriptors, acoustic_functionals):
        with pytest.raises(ValueError, match=message):
            function(waveform, rate)


def test_types_and_layouts_of_recordings():
    whole = (speech_like(0.3) * 32768).astype(np.int16)
    expected, numbers = acoustic_descriptors(whole / 32768, RATE), acoustic_functionals(whole / 32768, RATE)
    stereo = np.stack([whole, whole])
    for given in (whole, torch.from_numpy(whole), stereo.T, (RATE, whole), (stereo, float(RATE)), whole.tolist()):
        if isinstance(given, list):
            given = (np.array(given) / 32768).tolist()
        assert_same(acoustic_descriptors(given, np.int64(RATE)), expected)
        assert acoustic_functionals(given, RATE) == pytest.approx(numbers, rel=1e-3, abs=1e-3)
    for given in (stereo, torch.from_numpy(stereo), [whole, stereo.T]):  # an array (B, samples) is a batch
        tables = acoustic_descriptors(given, RATE)
        assert len(tables) == len(acoustic_functionals(given, RATE)) == 2
        for table in tables:
            assert_same(table, expected)
    with pytest.raises(ValueError, match=r"a block of shape \(4800, 2\): has to have one channel"):
        list(stream_descriptors([stereo.T], RATE))
    (part,) = stream_descriptors([whole[None, :2000], whole[2000:]], RATE)
    assert_same(part, expected)


@pytest.mark.parametrize("waveform", [np.zeros(8000), np.zeros(960), speech_like(0.5)])
def test_functionals_are_finite(waveform):
    result = acoustic_functionals(waveform.astype(np.float32), RATE)
    assert len(result) == 88 and all(math.isfinite(value) for value in result.values())
    (same,) = acoustic_functionals([waveform.astype(np.float32)], RATE)
    assert same == result


# the last number of samples for which opensmile 2.6 answers with NaN: a window of 60 ms does not fit
@pytest.mark.parametrize(
    ("rate", "last"), [(8000, 479), (11025, 661), (16000, 959), (22050, 1322), (44100, 2645), (48000, 2879)]
)
def test_what_is_too_short_has_no_functionals(rate, last):
    short, long = acoustic_functionals([speech_like(1.0, rate=rate)[: last + more] for more in (0, 1)], rate)
    assert all(math.isnan(value) for value in short.values()) and list(short) == list(long)
    assert all(math.isfinite(value) for value in long.values())
    assert all(math.isnan(value) for value in acoustic_functionals(np.zeros(0), rate).values())
