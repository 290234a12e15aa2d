import json

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image, List, Value, concatenate_datasets

from av_emotion_hf import (
    AVEmotionImageModel,
    AVEmotionImageProcessor,
    build_model,
    combine,
    evaluate,
    extract,
    finetune,
    load_classifier,
    open_dataset,
)
from av_emotion_hf.data import ClipReader, FeatureReader, split_groups
from av_emotion_hf.data.collators import ClipCollator
from av_emotion_hf.data.corpora import join_datasets
from av_emotion_hf.data.schema import encode_crop
from av_emotion_hf.errors import InputError
from av_emotion_hf.training import coverage
from av_emotion_hf.training.calibration import calibrate_fusion
from av_emotion_hf.training.linear_head import HeadStart, head_layers, sentence_vectors

SEEN = {"test": ["0"], "validation": ["1"]}


@pytest.fixture
def make(options, small, features):
    """Function that fine-tunes a small classifier of one modality on the features, and returns its folder."""

    def tuned(name, modality, dataset=None, **settings):
        args = options(name, epochs=1)
        fields = small[modality] if modality in small else None
        finetune(
            features if dataset is None else dataset,
            args=args,
            modality=modality,
            config_overrides=fields,
            head_first=True,
            **settings,
        )
        return args.output_dir

    return tuned


def batch_of(bundle, rows):
    collate = ClipCollator("fusion", bundle.feature_extractor, bundle.image_processor, bundle.feature_sizes)
    batch = collate(list(rows))
    batch.pop("labels", None)
    return batch


def one_sense(dataset, sense):
    """The rows without the other sense."""
    column = {"audio": "image_features", "image": "input_features"}[sense]
    empty = [[] for _ in range(len(dataset))]
    return dataset.remove_columns(column).add_column(column, empty, feature=dataset.features[column])


@pytest.mark.slow
def test_two_models_become_one(make, features, tmp_path):
    """The product of both; each alone answers as before."""
    voice, face = make("voice", "audio"), make("face", "image")
    record = combine(voice, face, str(tmp_path / "both"))
    assert record["settings"]["init"] == ["voice", "face"] and "calibration" not in record
    _, both = load_classifier(str(tmp_path / "both"))
    assert both.model.config.fusion == "late" and both.model.config.late_rule == "product"
    rows = features.with_format("numpy", columns=["input_features", "image_features"]).select(range(5))
    batch = batch_of(both, rows)
    heard = {name: batch[name] for name in ("input_features", "attention_mask")}
    seen = {name: batch[name] for name in ("image_features", "pixel_mask")}
    with torch.no_grad():
        alone = load_classifier(voice)[1].model(**heard).logits, load_classifier(face)[1].model(**seen).logits
        torch.testing.assert_close(both.model(**heard).logits.softmax(1), alone[0].softmax(1))
        torch.testing.assert_close(both.model(**seen).logits.softmax(1), alone[1].softmax(1))
        product = (alone[0].log_softmax(1) + alone[1].log_softmax(1)).softmax(1)
        torch.testing.assert_close(both.model(**batch).logits.softmax(1), product)
    card = (tmp_path / "both" / "README.md").read_text()
    assert "voice and face: the product" in card and "Not calibrated" in card


@pytest.mark.slow
def test_classes_are_matched_by_name(make, features, tmp_path, caplog):
    """The face knows one class more, in another order."""
    extra = features.select(range(8)).map(lambda row: {"emotion": "angry"})
    face = make("face", "image", concatenate_datasets([features, extra]))
    combine(make("voice", "audio"), face, str(tmp_path / "both"), late_rule="mean")
    _, both = load_classifier(str(tmp_path / "both"))
    assert both.model.config.id2label == {0: "happy", 1: "sad"} and "left out angry" in caplog.text
    layer, own = both.model.classifier.image, load_classifier(face)[1].model
    rows = [own.config.label2id[name] for name in ("happy", "sad")]
    assert torch.equal(layer.weight, own.classifier.weight[rows])
    other = make("other", "image", features.map(lambda row: {"emotion": row["emotion"].upper()}))
    with pytest.raises(InputError, match=r"happy, sad and .*HAPPY, SAD: two classes at least have to be in both"):
        combine(str(tmp_path / "voice"), other, str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
    with pytest.raises(InputError, match=r"voice: is a classifier of the kind 'audio', and a face \(image\)"):
        combine(str(tmp_path / "voice"), str(tmp_path / "voice"), str(tmp_path / "none"))


@pytest.mark.slow
def test_labeled_clips_calibrate_a_combination(make, features, tmp_path):
    record = combine(
        make("voice", "audio"), make("face", "image"), str(tmp_path / "both"), calibration=features,
        metadata={"dataset": "clips"},
    )  # fmt: skip
    found = record["calibration"]
    assert list(found) == ["audio", "image", "both"] and all(each["clips"] == 32 for each in found.values())
    config = json.loads((tmp_path / "both" / "config.json").read_text())
    assert config["temperatures"] == {name: each["temperature"] for name, each in found.items()}
    card = (tmp_path / "both" / "README.md").read_text()
    assert "made to fit 32 clips of `clips`" in card and "| both | 32 |" in card
    assert evaluate(str(tmp_path / "both"), features)["uar"] > 0.9


@pytest.fixture
def late(features, small):
    """A late fusion model with random heads, for the features."""
    torch.manual_seed(0)
    fields = {"fusion": "late", "audio_config": small["audio"], "image_config": small["image"]}
    return build_model("classification", "fusion", labels=["happy", "sad"], config_overrides=fields)


def labeled(features):
    rows = features.map(lambda row: {"labels": int(row["emotion"] == "sad")})
    return rows.with_format("numpy", columns=["input_features", "image_features"], output_all_columns=True)


def test_each_head_begins_with_the_rows_that_have_its_sense(late, features):
    rows = labeled(features)
    mixed = concatenate_datasets([one_sense(rows.select(range(16)), "audio"), rows.select(range(16, 32))])
    collate = ClipCollator("fusion", late.feature_extractor, late.image_processor, late.feature_sizes)
    found = sentence_vectors(late.model, mixed, collate, 5)
    assert found.present["audio"].all() and found.present["image"].tolist() == [False] * 16 + [True] * 16
    start = HeadStart(late.model, mixed, rows.select(range(8)), collate)
    assert set(start.facts) == {"audio", "image"} and start.uar > 0.9
    apart = HeadStart(late.model, rows.select(range(16, 32)), None, collate)
    assert apart.facts["image"] == {"penalty": 0.1} and list(head_layers(late.model)) == ["audio", "image"]
    with pytest.raises(InputError, match="no training clip has a face"):
        HeadStart(late.model, one_sense(rows, "audio"), None, collate)


def test_temperatures_are_those_of_the_clips_that_have_both(late, features):
    """Heads that answer with certainty at random get high temperatures; a clip without a face says nothing of it."""
    rows = labeled(features)
    collate = ClipCollator("fusion", late.feature_extractor, late.image_processor, late.feature_sizes)
    with torch.no_grad():
        for layer in head_layers(late.model).values():
            layer.weight.mul_(40)
    batches = [collate(list(rows.select(range(20)))), collate(list(one_sense(rows.select(range(20, 32)), "audio")))]
    found = calibrate_fusion(late.model, batches)
    assert {name: each["clips"] for name, each in found.items()} == {"audio": 32, "image": 20, "both": 20}
    assert late.model.config.temperatures == {name: each["temperature"] for name, each in found.items()}
    assert min(late.model.config.temperatures.values()) > 1.2


def test_few_answers_are_surer_ones():
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.55, 0.45], [0.6, 0.4]])
    found = coverage(scores, np.array([0, 1, 1, 0]), (0.0, 0.6, 0.85, 0.95))
    assert found == [
        {"threshold": 0.0, "coverage": 1.0, "accuracy": 0.75},
        {"threshold": 0.6, "coverage": 0.75, "accuracy": 1.0},
        {"threshold": 0.85, "coverage": 0.25, "accuracy": 1.0},
        {"threshold": 0.95, "coverage": 0.0, "accuracy": None},
    ]


def pictures(emotions):
    cells = [{"bytes": encode_crop(np.full((8, 8, 3), 20 * i, np.uint8)), "path": None} for i in range(len(emotions))]
    return Dataset.from_dict(
        {"image": cells, "emotion": emotions},
        features=Features({"image": Image(decode=False), "emotion": Value("string")}),
    )


def test_voices_faces_and_both_are_one_dataset():
    """Rows of features lack what their dataset lacks; pictures are clips of one frame and one group."""
    frames = List(List(Value("float32")))
    voices = Dataset.from_dict(
        {"input_features": [[[1.0, 2.0]]], "emotion": ["sad"], "speaker": ["1"]},
        features=Features({"input_features": frames, "emotion": Value("string"), "speaker": Value("string")}),
    )
    faces = Dataset.from_dict(
        {"image_features": [[[3.0]]], "emotion": ["sad"], "speaker": ["1"]},
        features=Features({"image_features": frames, "emotion": Value("string"), "speaker": Value("string")}),
    )
    joined = join_datasets([("v", voices), ("f", faces)], "emotion", "speaker", ClipReader("both"))
    assert joined["input_features"][:] == [[[1.0, 2.0]], []] and joined["image_features"][:] == [[], [[3.0]]]
    assert joined["speaker"][:] == ["v/1", "f/1"]
    with pytest.raises(InputError, match=r"no dataset has a face, .* or train --modality audio"):
        join_datasets([("v", voices), ("w", voices)], "emotion", "speaker", ClipReader("both"))
    joined = join_datasets([("fer", pictures(["sad", "happy"]))], "emotion", "speaker", ClipReader("image"))
    assert joined["speaker"][:] == ["fer", "fer"] and [len(faces) for faces in joined["faces"]] == [1, 1]
    with pytest.raises(InputError, match="some datasets hold features and some clips"):
        join_datasets([("v", voices), ("fer", pictures(["sad"]))], "emotion", None, ClipReader("both"))


def test_features_of_pictures_are_those_of_clips_of_one_frame(image_config, tmp_path):
    model = AVEmotionImageModel(image_config).eval()
    processor = AVEmotionImageProcessor(size={"height": 32, "width": 32})
    reader = FeatureReader(image_model=model, image_processor=processor)
    rows = pictures(["sad", "happy"])
    extract(rows, str(tmp_path / "out"), ClipReader("image"), reader)
    found = open_dataset(str(tmp_path / "out"))
    assert found["emotion"][:] == ["sad", "happy"] and [len(each) for each in found["image_features"]] == [1, 1]
    expected = reader(np.zeros(0, np.float32), [rows[1]["image"]])["image_features"]
    np.testing.assert_allclose(found[1]["image_features"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["gated", "attention", "late", "concat"])
def test_every_fusion_learns_from_clips_with_one_sense(features, options, small, fusion):
    """16 clips have voice and face, the other 16 a voice alone or a face alone; the model serves all three."""
    parts = [
        ("both", features.filter(lambda name: name in "01", input_columns="speaker")),
        (
            "voices",
            features.filter(lambda name: name == "2", input_columns="speaker").remove_columns("image_features"),
        ),
        ("faces", features.filter(lambda name: name == "3", input_columns="speaker").remove_columns("input_features")),
    ]
    rows = join_datasets(parts, "emotion", "speaker", ClipReader("both"))
    split = split_groups(sorted(set(rows["speaker"])), [], ["both/1", "voices/2"])
    fields = {"fusion": fusion, "fusion_size": 6, "modality_dropout": 0.3}
    record = finetune(
        rows, split, args=options(fusion, epochs=15, learning_rate=1e-2), modality="fusion", group_column="speaker",
        corpus_column="corpus", config_overrides=fields | {f"{name}_config": small[name] for name in small},
        head_first=fusion == "late", calibrate=True,
    )  # fmt: skip
    folder = options(fusion).output_dir
    assert set(record["calibration"]) == {"audio", "image", "both"}
    for modalities in (("audio", "image"), ("audio",), ("image",)):
        assert evaluate(folder, features, modalities=modalities)["uar"] > 0.8, modalities
