import numpy as np

from av_emotion_hf.data import RunningStatistics


def test_parts_give_what_the_whole_gives():
    generator = np.random.default_rng(0)
    frames = generator.normal(1000, [1e-2, 1, 50], (500, 3))
    valid = generator.random((500, 3)) < 0.7
    whole = RunningStatistics(3)
    for part in np.split(np.arange(500), [3, 120, 121, 400]):
        whole.update(frames[part], valid[part])
    left, right = RunningStatistics(3).update(frames[:100], valid[:100]), RunningStatistics(3)
    merged = left.merge(right.update(frames[100:], valid[100:]))
    for statistics in (whole, merged):
        for feature in range(3):
            cells = frames[valid[:, feature], feature]
            np.testing.assert_allclose(statistics.mean[feature], cells.mean(), rtol=1e-9)
            np.testing.assert_allclose(statistics.std[feature], cells.std(), rtol=1e-6)


def test_what_never_varies_can_be_divided_by():
    statistics = RunningStatistics(2).update(np.array([[5.0, 1.0], [5.0, 3.0]]))
    assert statistics.std.tolist() == [1.0, 1.0] and statistics.mean.tolist() == [5.0, 2.0]
    assert RunningStatistics(1).std.tolist() == [1.0]
