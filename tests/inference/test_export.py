import builtins
import json

import numpy as np
import pytest
import torch
from helpers.speech_encoders import WHISPER
from transformers import ResNetConfig, ResNetForImageClassification
from typer.testing import CliRunner

import av_emotion_hf as av
from av_emotion_hf.cli import app
from av_emotion_hf.errors import InputError
from av_emotion_hf.inference.export import LOGIT_TOLERANCE, example_inputs, export_onnx


@pytest.fixture
def checkpoint(build, tmp_path):
    model = build(av.AVEmotionForSequenceClassification)
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(tmp_path / "fusion")
    pictures = av.AVEmotionImageProcessor(size={"height": 32, "width": 32})
    av.AVEmotionProcessor(av.AVEmotionFeatureExtractor(), pictures).save_pretrained(tmp_path / "fusion")
    return tmp_path / "fusion"


@pytest.mark.slow
def test_the_file_gives_the_logits_of_the_model_at_any_length(checkpoint, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    out = tmp_path / "made" / "model.onnx"
    answer = CliRunner().invoke(app, ["export", str(checkpoint), "--out", str(out), "--json"])
    assert answer.exit_code == 0, answer.output
    result = json.loads(answer.stdout.splitlines()[-1])
    assert result["bytes"] == out.stat().st_size and result["max_difference"] < LOGIT_TOLERANCE
    assert [path.name for path in out.parent.iterdir()] == ["model.onnx"]

    session = runtime.InferenceSession(out)
    about = session.get_modelmeta().custom_metadata_map
    assert about == {"labels": "angry,happy,sad", "sampling_rate": "16000", "crop_size": "32"}
    model = av.AVEmotionForSequenceClassification.from_pretrained(checkpoint).eval()
    for shape in ((1, 0.01, 1), (4, 1.7, 3)):
        given = example_inputs("fusion", 32, *shape)
        for missing in ((), ("attention_mask",), ("pixel_mask",)):
            given |= {name: torch.zeros_like(given[name]) for name in missing}
            with torch.no_grad():
                expected = model(**given).logits.numpy()
            got = session.run(None, {name: value.numpy() for name, value in given.items()})[0]
            np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.slow
def test_a_speech_backbone_is_exported(waveforms, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    config = av.AVEmotionAudioConfig(
        backbone_config=WHISPER.to_dict(), backbone_sums=2, hidden_size=8, num_hidden_layers=1, num_labels=3
    )
    model = av.AVEmotionAudioForSequenceClassification(config).eval()
    torch.nn.init.normal_(model.classifier.weight)
    with torch.no_grad():
        features = model.audio_encoder.extract_features(waveforms[0][:1])[0][0]
    model.audio_encoder.set_feature_statistics(features.mean(0), features.std(0).clamp(min=0.1))
    model.save_pretrained(tmp_path / "voice")
    av.AVEmotionFeatureExtractor().save_pretrained(tmp_path / "voice")
    assert export_onnx(str(tmp_path / "voice"), tmp_path / "voice.onnx")["max_difference"] < LOGIT_TOLERANCE
    session = runtime.InferenceSession(tmp_path / "voice.onnx")
    for samples in (8000, 4321):
        sounds, mask = waveforms[0][:, :samples], waveforms[1][:, :samples]
        with torch.no_grad():
            expected = model(sounds, mask).logits.numpy()
        got = session.run(None, {"input_values": sounds.numpy(), "attention_mask": mask.numpy()})[0]
        np.testing.assert_allclose(got, expected, atol=LOGIT_TOLERANCE)
        assert np.ptp(got, axis=0).min() > 0.05  # clips differ


def test_what_cannot_be_exported_is_named(tmp_path, checkpoint, monkeypatch):
    ResNetForImageClassification(ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1])).save_pretrained(
        tmp_path / "faces"
    )
    av.AVEmotionImageProcessor().save_pretrained(tmp_path / "faces")
    with pytest.raises(InputError, match="is an expression recognizer"):
        export_onnx(str(tmp_path / "faces"), tmp_path / "model.onnx")
    load = builtins.__import__

    def without_onnx(name, *args, **kwargs):
        if name == "onnx":
            raise ImportError("No module named 'onnx'", name="onnx")
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(InputError, match=r"export needs onnx, .* pip install 'av-emotion-hf\[onnx\]'"):
        export_onnx(str(checkpoint), tmp_path / "model.onnx")


@pytest.mark.slow
def test_late_fusion_with_voiced_pooling_is_exported(config, tmp_path):
    """As the default checkpoint; ONNX Runtime has no `Where` for booleans."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    config.fusion, config.temperatures = "late", {"both": 1.2}
    config.audio_config.pool_features = config.audio_config.pool_voiced = True
    torch.manual_seed(0)
    av.AVEmotionForSequenceClassification(config).save_pretrained(tmp_path / "late")
    pictures = av.AVEmotionImageProcessor(size={"height": 32, "width": 32})
    av.AVEmotionProcessor(av.AVEmotionFeatureExtractor(), pictures).save_pretrained(tmp_path / "late")
    assert export_onnx(str(tmp_path / "late"), tmp_path / "late.onnx")["max_difference"] < LOGIT_TOLERANCE
