"""The scripts of `examples` that fine-tune: from a dataset on the Hub to a model on the Hub, and on after a break."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value
from safetensors.torch import load_file
from transformers import AutoModelForAudioClassification

import av_emotion_hf as av
from av_emotion_hf.hub import check_card

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def voices(tmp_path):
    """A folder of descriptors of 32 voices, 4 speakers and 2 emotions, and an encoder that reads them."""
    config = av.AVEmotionAudioConfig(hidden_size=8, num_hidden_layers=1, num_mel_bins=8)
    torch.manual_seed(0)
    encoder = av.AVEmotionAudioForPreTraining(config)
    encoder.save_pretrained(tmp_path / "encoder")
    av.AVEmotionFeatureExtractor().save_pretrained(tmp_path / "encoder")
    size, generator = encoder.audio_encoder.num_features, np.random.default_rng(0)
    rows = [
        {
            "input_features": (generator.normal(0, 1, (6, size)) + 3 * (i % 2)).tolist(),
            "emotion": ["sad", "happy"][i % 2],
            "speaker": f"0{i // 8}",
        }
        for i in range(32)
    ]
    columns = {"input_features": List(List(Value("float32"))), "emotion": Value("string"), "speaker": Value("string")}
    corpus = Dataset.from_list(rows, features=Features(columns))
    corpus.to_parquet(str(tmp_path / "voices" / "data" / "train-00000.parquet"))
    about = {"as": "features", "modality": "audio"}
    manifest = {"settings": about, "clips": 32, "rows": 32, "seconds": 16.0, "frames": {}, "failures": []}
    (tmp_path / "voices" / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path / "voices"


@pytest.fixture
def arguments(voices, tmp_path):
    """What every run is given."""
    return {
        "modality": "audio",
        "model_name_or_path": [str(tmp_path / "encoder")],
        "dataset_name": str(voices),
        "test_groups": ["03"],
        "output_dir": str(tmp_path / "out"),
    }


TRAINING = {
    "do_train": True, "do_eval": True, "do_predict": True, "num_train_epochs": 4, "learning_rate": 2e-2,
    "lr_scheduler_type": "cosine", "per_device_train_batch_size": 4, "use_cpu": True, "disable_tqdm": True,
    "eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True,
    "metric_for_best_model": "uar", "report_to": "none",
}  # fmt: skip


@pytest.mark.slow
def test_with_trainer_from_one_json_file_and_on_after_a_break(script, arguments, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(arguments | TRAINING))
    script("finetune_trainer.py", tmp_path / "run.json")
    out = tmp_path / "out"
    record = json.loads((out / "run.json").read_text())
    assert record["settings"]["groups"]["test"] == ["03"] and record["settings"]["script"][1] == "run.json"
    assert record["scores"]["test_uar"] > 0.8 and record["scores"]["test_clips"] == 8 and record["hardware"]
    assert json.loads((out / "all_results.json").read_text())["test_uar"] == record["scores"]["test_uar"]
    assert type(AutoModelForAudioClassification.from_pretrained(out)).__name__.startswith("AVEmotionAudio")
    assert av.AVEmotionFeatureExtractor.from_pretrained(out).sampling_rate == 16000
    assert (out / "checkpoint-16" / "preprocessor_config.json").is_file()
    card = (out / "README.md").read_text()
    measured = {(one.dataset_split, one.metric_type): one.metric_value for one in check_card(card).data.eval_results}
    assert measured["test", "uar"] == pytest.approx(record["scores"]["test_uar"], abs=5e-5)
    assert "test clips (speaker 03)" in card and str(tmp_path) not in card

    again = arguments | TRAINING | {"resume_from_checkpoint": str(out / "checkpoint-8"), "output_dir": f"{out}2"}
    (tmp_path / "again.json").write_text(json.dumps(again))
    script("finetune_trainer.py", tmp_path / "again.json")
    first, second = (load_file(folder / "model.safetensors") for folder in (out, tmp_path / "out2"))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_with_trainer_from_the_hub_to_the_hub(hub, client, arguments, voices, tmp_path):
    assert client.verb("push", voices, "voices")[0] == 0
    assert client.verb("push", tmp_path / "encoder", "encoder")[0] == 0
    given = arguments | {"model_name_or_path": ["tester/encoder"], "dataset_name": "tester/voices"} | TRAINING
    given |= {"push_to_hub": True, "hub_model_id": "tester/voice", "hub_private_repo": True, "num_train_epochs": 1}
    (tmp_path / "run.json").write_text(json.dumps(given))
    argv = ["finetune_trainer.py", str(tmp_path / "run.json")]
    client.run(
        f"import runpy, sys\nsys.argv = {argv!r}\nrunpy.run_path({str(EXAMPLES / argv[0])!r}, run_name='__main__')\n"
    )
    files = hub.files("tester/voice")
    assert files.keys() >= {"README.md", "config.json", "model.safetensors", "preprocessor_config.json", "run.json"}
    assert "modeling_av_emotion.py" in files and hub.repos["model", "tester/voice"].private
    assert not [name for name in files if name.endswith((".bin", ".pt")) or name.startswith("checkpoint")]
    assert 'model="tester/voice"' in files["README.md"].decode()


@pytest.mark.slow
def test_without_trainer_and_on_after_a_break(script, arguments, tmp_path, monkeypatch):
    words = [
        word
        for name, value in arguments.items()
        if name != "output_dir"
        for word in (f"--{name}", *(value if isinstance(value, list) else [value]))
    ]
    words += ["--num_train_epochs", 3, "--learning_rate", 2e-2, "--batch_size", 4]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    script("finetune_no_trainer.py", *words, "--output_dir", whole)
    facts = json.loads((whole / "run.json").read_text())
    assert facts["scores"]["test_uar"] > 0.8 and facts["scores"]["test_clips"] == 8
    assert len(facts["history"]) == 3 and facts["history"][-1]["loss"] < facts["history"][0]["loss"]
    groups = facts["settings"]["groups"]
    assert groups["test"] == ["03"] and not {"03"} & {*groups["train"], *groups["validation"]}
    assert "test clips (speaker 03)" in check_card((whole / "README.md").read_text()).text
    assert av.AVEmotionFeatureExtractor.from_pretrained(whole).sampling_rate == 16000

    import accelerate

    save = accelerate.Accelerator.save_state

    def save_and_die(self, folder):
        save(self, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(accelerate.Accelerator, "save_state", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        script("finetune_no_trainer.py", *words, "--output_dir", broken)
    monkeypatch.setattr(accelerate.Accelerator, "save_state", save)
    assert not (broken / "model.safetensors").exists()
    script("finetune_no_trainer.py", *words, "--output_dir", broken, "--resume")
    first, second = (load_file(folder / "model.safetensors") for folder in (whole, broken))
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(SystemExit, match="holds no finished epoch to resume from"):
        script("finetune_no_trainer.py", *words, "--output_dir", tmp_path / "new", "--resume")
