import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.small_timelines import example, interview, row, timeline_of

from av_emotion_hf import InputError, Timeline
from av_emotion_hf.timeline.formats import FORMATS, write_timeline
from av_emotion_hf.timeline.segment_files import READERS, read_segments

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
SUFFIXES = {
    "csv": ".csv",
    "parquet": ".parquet",
    "json": ".json",
    "vtt": ".vtt",
    "srt": ".srt",
    "eaf": ".eaf",
    "textgrid": ".TextGrid",
    "rttm": ".rttm",
    "audacity": ".audacity.txt",
}
LIGHT = """
import sys
import av_emotion_hf.timeline.formats, av_emotion_hf.timeline.segment_files
loaded = {"pyarrow", "pandas", "torch"} & set(sys.modules)
assert not loaded, loaded
"""


def test_every_format_has_its_file(tmp_path):
    files = write_timeline(interview(), tmp_path / "new" / "folder", "talk.final")
    assert {name: files[name].name for name in SUFFIXES} == {
        name: f"talk.final{suffix}" for name, suffix in SUFFIXES.items()
    }
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(files.values())
    assert all(path.stat().st_size for path in files.values())


def test_some_formats_and_none_that_do_not_exist(tmp_path):
    assert list(write_timeline(interview(), tmp_path, "talk", ["srt", "csv"])) == ["srt", "csv"]
    with pytest.raises(InputError, match=r"format 'docx': is not one of csv, parquet, json, .*; choose some of these"):
        write_timeline(interview(), tmp_path / "other", "talk", ["csv", "docx"])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", FORMATS)
def test_methods_write_what_formats_write(tmp_path, name):
    one = FORMATS[name].write(interview(), tmp_path / "a")
    other = getattr(interview(), f"to_{name}")(str(tmp_path / "b"))
    assert (one, other) == (tmp_path / "a", tmp_path / "b")
    strip = re.compile(rb'DATE="[^"]*"')
    assert strip.sub(b"", one.read_bytes()) == strip.sub(b"", other.read_bytes())


@pytest.mark.parametrize("name", FORMATS)
def test_files_are_whole_or_absent(tmp_path, name):
    folder = tmp_path / "talk"
    folder.mkdir()
    with pytest.raises(InputError, match="talk: cannot be written"):
        FORMATS[name].write(interview(), folder)
    assert list(tmp_path.iterdir()) == [folder] and list(folder.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "timeline",
    [
        timeline_of([], 0.0),
        timeline_of([], 5.0, has_video=False, has_audio=False),
        timeline_of([row(0, 2, person=None)]),
        timeline_of([row(0, 2, (0.7, 0.2, 0.1), "p\udce4\x00\x85\u2028q")], clip="t\udce4lk\n.mp4"),
    ],
    ids=["empty", "no rows", "nothing seen", "no text"],
)
def test_odd_timelines_have_files_that_are_read(tmp_path, name, timeline):
    path = write_timeline(timeline, tmp_path, "talk", [name])[name]
    if path.suffix.lower() in READERS:
        if (name == "csv" and timeline.rows) or timeline.segments:
            assert len(read_segments(path)) == 1
        else:
            with pytest.raises(InputError, match="has no segments"):
                read_segments(path)


@pytest.mark.slow
def test_an_hour_with_three_persons_is_fast(tmp_path):
    names = ("person-1", "person-2", "person-3")
    scores = ((0.7, 0.2, 0.1), (0.2, 0.7, 0.1), (0.1, 0.2, 0.7))
    rows = [row(s, s + 4, scores[(s // 5 + k) % 3], name) for s in range(3600) for k, name in enumerate(names)]
    timeline = timeline_of(rows)
    start = time.process_time()
    files = write_timeline(timeline, tmp_path, "talk")
    seconds = time.process_time() - start
    assert len(read_segments(files["eaf"])) == len(timeline.segments) == 3 * 720
    assert Timeline.from_json(files["json"]) == timeline
    assert seconds < 10


def test_nothing_heavy_is_imported_before_it_is_needed():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_page_has_the_columns_of_the_table():
    table = re.search(r"\| column \|.*?\n\n", PAGE, flags=re.S)[0].rstrip()
    documented = [name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    named = {"score_LABEL": [f"score_{label}" for label in example().labels]}
    assert [one for name in documented for one in named.get(name, [name])] == [*example().columns(), "text"]


def test_page_has_every_format_and_suffix_that_is_read():
    for name, one in FORMATS.items():
        assert f"| `{name}` | `NAME{one.suffix}` |" in PAGE
    for suffix in READERS:
        assert f"`{suffix}`" in PAGE.lower()


@pytest.mark.parametrize("name", [name for name in SUFFIXES if name != "parquet"])
def test_examples_on_the_page_are_the_files(tmp_path, name):
    text = FORMATS[name].write(example(), tmp_path / "talk").read_text(encoding="utf-8")
    (block,) = re.findall(rf"<!-- example: {name} -->\n```\w*\n(.*?)```", PAGE, flags=re.S)
    for part in block.split("...\n"):
        assert part in text and part.count("\n") > 1
