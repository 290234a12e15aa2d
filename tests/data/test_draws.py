import pytest
import torch

from av_emotion_hf.data.draws import draw_mixture, is_drawn, numbered_draws, uniform


def test_draws_follow_from_numbers_and_leave_others_alone():
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    drawn = []
    for numbers in ((1, 2), (1, 2), (2, 1)):
        with numbered_draws(*numbers):
            drawn.append(torch.rand(3))
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_probabilities_and_ranges():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert not is_drawn(0) and torch.equal(torch.get_rng_state(), state)
    assert all(is_drawn(1.0) for _ in range(100))
    assert sum(is_drawn(0.25) for _ in range(2000)) == pytest.approx(500, abs=60)
    values = [uniform(-3, 5) for _ in range(2000)]
    assert -3 <= min(values) < -2.9 and 4.9 < max(values) <= 5 and sum(values) / 2000 == pytest.approx(1, abs=0.2)


def test_a_mixture_is_at_most_half_of_another():
    torch.manual_seed(0)
    fraction, other = draw_mixture(1000, 1.0)
    assert 0 <= fraction.min() and fraction.max() <= 0.5 and fraction.mean() == pytest.approx(0.25, abs=0.02)
    assert sorted(other.tolist()) == list(range(1000))
