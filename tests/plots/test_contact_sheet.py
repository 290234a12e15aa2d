import numpy as np
import pytest
from helpers.synthetic import tone, write_clip
from PIL import Image

from av_emotion_hf.errors import InputError
from av_emotion_hf.plots import draw_faces
from av_emotion_hf.plots.canvas import GAP
from av_emotion_hf.plots.contact_sheet import BAR, COLORS


def test_the_sheet_shows_where_the_face_is_and_where_not(tmp_path, paste_faces):
    frames = [paste_faces((100, 40, 160))] * 12 + [paste_faces()] * 12
    clip = write_clip(tmp_path / "leaves.mp4", frames, 10)
    report = draw_faces(clip, tmp_path / "sheet.png", "cascade")
    assert (report.frames, report.detector, report.num_faces) == (24, "cascade", 1)
    assert report.face_coverage == pytest.approx(0.5, abs=0.05)
    ((start, end),) = report.absent
    assert start == pytest.approx(1.2, abs=0.11) and end == pytest.approx(2.4, abs=0.05)
    assert sum(report.status.values()) == 24 and report.status["none"] == pytest.approx(12, abs=1)

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
        draw_faces(tmp_path / clip, tmp_path / out, "cascade")
    assert [path.name for path in tmp_path.iterdir()] == ["song.m4a"]


def test_where_nothing_can_be_written_the_clip_is_not_read(tmp_path):
    (tmp_path / "file").touch()
    for out, message in (("file/sheet.png", "file is not a folder"), ("sheet.png", "is a folder; choose a file")):
        (tmp_path / "sheet.png").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=message):
            draw_faces(tmp_path / "no.mp4", tmp_path / out, "cascade")
