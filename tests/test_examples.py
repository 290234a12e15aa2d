"""The scripts in `examples` that gather results and write tables."""

import ast
import hashlib
import importlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from datasets import ClassLabel, Dataset, Features, Image, Value
from helpers.synthetic import voice
from PIL import Image as PILImage
from transformers import AutoModelForImageClassification

from av_emotion_hf import (
    DEFAULT_CHECKPOINT,
    FACE_CHECKPOINT,
    MIT_CHECKPOINT,
    MIT_VOICE_CHECKPOINT,
    SMALL_VOICE_CHECKPOINT,
    VOICE_CHECKPOINT,
    EmotionTrainingArguments,
    train_expression,
)
from av_emotion_hf.data.schema import encode_waveform

EXAMPLES = Path(__file__).parents[1] / "examples"


ROOT = EXAMPLES.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS_PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
SHOWN = {path.name: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.py"))} | {
    f"{path.relative_to(ROOT).as_posix()}, block {number}": code
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.S), 1)
}


@pytest.mark.parametrize("code", SHOWN.values(), ids=SHOWN)
def test_what_is_shown_imports_from_public_places(code):
    """From the root or the `__init__` of a folder, and only what these export."""
    for node in ast.walk(ast.parse(code)):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [str(node.module)]
        for module in modules:
            if module.partition(".")[0] == "av_emotion_hf":
                home = importlib.import_module(module)
                assert hasattr(home, "__path__"), f"{module} is a module, not a folder of the package"
                if isinstance(node, ast.ImportFrom):
                    assert {alias.name for alias in node.names} <= set(home.__all__), module


@pytest.fixture
def faces(tmp_path):
    """A dataset folder of 12 faces with a test split of 4."""
    rows = []
    for i in range(12):
        buffer = io.BytesIO()
        PILImage.fromarray(np.full((24, 24), 20 * i, np.uint8)).save(buffer, format="PNG")
        rows.append({"image": {"bytes": buffer.getvalue(), "path": None}, "emotion": i % 2})
    features = Features({"image": Image(decode=False), "emotion": ClassLabel(names=["down", "up"])})
    corpus = Dataset.from_list(rows, features=features)
    for split, part in (("train", corpus), ("test", corpus.select(range(4)))):
        part.to_parquet(str(tmp_path / "faces" / f"{split}-00000-of-00001.parquet"))
    voted = corpus.remove_columns("emotion")
    for name, votes in (("calm", [7, 0]), ("lively", [3, 10]), ("unknown", [0, 0])):
        column = [votes[row["emotion"]] for row in rows]
        voted = voted.add_column(name, [10 * (name == "unknown"), *column[1:]])
    voted.to_parquet(str(tmp_path / "voted" / "train-00000-of-00001.parquet"))
    return corpus


@pytest.mark.slow
def test_choices_of_expression_recognisers_are_gathered_and_added_to(faces, tmp_path, script):
    records = {}
    for name, mixup, augment, balance in (("plain", 0.0, {}, "weights"), ("mixed", 0.2, {"blur": 0.5}, "none")):
        records[name] = train_expression(
            faces,
            faces,
            args=EmotionTrainingArguments(str(tmp_path / name), num_train_epochs=1, per_device_train_batch_size=4),
            image_size=32,
            mixup=mixup,
            augment=augment,
            balance=balance,
            config_overrides={"embedding_size": 8, "hidden_sizes": [8, 6], "depths": [1, 1]},
        )
        script("expression_choices.py", tmp_path / "faces", tmp_path / "out.json", tmp_path / name)
    words = ("--split", "train", "--vote-columns", "down=calm", "up=lively", "--ignored-votes", "unknown")
    script("expression_choices.py", tmp_path / "voted", tmp_path / "out.json", tmp_path / "mixed", *words)
    results = json.loads((tmp_path / "out.json").read_text())
    assert list(results) == ["plain", "mixed"] and list(results["mixed"]["tests"]) == ["faces", "voted"]
    for name, result in results.items():
        test = result["tests"]["faces"]
        assert test["clips"] == np.sum(test["confusion_matrix"]) == 4
        assert test["protocol"]["split"] == "test" and test["protocol"]["votes"] is None
        assert result["validation"]["war"] == records[name]["scores"]["validation_war"]
        assert result["settings"] == json.loads((tmp_path / name / "run.json").read_text())["settings"]
        assert "history" not in result and str(tmp_path) not in json.dumps(result)
    voted = results["mixed"]["tests"]["voted"]
    assert voted["clips"] == 11 and voted["protocol"]["votes"]["left_out"]["won by ignored votes"] == 1
    names = script("write_tables.py")
    table = names["expression_table"](results).splitlines()
    assert len(table) == 4 and all(line.count("|") == 13 for line in table)
    assert any(line.startswith("| mixed | resnet embedding_size 8") and " | 0.2 | none | " in line for line in table)
    table = names["expression_changes_table"](results).splitlines()
    assert table[0].endswith(
        "| validation: accuracy % | UAR % | faces: accuracy % | UAR % | voted, majority of votes: accuracy % | UAR % |"
    )
    assert len(table) == 4 and all(line.count("|") == 11 for line in table)
    assert table[2].startswith("| plain | - | 0.00 M | ") and table[2].endswith(" | - | - |")
    assert table[3].startswith("| mixed | augment blur 0.5, mixup 0.2, balance none | ")
    accuracy, uar = (f"{100 * voted[score]:.1f}" for score in ("war", "uar"))
    assert table[3].endswith(f" | {accuracy} | {uar} |")
    assert names["expression_changes_table"]({}) == ""


@pytest.mark.slow
def test_a_start_on_imagenet_is_the_network_of_torchvision(tmp_path, script, capsys):
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    source = torchvision.models.mobilenet_v2()
    for module in source.modules():  # a batch norm of random weights hides where it stands
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    digest = hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    weights = (tmp_path / "weights.pth").rename(tmp_path / f"mobilenet_v2-{digest[:8]}.pth")
    script("imagenet_start.py", weights, tmp_path / "start")
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "start").eval()
    pixels = torch.randn(2, 3, 64, 80)
    with torch.no_grad():
        torch.testing.assert_close(model(pixels).logits, source.eval()(pixels))
    assert model.config.id2label[0] == "tench" and model.config.classifier_dropout_prob == 0.2
    card = (tmp_path / "start" / "README.md").read_text()
    assert "license: bsd-3-clause" in card and digest in card
    names = script("imagenet_start.py")
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3  # as in the configuration of transformers, unless it is changed
    assert names["largest_error"](model, source) > names["TOLERANCE"]
    other = weights.rename(tmp_path / "mobilenet_v2-00000000.pth")
    with pytest.raises(SystemExit):
        script("imagenet_start.py", other, tmp_path / "other")
    assert f"its SHA-256 begins with {digest[:8]}, not as its name says" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_objectives_are_compared_on_actors_that_were_not_heard(tmp_path, script):
    rows = []
    for i in range(12):
        sound = {"bytes": encode_waveform(voice(1.2, 100 + 20 * i)[0]), "path": None}
        rows.append({"audio": sound, "emotion": i % 2, "speaker": f"0{i // 4}"})
    columns = {
        "audio": {"bytes": Value("binary"), "path": Value("string")},
        "emotion": ClassLabel(names=["sad", "happy"]),
        "speaker": Value("string"),
    }
    corpus = Dataset.from_list(rows, features=Features(columns))
    (tmp_path / "voices").mkdir()
    corpus.to_parquet(str(tmp_path / "voices" / "train-00000-of-00001.parquet"))
    (tmp_path / "folds.json").write_text('{"ravdess": [["01"]]}')
    words = (tmp_path / "voices", tmp_path / "folds.json", tmp_path / "work", tmp_path / "out.json", "--fold", 0)
    words += ("--seeds", 0, "--objectives", "none", "hidden", "--shorten", 0.005)
    script("pretraining_objectives.py", *words)
    text = (tmp_path / "out.json").read_text()
    results = json.loads(text)
    assert str(tmp_path) not in text and len(results["runs"]) == 2
    for run in results["runs"].values():
        assert [scores["labels"] for scores in run["scores"].values()] == [2, 2, 8]
        assert [row["span"] for row in run["errors"]] == ([1, 3, 7, 15] if run["objective"] == "hidden" else [])
    single = results["runs"]["fold 0, seed 0, hidden"]["errors"][0]
    assert single["hidden_frames"] == 8  # a tenth of 24 frames, in the four clips of actor 01
    script("pretraining_objectives.py", *words)
    assert (tmp_path / "out.json").read_text() == text  # nothing is measured twice
    names = script("write_tables.py")
    errors, scores = (names[f"objective_{what}_table"](results).splitlines() for what in ("errors", "scores"))
    assert errors[0].endswith("| interpolation | hidden |") and len(errors) == 2 + 4
    assert [line.split(" | ")[0] for line in scores[2:]] == ["| none", "| hidden"]


def test_tables_are_those_of_the_results(script):
    names = script("write_tables.py")
    choices = json.loads((EXAMPLES / "results" / "expression.json").read_text())
    voted = EXAMPLES / "results" / "expression_votes.json"
    objectives = json.loads((EXAMPLES / "results" / "objectives.json").read_text())
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    tuned = json.loads((EXAMPLES / "results" / "finetune.json").read_text())["runs"]
    assert {run["settings"]["modality"] for run in tuned.values()} == {"audio", "image", "fusion"}
    scripts = {run["settings"]["script"][0] for run in tuned.values()}
    assert scripts == {"finetune_trainer.py", "finetune_no_trainer.py"}
    stream = json.loads((EXAMPLES / "results" / "pretrain_stream.json").read_text())
    voice = json.loads((EXAMPLES / "results" / "voice.json").read_text())
    shipped = json.loads((EXAMPLES / "results" / "voice_checkpoint.json").read_text())["runs"]
    cards = {VOICE_CHECKPOINT: "voice_card", MIT_VOICE_CHECKPOINT: "mit_voice_card"}
    for folder, card_of in (cards | {SMALL_VOICE_CHECKPOINT: "small_voice_card"}).items():
        card = (Path(folder) / "README.md").read_text(encoding="utf-8")
        assert card == names[card_of](shipped[Path(folder).name], voice), "run `make tables`"
    faces, record = (
        json.loads((EXAMPLES / "results" / f"{name}.json").read_text()) for name in ("face", "face_checkpoint")
    )
    card = (Path(FACE_CHECKPOINT) / "README.md").read_text(encoding="utf-8")
    assert card == names["face_card"](record, faces), "run `make tables`"
    assert names["actors_table"](faces["strangers"], names["FACE_ARMS"]) in RESULTS_PAGE, "run `make tables`"
    fusion, made, curve = (
        json.loads((EXAMPLES / "results" / f"{name}.json").read_text()) for name in ("fusion", "base", "label_curve")
    )
    for folder in (DEFAULT_CHECKPOINT, MIT_CHECKPOINT):
        card = (Path(folder) / "README.md").read_text(encoding="utf-8")
        assert card == names["base_card"](Path(folder), made, fusion), "run `make tables`"
    for table in (
        names["arms_table"](fusion["strangers"], names["MAIN_ARMS"]),
        names["exam_table"](fusion["strangers"], voice["leave-one-corpus-out"]),
        names["summary_table"](voice),
        names["PRICE"].format(**names["price"](voice, names["strangers"]())),
    ):
        assert table in RESULTS_PAGE, "run `make tables`"
    for table in (
        names["overview_table"](fusion["strangers"], voice["leave-one-corpus-out"]),
        names["models_table"](),
    ):
        assert table in README, "run `make tables`"
    for table in (
        names["expression_table"](choices),
        names["expression_changes_table"](json.loads(voted.read_text()) if voted.is_file() else {}),
        names["objective_errors_table"](objectives),
        names["objective_scores_table"](objectives),
        names["finetune_table"](tuned),
        names["stream_table"](stream),
        names["unseen_table"](voice["leave-one-corpus-out"]),
        names["from_one_table"](voice),
        names["in_corpus_table"](voice["in-corpus"]),
        names["fractions_table"](voice["label-fractions"]),
        names["clips_table"](voice["baseline-clips"]),
        names["gender_table"](voice),
        names["augmentations_table"](voice.get("augmentations", [])),
        names["arms_table"](fusion["strangers"]),
        names["conditions_table"](fusion["strangers"]),
        names["conditions_table"](fusion["strangers"], "person"),
        names["curve_table"](curve["runs"]),
        names["actors_table"](faces["strangers"]),
        names["few_labels_table"](faces["label-fractions"]),
        names["copies_table"](faces["conditions"]),
    ):
        assert table in text, "run `make tables`"


def test_the_voice_for_commercial_use_has_learned_from_nothing_else():
    record = json.loads((EXAMPLES / "results" / "voice_checkpoint.json").read_text())["runs"]["av-emotion-voice-mit"]
    settings = record["settings"]
    assert settings["dataset"] == "javased" and settings["speech_encoder"] == "openai/whisper-base"
    assert settings["init"] == [] and settings["speech_layers"] == settings["config"]["backbone_sums"] == 2
    speakers = [*settings["groups"]["train"], *settings["groups"]["validation"]]
    assert sorted(speakers) == [f"{number:02}" for number in range(1, 11)]
    best = max(each["validation_uar"] for each in record["tried"].values())
    assert list(record["tried"]) == ["1", "4", "10"]
    assert record["scores"]["validation_uar"] == pytest.approx(best, abs=1e-4)
    assert yaml.safe_load((Path(MIT_VOICE_CHECKPOINT) / "README.md").read_text().split("---")[1])["license"] == "mit"
