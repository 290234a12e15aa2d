import cv2
import numpy as np
import pytest
import torch
from skimage.data import brick, chelsea, coffee

from av_emotion_hf.media import load_detector
from av_emotion_hf.media.mtcnn import MTCNN, distinct, squared


@pytest.fixture(scope="module")
def detector():
    return load_detector("mtcnn")


def assert_is_the_face(found, left, top, side):
    """In the picture, the astronaut's brows are at 0.43 of the side, her chin at 0.98, her nose at 0.53."""
    assert len(found) == 1 and found[0, 4] > 0.85
    x0, y0, x1, y1 = (found[0, :4] - [left, top, left, top]) / side
    assert (x0 + x1) / 2 == pytest.approx(0.53, abs=0.04) and y1 - y0 == pytest.approx(x1 - x0)
    assert y0 == pytest.approx(0.40, abs=0.06) and y1 == pytest.approx(0.97, abs=0.06)


@pytest.mark.parametrize("place", [(180, 40, 160), (20, 30, 60), (-20, 60, 150)])
def test_finds_the_face_where_it_is_and_none_where_there_is_none(detector, paste_faces, place):
    left, top, side = place
    frame = paste_faces((max(left, 0), top, side))
    frame = np.roll(frame, min(left, 0), axis=1)
    frame[:, frame.shape[1] + min(left, 0) :] = 90
    found, none = detector.detect(np.stack([frame, paste_faces()]))
    assert none.shape == (0, 5)
    assert_is_the_face(found, *place)


def test_finds_all_faces_of_a_large_frame_in_its_pixels(detector, paste_faces):
    frame = cv2.resize(paste_faces((20, 60, 90), (230, 20, 60)), (1440, 960), interpolation=cv2.INTER_CUBIC)
    (found,) = detector.detect(frame[None])
    found = found[np.argsort(found[:, 0])]
    assert_is_the_face(found[:1], 80, 240, 360)
    assert_is_the_face(found[1:], 920, 80, 240)


def test_finds_a_dark_face(detector, paste_faces):
    dark = np.rint(paste_faces((100, 40, 160)) * 0.06).astype(np.uint8)
    (found,) = detector.detect(dark[None])
    assert_is_the_face(found, 100, 40, 160)


def test_takes_nothing_else_for_a_face(detector):
    noise = np.random.default_rng(0).integers(0, 20, (240, 320, 3), np.uint8)
    black, tiny = np.zeros((240, 320, 3), np.uint8), np.full((3, 5, 3), 200, np.uint8)
    for picture in (noise, black, tiny, coffee(), chelsea(), cv2.cvtColor(brick(), cv2.COLOR_GRAY2RGB)):
        assert detector.detect(picture[None])[0].shape == (0, 5)


def test_confirms_a_face_and_nothing_beside_it(detector, paste_faces):
    frames = np.stack([paste_faces(), paste_faces((100, 40, 160))])
    (box,) = detector.detect(frames)[1]
    scores = detector.confirm(frames, np.array([1, 0, 1]), np.stack([box, box, box + np.array([150, 0, 150, 0, 0])]))
    assert scores[0] > 0.9 and scores[1:].max() < 0.2
    assert detector.confirm(frames, np.zeros(0, int), np.zeros((0, 5))).shape == (0,)


def test_networks_answer_once_for_a_window_and_everywhere_in_a_larger_picture():
    networks = MTCNN()
    for (name, side), outputs in zip((("propose", 12), ("refine", 24), ("decide", 48)), (5, 5, 15), strict=True):
        assert networks[name](torch.zeros(2, 3, side, side)).shape == (2, outputs, 1, 1)
    assert networks["propose"](torch.zeros(1, 3, 12, 20)).shape[-2:] == (1, 5)


def test_of_boxes_that_overlap_the_best_is_kept():
    boxes = np.array([[0, 0, 10, 10, 0.5], [1, 0, 11, 10, 0.9], [1, 0, 11, 10, 0.4], [4, 4, 8, 8, 0.3]], np.float64)
    owners = np.array([0, 0, 1, 0])
    assert distinct(boxes, owners, 0.5).tolist() == [1, 2, 3]
    assert distinct(boxes, owners, 0.5, nested=True).tolist() == [1, 2]


def test_squares_have_the_longer_side_and_drop_by_a_part_of_it():
    boxes = np.array([[10, 20, 30, 60, 0.7]], np.float64)
    np.testing.assert_allclose(squared(boxes), [[0, 20, 40, 60, 0.7]])
    np.testing.assert_allclose(squared(boxes, 0.5, 0.1), [[10, 34, 30, 54, 0.7]])
