import numpy as np
import pytest
import torch

from av_emotion_hf import AVEmotionFeatureExtractor


@pytest.fixture
def feature_extractor():
    return AVEmotionFeatureExtractor()


def test_pads_with_silence_and_says_where(feature_extractor):
    batch = feature_extractor([np.ones(3), np.full(5, 0.5)], sampling_rate=16000, return_tensors="np")
    assert batch["input_values"].tolist() == [[1, 1, 1, 0, 0], [0.5] * 5]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    assert batch["input_values"].dtype == np.float32


@pytest.mark.parametrize("speech", [[0.1, 0.2], np.array([0.1, 0.2]), [[0.1, 0.2]], np.array([[0.1, 0.2]])])
def test_one_waveform_is_a_batch_of_one(feature_extractor, speech):
    np.testing.assert_allclose(feature_extractor(speech, return_tensors="np")["input_values"], [[0.1, 0.2]])


def test_clips_without_audio(feature_extractor):
    alone = feature_extractor([np.zeros(0)], return_tensors="pt")
    assert alone["attention_mask"].tolist() == [[0]]
    mixed = feature_extractor([np.zeros(0), np.ones(2)], return_tensors="pt")
    assert mixed["attention_mask"].tolist() == [[0, 0], [1, 1]]


def test_silence_is_masked_as_no_audio(feature_extractor):
    quiet, loud = np.full(3, 0.9e-4), np.full(5, 0.5)
    batch = feature_extractor([quiet, loud, np.zeros(4)], return_tensors="pt")
    assert batch["attention_mask"].tolist() == [[0] * 5, [1] * 5, [0] * 5]
    assert batch["input_values"].shape == (3, 5) and batch["input_values"].dtype == torch.float32
    alone = feature_extractor(quiet, padding="max_length", max_length=8, return_tensors="np")
    assert alone["input_values"].shape == (1, 8) and not alone["attention_mask"].any()
    cut = feature_extractor(np.r_[np.zeros(4), loud], padding="max_length", max_length=4, truncation=True)
    assert not cut["attention_mask"].any()  # what is left is silence


def test_types_and_layouts_of_a_batch(feature_extractor):
    whole = np.arange(-50, 50, dtype=np.int16) * 300
    expected = feature_extractor(whole / 32768, return_tensors="np")["input_values"]
    stereo = np.stack([whole, whole])
    for speech in (whole, torch.from_numpy(whole), whole[None], stereo.T, [stereo], [stereo.T], (16000, whole)):
        found = feature_extractor(speech, sampling_rate=np.int64(16000), return_tensors="np")["input_values"]
        np.testing.assert_array_equal(found, expected)
    for speech in (stereo, torch.from_numpy(stereo), [whole, whole], [(whole, 16000), stereo.T]):
        assert feature_extractor(speech, return_tensors="np")["input_values"].tolist() == expected.tolist() * 2


@pytest.mark.parametrize(
    ("speech", "rate", "message"),
    [
        (np.zeros(4), 8000, "sampling_rate=8000 does not fit.*16000 Hz; resample"),
        (np.zeros(4), "16000", "sampling_rate='16000': has to be a whole number of Hz"),
        ((8000, np.zeros(4)), None, "a waveform of 8000 Hz where 16000 Hz is expected"),
        ([np.zeros((2, 4))], 16000, r"a waveform of shape \(2, 4\), type float64, values 0 to 0: one recording has"),
        (np.array([0.0, np.nan]), 16000, "1 of 2 values are NaN or infinite"),
        ([1, 2, 3], 16000, r"type int64, values 1 to 3.*give 16-bit samples as astype\('int16'\)"),
        ("voice.wav", 16000, "a waveform given as a str without numbers"),
    ],
)
def test_bad_waveforms_are_named(feature_extractor, speech, rate, message):
    with pytest.raises(ValueError, match=message) as error:
        feature_extractor(speech, sampling_rate=rate)
    assert "\n" not in str(error.value)
