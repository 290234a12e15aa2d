"""The picture of the README."""

import numpy as np
import pytest
from PIL import Image


@pytest.mark.slow
def test_the_picture_of_the_readme_is_drawn_from_the_demo_clip(script, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # without other detectors, as after an installation
    names = script("make_figures.py")
    script("make_figures.py", tmp_path)
    drawn, shown = (
        Image.open(folder / "overview.png").convert("RGB") for folder in (tmp_path, names["ROOT"] / "docs" / "images")
    )
    assert drawn.size == shown.size == (names["WIDTH"], names["HEIGHT"])
    difference = np.abs(np.asarray(drawn, np.int16) - np.asarray(shown, np.int16))
    assert difference.mean() < 3, "run `make figures`"
    assert (names["ROOT"] / "docs" / "images" / "overview.png").stat().st_size < 300_000
