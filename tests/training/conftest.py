import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value
from transformers import Trainer

from av_emotion_hf import EmotionTrainingArguments

SMALL = {
    "audio": {"hidden_size": 8, "num_hidden_layers": 1},
    "image": {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "backbone_config": {
            "model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 6], "depths": [1, 1],
            "layer_type": "basic",
        },
    },
}  # fmt: skip


@pytest.fixture
def options(tmp_path):
    """Function to the training arguments of a short run below the test's folder."""
    long_names = {
        "epochs": "num_train_epochs",
        "batch_size": "per_device_train_batch_size",
        "workers": "dataloader_num_workers",
    }

    def make(name, **changes):
        # not as many threads as cores are idle: after a break these could be others, which round differently
        fields = {"epochs": 2, "batch_size": 4, "cpu_threads": 1} | changes
        return EmotionTrainingArguments(str(tmp_path / name), **{long_names.get(k, k): v for k, v in fields.items()})

    return make


@pytest.fixture
def small():
    """Configuration fields of small encoders."""
    return SMALL


@pytest.fixture
def features():
    """A dataset of ready features in which the label stands in both modalities: 4 speakers, 2 emotions, 32 clips."""
    generator = np.random.default_rng(0)
    rows = []
    for i in range(32):
        label = i % 2
        audio = generator.normal(0, 1, (12 + i % 5, 60)) + 2 * label
        image = generator.normal(0, 1, (4 + i % 3, 6)) - 2 * label
        rows.append(
            {
                "input_features": audio.tolist(),
                "image_features": image.tolist(),
                "emotion": ["sad", "happy"][label],
                "speaker": f"{i // 8}",
            }
        )
    columns = {"input_features": List(List(Value("float32"))), "image_features": List(List(Value("float32")))}
    return Dataset.from_list(rows, features=Features(columns | dict.fromkeys(("emotion", "speaker"), Value("string"))))


@pytest.fixture(autouse=True)
def repeatable():
    torch.manual_seed(0)


@pytest.fixture
def interrupt(monkeypatch):
    """Function that calls a training and interrupts it in the step of a given number, from 1."""

    def call(train, killed_at):
        step, calls = Trainer.training_step, []

        def killed(self, *args, **kwargs):
            calls.append(None)
            if len(calls) == killed_at:
                raise KeyboardInterrupt
            return step(self, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "training_step", killed)
            with pytest.raises(KeyboardInterrupt):
                train()

    return call
