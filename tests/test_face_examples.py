"""The scripts in `examples` that make and measure models of faces, on faces and frames whose answer is known."""

import io
import json

import cv2
import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, List, Value, Video
from helpers.synthetic import write_clip
from PIL import Image as PILImage
from safetensors.torch import load_file
from transformers import AutoModelForImageClassification, ResNetConfig, ResNetForImageClassification

from av_emotion_hf import (
    AVEmotionImageForSequenceClassification,
    AVEmotionImageProcessor,
    InputError,
    balance_scores,
)
from av_emotion_hf.data import FeatureReader
from av_emotion_hf.data.schema import encode_crop
from av_emotion_hf.media import measure_faces

CLASSES = ("neutral", "happiness", "contempt", "sadness")
HOUSE = ["neutral", "happy", "sad"]  # without contempt, under the names of the voices


@pytest.fixture
def network(tmp_path):
    """Folder of a small recognizer with random weights, as `train-expression` leaves it."""
    torch.manual_seed(1)
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 6], depths=[1, 1], layer_type="basic",
        id2label=dict(enumerate(CLASSES)), label2id={name: i for i, name in enumerate(CLASSES)},
    )  # fmt: skip
    model = ResNetForImageClassification(config).eval()
    torch.nn.init.normal_(model.classifier[1].weight, std=2.0)
    model.save_pretrained(tmp_path / "network")
    AVEmotionImageProcessor(size={"height": 24, "width": 24}).save_pretrained(tmp_path / "network")
    (tmp_path / "network" / "run.json").write_text(json.dumps({"settings": {"image_size": 24}, "history": []}))
    return str(tmp_path / "network")


@pytest.fixture
def pictures():
    """36 gray faces of noise, a dozen with each of three textures."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(36):
        rows = np.sin(np.arange(24) * (0.5 + number % 3))[:, None] * 60 + rng.normal(128, 20, (24, 24))
        found.append(rows.clip(0, 255).astype(np.uint8))
    return found


@pytest.fixture
def faces(tmp_path, pictures):
    """Dataset folder of these faces with three splits; some are without a label, or of contempt."""
    rows = []
    for number, picture in enumerate(pictures):
        buffer = io.BytesIO()
        PILImage.fromarray(picture).save(buffer, format="PNG")
        label = None if number == 7 else "contempt" if number == 8 else HOUSE[number % 3]
        rows.append({"image": {"bytes": buffer.getvalue(), "path": None}, "emotion": label})
    table = Dataset.from_list(rows, features=Features({"image": Image(decode=False), "emotion": Value("string")}))
    for split in ("train", "validation", "test"):
        table.to_parquet(str(tmp_path / "faces" / f"{split}-00000-of-00001.parquet"))
    return str(tmp_path / "faces")


def logits_by_hand(folder, pictures):
    """Of the classes under the names of the voices (N, 3)."""
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    processor = AVEmotionImageProcessor.from_pretrained(folder)
    with torch.no_grad():
        return model(processor([pictures], return_tensors="pt").pixel_values[0]).logits[:, [0, 1, 3]].numpy()


def test_the_network_in_two_parts_is_the_recognizer(network, pictures, script):
    names = script("expression_network.py")
    two = names["ExpressionNetwork"](network)
    color = [np.repeat(picture[..., None], 3, axis=-1) for picture in pictures]
    assert two.labels == HOUSE
    features = two.features(color)
    np.testing.assert_allclose(two.logits(features), logits_by_hand(network, color), atol=1e-4)
    assert two.classes(np.array(["sad", "neutral"])).tolist() == [2, 0]
    with pytest.raises(InputError, match="faces of 'angry', which the network does not know"):
        two.classes(np.array(["angry"]))


def test_layers_are_read_in_fields(network, pictures, script):
    two = script("expression_network.py")["ExpressionNetwork"](network)
    color = [np.repeat(picture[..., None], 3, axis=-1) for picture in pictures[:3]]
    pixels = two.bundle.image_processor([color], return_tensors="pt").pixel_values[0]
    with torch.no_grad():
        early, _, late = two.backbone(pixels, output_hidden_states=True).hidden_states
    assert early.shape == (3, 8, 6, 6) and late.shape == (3, 6, 3, 3)
    features, *layers = two.layers(color, (0.0, 1.0))
    np.testing.assert_allclose(features, late.mean((2, 3)), atol=1e-5)
    np.testing.assert_allclose(layers[1], late.flatten(1), atol=1e-5)
    fields = layers[0].reshape(3, 8, 4, 4)  # of 6 pixels each reads two, which overlap
    np.testing.assert_allclose(fields[:, :, 0, 0], early[:, :, :2, :2].mean((2, 3)), atol=1e-5)
    np.testing.assert_allclose(fields[:, :, 1, 3], early[:, :, 1:3, 4:].mean((2, 3)), atol=1e-5)


def test_faces_are_read_without_those_that_have_no_class(faces, script):
    names = script("expression_network.py")
    read = names["Faces"].read(faces, "test")
    assert len(read.pictures) == 34 and read.pictures[0].shape == (24, 24, 3)
    assert read.labels.tolist() == [HOUSE[number % 3] for number in range(36) if number not in (7, 8)]
    assert len(names["Faces"].read(faces, "test", 10).labels) == 10


def test_the_model_has_the_logits_of_the_mean_frame(network, faces, tmp_path, pictures, script):
    out = tmp_path / "face_checkpoint.json"
    script("face_model.py", network, faces, tmp_path / "model", "--out", out)
    facts = json.loads(out.read_text())
    assert str(tmp_path) not in out.read_text() and facts["network"] == [{"settings": {"image_size": 24}}]
    model = AVEmotionImageForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    processor = AVEmotionImageProcessor.from_pretrained(tmp_path / "model")
    color = [np.repeat(picture[..., None], 3, axis=-1) for picture in pictures]
    logits = logits_by_hand(network, color).astype(np.float64)
    kept = [number for number in range(36) if number not in (7, 8)]
    certain = np.exp(logits[kept]) / np.exp(logits[kept]).sum(1, keepdims=True)
    prior = np.log(certain.mean(0))
    for clip in (color[:1], color[3:9]):
        with torch.no_grad():
            found = model(**processor([clip], return_tensors="pt")).logits[0].double().numpy()
        frames = logits_by_hand(network, clip).astype(np.float64)
        expected = (frames.mean(0) - facts["strength"] * prior) / facts["temperature"]
        np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-3, atol=2e-3)
    classes = np.array([number % 3 for number in kept])
    for strength, scores in facts["validation"].items():
        answers = (logits[kept] - float(strength) * prior).argmax(1)
        uar = np.mean([(answers[classes == k] == k).mean() for k in range(3)])
        assert scores == pytest.approx({"accuracy": (answers == classes).mean(), "uar": uar}, abs=1e-4)
    sums = {strength: sum(scores.values()) for strength, scores in facts["validation"].items()}
    assert sums[str(facts["strength"])] == max(sums.values())
    answers = logits[kept].argmax(1)
    assert facts["test_before"]["accuracy"] == pytest.approx((answers == classes).mean(), abs=1e-4)
    assert np.sum(facts["test"]["confusion_matrix"]) == 34
    encoder = model.image_encoder
    frames = encoder.extract_features(
        processor([[color[number] for number in kept]], return_tensors="pt").pixel_values
    )
    torch.testing.assert_close(encoder.feature_mean, frames[0][0].mean(0), atol=1e-4, rtol=1e-3)


def crop(actor, label, rng):
    """A face crop (24, 24, 3): bands whose width is the emotion's, in the light of an actor, with noise."""
    bands = np.sin(np.arange(24) * (0.6 + 0.8 * label))[:, None] * 50
    light = np.linspace(-1, 1, 24)[None] * 60 * (actor - 1.5)
    return np.repeat(
        (128 + bands + light + rng.normal(0, 4, (24, 24))).clip(0, 255).astype(np.uint8)[..., None], 3, -1
    )


@pytest.fixture
def clips(tmp_path):
    """Faces of 4 actors with 2 clips of each of two emotions; actors differ as well."""
    rng, rows = np.random.default_rng(0), []
    for number in range(4 * 4):
        actor, label = number // 4, number % 2
        cells = [{"bytes": encode_crop(crop(actor, label, rng)), "path": None} for _ in range(6 + number % 3)]
        rows.append({"faces": cells, "emotion": label, "speaker": f"0{actor}"})
    return write_clips(tmp_path, rows)


def write_clips(folder, rows):
    columns = {"faces": List(Image(decode=False)), "emotion": ClassLabel(names=["sad", "happy"])}
    table = Dataset.from_list(rows, features=Features(columns | {"speaker": Value("string")}))
    (folder / "acted").mkdir()
    table.to_parquet(str(folder / "acted" / "train-00000-of-00001.parquet"))
    return str(folder / "acted")


@pytest.fixture
def frames(clips, network, script):
    return script("face_protocols.py")["read_frames"](
        clips, script("expression_network.py")["ExpressionNetwork"](network)
    )


def test_the_trainings_before_are_told_in_order(tmp_path, script):
    for name, start, seconds in (("large", "small", 5), ("small", "elsewhere", 7)):
        (tmp_path / name).mkdir()
        record = {"settings": {"init": [start]}, "seconds": seconds, "history": []}
        (tmp_path / name / "run.json").write_text(json.dumps(record))
    told = script("face_model.py")["training_facts"](tmp_path / "large")
    assert told == [
        {"settings": {"init": ["elsewhere"]}, "seconds": 7},
        {"settings": {"init": ["small"]}, "seconds": 5},
    ]


def test_a_model_is_halved(network, faces, tmp_path, script):
    script("face_model.py", network, faces, tmp_path / "model", "--out", tmp_path / "out.json")
    script("halve.py", tmp_path / "model", tmp_path / "half")
    whole, half = (
        AVEmotionImageForSequenceClassification.from_pretrained(tmp_path / each) for each in ("model", "half")
    )
    stored = load_file(tmp_path / "half" / "model.safetensors")
    kinds = {tensor.dtype for tensor in stored.values() if tensor.is_floating_point()}
    assert kinds == {torch.float16} and half.dtype == torch.float32
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(half.state_dict()[name].float(), tensor.float(), rtol=1e-3, atol=1e-3)
    assert AVEmotionImageProcessor.from_pretrained(tmp_path / "half").size["height"] == 24


def test_frames_are_the_features_of_the_model(clips, frames, network):
    own, layers = frames
    reader = FeatureReader.from_checkpoints("image", [network])
    assert own.classes == ["happy", "sad"] and own.numbers[:3].tolist() == [1, 0, 1] and own.speaker[4] == "01"
    cells = Dataset.from_parquet(f"{clips}/*.parquet")["faces"]
    for given, clip, row in zip(cells, own.clips, own.rows["image_features"], strict=True):
        np.testing.assert_allclose(reader(np.zeros(0, np.float32), given)["image_features"], clip, atol=1e-5)
        np.testing.assert_array_equal(np.array(row, np.float32), clip)
    assert own.rows["emotion"][:2] == [0, 1] and [len(each) for each in layers] == [16] * 3
    model = AutoModelForImageClassification.from_pretrained(network).eval()
    pixels = AVEmotionImageProcessor.from_pretrained(network)(
        [[crop(0, 0, np.random.default_rng(0))]], return_tensors="pt"
    )
    with torch.no_grad():
        states = model(pixels.pixel_values[0], output_hidden_states=True).hidden_states
    assert states[1].shape == (1, 8, 6, 6)
    for layer in layers:  # of three states the middle one is next to 0.4, 0.55 and 0.7 of the depth
        fields = layer[0][0].reshape(8, 4, 4)
        np.testing.assert_allclose(fields[:, 3, 0], states[1][0, :, 4:, :2].mean((1, 2)), atol=1e-5)


def test_frames_are_standardized_as_by_the_model(frames, network, faces, tmp_path, script):
    """`model` is what the model makes of statistics by hand, and so are the decisions of frames."""
    script("face_model.py", network, faces, tmp_path / "model", "--out", tmp_path / "out.json")
    two = script("expression_network.py")["ExpressionNetwork"](network)
    own = frames[0]
    model = AVEmotionImageForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    found = script("face_protocols.py")["untrained"](own, two, model)
    mean, std = model.image_encoder.feature_statistics.double().numpy()
    theirs = np.concatenate(own.clips[4:8]).astype(np.float64)
    share = len(theirs) / (len(theirs) + 100)
    person = mean + share * (theirs.mean(0) - mean), np.sqrt(std**2 + share * (theirs.var(0) - std**2))
    moved = (own.clips[5] - person[0]) / person[1] * std + mean
    for kind, each in (("plain", own.clips[5]), ("person", moved)):
        logits = two.logits(each)[:, [1, 2]]  # happy, sad
        for title, scores in (("decisions", softmax(logits).mean(0)), ("logits", softmax(logits.mean(0)))):
            np.testing.assert_allclose(found[f"mean of {title}"][kind][5], scores, atol=1e-4)
    by = torch.from_numpy(np.stack(person)).float()[None]
    with torch.no_grad():
        answer = model(image_features=torch.from_numpy(own.clips[5])[None], image_statistics=by).logits[0, [1, 2]]
    np.testing.assert_allclose(found["model"]["person"][5], answer.softmax(0).numpy(), atol=1e-4)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


VOTED = "split,row,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def fer2013(folder, labels):
    """Folder of pictures under their labels, the same ones in each split."""
    cell = {"bytes": encode_crop(crop(0, 0, np.random.default_rng(0))), "path": None}
    rows = [{"image": cell, "emotion": label} for label in labels]
    columns = Features({"image": Image(decode=False), "emotion": Value("string")})
    for split in ("train", "validation", "test"):
        Dataset.from_list(rows, features=columns).to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return folder


def test_votes_are_put_beside_own_labels(tmp_path, script):
    """By split and row; a picture without a line has its own label alone, and so has every one that is tested."""
    faces = fer2013(tmp_path / "fer2013", ["surprise", "fear", "happy"])
    (tmp_path / "votes.csv").write_text(
        f"{VOTED}\ntrain,2,1,6,0,0,0,0,0,2,1,0\ntrain,0,0,0,7,0,0,0,3,0,0,0\ntest,1,10,0,0,0,0,0,0,0,0,0\n"
    )
    script("fer2013_votes.py", faces, tmp_path / "votes.csv", tmp_path / "out")
    columns = ["emotion", "neutral", "happy", "surprised", "sad", "angry", "disgust", "fearful"]
    pictures = Dataset.from_parquet(str(faces / "train-00000-of-00001.parquet")).cast_column(
        "image", Image(decode=False)
    )
    for split, expected in {
        "train": [
            ("surprised", 0, 0, 17, 0, 0, 0, 3),
            ("fearful", 0, 0, 0, 0, 0, 0, 10),
            ("happy", 1, 16, 0, 0, 0, 0, 0),
        ],
        "test": [
            ("surprised", 0, 0, 10, 0, 0, 0, 0),
            ("fearful", 0, 0, 0, 0, 0, 0, 10),
            ("happy", 0, 10, 0, 0, 0, 0, 0),
        ],
    }.items():
        found = Dataset.from_parquet(str(tmp_path / "out" / f"{split}-00000-of-00001.parquet"))
        assert [tuple(row[name] for name in columns) for row in found.remove_columns("image")] == expected
        found = found.cast_column("image", Image(decode=False))
        assert [cell["bytes"] for cell in found["image"]] == [cell["bytes"] for cell in pictures["image"]]


def test_a_table_without_votes_is_named(tmp_path, script):
    faces, votes = fer2013(tmp_path / "fer2013", ["happy"]), tmp_path / "votes.csv"
    with pytest.raises(InputError, match=r"votes\.csv: there is no such file; give the table of votes"):
        script("fer2013_votes.py", faces, votes, tmp_path / "out")
    for text, column in (("", "anger"), (f"{VOTED.replace('fear,', '')}\n", "fear")):
        votes.write_text(text)
        with pytest.raises(InputError, match=rf"votes\.csv: has no column '{column}'; give the table of votes"):
            script("fer2013_votes.py", faces, votes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_label_that_fer2013_does_not_have_is_named(tmp_path, script):
    faces = fer2013(tmp_path / "fer2013", ["happy", "bored"])
    (tmp_path / "votes.csv").write_text(f"{VOTED}\n")
    with pytest.raises(InputError, match="'bored' is not a class of FER2013; they are neutral, happy, surprise, sad"):
        script("fer2013_votes.py", faces, tmp_path / "votes.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_clip_without_a_face_is_named(tmp_path, network, script):
    cell = {"bytes": encode_crop(crop(0, 0, np.random.default_rng(0))), "path": None}
    folder = write_clips(tmp_path, [{"faces": [cell] * count, "emotion": 0, "speaker": "01"} for count in (2, 0)])
    with pytest.raises(InputError, match="acted: row 1 shows no face; leave it out"):
        script("face_protocols.py")["read_frames"](
            folder, script("expression_network.py")["ExpressionNetwork"](network)
        )


@pytest.mark.slow
def test_every_arm_is_tested_on_actors_that_are_not_known(clips, network, faces, tmp_path, script):
    out = tmp_path / "face.json"
    script("face_model.py", network, faces, tmp_path / "model", "--out", tmp_path / "model.json")
    script(
        "face_protocols.py", "strangers", clips, "--network", network, "--model", tmp_path / "model", "--seeds", 1,
        "--out", out,
    )  # fmt: skip
    script("face_protocols.py", "label-fractions", clips, "--network", network, "--out", out)
    assert str(tmp_path) not in out.read_text()
    results = json.loads(out.read_text())
    runs = results["strangers"]
    assert [run["actor"] for run in runs] == [f"0{number}" for number in range(4)]
    uar = {arm: np.mean([run["uar"][arm] for run in runs]) for arm in runs[0]["uar"]}
    assert uar["head on mean and deviation, person"] > 0.8 and uar["SVM on mean and deviation, person"] > 0.7
    heads = ["mean", "mean and deviation", "logits", "features and logits", "a random network"]
    heads += [f"a layer at {depth}" for depth in (0.4, 0.55, 0.7)]
    arms = ["mean of decisions", "mean of logits", "model", "RNN", "RNN and features, head first"]
    learned = [f"head on {each}" for each in heads] + ["chosen head", "mean of the heads", "mean of the layers"]
    arms += learned + [f"{arm}, each way alone" for arm in learned]
    assert {f"{arm}, {kind}" for arm in arms for kind in ("plain", "person", "person, balanced")} <= set(uar)
    assert len(uar) == 3 * len(arms) + 2 and all(len(each) == 1 for run in runs for each in run["seeds"].values())
    for run in runs:
        for way, count in (("", 1), (", each way alone", 2)):
            chosen = run[f"chosen{way}"]
            assert run["uar"][f"chosen head{way}, person"] == run["uar"][f"head on {chosen}{way}, person"]
            assert chosen != "a random network" and set(run[f"choices{way}"]) == set(heads)
            assert all(len(fits) == count for fits in run[f"choices{way}"].values())
        assert np.sum(run["confusion"]["model, plain"]) == run["clips"] == 4
    few = results["label-fractions"]
    assert len(few) == 4 * 7 and {run["clips"] for run in few} == {2, 4, 12}
    tables = script("face_tables.py")
    lines = tables["actors_table"](runs).splitlines()
    assert len(lines) == 2 + 5 + len(learned) + 3 and lines[-1] == "| chance" + 6 * " | 50.0" + " |"
    row = next(line for line in lines if line.startswith("| mean of the layers "))
    alone = [run["uar"]["mean of the layers, each way alone, plain"] for run in runs]
    assert row.split(" | ")[4].startswith(f"{100 * np.mean(alone):.1f} ±")
    few_arms = tables["actors_table"](runs, {"shipped": "model"}).splitlines()
    assert len(few_arms) == 2 + 3 and few_arms[-1] == "| chance | 50.0 | 50.0 | 50.0 |"
    assert tables["few_labels_table"](few).splitlines()[0] == "| UAR % with so many labels | 10 % | 25 % | 100 % |"


def test_heads_that_learn_each_way_alone_stand_beside_the_others(script):
    kinds = ("plain", "person", "person, balanced")
    scores = {f"head, {kind}": 0.1 * number for number, kind in enumerate(kinds)}
    scores |= {f"head, each way alone, {kind}": 0.5 + 0.1 * number for number, kind in enumerate(kinds)}
    table = script("face_tables.py")["actors_table"]
    runs = [{"uar": scores | {"SVM, plain": 0.9}, "labels": ["a", "b"]}]
    lines = table(runs).splitlines()
    assert lines[2:4] == ["| head | 0.0 | 10.0 | 20.0 | 50.0 | 60.0 | 70.0 |", "| SVM | 90.0 | - | - | - | - | - |"]
    few = table(runs, {"alone": "head, each way alone"}).splitlines()
    assert few[2] == "| alone | 50.0 | 60.0 | 70.0 |" and lines[0].count("|") == 8 and few[0].count("|") == 5


def test_answers_are_balanced_and_counted(script):
    names = script("face_protocols.py")
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.55, 0.45]])
    run = {"uar": {}}
    names["answered"](
        run, "model", np.array([0, 1, 0, 1]), {"plain": scores, "person": scores[::-1]}, np.array(["a"] * 4)
    )
    balanced = balance_scores(scores[::-1], ["a"] * 4).argmax(1)
    assert run["uar"] == {
        "model, plain": 0.5,
        "model, person": 0.5,
        "model, person, balanced": np.mean([(balanced[[0, 2]] == 0).mean(), (balanced[[1, 3]] == 1).mean()]),
    }
    assert run["confusion"]["model, plain"] == [[2, 0], [2, 0]]


def test_prior_and_penalty_are_chosen_on_actors_in_turn(script):
    """Every third of the actors validates once; the mean over them decides. The tested one is not among them."""
    names, probes = script("face_protocols.py"), script("probes.py")
    rng = np.random.default_rng(0)
    places = rng.normal(0, 2, (7, 8))
    values = [rng.normal(0, 1, (9, 8)) + places[number // 6] + (number % 2) * np.eye(8)[0] for number in range(42)]
    columns = Features({"emotion": ClassLabel(names=["a", "b"]), "speaker": Value("string")})
    facts = [{"emotion": number % 2, "speaker": str(number // 6)} for number in range(42)]
    frames = names["Frames"]([each.astype(np.float32) for each in values], Dataset.from_list(facts, features=columns))
    train = frames.speaker != "6"
    choice = names["choose"](frames, train, ("plain", "person"), True)
    means = {}
    for prior in (10.0, 3.0):
        part = frames.part(train, prior).pick(np.flatnonzero(train))
        for start in range(3):
            validates = np.isin(part.speakers, [str(start), str(start + 3)])
            scores = probes["penalty_scores"](part, ("plain", "person"), 2, validates, (10.0, 3.0, 1.0, 0.3))
            for penalty, score in scores.items():
                means.setdefault((prior, penalty), []).append(score)
    means = {each: np.mean(own) for each, own in means.items()}
    assert means[choice.prior, choice.penalty] == max(means.values()) == pytest.approx(choice.score)
    assert len(set(means.values())) > 3
    own = frames.part(train, 3.0)
    theirs = np.concatenate(frames.clips[36:])
    mean, std = np.concatenate(frames.clips[:36]).mean(0), np.concatenate(frames.clips[:36]).std(0)
    share = 54 / (54 + 30)
    variance = std**2 + share * (theirs.var(0) - std**2)
    expected = (frames.clips[40].mean(0) - (mean + share * (theirs.mean(0) - mean))) / np.sqrt(variance)
    np.testing.assert_allclose(own.vectors["person"][40, :8], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(own.vectors["plain"][40, 8:], frames.clips[40].std(0) / std, rtol=1e-3)


def test_a_head_learns_from_what_it_is_told(frames, script):
    """Heads of each way alone have the scores of `learn` on that way; those of `plain` know nothing of persons."""
    names, probes = script("face_protocols.py"), script("probes.py")
    own = frames[0]
    test = own.speaker == "02"
    for kinds in (("plain", "person"), ("plain",), ("person",)):
        choice, scores = names["head_scores"](own, test, kinds, True)
        assert set(scores) == set(kinds)
        part = own.part(~test, choice.prior)
        head, _ = probes["learn"](part.pick(np.flatnonzero(~test)), kinds, 2, np.zeros(12, dtype=bool), choice.penalty)
        for kind in kinds:
            logits = head(torch.from_numpy(part.vectors[kind][test])).numpy()
            np.testing.assert_allclose(scores[kind], softmax(logits), atol=1e-6)
        if kinds == ("plain",):
            part.vectors["person"][:] = 0  # of no consequence
            again, _ = probes["learn"](
                part.pick(np.flatnonzero(~test)), kinds, 2, np.zeros(12, dtype=bool), choice.penalty
            )
            vectors = torch.from_numpy(part.vectors["plain"])
            torch.testing.assert_close(again(vectors), head(vectors))


def test_means_are_of_the_heads_that_know_the_faces(frames, network, script, monkeypatch):
    names = script("face_protocols.py")
    two = script("expression_network.py")["ExpressionNetwork"](network)
    heads = names["heads_of"](*frames, two)
    heads["a random network"] = names["Frames"](
        [np.zeros_like(each) + number for number, each in enumerate(frames[0].clips)], frames[0].facts
    )
    test, found = frames[0].speaker == "01", {}
    monkeypatch.setitem(
        names["answer_with_heads"].__globals__,
        "answered",
        lambda run, title, classes, scores, speakers: found.update({title: scores}),
    )
    names["answer_with_heads"]({}, heads, test, ", alone", [("plain",), ("person",)])
    layers = [f"a layer at {depth}" for depth in (0.4, 0.55, 0.7)]
    known = ["mean", "mean and deviation", "logits", "features and logits", *layers]
    assert set(heads) == {*known, "a random network"}
    for kind in ("plain", "person"):
        own = {title: found[f"head on {title}, alone"][kind] for title in heads}
        for title, scores in own.items():
            expected = names["head_scores"](heads[title], test, (kind,), title != "mean")[1][kind]
            np.testing.assert_array_equal(scores, expected)
        for name, titles in (("heads", known), ("layers", layers)):
            mean = np.mean([own[title] for title in titles], axis=0)
            np.testing.assert_allclose(found[f"mean of the {name}, alone"][kind], mean)


def test_copies_are_what_they_are_called(face, script):
    names = script("face_conditions.py")
    assert names["smaller"](face, 16).shape == (16, 16, 3)
    assert names["lit"](np.full((2, 2, 3), 200, np.uint8), 2.0).max() == 255
    assert names["lit"](np.full((2, 2, 3), 201, np.uint8), 0.5).tolist() == [[[100] * 3] * 2] * 2
    turned = names["tilted"](face, 90)
    np.testing.assert_array_equal(turned[20:-20, 20:-20], np.rot90(face)[20:-20, 20:-20])
    assert names["blurred"](face, 3.0).std() < 0.97 * face.std()


def test_groups_are_of_the_same_size(script):
    groups = script("face_conditions.py")["groups"]
    found = groups(np.array([8, 1, 2, 7, 3, 6, 4, 5]), np.array([1, 0, 1, 1, 0, 0, 1, 1]))
    assert found == [
        {"lower": 1.0, "upper": 2.0, "count": 2, "accuracy": 0.5},
        {"lower": 3.0, "upper": 4.0, "count": 2, "accuracy": 0.5},
        {"lower": 5.0, "upper": 6.0, "count": 2, "accuracy": 0.5},
        {"lower": 7.0, "upper": 8.0, "count": 2, "accuracy": 1.0},
    ]


@pytest.mark.slow
def test_conditions_are_measured_by_the_package(network, faces, tmp_path, paste_faces, script):
    script("face_model.py", network, faces, tmp_path / "model", "--out", tmp_path / "model.json")
    rows = []
    for number in range(8):
        frames = [cv2.GaussianBlur(paste_faces((100, 40, 100 + 8 * number)), (0, 0), 0.5 + number) for _ in range(3)]
        clip = write_clip(tmp_path / f"{number}.mp4", frames if number else [paste_faces()] * 3, 10)
        rows.append({"video": {"bytes": clip.read_bytes(), "path": None}, "emotion": number % 2})
    columns = Features({"video": Video(decode=False), "emotion": ClassLabel(names=["sad", "happy"])})
    (tmp_path / "clips").mkdir()
    Dataset.from_list(rows, features=columns).to_parquet(str(tmp_path / "clips" / "train-00000-of-00001.parquet"))
    out = tmp_path / "face.json"
    out.write_text('{"strangers": []}')
    words = (network, faces, tmp_path / "model", tmp_path / "clips", "--detector", "mtcnn", "--out", out)
    script("face_conditions.py", *words)
    results = json.loads(out.read_text())
    assert results["strangers"] == [] and str(tmp_path) not in out.read_text()
    conditions = results["conditions"]
    read = script("expression_network.py")["Faces"].read(faces, "test")
    first, *copies = conditions["copies"]
    assert (
        first["change"] == "as they are" and len(copies) == 4 + 4 + 5 + 4 and copies[0]["amount"] == "32 x 32 pixels"
    )
    for name, values in measure_faces(read.pictures).items():
        assert first["measured"][name] == pytest.approx(values.mean(), abs=1e-3)
        assert sum(row["count"] for row in conditions["faces"][name]) == 34
        mean = sum(row["count"] * row["accuracy"] for row in conditions["faces"][name]) / 34
        assert mean == pytest.approx(first["accuracy"], abs=1e-3)
    dark = next(copy for copy in copies if copy["amount"] == "times 0.5")
    assert dark["measured"]["brightness"] == pytest.approx(first["measured"]["brightness"] / 2, abs=1)
    clips = conditions["calibration"]
    assert clips["clips"] + clips["without_a_face"] == 8 and clips["without_a_face"] >= 1
    heights = conditions["clips"]["height"]
    assert heights[-1]["upper"] > heights[0]["lower"] > 40 and set(conditions["clips"]) >= {"height", "symmetry"}
    tables = script("face_tables.py")
    assert len(tables["copies_table"](conditions).splitlines()) == 2 + 18
    assert len(tables["groups_table"](conditions, "clips").splitlines()) == 2 + 4
