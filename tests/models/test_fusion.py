import math

import pytest
import torch

import av_emotion_hf as av
from av_emotion_hf.models.fusion_av_emotion import (
    AttentionFusion,
    GatedFusion,
    LateFusion,
    each_loss,
    shares_of_sum,
    temperature_of,
)

BOTH, VOICE, FACE, NONE = [True, True], [True, False], [False, True], [False, False]
FUSIONS = ("concat", "gated", "attention", "late")


@pytest.fixture
def vectors():
    """Sentence-level vectors of four clips."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, 3, generator=generator), torch.randn(4, 2, generator=generator)]


@pytest.fixture
def present():
    return torch.tensor([BOTH, VOICE, FACE, NONE])


@pytest.mark.parametrize("fusion_class", [GatedFusion, AttentionFusion])
def test_a_modality_that_a_clip_lacks_adds_nothing(fusion_class, vectors, present):
    torch.manual_seed(1)
    fusion = fusion_class([3, 2], 5).requires_grad_(False)
    fused, shares = fusion(vectors, present)
    voice, face = (layer(vector).tanh() for layer, vector in zip(fusion.projections, vectors, strict=True))
    torch.testing.assert_close(fused[1], voice[1])
    torch.testing.assert_close(fused[2], face[2])
    assert not fused[3].any() and shares[1:].tolist() == [[1, 0], [0, 1], [0, 0]]
    assert 0 < shares[0, 0] < 1 and shares[0].sum() == pytest.approx(1)


def test_a_gate_mixes_value_by_value(vectors, present):
    fusion = GatedFusion([3, 2], 2)
    with torch.no_grad():
        fusion.gate.weight.zero_()
        fusion.gate.bias.copy_(torch.tensor([math.log(3), -math.log(3)]))  # gates of 0.75 and 0.25
        fused, shares = fusion(vectors, present)
        voice, face = (layer(vector).tanh() for layer, vector in zip(fusion.projections, vectors, strict=True))
    expected = torch.tensor([0.75, 0.25]) * voice[0] + torch.tensor([0.25, 0.75]) * face[0]
    torch.testing.assert_close(fused[0], expected)
    assert shares[0].tolist() == pytest.approx([0.5, 0.5])


def test_product_and_mean_of_distributions():
    chances = torch.tensor([[[0.6, 0.3, 0.1], [0.1, 0.6, 0.3]]])
    late, present = LateFusion([3, 2], 3, "product"), torch.tensor([BOTH])
    logits, _ = late.combine(chances.log() + 5, present)
    torch.testing.assert_close(logits.softmax(1)[0], torch.tensor([0.06, 0.18, 0.03]) / 0.27)
    late.rule = "mean"
    logits, shares = late.combine(chances.log() - 2, present)
    torch.testing.assert_close(logits.softmax(1)[0], torch.tensor([0.35, 0.45, 0.2]))
    assert shares[0].tolist() == pytest.approx([0.3 / 0.9, 0.6 / 0.9])


@pytest.mark.parametrize("rule", ["product", "mean"])
def test_one_distribution_alone_stays_as_it_is(rule):
    scores = torch.randn(3, 2, 4)
    present = torch.tensor([VOICE, FACE, NONE])
    logits, shares = LateFusion([3, 2], 4, rule).combine(scores, present)
    torch.testing.assert_close(logits.softmax(1)[0], scores[0, 0].softmax(0))
    torch.testing.assert_close(logits.softmax(1)[1], scores[1, 1].softmax(0))
    torch.testing.assert_close(logits.softmax(1)[2], torch.full((4,), 0.25))
    torch.testing.assert_close(shares, torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))


def test_shares_are_what_moves_the_answer():
    parts = torch.tensor([[[3.0, 0.0, 0.0], [0.0, 0.0, -1.5]]])  # centered: 2 and 0.5 for the answer, the first class
    assert shares_of_sum(parts, torch.tensor([BOTH]))[0].tolist() == pytest.approx([0.8, 0.2])
    assert shares_of_sum(parts + 7, torch.tensor([BOTH]))[0].tolist() == pytest.approx([0.8, 0.2])
    assert shares_of_sum(parts, torch.tensor([FACE]))[0].tolist() == [0, 1]


def test_each_head_learns_from_the_clips_that_have_its_modality():
    logits = torch.randn(3, 2, 4, requires_grad=True)
    labels = torch.tensor([0, 1, 2])
    each_loss(logits, torch.tensor([BOTH, VOICE, NONE]), labels).backward()
    assert logits.grad[0].abs().sum(1).min() > 0 and logits.grad[1, 0].any()
    assert not logits.grad[1, 1].any() and not logits.grad[2].any()
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(logits[:2, 0], labels[:2])
        expected += torch.nn.functional.cross_entropy(logits[:1, 1], labels[:1])
        whole = torch.eye(4)[labels]
        torch.testing.assert_close(each_loss(logits, torch.tensor([BOTH, VOICE, NONE]), labels), expected)
        torch.testing.assert_close(each_loss(logits, torch.tensor([BOTH, VOICE, NONE]), whole), expected)


def test_temperatures_by_what_a_clip_has(present):
    found = temperature_of({"audio": 2.0, "both": 4.0}, present)
    assert found.tolist() == [[4.0], [2.0], [1.0], [1.0]]
    assert temperature_of(None, present).tolist() == [[1.0]] * 4


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_says_what_decides(config, waveforms, crops, fusion, tmp_path):
    """The third clip of the fixtures has neither, a batch without images has voices alone."""
    config.fusion = fusion
    torch.manual_seed(0)
    model = av.AVEmotionForSequenceClassification(config).eval()
    with torch.no_grad():
        output = model(*waveforms, *crops, labels=torch.tensor([0, 1, 0]))
        heard = model(*waveforms)
    assert torch.isfinite(output.loss) and torch.isfinite(output.logits).all()
    torch.testing.assert_close(output.modality_shares.sum(1), torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(heard.modality_shares[:2], torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    model.save_pretrained(tmp_path)
    loaded = av.AVEmotionForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(*waveforms, *crops).logits, output.logits)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_temperatures_divide_the_logits(config, waveforms, crops, fusion):
    config.fusion = fusion
    torch.manual_seed(0)
    model = av.AVEmotionForSequenceClassification(config).eval()
    with torch.no_grad():
        before = model(*waveforms, *crops).logits, model(*waveforms).logits
        model.config.temperatures = {"both": 2.0}
        after = model(*waveforms, *crops).logits, model(*waveforms).logits
    torch.testing.assert_close(after[0][:2], before[0][:2] / 2)
    torch.testing.assert_close(after[1], before[1])


def test_late_temperatures_come_before_the_product(config, waveforms, crops):
    config.fusion, config.temperatures = "late", {"audio": 2.0, "image": 0.5}
    torch.manual_seed(0)
    model = av.AVEmotionForSequenceClassification(config).eval()
    with torch.no_grad():
        both, encoded = model(*waveforms, *crops).logits[:2], av.AVEmotionModel.forward(model, *waveforms, *crops)
        voice = model.classifier.audio(encoded.audio_embeds)[:2] / 2
        face = model.classifier.image(encoded.image_embeds)[:2] / 0.5
        torch.testing.assert_close(both.softmax(1), (voice.log_softmax(1) + face.log_softmax(1)).softmax(1))
        torch.testing.assert_close(model(*waveforms).logits[:2].softmax(1), voice.softmax(1))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_part_of_a_fusion_learns(config, waveforms, crops, fusion):
    config.fusion = fusion
    torch.manual_seed(0)
    model = av.AVEmotionForSequenceClassification(config).train()
    model(*waveforms, *crops, labels=torch.tensor([0, 1, 0])).loss.backward()
    still = [
        name
        for name, parameter in model.named_parameters()
        if name.startswith(("fusion.", "classifier.")) and (parameter.grad is None or not parameter.grad.any())
    ]
    assert not still


def test_a_wrong_label_is_named(config, waveforms, crops):
    config.fusion = "late"
    model = av.AVEmotionForSequenceClassification(config)
    with pytest.raises(ValueError, match=r"labels run from 0 to 9, the model has 3 classes"):
        model(*waveforms, *crops, labels=torch.tensor([0, 9, 0]))
