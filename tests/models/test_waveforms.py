import re

import numpy as np
import pytest
import torch

from av_emotion_hf.models.waveforms_av_emotion import audible, check_rate, split_rate, to_waveform, to_waveforms

RAMP = np.linspace(-0.5, 0.5, 101)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([-32768, 16384], np.int16), [-1, 0.5]),
        (np.array([-32768, 16384], ">i2"), [-1, 0.5]),
        (np.array([-(2**31), 2**30], np.int32), [-1, 0.5]),
        (np.array([0, 0], np.int32), [0, 0]),
        (np.array([0, 192, 128], np.uint8), [-1, 0.5, 0]),
        (np.array([0.25, -1.5, 2.0], np.float16), [0.25, -1, 1]),  # as of a file, clipped
        ([0.25, 1], [0.25, 1]),
        (torch.tensor([0.25, 0.5], dtype=torch.float64, requires_grad=True), [0.25, 0.5]),
        (np.zeros(0, np.int64), []),
        (np.zeros((2, 0)), []),
    ],
)
def test_types_have_their_scale(samples, expected):
    waveform = to_waveform(samples)
    assert waveform.dtype == np.float32 and waveform.tolist() == expected


def test_a_waveform_is_not_copied():
    waveform = RAMP.astype(np.float32)
    assert np.shares_memory(to_waveform(waveform), waveform)
    assert np.shares_memory(to_waveform(torch.from_numpy(waveform)[None]), waveform)


def test_layouts_of_one_recording():
    two = np.stack([RAMP, RAMP / 2])
    for samples in (two, two.T, two[None], two.T[None, None]):
        np.testing.assert_allclose(to_waveform(samples), RAMP * 0.75, atol=1e-7)
    for samples in (RAMP[None], RAMP[:, None], RAMP[None, None], RAMP[None, :, None]):
        np.testing.assert_allclose(to_waveform(samples), RAMP, atol=1e-7)
    assert to_waveform(np.ones((1, 3))).tolist() == to_waveform(np.ones((3, 1))).tolist() == [1, 1, 1]
    np.testing.assert_allclose(to_waveform(two[:, :3], channels_first=True), RAMP[:3] * 0.75, atol=1e-7)
    np.testing.assert_allclose(to_waveform(two.T[:3], channels_first=False), RAMP[:3] * 0.75, atol=1e-7)
    assert to_waveform(np.full((2, 40), 1.5)).tolist() == [1] * 40  # clipped after it is mixed


def test_an_array_is_a_batch_and_a_list_holds_recordings():
    batch = np.stack([RAMP, RAMP / 2])
    for given in (batch, torch.from_numpy(batch), list(batch), [batch[:1], (8000, batch[1])], batch[:, None]):
        waveforms, single = to_waveforms(given)
        assert not single
        np.testing.assert_allclose(waveforms, batch, atol=1e-7)
    for given in (RAMP, RAMP.tolist(), batch.T, (8000, RAMP), (batch.T, np.int64(8000))):
        (waveform,), single = to_waveforms(given, 8000)
        assert single and len(waveform) == 101
    assert to_waveforms([]) == ([], False)
    assert [len(one) for one in to_waveforms(np.zeros((32, 2)))[0]] == [2] * 32
    quiet = np.array([[2**20, 0, 0], [100, -100, 0]], np.int32)  # one of the batch tells the type of all
    assert to_waveforms(quiet)[0][1].tolist() == [100 / 2**31, -100 / 2**31, 0]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.array([1, 2]), "shape (2,), type int64, values 1 to 2: this type has no full scale; give 16-bit samples"),
        (np.array([1, 2], np.int8), "type int8"),
        (np.array([1, 2], np.uint16), "type uint16, values 1 to 2: is not a type of samples; give floats"),
        (np.array([True]), "type bool"),
        (np.array([1j]), "type complex128: is not a type of samples"),
        (np.array([300, -20], np.int32), "values -20 to 300: may be 16-bit samples or very quiet 32-bit ones"),
        (np.array([0.0, -2.5]), "full scale is 1, and its peak is 2.5; divide 16-bit samples by 32768"),
        (np.array([np.nan, 0, np.inf]), "2 of 3 values are NaN or infinite"),
        (np.zeros((3, 3)), "shape (3, 3), type float64, values 0 to 0: one recording has (samples,), (samples, ch"),
        (np.zeros((40, 50)), "with at most 32 channels"),
        (np.zeros((2, 2, 50)), "shape (2, 2, 50)"),
        (np.float32(0.5), "shape ()"),
        (["a", "b"], "a waveform given as a list without numbers"),
        ([[0.0], [0.0, 1.0]], "unequal parts"),
    ],
)
def test_what_does_not_say_its_scale_or_layout_is_refused(samples, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        to_waveform(samples)
    assert "\n" not in str(error.value) and str(error.value).startswith("a waveform ")


def test_rates_are_whole_numbers():
    rates = (8000, 8000.0, np.int64(8000), np.float32(8000), np.array(8000), torch.tensor(8000), torch.tensor(8e3))
    for rate in rates:
        assert check_rate(rate) == 8000 and type(check_rate(rate)) is int
    assert (check_rate(1000), check_rate(1_000_000)) == (1000, 1_000_000)
    wrong = (0, -16000, 999, 1_000_001, 16000.5, float("nan"), float("inf"), "16000", True, None, [16000], 1j)
    for rate in (*wrong, np.array([8000])):
        with pytest.raises(ValueError, match=re.escape(f"sampling_rate={rate!r}: has to be a whole number of Hz")):
            check_rate(rate)


def test_a_pair_is_samples_with_a_rate_in_either_order():
    assert split_rate((8000, RAMP)) == split_rate((RAMP, 8000)) == (RAMP, 8000)
    assert split_rate((np.int32(8000), [0.0, 0.1])) == ([0.0, 0.1], 8000)
    for given in ((0.1, 0.2), (RAMP, RAMP), [8000, RAMP], (8000, "a.wav"), (8000, RAMP, 1), RAMP, None):
        assert split_rate(given) is None
    with pytest.raises(ValueError, match="a waveform of 16000 Hz where 8000 Hz is expected; resample it"):
        to_waveforms((16000, RAMP), 8000)
    with pytest.raises(ValueError, match="sampling_rate=0"):
        to_waveforms([(0, RAMP)], 8000)


def test_silence_is_what_stays_below_80_decibels():
    assert len(audible(np.full(100, 0.9e-4, np.float32))) == 0
    assert len(audible(np.full(100, 1.1e-4, np.float32))) == 100
