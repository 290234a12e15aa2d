import itertools
import logging

import av as pyav
import numpy as np
import pytest
import soundfile
from helpers.synthetic import voice
from transformers import pipeline

from av_emotion_hf import EmotionPredictor, EmotionStream, InputError, TimelineMaker
from av_emotion_hf.inference import stream as stream_module
from av_emotion_hf.models.windows_av_emotion import READER_RATE

RAW = {"window": 1.0, "hop": 0.5, "smoothing": 0, "abstain": 0}
FRAME = np.full((64, 64, 3), 90, np.uint8)


@pytest.fixture
def hears(checkpoint):
    return EmotionPredictor(checkpoint("audio"), device="cpu")


@pytest.fixture
def sees(checkpoint):
    return EmotionPredictor(checkpoint(), device="cpu")


def speech(seconds, rate, channels=1):
    """A voice that rises, in noise; of two channels the second one is softer. (C, n) float32."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal((channels, len(time)))
    tone = np.sign(np.sin(2 * np.pi * (100 + 40 * time) * time))
    return ((0.2 * tone + 0.02 * noise) * np.linspace(1, 0.5, channels)[:, None]).astype(np.float32)


def chunked(samples, seed, longest):
    """Samples (C, n) in chunks of random lengths, some of them empty."""
    draw, at = np.random.default_rng(seed), 0
    while at < samples.shape[1]:
        size = int(draw.integers(0, longest))
        yield samples[:, at : at + size]
        at += size


def heard(stream, samples, rate, seed=None, longest=20_000):
    """All rows of a recording, pushed in one chunk or in random ones."""
    chunks = [samples] if seed is None else chunked(samples, seed, longest)
    rows = [row for chunk in chunks for row in stream.push(audio=(chunk if len(chunk) > 1 else chunk[0], rate))]
    return rows + stream.finish()


def filmed(path):
    """Frames with their times, and mono samples of a clip."""
    with pyav.open(str(path)) as file:
        frames = [(float(one.time), one.to_ndarray(format="rgb24")) for one in file.decode(video=0)]
    with pyav.open(str(path)) as file:
        samples = np.concatenate([one.to_ndarray() for one in file.decode(audio=0)], axis=1)
    return frames, samples[0]


def lived(stream, frames, samples, step, rate=READER_RATE):
    """All rows of a clip that goes on in steps of some seconds."""
    rows, edges = [], np.arange(0, max(frames[-1][0], len(samples) / rate) + 2 * step, step)
    for first, last in itertools.pairwise(edges):
        part = samples[round(first * rate) : round(last * rate)]
        rows += stream.push((part, rate), [one for one in frames if first <= one[0] < last])
    return rows + stream.finish()


def differences(rows, others):
    assert [(one.start, one.person) for one in rows] == [(one.start, one.person) for one in others]
    return max(abs(a.scores[name] - b.scores[name]) for a, b in zip(rows, others, strict=True) for name in a.scores)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (8000, 1), (22_050, 2)])
def test_rows_do_not_depend_on_the_chunks(hears, rate, channels):
    samples = speech(3.3, rate, channels)
    samples[1:, round(1.2 * rate) :] *= -1.9  # the mix depends on what was heard so far
    whole = heard(EmotionStream(hears, **RAW), samples, rate)
    assert [(row.start, row.end) for row in whole] == [(0, 1), (0.5, 1.5), (1, 2), (1.5, 2.5), (2, 3), (2.5, 3.3)]
    for seed, longest in ((0, 300), (1, 5000), (2, 60_000)):
        if channels == 1 or longest > 300:  # of a few samples nobody knows which axis is which
            assert heard(EmotionStream(hears, **RAW), samples, rate, seed, longest) == whole
    assert len({row.scores["angry"] for row in whole}) > 1


def test_rows_are_the_windows_of_the_pipeline(hears, tmp_path):
    samples = speech(3, 44_100, 2)
    rows = heard(EmotionStream(hears, **RAW | {"hop": 1.0}), samples, 44_100, seed=0)
    soundfile.write(tmp_path / "clip.wav", samples.T, 44_100, subtype="FLOAT")
    pipe = pipeline("audio-visual-emotion-recognition", model=hears.name, device="cpu")
    expected = pipe(str(tmp_path / "clip.wav"), window=1.0)
    assert [(row.start, row.end) for row in rows] == [(one["start"], one["end"]) for one in expected]
    for row, one in zip(rows, expected, strict=True):
        assert row.scores == pytest.approx({each["label"]: each["score"] for each in one["scores"]}, abs=1e-3)
        assert row.loudness == pytest.approx(20 * np.log10(0.15), abs=0.5) and row.emotion in row.scores
        assert row.num_persons is None and row.face_coverage is None


@pytest.mark.slow
def test_persons_are_those_of_the_file(clip, sees):
    frames, samples = filmed(clip)
    expected = TimelineMaker(sees, **RAW)(str(clip))
    for step in (0.13, 0.5, 5.0):
        stream = EmotionStream(sees, **RAW)
        rows = lived(stream, frames, samples, step)
        assert differences(rows, expected.rows) < 1e-3
        assert [row.num_persons for row in rows] == [row.num_persons for row in expected.rows]
        assert [row.face_coverage for row in rows] == pytest.approx(
            [row.face_coverage for row in expected.rows], abs=0.1
        )
        assert {row.person for row in rows} == {"person-1", "person-2"} and stream.late_frames == 0
    assert stream.timeline("call").rows == rows and stream.timeline("call").clip == "call"


def test_one_person_may_be_chosen(clip, sees):
    frames, samples = filmed(clip)
    rows = lived(EmotionStream(sees, person="largest", **RAW), frames, samples, 1.0)
    starts = [row.start for row in rows]
    assert starts == sorted(set(starts)) and all(set(row.shares) == {"audio", "image"} for row in rows)
    assert rows[0].person == "person-1" and rows[-1].person == "person-2"


def test_more_frames_than_are_looked_at_change_nothing(clip, sees):
    frames, samples = filmed(clip)
    doubled = [(time + late, picture) for time, picture in frames for late in (0, 0.04)]
    found = [lived(EmotionStream(sees, **RAW), given, samples, 1.0) for given in (frames, doubled)]
    assert differences(*found) < 1e-6


def test_a_camera_may_use_its_memory_again(clip, sees):
    frames, _ = filmed(clip)
    stream, memory, rows = EmotionStream(sees, **RAW), np.empty_like(frames[0][1]), []
    for time, picture in frames:
        memory[:] = picture
        rows += stream.push(frames=[(time, memory)])
    rows += stream.finish()
    other = EmotionStream(sees, **RAW)
    assert rows == other.push(frames=frames) + other.finish()


def test_video_that_stops_is_not_waited_for(clip, sees, caplog):
    frames, samples = filmed(clip)
    stream, rows = EmotionStream(sees, **RAW), []
    with caplog.at_level(logging.WARNING):
        for second in range(4):
            part = samples[second * 16_000 : (second + 1) * 16_000]
            rows += stream.push((part, 16_000), [one for one in frames if second <= one[0] < min(1.5, second + 1)])
        rows += stream.push((samples[:16_000], 16_000))
    assert [row.start for row in rows] == [0, 0.5, 1, 1.5, 2] and stream.late_frames == 0
    assert [row.person for row in rows] == ["person-1"] * 3 + [None] * 2
    assert set(rows[-1].shares) == {"audio"} or rows[-1].shares["audio"] == 1
    (message,) = caplog.messages
    assert message == "video does not come after 1.4 s, 2 s behind the other one: nobody is seen there"
    stream.push(frames=[(time, picture) for time, picture in frames if 1.5 <= time < 3])
    assert stream.late_frames == 15  # rows up to 3 s were given


def test_audio_that_stops_is_silence(clip, sees, caplog):
    frames, samples = filmed(clip)
    stream = EmotionStream(sees, **RAW | {"hop": 1.0})
    with caplog.at_level(logging.WARNING):
        rows = stream.push((samples[:16_000], 16_000), frames)
    assert [row.loudness is None for row in rows] == [False]
    assert caplog.messages == ["audio does not come after 1.0 s, 2 s behind the other one: silence is in its place"]
    rows += stream.push((samples[24_000:48_000], 16_000, 1.5))  # the first 0.4 s are late
    assert stream.late_audio == pytest.approx(0.4, abs=0.01)
    rows += stream.finish()
    loudness = {row.start: row.loudness for row in rows}
    assert list(loudness) == [0, 1, 2, 3] and loudness[3] is None
    assert loudness[1] == pytest.approx(loudness[0] - 10, abs=0.5)  # a tenth of the second is heard
    assert loudness[2] == pytest.approx(loudness[0], abs=0.5)


def test_a_gap_in_audio_is_silence(hears):
    samples, stream = speech(2, 16_000)[0], EmotionStream(hears, **RAW | {"hop": 1.0})
    rows = stream.push((samples[:16_000], 16_000))
    rows += stream.push((samples[16_000:], 16_000, 3.0))
    assert [(row.start, row.loudness is None) for row in rows] == [(0, False), (1, True), (2, True), (3, False)]
    assert rows[1].emotion is None and rows[1].scores == {}
    assert stream.push((samples[:16_000], 16_000, 4.08))[0].start == 4  # jitter of a clock
    assert stream.push((samples[:16_000], 16_000, 4.95))[0].start == 5
    assert stream.finish() == []


def test_the_last_window_is_half_a_window_or_all(hears):
    def ends(seconds, hop=1.0):
        rows = heard(EmotionStream(hears, **RAW | {"hop": hop}), speech(seconds, 16_000), 16_000)
        return [(row.start, row.end) for row in rows]

    assert ends(0.3) == [(0, 0.3)] and ends(2) == [(0, 1), (1, 2)]
    assert ends(1.7) == [(0, 1), (1, 1.7)] and ends(1.2) == [(0, 1), (0.7, 1.2)]
    assert EmotionStream(hears).finish() == [] and EmotionStream(hears).timeline().rows == []


def test_scores_are_averaged_over_the_past_and_then_over_both_sides(hears):
    samples = speech(3, 16_000)
    raw = heard(EmotionStream(hears, **RAW), samples, 16_000)
    stream = EmotionStream(hears, **RAW | {"smoothing": 1.0, "abstain": 0.99})
    rows = heard(stream, samples, 16_000)
    for number, row in enumerate(rows):
        part = raw[max(0, number - 1) : number + 1]
        weights = [0.5, 1.0][-len(part) :]
        expected = {name: np.average([one.scores[name] for one in part], weights=weights) for name in row.scores}
        assert row.scores == pytest.approx(expected, abs=2e-4) and row.emotion == "uncertain"
    both = stream.timeline().rows[1]
    expected = np.average([one.scores["sad"] for one in raw[:3]], weights=[0.5, 1, 0.5])
    assert both.scores["sad"] == pytest.approx(expected, abs=2e-4)
    assert stream.timeline().settings["smoothing"] == 1.0 and stream.timeline().has_audio
    assert stream.timeline().duration == 3 and not stream.timeline().has_video


def test_memory_does_not_grow(clip, sees):
    frames, samples = filmed(clip)
    stream, sizes = EmotionStream(sees, keep=5.0, **RAW | {"hop": 1.0}), []
    stream._maker.row = lambda inputs, *_: stream_module.TimelineRow(inputs.start, inputs.start + 1)
    for number in range(12):
        stream.push((samples[:32_000], 16_000), [(time + 2 * number, one) for time, one in frames if time < 2])
        waiting = len(stream._faces._follower._faces.held) + len(stream._faces._follower._names._held)
        sizes.append((stream._audio._held.nbytes, len(stream._faces._held), waiting, len(stream._brought)))
    assert np.all(np.max(sizes[6:], axis=0) <= np.max(sizes[:6], axis=0)), sizes
    assert [row.start for row in stream.timeline().rows] == list(range(17, 22 + 1))[: len(stream.timeline().rows)]
    assert 5 <= len(stream.timeline().rows) <= 6


def test_latency_is_measured_from_the_last_chunk(hears, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(stream_module.time, "perf_counter", lambda: clock[0])
    stream = EmotionStream(hears, **RAW)
    assert stream.latency == stream_module.StreamLatency(0, None, None, None)

    def row(inputs, *_):
        clock[0] += 0.2
        return stream_module.TimelineRow(inputs.start, inputs.start + 1)

    stream._maker.row = row
    samples = speech(0.5, 16_000)[0]
    for _ in range(4):
        stream.push((samples, 16_000))
        clock[0] += 7  # nothing comes
    assert stream.latency.windows == 3 and stream.latency.median == stream.latency.p95 == pytest.approx(0.2)
    assert stream.latency.load == pytest.approx(0.6 / 2)
    stream.push((np.tile(samples, 2), 16_000))  # the second of two windows waits for the first one
    assert stream.latency.p95 == pytest.approx(np.quantile([0.2, 0.2, 0.2, 0.2, 0.4], 0.95))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"audio": (np.array([0.1, np.nan]), 16_000)}, "1 of 2 values are NaN or infinite"),
        ({"audio": (np.zeros((3, 4, 5)), 16_000)}, r"of shape \(3, 4, 5\)"),
        ({"audio": (np.full(100, 9.0), 16_000)}, "full scale is 1, and its peak is 9"),
        ({"audio": (np.zeros(100), 12)}, "sampling_rate=12: has to be a whole number of Hz"),
        ({"audio": (np.zeros(100), 44_100)}, "audio of 44100 Hz with 1 channel.* after 16000 Hz with 1"),
        ({"audio": (np.zeros((2, 100)), 16_000)}, "audio of 16000 Hz with 2 channel"),
        ({"audio": np.zeros(100)}, r"audio given as a ndarray: give audio=\(samples, sampling_rate\)"),
        ({"audio": (np.zeros(100), 16_000, 0.2)}, "audio at 0.2 s: goes back, as the chunk before ended at 0.5 s"),
        ({"audio": (np.zeros(100), 16_000, "now")}, "time='now': has to be seconds since the start of the stream"),
        ({"audio": (np.zeros(100), 16_000, 1.7e9)}, "time=1.7e[+]09: is more than 600 s after what came before"),
        ({"frames": [(0.4, FRAME)]}, "a frame at 0.4 s: goes back, as the one before was at 0.4 s"),
        ({"frames": [(0.6, FRAME), (0.5, FRAME)]}, "a frame at 0.5 s: goes back, as the one before was at 0.6 s"),
        ({"frames": [(float("nan"), FRAME)]}, "time=nan: has to be seconds"),
        ({"frames": [(-1, FRAME)]}, "time=-1: has to be seconds since the start of the stream, 0 or more"),
        ({"frames": [(0.6, FRAME[..., :2])]}, "the frame at 0.6 s: 64 images where one is expected"),
        ({"frames": [(0.6, FRAME / 255 - 1)]}, "the frame at 0.6 s .*negative pixels"),
        ({"frames": [(0.6, FRAME[:4])]}, "has fewer than 16 pixels on a side"),
        ({"frames": [FRAME]}, r"a frame given as a ndarray: give pairs, frames=\[\(seconds, image\), ...\]"),
        ({"frames": 3}, "frames given as a int: give a list of pairs"),
    ],
)
def test_what_cannot_be_used_is_refused_and_changes_nothing(sees, given, message):
    stream = EmotionStream(sees, **RAW)
    stream.push((voice(0.5, 150)[0], 16_000), [(0.4, FRAME)])
    sound = {"audio": (np.zeros(1600, np.float32), 16_000), "frames": [(0.6, FRAME)]}
    with pytest.raises(InputError, match=message) as caught:
        stream.push(**sound | given)
    assert str(caught.value).isprintable()
    assert stream._audio.given == 0.5 and stream._faces.given == 0.4
    stream.push(**sound)
    assert stream._audio.given == 0.6 and stream._faces.given == 0.6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"person": "person-2"}, "person='person-2': of a stream there are all and largest"),
        ({"keep": 0}, "keep=0: has to be a positive number of seconds"),
        ({"hop": 5}, "hop=5: is longer than the window"),
        ({"window": float("nan")}, "window=nan: has to be"),
        ({"abstain": 2}, "abstain=2: has to be a probability"),
    ],
)
def test_settings_are_checked(hears, options, message):
    with pytest.raises(InputError, match=message):
        EmotionStream(hears, **options)


def test_a_finished_stream_takes_nothing(hears):
    stream = EmotionStream(hears)
    stream.finish()
    for call in (stream.finish, lambda: stream.push((np.zeros(10), 16_000))):
        with pytest.raises(InputError, match="the stream is finished; make another EmotionStream"):
            call()
