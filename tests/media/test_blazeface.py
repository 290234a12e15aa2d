import os

import cv2
import numpy as np
import pytest
import torch

from av_emotion_hf.media import load_detector


@pytest.fixture
def blazeface(shared, monkeypatch):
    """The detector with its real weights."""
    home = shared / "weights" / "torch_home"
    if not home.is_dir():
        pytest.skip("needs detector weights beside the checkout (../shared/weights/torch_home)")
    monkeypatch.setenv("TORCH_HOME", os.fspath(home))
    return load_detector("blazeface")


@pytest.mark.corpora
def test_coordinates_in_wide_and_tall_frames(blazeface, paste_faces):
    wide = paste_faces((180, 40, 160))
    tall = cv2.copyMakeBorder(wide[:, 150:], 300, 100, 0, 0, cv2.BORDER_REPLICATE)
    (a,), (b,) = blazeface.detect(wide[None])[0], blazeface.detect(tall[None])[0]
    np.testing.assert_allclose(b[:4] + np.array([150, -300, 150, -300]), a[:4], atol=10)


@pytest.mark.corpora
def test_both_networks_draw_the_same_box(blazeface, paste_faces):
    frames = paste_faces((100, 40, 160))[None]
    (first,), (second,) = blazeface._run(frames)[0], load_detector("mtcnn").detect(frames)[0]
    assert first[4] > 0.9
    np.testing.assert_allclose(second[:4], first[:4], atol=10)


@pytest.fixture
def scripted(blazeface_weights, monkeypatch):
    """Function to a detector of 100 x 100 frames that is told what each of its networks finds and confirms."""
    detector = load_detector(f"blazeface={blazeface_weights}")

    def make(near, agreement, far=()):
        searched = []

        def search(frames):
            searched.append(len(frames))
            return [np.array(far, np.float64).reshape(-1, 5)] * len(frames)

        found = np.array(near, np.float64).reshape(-1, 5)
        monkeypatch.setattr(detector, "_run", lambda frames: [found] * len(frames))
        monkeypatch.setattr(detector._mtcnn, "confirm", lambda frames, owners, boxes: np.full(len(boxes), agreement))
        monkeypatch.setattr(detector._mtcnn, "detect", search)
        return detector.detect(np.zeros((2, 100, 100, 3), np.uint8)), sum(searched)

    return make


LARGE, SMALL = [10, 10, 40, 40], [70, 70, 80, 80]


def test_a_close_up_is_enough_if_blazeface_is_sure_or_mtcnn_agrees(scripted):
    for score, agreement in ((0.95, 0.0), (0.6, 0.5)):
        faces, searched = scripted([[*LARGE, score]], agreement)
        assert searched == 0
        for found in faces:
            np.testing.assert_array_equal(found, [[*LARGE, score]])


def test_without_a_close_up_mtcnn_searches_the_frame(scripted):
    faces, searched = scripted([[*SMALL, 0.95]], 0.0, [[*LARGE, 0.9], [71, 70, 81, 80, 0.99]])
    assert searched == 2
    for found in faces:
        np.testing.assert_array_equal(found, [[71, 70, 81, 80, 0.99], [*LARGE, 0.9]])


def test_what_neither_is_sure_of_is_no_face(scripted):
    faces, searched = scripted([[*LARGE, 0.85]], 0.2)
    assert searched == 2 and [len(found) for found in faces] == [0, 0]


def test_finds_what_face_alignments_own_class_finds(blazeface_weights):
    from face_alignment.detection.blazeface import FaceDetector

    detector = load_detector(f"blazeface={blazeface_weights}")
    frames = np.random.default_rng(0).integers(0, 255, (5, 128, 128, 3), np.uint8)
    files = [blazeface_weights / "blazeface.pth", blazeface_weights / "anchors.npy"]
    theirs = FaceDetector("cpu", False, *files, min_score_thresh=0.5)
    expected = theirs.detect_from_batch(frames.transpose(0, 3, 1, 2))
    found = detector._run(frames, batch_size=3)
    assert sum(map(len, found)) > 0
    for ours, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, other)


def test_anchors_of_a_frame_are_those_of_its_part_of_the_square(blazeface_weights):
    detector = load_detector(f"blazeface={blazeface_weights}")
    grid = np.arange(896, dtype=np.float32)[:, None].repeat(4, axis=1)
    detector._anchors = torch.from_numpy(grid)
    numbers = detector._anchors_of(80, 128)[:, 0].numpy()
    assert len(numbers) == (10 * 16) * 2 + (5 * 8) * 6
    np.testing.assert_array_equal(numbers, [*range(320), *range(512, 512 + 240)])
    tall = detector._anchors_of(128, 16)[:, 0].numpy()
    assert tall[:6].tolist() == [0, 1, 2, 3, 32, 33] and tall[64:72].tolist() == [*range(512, 518), 560, 561]
