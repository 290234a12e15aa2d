import pytest
from huggingface_hub.errors import StrictDataclassError

from av_emotion_hf import AVEmotionAudioConfig
from av_emotion_hf.errors import InputError, as_input_error


def test_the_error_of_a_configuration_is_one_line():
    with pytest.raises(StrictDataclassError) as raised:
        AVEmotionAudioConfig(descriptors=["hnr_db"])
    assert "\n" in str(raised.value)
    error = as_input_error(raised.value)
    assert isinstance(error, InputError) and str(error).startswith("descriptors") and "\n" not in str(error)
    assert "ValueError" not in str(error) and "'hnr_db' exists in voiced frames only" in str(error)
