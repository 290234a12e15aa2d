import numpy as np
import pytest

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


@pytest.mark.parametrize(
    ("speech", "rate", "message"),
    [
        (np.zeros(4), 8000, "sampling_rate=8000 does not fit.*16000 Hz; resample"),
        ([np.zeros((2, 4))], 16000, r"shape \(2, 4\) is not mono"),
        (np.array([0.0, np.nan]), 16000, "NaN or infinite"),
    ],
)
def test_bad_waveforms_are_named(feature_extractor, speech, rate, message):
    with pytest.raises(ValueError, match=message):
        feature_extractor(speech, sampling_rate=rate)
