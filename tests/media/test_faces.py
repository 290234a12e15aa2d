import os
import subprocess
import sys

import numpy as np
import pytest
from helpers.scripted_faces import ScriptedDetector, box, clip_of, numbered, scenes
from helpers.synthetic import gray_frames, tone, write_clip

from av_emotion_hf.errors import InputError
from av_emotion_hf.media import (
    MemoryClip,
    face_windows,
    load_detector,
    open_clip,
    track_faces,
)


def test_follows_the_larger_of_two_faces(tmp_path, paste_faces):
    frames = [paste_faces((10 + i, 70, 100), (180 + i, 40, 160)) for i in range(10)]
    track = track_faces(clip_of(tmp_path, frames), "mtcnn")
    assert track.detector == "mtcnn" and track.num_frames == 10
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
    track = track_faces(clip_of(tmp_path, frames), "mtcnn")
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


def test_the_detector_runs_where_something_changes(tmp_path):
    detector = ScriptedDetector([[box(40, 30, 40)]] * 16 + [[]] * 14)
    track = track_faces(clip_of(tmp_path, numbered(30)), detector)
    assert sorted(detector.looks) == [0, 3, 6, 9, 12, 15, 16, 17, 18, 21, 24, 27, 29]
    assert track.timestamps[-1] == pytest.approx(1.5, abs=1e-3)  # the last frame with a face, exactly


def test_sparse_frames_are_all_looked_at(tmp_path):
    detector = ScriptedDetector([[box(40, 30, 40)]] * 7)
    times = [0, 100, 200, 1500, 2000, 2500, 2590]  # a still image, then two frames a second
    path = write_clip(tmp_path / "sparse.mp4", numbered(7), times_ms=times)
    track = track_faces(open_clip(path), detector)
    assert track.status[:6] == ["detected", "tracked", "detected", "detected", "detected", "detected"]


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


def test_without_video_and_all_black(tmp_path):
    sound = open_clip(write_clip(tmp_path / "sound.m4a", sound=tone(0.5)))
    track = track_faces(sound, "mtcnn")
    assert (track.coverage, track.num_frames, track.timestamps.shape) == (0.0, 0, (0,))
    black = track_faces(clip_of(tmp_path, gray_frames([0] * 5)), "mtcnn")
    assert (black.coverage, black.num_frames) == (0.0, 5)


@pytest.mark.parametrize("options", [{"crop_size": 0}, {"margin": -0.1}, {"detector": "none"}, {"person": "loud"}])
def test_settings_out_of_range(tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        track_faces(clip_of(tmp_path, gray_frames([90] * 3)), **options)


@pytest.mark.slow
def test_demo_clip_has_a_face_and_a_voice(tmp_path, request):
    path = tmp_path / "demo.mp4"
    script = request.config.rootpath / "examples" / "make_demo_clip.py"
    subprocess.run([sys.executable, script, path], check=True)
    clip = open_clip(path)
    assert clip.duration == pytest.approx(3.0, abs=0.1)
    assert 0.05 < clip.waveform.std() < 0.3
    assert track_faces(clip, "mtcnn").coverage > 0.8


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


def test_images_in_memory_are_searched_as_a_clip_is(tmp_path):
    images, faces = np.stack(numbered(20)), [[box(40 + i, 30, 40)] for i in range(20)]
    from_file = track_faces(clip_of(tmp_path, images), ScriptedDetector(faces), person="speaking")
    in_memory = track_faces(MemoryClip(images, np.arange(20) / 10), ScriptedDetector(faces), person="speaking")
    np.testing.assert_array_equal(in_memory.boxes, from_file.boxes)
    assert in_memory.status == from_file.status and in_memory.crops.shape == from_file.crops.shape


def test_after_a_cut_the_other_person_is_followed():
    shots = [(14, [("ann", 60, 40, 60)]), (10, [("bob", 70, 45, 50)]), (12, [("ann", 60, 40, 60)])]
    clip, detector = scenes(shots)
    for person in ("largest", "speaking"):
        track = track_faces(clip, detector, person=person)
        assert track.coverage == 1.0 and "none" not in track.status
        assert track.persons == ["person-1"] * 14 + ["person-2"] * 10 + ["person-1"] * 12
    one = track_faces(clip, detector, person="person-2")
    assert one.names == ["person-2"] and one.status == ["none"] * 14 + track.status[14:24] + ["none"] * 12
    np.testing.assert_array_equal(one.crops, track.of("person-2").crops)


def test_in_each_shot_the_largest_person_is_followed():
    shots = [(12, [("ann", 10, 50, 60), ("bob", 120, 50, 40)]), (12, [("ann", 10, 50, 40), ("bob", 100, 50, 60)])]
    clip, detector = scenes(shots)
    assert track_faces(clip, detector).persons == ["person-1"] * 12 + ["person-2"] * 12
    everybody = track_faces(clip, detector, person="all")
    assert everybody.persons == ["person-1", "person-2"] * 24 and everybody.coverage == 1.0
    np.testing.assert_array_equal(everybody.of("person-2").boxes[[0, 12], 0], [120, 100])
    assert everybody.of("person-3").crops.shape == (0, 112, 112, 3)


def test_who_leaves_without_a_cut_is_followed_by_the_next():
    both, one = [("ann", 10, 90, 50), ("bob", 330, 90, 25)], [("bob", 330, 90, 25)]
    clip, detector = scenes([(12, both), (30, one)], 240, 400)
    assert track_faces(clip, detector).persons[::6] == ["person-1", "person-1"] + ["person-2"] * 5
    clip, detector = scenes([(12, both), (8, one), (12, both)], 240, 400)  # for less than two seconds
    track = track_faces(clip, detector)
    assert track.names == ["person-1"] and track.status[12:20] == ["none"] * 8


def test_nobody_has_the_name():
    clip, detector = scenes([(12, [("ann", 60, 40, 60)])])
    with pytest.raises(InputError, match="person='person-2': nobody in the clip has this name; there are person-1"):
        track_faces(clip, detector, person="person-2")
    empty, detector = scenes([(12, [])])
    with pytest.raises(InputError, match="person='person-1': nobody is seen in the clip"):
        list(face_windows(empty, detector, person="person-1", window=0.5))
    assert track_faces(empty, detector, person="all").names == []


def test_the_old_names_of_the_choice_work_with_a_warning():
    clip, detector = scenes([(12, [("ann", 60, 40, 60)])])
    for options in ({"speaker": "speech"}, {"person": "speech"}):
        with pytest.warns(DeprecationWarning, match="speaker='speech' is now person='speaking'"):
            assert track_faces(clip, detector, **options).coverage == 1.0


@pytest.mark.corpora
def test_an_interview_of_real_clips(shared, monkeypatch):
    home = shared / "weights" / "torch_home"
    if not home.is_dir():
        pytest.skip("needs detector weights beside the checkout (../shared/weights/torch_home)")
    monkeypatch.setenv("TORCH_HOME", os.fspath(home))
    shots = {}
    for name in ("grid_lipnet__bbaf2n.mpg", "grid_lipnet__brbk7n.mpg", "grid_lipnet__id2_vcd_swwp2s.mpg"):
        frames = np.concatenate([frames for _, frames in open_clip(shared / "clips" / name).frames()])
        shots[name] = np.array_split(frames, 2)
    one, two, three = shots.values()
    parts = [one[0], two[0], one[1], three[0], two[1], three[1]]
    images = np.concatenate(parts)
    followed = track_faces(MemoryClip(images, np.arange(len(images)) / 10), "blazeface")
    numbers = [1, 2, 1, 3, 2, 3]
    expected = [f"person-{number}" for number, part in zip(numbers, parts, strict=True) for _ in part]
    assert followed.coverage == 1.0 and followed.persons == expected
