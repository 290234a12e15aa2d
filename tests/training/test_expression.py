import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image
from PIL import Image as PILImage
from transformers import AutoImageProcessor, AutoModelForImageClassification

import av_emotion_hf as av
from av_emotion_hf.errors import InputError
from av_emotion_hf.training import expression
from av_emotion_hf.training.checkpoint import start
from av_emotion_hf.training.evaluation import evaluate


@pytest.fixture
def faces():
    """Pictures of which the brighter half, left or right, is the label."""
    generator = np.random.default_rng(0)
    rows = []
    for i in range(48):
        picture = generator.integers(0, 60, (24, 24), dtype=np.uint8)
        half = slice(0, 12) if i % 2 else slice(12, 24)
        picture[half] += 150
        buffer = io.BytesIO()
        PILImage.fromarray(picture).save(buffer, format="PNG")
        rows.append({"image": {"bytes": buffer.getvalue(), "path": None}, "emotion": i % 2})
    features = Features({"image": Image(decode=False), "emotion": ClassLabel(names=["down", "up"])})
    return Dataset.from_list(rows, features=features)


@pytest.fixture
def small_network(monkeypatch, small):
    def config(architecture, labels):
        from transformers import ResNetConfig

        return ResNetConfig.from_dict(small["image"]["backbone_config"] | {"id2label": dict(enumerate(labels))})

    monkeypatch.setattr(expression, "expression_config", config)


def test_learns_saves_and_becomes_the_backbone(faces, options, small_network):
    run = options("expression", epochs=12, batch_size=8, learning_rate=1e-2)
    record = expression.train_expression(faces, faces, run, image_size=32)
    assert record["scores"]["validation_war"] > 0.9
    assert json.loads((Path(run.out) / "run.json").read_text())["scores"] == record["scores"]

    recogniser = AutoModelForImageClassification.from_pretrained(run.out)
    assert recogniser.config.id2label == {0: "down", 1: "up"}
    assert AutoImageProcessor.from_pretrained(run.out).size["height"] == 32
    scores = evaluate(run.out, faces, "emotion")
    assert scores["war"] == pytest.approx(record["scores"]["validation_war"])

    beginning = start("pretraining", "image", [run.out])
    backbone = beginning.model.image_encoder.backbone.eval()
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = recogniser(pixels, output_hidden_states=True).hidden_states[-1].mean((2, 3))
        got = backbone(pixels).pooler_output.flatten(1)
    torch.testing.assert_close(got, expected)  # the last-layer features of the recogniser are the frame features
    assert beginning.image_processor.size["height"] == 32


def test_augmentation_keeps_shape_and_changes_every_picture():
    pixels = torch.rand(8, 3, 24, 24)
    changed = expression.augment_faces(pixels.clone())
    assert changed.shape == pixels.shape and torch.isfinite(changed).all()
    assert all(not torch.allclose(a, b, atol=0.05) for a, b in zip(pixels, changed, strict=True))
    assert 0.4 < changed.mean() < 0.6


def test_architectures():
    resnet = expression.expression_config("resnet", ["a", "b"])
    assert resnet.num_labels == 2 and resnet.hidden_sizes == av.AVEmotionImageConfig().backbone_config.hidden_sizes
    with pytest.raises(InputError, match="architecture 'vgg' is not one of resnet, densenet121"):
        expression.expression_config("vgg", ["a"])
    pytest.importorskip("timm")
    densenet = AutoModelForImageClassification.from_config(
        expression.expression_config("densenet121", ["a", "b", "c"])
    )
    assert densenet(torch.randn(1, 3, 64, 64)).logits.shape == (1, 3)


def test_bad_corpora_are_named(faces, options):
    with pytest.raises(InputError, match="column 'face' is not in the corpus, which has image, emotion"):
        expression.train_expression(faces, None, options("a"), image_column="face")
    one = faces.filter(lambda emotion: emotion == 0, input_columns="emotion").cast_column(
        "emotion", ClassLabel(names=["down"])
    )
    with pytest.raises(InputError, match="holds 1 class"):
        expression.train_expression(one, None, options("b"))
