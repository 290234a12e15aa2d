import numpy as np
import torch

from av_emotion_hf.data import RunningStatistics


def test_parts_give_what_the_whole_gives():
    """Cells that are not defined count nowhere; here these are the values below a threshold."""
    generator = np.random.default_rng(0)
    frames = generator.normal(1000, [1e-2, 1, 50], (500, 3)).astype(np.float32)
    threshold = torch.tensor(np.quantile(frames, 0.3, axis=0), dtype=torch.float32)

    def defined_cells(frames):
        return frames > threshold

    whole = RunningStatistics(3, defined_cells)
    for part in np.split(np.arange(500), [3, 120, 121, 400]):
        whole.update(frames[part])
    left, right = RunningStatistics(3, defined_cells).update(frames[:100]), RunningStatistics(3, defined_cells)
    merged = left.merge(right.update(torch.from_numpy(frames[100:])))
    for statistics in (whole, merged, RunningStatistics.from_dict(whole.as_dict())):
        for feature in range(3):
            cells = frames[frames[:, feature] > threshold[feature].item(), feature].astype(np.float64)
            assert statistics.count[feature] == len(cells) and 300 < len(cells) < 400
            np.testing.assert_allclose(statistics.mean[feature], cells.mean(), rtol=1e-9)
            np.testing.assert_allclose(statistics.std[feature], cells.std(), rtol=1e-6)


def test_all_cells_count_unless_told_otherwise():
    frames = np.random.default_rng(0).normal(3, 2, (60, 4))
    statistics = RunningStatistics(4).update(frames)
    assert statistics.count.tolist() == [60] * 4
    np.testing.assert_allclose(statistics.mean, frames.mean(0))
    np.testing.assert_allclose(statistics.std, frames.std(0))


def test_what_never_varies_can_be_divided_by():
    statistics = RunningStatistics(2).update(np.array([[5.0, 1.0], [5.0, 3.0]]))
    assert statistics.std.tolist() == [1.0, 1.0] and statistics.mean.tolist() == [5.0, 2.0]
    assert RunningStatistics(1).std.tolist() == [1.0]
