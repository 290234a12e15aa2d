import numpy as np
import torch

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
