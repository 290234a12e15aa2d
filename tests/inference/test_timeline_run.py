import json
import os

import numpy as np
import pytest
from helpers.synthetic import voice, write_clip

from av_emotion_hf import EmotionPredictor, InputError, Timeline, TimelineMaker
from av_emotion_hf.inference.timeline_run import TimelineRun, planned_clips
from av_emotion_hf.timeline.formats import FORMATS

RAW = {"window": 1.0, "hop": 1.0, "smoothing": 0}


@pytest.fixture
def maker(checkpoint):
    return TimelineMaker(EmotionPredictor(checkpoint(), device="cpu"), **RAW)


def test_names_are_the_clips_own(tmp_path):
    (tmp_path / "a").mkdir()
    paths = [str(tmp_path / name) for name in ("talk.mp4", "talk.wav", "a/talk.mp4", "a/solo.mp4")]
    assert [one.name for one in planned_clips(paths)] == ["talk.mp4", "talk.wav", "a-talk.mp4", "solo"]
    assert [one.name for one in planned_clips(["talk.mp4"])] == ["talk"]
    assert [one.name for one in planned_clips(["index.mp4", "summary.wav"])] == ["index.mp4", "summary.wav"]
    assert [one.name for one in planned_clips(["index.mp4"])] == ["index"]


def test_files_of_somebody_else_are_not_replaced(clip, maker, tmp_path):
    (planned,) = planned_clips([str(clip)])
    out = tmp_path / "out"
    out.mkdir()
    (out / "talk.srt").write_text("mine")
    with pytest.raises(InputError, match=r"talk.srt: is there already; choose another --out, or add --overwrite"):
        TimelineRun(maker, out, ["srt"])(planned)
    assert os.listdir(out) == ["talk.srt"] and (out / "talk.srt").read_text() == "mine"
    TimelineRun(maker, out, ["srt"], overwrite=True)(planned)
    assert (out / "talk.srt").read_text() != "mine"


def test_segments_are_never_replaced_by_what_is_made_of_them(clip, maker):
    turns = clip.with_suffix(".csv")
    turns.write_text("start,end,tier\n0,1,Ann\n")
    (planned,) = planned_clips([str(clip)], str(turns))
    with pytest.raises(InputError, match=r"talk.csv: is what this timeline is made of"):
        TimelineRun(maker, clip.parent, ["csv"], overwrite=True)(planned)
    assert turns.read_text() == "start,end,tier\n0,1,Ann\n"


def test_pages_of_somebody_else_are_not_replaced(clip, maker, tmp_path):
    run, clips = TimelineRun(maker, tmp_path / "out", ["csv"]), planned_clips([str(clip)])
    run(clips[0])
    run.write_overview(clips, {})
    run.check_overview()  # its own
    (tmp_path / "out" / "index.html").write_text("<p>mine")
    with pytest.raises(InputError, match=r"index.html: is there already"):
        run.check_overview()


def test_segments_are_one_file_or_a_folder(tmp_path):
    clips, folder = ["x/one.mp4", "x/two.mp4"], tmp_path / "turns"
    folder.mkdir()
    for name in ("one.rttm", "two.eaf", "two.txt"):
        (folder / name).touch()
    planned = planned_clips(clips, str(folder))
    assert [one.segments for one in planned] == [str(folder / "one.rttm"), str(folder / "two.eaf")]
    assert planned_clips(clips[:1], "turns.csv")[0].segments == "turns.csv"
    with pytest.raises(InputError, match=r"turns.csv: is one file, and there are 2 clips; give a folder"):
        planned_clips(clips, "turns.csv")
    (folder / "two.eaf").unlink()
    with pytest.raises(InputError, match=r"has no files of segments called two, and x/two.mp4 needs one: two with"):
        planned_clips(clips, str(folder))


def test_files_are_written_and_not_made_again(clip, maker, tmp_path, monkeypatch):
    (planned,) = planned_clips([str(clip)])
    run = TimelineRun(maker, tmp_path / "out")
    written = run(planned)
    suffixes = {name: one.suffix for name, one in FORMATS.items()} | {"html": ".html"}
    assert written.files == {name: str(tmp_path / "out" / f"talk{suffix}") for name, suffix in suffixes.items()}
    assert sorted(os.listdir(tmp_path / "out")) == sorted(f"talk{suffix}" for suffix in suffixes.values())
    rows = Timeline.from_json(written.files["json"]).rows
    assert [(row.start, row.person) for row in rows] == [
        (0, "person-1"), (1, "person-1"), (1, "person-2"), (2, "person-1"), (2, "person-2"), (3, "person-2")
    ]  # fmt: skip
    monkeypatch.setattr(TimelineMaker, "__call__", lambda *_: pytest.fail("made again"))
    again = run(planned)
    assert again.was_done and again.files == written.files and not again.is_empty


def test_a_clip_that_changed_is_made_again(clip, maker, tmp_path):
    (planned,) = planned_clips([str(clip)])
    run = TimelineRun(maker, tmp_path / "out", ["csv"])
    run(planned)
    later = os.stat(tmp_path / "out" / "talk.json").st_mtime + 10
    os.utime(clip, (later, later))
    assert not run(planned).was_done


@pytest.mark.parametrize(
    ("change", "message"), [({"hop": 0.5}, "hop 1.0, not 0.5"), ({"abstain": 0.9}, "abstain 0.4")]
)
def test_files_of_other_settings_are_not_replaced(clip, maker, tmp_path, change, message):
    (planned,) = planned_clips([str(clip)])
    TimelineRun(maker, tmp_path / "out", ["csv"])(planned)
    before = (tmp_path / "out" / "talk.csv").read_bytes()
    other = TimelineMaker(maker.predictor, **RAW | change)
    with pytest.raises(InputError, match=rf"talk.json: was made with {message}.*choose another --out, or add"):
        TimelineRun(other, tmp_path / "out", ["csv"])(planned)
    assert (tmp_path / "out" / "talk.csv").read_bytes() == before
    assert not TimelineRun(other, tmp_path / "out", ["csv"], overwrite=True)(planned).was_done


def test_an_interrupted_clip_resumes(clip, maker, tmp_path, monkeypatch):
    (planned,) = planned_clips([str(clip)])
    whole = TimelineRun(maker, tmp_path / "whole", ["csv"])(planned)
    run = TimelineRun(maker, tmp_path / "out", ["csv"])

    def stop(seconds, duration):
        if seconds > 2:
            raise KeyboardInterrupt

    run.progress = stop
    with pytest.raises(KeyboardInterrupt):
        run(planned)
    (journal,) = (tmp_path / "out").iterdir()
    lines = journal.read_text().splitlines()
    assert [len(json.loads(line)) for line in lines[1:]] == [1, 2, 2]
    journal.write_text("\n".join(lines)[:-20])  # the last line was being written
    scored, row = [], TimelineMaker.row
    monkeypatch.setattr(
        TimelineMaker, "row", lambda self, one, *rest: scored.append(one.start) or row(self, one, *rest)
    )
    run.progress = lambda *_: None
    resumed = run(planned)
    assert scored == [2, 2, 3]
    assert sorted(os.listdir(tmp_path / "out")) == ["talk.csv", "talk.json"]
    for name in ("csv", "json"):
        assert open(resumed.files[name]).read() == open(whole.files[name]).read()


def test_segments_of_another_clip_leave_nothing(clip, maker, tmp_path):
    turns = tmp_path / "turns.csv"
    turns.write_text("start,end,tier\n0,1,Ann\n50,61.5,Bob\n")
    (planned,) = planned_clips([str(clip)], str(turns))
    with pytest.raises(InputError, match=r"ends at 61.5"):
        TimelineRun(maker, tmp_path / "out")(planned)
    assert not list((tmp_path / "out").iterdir())


def test_given_segments_come_back_filled(clip, maker, tmp_path):
    turns = tmp_path / "turns.csv"
    turns.write_text("start,end,tier,text\n0,1.5,Ann,hello\n1,3,Bob,\n")
    written = TimelineRun(maker, tmp_path / "out", ["csv", "textgrid"])(planned_clips([str(clip)], str(turns))[0])
    timeline = Timeline.from_json(written.files["json"])
    assert [(row.start, row.end, row.person, row.text) for row in timeline.rows] == [
        (0, 1.5, "Ann", "hello"),
        (1, 3, "Bob", None),
    ]
    assert timeline.settings["segments"] == "turns.csv" and all(row.scores for row in timeline.rows)


def test_the_overview_has_every_clip(clip, maker, tmp_path):
    silence = tmp_path / "silence.wav"
    write_clip(silence, sound=np.zeros((1, 16_000), np.float32), codecs=("", "pcm_s16le"), rate=16_000)
    run, clips = TimelineRun(maker, tmp_path / "out", ["html"]), planned_clips([str(clip), str(silence)])
    assert [run(one).is_empty for one in clips] == [False, True]
    page = run.write_overview(clips, {"gone.mp4": "gone.mp4: no such file"}).read_text()
    assert 'href="./talk.html"' in page and "gone.mp4: no such file" in page
    lines = (tmp_path / "out" / "summary.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in lines] == ["person", "person-1", "person-2", "", ""]


def test_an_unknown_format_is_named(maker, tmp_path):
    with pytest.raises(InputError, match="format 'xlsx' is unknown; choose from csv, parquet, json"):
        TimelineRun(maker, tmp_path, ["csv", "xlsx"])


def test_voices_of_a_call(maker, tmp_path):
    sound = np.concatenate([voice(2, 220), voice(2, 110)])
    sound[1, :16_000] = 0
    call = write_clip(tmp_path / "call.wav", sound=sound, rate=16_000, codecs=("", "pcm_s16le"))
    run = TimelineRun(TimelineMaker(maker.predictor, **RAW, channels=True), tmp_path / "out", ["vtt"])
    text = open(run(planned_clips([str(call)])[0]).files["vtt"]).read()
    assert "<v channel-1>" in text and "<v channel-2>" in text
