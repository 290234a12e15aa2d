import pytest

from av_emotion_hf.app.limits import Limits
from av_emotion_hf.errors import InputError


@pytest.mark.parametrize(
    "wrong",
    [{"megabytes": 0}, {"minutes": -1.0}, {"minutes": float("nan")}, {"queue": 0}, {"workers": 0}, {"live": -1}],
)
def test_limits_have_to_be_positive(wrong):
    with pytest.raises(InputError, match=r"--[a-z-]+ .*: has to be [\d.]+ or more"):
        Limits(**wrong)


def test_no_live_camera_is_a_limit_too():
    assert Limits(live=0).live == 0


def test_a_clip_that_is_too_long_is_refused_in_a_sentence():
    limits = Limits(minutes=0.5)
    limits.check_duration("clip.mp4", 30.0)
    with pytest.raises(InputError, match=r"^clip\.mp4: lasts 1\.5 minutes, and 0\.5 are the limit here; cut it"):
        limits.check_duration("clip.mp4", 90.0)


def test_sizes_are_in_millions_of_bytes():
    assert Limits(megabytes=0.5).bytes == 500_000
    assert "larger than 0.5 MB" in Limits(megabytes=0.5).too_large
