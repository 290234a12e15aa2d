import math

import numpy as np
import pytest
import torch
from datasets import Dataset

import av_emotion_hf as av
from av_emotion_hf.data import ClipCollator
from av_emotion_hf.data.augmentation import (
    AUGMENTATIONS,
    AugmentingCollator,
    check_augmentations,
    check_probabilities,
)
from av_emotion_hf.data.draws import numbered_draws
from av_emotion_hf.data.frame_augmentation import FRAME_AUGMENTATIONS, MeanFrame
from av_emotion_hf.data.schema import encode_waveform
from av_emotion_hf.data.waveform_augmentation import WAVEFORM_AUGMENTATIONS
from av_emotion_hf.errors import InputError

LABELS = ["angry", "Neutral", "sad"]


@pytest.fixture(autouse=True)
def repeatable():
    torch.manual_seed(0)


def row(waveform, label):
    cell = {"bytes": encode_waveform(np.asarray(waveform, np.float32)), "path": None} if len(waveform) else None
    return {"audio": cell, "labels": label}


def constant(level, samples, label):
    """A row by whose samples it can be told; a multiple of 1 / 32 comes through 16 bits as it is."""
    return row(np.full(samples, level), label)


def collator(probabilities, mean=None, size=4):
    collate = ClipCollator("audio", av.AVEmotionFeatureExtractor(), None, {"audio": size})
    return AugmentingCollator(collate, probabilities, LABELS, mean)


def clips(batch, name="input_values"):
    return [values[mask.bool()] for values, mask in zip(batch[name], batch["attention_mask"], strict=True)]


def test_names_and_probabilities_are_checked():
    given = dict.fromkeys(AUGMENTATIONS, 0.5)
    assert check_probabilities(given) == given and check_probabilities({"speed": 1, "noise": 0}) == {
        "speed": 1,
        "noise": 0,
    }
    with pytest.raises(InputError, match=r"^augmentation 'echo' is unknown; choose from speed, pitch, .*time_mask"):
        check_probabilities({"echo": 0.5})
    for value in (-0.1, 1.1, math.nan, "0.5", None, True):
        with pytest.raises(InputError, match=r"^augmentation speed=.*: has to be a probability from 0 to 1; use 0.3"):
            check_probabilities({"speed": value})
    with pytest.raises(
        InputError, match=r"'mixup' is for training batches, .* single clips; choose from speed, pitch"
    ):
        check_probabilities({"mixup": 0.5}, tuple(WAVEFORM_AUGMENTATIONS))


HOLDS = {
    "features": Dataset.from_dict({"input_features": [[[0.0]]], "emotion": ["sad"]}),
    "inputs": Dataset.from_dict({"audio": [None], "face_coverage": [0.0], "emotion": ["sad"]}),
    "clips": Dataset.from_dict({"file": ["a.wav"], "emotion": ["sad"]}),
    "nothing": Dataset.from_dict({"emotion": ["sad"]}),
}


@pytest.mark.parametrize(
    ("name", "modality", "kind", "message"),
    [
        ("noise", "audio", "features", r"'noise' changes waveforms, and .* holds features; .* extract --as features"),
        ("time_mask", "audio", "inputs", r"'time_mask' hides frame features, and .* holds waveforms; extract"),
        ("time_mask", "fusion", "clips", r"'time_mask' hides frame features"),
        ("mixup", "fusion", "clips", r"'mixup' combines voices, and the clips show faces; leave it out"),
        ("speed", "image", "nothing", r"'speed' changes voices, and an image model hears none; leave it out"),
        ("speed", "audio", "nothing", r"the dataset has no audio"),
    ],
)
def test_what_does_not_fit_is_named(name, modality, kind, message):
    with pytest.raises(InputError, match=message):
        check_augmentations({name: 0.5}, modality, HOLDS[kind])
    assert check_augmentations({}, modality, HOLDS[kind]) == {}


def test_what_fits_passes():
    for kind, given in (
        ("inputs", {"speed": 0.5, "mixup": 0.1}),
        ("clips", {"speed": 0.5}),
        ("features", {"time_mask": 1, "copy_paste": 0.1}),
    ):
        assert check_augmentations(given, "audio", HOLDS[kind]) == given
    assert check_augmentations({"babble": 0.5}, "fusion", HOLDS["clips"]) == {"babble": 0.5}


def test_waveforms_are_changed_each_on_its_own():
    rows = [constant(0.25, 1000, 0), constant(0.5, 400, 1), constant(0.125, 700, 2)]
    batch = collator({"gain": 1.0})(rows)
    assert [len(clip) for clip in clips(batch)] == [1000, 400, 700] and batch["labels"].tolist() == [0, 1, 2]
    gains = [
        20 * math.log10(float(clip[0]) / level) for clip, level in zip(clips(batch), (0.25, 0.5, 0.125), strict=True)
    ]
    assert all(-12.01 <= gain <= 6.01 for gain in gains) and len({round(gain, 3) for gain in gains}) == 3
    assert all((clip == clip[0]).all() for clip in clips(batch))


def test_babble_comes_from_the_other_clips():
    generator = np.random.default_rng(0)
    voices = [0.1 * generator.standard_normal(n) for n in (3000, 3000, 2000)]
    rows = [row(voice, 0) for voice in voices]
    plain, batch = clips(collator({})(rows)), clips(collator({"babble": 1.0})(rows))
    for own, (before, after) in enumerate(zip(plain, batch, strict=True)):
        added = after - before
        ratio = 20 * math.log10(float(before.norm() / added.norm()))
        assert 9.9 < ratio < 25.1
        for number, voice in enumerate(plain):  # the peak of the circular correlation with each voice
            size = 1 << 14
            tiled = voice.repeat(3)
            found = torch.fft.irfft(torch.fft.rfft(tiled, size) * torch.fft.rfft(added, size).conj(), size).max()
            share = float(found / added.norm() / tiled.norm()) * math.sqrt(3)
            assert (share > 0.4) == (number != own), (own, number, share)


def test_copy_paste_joins_clips_of_a_class_or_neutral_ones_in_any_order():
    levels = {0.125: (300, 0), 0.25: (200, 0), 0.375: (110, 1), 0.5: (150, 1), 0.625: (170, 2)}
    rows = [constant(level, *cell) for level, cell in levels.items()]
    own_class = {level: label for level, (_, label) in levels.items()}
    orders, partners = set(), set()
    for _ in range(60):
        batch = collator({"copy_paste": 1.0})(rows)
        assert batch["labels"].tolist() == [0, 0, 1, 1, 2]
        for own, clip in zip(levels, clips(batch), strict=True):
            found, counts = clip.unique_consecutive(return_counts=True)
            other = next(level for level in found.tolist() if level != own)
            assert len(found) == 2 and own in found.tolist()
            assert len(clip) == levels[own][0] + levels[other][0]
            assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == {k: levels[k][0] for k in (own, other)}
            orders.add(found.tolist().index(own))
            partners.add((own_class[own], own_class[other]))
    assert orders == {0, 1} and partners == {(0, 0), (0, 1), (1, 1), (2, 1)}


def test_without_a_partner_copy_paste_leaves_a_clip_alone():
    rows = [constant(0.125, 300, 0), row([], 0), constant(0.25, 100, 2)]
    batch = collator({"copy_paste": 1.0})(rows)
    assert [len(clip) for clip in clips(batch)] == [300, 0, 100]


def test_mixup_of_waveforms_mixes_labels_by_what_is_heard():
    generator = np.random.default_rng(0)
    voices = [level * generator.standard_normal(n) for level, n in ((0.1, 4000), (0.01, 2500), (0.05, 3000))]
    rows = [row(voice, label) for label, voice in enumerate(voices)]
    plain = clips(collator({})(rows))
    mixtures = 0
    for _ in range(20):
        batch = collator({"mixup": 1.0})(rows)
        assert batch["labels"].shape == (3, 3) and batch["labels"].dtype == torch.float32
        torch.testing.assert_close(batch["labels"].sum(1), torch.ones(3))
        for own, clip in enumerate(clips(batch)):
            fraction = 1 - float(batch["labels"][own, own])
            assert len(clip) == len(plain[own]) and 0 <= fraction <= 0.5 + 1e-6
            # what is left when the own share is taken away has the other share of the power
            scale = math.hypot(fraction, 1 - fraction)
            rest = clip - plain[own] * (1 - fraction) / scale
            assert float(rest.norm() / plain[own].norm()) == pytest.approx(fraction / scale, abs=1e-3)
            assert float(clip.norm() / plain[own].norm()) == pytest.approx(1, abs=0.06)
            mixtures += fraction > 0
    assert mixtures > 20


def test_mixup_is_drawn_by_its_probability_and_skips_silence():
    rows = [constant(0.125, 100, 0), constant(0.25, 100, 2), row([], 1)]
    labels = torch.cat([collator({"mixup": 0.5})(rows)["labels"] for _ in range(300)])
    mixed = (labels.max(1).values < 1).view(-1, 3).float().mean(0)
    assert mixed[2] == 0 and 0.1 < mixed[0] < 0.25  # half of the draws, a third of the permutations
    alone = collator({"mixup": 1.0})(rows[:1])
    assert alone["labels"].tolist() == [[1, 0, 0]] and (alone["input_values"] == 0.125).all()


@pytest.fixture
def mean():
    """Of four features, the second of which is defined where the last is 1."""
    return MeanFrame(torch.tensor([1.0, 2.0, 3.0, 0.75]), torch.tensor([False, True, False, False]), 3)


def features(value, length, label, voiced=1.0):
    return {"input_features": [[value, value * voiced, -value, voiced]] * length, "labels": label}


def test_mixup_of_features_takes_the_mean_for_what_is_not_defined(mean):
    rows = [features(10.0, 4, 0), features(20.0, 3, 2, voiced=0.0)]
    seen = 0
    for _ in range(30):
        batch = collator({"mixup": 1.0}, mean)(rows)
        for own, clip in enumerate(clips(batch, "input_features")):
            fraction = 1 - float(batch["labels"][own, 2 * own])
            filled = torch.tensor([[10.0, 10.0, -10.0, 1.0], [20.0, 2.0, -20.0, 0.0]])
            if fraction:
                expected = torch.lerp(filled[own], filled[1 - own], fraction)
                torch.testing.assert_close(clip, expected.expand(4 - own, -1))
                seen += 1
    assert seen > 10


def test_copy_paste_and_masks_of_features(mean):
    rows = [features(10.0, 5, 0), features(20.0, 3, 0), {"input_features": [], "labels": 1}]
    batch = collator({"copy_paste": 1.0}, mean)(rows)
    first, second, empty = clips(batch, "input_features")
    assert sorted(first[:, 0].tolist()) == sorted(second[:, 0].tolist()) == [10.0] * 5 + [20.0] * 3 and not len(empty)
    rows = [features(10.0, 50, 0), features(20.0, 30, 0), {"input_features": [], "labels": 1}]
    batch = collator({"time_mask": 1.0}, mean)(rows)
    hidden = [(clip == mean.values).all(1) for clip in clips(batch, "input_features")]
    assert all(
        (clip[~rows_hidden] == clip[~rows_hidden][:1]).all()
        for clip, rows_hidden in zip(clips(batch, "input_features")[:2], hidden, strict=False)
    )
    assert 0 < hidden[0].sum() <= 20 and hidden[1].sum() <= 12
    assert not batch["input_features"][1, 30:].any()  # padding stays zero


def test_class_distributions_are_mixed_as_classes_are(mean):
    rows = [
        features(10.0, 5, [0.75, 0.0, 0.25]),
        features(20.0, 3, [1.0, 0.0, 0.0]),
        features(30.0, 2, [0.0, 0.25, 0.75]),
    ]
    batch = collator({"copy_paste": 1.0}, mean)(rows)
    assert batch["attention_mask"].sum(1).tolist() == [8, 8, 2]  # the first two are likely of one class
    assert batch["labels"].tolist() == [row["labels"] for row in rows]
    plain = batch["labels"]
    mixed = torch.cat([collator({"mixup": 1.0}, mean)(rows)["labels"] for _ in range(20)])
    assert not torch.equal(mixed[:3], plain) and (mixed[:, 1] <= 0.25).all()
    torch.testing.assert_close(mixed.sum(1), torch.ones(60))


def test_features_of_another_model_are_named(mean):
    with pytest.raises(InputError, match="features with 4 values per frame do not fit the model, which expects 5"):
        collator({"time_mask": 1.0}, mean, size=5)([features(1.0, 3, 0)])


@pytest.mark.parametrize("kind", ["waveforms", "features"])
def test_the_same_seed_gives_the_same_batch(mean, kind):
    generator = np.random.default_rng(0)
    if kind == "waveforms":
        rows = [row(0.1 * generator.standard_normal(n), n % 3) for n in (1500, 2000, 900, 1, 0)]
        make = collator({name: 0.7 for name in AUGMENTATIONS if name not in FRAME_AUGMENTATIONS})
    else:
        rows = [features(float(n), n, n % 3) for n in (15, 20, 9, 1, 0)]
        make = collator({name: 0.7 for name in AUGMENTATIONS if name not in WAVEFORM_AUGMENTATIONS}, mean)
    batches = []
    for number in (7, 7, 8):
        with numbered_draws(0, number):
            batches.append(make(rows))
    assert all(torch.equal(value, batches[1][name]) for name, value in batches[0].items())
    assert all(value.isfinite().all() for value in batches[0].values())
    assert not torch.equal(batches[0]["labels"], batches[2]["labels"])


def test_faces_stay_beside_a_changed_voice(face):
    collate = ClipCollator(
        "fusion", av.AVEmotionFeatureExtractor(), av.AVEmotionImageProcessor(), {"audio": 4, "image": 3}
    )
    rows = [constant(0.25, 1000, 0) | {"crops": np.stack([face] * 2)}]
    plain, batch = collate(rows), AugmentingCollator(collate, {"noise": 1.0}, LABELS)(rows)
    assert torch.equal(batch["pixel_values"], plain["pixel_values"])
    assert not torch.equal(batch["input_values"], plain["input_values"])


def test_states_of_a_speech_encoder_are_cut_off_before(mean):
    wide = features(10.0, 3, 1) | {"num_descriptors": 4}
    wide["input_features"] = [[*frame, 7.0, 7.0] for frame in wide["input_features"]]
    batch = collator({"copy_paste": 1.0}, mean)([wide, features(10.0, 3, 1)])
    assert batch["input_features"].unique().tolist() == [-10, 1, 10]
    with pytest.raises(InputError, match="features with 6 values per frame do not fit the model, which expects 4"):
        collator({"copy_paste": 1.0}, mean)([wide | {"num_descriptors": 5}])
