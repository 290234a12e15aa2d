from types import SimpleNamespace

import pytest
import torch

from av_emotion_hf import (
    AVEmotionAudioConfig,
    AVEmotionAudioModel,
    AVEmotionForSequenceClassification,
    AVEmotionImageConfig,
)
from av_emotion_hf.models.configuration_av_emotion import POOLINGS
from av_emotion_hf.models.person_baseline_av_emotion import clip_moments
from av_emotion_hf.models.pooling_av_emotion import SentencePooling, statistics_pool


def pooling(kind, pool_features=False):
    torch.manual_seed(0)
    return SentencePooling(AVEmotionAudioConfig(hidden_size=6, pooling=kind, pool_features=pool_features), 4)


@pytest.fixture
def frames():
    """States `(3, 5, 6)`, features `(3, 5, 4)`, and their mask: five frames, three, none."""
    torch.manual_seed(1)
    mask = torch.arange(5) < torch.tensor([[5], [3], [0]])
    return torch.randn(3, 5, 6), torch.randn(3, 5, 4), mask


def test_statistics_are_those_of_the_real_frames(frames):
    states, features, mask = frames
    pooled = pooling("statistics", True)(states, features, mask, features)
    for row, count in enumerate((5, 3)):
        own, raw = states[row, :count], features[row, :count]
        expected = [own.mean(0), own.std(0, unbiased=False), raw.mean(0), raw.std(0, unbiased=False)]
        torch.testing.assert_close(pooled[row], torch.cat(expected))
    assert pooled.shape == (3, 20) and not pooled[2].any()


@pytest.mark.parametrize("pool_features", [False, True])
@pytest.mark.parametrize("kind", POOLINGS)
def test_padding_changes_nothing(frames, kind, pool_features):
    states, features, mask = frames
    pool = pooling(kind, pool_features)
    pooled = pool(states, features, mask, features)
    assert pooled.shape == (3, pool.size) and not pooled[2].any()
    alone = pool(states[1:2, :3], features[1:2, :3], mask[1:2, :3], features[1:2, :3])
    torch.testing.assert_close(pooled[1:2], alone)
    padded = states.masked_fill(~mask[..., None], 100.0), features.masked_fill(~mask[..., None], -100.0)
    torch.testing.assert_close(pool(*padded, mask, padded[1]), pooled)


def test_statistics_of_the_voiced_frames():
    torch.manual_seed(2)
    config = AVEmotionAudioConfig(hidden_size=6, pool_features=True, pool_voiced=True)
    states, features, mask = torch.randn(2, 12, 6), torch.randn(2, 12, 4), torch.ones(2, 12, dtype=torch.bool)
    raw = features.clone()
    raw[:, :, 1] = 0.0
    raw[0, 2:9, 1] = raw[1, 2:6, 1] = 1.0  # seven voiced frames, and four, which are too few
    mask[0, 8:] = False
    pool = SentencePooling(config, 4, voicing_column=1)
    pooled = pool(states, features, mask, raw)
    assert pooled.shape == (2, pool.size) and pool.size == 6 + 8
    for row, frames in ((0, features[0, 2:8]), (1, features[1])):
        torch.testing.assert_close(pooled[row, 6:], torch.cat([frames.mean(0), frames.std(0, unbiased=False)]))
    counted = pool.counted_cells(torch.ones_like(raw, dtype=torch.bool), raw)
    assert counted.sum(1).tolist() == [[7, 12, 7, 7], [4, 12, 4, 4]]  # the voicing itself in all frames


def test_statistics_of_dataset_and_person_count_what_is_pooled():
    fields = {"hidden_size": 4, "num_hidden_layers": 1, "pool_features": True}
    torch.manual_seed(0)
    model = AVEmotionAudioModel(AVEmotionAudioConfig(pool_voiced=True, **fields))
    column = model.frontend.voicing_column
    features = torch.randn(1, 40, 60)
    features[..., column] = (torch.arange(40) < 30).float()
    moments = clip_moments(SimpleNamespace(audio_encoder=model), {"input_features": features})["audio"][0]
    assert moments[0].unique().tolist() == [30, 40] and moments[0, column] == 40
    torch.testing.assert_close(moments[1, 0], features[0, :30, 0].double().mean())
    plain = AVEmotionAudioModel(AVEmotionAudioConfig(**fields))
    assert plain.counted_cells(features)[0, :, 0].sum() == 40


def test_attention_prefers_frames():
    pool = pooling("attention")
    states, mask = torch.zeros(1, 4, 6), torch.ones(1, 4, dtype=torch.bool)
    states[0, 2] = 1.0
    with torch.no_grad():
        pool.hidden.weight.fill_(1.0)
        pool.score.weight.fill_(10.0)
    mean, deviation = pool(states, torch.zeros(1, 4, 4), mask, torch.zeros(1, 4, 4))[0].split(6)
    assert mean.min() > 0.99 and deviation.max() < 0.1


def test_frames_that_are_all_alike_have_a_gradient():
    frames = torch.ones(1, 3, 2, requires_grad=True)
    statistics_pool(frames, torch.full((1, 3), 1 / 3)).sum().backward()
    assert frames.grad.isfinite().all()


@pytest.mark.parametrize("kind", POOLINGS)
def test_fusion_takes_vectors_of_any_size(config, kind):
    config.audio_config.pooling, config.audio_config.pool_features = kind, True
    config.image_config.pooling = kind
    model = AVEmotionForSequenceClassification(config).eval()
    size = model.audio_encoder.pooling.size + model.image_encoder.pooling.size
    assert model.classifier.in_features == size and len(model.audio_absent) == model.audio_encoder.pooling.size
    logits = model(input_values=torch.randn(2, 8000), pixel_values=torch.randn(2, 3, 3, 32, 32)).logits
    assert logits.shape == (2, 3) and model(input_values=torch.randn(2, 8000)).logits.isfinite().all()


def test_an_unknown_pooling_is_named():
    with pytest.raises(Exception, match=r"pooling='max' is not one of \('mean', 'statistics', 'attention'\)"):
        AVEmotionAudioConfig(pooling="max")


def test_voiced_statistics_need_the_voicing():
    for config_class, fields in ((AVEmotionAudioConfig, {"descriptors": ["loudness"]}), (AVEmotionImageConfig, {})):
        with pytest.raises(Exception, match="pool_voiced=True needs to know which frames are voiced"):
            config_class(pool_features=True, pool_voiced=True, **fields)
    with pytest.raises(Exception, match="set pool_features=True as well"):
        AVEmotionAudioConfig(pool_voiced=True)
