import builtins
import json

import numpy as np
import pytest
import torch
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
def test_a_speech_backbone_is_exported(build, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    whisper = {
        "model_type": "whisper", "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2,
        "encoder_ffn_dim": 32, "pad_token_id": 0,
    }  # fmt: skip
    torch.manual_seed(0)
    config = av.AVEmotionAudioConfig(backbone_config=whisper, hidden_size=8, num_hidden_layers=1, num_labels=3)
    model = av.AVEmotionAudioForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(tmp_path / "voice")
    av.AVEmotionFeatureExtractor().save_pretrained(tmp_path / "voice")
    assert export_onnx(str(tmp_path / "voice"), tmp_path / "voice.onnx")["max_difference"] < LOGIT_TOLERANCE


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
