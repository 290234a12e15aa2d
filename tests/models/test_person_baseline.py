import logging

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import WhisperConfig

import av_emotion_hf as av
from av_emotion_hf.data import RunningStatistics
from av_emotion_hf.models.person_baseline_av_emotion import (
    PersonBaseline,
    Shrinkage,
    blend,
    clip_moments,
    frame_moments,
    merge_moments,
    standardize,
)

CLASSIFIERS = [
    av.AVEmotionAudioForSequenceClassification,
    av.AVEmotionImageForSequenceClassification,
    av.AVEmotionForSequenceClassification,
]
WHISPER = WhisperConfig(
    d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, num_mel_bins=80,
    decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=32, vocab_size=10,
    pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
)  # fmt: skip


@pytest.fixture
def voice_model():
    """An audio classifier whose frames are descriptors and states of a small Whisper, with statistics of its own."""
    torch.manual_seed(0)
    config = av.AVEmotionAudioConfig(
        hidden_size=8, num_hidden_layers=1, num_mel_bins=8, backbone_config=WHISPER.to_dict(), pool_features=True
    )
    model = av.AVEmotionAudioForSequenceClassification(config).eval()
    size = model.audio_encoder.num_features
    with torch.no_grad():
        model.audio_encoder.set_feature_statistics(torch.randn(size), 0.5 + torch.rand(size))
    return model


def person(size, frames, shift=0.0, spread=1.0, seed=0):
    """Raw features (1, frames, size) whose descriptors are all defined."""
    generator = torch.Generator().manual_seed(seed)
    return shift + spread * torch.randn(1, frames, size, generator=generator)


def baseline_of(model, *clips):
    return PersonBaseline.merge(
        PersonBaseline({name: own[0] for name, own in clip_moments(model, {"input_features": clip}).items()}, 1, 1.0)
        for clip in clips
    )


def logits(model, features, baseline=None):
    statistics = {} if baseline is None else baseline.statistics(model)
    with torch.no_grad():
        return model(input_features=features, **{name: value[None] for name, value in statistics.items()}).logits


def test_moments_are_those_of_numpy():
    values = torch.tensor([[[1.0, 10.0], [3.0, 99.0], [5.0, 30.0], [7.0, 99.0]]])
    cells = torch.tensor([[[True, True], [True, False], [True, True], [False, False]]])
    count, mean, squares = frame_moments(values, cells)[0]
    assert count.tolist() == [3, 2] and mean.tolist() == [3, 20] and squares.tolist() == [8, 200]
    empty = frame_moments(values, torch.zeros_like(cells))
    assert torch.equal(empty, torch.zeros(1, 3, 2, dtype=torch.float64))


def test_the_whole_follows_from_its_parts():
    generator = torch.Generator().manual_seed(0)
    clips = [50 + 3 * torch.randn(1, frames, 4, generator=generator) for frames in (1, 5, 40)]
    parts = torch.cat([frame_moments(clip, torch.ones_like(clip, dtype=torch.bool)) for clip in clips])
    nothing = torch.zeros(1, 3, 4, dtype=torch.float64)
    count, mean, squares = merge_moments(torch.cat([parts, nothing]))
    frames = torch.cat(clips, dim=1)[0].double()
    assert count.tolist() == [46] * 4
    torch.testing.assert_close(mean, frames.mean(0))
    torch.testing.assert_close(squares / count, frames.var(0, unbiased=False))
    expected = RunningStatistics(4).update(frames.numpy())
    np.testing.assert_allclose(squares, expected.squares)
    assert torch.equal(merge_moments(nothing[:0]), nothing[0])


def test_the_blend_of_hand_made_numbers():
    # 30 frames of mean 4 and variance 2 with a prior of 10 frames of mean 0 and variance 16
    moments = torch.tensor([[30.0], [4.0], [60.0]], dtype=torch.float64)
    mean, std = blend(moments, torch.tensor([[0.0], [4.0]]), 10)
    assert mean.item() == pytest.approx((30 * 4 + 10 * 0) / 40)
    assert std.item() == pytest.approx(((30 * 2 + 10 * 16) / 40) ** 0.5)


def test_each_value_has_a_count_of_its_own():
    moments = torch.tensor([[30.0, 0.0], [4.0, 0.0], [60.0, 0.0]], dtype=torch.float64)
    dataset = torch.tensor([[0.0, 0.123], [4.0, 0.1]])
    blended = blend(moments, dataset, 10)
    assert torch.equal(blended[:, 1], dataset[:, 1]) and blended[0, 0] == 3


def test_without_a_prior_that_counts_the_statistics_are_the_person_s(voice_model):
    clip = person(voice_model.audio_encoder.num_features, 40, shift=2, spread=3)
    statistics = baseline_of(voice_model, clip).statistics(voice_model, prior=1e-9)["audio_statistics"]
    cells = voice_model.audio_encoder.defined_cells(clip[0])
    for column in range(clip.shape[-1]):
        own = clip[0, cells[:, column], column]
        assert statistics[0, column] == pytest.approx(own.mean().item(), abs=1e-4)
        assert statistics[1, column] == pytest.approx(own.std(unbiased=False).item(), rel=1e-4)


@pytest.mark.parametrize("model_class", CLASSIFIERS)
def test_a_person_without_frames_changes_not_a_bit(build, arguments, model_class):
    model, given = build(model_class), arguments(model_class)
    with torch.no_grad():
        for encoder in (part for name, part in model.named_children() if name.endswith("_encoder")):
            size = encoder.num_features
            encoder.set_feature_statistics(torch.randn(size), 0.1 + torch.rand(size))
        nothing = {name: torch.zeros_like(own) for name, own in clip_moments(model, given).items()}
        assert {f"{name}_statistics" for name in nothing} == set(Shrinkage(model)(nothing))
        assert torch.equal(model(**given, **Shrinkage(model)(nothing)).logits, model(**given).logits)


def test_a_clip_is_standardized_by_the_statistics_that_come_with_it(voice_model):
    encoder = voice_model.audio_encoder
    size = encoder.num_features
    clips = torch.cat([person(size, 9), person(size, 9, shift=1, seed=1)])
    own = torch.stack([torch.randn(2, size), torch.rand(2, size) + 0.5], dim=1)
    with torch.no_grad():
        together = encoder(input_features=clips, audio_statistics=own).pooler_output
        for number in range(2):
            encoder.set_feature_statistics(*own[number])
            alone = encoder(input_features=clips[number : number + 1]).pooler_output
            torch.testing.assert_close(together[number : number + 1], alone)
    assert not torch.allclose(together[0], together[1])


def test_who_speaks_in_another_place_is_recognized_alike(voice_model):
    size = voice_model.audio_encoder.num_features
    voicing = voice_model.audio_encoder.frontend.voicing_column
    clips = [person(size, 500, seed=seed) for seed in range(12)]
    shift = 2 * torch.randn(size, generator=torch.Generator().manual_seed(9))
    shift[voicing] = 0  # which says what exists
    moved = [clip + shift for clip in clips]
    plain = logits(voice_model, clips[0])
    with_baseline = logits(voice_model, clips[0], baseline_of(voice_model, *clips))
    moved_plain = logits(voice_model, moved[0])
    moved_with_baseline = logits(voice_model, moved[0], baseline_of(voice_model, *moved))
    lost = (moved_plain - plain).abs().max()
    assert lost > 0.3 and (moved_with_baseline - with_baseline).abs().max() < 0.1 * lost


def test_one_very_short_clip_changes_little(voice_model):
    size = voice_model.audio_encoder.num_features
    clip = person(size, 100)
    odd = person(size, 5, shift=3, spread=0.1, seed=3)  # a tenth of a second, and ten of the prior
    plain, short = logits(voice_model, clip), logits(voice_model, clip, baseline_of(voice_model, odd))
    long = logits(voice_model, clip, baseline_of(voice_model, *[odd] * 200))
    assert 0 < (short - plain).abs().max() < 0.1 * (long - plain).abs().max()


def test_padding_and_silence_count_nothing(build, waveforms):
    model = build(av.AVEmotionAudioForSequenceClassification)
    moments = clip_moments(model, dict(zip(("input_values", "attention_mask"), waveforms, strict=True)))["audio"]
    alone = clip_moments(model, {"input_values": waveforms[0][1:2, :4000]})["audio"]
    assert moments[:, 0].amax(dim=1).tolist() == [25, 13, 0]
    torch.testing.assert_close(moments[1], alone[0], atol=1e-3, rtol=1e-3)
    names = model.audio_encoder.frontend.descriptor_names
    voiced, f0 = moments[0, :, names.index("voiced")], moments[0, :, names.index("f0_semitone")]
    assert f0[0] == voiced[0] * voiced[1] > 0  # F0 counts where there is voice


def test_parts_of_a_person_add_up(voice_model, caplog):
    size = voice_model.audio_encoder.num_features
    first, second = (baseline_of(voice_model, person(size, 20, seed=seed)) for seed in (0, 1))
    with caplog.at_level(logging.WARNING):
        whole = PersonBaseline.collect([("a.wav", first), ("b.wav", "there is no audio in it"), ("c.wav", second)])
    assert "baseline: skipped b.wav: there is no audio in it" in caplog.text
    assert whole.mark == {"clips": 2, "seconds": 2.0} and whole.moments["audio"][0].max() == 40


def test_what_cannot_be_a_baseline_is_said(voice_model, build):
    with pytest.raises(ValueError, match=r"none of 1 clip\(s\) can be used, the first: a.wav: silent; give clips in"):
        PersonBaseline.collect([("a.wav", "silent")])
    with pytest.raises(ValueError, match="baseline: no clip; give clips in"):
        PersonBaseline.collect([])
    baseline = baseline_of(voice_model, person(voice_model.audio_encoder.num_features, 5))
    with pytest.raises(ValueError, match="a baseline of audio for a model of image; measure it with this one"):
        baseline.statistics(build(av.AVEmotionImageForSequenceClassification))
    with pytest.raises(ValueError, match=r"with \d+ audio values per frame for a model with 28"):
        baseline.statistics(build(av.AVEmotionAudioForSequenceClassification))
    with pytest.raises(ValueError, match="prior=0: has to be positive seconds"):
        baseline.statistics(voice_model, prior=0)
    with pytest.raises(StrictDataclassError, match=r"baseline_prior=0\.0 must be positive"):
        av.AVEmotionAudioConfig(baseline_prior=0.0)


def test_a_value_that_never_varies_is_not_divided_by_zero():
    features, zero = torch.ones(1, 2, 1), torch.zeros(1)
    assert torch.equal(standardize(features, torch.ones(1), zero), torch.zeros(1, 2, 1))
    assert torch.isfinite(standardize(features, zero, zero, torch.zeros(1, 2, 1))).all()
