"""The scripts in `examples` that measure voice and face together, on vectors and faces whose answer is known."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from transformers import ResNetConfig

from av_emotion_hf import (
    AVEmotionImageConfig,
    AVEmotionImageForSequenceClassification,
    AVEmotionImageProcessor,
    load_classifier,
)
from av_emotion_hf.data.schema import encode_crop

EMOTIONS = ["angry", "happy", "sad"]
ACTORS = [f"{number:02}" for number in range(1, 5)]
FIELDS, LAYERS = 16 * 8, 3 * 16 * 8 + 6  # values of a layer in 4 x 4 fields; of three of them and the pooled output


@pytest.fixture
def face(tmp_path):
    """Folder of a small image model with random weights."""
    torch.manual_seed(0)
    backbone = ResNetConfig(embedding_size=8, hidden_sizes=[8, 6], depths=[1, 1], layer_type="basic")
    config = AVEmotionImageConfig(backbone_config=backbone, hidden_size=2, num_hidden_layers=1, rnn_type="gru")
    AVEmotionImageForSequenceClassification(config).save_pretrained(tmp_path / "face")
    AVEmotionImageProcessor(size={"height": 24, "width": 24}).save_pretrained(tmp_path / "face")
    return str(tmp_path / "face")


def picture(emotion, seed):
    """A gray face of noise, with a texture for each emotion."""
    rng = np.random.default_rng(seed)
    rows = np.sin(np.arange(24) * (0.5 + emotion))[:, None] * 60 + rng.normal(128, 15, (24, 24))
    return np.repeat(rows.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture
def inputs(tmp_path):
    """Dataset folder of faces of clips: every actor shows every emotion twice, in three frames."""
    rows = [
        {
            "faces": [{"bytes": encode_crop(picture(each, 100 * n + 10 * i + k)), "path": None} for k in range(3)],
            "emotion": each,
            "speaker": actor,
        }
        for i, actor in enumerate(ACTORS)
        for n, each in enumerate([0, 1, 2] * 2)
    ]
    columns = {
        "faces": List(Image(decode=False)),
        "emotion": ClassLabel(names=EMOTIONS),
        "speaker": Value("string"),
    }
    (tmp_path / "inputs").mkdir()
    Dataset.from_list(rows, features=Features(columns)).to_parquet(str(tmp_path / "inputs" / "train.parquet"))
    return str(tmp_path / "inputs")


@pytest.fixture
def pictures(tmp_path):
    """Dataset folder of single faces with two splits."""
    (tmp_path / "pictures").mkdir()
    columns = Features({"image": Image(decode=False), "emotion": ClassLabel(names=["anger", "happiness", "sadness"])})
    for split, first in (("train", 0), ("test", 500)):
        rows = [
            {"image": {"bytes": encode_crop(picture(n % 3, first + n)), "path": None}, "emotion": n % 3}
            for n in range(18)
        ]
        Dataset.from_list(rows, features=columns).to_parquet(str(tmp_path / "pictures" / f"{split}-0.parquet"))
    return str(tmp_path / "pictures")


@pytest.mark.slow
def test_the_face_of_the_base_checkpoints_is_one_linear_layer(script, face, inputs, pictures, tmp_path):
    out = tmp_path / "base.json"
    model = tmp_path / "base-face"
    script("base_face.py", face, inputs, model, "--layers", 1, -1, "--pictures", pictures, "--out", out)
    facts = json.loads(out.read_text())["base-face"]
    assert facts["plain"]["uar"] > 0.9 and facts["pictures"]["test_accuracy"] > 0.9
    assert facts["layers"] == [1, -1] and facts["clips"] == 24 and facts["pictures"]["learned"] == 18
    modality, bundle = load_classifier(str(model))
    assert modality == "image" and bundle.model.config.backbone_layers == [1, -1]
    assert sorted(bundle.model.config.label2id) == EMOTIONS
    clip = bundle.image_processor([[picture(1, 900), picture(1, 901)]], return_tensors="pt")
    with torch.no_grad():
        scores = bundle.model(**clip).logits.softmax(-1)[0]
    assert bundle.model.config.id2label[int(scores.argmax())] == "happy"
    assert not bundle.model.classifier.weight[
        :, : bundle.model.config.hidden_size
    ].any()  # not of the recurrent states


@pytest.fixture
def measured(tmp_path):
    """CLIPS.npz and VECTORS: the voice tells anger from the rest, the face joy from the rest; both tell everything."""
    rng = np.random.default_rng(0)
    classes = np.array([0, 1, 2] * 2 * len(ACTORS))
    speakers = [actor for actor in ACTORS for _ in range(6)]

    def moments(signal, size):
        means = rng.normal(0, 0.3, (len(classes), size))
        means[:, : size // 2] += signal[:, None]
        return np.stack([np.full_like(means, 20), means, np.full_like(means, 20.0)], axis=1).astype(np.float32)

    facts = json.dumps({"emotion": [EMOTIONS[each] for each in classes], "speaker": speakers})
    arrays = {}
    for suffix in ("", "_babble10", "_babble5", "_babble0", "_random"):
        own = moments(3.0 * (classes == 0), 8)
        arrays |= {f"voice{suffix}_moments": own, f"voice{suffix}_voiced": own[:, 1:] / [[[1], [20]]]}
    for suffix in ("", "_hidden25", "_hidden50", "_random"):
        arrays[f"face{suffix}_moments"] = moments(3.0 * (classes == 1), LAYERS)
    np.savez(tmp_path / "clips.npz", facts=facts, **arrays)
    (tmp_path / "vectors").mkdir()
    for name in ("more", "more_babble"):
        own = moments(3.0 * (classes == 0), 8)
        np.savez(tmp_path / "vectors" / f"{name}.npz", facts=facts, voiced=own[:, 1:] / [[[1], [20]]], moments=own)
    return tmp_path / "clips.npz", tmp_path / "vectors"


@pytest.mark.slow
def test_both_senses_know_what_neither_knows(script, face, pictures, measured, tmp_path):
    clips, vectors = measured
    out = tmp_path / "fusion.json"
    script("fusion_protocols.py", clips, vectors, "more", "--face", face, "--pictures", pictures, "--out", out)
    runs = json.loads(out.read_text())["strangers"]
    assert [run["speaker"] for run in runs] == ACTORS and all(run["clips"] == 6 for run in runs)
    mean = {
        (condition, arm): np.mean([run["uar"][condition][arm] for run in runs])
        for condition, own in runs[0]["uar"].items()
        for arm in own
        if all(arm in run["uar"][condition] for run in runs)
    }
    assert mean["clean", "late, product, plain"] > 0.9 > 0.85 > mean["clean", "voice, plain"]
    assert mean["clean", "one head, plain"] > 0.9 and mean["clean", "face, plain"] < 0.85
    assert mean["face hidden 100 %", "late, product, plain"] == mean["face hidden 100 %", "voice, plain"]
    assert mean["no sound", "late, product, plain"] == mean["no sound", "face, plain"]
    assert set(runs[0]["temperatures"]["plain"]) == {"voice", "face", "both"}
    names = script("fusion_tables.py", "temperature", out)
    table = names["arms_table"](runs).splitlines()
    assert (
        table[2].startswith("| voice and face, product of both | ") and table[-1] == "| chance | 33.3 | 33.3 | 33.3 |"
    )
    assert names["conditions_table"](runs).count("\n") == 1 + len(runs[0]["uar"])
    exam = names["exam_table"](
        runs, [{"uar": {"model, plain": 0.5, "speech encoder + SVM, plain": 0.25}}]
    ).splitlines()
    assert exam[0].startswith("| UAR % | speakers unseen | babble 10 dB | ") and exam[4].endswith(" | 50.0 |")
    found = names["calibration"](runs, "late, product, plain")
    assert 0 <= found["ece"] < 0.3 and found["chance"] > 0
    assert names["coverage_table"](runs).splitlines()[2].startswith("| 0 | 100 | ")


def test_the_curve_has_an_interval_over_speakers(script):
    names = script("fusion_tables.py")
    runs = [
        {
            "arm": "backbone",
            "dataset": "ravdess",
            "sense": "voice",
            "seed": seed,
            "uar": {"10": [[0.4, 0.6], [0.5, 0.5]], "100": [[0.8], [0.6]]},
            "speakers": {"10": [0.5, 0.5], "100": [0.9, 0.5]},
        }
        for seed in (0, 1)
    ]
    table = names["curve_table"](runs).splitlines()
    assert table[0] == "| RAVDESS, voice, 8 emotions, UAR % | 10 % | 100 % |"
    assert table[2] == "| frozen backbones | 50.0 ± 0.0 (50 to 50) | 70.0 ± 10.0 (50 to 90) |"


@pytest.mark.slow
def test_curves_are_measured_and_drawn(measured, tmp_path):
    """`baseline` and `svm` need no network; the face alone knows a class that the voice does not."""
    root = Path(__file__).parents[1] / "examples"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import label_curve; label_curve.TESTED = ('javasedvideo',); "
        "sys.argv = ['label_curve.py', *sys.argv[2:]]; label_curve.main()"
    )
    clips, vectors = measured
    out = tmp_path / "curve.json"
    (tmp_path / "shards").mkdir()
    (tmp_path / "folds.json").write_text("{}")
    words = [tmp_path / "shards", clips, vectors, tmp_path / "work", "--folds", tmp_path / "folds.json", "--face", "-"]
    for arm in ("baseline", "svm", "figure"):
        given = [arm, *(words if arm != "figure" else ()), "--out", out]
        subprocess.run([sys.executable, "-c", code, root, *map(str, given)], check=True)
    runs = json.loads(out.read_text())["runs"]
    assert [(run["arm"], run["sense"]) for run in runs] == [
        (arm, sense) for arm in ("baseline", "svm") for sense in ("voice", "face", "both")
    ]
    for run in runs:
        assert [len(own) for own in run["uar"].values()] == [4] * 4 and len(run["speakers"]["100"]) == 4
        mean = np.mean([np.mean(each) for each in run["uar"]["100"]])
        assert (mean > 0.9) == (run["sense"] == "both"), run["arm"]
    assert "<svg" in out.with_suffix(".svg").read_text()
