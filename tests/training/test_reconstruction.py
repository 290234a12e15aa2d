import numpy as np
import pytest
import torch
from datasets import Dataset

import av_emotion_hf as av
from av_emotion_hf.data import ClipCollator
from av_emotion_hf.training.reconstruction import reconstruction_report, report_table


@pytest.fixture
def model():
    config = av.AVEmotionAudioConfig(hidden_size=8, num_hidden_layers=1, descriptors=["loudness", "voiced"])
    return av.AVEmotionAudioForPreTraining(config)


@pytest.fixture
def collate():
    return ClipCollator("audio", None, None, {"audio": 2})


def ramps(lengths):
    return Dataset.from_list([{"input_features": [[i + 0.5, 2.0 * i] for i in range(n)]} for n in lengths])


def test_errors_of_guesses_on_ramps(model, collate):
    """On y = x and y = 2x interpolation is exact, and the nearest frame of a single gap is one step off."""
    with torch.no_grad():
        for parameter in model.reconstruction.parameters():
            parameter.zero_()  # the model guesses zero, which is not the mean
        model.audio_encoder.frontend.offset.copy_(torch.tensor([1.0, 0.0]))
    corpus = ramps([20] * 8)
    single, three, seven, fifteen = reconstruction_report(model, corpus, collate)
    for row in (single, three, seven, fifteen):
        assert row["interpolation"] == pytest.approx(0, abs=1e-8)
    assert single["nearest_visible"] == pytest.approx((1 + 4) / 2)
    assert three["nearest_visible"] == pytest.approx((1 + 4 + 1) / 3 * 2.5)
    assert [row["hidden_frames"] for row in (single, three, seven, fifteen)] == [16, 24, 56, 120]
    assert single["model"] != pytest.approx(single["corpus_mean"])
    values = np.array([np.arange(20) + 0.5, 2.0 * np.arange(20)])
    assert 0 < fifteen["model"] < (values**2).max()


def test_the_report_depends_on_the_clips_alone(model, collate):
    corpus = ramps([20, 9, 31, 4, 15])
    first = reconstruction_report(model, corpus, collate, batch_size=1)
    torch.manual_seed(7)
    for other in (reconstruction_report(model, corpus, collate, batch_size=size) for size in (2, 5)):
        for row, again in zip(first, other, strict=True):
            assert row == pytest.approx(again, rel=1e-5)


def test_values_without_meaning_do_not_count(collate):
    config = av.AVEmotionAudioConfig(hidden_size=8, num_hidden_layers=1, descriptors=["f0_semitone", "voiced"])
    model = av.AVEmotionAudioForPreTraining(config)
    unvoiced = Dataset.from_list([{"input_features": [[1000.0, 0.0]] * 30}] * 4)
    (row,) = reconstruction_report(model, unvoiced, collate, spans=(3,))
    assert row["hidden_frames"] == 12
    assert row["interpolation"] == row["corpus_mean"] == 0  # `voiced` is 0 throughout, and F0 does not count


def test_too_short_clips_are_told(model, collate):
    report = reconstruction_report(model, ramps([6, 5]), collate)
    assert [row["hidden_frames"] for row in report] == [2, 6, 0, 0]
    assert report[-1]["model"] is None and report_table(report).splitlines()[-1].split() == ["15", *"----"]
