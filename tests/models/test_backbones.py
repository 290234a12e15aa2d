import pytest
import torch
from transformers import MobileNetV2Config, ResNetConfig

from av_emotion_hf import AVEmotionImageConfig, AVEmotionImageModel
from av_emotion_hf.models.backbones_av_emotion import POOLED, feature_size

SMALL = ResNetConfig(embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1], layer_type="basic")


@pytest.fixture
def faces():
    return torch.rand(1, 3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_layers_stand_side_by_side_in_fields(faces):
    config = AVEmotionImageConfig(backbone_config=SMALL, hidden_size=4, backbone_layers=[1, POOLED], backbone_fields=2)
    model = AVEmotionImageModel(config).eval()
    with torch.no_grad():
        features, mask = model.extract_features(faces)
        output = model.backbone(faces[0], output_hidden_states=True)
    layer = output.hidden_states[1]
    assert layer.shape[1] == 4 and mask.all() and features.shape == (1, 3, 2 * 2 * 4 + 6)
    half = layer.shape[-1] // 2
    torch.testing.assert_close(features[0, :, 1], layer[:, 0, :half, half:].mean((1, 2)))  # first channel, upper right
    torch.testing.assert_close(features[0, :, 16:], output.pooler_output.flatten(1))


def test_the_same_layers_after_saving(faces, tmp_path):
    config = AVEmotionImageConfig(backbone_config=SMALL, hidden_size=4, backbone_layers=[0, 2])
    model = AVEmotionImageModel(config).eval()
    model.save_pretrained(tmp_path)
    loaded = AVEmotionImageModel.from_pretrained(tmp_path).eval()
    assert loaded.config.backbone_layers == [0, 2] and loaded.num_features == 16 * (4 + 6)
    with torch.no_grad():
        torch.testing.assert_close(loaded(pixel_values=faces).pooler_output, model(pixel_values=faces).pooler_output)


def test_an_exported_model_reads_the_same(faces, tracing):
    config = AVEmotionImageConfig(backbone_config=SMALL, hidden_size=4, backbone_layers=[1])
    model = AVEmotionImageModel(config).eval()
    with torch.no_grad():
        expected = model.extract_features(faces)[0]
        tracing()
        torch.testing.assert_close(model.extract_features(faces)[0], expected)


def test_the_size_is_that_of_the_network():
    assert feature_size(SMALL, None, 4) == 6  # without building it
    assert feature_size(SMALL, [0, 1, 2], 4) == 16 * (4 + 4 + 6)
    small = MobileNetV2Config(depth_multiplier=0.1, tf_padding=False)
    assert feature_size(small, [POOLED], 4) == feature_size(small, None, 4) == 1280


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backbone_layers": [1, 7]}, r"backbone_layers=\[1, 7\]: 7 is no layer .* has 0 to 2, and -1"),
        ({"backbone_layers": []}, r"backbone_layers=\[\]: leave it out"),
        ({"backbone_layers": [1], "backbone_fields": 0}, "backbone_fields=0 must be at least 1"),
    ],
)
def test_a_wrong_layer_is_named(fields, message):
    with pytest.raises(Exception, match=message):
        AVEmotionImageModel(AVEmotionImageConfig(backbone_config=SMALL, hidden_size=4, **fields))
