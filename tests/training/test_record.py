import json

import pytest

from av_emotion_hf import evaluate, pretrain
from av_emotion_hf.errors import InputError
from av_emotion_hf.training import record


def full(*_, **__):
    raise OSError(28, "No space left on device")


def small_run(options, features, small, **changes):
    return pretrain(
        [features], args=options("model", epochs=1, **changes), modality="audio", config_overrides=small["audio"]
    )


def test_a_record_that_finds_no_room_is_in_the_error_and_written_by_a_resumed_run(
    options, features, small, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(record, "write_json", full)
        with pytest.raises(InputError, match=r"run.json: cannot be written \(No space left on device\).*--resume"):
            small_run(options, features, small)
    assert (tmp_path / "model" / "model.safetensors").is_file() and not (tmp_path / "model" / "run.json").exists()
    facts = small_run(options, features, small, resume=True)
    assert facts == json.loads((tmp_path / "model" / "run.json").read_text()) and facts["steps"] == 8
    assert not (tmp_path / "model" / "checkpoints").exists() and (tmp_path / "model" / "README.md").is_file()


def test_a_card_that_finds_no_room_does_not_take_the_record_with_it(options, features, small, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "write_card", full)
    with pytest.raises(InputError, match=r"README.md: cannot be written .*the model and its record") as caught:
        small_run(options, features, small)
    assert caught.value.result == json.loads((tmp_path / "model" / "run.json").read_text())


def test_weights_that_find_no_room_leave_the_checkpoint(options, features, small, tmp_path, monkeypatch):
    monkeypatch.setattr("av_emotion_hf.EmotionTrainer.save_model", full)
    with pytest.raises(InputError, match=r"model: cannot be written .*; the checkpoints are kept") as caught:
        pretrain(
            [features], args=options("model", max_steps=1, save_strategy="no"), modality="audio",
            config_overrides=small["audio"],
        )  # fmt: skip
    assert caught.value.result["steps"] == 1 and not (tmp_path / "model" / "run.json").exists()


def test_a_place_that_cannot_be_written_is_named_before_training(options, features, small, tmp_path):
    (tmp_path / "model").write_text("a file")
    with pytest.raises(InputError, match="model: is a file; choose a folder for --out"):
        small_run(options, features, small)
    with pytest.raises(InputError, match="model: is a folder; choose a file for --out"):
        (tmp_path / "model").unlink()
        (tmp_path / "model").mkdir()
        evaluate("no checkpoint", features, out=str(tmp_path / "model"))


def test_a_speech_encoder_is_named_without_the_path_to_it(tmp_path):
    folder = tmp_path / "whisper"
    folder.mkdir()
    assert record.speech_encoder_facts(str(folder), 4) == {"speech_encoder": "whisper", "speech_layers": 4}
    assert record.speech_encoder_facts("openai/whisper-base", None)["speech_encoder"] == "openai/whisper-base"
    assert record.speech_encoder_facts(None, None) == {}
