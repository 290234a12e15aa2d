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
from av_emotion_hf import evaluate
from av_emotion_hf.checkpoints import build_model
from av_emotion_hf.data.expressions import class_weights
from av_emotion_hf.errors import InputError
from av_emotion_hf.training import expression
from av_emotion_hf.training.trainer import WeightedSampler


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
def network():
    """Settings of a small ResNet."""
    return {"embedding_size": 8, "hidden_sizes": [8, 6], "depths": [1, 1]}


@pytest.mark.slow
def test_learns_saves_and_becomes_the_backbone(faces, options, network):
    run = options("expression", epochs=12, batch_size=8, learning_rate=1e-2)
    record = expression.train_expression(faces, faces, args=run, image_size=32, config_overrides=network)
    assert record["scores"]["validation_war"] > 0.9
    assert json.loads((Path(run.output_dir) / "run.json").read_text())["scores"] == record["scores"]

    recognizer = AutoModelForImageClassification.from_pretrained(run.output_dir)
    assert recognizer.config.id2label == {0: "down", 1: "up"}
    assert AutoImageProcessor.from_pretrained(run.output_dir).size["height"] == 32
    scores = evaluate(run.output_dir, faces)
    assert scores["war"] == pytest.approx(record["scores"]["validation_war"])

    initial = build_model("pretraining", "image", [run.output_dir])
    backbone = initial.model.image_encoder.backbone.eval()
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = recognizer(pixels, output_hidden_states=True).hidden_states[-1].mean((2, 3))
        got = backbone(pixels).pooler_output.flatten(1)
    torch.testing.assert_close(got, expected)  # the last-layer features of the recognizer are the frame features
    assert initial.image_processor.size["height"] == 32


def test_architectures():
    resnet = expression.expression_config("resnet", ["a", "b"])
    assert resnet.num_labels == 2 and resnet.hidden_sizes == av.AVEmotionImageConfig().backbone_config.hidden_sizes
    with pytest.raises(InputError, match="architecture 'vgg' is not one of resnet, densenet121"):
        expression.expression_config("vgg", ["a"])
    small = expression.expression_config("resnet", ["a", "b"], {"hidden_sizes": [8, 6], "depths": [1, 1]})
    assert small.hidden_sizes == [8, 6] and small.label2id == {"a": 0, "b": 1}
    with pytest.raises(InputError, match="a ResNet has no field 'width'; among those it has are hidden_sizes"):
        expression.expression_config("resnet", ["a", "b"], {"width": 4})


def test_a_densenet_trains_and_becomes_the_backbone(faces, options):
    pytest.importorskip("timm")
    run = options("dense", max_steps=1, batch_size=4)
    overrides = {"growth_rate": 4, "block_config": [1, 1]}
    with pytest.raises(InputError, match=r"a densenet121 cannot be built with the fields .* 'width'"):
        expression.expression_model("densenet121", ["a", "b"], {"width": 4})
    expression.train_expression(
        faces.take(8), args=run, architecture="densenet121", image_size=32, config_overrides=overrides
    )
    recognizer = AutoModelForImageClassification.from_pretrained(run.output_dir)
    assert recognizer(torch.randn(1, 3, 32, 32)).logits.shape == (1, 2)
    backbone = build_model("pretraining", "image", [run.output_dir]).model.image_encoder
    assert backbone.extract_features(torch.randn(1, 2, 3, 32, 32))[0].shape[:2] == (1, 2)


def test_bad_corpora_are_named(faces, options):
    with pytest.raises(InputError, match="column 'face' is not in the dataset, which has image, emotion"):
        expression.train_expression(faces, args=options("a"), image_column="face")
    one = faces.filter(lambda emotion: emotion == 0, input_columns="emotion").cast_column(
        "emotion", ClassLabel(names=["down"])
    )
    with pytest.raises(InputError, match="holds 1 class"):
        expression.train_expression(one, args=options("b"))
    with pytest.raises(InputError, match="balance 'fair' is not one of none, weights, sampling"):
        expression.train_expression(faces, args=options("c"), balance="fair")
    with pytest.raises(InputError, match=r"mixup=-0.1: cannot be negative; use 0 for none"):
        expression.train_expression(faces, args=options("d"), mixup=-0.1)


@pytest.mark.slow
def test_pictures_of_two_kinds_in_one_corpus_and_choices_in_the_record(faces, options, network):
    def recode(row):
        picture = PILImage.open(io.BytesIO(row["image"]["bytes"]))
        large = row["emotion"] == 1  # color and 112 pixels, or gray and 48
        buffer = io.BytesIO()
        picture.resize((112, 112) if large else (48, 48)).convert("RGB" if large else "L").save(buffer, format="PNG")
        return {"image": {"bytes": buffer.getvalue(), "path": None}}

    record = expression.train_expression(
        faces.map(recode), faces, args=options("mixed", epochs=1, bf16=True), image_size=32,
        config_overrides=network, mixup=0.2, balance="weights", metadata={"dataset": "faces"},
    )  # fmt: skip
    assert np.isfinite([entry["loss"] for entry in record["history"] if "loss" in entry]).all()
    assert record["options"]["bf16"] and record["scores"]["validation_loss"] > 0
    chosen = {name: record["settings"][name] for name in ("mixup", "balance", "config", "dataset")}
    assert chosen == {"mixup": 0.2, "balance": "weights", "config": network, "dataset": "faces"}


@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 1.0, 2.0])])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_cross_entropy_of_torch(weight, smoothing):
    logits, labels = torch.randn(5, 3, dtype=torch.bfloat16), torch.tensor([0, 2, 1, 1, 0])
    loss = expression.ExpressionLoss(smoothing, weight)
    expected = torch.nn.CrossEntropyLoss(weight, label_smoothing=smoothing)
    torch.testing.assert_close(loss({"logits": logits}, labels), expected(logits.float(), labels))
    soft = torch.rand(5, 3, dtype=torch.float64).softmax(1)
    torch.testing.assert_close(loss({"logits": logits}, soft), expected(logits.float(), soft.float()))
    assert loss({"logits": logits}, labels, num_items_in_batch=7) == loss({"logits": logits}, labels)


def test_balanced_sampling_draws_classes_evenly_and_an_epoch_again_the_same():
    labels = torch.tensor([0] * 900 + [1] * 80 + [2] * 20)
    weights = class_weights(labels, 3)[labels]
    sampler = WeightedSampler(weights, seed=3)
    first = list(sampler)
    assert len(first) == len(sampler) == 1000
    assert torch.bincount(labels[first]).tolist() == pytest.approx([333] * 3, abs=60)
    sampler.set_epoch(1)
    second = list(sampler)
    resumed = WeightedSampler(weights, seed=3)
    resumed.set_epoch(1)
    assert first != second == list(resumed) and list(WeightedSampler(weights, seed=4)) != first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "settings", "killed_at"),
    [
        ({"epochs": 3}, {"mixup": 0.2, "balance": "sampling"}, 9),  # of 18 steps, in the second epoch of 6
        ({"epochs": 3, "workers": 2}, {"mixup": 0.2}, 9),
        ({"max_steps": 16}, {"mixup": 0.2, "balance": "sampling"}, 10),  # saved every step, in the middle of an epoch
    ],
)
def test_a_killed_run_goes_on_to_the_same_weights(faces, options, network, interrupt, changes, settings, killed_at):
    def run(name, **more):
        return expression.train_expression(
            faces, args=options(name, batch_size=8, **changes, **more), image_size=32, config_overrides=network,
            **settings,
        )  # fmt: skip

    whole = run("whole")
    interrupt(lambda: run("killed"), killed_at)
    resumed = run("killed", resume=True)
    assert resumed["steps"] == whole["steps"] > killed_at
    first, second = (
        AutoModelForImageClassification.from_pretrained(options(name).output_dir).state_dict()
        for name in ("whole", "killed")
    )
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.slow
def test_starts_from_a_trained_recognizer(faces, options, network):
    first = options("first", epochs=1, batch_size=8)
    expression.train_expression(faces, args=first, image_size=32, config_overrides=network)
    again = options("again", epochs=1, batch_size=8, learning_rate=1e-12)
    record = expression.train_expression(faces, args=again, image_size=32, init=first.output_dir)
    assert (record["settings"]["init"], record["settings"]["architecture"]) == (["first"], "resnet")
    before, after = (AutoModelForImageClassification.from_pretrained(run.output_dir) for run in (first, again))
    for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
        assert torch.allclose(old, new, atol=1e-6), name

    with pytest.raises(InputError, match="--config"):
        expression.train_expression(faces, args=options("both"), config_overrides=network, init=first.output_dir)
    with pytest.raises(InputError, match="is not an image classifier"):
        expression.train_expression(faces, args=options("nothing"), init=str(Path(first.output_dir) / "missing"))
