import numpy as np

from av_emotion_hf.media.shots import ShotDetector


def starts(frames):
    shots = ShotDetector()
    return [number for number, frame in enumerate(frames) if shots.starts_shot(frame)]


def picture(seed):
    """Colored blocks, 90 x 160."""
    colors = np.random.default_rng(seed).integers(0, 256, (9, 16, 3), np.uint8)
    return colors.repeat(10, axis=0).repeat(10, axis=1)


def test_a_cut_starts_a_shot():
    frames = [picture(0)] * 6 + [picture(1)] * 2 + [picture(0)] * 6
    assert starts([*frames, *[picture(2)] * 3]) == [6, 14]
    assert starts(frames) == [6]  # a flash is one cut


def test_a_small_change_in_a_still_picture_is_none():
    still = [np.full((90, 160, 3), 90, np.uint8)] * 6
    assert starts([*still, np.full((90, 160, 3), 95, np.uint8), *still[:1]]) == []
    assert starts([*still, np.full((90, 160, 3), 110, np.uint8)]) == [6]


def test_motion_is_none_and_a_cut_in_motion_is():
    wide = np.concatenate([picture(seed) for seed in range(4)], axis=1)
    pan = [wide[:, 3 * step : 3 * step + 160] for step in range(12)]
    assert starts(pan) == [1]  # the jerk with which it begins
    assert starts([*pan, np.full((90, 160, 3), 255, np.uint8)]) == [1, 12]


def test_frames_of_any_size_and_of_two_sizes():
    small, large = np.full((20, 20, 3), 50, np.uint8), np.full((1080, 1920, 3), 200, np.uint8)
    assert starts([small] * 5 + [large] * 3) == [5]
