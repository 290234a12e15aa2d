import pytest
import torch

from av_emotion_hf.training.reconstruction_baselines import BASELINES, corpus_mean, interpolation, nearest_visible

MEAN = torch.tensor([0.5])


def frames(*values):
    """Features (1, T, 1) and where they are known; None is hidden, and holds what must not be read."""
    features = torch.tensor([[[1e6 if value is None else float(value)] for value in values]])
    return features, torch.tensor([[[value is not None] for value in values]])


@pytest.mark.parametrize("gap", [slice(3, 4), slice(2, 9), slice(1, 11)])
def test_interpolation_of_a_ramp_is_exact(gap):
    ramp = torch.linspace(-3, 8, 12).view(1, -1, 1) * torch.tensor([1.0, -2.0])
    known = torch.ones_like(ramp, dtype=torch.bool)
    known[:, gap] = False
    torch.testing.assert_close(interpolation(ramp.masked_fill(~known, 1e6), known, torch.zeros(2)), ramp)


def test_nearest_takes_the_earlier_of_two():
    guess = nearest_visible(*frames(1, None, None, None, 5), MEAN)
    assert guess.flatten().tolist() == [1, 1, 1, 5, 5]


def test_beyond_the_first_and_last_known_frame_both_hold_it():
    for baseline in (nearest_visible, interpolation):
        assert baseline(*frames(None, None, 2, 4, None), MEAN).flatten().tolist() == [2, 2, 2, 4, 4]


def test_nothing_known_gives_the_mean():
    for baseline in BASELINES.values():
        assert baseline(*frames(None, None), MEAN).flatten().tolist() == [0.5, 0.5]
    assert corpus_mean(*frames(1, None, 3), MEAN).flatten().tolist() == [0.5] * 3


def test_each_feature_is_guessed_from_where_it_is_known():
    features = torch.tensor([[[0.0, 0.0], [9.0, 9.0], [4.0, 9.0], [6.0, 8.0]]])
    known = torch.tensor([[[True, True], [False, False], [True, False], [True, True]]])
    assert interpolation(features, known, torch.zeros(2))[0, 1].tolist() == [2, pytest.approx(8 / 3)]
    assert nearest_visible(features, known, torch.zeros(2))[0, 2].tolist() == [4, 8]


def test_clips_of_a_batch_do_not_mix():
    features = torch.tensor([[[1.0], [0.0]], [[7.0], [0.0]]])
    known = torch.tensor([[[True], [False]], [[True], [False]]])
    assert interpolation(features, known, MEAN)[:, 1].flatten().tolist() == [1, 7]
