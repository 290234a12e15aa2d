import numpy as np
from helpers.scripted_faces import ScriptedDetector, box, clip_of, numbered
from helpers.synthetic import tone, voice, write_clip

from av_emotion_hf.media import MemoryClip, face_windows, open_clip, track_faces
from av_emotion_hf.media.speaker import audio_levels, choose_speaker, speech_evidence


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
    assert track_faces(open_clip(path), ScriptedDetector(faces), person="speaking").boxes[0, 0] == 4
    in_memory = MemoryClip(np.stack(frames), np.arange(30) / 10, sound[0])
    assert track_faces(in_memory, ScriptedDetector(faces)).boxes[0, 0] == 70
    assert track_faces(in_memory, ScriptedDetector(faces), person="speaking").boxes[0, 0] == 4


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
    assert choose_speaker({"a": 100.0, "b": 90.0}, {"a": -0.2, "b": 0.1}) == "a"
    assert choose_speaker({"a": 100.0, "b": 90.0}, {"a": 0.25, "b": 0.4}) == "b"
    assert choose_speaker({"a": 100.0, "b": 190.0}, {}) == "b"


def test_audio_levels_of_a_tone(tmp_path):
    clip = open_clip(
        write_clip(tmp_path / "tone.wav", sound=tone(2.5, 16_000, channels=1), rate=16_000, codecs=("", "pcm_s16le"))
    )
    levels = list(audio_levels(clip, 1.0))
    assert [len(part) for part in levels] == [100, 100, 50]
    np.testing.assert_allclose(levels[0], 10 * np.log10(0.125), atol=0.5)  # amplitude one half
    (whole,) = audio_levels(clip, float("inf"))
    np.testing.assert_allclose(whole, np.concatenate(levels), atol=1e-6)
