import numpy as np
import pytest
import torch
from PIL import Image

from av_emotion_hf import (
    AVEmotionFeatureExtractor,
    AVEmotionForSequenceClassification,
    AVEmotionImageProcessor,
    AVEmotionProcessor,
)


def test_processor_gives_all_that_the_fusion_model_takes(config):
    processor = AVEmotionProcessor(
        AVEmotionFeatureExtractor(), AVEmotionImageProcessor(size={"height": 32, "width": 32})
    )
    crops = np.random.default_rng(0).integers(0, 255, (3, 40, 40, 3), dtype=np.uint8)
    batch = processor(audio=[np.zeros(3200), np.zeros(0)], images=[crops, []], return_tensors="pt")
    assert set(batch) == {"input_values", "attention_mask", "pixel_values", "pixel_mask"}
    logits = AVEmotionForSequenceClassification(config).eval()(**batch).logits
    assert logits.shape == (2, 3) and torch.isfinite(logits).all()


def test_both_parts_check_what_they_get():
    processor = AVEmotionProcessor(
        AVEmotionFeatureExtractor(), AVEmotionImageProcessor(size={"height": 32, "width": 32})
    )
    crops = np.random.default_rng(0).integers(0, 255, (3, 40, 40, 3), dtype=np.uint8)
    sound = np.arange(-400, 400, dtype=np.int16)
    expected = processor(audio=sound / 32768, images=crops, return_tensors="np")
    pictures = [Image.fromarray(crop) for crop in crops]
    tensors = torch.from_numpy(crops / 255).permute(0, 3, 1, 2)
    for audio in (sound, torch.from_numpy(sound), (16000, sound), (sound / 32768).tolist(), np.stack([sound] * 2).T):
        for images in (pictures, tensors, [tensors], [pictures]):
            found = processor(audio=audio, images=images, return_tensors="np")
            assert all(np.array_equal(found[name], expected[name]) for name in expected)
    with pytest.raises(ValueError, match="type int64, values 1 to 2: this type has no full scale"):
        processor(audio=[1, 2], images=[crops])
    with pytest.raises(ValueError, match="negative pixels look normalized"):
        processor(audio=sound, images=[crops / 255 - 0.5])


def test_names_of_images_are_read(tmp_path):
    processor = AVEmotionProcessor(AVEmotionFeatureExtractor(), AVEmotionImageProcessor())
    crop = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(crop).save(tmp_path / "face.png")
    expected = processor(images=[crop, crop], return_tensors="np")["pixel_values"]
    found = processor(images=[str(tmp_path / "face.png"), tmp_path / "face.png"], return_tensors="np")["pixel_values"]
    np.testing.assert_array_equal(found, expected)


def test_addresses_and_names_are_fetched_by_transformers(monkeypatch):
    extractor, image_processor = AVEmotionFeatureExtractor(), AVEmotionImageProcessor()
    crop, asked = np.zeros((40, 40, 3), np.uint8), []
    monkeypatch.setattr(image_processor, "fetch_images", lambda name: asked.append(name) or crop)
    monkeypatch.setattr(extractor, "fetch_audio", lambda name, rate: asked.append((name, rate)) or np.ones(100))
    batch = AVEmotionProcessor(extractor, image_processor)(
        audio=["voice.wav"], images=[["https://example.org/a.png", crop]], return_tensors="np"
    )
    assert asked == ["https://example.org/a.png", ("voice.wav", 16000)]
    assert batch["input_values"].shape == (1, 100) and batch["pixel_mask"].tolist() == [[1, 1]]
