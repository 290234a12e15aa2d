import numpy as np
import pytest
from helpers.synthetic import gray_frames, voice, write_clip
from transformers import pipeline

from av_emotion_hf import EmotionPredictor, GivenSegment, InputError, TimelineMaker
from av_emotion_hf.timeline.smoothing import smoothed

RAW = {"window": 1.0, "hop": 1.0, "smoothing": 0, "abstain": 0, "hysteresis": 0}


@pytest.fixture
def predictor(checkpoint):
    return EmotionPredictor(checkpoint(), device="cpu")


@pytest.fixture
def call(tmp_path):
    """A call: a high voice on the left in the first second, a low one on the right in the second."""
    sound = np.zeros((2, 32_000), np.float32)
    sound[0, :16_000], sound[1, 16_000:] = voice(1, 220)[0], voice(1, 110)[0]
    return str(write_clip(tmp_path / "call.wav", sound=sound, rate=16_000, codecs=("", "pcm_s16le")))


def test_rows_are_the_windows_of_the_pipeline(clip, predictor):
    timeline = TimelineMaker(predictor, **RAW)(str(clip))
    pipe = pipeline("audio-visual-emotion-recognition", model=predictor.name, device="cpu")
    expected = pipe(str(clip), person="all", window=1.0)
    assert [(row.start, round(row.end), row.person) for row in timeline.rows] == [
        (row["start"], round(row["end"]), row["person"]) for row in expected
    ]
    for row, other in zip(timeline.rows, expected, strict=True):
        scores = {one["label"]: one["score"] for one in other["scores"]}
        assert row.scores == pytest.approx(scores, abs=6e-5) and list(row.scores) == list(timeline.labels)
        assert row.emotion == other["scores"][0]["label"] and row.confidence == max(row.scores.values())
        used = {name: share for name, share in other["modality_shares"].items() if share}
        assert row.shares == pytest.approx(used, abs=1e-4)
    assert [row.num_persons for row in timeline.rows] == [1, 2, 2, 2, 2, 1]
    assert [row.face_coverage for row in timeline.rows] == [1, 1, 0.4, 0.8, 1, 1]
    assert timeline.persons == ["person-1", "person-2"] and timeline.has_audio and timeline.has_video
    assert timeline.model["name"] == predictor.name and len(timeline.model["sha256"]) == 64
    assert {name: len(pictures) for name, pictures in timeline.pictures.items()} == {"person-1": 3, "person-2": 3}
    for row in timeline.rows:
        assert row.pitch == pytest.approx(150, rel=0.02) and row.voice_coverage > 0.8
        assert row.loudness == pytest.approx(20 * np.log10(0.3), abs=1.5)


def test_silence_within_a_window_counts_as_in_the_pipeline(tmp_path, predictor):
    sound = np.concatenate([voice(1.5, 150), np.zeros((1, 24_000), np.float32)], axis=1)
    path = str(write_clip(tmp_path / "pause.wav", sound=sound, rate=16_000, codecs=("", "pcm_s16le")))
    (row,) = TimelineMaker(predictor, **RAW | {"window": 3.0, "hop": 3.0})(path).rows
    pipe = pipeline("audio-visual-emotion-recognition", model=predictor.name, device="cpu")
    assert row.scores == pytest.approx({one["label"]: one["score"] for one in pipe(path)}, abs=6e-5)
    assert row.voice_coverage == pytest.approx(0.5, abs=0.05)


def test_windows_overlap_and_scores_are_smoothed(clip, predictor):
    raw = TimelineMaker(predictor, **RAW | {"hop": 0.5})(str(clip))
    timeline = TimelineMaker(predictor, window=1.0, hop=0.5, smoothing=1.0, abstain=0.5)(str(clip))
    assert [row.start for row in timeline.of("person-1")] == [0, 0.5, 1, 1.5, 2, 2.5]
    for person in ("person-1", "person-2"):
        for row, other in zip(timeline.of(person), smoothed(raw.of(person), 1.0), strict=True):
            assert row.scores == pytest.approx(other.scores, abs=1e-4)
            assert row.emotion == (max(row.scores, key=row.scores.get) if row.confidence >= 0.5 else "uncertain")
    assert any(one.scores != other.scores for one, other in zip(raw.rows, timeline.rows, strict=True))


def test_known_windows_are_not_scored_again(clip, predictor, monkeypatch):
    maker, made = TimelineMaker(predictor, **RAW), []
    whole = maker(str(clip), made=made.append)
    assert [len(rows) for rows in made] == [1, 2, 2, 1]
    scored, row = [], TimelineMaker.row
    monkeypatch.setattr(
        TimelineMaker, "row", lambda self, one, *rest: scored.append(one.start) or row(self, one, *rest)
    )
    again = []
    assert maker(str(clip), known=made[:2], made=again.append).rows == whole.rows
    assert scored == [2, 2, 3] and again == made[2:]


def test_progress_ends_the_work(clip, predictor):
    seen = []

    def progress(seconds, duration):
        seen.append((round(seconds, 1), round(duration, 1)))
        if seconds > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TimelineMaker(predictor, **RAW)(str(clip), progress=progress)
    assert seen == [(1, 4), (2, 4)]


def test_given_segments_keep_tier_and_text(clip, predictor):
    segments = [GivenSegment(0.0, 1.5, "Ann", "hello"), GivenSegment(1.0, 4.0, "Bob")]
    timeline = TimelineMaker(predictor, **RAW)(str(clip), segments, "turns.csv")
    assert [(row.start, round(row.end, 1), row.person, row.text) for row in timeline.rows] == [
        (0, 1.5, "Ann", "hello"),
        (1, 4, "Bob", None),
    ]
    assert [(one.start, one.emotion, one.text) for one in timeline.segments] == [
        (row.start, row.emotion, row.text) for row in timeline.rows
    ]
    assert timeline.settings["segments"] == "turns.csv"
    windows = TimelineMaker(predictor, "speaking", **RAW)(str(clip)).rows[1:]
    mean = {label: np.mean([row.scores[label] for row in windows]) for label in timeline.labels}
    assert timeline.rows[1].scores == pytest.approx(mean, abs=1e-3)  # three windows of a second


def test_tiers_of_persons_are_those_persons(clip, predictor):
    maker = TimelineMaker(predictor, **RAW)
    timeline = maker(str(clip), [GivenSegment(1.0, 2.0, "person-1"), GivenSegment(1.0, 2.0, "person-2")])
    apart = maker(str(clip))
    assert [set(row.shares) for row in timeline.rows] == [{"audio", "image"}] * 2  # a segment says who speaks
    assert [set(row.shares) for row in apart.rows if row.start == 1] == [{"image"}] * 2
    assert [row.face_coverage for row in timeline.rows] == [1, 0.4]
    with pytest.raises(InputError, match="person='person-7': nobody in the clip has this name; there are person-1"):
        maker(str(clip), [GivenSegment(1.0, 2.0, "person-7")])


def test_channels_are_persons(call, predictor):
    made = []
    maker = TimelineMaker(predictor, **RAW, channels=True)
    timeline = maker(call, made=made.append)
    assert [(row.start, row.person) for row in timeline.rows] == [
        (0, "channel-1"), (0, "channel-2"), (1, "channel-1"), (1, "channel-2")
    ]  # fmt: skip
    pitches = [row.pitch for row in timeline.rows]
    assert pitches[1:3] == [None, None] and pitches[::3] == pytest.approx([220, 110], rel=0.02)
    assert [bool(row.scores) for row in timeline.rows] == [True, False, False, True]
    assert timeline.rows[1].emotion is timeline.rows[1].confidence is None and timeline.rows[1].voice_coverage == 0
    assert not timeline.has_video and timeline.rows[0].face_coverage is None
    assert maker(call, known=made[:3]).rows == timeline.rows


def test_channels_that_are_no_persons_are_told(tmp_path, predictor):
    maker = TimelineMaker(predictor, **RAW, channels=True)
    mono, same = tmp_path / "mono.wav", tmp_path / "same.wav"
    write_clip(mono, sound=voice(1, 150), rate=16_000, codecs=("", "pcm_s16le"))
    write_clip(
        same, sound=np.repeat(voice(1, 150), 2, 0) * np.float32([[1], [-0.5]]), rate=16_000, codecs=("", "pcm_s16le")
    )
    with pytest.raises(InputError, match=r"mono\.wav: has one channel, and a call with two people has two; leave out"):
        maker(str(mono))
    with pytest.raises(InputError, match=r"same.wav: both channels are the same \(correlation -1.00\)"):
        maker(str(same))
    silent = write_clip(tmp_path / "silent.mp4", gray_frames([20] * 10), 10)
    with pytest.raises(InputError, match=r"silent\.mp4: has no audio"):
        maker(str(silent))


def test_a_clip_with_nothing_to_see_or_hear_has_empty_rows(tmp_path, predictor):
    silence = write_clip(
        tmp_path / "no.wav", sound=np.zeros((1, 32_000), np.float32), codecs=("", "pcm_s16le"), rate=16_000
    )
    timeline = TimelineMaker(predictor, **RAW)(str(silence))
    assert [(row.person, row.emotion, row.scores, row.shares, row.voice_coverage) for row in timeline.rows] == [
        (None, None, {}, {}, 0.0)
    ] * 2
    assert timeline.segments == [] and timeline.pictures == {} and timeline.persons == [None]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 0}, "window=0: has to be 0.5 seconds or more"),
        ({"window": float("nan")}, "window=nan: has to be 0.5 seconds or more"),
        ({"hop": 5.0}, "hop=5: is longer than the window of 4 s"),
        ({"smoothing": -1}, "smoothing=-1: has to be 0 seconds or more"),
        ({"abstain": 2}, "abstain=2: has to be a probability"),
        ({"hysteresis": 1}, "hysteresis=1: has to be from 0 to below 1"),
        ({"person": "anna"}, "person='anna': there is no such choice"),
        ({"channels": True, "person": "speaking"}, "channels: are persons, and person='speaking' chooses one"),
    ],
)
def test_settings_that_cannot_be(predictor, settings, message):
    with pytest.raises(InputError, match=message):
        TimelineMaker(predictor, **settings)


def test_a_voice_model_sees_nobody(call, checkpoint):
    predictor = EmotionPredictor(checkpoint("audio"), device="cpu")
    timeline = predictor.timeline(call, **RAW)
    assert [row.person for row in timeline.rows] == [None] * 2 and timeline.rows[0].shares == {"audio": 1.0}
    with pytest.raises(InputError, match=r"person='person-2': .* hears voices and sees nobody"):
        TimelineMaker(predictor, person="person-2")
