"""Fixtures of all tests."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Value, Video
from skimage.data import astronaut
from transformers import ResNetConfig, WhisperConfig, WhisperModel

from av_emotion_hf import AVEmotionAudioConfig, AVEmotionConfig, AVEmotionImageConfig
from helpers.synthetic import gray_frames, voice, write_clip

torch.set_num_threads(1)
LABELS = ["angry", "happy", "sad"]
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True, scope="session")
def caches(tmp_path_factory):
    """Keeps what datasets caches out of the user's own cache."""
    import datasets

    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")


@pytest.fixture
def one_thread():
    """Runs torch on one thread during a test."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def names():
    return {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}


@pytest.fixture
def audio_config(names):
    return AVEmotionAudioConfig(hidden_size=8, num_hidden_layers=2, num_mel_bins=8, **names)


@pytest.fixture
def image_config(names):
    backbone = ResNetConfig(embedding_size=8, hidden_sizes=[8, 6], depths=[1, 1], layer_type="basic")
    return AVEmotionImageConfig(backbone_config=backbone, hidden_size=6, num_hidden_layers=1, **names)


@pytest.fixture
def config(audio_config, image_config, names):
    return AVEmotionConfig(audio_config=audio_config, image_config=image_config, **names)


@pytest.fixture
def whisper(tmp_path):
    """Folder of a small Whisper of three encoder layers."""
    config = WhisperConfig(
        d_model=16, encoder_layers=3, encoder_attention_heads=2, encoder_ffn_dim=32, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=32, vocab_size=10, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    torch.manual_seed(3)
    WhisperModel(config).save_pretrained(tmp_path / "whisper")
    return str(tmp_path / "whisper")


@pytest.fixture
def waveforms():
    """Three waveforms (3, 8000): full, half as long, empty; and their mask."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(8000) / 16000
    voice = torch.stack([(2 * torch.pi * f * time).sin().sign() for f in (120.0, 200.0, 310.0)])
    mask = torch.zeros(3, 8000, dtype=torch.long)
    mask[0], mask[1, :4000] = 1, 1
    return (0.2 * voice + 0.02 * torch.randn(3, 8000, generator=generator)) * mask, mask


@pytest.fixture
def crops():
    """Three clips of face crops (3, 5, 3, 32, 32): 5 frames, 2 frames, none; and their mask."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(3, 5, dtype=torch.long)
    mask[0], mask[1, :2] = 1, 1
    return torch.randn(3, 5, 3, 32, 32, generator=generator) * mask[..., None, None, None], mask


@pytest.fixture
def build(audio_config, image_config, config):
    """Function from a model class to a model in evaluation mode, built with seed 0."""

    def make(model_class):
        torch.manual_seed(0)
        chosen = (
            audio_config
            if "Audio" in model_class.__name__
            else image_config
            if "Image" in model_class.__name__
            else config
        )
        return model_class(chosen).eval()

    return make


@pytest.fixture
def arguments(waveforms, crops):
    """Function from a model class to the tensors that it takes."""

    def make(model_class):
        given = {}
        if "Image" not in model_class.__name__:
            given |= {"input_values": waveforms[0], "attention_mask": waveforms[1]}
        if "Audio" not in model_class.__name__:
            given |= {"pixel_values": crops[0], "pixel_mask": crops[1]}
        if "PreTraining" in model_class.__name__:
            frames = torch.zeros(3, 25 if "Audio" in model_class.__name__ else 5, dtype=torch.bool)
            frames[:2, :2] = True
            given["mask_time_indices"] = frames
        return given

    return make


@pytest.fixture
def face():
    """A frontal face (160, 160, 3) uint8: the astronaut's."""
    return astronaut()[20:180, 140:300]


@pytest.fixture
def paste_faces(face):
    """Function from (left, top, side) triples to a frame (240, 360, 3) with the face at each of these places."""

    def paste(*places):
        frame = np.full((240, 360, 3), 90, np.uint8)
        for left, top, side in places:
            frame[top : top + side, left : left + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
        return frame

    return paste


@pytest.fixture
def blazeface_weights(tmp_path):
    """Folder of weights of blazeface that score at random, and find boxes of one size around random anchors."""
    from face_alignment.detection.blazeface.net_blazeface import BlazeFace

    torch.manual_seed(0)
    anchors = np.ones((896, 4), np.float32)
    anchors[:, :2] = np.random.default_rng(0).random((896, 2))
    weights = BlazeFace().state_dict()
    for name in weights:
        if name.startswith("regressor"):
            weights[name].zero_()
        if name.startswith("regressor") and name.endswith("bias"):
            weights[name].view(-1, 16)[:, 2:4] = 20.0  # width and height in pixels
    torch.save(weights, tmp_path / "blazeface.pth")
    np.save(tmp_path / "anchors.npy", anchors)
    return tmp_path


@pytest.fixture
def shared():
    """Folder of corpora, clips and weights beside the checkout."""
    folder = Path(__file__).parents[2].parent / "shared"
    if not (folder / "clips").is_dir():
        pytest.skip("needs the corpora and clips beside the checkout (../shared)")
    return folder


@pytest.fixture
def clip_files(tmp_path, paste_faces):
    """Three clips of half a second: face and voice, face without sound, voice without face."""
    faces = [paste_faces((100 + i, 40, 140)) for i in range(5)]
    gray = gray_frames([80] * 5, 240, 360)
    sound = voice(0.5, 150)
    return [
        write_clip(tmp_path / "both.mp4", faces, 10, sound, 16_000),
        write_clip(tmp_path / "silent.mp4", faces, 10),
        write_clip(tmp_path / "faceless.mp4", gray, 10, sound, 16_000),
    ]


@pytest.fixture
def clips(clip_files):
    """A corpus of these clips and one that cannot be read."""
    cells = [{"bytes": path.read_bytes(), "path": None} for path in clip_files]
    cells.append({"bytes": b"\x00\x01 no clip", "path": None})
    rows = [
        {"video": cell, "emotion": emotion, "speaker": speaker}
        for cell, emotion, speaker in zip(cells, ["sad", "happy", "sad", "happy"], "aabb", strict=True)
    ]
    features = {"video": Video(decode=False), "emotion": Value("string"), "speaker": Value("string")}
    return Dataset.from_list(rows, features=Features(features))


@pytest.fixture
def script(monkeypatch):
    """Function that runs a script of `examples` as a program, or gives its names when no words are passed."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def call(name, *words):
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__" if words else "example")

    return call
