import pytest
import torch
from datasets import Dataset
from helpers.speech_encoders import CONFIGS, WHISPER

from av_emotion_hf import (
    AVEmotionAudioConfig,
    AVEmotionAudioForSequenceClassification,
    AVEmotionConfig,
    AVEmotionForSequenceClassification,
    EmotionTrainer,
    EmotionTrainingArguments,
)
from av_emotion_hf.training.expression import ExpressionLoss
from av_emotion_hf.training.finetuning import SLOW_PARTS
from av_emotion_hf.training.trainer import NumberedCollator


@pytest.fixture
def trainer(audio_config, tmp_path):
    def make(compute_loss_func=None, **changes):
        rows = [{"labels": i % 3} for i in range(12)]

        def collate(rows):
            labels = torch.tensor([row["labels"] for row in rows])
            return {"input_features": torch.zeros(len(rows), 6, 28) + labels[:, None, None], "labels": labels}

        torch.manual_seed(0)
        audio_config.hidden_dropout = 0.0  # its draws differ with the size of a batch
        settings = {
            "use_cpu": True, "max_steps": 2, "logging_steps": 1, "warmup_steps": 0, "seed": 42, "save_strategy": "no",
        } | changes  # fmt: skip
        return EmotionTrainer(
            model=AVEmotionAudioForSequenceClassification(audio_config),
            args=EmotionTrainingArguments(str(tmp_path), **settings, slow_parts=["frontend."], slow_rate=0.1),
            data_collator=collate,
            train_dataset=Dataset.from_list(rows),
            compute_loss_func=compute_loss_func,
        )

    return make


def test_slow_parts_have_a_rate_of_their_own(trainer):
    made = trainer(learning_rate=1e-2)
    optimizer = made.create_optimizer()
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in made.model.named_parameters():
        assert rate[id(parameter)] == pytest.approx(1e-3 if "frontend." in name else 1e-2), name


@pytest.mark.parametrize("kind", ["whisper", "hubert", "wavlm", "fusion"])
def test_lower_layers_of_a_speech_backbone_learn_slower(kind, image_config, tmp_path):
    fields = CONFIGS.get(kind, WHISPER).to_dict()
    config = AVEmotionAudioConfig(backbone_config=fields, freeze_backbone=False, hidden_size=8, num_labels=3)
    model = AVEmotionAudioForSequenceClassification(config)
    if kind == "fusion":
        fused = AVEmotionConfig(audio_config=config, image_config=image_config, num_labels=3)
        model = AVEmotionForSequenceClassification(fused)
    args = EmotionTrainingArguments(
        str(tmp_path), use_cpu=True, learning_rate=1e-2, slow_parts=SLOW_PARTS, slow_rate=0.1, layer_decay=0.5
    )
    optimizer = EmotionTrainer(model=model, args=args).create_optimizer()
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    rates = {name: rate[id(p)] for name, p in model.named_parameters() if p.requires_grad}
    layers = "audio_encoder.backbone.encoder." + ("layers." if kind in ("whisper", "fusion") else "encoder.layers.")
    expected = {"audio_encoder.frontend.": 1e-3, f"{layers}1.": 1e-3, f"{layers}0.": 5e-4}
    expected |= {"audio_encoder.backbone.encoder.": 2.5e-4, "image_encoder.backbone.": 1e-3, "": 1e-2}
    for name, found in rates.items():
        assert found == pytest.approx(next(rate for start, rate in expected.items() if name.startswith(start))), name
    assert {round(found, 9) for found in rates.values()} == {1e-2, 1e-3, 5e-4, 2.5e-4}
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    own = {name.removeprefix(f"{layers}0."): id(p) in decayed for name, p in model.named_parameters()}
    assert {own[name] for name in own if name.endswith("proj.weight")} == {True}
    assert {own[name] for name in own if name.endswith(("proj.bias", "layer_norm.weight"))} == {False}


@pytest.mark.slow
@pytest.mark.parametrize("loss", [None, ExpressionLoss(0.1)], ids=["model", "function"])
def test_accumulation_does_not_change_the_loss(trainer, loss):
    whole = trainer(loss, per_device_train_batch_size=4, max_steps=1, lr_scheduler_type="constant")
    parts = trainer(
        loss, per_device_train_batch_size=1, gradient_accumulation_steps=4, max_steps=1, lr_scheduler_type="constant"
    )
    whole.train()
    parts.train()
    losses = [next(entry["loss"] for entry in t.state.log_history if "loss" in entry) for t in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_what_a_batch_draws_follows_from_its_number():
    def draw(rows):
        return torch.rand(3)

    collate = NumberedCollator(draw, seed=1)
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    batches = [collate([]) for _ in range(4)]
    assert torch.equal(torch.rand(2), expected)  # what others draw is left alone
    assert len({tuple(batch.tolist()) for batch in batches}) == 4
    collate.start(2)
    assert torch.equal(collate([]), batches[2]) and torch.equal(collate([]), batches[3])
    for other in (NumberedCollator(draw, seed=2), NumberedCollator(draw, seed=1, rank=1)):
        assert not torch.equal(other([]), batches[0])
    workers = torch.utils.data.DataLoader(range(4), num_workers=2, collate_fn=NumberedCollator(draw, seed=1))
    assert torch.equal(torch.stack(list(workers)), torch.stack(batches))


@pytest.mark.slow
def test_resumes_from_the_last_checkpoint_when_asked_to(trainer, tmp_path):
    trainer(max_steps=4, save_steps=2, save_strategy="steps", save_total_limit=2).train()
    resumed = trainer(max_steps=4, save_strategy="no")
    resumed.train(resume_from_checkpoint=True)
    assert resumed.resumed_from == str(tmp_path / "checkpoint-4")
    fresh = trainer(max_steps=1)
    fresh.train(resume_from_checkpoint=False)
    assert fresh.resumed_from is None and fresh.state.global_step == 1
