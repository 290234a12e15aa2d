import pytest

import av_emotion_hf as av
from av_emotion_hf.data import FeatureReader
from av_emotion_hf.errors import InputError


@pytest.fixture
def checkpoints(build, tmp_path):
    """Folders of an audio and an image classifier with their processors."""
    parts = {
        "audio": (av.AVEmotionAudioForSequenceClassification, av.AVEmotionFeatureExtractor()),
        "image": (av.AVEmotionImageForSequenceClassification, av.AVEmotionImageProcessor()),
    }
    for name, (model_class, processor) in parts.items():
        build(model_class).save_pretrained(tmp_path / name)
        processor.save_pretrained(tmp_path / name)
    return [str(tmp_path / name) for name in parts]


def test_each_encoder_comes_from_the_checkpoint_that_has_it(checkpoints):
    both = FeatureReader.from_checkpoints("both", checkpoints)
    assert both.features.keys() == {"input_features", "image_features"}
    for modality, column, path in zip(("audio", "image"), both.features, checkpoints, strict=True):
        alone = FeatureReader.from_checkpoints(modality, checkpoints)
        assert alone.features.keys() == {column}
        model = getattr(alone, f"{modality}_model")
        assert not model.training and (alone.image_processor is None) == (modality == "audio")
        assert (
            alone.settings[column]
            == both.settings[column]
            == FeatureReader.from_checkpoints(modality, [path]).settings[column]
        )


def test_audio_needs_no_checkpoint_and_images_do(checkpoints):
    assert FeatureReader.from_checkpoints("audio").features.keys() == {"input_features"}
    for modality in ("image", "both"):
        with pytest.raises(InputError, match="name its checkpoint with --init"):
            FeatureReader.from_checkpoints(modality)
