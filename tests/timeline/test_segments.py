import pytest
from helpers.small_timelines import row

from av_emotion_hf.timeline.segments import Segment, segments_of


def spans(rows, **options):
    return [(one.start, one.end, one.emotion, round(one.confidence, 4)) for one in segments_of(rows, **options)]


def test_windows_of_one_emotion_are_a_segment_with_their_mean():
    rows = [row(0, 2, (0.7, 0.2, 0.1)), row(2, 4, (0.5, 0.4, 0.1)), row(4, 6, (0.1, 0.9, 0.0))]
    assert spans(rows) == [(0, 4, "angry", 0.6), (4, 6, "happy", 0.9)]
    assert {one.person for one in segments_of(rows)} == {"person-1"} and segments_of(rows)[0].text is None


def test_no_rows_have_no_segments():
    assert segments_of([]) == segments_of([row(0, 2), row(2, 4)]) == []


def test_segments_change_in_the_middle_of_the_overlap():
    rows = [row(0, 4, (0.7, 0.2, 0.1)), row(1, 5, (0.2, 0.7, 0.1)), row(2, 6, (0.1, 0.2, 0.7))]
    assert spans(rows) == [(0, 2.5, "angry", 0.7), (2.5, 3.5, "happy", 0.7), (3.5, 6, "sad", 0.7)]
    # a last window that is longer than the others touches the one before it, and the border is there
    assert spans([row(0, 2, (1, 0, 0)), row(2, 5, (0, 1, 0))]) == [(0, 2, "angry", 1), (2, 5, "happy", 1)]


def test_where_nothing_is_seen_or_heard_is_no_segment_and_no_two_overlap():
    rows = [row(0, 4, (0.7, 0.2, 0.1)), row(1, 5), row(2, 6, (0.6, 0.2, 0.2)), row(3, 7)]
    assert spans(rows) == [(0, 2.5, "angry", 0.7), (3.5, 4.5, "angry", 0.6)]
    assert spans([row(0, 2), row(2, 4, (0.7, 0.2, 0.1)), row(4, 6)]) == [(2, 4, "angry", 0.7)]


def test_a_gap_between_windows_ends_a_segment():
    rows = [row(0, 2, (0.7, 0.2, 0.1)), row(2.5, 4.5, (0.7, 0.2, 0.1)), row(4.5 + 5e-7, 6, (0.7, 0.2, 0.1))]
    assert spans(rows) == [(0, 2, "angry", 0.7), (2.5, 6, "angry", 0.7)]


@pytest.mark.parametrize(
    ("hysteresis", "expected"),
    [(0.0, ["angry", "happy", "angry", "happy"]), (0.1, ["angry", "happy"]), (0.3, ["angry"])],
)
def test_another_emotion_has_to_exceed_by_the_hysteresis(hysteresis, expected):
    scores = [(0.5, 0.4, 0.1), (0.43, 0.47, 0.1), (0.47, 0.43, 0.1), (0.4, 0.6, 0.0)]
    rows = [row(2 * number, 2 * number + 2, values) for number, values in enumerate(scores)]
    assert [one[2] for one in spans(rows, hysteresis=hysteresis)] == expected


def test_uncertain_until_a_class_reaches_the_abstention_and_again_below_it_less_hysteresis():
    best = [0.42, 0.48, 0.5, 0.45, 0.41, 0.39, 0.49]
    rows = [row(number, number + 1, (value, 0.3, 0.7 - value)) for number, value in enumerate(best)]
    assert spans(rows, abstain=0.5, hysteresis=0.1) == [
        (0, 2, "uncertain", 0.45),
        (2, 5, "angry", round((0.5 + 0.45 + 0.41) / 3, 4)),
        (5, 7, "uncertain", 0.44),
    ]


def test_confidence_of_an_emotion_that_lasts_is_its_own_not_the_best_one():
    rows = [row(0, 2, (0.6, 0.3, 0.1)), row(2, 4, (0.42, 0.48, 0.1))]
    assert spans(rows, hysteresis=0.1) == [(0, 4, "angry", 0.51)]


def test_given_segments_stay_as_they_are():
    rows = [row(0, 3, (0.7, 0.2, 0.1), "Anna", text="no"), row(1, 2, None, "Anna"), row(3, 4, (0.7, 0.2, 0.1), "Anna")]
    assert segments_of(rows, abstain=0.9, hysteresis=0.5, given=True) == [
        Segment(0, 3, "Anna", "angry", 0.7, "no"),
        Segment(1, 2, "Anna", None, None, None),
        Segment(3, 4, "Anna", "angry", 0.7, None),
    ]
