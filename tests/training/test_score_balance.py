import json
import logging

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value, concatenate_datasets

import av_emotion_hf as av
from av_emotion_hf import balance_scores, evaluate
from av_emotion_hf.errors import InputError
from av_emotion_hf.hub.cards import METRICS, _results

PAIR = [[0.9, 0.1], [0.6, 0.4]]  # odds 9 and 1.5: means are equal where both are divided by the root of their product


def softmax(logits):
    exponents = np.exp(logits - logits.max(-1, keepdims=True))
    return exponents / exponents.sum(-1, keepdims=True)


@pytest.mark.parametrize(("prior_clips", "exponent"), [(0, 1), (10, 2 / 12), (2, 2 / 4)])
def test_two_clips_by_hand(prior_clips, exponent):
    """The logarithm of the factor counts n / (n + prior_clips)."""
    odds = np.array([9, 1.5]) / np.sqrt(9 * 1.5) ** exponent
    found = balance_scores(PAIR, ["a", "a"], prior_clips)
    np.testing.assert_allclose(found[:, 0], odds / (1 + odds), atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1)
    if prior_clips == 10:
        np.testing.assert_array_equal(found, balance_scores(np.array(PAIR), np.array(["a", "a"])))


def test_means_of_each_group_are_equal_and_groups_are_apart():
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat([0, 1, 2], [40, 25, 7]))
    bias = rng.normal(0, 2, (3, 5))
    scores = softmax(rng.normal(0, 2, (72, 5)) + bias[groups])
    before = scores.copy()
    found = balance_scores(scores, groups, prior_clips=0)
    np.testing.assert_array_equal(scores, before)
    for group in range(3):
        own = groups == group
        assert np.ptp(scores[own].mean(0)) > 0.2
        np.testing.assert_allclose(found[own].mean(0), 0.2, atol=2e-6)
        np.testing.assert_allclose(found[own], balance_scores(scores[own], groups[own], 0), atol=1e-12)
        ratios = found[own] / scores[own]  # one factor per class, up to the sum of the row
        ratios /= ratios[:, :1]
        np.testing.assert_allclose(ratios, np.broadcast_to(ratios[:1], ratios.shape), rtol=1e-6)


def test_the_bias_of_a_model_for_a_person_is_taken_back():
    rng = np.random.default_rng(0)
    truth = np.tile(np.arange(4), 15)
    scores = softmax(3 * np.eye(4)[truth] + rng.normal(0, 0.5, (60, 4)) + np.array([4, 1, 0, 0]))
    assert (scores.argmax(1) == truth).mean() < 0.6
    assert (balance_scores(scores, ["a"] * 60).argmax(1) == truth).mean() > 0.95


def test_one_clip_stays_nearly_what_it_is():
    found = balance_scores([[0.7, 0.2, 0.1]], ["a"])[0]
    expected = np.array([0.7, 0.2, 0.1]) ** (10 / 11)
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-5)


def test_clips_without_answer_or_group_are_left_alone():
    nothing = [np.nan, np.nan]
    scores = [nothing, *PAIR, [0.3, 0.7], nothing]
    found = balance_scores(scores, ["a", "a", "a", None, None], prior_clips=0)
    assert np.isnan(found[[0, 4]]).all()
    np.testing.assert_array_equal(found[1:3], balance_scores(PAIR, ["a", "a"], prior_clips=0))
    np.testing.assert_allclose(found[3], [0.3, 0.7])
    assert np.isnan(balance_scores([nothing], ["a"], prior_clips=0)).all()


def test_what_cannot_be_balanced_stays_finite():
    certain = [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    np.testing.assert_array_equal(balance_scores(certain, ["a"] * 3), certain)
    found = balance_scores([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0]], ["a", "a"], prior_clips=0)
    expected = np.pad(balance_scores(PAIR, ["a", "a"], prior_clips=0), ((0, 0), (0, 1)))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert balance_scores(np.empty((0, 3)), []).shape == (0, 3)
    np.testing.assert_allclose(balance_scores([[0.33, 0.669]], ["a"]).sum(1), 1, rtol=1e-12)  # rounded scores


@pytest.mark.parametrize(
    ("scores", "changes", "message"),
    [
        ([0.9, 0.1], {}, r"scores of shape \(2,\): give probabilities \(N, K\)"),
        (PAIR, {"groups": ["a"]}, "1 groups for 2 clips: give the group of each clip"),
        ([[0.9, 0.1], [2.0, -1.0]], {}, "scores of clip 1 are no probabilities.*give the softmax of logits"),
        ([[0.9, 0.9], [0.5, 0.5]], {}, "scores of clip 0 are no probabilities"),
        ([[0.9, 0.1], [np.inf, 0.5]], {}, "scores of clip 1 are no probabilities"),
        ([[0.9, 0.1], [np.nan, 0.5]], {}, "scores of clip 1 are NaN in part"),
        (PAIR, {"prior_clips": -1}, "prior_clips=-1: has to be a number of clips, 0 or more"),
        (PAIR, {"prior_clips": float("nan")}, "prior_clips=nan: has to be"),
    ],
)
def test_what_are_no_scores_is_one_line(scores, changes, message):
    with pytest.raises(InputError, match=message):
        balance_scores(scores, **({"groups": ["a", "a"]} | changes))


@pytest.fixture
def biased():
    """40 clips of 2 speakers; the first value says the class, a place of the speaker moves it across the border."""
    rows = []
    for number in range(40):
        speaker, label = divmod(number // 10, 2)
        frames = np.zeros((20, 60)) + np.random.default_rng(number).normal(0, 0.1)
        frames[:, 0] += (-1, 1)[label] + (2, -2)[speaker]
        rows.append({"input_features": frames.tolist(), "emotion": "ab"[label], "speaker": f"s{speaker}"})
    columns = {"input_features": List(List(Value("float32")))}
    return Dataset.from_list(rows, features=Features(columns | dict.fromkeys(("emotion", "speaker"), Value("string"))))


@pytest.fixture
def classifier(small, tmp_path):
    """A checkpoint of the classes a and b, and c where asked for; its logits are minus and plus the first value."""

    def save(labels="ab"):
        torch.manual_seed(0)
        names = {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
        config = av.AVEmotionAudioConfig(**small["audio"], pool_features=True, **names)
        model = av.AVEmotionAudioForSequenceClassification(config)
        model.audio_encoder.set_feature_statistics(torch.zeros(60), torch.ones(60))
        with torch.no_grad():
            model.classifier.weight.zero_()
            model.classifier.bias.zero_()
            model.classifier.weight[:2, small["audio"]["hidden_size"]] = torch.tensor([-1.0, 1.0])
        model.save_pretrained(tmp_path / labels)
        av.AVEmotionFeatureExtractor().save_pretrained(tmp_path / labels)
        return str(tmp_path / labels)

    return save


def card_part(protocol):
    """What a card says of the clips of a score."""
    test = {"protocol": {"group_column": "speaker"} | protocol, "clips": 40} | dict.fromkeys(METRICS, 1.0)
    return _results({"scores": {}, "settings": {}}, test)[0]["part"]


def scored(checkpoint, dataset, **changes):
    return evaluate(checkpoint, dataset, device="cpu", **({"group_column": "speaker", "batch_size": 7} | changes))


def test_evaluate_answers_from_balanced_scores(biased, classifier, tmp_path):
    checkpoint = classifier()
    plain = scored(checkpoint, biased)
    assert plain["uar"] == 0.5 and plain["protocol"]["balanced"] is None
    result = scored(checkpoint, biased, balanced=True, out=str(tmp_path / "scores.json"))
    assert result["uar"] == 1 and result["confusion_matrix"] == [[20, 0], [0, 20]]
    assert result["protocol"]["balanced"] == {"groups": 2, "mean_clips": 20.0, "prior_clips": 10.0}
    assert json.loads((tmp_path / "scores.json").read_text()) == result
    shuffled = biased.shuffle(seed=1)
    assert scored(checkpoint, shuffled, balanced=True)["uar"] == 1  # each clip has its own group
    stream = biased.to_iterable_dataset(num_shards=2)
    assert scored(checkpoint, stream, balanced=True)["confusion_matrix"] == result["confusion_matrix"]
    assert "(speaker s0, s1), balanced over each group" in card_part(result["protocol"] | {"groups": ["s0", "s1"]})
    both = scored(checkpoint, biased, balanced=True, person_baseline=True)["protocol"]
    assert both["balanced"] == result["protocol"]["balanced"] and both["person_baseline"]["mean_clips"] == 20
    assert "with the person's baseline, balanced over each group" in card_part(both)


def test_evaluate_counts_only_clips_with_answer_and_group(biased, classifier):
    nobody = biased.select(range(10)).map(lambda row: {"speaker": None}, features=biased.features)
    silent = biased.select(range(10, 12)).map(lambda row: {"input_features": []}, features=biased.features)
    rows = concatenate_datasets([nobody, silent, biased.select(range(12, 40))])
    result = scored(classifier(), rows, balanced=True)
    assert result["no_answer"] == {"b": 2} and result["clips"] == 40
    assert result["protocol"]["balanced"] == {"groups": 2, "mean_clips": 14.0, "prior_clips": 10.0}
    assert result["confusion_matrix"][0] == [10, 10]  # those of nobody are answered as without


def test_evaluate_says_where_balance_is_wrong(biased, classifier, caplog):
    with caplog.at_level(logging.WARNING):
        result = scored(classifier("abc"), biased, balanced=True)
    assert result["not_tested"] == ["c"] and "balanced over 3 classes" in caplog.text
    assert "there is no clip of c" in caplog.text
    caplog.clear()
    scored(classifier(), biased, balanced=True)
    assert "balanced over" not in caplog.text


def test_evaluate_needs_the_groups(biased, classifier):
    with pytest.raises(InputError, match="balanced scores need to know the groups: add --group-column"):
        scored(classifier(), biased, balanced=True, group_column=None)
    with pytest.raises(InputError, match="column 'person' is not in the dataset"):
        scored(classifier(), biased, balanced=True, group_column="person")
