import pytest
import torch
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForPreTraining,
    AutoModelForVideoClassification,
    AutoProcessor,
)

import av_emotion_hf as av

AUTO_CLASSES = [
    (AutoModel, av.AVEmotionAudioModel),
    (AutoModelForPreTraining, av.AVEmotionAudioForPreTraining),
    (AutoModelForAudioClassification, av.AVEmotionAudioForSequenceClassification),
    (AutoModel, av.AVEmotionImageModel),
    (AutoModelForPreTraining, av.AVEmotionImageForPreTraining),
    (AutoModelForVideoClassification, av.AVEmotionImageForSequenceClassification),
    (AutoModel, av.AVEmotionModel),
    (AutoModelForVideoClassification, av.AVEmotionForSequenceClassification),
]


@pytest.mark.parametrize(("auto_class", "model_class"), AUTO_CLASSES)
def test_auto_class_loads_what_was_saved(
    auto_class, model_class, audio_config, image_config, config, waveforms, crops, tmp_path
):
    kind = "Audio" if "Audio" in model_class.__name__ else "Image" if "Image" in model_class.__name__ else None
    model = model_class({"Audio": audio_config, "Image": image_config, None: config}[kind]).eval()
    model.save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), type(model.config))
    loaded = auto_class.from_pretrained(tmp_path)
    assert type(loaded) is model_class
    given = {}
    if kind != "Image":
        given |= {"input_values": waveforms[0], "attention_mask": waveforms[1]}
    if kind != "Audio":
        given |= {"pixel_values": crops[0], "pixel_mask": crops[1]}
    if "PreTraining" in model_class.__name__:
        frames = 25 if kind == "Audio" else 5
        given["mask_time_indices"] = torch.arange(frames).expand(3, -1) % 10 == 0
    with torch.no_grad():
        for expected, got in zip(model(**given).values(), loaded.eval()(**given).values(), strict=True):
            assert torch.equal(expected, got)


def test_auto_processors_load_what_was_saved(config, tmp_path):
    config.save_pretrained(tmp_path)
    saved = av.AVEmotionProcessor(
        av.AVEmotionFeatureExtractor(sampling_rate=8000), av.AVEmotionImageProcessor(size={"height": 40, "width": 40})
    )
    saved.save_pretrained(tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    assert type(processor) is av.AVEmotionProcessor
    for feature_extractor in (processor.feature_extractor, AutoFeatureExtractor.from_pretrained(tmp_path)):
        assert type(feature_extractor) is av.AVEmotionFeatureExtractor and feature_extractor.sampling_rate == 8000
    for image_processor in (processor.image_processor, AutoImageProcessor.from_pretrained(tmp_path)):
        assert type(image_processor) is av.AVEmotionImageProcessor and image_processor.size["height"] == 40


def test_single_processors_load_beside_their_models(audio_config, image_config, tmp_path):
    audio_config.save_pretrained(tmp_path / "audio")
    av.AVEmotionFeatureExtractor().save_pretrained(tmp_path / "audio")
    assert type(AutoFeatureExtractor.from_pretrained(tmp_path / "audio")) is av.AVEmotionFeatureExtractor
    image_config.save_pretrained(tmp_path / "image")
    av.AVEmotionImageProcessor(do_grayscale=False).save_pretrained(tmp_path / "image")
    assert AutoImageProcessor.from_pretrained(tmp_path / "image").do_grayscale is False


def test_no_warning_of_a_missing_backend(image_config, tmp_path, monkeypatch):
    from transformers.models.auto import image_processing_auto

    warnings = []
    monkeypatch.setattr(image_processing_auto.logger, "warning_once", warnings.append)
    image_config.save_pretrained(tmp_path)
    av.AVEmotionImageProcessor().save_pretrained(tmp_path)
    for backend in (None, "pil", "torchvision"):
        assert type(AutoImageProcessor.from_pretrained(tmp_path, backend=backend)) is av.AVEmotionImageProcessor
    assert not warnings
