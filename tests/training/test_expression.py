import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image
from PIL import Image as PILImage
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    ConvNextConfig,
    ConvNextForImageClassification,
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
)

import av_emotion_hf as av
from av_emotion_hf import evaluate
from av_emotion_hf.checkpoints import build_model
from av_emotion_hf.data.expressions import class_weights, distributions
from av_emotion_hf.data.votes import VoteOptions
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
    with pytest.raises(InputError, match="architecture 'vgg' is not one of resnet, mobilenet_v2, densenet121"):
        expression.expression_config("vgg", ["a"])
    small = expression.expression_config("resnet", ["a", "b"], {"hidden_sizes": [8, 6], "depths": [1, 1]})
    assert small.hidden_sizes == [8, 6] and small.label2id == {"a": 0, "b": 1}
    for name, known in (("resnet", "hidden_sizes and depths"), ("mobilenet_v2", "depth_multiplier and output_stride")):
        with pytest.raises(InputError, match=f"a {name} has no field 'width'; among those it has are {known}"):
            expression.expression_config(name, ["a", "b"], {"width": 4})
    mobile = expression.expression_config("mobilenet_v2", ["a", "b"], {"depth_multiplier": 0.35})
    assert (mobile.depth_multiplier, mobile.tf_padding, mobile.layer_norm_eps) == (0.35, False, 1e-5)
    assert (mobile.classifier_dropout_prob, mobile.id2label) == (0.2, {0: "a", 1: "b"})


def test_batch_norms_follow_more_than_the_last_batch():
    model = expression.expression_model("mobilenet_v2", ["a", "b"], {"depth_multiplier": 0.1})
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) == 52 and {module.momentum for module in norms} == {0.1}


@pytest.mark.parametrize(
    ("architecture", "overrides", "size"),
    [
        ("mobilenet_v2", {"depth_multiplier": 0.1}, 1280),
        ("densenet121", {"growth_rate": 4, "block_config": [1, 1]}, 10),
        pytest.param("mobilenetv3_small_100", {}, 1024, marks=pytest.mark.slow),
        pytest.param("efficientnet_lite0", {}, 1280, marks=pytest.mark.slow),
    ],
)
def test_every_kind_of_network_trains_and_becomes_the_backbone(faces, options, architecture, overrides, size):
    if architecture in expression.TIMM_ARCHITECTURES:
        pytest.importorskip("timm")
        with pytest.raises(InputError, match=rf"a {architecture} cannot be built with the fields .* 'width'"):
            expression.expression_model(architecture, ["a", "b"], {"width": 4})
    run = options("run", max_steps=1, batch_size=4)
    expression.train_expression(
        faces.take(8), args=run, architecture=architecture, image_size=48, config_overrides=overrides
    )
    recognizer = AutoModelForImageClassification.from_pretrained(run.output_dir).eval()
    pixels = torch.randn(2, 3, 48, 48)
    encoder = build_model("pretraining", "image", [run.output_dir]).model.image_encoder.eval()
    seen = []
    head = recognizer.get_submodule(expression._last_layer(recognizer))
    head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        recognizer(pixels)
        features, mask = encoder.extract_features(pixels[None])
    torch.testing.assert_close(features[0], seen[0])  # what the last layer sees is the frame feature
    assert features.shape == (1, 2, size) and mask.all() and encoder.num_features == size
    assert evaluate(run.output_dir, faces.take(8))["clips"] == 8


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
    weights = class_weights(distributions(labels, 3))[labels]
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

    with pytest.raises(InputError, match=r"first: has no weights for resnet.* with the fields {'hidden_sizes'"):
        expression.pretrained_expression_model(first.output_dir, ["down", "up"], {"hidden_sizes": [8, 12]})
    with pytest.raises(InputError, match="is not an image classifier"):
        expression.train_expression(faces, args=options("nothing"), init=str(Path(first.output_dir) / "missing"))


@pytest.fixture
def start(tmp_path):
    """Folder of a small MobileNetV2 for ten classes, as transformers writes it."""
    config = MobileNetV2Config(depth_multiplier=0.1, tf_padding=False, num_labels=10)
    MobileNetV2ForImageClassification(config).save_pretrained(tmp_path / "start")
    return str(tmp_path / "start")


def test_a_start_keeps_its_weights_and_gets_a_new_last_layer(start):
    model = expression.pretrained_expression_model(start, ["a", "b", "c"], {"output_stride": 16})
    assert model.classifier.weight.shape == (3, 1280) and model.config.output_stride == 16
    source = MobileNetV2ForImageClassification.from_pretrained(start).mobilenet_v2.state_dict()
    for name, tensor in model.mobilenet_v2.state_dict().items():
        assert torch.equal(tensor, source[name]), name
    assert {m.momentum for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.1}
    maps = model.mobilenet_v2(torch.randn(1, 3, 64, 64)).last_hidden_state
    assert maps.shape[2:] == (4, 4)  # 2 x 2 with the stride of 32 that it was trained with


def test_classes_of_a_start_keep_their_weights_by_name(start, tmp_path):
    old = MobileNetV2ForImageClassification.from_pretrained(start)
    torch.nn.init.normal_(old.classifier.weight)
    torch.nn.init.normal_(old.classifier.bias)  # else all logits of random weights are near 0
    old.save_pretrained(start)
    labels = ["LABEL_7", "surprise", "LABEL_2"]
    model = expression.pretrained_expression_model(start, labels)
    model.save_pretrained(tmp_path / "saved")
    saved = AutoModelForImageClassification.from_pretrained(tmp_path / "saved")
    assert saved.config.id2label == dict(enumerate(labels)) and model.config.num_labels == 3
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before, after = old.eval()(pixels).logits, saved.eval()(pixels).logits
    assert torch.allclose(after[:, [0, 2]], before[:, [7, 2]], atol=1e-6)
    assert (after[:, 1:2] - before).abs().amax(0).min() > 1e-4  # none of them


def test_starts_that_cannot_be_used_are_named(start, tmp_path):
    with pytest.raises(InputError, match="a mobilenet_v2 has no field 'depths'; among those it has are depth_mult"):
        expression.pretrained_expression_model(start, ["a", "b"], {"depths": [1]})
    with pytest.raises(InputError, match=r"start: has no weights for mobilenet_v2.* with the fields .*; leave out"):
        expression.pretrained_expression_model(start, ["a", "b"], {"depth_multiplier": 0.5})
    other = ConvNextConfig(hidden_sizes=[4, 4, 4, 4], depths=[1, 1, 1, 1])
    ConvNextForImageClassification(other).save_pretrained(tmp_path / "convnext")
    with pytest.raises(InputError, match=r"convnext: is of the type 'convnext'; give .* \(mobilenet_v2, resnet, timm"):
        expression.pretrained_expression_model(str(tmp_path / "convnext"), ["a", "b"])


@pytest.mark.slow
def test_only_the_last_layer_learns_until_the_others_are_thawed(faces, options, start, monkeypatch):
    weights = []

    def on_epoch_end(self, args, state, control, model=None, **kwargs):
        weights.append({name: tensor.clone() for name, tensor in model.state_dict().items()})

    monkeypatch.setattr(expression.ThawCallback, "on_epoch_end", on_epoch_end, raising=False)
    run = options("thawed", epochs=3, batch_size=16, slow_rate=0.5)
    record = expression.train_expression(faces, args=run, image_size=32, init=start, freeze_epochs=2)
    assert (record["settings"]["slow_rate"], record["settings"]["freeze_epochs"]) == (0.5, 2)
    source = MobileNetV2ForImageClassification.from_pretrained(start)
    layers = [name for name, _ in source.mobilenet_v2.named_parameters(prefix="mobilenet_v2")]
    assert all(torch.equal(weights[1][name], source.get_parameter(name)) for name in layers)
    assert all(not torch.equal(weights[2][name], weights[1][name]) for name in layers)
    heads = [each["classifier.weight"] for each in weights]
    assert not torch.equal(heads[0], heads[1]) and not torch.equal(heads[1], heads[2])


@pytest.mark.slow
def test_a_run_that_was_killed_while_frozen_resumes_to_the_same_weights(faces, options, start, interrupt):
    def run(name, **more):
        args = options(name, batch_size=8, epochs=3, **more)
        return expression.train_expression(faces, args=args, image_size=32, init=start, freeze_epochs=2)

    run("whole")
    interrupt(lambda: run("killed"), 9)  # of 18 steps, in the second epoch of 6
    run("killed", resume=True)
    first, second = (
        AutoModelForImageClassification.from_pretrained(options(name).output_dir).state_dict()
        for name in ("whole", "killed")
    )
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_layers_of_a_start_learn_slowly(faces, options, start, monkeypatch):
    found = {}
    create = expression.EmotionTrainer.create_optimizer

    def create_optimizer(self, *args, **kwargs):
        optimizer = create(self, *args, **kwargs)
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        found.update({names[p]: group["lr"] for group in optimizer.param_groups for p in group["params"]})
        return optimizer

    monkeypatch.setattr(expression.EmotionTrainer, "create_optimizer", create_optimizer)
    args = options("slow", max_steps=1, learning_rate=1e-2, slow_rate=0.25)
    expression.train_expression(faces.take(8), args=args, image_size=32, init=start)
    assert {found[name] for name in ("classifier.weight", "classifier.bias")} == {1e-2}
    assert {rate for name, rate in found.items() if not name.startswith("classifier.")} == {2.5e-3}


@pytest.fixture
def voted(faces):
    """The faces with votes of ten annotators for `down`, `top`, `unknown` and `NF`; `up` is called `top`."""
    votes = {0: (9, 0, 1, 0), 1: (2, 7, 1, 0)}
    rows = [votes[label] for label in faces["emotion"]]
    rows[0], rows[1], rows[2], rows[3] = (5, 5, 0, 0), (1, 1, 8, 0), (0, 0, 0, 10), (0, 0, 0, 0)
    table = faces.remove_columns("emotion")
    for name, column in zip(("down", "top", "unknown", "NF"), zip(*rows, strict=True), strict=True):
        table = table.add_column(name, list(column))
    return table


VOTES = VoteOptions({"down": "down", "up": "top"}, ignored=("unknown", "NF"), min_votes=2)
LEFT_OUT = {"without votes": 1, "won by ignored votes": 2}


@pytest.mark.slow
@pytest.mark.parametrize("targets", ["distribution", "mode"])
def test_learns_from_votes_and_scores_majorities(voted, faces, options, network, targets):
    run = options("votes", epochs=12, batch_size=8, learning_rate=1e-2)
    record = expression.train_expression(
        voted, voted, args=run, votes=VOTES, targets=targets, image_size=32, config_overrides=network,
        balance="sampling", mixup=0.1,
    )  # fmt: skip
    settings = record["settings"]
    tie = {} if targets == "distribution" else {"with a tie": 1}
    assert settings["votes"]["left_out"] == {
        "train": LEFT_OUT | tie,
        "validation": LEFT_OUT | {"without a majority": 1},
    }
    assert (settings["votes"]["targets"], settings["votes"]["min_votes"]) == (targets, 2)
    # 22 of 24 rows for each class beside the four; (2, 7) counts as 2/9 and 7/9, and (5, 5) as two halves
    expected = {"distribution": {"down": 27, "up": 18}, "mode": {"down": 22, "up": 22}}[targets]
    assert settings["pictures"] == {"train": expected, "validation": {"down": 22, "up": 22}}
    assert record["scores"]["validation_war"] > 0.9
    scores = evaluate(run.output_dir, voted, votes=VOTES)
    assert scores["war"] == pytest.approx(record["scores"]["validation_war"]) and scores["clips"] == 44
    assert scores["protocol"]["votes"]["left_out"] == LEFT_OUT | {"without a majority": 1}
    assert scores["protocol"]["label_column"] is None
    assert evaluate(run.output_dir, faces)["protocol"]["votes"] is None
    card = (Path(run.output_dir) / "README.md").read_text()
    assert "Left out: 1 without votes, 2 won by ignored votes, 1 without a majority." in card
    assert ("the mode of their votes" in card) == (targets == "mode")


def test_bad_options_are_named(faces, voted, options):
    def train(name, dataset=voted, votes=VOTES, **more):
        return expression.train_expression(dataset, args=options(name), votes=votes, image_size=32, **more)

    with pytest.raises(InputError, match="targets 'mean' is not one of distribution, mode"):
        train("a", targets="mean")
    with pytest.raises(InputError, match="targets 'mode' is about votes, and there are none; add --vote-columns"):
        train("b", faces, None, targets="mode")
    with pytest.raises(InputError, match="freeze_epochs=2: would freeze random weights; add --init"):
        train("c", freeze_epochs=2)
    with pytest.raises(InputError, match="freeze_epochs=-1: cannot be negative"):
        train("d", freeze_epochs=-1)
    with pytest.raises(InputError, match="augmentation 'speed' is unknown; choose from mirror"):
        train("e", augment={"speed": 0.5})
    with pytest.raises(InputError, match=r"holds 1 class\(es\)"):
        train("f", votes=VoteOptions({"up": "top"}))
