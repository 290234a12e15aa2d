"""Cards of pushed models: what they claim comes from the record, and what they say a user can type runs."""

import json
import re
import shlex

import pytest
from helpers.clean_room import run_clean
from helpers.synthetic import voice, write_clip
from typer.testing import CliRunner

import av_emotion_hf as av
from av_emotion_hf import cli
from av_emotion_hf.hub import check_card

LABELS = ["angry", "happy", "sad"]
OPTIONS = {
    "out": "mine", "epochs": 3, "max_steps": -1, "batch_size": 4, "learning_rate": 0.001, "weight_decay": 0.01,
    "warmup": 0.1, "label_smoothing": 0.1, "seed": 0, "bf16": False,
}  # fmt: skip
RUN = {
    "options": OPTIONS, "steps": 7, "seconds": 90.0, "device": "cpu", "hardware": "Abacus, 2 cores", "processes": 1,
    "threads": 1, "parameters": 1_680_000, "versions": {"torch": "2.14"},
}  # fmt: skip
TUNED = RUN | {
    "verb": "finetune",
    "settings": {
        "modality": "fusion", "init": ["voice", "face"], "config": {}, "slow_rate": 0.1, "labels": LABELS,
        "label_column": "emotion", "group_column": "speaker", "dataset": "my clips",
        "groups": {"train": ["1", "2"], "validation": ["3"], "test": ["4"]},
        "clips": {"train": dict.fromkeys(LABELS, 20), "validation": dict.fromkeys(LABELS, 10)},
    },
    "scores": {"validation_uar": 0.5, "validation_war": 0.625, "validation_macro_f1": 0.45, "validation_loss": 1.0},
}  # fmt: skip
SCORES = {
    "uar": 0.4321, "war": 0.4, "macro_f1": 0.39, "clips": 30, "labels": LABELS,
    "confusion_matrix": [[9, 1, 0], [0, 8, 2], [3, 3, 4]],
    "protocol": {"dataset": "my clips", "group_column": "speaker", "groups": ["4"]},
}  # fmt: skip
GUESSES = ("corpus_mean", "nearest_visible", "interpolation", "model")
ENCODER = RUN | {
    "verb": "pretrain",
    "settings": {
        "modality": "audio", "objective": "hidden", "init": [], "config": {"mask_time_prob": 0.5},
        "datasets": ["voices"], "groups": {"voices": {"train": ["1", "2"], "validation": ["3"], "test": []}},
        "excluded_groups": ["4"],
    },
    "scores": {"validation_loss": 0.4567},
    "reconstruction": [
        {"span": 1, "hidden_frames": 9} | dict(zip(GUESSES, (1.0, 0.5, 0.25, 0.125), strict=True)),
        {"span": 15, "hidden_frames": 0} | dict.fromkeys(GUESSES),
    ],
}  # fmt: skip


@pytest.fixture
def clip(tmp_path, paste_faces):
    return write_clip(
        tmp_path / "clip.mp4", [paste_faces((100 + i, 40, 140)) for i in range(5)], 10, voice(0.5, 150), 16_000
    )


@pytest.fixture
def pushed(hub, client, tmp_path):
    """Function that pushes a model with its processor and the record of its run; gives the card's text."""

    def push(model, processor, record, scores=None):
        folder = tmp_path / "mine"
        for part in (model, processor):
            part.save_pretrained(folder)
        (folder / "run.json").write_text(json.dumps(record))
        if scores is not None:
            (folder / "scores.json").write_text(json.dumps(scores))
        status, _, err = client.verb("push", folder, "mine")
        assert status == 0, err
        return hub.files("tester/mine")["README.md"].decode()

    return push


@pytest.fixture
def paste(client, clip):
    """Function that runs the Python of a card beside `clip.mp4`, and looks up the commands it names."""

    def run(card):
        for command in re.findall(r"^av-emotion ([^\n]*)", card, flags=re.M):
            verb, *words = shlex.split(command)
            shown = CliRunner().invoke(cli.app, [verb, "--help"], env={"COLUMNS": "200"}).output
            assert all(word in shown for word in words if word.startswith("--")), command
        blocks = re.findall(r"```python\n(.*?)```", card, flags=re.S)
        assert blocks
        return [client.run(f"import os\nos.chdir({str(clip.parent)!r})\n" + block) for block in blocks]

    return run


@pytest.mark.slow
def test_a_recogniser(pushed, paste, config, hub, tmp_path):
    processor = av.AVEmotionProcessor(av.AVEmotionFeatureExtractor(), av.AVEmotionImageProcessor())
    text = pushed(av.AVEmotionForSequenceClassification(config), processor, TUNED, SCORES)
    card = check_card(text)
    assert card.data.model_name == "mine" and card.data.pipeline_tag == "video-classification"
    measured = {(one.dataset_split, one.metric_type): one.metric_value for one in card.data.eval_results}
    assert measured["validation", "uar"] == 0.5 and measured["validation", "accuracy"] == 0.625
    assert measured["test", "uar"] == 0.4321 and measured["test", "f1"] == 0.39
    assert {one.dataset_type for one in card.data.eval_results} == {"my-clips"}
    assert "| my clips, validation clips | 50.0 % | 62.5 % | 45.0 % | 30 |" in text
    assert "| my clips, test clips (speaker 4) | 43.2 % | 40.0 % | 39.0 % | 30 |" in text
    assert "| happy | 0 | 8 | 2 |" in text and "Chance is 33.3 %" in text
    assert "Validation: speaker 3." in text and "| started from | voice, face |" in text
    assert "1.5 minutes on Abacus, 2 cores (1 threads)" in text and "1.68 million" in text
    assert "regulated in many places" in text and "AI Act" in text and "CN112633263A" in text
    for printed in paste(text):
        assert all(label in printed for label in LABELS)
    without_package = re.findall(r"```python\n(.*?)```", text, flags=re.S)[-1]
    printed = run_clean(without_package, tmp_path / "clean", HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0")
    assert all(label in printed for label in LABELS)


@pytest.mark.slow
def test_a_recogniser_that_was_not_scored(pushed, audio_config):
    record = TUNED | {"scores": {}, "settings": TUNED["settings"] | {"modality": "audio", "groups": None, "init": []}}
    text = pushed(av.AVEmotionAudioForSequenceClassification(audio_config), av.AVEmotionFeatureExtractor(), record)
    assert check_card(text).data.eval_results is None and "None: the run had no validation clips" in text
    assert check_card(text).data.pipeline_tag == "audio-classification" and "random weights" in text


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_an_encoder(pushed, paste, audio_config, image_config, modality):
    record = ENCODER | {"settings": ENCODER["settings"] | {"modality": modality}}
    if modality == "audio":
        text = pushed(av.AVEmotionAudioForPreTraining(audio_config), av.AVEmotionFeatureExtractor(), record)
    else:
        text = pushed(av.AVEmotionImageForPreTraining(image_config), av.AVEmotionImageProcessor(), record)
    card = check_card(text)
    assert card.data.pipeline_tag == "feature-extraction" and card.data.datasets == ["voices"]
    assert (
        "`hidden` on the validation clips: 0.4567" in text
        and '{"mask_time_prob": 0.5}' in text
        and "Excluded: 4." in text
    )
    assert "| 1 | 1.000 | 0.500 | 0.250 | 0.125 |" in text and "| 15 |" not in text
    assert "voices, train: 1, 2." in text and "voices, test" not in text
    size = {"audio": 8, "image": 6}[modality]
    assert f"torch.Size([1, {size}])" in paste(text)[-1]


def test_a_card_that_nobody_edited_takes_the_name_of_the_repository(hub, client, audio_config, tmp_path):
    from av_emotion_hf.hub import write_card

    folder = tmp_path / "mine"
    av.AVEmotionAudioForPreTraining(audio_config).save_pretrained(folder)
    av.AVEmotionFeatureExtractor().save_pretrained(folder)
    (folder / "run.json").write_text(json.dumps(ENCODER))
    assert 'from_pretrained("mine")' in write_card(folder)
    assert client.verb("push", folder, "voice")[0] == 0
    assert 'from_pretrained("tester/voice")' in hub.files("tester/voice")["README.md"].decode()
    with (folder / "README.md").open("a") as card:
        card.write("\nMy own words.\n")
    assert client.verb("push", folder, "voice")[0] == 0
    assert hub.files("tester/voice")["README.md"] == (folder / "README.md").read_bytes()
