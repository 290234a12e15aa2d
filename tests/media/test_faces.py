import importlib
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from helpers.synthetic import gray_frames, tone, voice, write_clip

from av_emotion_hf.errors import InputError
from av_emotion_hf.media import crop_square, load_detector, open_clip, track_faces
from av_emotion_hf.media.detector import FaceAlignmentDetector
from av_emotion_hf.media.faces import face_windows
from av_emotion_hf.media.speaker import choose_speaker, sound_levels, speech_evidence
from av_emotion_hf.media.tracks import Track, TrackLinker


class ScriptedDetector:
    """Returns what it is told of a frame, which it knows by its grey level, as `numbered` made it."""

    name = "scripted"

    def __init__(self, faces):
        self.faces, self.looks = faces, []

    def detect(self, frames):
        numbers = [round((frame[-8:].mean() - 20) / 5) for frame in frames]
        self.looks += numbers
        return [np.array(self.faces[number], np.float64).reshape(-1, 5) for number in numbers]


def numbered(count, height=96, width=128):
    """Frames that tell their number by their grey level."""
    return gray_frames([20 + 5 * number for number in range(count)], height, width)


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


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("yolo", "detector='yolo': there is no such face detector; choose one of auto, blazeface, sfd, "),
        ("cascade=x", "cascade has no weights of its own; write cascade alone"),
        ("sfd=nowhere.pth", "detector='sfd=nowhere.pth': there is no such file of weights"),
        ("blazeface=nowhere", "there is no such folder of weights"),
    ],
)
def test_unknown_detector(choice, message):
    with pytest.raises(InputError, match=message):
        load_detector(choice)


@pytest.mark.parametrize("name", ["blazeface", "sfd", "retinaface", "yunet"])
def test_without_weights_it_says_what_to_do(tmp_path, monkeypatch, name):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    monkeypatch.setattr("face_alignment.utils.download_url_to_file", refuse)
    with pytest.raises(InputError, match=r"no network.*set TORCH_HOME .* or use --detector cascade"):
        load_detector(name)


@pytest.mark.parametrize(("name", "module"), [("sfd", "net_s3fd.s3fd"), ("retinaface", "net_retinaface.RetinaFace")])
def test_weights_may_be_named(tmp_path, name, module):
    """Untrained ones here: they load, run on frames of any shape, and boxes lie where boxes can lie."""
    file, network = module.split(".")
    package = importlib.import_module(f"face_alignment.detection.{name}.{file}")
    torch.manual_seed(0)
    model = getattr(package, network)(*([package.cfg_mnet] if name == "retinaface" else []))
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    detector = load_detector(f"{name}={tmp_path / 'weights.pth'}")
    assert detector.name == name
    for shape in ((2, 200, 360, 3), (1, 48, 32, 3)):
        for found in detector.detect(np.random.default_rng(0).integers(0, 255, shape, np.uint8)):
            assert found.shape[1] == 5 and np.isfinite(found).all()


def test_boxes_of_a_scaled_down_frame_are_in_pixels_of_the_frame():
    detector = FaceAlignmentDetector.__new__(FaceAlignmentDetector)
    detector.name, seen = "sfd", []

    class Network:
        def detect_from_batch(self, batch):
            seen.append(tuple(batch.shape))
            return [[[10, 20, 30, 40, 0.9]], []]

    detector._network = Network()
    one, none = detector.detect(np.zeros((2, 720, 1280, 3), np.uint8))
    assert seen == [(2, 3, 180, 320)] and none.shape == (0, 5)
    np.testing.assert_allclose(one, [[40, 80, 120, 160, 0.9]])


# --- following


def test_follows_the_larger_of_two_faces(tmp_path, paste_faces):
    frames = [paste_faces((10 + i, 70, 100), (180 + i, 40, 160)) for i in range(10)]
    track = track_faces(clip_of(tmp_path, frames), "cascade")
    assert track.detector == "cascade" and track.num_frames == 10
    assert track.crops.shape == (len(track.boxes), 112, 112, 3) and track.crops.dtype == np.uint8
    assert track.coverage >= 0.8 and track.coverage == len(track.timestamps) / 10
    assert (track.boxes[:, [0, 2]].mean(axis=1) > 200).all()


def test_crops_show_the_face_with_margin(tmp_path):
    frames = numbered(4, 120, 160)
    for frame in frames:
        frame[30:70, 50:90] = 200
    track = track_faces(clip_of(tmp_path, frames), ScriptedDetector([[box(50, 30, 40)]] * 4), 56, margin=0.4)
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
    detector = ScriptedDetector(faces)
    track = track_faces(clip_of(tmp_path, numbered(30)), detector)
    seen = np.round(track.timestamps * 10).astype(int)
    assert seen.tolist() == [*range(12), *range(20, 30)]
    np.testing.assert_allclose(track.boxes[:, 0], 50 + seen)  # a steady movement is neither held back nor bent
    assert [word == "none" for word in track.status] == [i not in seen for i in range(30)]
    assert [track.status[i] for i in range(4, 8)] == ["detected", "tracked", "tracked", "detected"]
    assert track.coverage == pytest.approx(22 / 30) and track.num_faces == 1


def test_the_detector_looks_where_something_changes(tmp_path):
    detector = ScriptedDetector([[box(40, 30, 40)]] * 16 + [[]] * 14)
    track = track_faces(clip_of(tmp_path, numbered(30)), detector)
    assert sorted(detector.looks) == [0, 3, 6, 9, 12, 15, 16, 17, 18, 21, 24, 27, 29]
    assert track.timestamps[-1] == pytest.approx(1.5, abs=1e-3)  # the last frame with a face, exactly


def test_sparse_frames_are_all_looked_at(tmp_path):
    detector = ScriptedDetector([[box(40, 30, 40)]] * 7)
    times = [0, 100, 200, 1500, 2000, 2500, 2590]  # a picture that stood still, then two frames a second
    path = write_clip(tmp_path / "sparse.mp4", numbered(7), times_ms=times)
    track = track_faces(open_clip(path), detector)
    assert track.status[:6] == ["detected", "tracked", "detected", "detected", "detected", "detected"]


def test_boxes_are_smooth():
    rng = np.random.default_rng(0)
    jitter, linker = rng.normal(0, 3, 60), TrackLinker()
    for number, offset in enumerate(jitter):
        linker.add(number / 10, np.array([box(50 + offset, 30, 40)]))
    (track,) = linker.tracks
    smooth = [track.box_at(np.arange(i - 2, i + 3) / 10)[0] for i in range(60)]
    assert np.diff(smooth).std() < 0.4 * np.diff(jitter).std()
    np.testing.assert_allclose(smooth[0], 50 + jitter[0])  # no neighbour on one side: none on the other
    np.testing.assert_allclose(smooth[30], 50 + np.average(jitter[28:33], weights=[1, 2, 3, 2, 1]))
    assert track.box_at(np.arange(58, 63) / 10 + 0.01) is None  # behind the end nothing is invented


def test_interpolation_ends_where_a_stretch_ends():
    track = Track(0, [0.0, 0.3, 2.0], [np.array(box(x, 0, 10)) for x in (0, 30, 90)])
    around = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])
    np.testing.assert_allclose(track.box_at(around + 0.15)[0], 15)
    assert track.box_at(around + 0.5) is None and track.box_at(around - 0.1) is None
    np.testing.assert_allclose(track.box_at(around + 2.0)[0], 90)
    np.testing.assert_allclose(track.box_at(np.array([np.nan, np.nan, 0.0, 0.1, 0.2]))[0], 0)


def test_memory_of_the_past_is_bounded():
    linker = TrackLinker()
    for number in range(2000):
        time = number / 10
        linker.add(time, np.array([box(50, 30, 40), box(number % 900 * 5, 300, 40)]))
        linker.forget(time - 1)
    assert len(linker.tracks) < 40 and all(len(track.times) < 40 for track in linker.tracks)
    assert linker.tracks[0].number == 0  # the face that stayed


def test_false_alarms_are_no_track(tmp_path):
    faces = [[] for _ in range(20)]
    faces[3], faces[9] = [box(0, 0, 90)], [box(30, 0, 30)]
    track = track_faces(clip_of(tmp_path, numbered(20)), ScriptedDetector(faces))
    assert track.coverage == 0.0 and track.crops.shape == (0, 112, 112, 3) and track.boxes.shape == (0, 4)
    assert track.status == ["none"] * 20


def test_a_single_frame_may_show_a_face(tmp_path):
    clip = clip_of(tmp_path, numbered(1))
    assert track_faces(clip, ScriptedDetector([[box(20, 20, 40)]])).coverage == 1.0


def test_windows_hold_the_same_faces_as_the_whole(tmp_path):
    faces = [[box(30 + i, 30, 40)] if i not in range(17, 26) else [] for i in range(42)]
    clip = clip_of(tmp_path, numbered(42))
    whole = track_faces(clip, ScriptedDetector(faces))
    windows = list(face_windows(clip, ScriptedDetector(faces), window=1.5))
    assert [window.num_frames for window in windows] == [15, 15, 12]
    for name in ("crops", "timestamps", "boxes", "frame_times", "status"):
        np.testing.assert_array_equal(np.concatenate([getattr(w, name) for w in windows]), getattr(whole, name))


# --- the speaker


def test_size_decides_and_a_window_keeps_its_face(tmp_path):
    sides = [(40, 42)] * 10 + [(42, 40)] * 10 + [(30, 55)] * 10
    faces = [[box(2, 2, a), box(64, 2, b)] for a, b in sides]
    windows = list(face_windows(clip_of(tmp_path, numbered(30)), ScriptedDetector(faces), window=1.0))
    assert [window.boxes[5, 0] > 50 for window in windows] == [True, True, True]
    assert [window.num_faces for window in windows] == [2, 2, 2]
    faces = faces[10:20] + faces[:10] + faces[20:]
    windows = list(face_windows(clip_of(tmp_path, numbered(30)), ScriptedDetector(faces), window=1.0))
    assert [window.boxes[5, 0] > 50 for window in windows] == [False, False, True]


def test_the_mouth_that_moves_with_the_sound_speaks(tmp_path):
    rng = np.random.default_rng(0)
    speaking = np.repeat(rng.random(10) > 0.5, 3)  # of each 0.1 s
    frames = numbered(30, 120, 160)
    for number, frame in enumerate(frames):
        # two faces; the mouth of the left, smaller one moves while there is sound, the other one's while there is none
        for left, side, moves in ((4, 50, speaking[number]), (70, 80, not speaking[number])):
            rows, columns = slice(10 + side // 2, 10 + side), slice(left, left + side)
            frame[rows, columns] = 100 + 60 * (number % 2) * moves
    sound = voice(3.0, 150) * np.repeat(speaking, 1600)
    path = write_clip(tmp_path / "two.mp4", frames, 10, sound, 16_000)
    faces = [[box(4, 10, 50), box(70, 10, 80)]] * 30
    assert track_faces(open_clip(path), ScriptedDetector(faces)).boxes[0, 0] == 70
    assert track_faces(open_clip(path), ScriptedDetector(faces), speaker="speech").boxes[0, 0] == 4


def test_speech_evidence_is_a_correlation():
    rng = np.random.default_rng(0)
    loud = np.repeat(rng.random(60), 1)
    crops = np.full((60, 40, 40, 3), 100, np.uint8)
    crops[:, 26:36, 12:28] += (np.cumsum(np.round(40 * loud)) % 100).astype(np.uint8)[:, None, None, None]
    times = np.arange(60) / 10
    levels = np.repeat(20 * np.log10(loud), 10)
    assert speech_evidence(crops, times, levels) > 0.3 > speech_evidence(crops, times, rng.permutation(levels))
    still = np.full_like(crops, 100)
    assert speech_evidence(still, times, levels) == 0.0
    assert speech_evidence(crops[:5], times[:5], levels) == 0.0 and speech_evidence(crops, times, levels[:0]) == 0.0


def test_without_evidence_size_decides():
    assert choose_speaker({3: 100.0, 5: 90.0}, {3: -0.2, 5: 0.1}) == 3
    assert choose_speaker({3: 100.0, 5: 90.0}, {3: 0.25, 5: 0.4}) == 5
    assert choose_speaker({3: 100.0, 5: 190.0}, {}) == 5


def test_sound_levels_of_a_tone(tmp_path):
    clip = open_clip(
        write_clip(tmp_path / "tone.wav", sound=tone(2.5, 16_000, channels=1), rate=16_000, codecs=("", "pcm_s16le"))
    )
    levels = list(sound_levels(clip, 1.0))
    assert [len(part) for part in levels] == [100, 100, 50]
    np.testing.assert_allclose(levels[0], 10 * np.log10(0.125), atol=0.5)  # amplitude one half
    (whole,) = sound_levels(clip, float("inf"))
    np.testing.assert_allclose(whole, np.concatenate(levels), atol=1e-6)


def test_without_picture_and_all_black(tmp_path):
    sound = open_clip(write_clip(tmp_path / "sound.m4a", sound=tone(0.5)))
    track = track_faces(sound, "cascade")
    assert (track.coverage, track.num_frames, track.timestamps.shape) == (0.0, 0, (0,))
    black = track_faces(clip_of(tmp_path, gray_frames([0] * 5)), "cascade")
    assert (black.coverage, black.num_frames) == (0.0, 5)


def test_crop_repeats_the_edge_where_it_leaves_the_picture():
    frame = np.zeros((60, 60, 3), np.uint8)
    frame[:, :30] = 200
    crop = crop_square(frame, np.array([-20, -20, 20, 20]), 40, margin=0.0)
    assert crop.shape == (40, 40, 3) and (crop == 200).all()
    assert crop_square(frame, np.array([500, 500, 540, 540]), 8).shape == (8, 8, 3)


@pytest.mark.parametrize("options", [{"crop_size": 0}, {"margin": -0.1}, {"detector": "none"}, {"speaker": "loud"}])
def test_settings_out_of_range(tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        track_faces(clip_of(tmp_path, gray_frames([90] * 3)), **options)


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
