import pytest
import torch
from helpers.scripted_faces import scenes
from helpers.synthetic import voice, write_clip

import av_emotion_hf as av
from av_emotion_hf.data import reader

BOTH = [("ann", 10, 50, 50), ("bob", 120, 50, 40)]
SHOTS = [(16, BOTH[:1]), (12, BOTH), (12, [("bob", 70, 45, 60)])]  # 1.6 s of Ann, both, 1.2 s of Bob


@pytest.fixture
def clip(tmp_path, monkeypatch):
    """A clip of two persons and a voice, for which the face detector is told what to find."""
    images, detector = scenes(SHOTS)
    monkeypatch.setattr(reader, "load_detector", lambda name: detector)
    return write_clip(tmp_path / "talk.mp4", images.images, 10, voice(4, 150), 16_000)


@pytest.fixture
def checkpoint(config, tmp_path):
    """Function that saves a fusion or audio classifier with its processor."""

    def save(kind="fusion"):
        torch.manual_seed(0)
        is_fusion = kind == "fusion"
        model = (
            av.AVEmotionForSequenceClassification(config)
            if is_fusion
            else av.AVEmotionAudioForSequenceClassification(config.audio_config)
        )
        with torch.no_grad():
            model.classifier.weight.mul_(30)  # so that inputs make a difference
        model.save_pretrained(tmp_path / kind)
        extractor = av.AVEmotionFeatureExtractor()
        processor = av.AVEmotionProcessor(extractor, av.AVEmotionImageProcessor(size={"height": 32, "width": 32}))
        (processor if is_fusion else extractor).save_pretrained(tmp_path / kind)
        return str(tmp_path / kind)

    return save
