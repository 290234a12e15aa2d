import pytest
import torch

from av_emotion_hf.models.configuration_av_emotion import AVEmotionAudioConfig
from av_emotion_hf.models.frontend_av_emotion import AcousticFrontEnd


@pytest.fixture(scope="session")
def frontend():
    """The front-end with its defaults; copy it before changing it."""
    return AcousticFrontEnd(AVEmotionAudioConfig())


@pytest.fixture(scope="session")
def egemaps():
    """The front-end with all descriptors of eGeMAPSv02 and two more, not smoothed; copy it before changing it."""
    descriptors = ["egemaps", "voiced", "spectral_rolloff", "zero_crossing_rate"]
    return AcousticFrontEnd(AVEmotionAudioConfig.egemaps(descriptors=descriptors, smoothing_frames=1))


@pytest.fixture
def tracing(monkeypatch):
    """Function that makes the models run as under `torch.export`, step by step."""
    return lambda: monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
