import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from torch.nn import functional as F

from av_emotion_hf import evaluate, finetune
from av_emotion_hf.data import split_groups
from av_emotion_hf.errors import InputError
from av_emotion_hf.training.linear_head import (
    HeadStart,
    balanced_rows,
    choose_penalty,
    fit_linear_head,
    sentence_vectors,
)


@pytest.fixture
def points():
    """Vectors `(60, 4)` of three overlapping classes, their class distributions, and unequal weights."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(60) % 3
    vectors = torch.randn(60, 4, generator=generator) + torch.eye(4)[classes] * 1.5
    return vectors * torch.tensor([1.0, 50.0, 0.1, 1.0]) + 7, F.one_hot(classes, 3).float(), torch.rand(60) + 0.5


def test_the_head_is_where_the_gradient_vanishes(points):
    vectors, targets, weights = points
    head = fit_linear_head(vectors, targets, 0.1, weights)
    share = (weights / weights.sum())[:, None]
    mean = (share * vectors).sum(0)
    std = (share * (vectors - mean).square()).sum(0).sqrt()
    weight = (head.weight * std).requires_grad_()
    bias = (head.bias + head.weight @ mean).requires_grad_()
    logits = F.linear((vectors - mean) / std, weight, bias)
    (-(share * targets * logits.log_softmax(1)).sum() + 0.05 * weight.square().sum()).backward()
    assert max(weight.grad.abs().max(), bias.grad.abs().max()) < 1e-4
    torch.testing.assert_close(head(vectors), logits.detach(), atol=1e-3, rtol=1e-3)


def test_scale_and_constants_do_not_matter(points):
    vectors, targets, _ = points
    head = fit_linear_head(vectors, targets, 0.1)
    wide = torch.cat([vectors * 1000 - 3, torch.full((60, 1), 5.0)], dim=1)
    scaled = fit_linear_head(wide, targets, 0.1)
    torch.testing.assert_close(scaled(wide), head(vectors), atol=2e-2, rtol=1e-2)
    assert not scaled.weight[:, 4].any()


def test_a_start_is_only_a_start(points):
    vectors, targets, _ = points
    start, expected = fit_linear_head(vectors, targets, 1.0), fit_linear_head(vectors, targets, 0.03)(vectors)
    found = fit_linear_head(vectors, targets, 0.03, start=start)(vectors)
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)
    assert (start(vectors) - expected).abs().max() > 0.5


def test_rows_count_by_their_weight(points):
    vectors, targets, _ = points
    twice = torch.cat([vectors, vectors[:10]]), torch.cat([targets, targets[:10]])
    weights = torch.cat([torch.full((10,), 2.0), torch.ones(50)])
    torch.testing.assert_close(
        fit_linear_head(vectors, targets, 0.1, weights)(vectors),
        fit_linear_head(*twice, 0.1)(vectors),
        atol=5e-3,
        rtol=0,
    )
    rare = F.one_hot(torch.tensor([0, 0, 0, 1]), 3).float()
    assert balanced_rows(rare).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1.0])


def test_the_strongest_of_equal_penalties_is_chosen():
    vectors, targets = torch.tensor([[-1.0], [-0.9], [1.0], [0.9]]), F.one_hot(torch.tensor([0, 0, 1, 1])).float()
    validation = torch.tensor([[-2.0], [2.0]]), torch.tensor([0, 1])
    head, scores = choose_penalty(vectors, targets, None, validation, (1.0, 0.01))
    assert scores == {1.0: 1.0, 0.01: 1.0}
    torch.testing.assert_close(head.weight, fit_linear_head(vectors, targets, 1.0).weight)


@pytest.fixture
def tune(features, options, small):
    """Function to a short fine-tuning that begins with a linear head; test speaker 3."""

    def run(name, **changes):
        return finetune(
            features,
            split_groups(["0", "1", "2", "3"], test=["3"]),
            args=options(name, **({"epochs": 2} | changes)),
            modality="audio",
            group_column="speaker",
            head_first=True,
            config_overrides=small["audio"] | {"pool_features": True},
        )

    return run


def test_a_head_that_training_makes_worse_is_kept(tune, features, tmp_path):
    record = tune("wild", learning_rate=300.0, slow_parts=["nothing"])
    assert record["linear_head"]["kept"] and record["settings"]["head_first"]
    best = max(record["linear_head"]["uar"].values())
    assert record["scores"]["validation_uar"] == pytest.approx(best, abs=1e-4) and best > 0.9
    # a step at this rate moves a weight by hundreds
    assert load_file(tmp_path / "wild" / "model.safetensors")["classifier.weight"].abs().max() < 10
    held_out = features.filter(lambda speaker: speaker == "3", input_columns="speaker")
    assert evaluate(str(tmp_path / "wild"), held_out)["uar"] > 0.9


def test_without_validation_nothing_is_chosen(features, options, small):
    args = options("plain", epochs=1)
    record = finetune(features, args=args, modality="audio", head_first=True, config_overrides=small["audio"])
    assert record["linear_head"] == {"penalty": 0.1}


def test_what_training_improves_is_kept(points):
    """A beginning at chance gives way, one that is as good stays."""
    start = object.__new__(HeadStart)
    start.model, start.weights, start.uar, start.facts = torch.nn.Linear(4, 3), {}, 0.5, {}
    for reached, kept in ((0.6, False), (0.5, True), (None, True)):
        start.restore_if_better(reached)
        assert start.facts["kept"] is kept


@pytest.mark.slow
def test_a_resumed_run_has_the_same_head(tune, tmp_path):
    tune("whole", epochs=2, learning_rate=1e-2)

    def stop(self, *args, **kwargs):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HeadStart, "restore_if_better", stop)
        with pytest.raises(KeyboardInterrupt):
            tune("halted", epochs=2, learning_rate=1e-2)
    tune("halted", epochs=2, learning_rate=1e-2, resume=True)
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "halted"))
    for name in whole:
        torch.testing.assert_close(resumed[name], whole[name], rtol=0, atol=0)


def test_vectors_are_what_the_classifier_reads(features, options, small):
    from av_emotion_hf.checkpoints import build_model
    from av_emotion_hf.data.collators import ClipCollator

    bundle = build_model("classification", "audio", labels=["happy", "sad"], config_overrides=small["audio"])
    rows = features.map(lambda row: {"labels": int(row["emotion"] == "sad")})
    collate = ClipCollator("audio", bundle.feature_extractor, None, bundle.feature_sizes)
    found = sentence_vectors(bundle.model, rows, collate, 5)
    vectors, targets = found.vectors["classifier"], found.targets
    assert found.present["classifier"].all() and targets.argmax(1).tolist() == rows["labels"][:]
    with torch.no_grad():
        logits = bundle.model.eval()(**{k: v for k, v in collate([rows[3]]).items() if k != "labels"}).logits
    torch.testing.assert_close(bundle.model.classifier(vectors[3:4]), logits, atol=1e-5, rtol=1e-5)
    batches: list[list[int]] = []

    def mixing(batch):
        batches.append([row["labels"] for row in batch])
        return collate(batch)

    by_class = rows.select(sorted(range(len(rows)), key=rows["labels"][:].__getitem__))
    in_order = sentence_vectors(bundle.model, by_class, mixing, 4)
    assert all(len(set(labels)) == 1 for labels in batches[:2])
    batches.clear()
    shuffled = sentence_vectors(bundle.model, by_class, mixing, 4, shuffle=True)
    assert any(len(set(labels)) == 2 for labels in batches)
    torch.testing.assert_close(shuffled.vectors, in_order.vectors, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shuffled.targets, in_order.targets)


def test_the_head_learns_from_batches_that_mix_the_classes(features, small):
    """Of a dataset in order of its classes, too: mixup and copy-paste put clips of one batch together."""
    from av_emotion_hf.checkpoints import build_model
    from av_emotion_hf.data.collators import ClipCollator

    bundle = build_model("classification", "audio", labels=["happy", "sad"], config_overrides=small["audio"])
    rows = features.map(lambda row: {"labels": int(row["emotion"] == "sad")})
    rows = rows.select(sorted(range(len(rows)), key=rows["labels"][:].__getitem__))
    collate = ClipCollator("audio", bundle.feature_extractor, None, bundle.feature_sizes)
    batches: list[list[int]] = []

    def mixing(batch):
        batches.append([row["labels"] for row in batch])
        return collate(batch)

    HeadStart(bundle.model, rows, None, collate, mixing, batch_size=4)
    assert sorted(label for labels in batches for label in labels) == rows["labels"][:]
    assert sum(len(set(labels)) == 2 for labels in batches) > len(batches) / 2


def test_a_stream_is_refused(features, options):
    assert isinstance(features, Dataset)
    with pytest.raises(InputError, match="reads the clips several times, and the dataset is a stream"):
        finetune(features.to_iterable_dataset(), args=options("x", max_steps=2), modality="audio", head_first=True)
