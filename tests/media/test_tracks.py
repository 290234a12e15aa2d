import numpy as np
from helpers.scripted_faces import box

from av_emotion_hf.media.tracks import FaceTrack, TrackLinker, without_duplicates


def test_boxes_are_smooth():
    rng = np.random.default_rng(0)
    jitter, linker = rng.normal(0, 3, 60), TrackLinker()
    for number, offset in enumerate(jitter):
        linker.add(number / 10, np.array([box(50 + offset, 30, 40)]))
    (track,) = linker.tracks
    smooth = [track.box_at(np.arange(i - 2, i + 3) / 10)[0] for i in range(60)]
    assert np.diff(smooth).std() < 0.4 * np.diff(jitter).std()
    np.testing.assert_allclose(smooth[0], 50 + jitter[0])  # no neighbor on one side: none on the other
    np.testing.assert_allclose(smooth[30], 50 + np.average(jitter[28:33], weights=[1, 2, 3, 2, 1]))
    assert track.box_at(np.arange(58, 63) / 10 + 0.01) is None  # behind the end nothing is invented


def test_interpolation_ends_where_a_stretch_ends():
    track = FaceTrack(0, [0.0, 0.3, 2.0], [np.array(box(x, 0, 10)) for x in (0, 30, 90)])
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


def linked(frames):
    """Numbers of the tracks in each frame, in the order of the boxes; frames are 0.1 s apart."""
    linker, numbers = TrackLinker(), []
    for step, boxes in enumerate(frames):
        linker.add(step / 10, np.array(boxes).reshape(-1, 5))
        at = {tuple(track.boxes[-1]): track.number for track in linker.tracks if track.times[-1] == step / 10}
        numbers.append([at[tuple(one)] for one in boxes])
    return numbers


def test_no_track_goes_on_through_a_cut():
    linker = TrackLinker()
    for step in range(4):
        if step == 2:
            linker.cut()
        linker.add(step / 10, np.array([box(50, 30, 40)]))
    assert [(track.number, track.times) for track in linker.tracks] == [(0, [0.0, 0.1]), (1, [0.2, 0.3])]


def test_a_fast_face_is_expected_where_its_motion_leads():
    assert linked([[box(30 * step, 0, 40)] for step in range(2)]) == [[0], [1]]  # too far at first sight
    steps = [0, 20, 40, 90, 110]  # not seen at 60 and 70
    linker = TrackLinker()
    for time, x in zip((0, 0.1, 0.2, 0.45, 0.55), steps, strict=True):
        linker.add(time, np.array([box(x, 0, 40)]))
    assert len(linker.tracks) == 1


def test_where_one_face_hides_another_both_tracks_end():
    frames = [[box(10 * step, 0, 40), box(100 - 10 * step, 0, 40)] for step in range(4)]  # 30 and 70
    hidden = [[box(50, 0, 40)]]
    after = [[box(70, 0, 40), box(30, 0, 40)], [box(80, 0, 40), box(20, 0, 40)]]
    numbers = linked(frames + hidden + after)
    assert numbers[:4] == [[0, 1]] * 4 and numbers[4] == [2]
    assert not {0, 1} & {number for row in numbers[4:] for number in row} and numbers[5] == numbers[6]


def test_a_second_box_of_a_face_is_no_other_face():
    frames = [[box(50, 30, 40), box(56, 34, 36)] if step % 3 else [box(50, 30, 40)] for step in range(12)]
    assert [row[0] for row in linked(frames)] == [0] * 12
    once, twice = FaceTrack(0, [0.1], [box(50, 30, 40)]), FaceTrack(1, [0.0, 0.1], [box(56, 34, 36)] * 2)
    far = FaceTrack(2, [0.1], [box(90, 30, 40)])
    placed = [(track, np.array(track.boxes[-1])) for track in (once, twice, far)]
    assert [track.number for track, _ in without_duplicates(placed)] == [1, 2]
