"""Colors that people with any color vision tell apart."""

import itertools

import numpy as np
import pytest
from helpers.timelines import LABELS

from av_emotion_hf.timeline.palette import COLORS, KNOWN, OTHERS, colors_of, ink_on, luminance

# what a dichromat sees of linear RGB, after Machado et al. 2009, severity 1
VISIONS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "all colors": np.eye(3).tolist(),
}


def lab(color, vision):
    """CIE L*a*b* of `#rrggbb` as somebody with this vision sees it."""
    values = np.array([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(VISIONS[vision]) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISIONS)
def test_emotions_of_the_models_differ(vision):
    colors = [colors_of(LABELS)[label] for label in LABELS]
    for one, two in itertools.combinations(colors, 2):
        assert np.linalg.norm(lab(one, vision) - lab(two, vision)) > 10, (one, two)


def test_the_same_class_has_the_same_color_everywhere():
    assert colors_of(["sad", "Happy"])["Happy"] == colors_of(LABELS)["happy"] == colors_of(["joy"])["joy"]
    assert set(KNOWN.values()) == set(COLORS)


def test_other_classes_get_colors_of_their_own():
    many = ["bored", "happy", *map(str, range(12)), "uncertain"]
    found = colors_of(many)
    assert list(found) == many and len(set(list(found.values())[:-1])) == len(many) - 1
    assert len(colors_of([str(number) for number in range(100)])) == 101


@pytest.mark.parametrize("color", [*COLORS.values(), *OTHERS])
def test_text_on_a_color_can_be_read(color):
    light, dark = sorted((luminance(ink_on(color)), luminance(color)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
