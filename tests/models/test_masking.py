import numpy as np
import pytest
import torch

from av_emotion_hf.models.masking_av_emotion import MaskedFrames, mean_square, sample_gaps, sample_mask


@pytest.mark.parametrize(("frames", "hidden"), [(1, 1), (4, 1), (10, 1), (100, 10), (104, 10), (106, 11), (250, 25)])
def test_exactly_ten_percent_of_the_real_frames_are_hidden(frames, hidden):
    frame_mask = torch.arange(260) < torch.tensor([[frames], [frames], [0]])
    mask = sample_mask(frame_mask, 0.1)
    assert mask.sum(dim=1).tolist() == [hidden, hidden, 0]
    assert not (mask & ~frame_mask).any()


def test_mask_differs_between_clips_and_repeats_with_the_generator():
    frame_mask = torch.ones(2, 200, dtype=torch.bool)
    first, again = (sample_mask(frame_mask, 0.1, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])
    everywhere = sum(sample_mask(frame_mask, 0.1).float().mean(0) for _ in range(300)) / 300
    assert everywhere.min() > 0.03 and everywhere.max() < 0.2  # every frame has its chance


def test_spans_hide_the_same_fraction():
    mask = sample_mask(torch.ones(20, 210, dtype=torch.bool), 0.5, 7)
    assert (mask.sum(dim=1) == 105).all()
    runs = np.diff(np.flatnonzero(np.diff(np.pad(mask[0].numpy().astype(int), 1))))[::2]
    assert np.median(runs) >= 7


def runs_of(row):
    """Start and length of each stretch of True in a mask (T,)."""
    edges = np.flatnonzero(np.diff(np.pad(row.numpy().astype(int), 1)))
    return list(zip(edges[::2].tolist(), np.diff(edges)[::2].tolist(), strict=True))


@pytest.mark.parametrize("length", [1, 3, 7, 15])
def test_gaps_have_exactly_their_length_and_visible_frames_on_both_sides(length):
    lengths = torch.tensor([300, 61, length + 2, length + 1, 1, 0])
    frame_mask = torch.arange(300) < lengths[:, None]
    mask = sample_gaps(frame_mask, 0.1, length, torch.Generator().manual_seed(0))
    gaps = [runs_of(row) for row in mask]
    assert {size for clip in gaps for _, size in clip} == {length}
    assert [len(clip) for clip in gaps] == [round(30 / length), max(1, round(6 / length)), 1, 0, 0, 0]
    for clip, frames in zip(gaps, lengths.tolist(), strict=True):
        assert all(start > 0 and start + length < frames for start, _ in clip)
    assert gaps[2] == [(1, length)]


def test_gaps_repeat_with_the_generator_whatever_the_batch():
    frame_mask = torch.ones(6, 80, dtype=torch.bool)
    whole = sample_gaps(frame_mask, 0.1, 3, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(torch.cat([sample_gaps(part, 0.1, 3, generator) for part in frame_mask.split(4)]), whole)
    assert len({tuple(row.tolist()) for row in whole}) > 1
    everywhere = sum(sample_gaps(frame_mask, 0.1, 3).float().mean(0) for _ in range(200)) / 200
    assert everywhere[1:-1].min() > 0.02 and everywhere.max() < 0.4


def test_mean_over_chosen_cells():
    predicted, target = torch.tensor([[[1.0, 5.0], [2.0, 0.0]]]), torch.zeros(1, 2, 2)
    cells = torch.tensor([[[True, False], [True, True]]])
    assert mean_square(predicted, target, cells) == pytest.approx((1 + 4 + 0) / 3)
    assert mean_square(predicted, target, torch.zeros_like(cells)) == 0


def test_hidden_frames_are_zeros():
    features = torch.ones(1, 3, 2)
    hidden = torch.tensor([[False, True, False]])
    frames = MaskedFrames(features, torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 3, 2, dtype=torch.bool), hidden)
    assert frames.visible.tolist() == [[[1, 1], [0, 0], [1, 1]]] and features.sum() == 6
