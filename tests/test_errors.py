import pytest
from huggingface_hub.errors import StrictDataclassError

from av_emotion_hf import AVEmotionAudioConfig
from av_emotion_hf.errors import InputError, as_input_error, printable, shortened


def test_the_error_of_a_configuration_is_one_line():
    with pytest.raises(StrictDataclassError) as raised:
        AVEmotionAudioConfig(descriptors=["hnr_db"])
    assert "\n" in str(raised.value)
    error = as_input_error(raised.value)
    assert isinstance(error, InputError) and str(error).startswith("descriptors") and "\n" not in str(error)
    assert "ValueError" not in str(error) and "'hnr_db' exists in voiced frames only" in str(error)


def test_a_message_is_one_line_whatever_a_file_is_called():
    assert str(InputError("new\nline.wav: is empty")) == "new\\nline.wav: is empty"
    assert str(InputError("über mich.wav: is empty")) == "über mich.wav: is empty"
    assert printable("a\udcff\t") == "a\\udcff\\t"


def test_many_names_are_counted():
    assert shortened(["a\nb"]) == "1 file: a\\nb"
    assert shortened(list("abcdefg")) == "7 files: a, b, c, d, e and 2 more"
