"""`voice_augmentations.py` and the copies that it reads, on clips whose answer is known."""

import json

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value
from helpers.synthetic import voice
from helpers.voice_vectors import DESCRIPTORS, STATES, write_vectors

from av_emotion_hf import InputError
from av_emotion_hf.data import augment_waveform
from av_emotion_hf.data.schema import encode_waveform

LABELS = ["angry", "happy", "neutral", "sad"]
VOICING = 3  # column
WIDTH = DESCRIPTORS + STATES


def clips_of(*sounds):
    return Dataset.from_list([{"audio": {"bytes": encode_waveform(sound), "path": None}} for sound in sounds])


def test_a_copy_follows_from_its_number(script):
    changed_clips = script("voice_vectors.py")["changed_clips"]
    sounds = [0.5 * voice(0.2, hertz)[0] for hertz in (120, 150)]
    clips = clips_of(*sounds)
    copies = list(changed_clips(clips, "gain", []))
    for number, (sound, copy) in enumerate(zip(sounds, copies, strict=True)):
        torch.manual_seed(number)
        expected = augment_waveform(torch.from_numpy(sound), {"gain": 1.0}).numpy()
        np.testing.assert_allclose(copy, expected, atol=1e-3)
        assert 10 ** (-12 / 20) <= np.abs(copy).max() / np.abs(sound).max() <= 10 ** (6 / 20)
    np.testing.assert_array_equal(np.concatenate(list(changed_clips(clips, "gain", []))), np.concatenate(copies))


def test_babble_is_of_speakers_who_are_tested_together(script):
    """The only other clip of the first fold is silent, so the babble of its clip is as well."""
    changed_clips = script("voice_vectors.py")["changed_clips"]
    sounds = [voice(0.2, 120)[0], np.zeros(3200, np.float32), voice(0.2, 150)[0], voice(0.2, 210)[0]]
    clips = clips_of(*sounds)
    apart = [np.array([True, True, False, False]), np.array([False, False, True, True])]
    copies = list(changed_clips(clips, "babble", apart))
    assert [np.allclose(*each, atol=1e-3) for each in zip(copies, sounds, strict=True)] == [True, True, False, False]
    together = list(changed_clips(clips, "babble", [np.ones(4, bool)]))
    assert not np.allclose(together[0], sounds[0], atol=1e-3)


@pytest.fixture
def vectors(tmp_path):
    """A dataset, and copies of its clips whose classes are in other states than before."""
    folder = tmp_path / "vectors"
    folder.mkdir()
    write_vectors(folder, "one", LABELS, 0.0)
    arrays = dict(np.load(folder / "one.npz"))
    changed = arrays["voiced"].copy()
    changed[:, 0, DESCRIPTORS:] = np.roll(changed[:, 0, DESCRIPTORS:], 4, axis=1)
    np.savez(folder / "one_pitch.npz", facts=arrays["facts"], voiced=changed, moments=arrays["moments"])
    return folder


def test_copies_teach_what_they_change(vectors, tmp_path, script):
    out = tmp_path / "voice.json"
    out.write_text('{"in-corpus": ["kept"]}')
    script("voice_augmentations.py", vectors, "one", "--out", out)
    text = out.read_text()
    results = json.loads(text)
    runs = results["augmentations"]
    assert results["in-corpus"] == ["kept"] and str(tmp_path) not in text
    assert [(run["fold"], run["augmentation"], run["clips"]) for run in runs] == [(i, "pitch", 16) for i in range(5)]
    mean = {arm: np.mean([run["uar"][arm] for run in runs]) for arm in runs[0]["uar"]}
    assert min(mean["clean, without"], mean["clean, with"], mean["changed, with"]) > 0.8 and len(mean) == 4
    assert mean["changed, without"] < 0.5
    script("voice_augmentations.py", vectors, "one", "--out", out)
    assert out.read_text() == text  # nothing is measured twice


def test_babble_of_other_folds_is_refused(vectors, script):
    names, protocols = script("voice_augmentations.py"), script("voice_protocols.py")
    corpus = protocols["Corpus"].read(vectors, "one")
    arrays = dict(np.load(vectors / "one_pitch.npz"))
    tests = np.stack(protocols["folds_of"]("one", corpus.speaker, {}))
    np.savez(vectors / "one_babble.npz", **arrays, folds=tests)
    found = names["changed_vectors"](vectors, corpus, {})
    assert list(found) == ["pitch", "babble"] and found["babble"].shape == (80, 2, WIDTH)
    with pytest.raises(InputError, match=r"one_babble.npz was made with other folds; make it with the same --folds"):
        names["changed_vectors"](vectors, corpus, {"one": [["0", "1"], ["2", "3", "4"]]})


def test_without_copies_it_is_the_head_of_the_protocols(vectors, script):
    names, protocols = script("voice_augmentations.py"), script("voice_protocols.py")
    corpus = protocols["Corpus"].read(vectors, "one")
    test = protocols["folds_of"]("one", corpus.speaker, {})[0]
    train, _, classes = protocols["split"](corpus, test)
    mine, penalty = names["learned"](train, len(classes), None)
    other, other_penalty = protocols["learn"](train, ("plain",), len(classes))
    assert penalty == other_penalty
    torch.testing.assert_close(mine.weight, other.weight, atol=2e-4, rtol=1e-3)


def test_copies_of_validation_speakers_choose_no_penalty(vectors, script):
    """Noise in their place changes the head, but not its penalty."""
    names, protocols = script("voice_augmentations.py"), script("voice_protocols.py")
    corpus = protocols["Corpus"].read(vectors, "one")
    penalties = []
    for test in protocols["folds_of"]("one", corpus.speaker, {}):
        train, _, classes = protocols["split"](corpus, test)
        validates = script("probes.py")["validation_speakers"](train)
        targets = torch.nn.functional.one_hot(torch.from_numpy(train.classes), 4).float()
        copies = train.vectors["plain"].copy()
        head, penalty = names["learned"](train, len(classes), (copies, targets))
        copies[validates] = 10 * np.random.default_rng(0).normal(size=copies[validates].shape)
        other, same = names["learned"](train, len(classes), (copies, targets))
        assert penalty == same and not torch.allclose(head.weight, other.weight, atol=1e-3)
        penalties.append(penalty)
    assert len(set(penalties)) > 1


@pytest.fixture
def constant(tmp_path):
    """Features of six speakers: all frames of a clip are the same, voiced, and their states are its class, 0 or 1."""
    rows = []
    for number in range(24):
        frames = np.zeros((20, WIDTH), np.float32)
        frames[:, VOICING], frames[:, DESCRIPTORS:] = 1, number % 2
        rows.append({"input_features": frames.tolist(), "num_descriptors": DESCRIPTORS, "speaker": str(number // 4)})
        rows[-1]["emotion"] = ["neutral", "sad"][number % 2]
    columns = {"input_features": List(List(Value("float32"))), "num_descriptors": Value("int32")}
    features = Features(columns | {"speaker": Value("string"), "emotion": Value("string")})
    (tmp_path / "features").mkdir()
    Dataset.from_list(rows, features).to_parquet(str(tmp_path / "features" / "train.parquet"))
    return tmp_path / "features"


def copies_of(names, protocols, source, augmentation):
    """Mean of the states (N,) of each copy, class distributions (N, 2), and the training part."""
    features = names["open_features"](str(source))
    facts = names["facts_of"](features)
    classes = np.array([["neutral", "sad"].index(each) for each in facts["emotion"]])
    speakers = np.array([f"a/{each}" for each in facts["speaker"]])
    cells = [("a", each) for each in facts["emotion"]]
    part = protocols["Part"]({}, classes, cells, speakers, np.full(len(classes), ""))
    dataset = np.stack([np.zeros(WIDTH), np.ones(WIDTH)])
    dataset[0, VOICING] = 1
    copies, targets = names["collated_copies"](augmentation, features, part, ["neutral", "sad"], dataset)
    assert copies.shape == (24, 2 * WIDTH) and copies.dtype == np.float32
    return copies[:, DESCRIPTORS:WIDTH], targets.numpy(), part


@pytest.mark.parametrize("augmentation", ["mixup", "copy_paste", "time_mask", "frequency_mask"])
def test_copies_are_those_of_the_collator(constant, script, augmentation):
    names, protocols = script("voice_augmentations.py"), script("voice_protocols.py")
    states, targets, part = copies_of(names, protocols, constant, augmentation)
    own = np.eye(2)[part.classes]
    if augmentation == "mixup":  # the states are the class, and so they are mixed as the label is
        np.testing.assert_allclose(states, np.repeat(targets[:, 1:], STATES, axis=1), atol=1e-5)
        assert np.any((targets > 0.01) & (targets < 0.99)) and (targets.argmax(1) == part.classes).all()
        return
    np.testing.assert_array_equal(targets, own)
    assert not states[part.classes == 0].any()
    sad = states[part.classes == 1]
    if augmentation == "copy_paste":  # to another sad clip, or to a neutral one of the same length
        assert set(np.round(sad, 5).ravel().tolist()) == {0.5, 1.0}
    elif augmentation == "time_mask":  # two fifths at most are the mean, 0
        assert sad.min() >= 0.6 - 1e-5 and 0.6 < sad.mean() < 1 and np.ptp(sad, axis=1).max() < 1e-5
    else:
        assert set(np.round(sad, 5).ravel().tolist()) == {0.0, 1.0} and sad.mean() > 0.6


def test_clips_that_validate_are_in_batches_of_their_own(script):
    validates = np.arange(40) % 5 == 0
    batches = list(script("voice_augmentations.py")["batches"](validates))
    assert [len(batch) for batch in batches] == [16, 16, 8] and all(len(set(validates[each])) == 1 for each in batches)
    assert sorted(np.concatenate(batches)) == list(range(40)) and list(batches[0]) != sorted(batches[0])


def test_frames_are_measured_from_features(constant, tmp_path, script):
    out = tmp_path / "voice.json"
    script("voice_vectors.py", f"some={constant}", "--out", tmp_path / "vectors")
    script("voice_augmentations.py", tmp_path / "vectors", f"some={constant}", "--out", out)
    runs = json.loads(out.read_text())["augmentations"]
    expected = ["copy_paste", "mixup", "time_mask", "frequency_mask"]
    assert [run["augmentation"] for run in runs] == expected * 6  # speakers
    assert all(run["uar"] == {"clean, without": 1.0, "clean, with": 1.0} for run in runs)
    write_vectors(tmp_path / "vectors", "other", LABELS, 0.0)
    with pytest.raises(InputError, match=r"is not the dataset of features that other.npz was made from"):
        script("voice_augmentations.py", tmp_path / "vectors", f"other={constant}", "--out", out)
