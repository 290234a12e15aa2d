import numpy as np

from av_emotion_hf.media import crop_square
from av_emotion_hf.media.crops import fit_frame


def test_crop_repeats_the_edge_where_it_leaves_the_frame():
    frame = np.zeros((60, 60, 3), np.uint8)
    frame[:, :30] = 200
    crop = crop_square(frame, np.array([-20, -20, 20, 20]), 40, margin=0.0)
    assert crop.shape == (40, 40, 3) and (crop == 200).all()
    assert crop_square(frame, np.array([500, 500, 540, 540]), 8).shape == (8, 8, 3)


def test_frames_are_scaled_to_a_long_side_and_padded_at_the_right_or_bottom():
    frame = np.full((90, 120, 3), 200, np.uint8)
    assert fit_frame(frame, 64).shape == (48, 64, 3)
    padded = fit_frame(frame, 60, multiple=16)
    assert padded.shape == (48, 64, 3)
    assert (padded[:45, :60] == 200).all() and not padded[45:].any() and not padded[:, 60:].any()
