import numpy as np
import pytest
from helpers.scripted_faces import LOOKS, box, scenes

from av_emotion_hf.media import face_windows, track_faces
from av_emotion_hf.media import persons as persons_module
from av_emotion_hf.media.persons import FaceFrame, PersonNames, SeenFace
from av_emotion_hf.models.persons_av_emotion import ALL

ANN, BOB, CAT = (np.eye(3, dtype=np.float32)[i] for i in range(3))
CROP = np.zeros((4, 4, 3), np.uint8)


def named(frames):
    """Names in each frame, from (shot, {track: (looks, x)}) at 10 a second."""
    made = [
        FaceFrame(
            number / 10, shot, {t: SeenFace(np.array(box(x, 0, 10)), CROP, True, v) for t, (v, x) in faces.items()}
        )
        for number, (shot, faces) in enumerate(frames)
    ]
    return [sorted(frame.faces) for frame in PersonNames().named(iter(made))]


def who(clip, detector, **options):
    """Names of the left and right faces of each frame."""
    found = track_faces(clip, detector, person=ALL, **options)
    rows = [found.timestamps == time for time in found.frame_times]
    order = np.argsort(found.boxes[:, 0], kind="stable")
    return [[found.persons[row] for row in order if own[row]] for own in rows]


def test_a_person_is_found_again_after_a_cut():
    shots = [(10, [("ann", 60, 40, 60)]), (10, [("bob", 60, 40, 60)]), (10, [("ann", 90, 45, 54)])]
    clip, detector = scenes([*shots, (10, [("cat", 60, 40, 60)])])
    expected = ["person-1"] * 10 + ["person-2"] * 10 + ["person-1"] * 10 + ["person-3"] * 10
    assert who(clip, detector) == [[name] for name in expected]


def test_two_at_a_time_are_two_however_alike():
    clip, detector = scenes([(20, [("ann", 10, 50, 50), ("ann", 120, 50, 50)]), (20, [("ann", 60, 50, 50)])])
    names = who(clip, detector)
    assert names[:20] == [["person-1", "person-2"]] * 20  # from left to right
    assert names[20:] == [["person-1"]] * 20 or names[20:] == [["person-2"]] * 20


def test_crossing_faces_keep_their_names():
    def right(step):  # behind
        return ("bob", 5 + 4 * step, 50, 40)

    def left(step):  # in front: painted last
        return ("ann", 150 - 4 * step, 50, 40)

    clip, detector = scenes([(38, [right, left])])
    for number, faces in enumerate(detector.faces):
        if abs(faces[0][0] - faces[1][0]) < 28:
            detector.faces[number] = [faces[1]]  # one is hidden
    found = track_faces(clip, detector, person=ALL)
    ann, bob = found.of("person-2"), found.of("person-1")  # from left to right
    assert set(found.persons) == {"person-1", "person-2"}
    np.testing.assert_allclose(ann.boxes[:, 0], 150 - 40 * ann.timestamps, atol=6)
    np.testing.assert_allclose(bob.boxes[:, 0], 5 + 40 * bob.timestamps, atol=6)
    assert len(ann.timestamps) >= 34 and len(bob.timestamps) >= 24 and bob.timestamps[-1] == 3.7


def test_names_do_not_depend_on_windows():
    shots = [(9, [("ann", 60, 40, 60)]), (8, [("bob", 10, 50, 50), ("ann", 120, 50, 50)]), (12, [("cat", 60, 40, 60)])]
    clip, detector = scenes([*shots, (11, [("bob", 60, 40, 60)])])
    whole = track_faces(clip, detector, person=ALL)
    windows = list(face_windows(clip, detector, person=ALL, window=0.7))
    assert whole.names == ["person-1", "person-2", "person-3"] and len(windows) == 6
    assert [name for window in windows for name in window.persons] == whole.persons
    np.testing.assert_array_equal(np.concatenate([window.timestamps for window in windows]), whole.timestamps)


def test_a_lost_track_that_comes_back_beside_its_person_is_another():
    start = [(0, {0: (ANN, 0)})] * 12
    elsewhere = [(0, {1: (ANN, 50)})] * 12
    both = [(0, {0: (BOB, 0), 1: (ANN, 50)})] * 14
    names = named(start + elsewhere + both)
    assert names[:24] == [["person-1"]] * 24 and names[24:] == [["person-1", "person-2"]] * 14


def test_false_alarms_are_nobody():
    face = {0: (ANN, 0)}
    flickering = [(0, face | ({1: (BOB, 50)} if number % 3 else {})) for number in range(11)]
    assert named(flickering) == [["person-1"]] * 11
    steady = [(0, face | {1: (BOB, 50)})] * 11
    assert named(steady) == [["person-1", "person-2"]] * 11
    assert named([(0, {}), (0, face), (0, face), (0, {})]) == [[]] * 4  # two frames of four
    assert named([(0, face), (0, face)]) == [["person-1"]] * 2  # there are no more
    again = [(0, face | ({1: (CAT, 50)} if number in (1, 4, 5) else {})) for number in range(20)]
    assert named(again + [(0, {1: (CAT, 50)})] * 12)[-12:] == [["person-2"]] * 12


def test_frames_wait_for_a_second_at_most():
    held = []

    def stream():
        for number in range(300):
            held.append(number)
            looks = ANN if number % 20 == 0 else None
            yield FaceFrame(
                number / 10, number // 50, {number // 25: SeenFace(np.array(box(0, 0, 9)), CROP, True, looks)}
            )

    waits = [len(held) - done for done, _ in enumerate(PersonNames().named(stream()))]
    assert max(waits) <= 12


def test_few_persons_are_remembered(monkeypatch):
    monkeypatch.setattr(persons_module, "MAX_PERSONS", 2)
    shots = [(number, {number: (vector, 0)}) for number, vector in enumerate((ANN, BOB, CAT, ANN)) for _ in range(3)]
    assert [names for (names,) in named(shots)][::3] == ["person-1", "person-2", "person-3", "person-4"]
    names = PersonNames()
    list(names.named(iter([])))
    assert names._persons == []


@pytest.mark.parametrize("first", sorted(LOOKS))
def test_names_are_in_order_of_appearance(first):
    second = next(one for one in LOOKS if one != first)
    clip, detector = scenes([(20, [(first, 120, 50, 40)]), (20, [(second, 10, 50, 40), (first, 120, 50, 40)])])
    names = who(clip, detector)
    assert names[:20] == [["person-1"]] * 20 and names[20:] == [["person-2", "person-1"]] * 20
