import pytest
from helpers.small_timelines import row

from av_emotion_hf.timeline.smoothing import smoothed


def angry(rows):
    return [one.scores.get("angry") for one in rows]


def test_triangular_mean_over_neighbors():
    rows = [row(number, number + 2, (value, 1 - value, 0.0)) for number, value in enumerate((0.0, 0.6, 0.9, 0.3))]
    # weights 1 for the window itself and 1/2 at a second's distance; at two seconds none is left
    expected = [0.3 / 1.5, (0.0 + 1.2 + 0.9) / 4, (0.6 + 1.8 + 0.3) / 4, (0.45 + 0.3) / 1.5]
    result = smoothed(rows, 2.0)
    assert angry(result) == pytest.approx(expected)
    assert all(sum(one.scores.values()) == pytest.approx(1) for one in result)
    assert [(one.emotion, one.confidence) for one in result] == [(one.emotion, one.confidence) for one in rows]
    assert angry(rows) == [0.0, 0.6, 0.9, 0.3]


def test_distance_is_that_of_the_centers():
    rows = [row(0, 2, (1.0, 0.0, 0.0)), row(0, 4, (0.0, 1.0, 0.0))]  # centers 1 and 2
    assert angry(smoothed(rows, 4.0)) == pytest.approx([1 / 1.75, 0.75 / 1.75])


def test_windows_without_scores_neither_count_nor_get_any():
    rows = [row(0, 2, (0.9, 0.1, 0.0)), row(1, 3), row(2, 4, (0.3, 0.7, 0.0))]
    result = smoothed(rows, 4.0)
    assert angry(result) == pytest.approx([(0.9 + 0.15) / 1.5, None, (0.3 + 0.45) / 1.5])
    assert result[1] == rows[1]


@pytest.mark.parametrize("seconds", [0, 0.5, 1.0])
def test_nothing_changes_out_of_reach(seconds):
    rows = [row(0, 2, (0.9, 0.1, 0.0)), row(1, 3, (0.3, 0.7, 0.0))]
    assert smoothed(rows, seconds) == rows


def test_nothing_to_smooth():
    assert smoothed([], 3.0) == [] and smoothed([row(0, 2)], 3.0) == [row(0, 2)]
