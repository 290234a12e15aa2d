import numpy as np
import pytest
from helpers.scripted_faces import scenes
from helpers.synthetic import tone, write_clip
from PIL import Image

from av_emotion_hf.errors import InputError
from av_emotion_hf.media import MEASURES, face_windows, measure_faces, open_clip, track_faces
from av_emotion_hf.plots import draw_faces
from av_emotion_hf.plots.canvas import GAP
from av_emotion_hf.plots.contact_sheet import BAR, COLORS, CROP, CROPS, _Seen


def test_the_sheet_shows_where_the_face_is_and_where_not(tmp_path, paste_faces):
    frames = [paste_faces((100, 40, 160))] * 12 + [paste_faces()] * 12
    clip = write_clip(tmp_path / "leaves.mp4", frames, 10)
    report = draw_faces(clip, tmp_path / "sheet.png", "mtcnn")
    assert (report.frames, report.detector, report.num_faces) == (24, "mtcnn", 1)
    assert report.face_coverage == pytest.approx(0.5, abs=0.05)
    ((start, end),) = report.absent
    assert start == pytest.approx(1.2, abs=0.11) and end == pytest.approx(2.4, abs=0.05)
    assert sum(report.status.values()) == 24 and report.status["none"] == pytest.approx(12, abs=1)
    (person,), face = report.persons, track_faces(open_clip(clip, fps=10), "mtcnn")
    assert person.quality.keys() == set(MEASURES)
    for name, values in measure_faces(face.crops, face.boxes).items():
        assert person.quality[name] == pytest.approx(np.median(values), abs=1e-3)

    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    bar = sheet[-4 * BAR - GAP + 5, GAP:-GAP]
    none = (bar == COLORS["none"]).all(axis=1)
    assert none.mean() == pytest.approx(0.5, abs=0.06)
    assert not none[: len(none) // 3].any() and none[-len(none) // 3 :].mean() > 0.95  # the rest are ticks
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(
    ("clip", "out", "message"),
    [
        ("song.m4a", "sheet.png", "has no video, so there is no face to follow"),
        ("none.mp4", "sheet.png", "there is no such file"),
        ("song.m4a", "sheet", "is not the name of an image file; end it in .png or .jpg"),
        ("song.m4a", "sheet.mp4", "is not the name of an image file"),
    ],
)
def test_bad_calls_are_named_and_write_nothing(tmp_path, clip, out, message):
    write_clip(tmp_path / "song.m4a", sound=tone(0.5))
    with pytest.raises(InputError, match=message):
        draw_faces(tmp_path / clip, tmp_path / out, "mtcnn")
    assert [path.name for path in tmp_path.iterdir()] == ["song.m4a"]


def test_where_nothing_can_be_written_the_clip_is_not_read(tmp_path):
    (tmp_path / "file").touch()
    for out, message in (("file/sheet.png", "file is not a folder"), ("sheet.png", "is a folder; choose a file")):
        (tmp_path / "sheet.png").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=message):
            draw_faces(tmp_path / "no.mp4", tmp_path / out, "mtcnn")


def test_each_person_has_a_block(tmp_path):
    shots = [
        (16, [("ann", 60, 40, 60)]),
        (12, [("ann", 10, 50, 50), ("bob", 120, 50, 50)]),
        (12, [("bob", 60, 40, 60)]),
    ]
    images, detector = scenes(shots)
    clip = write_clip(tmp_path / "talk.mp4", images.images, 10)
    report = draw_faces(clip, tmp_path / "all.png", detector)
    assert [(one.name, one.seconds, one.face_coverage) for one in report.persons] == [
        ("person-1", pytest.approx(2.8, abs=0.05), 0.7), ("person-2", pytest.approx(2.4, abs=0.05), 0.6),
    ]  # fmt: skip
    assert report.face_coverage == 1.0 and report.absent == [] and report.num_faces == 2
    ((start, end),) = report.persons[0].absent
    assert (start, end) == (pytest.approx(2.8, abs=0.02), pytest.approx(4.0, abs=0.05))
    one = draw_faces(clip, tmp_path / "one.png", detector, person="person-2")
    assert [person.name for person in one.persons] == ["person-2"] and one.face_coverage == 0.6
    heights = [Image.open(tmp_path / name).height for name in ("all.png", "one.png")]
    assert heights[0] - heights[1] == pytest.approx(CROP + 3 * BAR, abs=40)  # a block
    with pytest.raises(InputError, match="there are person-1, person-2"):
        draw_faces(clip, tmp_path / "none.png", detector, person="person-3")
    assert not (tmp_path / "none.png").exists()


def test_crops_of_a_long_clip_are_few(tmp_path):
    images, detector = scenes([(40, [("ann", 60, 40, 60)])])
    seen = _Seen(10, 400.0, [1.0])
    for number in range(100):
        (window,) = face_windows(images, detector, person="all", window=10)
        window.frame_times += 4 * number
        window.timestamps += 4 * number
        seen.add(window)
    times = [time for time, _ in seen.crops["person-1"]]
    assert len(times) <= 5 * CROPS and min(times) < 10 and max(times) > 390
    assert len(seen.times) == 4000 and len(seen.boxes[0]) == 1
