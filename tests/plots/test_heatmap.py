import numpy as np
import pytest
from PIL import Image

from av_emotion_hf.errors import InputError
from av_emotion_hf.plots.heatmap import HIDDEN, HIGH, LOW, MIDDLE, UNDEFINED, colors, draw_heat_maps


def test_colors_tell_values_hidden_frames_and_those_without_a_value():
    values = np.array([[-9.0, 0.0], [3.0, 1.5], [0.0, 0.0]])
    hidden, nothing = np.array([False, False, True]), np.zeros((3, 2), bool)
    nothing[0, 1] = True
    picture = colors(values, hidden, nothing)
    assert picture.shape == (2, 3, 3)  # a row for each feature, a column for each frame
    assert [tuple(pixel) for pixel in picture[0]] == [LOW, HIGH, HIDDEN]
    assert tuple(picture[1, 0]) == UNDEFINED
    np.testing.assert_allclose(picture[1, 1], (np.array(MIDDLE) + np.array(HIGH)) / 2, atol=1)


def test_maps_stand_one_below_the_other(tmp_path):
    maps = {name: np.full((5, 60, 3), shade, np.uint8) for name, shade in (("true", 10), ("masked", 90), ("new", 170))}
    draw_heat_maps(maps, [f"feature {i}" for i in range(5)], 3.0, "a clip", tmp_path / "maps.png")
    picture = np.asarray(Image.open(tmp_path / "maps.png"))
    column = picture[:, 700].tolist()
    rows = [[y for y, pixel in enumerate(column) if pixel == [shade] * 3] for shade in (10, 90, 170)]
    assert [len(ys) for ys in rows] == [60, 60, 60]  # five rows of twelve pixels
    assert rows[0][-1] < rows[1][0] and rows[1][-1] < rows[2][0]
    assert (picture[rows[0][0]] == 10).all(axis=1).sum() == 1200  # sixty frames of twenty pixels


def test_a_folder_is_made_and_a_full_disk_is_named(tmp_path, monkeypatch):
    out = tmp_path / "new" / "maps.png"
    draw_heat_maps({"true": np.zeros((2, 3, 3), np.uint8)}, None, 1.0, "a clip", out)
    before = out.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(InputError, match=r"maps.png: cannot be written \(No space left on device\); free some space"):
        draw_heat_maps({"true": np.ones((2, 3, 3), np.uint8)}, None, 1.0, "a clip", out)
    assert out.read_bytes() == before and list(out.parent.iterdir()) == [out]
