import pytest
import torch
from datasets import Dataset

from av_emotion_hf import AVEmotionAudioForSequenceClassification, EmotionTrainer, EmotionTrainingArguments
from av_emotion_hf.training.expression import ExpressionLoss
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
