import numpy as np
import pytest
from helpers.small_timelines import LABELS, ODD, interview, row, timeline_of, turns

from av_emotion_hf import InputError
from av_emotion_hf.timeline.answers import UNCERTAIN, answer_of, check_abstain
from av_emotion_hf.timeline.table import lane_name

COLUMNS = [
    "start", "end", "person", "emotion", "confidence", "score_angry", "score_happy", "score_sad", "face_coverage",
    "voice_coverage", "share_audio", "share_image", "loudness", "pitch", "num_persons",
]  # fmt: skip


def test_persons_are_in_order_and_nobody_is_last():
    timeline = timeline_of(
        [row(0, 2, person=None), row(0, 2, person="b"), row(2, 4, person="a"), row(2, 4, person="b")]
    )
    assert timeline.persons == ["b", "a", None]
    assert [one.start for one in timeline.of("b")] == [0, 2] and len(timeline.of(None)) == 1 and timeline.of("c") == []
    assert [lane_name(person) for person in timeline.persons] == ["b", "a", "voice"]


def test_columns_have_what_was_seen_and_none_where_nothing_was():
    table = interview().columns()
    assert list(table) == COLUMNS and {len(values) for values in table.values()} == {5}
    assert table["person"] == ["person-1", ODD, "person-1", "person-1", None]
    assert table["score_angry"] == [0.71239, 0.1, 0.6, None, 0.2]
    assert table["emotion"] == ["angry", "sad", "angry", None, "happy"]
    assert table["share_audio"] == [0.4, None, None, None, 1.0] and table["share_image"] == [
        0.6,
        1.0,
        None,
        None,
        None,
    ]
    assert table["num_persons"] == [2, None, 1, 0, 0] and table["pitch"] == [181.26, None, None, None, None]


def test_texts_are_a_column_if_there_are_any():
    assert turns().columns()["text"] == ['So "no" & <b>', None, "über"]
    assert list(timeline_of([]).columns()) == COLUMNS


def test_data_frame():
    frame = interview().to_pandas()
    assert list(frame) == COLUMNS and frame.score_angry.dtype == np.float64
    assert frame.score_angry.isna().tolist() == [False, False, False, True, False]
    assert frame.groupby("person").score_angry.mean()["person-1"] == pytest.approx((0.71239 + 0.6) / 2)


def test_segments_are_those_of_the_settings():
    rows = [row(0, 2, (0.6, 0.3, 0.1)), row(2, 4, (0.42, 0.48, 0.1))]
    assert [one.emotion for one in timeline_of(rows).segments] == ["angry", "happy"]
    assert [one.emotion for one in timeline_of(rows, settings={"hysteresis": 0.1}).segments] == ["angry"]
    uncertain = timeline_of(rows, settings={"abstain": 0.5}).segments
    assert [one.emotion for one in uncertain] == ["angry", "uncertain"]
    assert [one.text for one in turns().segments] == ['So "no" & <b>', "über", None]  # of Anna, then of Ben


def test_center():
    assert row(1, 4).center == 2.5


def test_answers():
    scores = dict(zip(LABELS, (0.3, 0.5, 0.2), strict=True))
    assert answer_of(scores, 0.5) == "happy" and answer_of(scores, 0.51) == UNCERTAIN and answer_of({}, 0.5) is None
    assert check_abstain(1) == 1.0 and isinstance(check_abstain(1), float)
    for wrong in (-0.1, 1.1, "0.4", None, True, float("nan")):
        with pytest.raises(InputError, match="has to be a probability"):
            check_abstain(wrong)
