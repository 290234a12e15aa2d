import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image
from jinja2 import UndefinedError
from PIL import Image as PILImage

from av_emotion_hf import EmotionTrainingArguments, train_expression
from av_emotion_hf.errors import InputError
from av_emotion_hf.hub import check_card, render_card, write_card
from av_emotion_hf.hub.cards import TEMPLATES

ROOT = Path(__file__).parents[2]
RECORD = {
    "verb": "train-expression",
    "options": {
        "out": "/somewhere/faces", "epochs": 30.0, "max_steps": -1, "batch_size": 64, "learning_rate": 0.002,
        "weight_decay": 0.05, "warmup": 0.1, "label_smoothing": 0.1, "seed": 0, "bf16": True,
    },
    "settings": {"labels": ["up", "down"], "architecture": "resnet", "image_size": 96},
    "scores": {},
    "steps": 7, "seconds": 90.0, "device": "cpu", "threads": 1, "parameters": 1_310_000, "versions": {"torch": "2.14"},
}  # fmt: skip


@pytest.fixture
def picture():
    buffer = io.BytesIO()
    values = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    PILImage.fromarray(values).save(buffer, format="JPEG")
    return buffer.getvalue()


@pytest.fixture
def trained(tmp_path, picture):
    """Folder of a recogniser after one step, on a corpus whose name needs quotes in YAML."""
    cells = {"image": [{"bytes": picture, "path": None}] * 8, "emotion": [0, 0, 0, 0, 0, 1, 1, 1]}
    features = {"image": Image(decode=False), "emotion": ClassLabel(names=["up: bright", "down"])}
    faces = Dataset.from_dict(cells, features=Features(features))
    args = EmotionTrainingArguments(str(tmp_path / "my faces"), max_steps=1, per_device_train_batch_size=4)
    overrides = {"embedding_size": 8, "hidden_sizes": [8, 6], "depths": [1, 1]}
    metadata = {"dataset": 'faces: "mine"', "split": "train", "validation_split": "dev"}
    train_expression(
        faces,
        faces.select([0, 1, 2, 5]),
        args=args,
        image_size=32,
        config_overrides=overrides,
        mixup=0.2,
        metadata=metadata,
    )
    return tmp_path / "my faces"


def test_the_card_says_what_the_record_says(trained):
    record, text = json.loads((trained / "run.json").read_text()), (trained / "README.md").read_text()
    card = check_card(text)
    assert (card.data.license, card.data.library_name, card.data.pipeline_tag) == (
        "unknown", "transformers", "image-classification"
    )  # fmt: skip
    assert card.data.datasets == ['faces: "mine"'] and "facial-expression-recognition" in card.data.tags
    assert card.data.model_name == "my faces"
    measured = {result.metric_type: result.metric_value for result in card.data.eval_results}
    for metric, score in (("accuracy", "war"), ("uar", "uar"), ("f1", "macro_f1")):
        assert measured[metric] == pytest.approx(record["scores"][f"validation_{score}"], abs=5e-5)
    assert {result.dataset_split for result in card.data.eval_results} == {"dev"}
    assert f"| accuracy | {100 * record['scores']['validation_war']:.1f} % |" in text
    assert "| up: bright | 5 | 3 |" in text and "| down | 3 | 1 |" in text and "accuracy of 75.0 %" in text
    assert "| mixup | 0.2 |" in text and '"hidden_sizes": [8, 6]' in text
    assert "regulated in many places" in text and "CN112633263A" in text
    assert str(trained.parent) not in text


@pytest.mark.slow
def test_its_usage_runs_as_pasted(trained, picture):
    (trained.parent / "face.jpg").write_bytes(picture)
    (code,) = re.findall(r"```python\n(.*?)```", (trained / "README.md").read_text(), flags=re.S)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=trained.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = dict(line.rsplit(" ", 1) for line in done.stdout.strip().splitlines())
    assert set(lines) == {"up: bright", "down"} and sum(map(float, lines.values())) == pytest.approx(1, abs=0.02)


def test_a_run_without_validation_claims_no_scores(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(RECORD))  # as written before datasets and pictures were recorded
    card = check_card(write_card(tmp_path))
    assert card.data.eval_results is None and "None: the run had no validation images" in card.text
    assert "# faces\n" in card.text and "The record of the run does not name the images" in card.text
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["README.md", "run.json"]


def test_the_card_of_a_recognizer_names_what_it_started_from(tmp_path):
    record = RECORD | {"settings": RECORD["settings"] | {"init": ["faces-of-the-web"]}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert "| started from | faces-of-the-web |" in write_card(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(RECORD))
    assert "started from" not in write_card(tmp_path)


def test_no_card_without_a_record_of_a_known_command(tmp_path):
    with pytest.raises(InputError, match=r"has no run.json to make a card from"):
        write_card(tmp_path)
    (tmp_path / "run.json").write_text('{"verb": "juggle"}')
    with pytest.raises(InputError, match="was written by the command 'juggle'; cards are made for train-expression"):
        write_card(tmp_path)
    facts = RECORD | {"name": "faces", "title": "faces", "license": None}
    render_card(TEMPLATES["train-expression"], facts)
    with pytest.raises(UndefinedError, match="seconds"):  # a missing fact is never skipped in silence
        render_card(TEMPLATES["train-expression"], {key: value for key, value in facts.items() if key != "seconds"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("license: mit\n", "", "lacks license"),
        ("tags: [x]", "tags: [x", "is not YAML"),
        ("value: 0.5", "value: good", "'good', not a number"),
        ("      type: imdb\n", "", "not complete|Invalid|type"),
        ("type: imdb\n", "type: my clips\n", "'my clips' of the card is not a name"),
        ("---\n", "", "lacks"),
    ],
)
def test_metadata_that_the_hub_would_refuse(old, new, message):
    good = (
        "---\nlicense: mit\nlibrary_name: transformers\npipeline_tag: image-classification\ntags: [x]\nmodel-index:\n"
        "- name: m\n  results:\n  - task:\n      type: image-classification\n    dataset:\n      type: imdb\n"
        "      name: IMDb\n    metrics:\n    - type: accuracy\n      value: 0.5\n---\ntext\n"
    )
    check_card(good)
    assert old in good
    with pytest.raises(ValueError, match=message):
        check_card(good.replace(old, new))


def test_the_cards_in_the_package_are_cards():
    cards = sorted((ROOT / "src/av_emotion_hf/checkpoints").glob("*/README.md"))
    assert len(cards) == 6
    for card in cards:
        check_card(card.read_text(encoding="utf-8"))


def test_templates_are_in_the_wheel():
    wheel = pytest.importorskip("hatchling.builders.wheel")
    files = {file.distribution_path for file in wheel.WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"av_emotion_hf/modeling_cards/{path.name}" for path in (ROOT / "modeling_cards").iterdir()} <= files
