import numpy as np
import pytest
from helpers.scripted_faces import LOOKS, box, paint

from av_emotion_hf.media.appearance import ORIENTATIONS, SIDE, appearance, gradients


def looks(who, x=60, y=50, side=50, background=90):
    frame = np.full((140, 200, 3), background, np.uint8)
    paint(frame, who, x, y, side)
    return appearance(frame, np.array(box(x, y, side)))


def test_one_person_is_alike_in_another_place_and_others_are_not():
    first = {who: looks(who) for who in LOOKS}
    assert all(vector.dtype == np.float32 and np.linalg.norm(vector) == pytest.approx(1) for vector in first.values())
    for who in LOOKS:
        likeness = {other: float(looks(who, 90, 70, 46) @ vector) for other, vector in first.items()}
        others = [value for other, value in likeness.items() if other != who]
        assert likeness[who] > 0.85 > 0.7 > max(others), likeness


def test_faces_at_the_border_and_plain_ones_have_looks():
    frame = np.zeros((60, 60, 3), np.uint8)
    for place in ([-20, -20, 20, 20], [40, 40, 90, 90], [0, 0, 60, 60], [10, 10, 11, 11]):
        vector = appearance(frame, np.array(place, float))
        assert np.isfinite(vector).all() and np.linalg.norm(vector) <= 1 + 1e-5


def test_gradients_know_the_direction_of_edges():
    across = np.zeros((SIDE, SIDE), np.float32)
    across[np.arange(SIDE) // 4 % 2 == 0] = 100
    bins = gradients(across).reshape(-1, ORIENTATIONS).sum(axis=0)
    assert bins.argmax() == ORIENTATIONS // 2 and bins[ORIENTATIONS // 2] == pytest.approx(bins.sum())
    assert gradients(across.T).reshape(-1, ORIENTATIONS).sum(axis=0).argmax() == 0


def test_the_mouth_does_not_count():
    frame = np.full((140, 200, 3), 90, np.uint8)
    paint(frame, "ann", 60, 40, 60)
    closed = appearance(frame, np.array(box(60, 40, 60)))
    frame[90:100, 75:105] = 0
    opened = appearance(frame, np.array(box(60, 40, 60)))
    assert closed @ opened > 0.97
