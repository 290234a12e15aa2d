import numpy as np
import pytest

from av_emotion_hf.models.downmix_av_emotion import (
    SILENCE,
    add_moments,
    channel_weights,
    covariance_of,
    mix,
    to_mono,
)

RNG = np.random.default_rng(0)
VOICE, OTHER, THIRD = (0.1 * RNG.standard_normal((3, 20_000))).astype(np.float32)
SURROUND = ("FL", "FR", "FC", "LFE", "SL", "SR")
HALF_POWER = 0.5**0.5


def weights_of(names, *channels):
    channels = np.stack(channels)
    return channel_weights(names, covariance_of(add_moments(None, channels), len(channels)))


def test_one_channel_and_equal_channels_are_left_as_they_are():
    np.testing.assert_array_equal(to_mono(VOICE[None]), VOICE)
    np.testing.assert_array_equal(to_mono(np.stack([VOICE, VOICE])), VOICE)
    assert to_mono(np.stack([VOICE, VOICE]).astype(np.float64)).dtype == np.float32
    assert to_mono(np.zeros((2, 0))).shape == (0,)


@pytest.mark.parametrize("channel", [0, 1, 2, 4, 5])
def test_a_voice_in_one_channel_keeps_its_level(channel):
    channels = 1e-3 * np.stack([OTHER] * 6)  # 60 dB less
    channels[channel] = VOICE
    assert weights_of(SURROUND, *channels).tolist() == np.eye(6)[channel].tolist()
    np.testing.assert_array_equal(to_mono(channels, SURROUND), VOICE)


def test_the_low_frequency_channel_is_taken_where_nothing_else_is_heard():
    hum = np.full_like(VOICE, 1e-5) * np.sign(VOICE)
    assert weights_of(SURROUND, hum, hum, hum, VOICE, hum, hum).tolist() == [0, 0, 0, 1, 0, 0]
    assert weights_of(None, hum, hum, VOICE).tolist() == [0, 0, 1]


def test_weights_of_itu_r_bs_775():
    rng = np.random.default_rng(1)
    names = ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR", "BC", "TFL")
    expected = np.array([HALF_POWER, HALF_POWER, 1, 0, 0.5, 0.5, 0.5, 0.5, HALF_POWER, 0.5])
    found = weights_of(names, *rng.standard_normal((10, 20_000)))
    np.testing.assert_allclose(found, expected / expected.sum())
    ambisonic = weights_of(("AMBI0", "AMBI1", "AMBI2", "AMBI3"), *rng.standard_normal((4, 20_000)))
    assert ambisonic.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (2, [1, 1]),
        (3, [1, 1, 0]),
        (4, [HALF_POWER, HALF_POWER, 1, HALF_POWER]),
        (5, [HALF_POWER, HALF_POWER, 1, 0.5, 0.5]),
        (6, [HALF_POWER, HALF_POWER, 1, 0, 0.5, 0.5]),
        (7, [HALF_POWER, HALF_POWER, 1, 0, HALF_POWER, 0.5, 0.5]),
        (8, [HALF_POWER, HALF_POWER, 1, 0, 0.5, 0.5, 0.5, 0.5]),
        (9, [1] * 9),
    ],
)
def test_an_unknown_layout_is_the_default_one(count, expected):
    channels = np.random.default_rng(1).standard_normal((count, 20_000))
    for names in (None, ("NONE",) * count):
        np.testing.assert_allclose(weights_of(names, *channels), np.array(expected) / np.sum(expected))


@pytest.mark.parametrize(("correlation", "sign"), [(-1.0, -1), (-0.52, -1), (-0.48, 1), (0.0, 1), (1.0, 1)])
def test_channels_that_cancel_are_inverted(correlation, sign):
    covariance = 0.01 * np.array([[1, correlation], [correlation, 1]])
    assert channel_weights(None, covariance).tolist() == [0.5, sign * 0.5]


def test_opposite_polarity_is_the_voice_of_the_loudest_channel():
    np.testing.assert_array_equal(to_mono(np.stack([VOICE, -VOICE])), VOICE)
    np.testing.assert_allclose(to_mono(np.stack([0.9 * VOICE, -VOICE])), -0.95 * VOICE, atol=1e-7)
    surround = np.stack([VOICE, -VOICE, 1e-4 * OTHER, OTHER, 0.1 * OTHER, 0.1 * OTHER])
    weights = weights_of(SURROUND, *surround)
    assert weights[0] > 0 > weights[1] and np.abs(weights).sum() == pytest.approx(1)


def test_channels_with_nothing_in_common_do_not_cancel():
    """Five of them have a fifth of their power in the mean, which is no reason to invert one."""
    channels = np.random.default_rng(1).standard_normal((5, 20_000))
    assert (channel_weights(None, covariance_of(add_moments(None, channels), 5)) > 0).all()


def test_silent_channels():
    """40 dB below the loudest, or 80 dB below full scale."""
    assert weights_of(None, VOICE, 0.011 * OTHER).tolist() == [0.5, 0.5]
    assert weights_of(None, VOICE, 0.009 * OTHER).tolist() == [1, 0]
    faint = 2 * SILENCE * np.sign(VOICE)
    assert weights_of(None, faint, 0.51 * faint).tolist() == [0.5, 0.5]
    assert weights_of(None, faint, 0.49 * faint).tolist() == [1, 0]
    nearly_nothing = 0.1 * faint
    np.testing.assert_array_equal(to_mono(np.stack([0 * VOICE, nearly_nothing])), nearly_nothing)
    assert weights_of(None, 0 * VOICE, 0 * VOICE).tolist() == [0.5, 0.5]


def test_a_constant_is_no_sound():
    assert weights_of(None, VOICE, np.full_like(VOICE, 0.3)).tolist() == [1, 0]
    assert weights_of(None, np.full_like(VOICE, 0.3), np.full_like(VOICE, -0.7)).tolist() == [0.5, 0.5]


def test_covariance_in_blocks_is_that_of_the_whole():
    channels = np.stack([VOICE + 0.2, OTHER - VOICE, THIRD])
    total = None
    for first in range(0, channels.shape[1], 777):
        total = add_moments(total, channels[:, first : first + 777])
    assert total.dtype == np.float64
    np.testing.assert_allclose(covariance_of(total, 3), np.cov(channels, bias=True), atol=1e-9)
    assert covariance_of(None, 2).tolist() == [[0, 0], [0, 0]]


def test_values_that_are_not_finite_decide_nothing():
    broken = VOICE.copy()
    broken[5], broken[6] = np.nan, np.inf
    silent = np.zeros_like(VOICE)
    silent[9] = np.nan
    mono = to_mono(np.stack([broken, silent]))
    np.testing.assert_array_equal(mono, broken)  # they stay where they are heard, and the caller sees them
    assert np.isfinite(mix(np.stack([VOICE, silent]), np.array([1.0, 0.0]))).all()
