import pytest

from av_emotion_hf.errors import InputError
from av_emotion_hf.media import expand_paths


def test_paths_are_expanded_in_order(tmp_path):
    for name in ("b.MP4", "a.wav", "c.txt"):
        (tmp_path / name).touch()
    assert expand_paths([str(tmp_path)]) == [str(tmp_path / "a.wav"), str(tmp_path / "b.MP4")]
    assert expand_paths([str(tmp_path / "*.wav"), "x.mp4"]) == [str(tmp_path / "a.wav"), "x.mp4"]
    with pytest.raises(InputError, match="matches no file"):
        expand_paths([str(tmp_path / "*.avi")])
