import ast
from pathlib import Path

import pytest
from transformers import AutoConfig, MobileNetV2Config, TimmWrapperConfig

import av_emotion_hf
from av_emotion_hf import AVEmotionAudioConfig, AVEmotionConfig, AVEmotionImageConfig
from av_emotion_hf.models.configuration_av_emotion import FUSION_TYPES


def test_patent_settings_are_the_defaults():
    for config in (AVEmotionAudioConfig(), AVEmotionImageConfig()):
        assert (config.mask_time_prob, config.mask_time_length, config.objective) == (0.1, 1, "complete")
    assert AVEmotionConfig().fusion == "concat" and AVEmotionConfig().modality_dropout == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rnn_type": "transformer"}, "rnn_type='transformer' is not one of"),
        ({"hidden_size": 7}, "hidden_size=7 is odd"),
        ({"hidden_dropout": float("nan")}, "hidden_dropout=nan must be from 0 to below 1"),
        ({"classifier_dropout": 1.0}, "classifier_dropout=1.0 must be from 0 to below 1"),
        ({"mask_time_prob": 1.0}, "mask_time_prob=1.0 must be between 0 and 1"),
        ({"mask_time_length": 0}, "mask_time_length=0 must be at least 1"),
        ({"objective": "perfect"}, "objective='perfect' is not one of"),
        ({"future_frames": 0}, "future_frames=0 must be at least 1"),
        ({"future_weight": 1}, "future_weight=1 must be between 0 and 1"),
        ({"f0_min": 20}, "holds less than two periods"),
        ({"f0_max": 9000}, "must increase and stay below half"),
        ({"num_mel_bins": 0}, "num_mel_bins=0 must be positive"),
        ({"hidden_size": "big"}, "hidden_size"),
        ({"descriptors": ["hnr_db"]}, "add 'voiced' or 'f0_semitone'"),
        ({"smoothing_frames": 2}, "odd number"),
        ({"fft_length": 256}, "shorter than frame_length_ms"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(Exception, match=message):
        AVEmotionAudioConfig(**settings)


def test_validation_is_not_switched_off():
    # string annotations silently disable the checks of @strict
    tree = ast.parse((Path(av_emotion_hf.__file__).parent / "models" / "configuration_av_emotion.py").read_text())
    assert not any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)


def test_fusion_config_survives_json(config, tmp_path):
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert loaded.to_dict() | {"_name_or_path": ""} == config.to_dict()
    assert loaded.audio_config.num_mel_bins == 8
    assert loaded.image_config.backbone_config.hidden_sizes == [8, 6]
    assert loaded.hidden_size == 14


def test_size_of_image_features():
    assert AVEmotionImageConfig().image_feature_size == 128
    assert AVEmotionImageConfig(backbone_config=MobileNetV2Config(depth_multiplier=1.4)).image_feature_size == 1792
    pytest.importorskip("timm")
    for architecture, size in (("densenet121", 1024), ("mobilenetv3_small_100", 1024), ("efficientnet_lite0", 1280)):
        config = AVEmotionImageConfig(backbone_config=TimmWrapperConfig(architecture=architecture))
        assert config.image_feature_size == size  # mobilenetv3 has a layer behind the pooling


def test_every_fusion_type_is_accepted_and_no_other():
    assert [AVEmotionConfig(fusion=name).fusion for name in FUSION_TYPES] == ["concat", "gated", "attention", "late"]
    with pytest.raises(Exception, match="fusion='sum' is not one of"):
        AVEmotionConfig(fusion="sum")
    with pytest.raises(Exception, match="late_rule='sum' is not one of"):
        AVEmotionConfig(late_rule="sum")
    with pytest.raises(Exception, match="'voice' has 2"):
        AVEmotionConfig(temperatures={"voice": 2})
    with pytest.raises(Exception, match="'both' has 0"):
        AVEmotionConfig(temperatures={"both": 0})
    with pytest.raises(Exception, match=r"classifier_dropout=1.5 must be from 0 to below 1"):
        AVEmotionConfig(classifier_dropout=1.5)
