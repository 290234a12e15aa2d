import pytest
import torch

import av_emotion_hf as av
from av_emotion_hf.data.frame_augmentation import (
    FRAME_AUGMENTATIONS,
    LARGEST_MASK,
    MASKS,
    MeanFrame,
    hide_features,
    hide_time,
)


@pytest.fixture(params=[0.4, 0.7], ids=["mostly unvoiced", "mostly voiced"])
def encoder(audio_config, request):
    """An encoder with statistics, and gain and offset that it has learned."""
    torch.manual_seed(0)
    model = av.AVEmotionAudioModel(audio_config)
    mean, std = torch.randn(model.num_features), torch.rand(model.num_features) + 0.5
    mean[model.frontend.voicing_column] = request.param
    model.set_feature_statistics(mean, std)
    with torch.no_grad():
        model.frontend.gain.uniform_(0.5, 2)
        model.frontend.offset.normal_()
    return model


@pytest.fixture
def frames(encoder):
    """40 frames of which every third is unvoiced."""
    values = torch.randn(40, encoder.num_features) + 3
    voiced = torch.arange(40) % 3 > 0
    values[:, encoder.frontend.voicing_column] = voiced.float()
    values[~voiced] = values[~voiced].masked_fill(encoder.frontend.voiced_only, 0)
    return values


@torch.no_grad()
def test_hidden_frames_and_features_are_the_mean_after_normalization(encoder, frames):
    mean, before = MeanFrame.of(encoder), encoder.normalize(frames)
    after = encoder.normalize(hide_time(frames, mean, 10, 17))
    torch.testing.assert_close(after[10:17], encoder.mean_features.expand(7, -1))
    assert torch.equal(after[:10], before[:10]) and torch.equal(after[17:], before[17:])

    column = encoder.frontend.voicing_column
    after = encoder.normalize(hide_features(frames, mean, column - 2, column + 3))
    hidden = [column - 2, column - 1, column + 1, column + 2]
    torch.testing.assert_close(after[:, hidden], encoder.mean_features[hidden].expand(40, -1))
    others = [index for index in range(after.shape[1]) if index not in hidden]  # the voicing is one of them
    assert torch.equal(after[:, others], before[:, others])


@torch.no_grad()
def test_what_is_not_defined_is_filled_with_what_the_model_makes_of_it(encoder, frames):
    filled = MeanFrame.of(encoder).fill(frames)
    undefined = ~encoder.defined_cells(frames)
    assert undefined.any() and torch.equal(filled[~undefined], frames[~undefined])
    assert torch.equal(filled[undefined], encoder.frontend.feature_mean.expand_as(frames)[undefined])
    torch.testing.assert_close(encoder.normalize(filled), encoder.normalize(frames))


def test_without_voicing_every_feature_is_defined_and_can_be_hidden(audio_config):
    audio_config.descriptors = ["loudness", "log_mel_00", "log_mel_01"]
    encoder = av.AVEmotionAudioModel(audio_config)
    mean, frames = MeanFrame.of(encoder), torch.ones(4, encoder.num_features)
    assert mean.voicing_column is None and torch.equal(mean.fill(frames), frames)
    assert not hide_features(frames, mean, 0, encoder.num_features).any()


@pytest.mark.parametrize("name", FRAME_AUGMENTATIONS)
@pytest.mark.parametrize("length", [0, 1, 4, 200])
def test_masks_are_at_most_a_fifth_each(encoder, name, length):
    mean = MeanFrame.of(encoder)
    frames, hide = torch.full((length, encoder.num_features), 9.0), FRAME_AUGMENTATIONS[name]
    axis = 1 if name == "time_mask" else 0
    largest = 0
    for _ in range(100):
        changed = (hide(frames, mean) != frames).any(axis) if length else torch.zeros(0)
        assert hide(frames, mean).shape == frames.shape
        largest = max(largest, int(changed.sum()))
    size = frames.shape[1 - axis]
    assert largest <= MASKS * int(LARGEST_MASK * size)
    if length == 200:
        assert largest > LARGEST_MASK * size  # both masks count
