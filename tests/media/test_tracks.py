import numpy as np
from helpers.scripted_faces import box

from av_emotion_hf.media.tracks import FaceTrack, TrackLinker


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
