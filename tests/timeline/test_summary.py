import pytest
from helpers.small_timelines import LABELS, interview, row, timeline_of

from av_emotion_hf.timeline.segments import segments_of
from av_emotion_hf.timeline.summary import summary_of


def test_summary_by_hand():
    rows = [
        row(0, 2, (0.8, 0.1, 0.1), face_coverage=1.0, voice_coverage=0.5, shares={"audio": 0.25, "image": 0.75}),
        row(2, 4, (0.2, 0.7, 0.1), face_coverage=0.5, voice_coverage=0.1, shares={"audio": 0.75, "image": 0.25}),
        row(4, 6, face_coverage=0.0, voice_coverage=0.0),
        row(6, 9, (0.1, 0.7, 0.2), face_coverage=0.9, voice_coverage=0.2, shares={"audio": 1.0}),
    ]
    other = row(0, 8, (0.9, 0.1, 0.0), "person-2")
    summary = summary_of(rows, segments_of(rows) + segments_of([other]), LABELS)
    assert summary.person == "person-1" and summary.seconds == 7 and summary.emotion == "happy"
    assert summary.emotion_seconds == {"happy": 5, "angry": 2} and list(summary.emotion_seconds) == ["happy", "angry"]
    assert summary.mean_scores == pytest.approx({"angry": 1.1 / 3, "happy": 0.5, "sad": 0.4 / 3})
    assert summary.face_coverage == pytest.approx(0.6) and summary.voice_coverage == pytest.approx(0.2)
    assert summary.shares == pytest.approx({"audio": 2 / 3, "image": 1 / 3})


def test_uncertain_is_the_emotion_only_if_there_is_no_other():
    rows = [row(0, 6, (0.4, 0.3, 0.3), abstain=0.5), row(6, 8, (0.6, 0.3, 0.1), abstain=0.5)]
    assert summary_of(rows, segments_of(rows, abstain=0.5), LABELS).emotion == "angry"
    alone = summary_of(rows[:1], segments_of(rows[:1], abstain=0.5), LABELS)
    assert alone.emotion == "uncertain" and alone.emotion_seconds == {"uncertain": 6}


def test_nothing_seen_or_heard():
    summary = summary_of([row(0, 2), row(2, 4)], [], LABELS)
    assert (summary.seconds, summary.emotion, summary.emotion_seconds) == (0, None, {})
    assert (summary.mean_scores, summary.shares, summary.face_coverage) == ({}, {}, None)


def test_each_person_has_one():
    summaries = interview().summary
    assert [(one.person, one.seconds) for one in summaries][::2] == [("person-1", 4.0), (None, pytest.approx(1.5004))]
    assert timeline_of([]).summary == []
