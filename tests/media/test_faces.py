import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from synthetic import grey_frames, tone, write_clip

from av_emotion_hf.errors import InputError
from av_emotion_hf.media import crop_square, load_detector, open_clip, track_faces
from av_emotion_hf.media.faces import _choose, _link


class ScriptedDetector:
    """Returns what it is told, frame after frame."""

    name = "scripted"

    def __init__(self, faces):
        self._faces = iter(faces)

    def detect(self, frames):
        return [np.array(next(self._faces), np.float64).reshape(-1, 5) for _ in frames]


def box(x, y, side, score=1.0):
    return [x, y, x + side, y + side, score]


def clip_of(tmp_path, frames, fps=10):
    return open_clip(write_clip(tmp_path / "clip.mp4", frames, fps=fps))


# --- detectors


def test_cascade_finds_the_face_where_it_is(paste_faces):
    detector = load_detector("cascade")
    assert detector.name == "cascade"
    found, none = detector.detect(np.stack([paste_faces((180, 40, 160)), paste_faces()]))
    assert none.shape == (0, 5) and found.shape[1] == 5
    centres = np.stack([found[:, [0, 2]].mean(1), found[:, [1, 3]].mean(1)], axis=1)
    eyes_to_mouth = np.array([180 + 80, 40 + 90])
    assert np.linalg.norm(centres - eyes_to_mouth, axis=1).min() < 25


def test_auto_takes_the_cascade_without_weights_and_without_the_network(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    assert load_detector("auto").name == "cascade"


def test_unknown_detector():
    with pytest.raises(ValueError, match="detector='yolo': there is no such face detector; choose one of auto, "):
        load_detector("yolo")


def test_blazeface_without_weights_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(InputError, match=r"no network.*set TORCH_HOME .* or use --detector cascade"):
        load_detector("blazeface")


# --- following


def test_follows_the_larger_of_two_faces(tmp_path, paste_faces):
    frames = [paste_faces((10 + i, 70, 100), (180 + i, 40, 160)) for i in range(10)]
    track = track_faces(clip_of(tmp_path, frames), "cascade")
    assert track.detector == "cascade" and track.num_frames == 10
    assert track.crops.shape == (len(track.boxes), 112, 112, 3) and track.crops.dtype == np.uint8
    assert track.coverage >= 0.8 and track.coverage == len(track.timestamps) / 10
    assert (track.boxes[:, [0, 2]].mean(axis=1) > 200).all()


def test_crops_show_the_face_with_margin(tmp_path):
    frame = np.zeros((120, 160, 3), np.uint8)
    frame[30:70, 50:90] = 200
    track = track_faces(clip_of(tmp_path, [frame] * 4), ScriptedDetector([[box(50, 30, 40)]] * 4), 56, margin=0.4)
    assert track.crops.shape == (4, 56, 56, 3) and track.coverage == 1.0
    np.testing.assert_allclose(track.boxes, [[50, 30, 90, 70]] * 4)
    np.testing.assert_allclose(track.timestamps, [0, 0.1, 0.2, 0.3], atol=1e-3)
    bright = track.crops[0, :, :, 0] > 100  # 40 of 56 pixels are face, 8 on each side margin
    assert np.flatnonzero(bright.any(0))[[0, -1]].tolist() == [8, 47]
    assert np.flatnonzero(bright.any(1))[[0, -1]].tolist() == [8, 47]


def test_no_crops_after_the_face_left(tmp_path, paste_faces):
    frames = [paste_faces((100, 40, 160))] * 12 + [paste_faces()] * 12
    track = track_faces(clip_of(tmp_path, frames), "cascade")
    assert track.coverage == pytest.approx(0.5, abs=0.05) and track.timestamps.max() < 1.25


def test_short_misses_are_filled_and_long_ones_are_not(tmp_path):
    faces = [[box(50 + i, 30, 40)] for i in range(30)]
    faces[5] = faces[6] = []  # 0.3 s from detection to detection
    faces[12:20] = [[]] * 8  # 0.9 s
    track = track_faces(clip_of(tmp_path, grey_frames([90] * 30)), ScriptedDetector(faces))
    seen = np.round(track.timestamps * 10).astype(int)
    assert seen.tolist() == [*range(12), *range(20, 30)]
    np.testing.assert_allclose(track.boxes[:, 0], 50 + seen)  # a steady movement is neither held back nor bent


def test_boxes_are_smooth():
    rng = np.random.default_rng(0)
    jitter = rng.normal(0, 3, 60)
    times = np.arange(60) / 10
    _, boxes = _choose(_link(times, [np.array([box(50 + j, 30, 40)]) for j in jitter]), times)
    assert np.diff(boxes[:, 0]).std() < 0.4 * np.diff(jitter).std()


def test_false_alarms_are_no_track(tmp_path):
    faces = [[] for _ in range(20)]
    faces[4], faces[9] = [box(0, 0, 90)], [box(30, 0, 30)]
    track = track_faces(clip_of(tmp_path, grey_frames([90] * 20)), ScriptedDetector(faces))
    assert track.coverage == 0.0 and track.crops.shape == (0, 112, 112, 3) and track.boxes.shape == (0, 4)


def test_a_single_frame_may_show_a_face(tmp_path):
    clip = clip_of(tmp_path, grey_frames([90]))
    assert track_faces(clip, ScriptedDetector([[box(20, 20, 40)]])).coverage == 1.0


def test_without_picture_and_all_black(tmp_path):
    sound = open_clip(write_clip(tmp_path / "sound.m4a", sound=tone(0.5)))
    track = track_faces(sound, "cascade")
    assert (track.coverage, track.num_frames, track.timestamps.shape) == (0.0, 0, (0,))
    black = track_faces(clip_of(tmp_path, grey_frames([0] * 5)), "cascade")
    assert (black.coverage, black.num_frames) == (0.0, 5)


def test_crop_repeats_the_edge_where_it_leaves_the_picture():
    frame = np.zeros((60, 60, 3), np.uint8)
    frame[:, :30] = 200
    crop = crop_square(frame, np.array([-20, -20, 20, 20]), 40, margin=0.0)
    assert crop.shape == (40, 40, 3) and (crop == 200).all()
    assert crop_square(frame, np.array([500, 500, 540, 540]), 8).shape == (8, 8, 3)


@pytest.mark.parametrize("options", [{"crop_size": 0}, {"margin": -0.1}, {"detector": "none"}])
def test_settings_out_of_range(tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        track_faces(clip_of(tmp_path, grey_frames([90] * 3)), **options)


# --- the demo clip and real clips


def test_demo_clip_has_a_face_and_a_voice(tmp_path, request):
    path = tmp_path / "demo.mp4"
    script = request.config.rootpath / "examples" / "make_demo_clip.py"
    subprocess.run([sys.executable, script, path], check=True)
    clip = open_clip(path)
    assert clip.duration == pytest.approx(3.0, abs=0.1)
    assert 0.05 < clip.waveform.std() < 0.3
    assert track_faces(clip, "cascade").coverage > 0.8


@pytest.mark.corpora
def test_faces_of_real_clips(shared, monkeypatch):
    home = shared / "weights" / "torch_home"
    if not home.is_dir():
        pytest.skip("needs detector weights beside the checkout (../shared/weights/torch_home)")
    monkeypatch.setenv("TORCH_HOME", os.fspath(home))
    detector = load_detector("auto")
    assert detector.name == "blazeface"
    for name in ("grid_s1_lpr__bbbs7a.mpg", "liveportrait__d12.mp4", "pcavs__Input__00010.mp4"):
        assert track_faces(open_clip(shared / "clips" / name), detector).coverage == 1.0, name
    leaves = track_faces(open_clip(shared / "clips" / "pyfeat__face_noface.mov"), detector)
    assert 0.3 < leaves.coverage < 0.45 and leaves.timestamps.max() < 2.6


@pytest.mark.corpora
def test_blazeface_coordinates_in_wide_and_tall_frames(shared, monkeypatch, paste_faces):
    home = shared / "weights" / "torch_home"
    if not home.is_dir():
        pytest.skip("needs detector weights beside the checkout (../shared/weights/torch_home)")
    monkeypatch.setenv("TORCH_HOME", os.fspath(home))
    detector = load_detector("blazeface")
    wide = paste_faces((180, 40, 160))
    tall = cv2.copyMakeBorder(wide[:, 150:], 300, 100, 0, 0, cv2.BORDER_REPLICATE)
    (a,), (b,) = detector.detect(wide[None])[0], detector.detect(tall[None])[0]
    np.testing.assert_allclose(b[:4] + np.array([150, -300, 150, -300]), a[:4], atol=10)
