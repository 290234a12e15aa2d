import numpy as np
import pytest
import torch
from helpers.speech_encoders import CONFIGS, WHISPER
from transformers import Wav2Vec2Config, WhisperConfig, WhisperFeatureExtractor, WhisperModel
from transformers.audio_utils import mel_filter_bank

from av_emotion_hf import AVEmotionAudioConfig, AVEmotionAudioForPreTraining, AVEmotionAudioModel
from av_emotion_hf.models import speech_backbone_av_emotion
from av_emotion_hf.models.backbones_av_emotion import cut_layers, depth
from av_emotion_hf.models.speech_backbone_av_emotion import SpeechBackbone, blocks, mel_filters


def noise(seconds, seed=0):
    """A waveform `(samples,)` with most of its energy below 1 kHz."""
    sound = np.random.default_rng(seed).normal(0, 0.2, round(16000 * seconds))
    return torch.from_numpy(np.convolve(sound, np.ones(8) / 8, "same").astype(np.float32))


@pytest.fixture
def model_of():
    """Function from a model type to an audio model with a small backbone of it."""

    def make(kind, **changes):
        torch.manual_seed(0)
        fields = {
            "backbone_config": CONFIGS[kind].to_dict(),
            "hidden_size": 8,
            "num_hidden_layers": 1,
            "num_mel_bins": 8,
        }
        model = AVEmotionAudioModel(AVEmotionAudioConfig(**(fields | changes))).eval()
        with torch.no_grad():
            model.backbone.layer_weights[0] = torch.tensor([0.3, -0.5, 1.0])
        return model

    return make


@pytest.mark.parametrize("bands", [80, 128])
def test_the_filterbank_is_whispers(bands):
    theirs = mel_filter_bank(201, bands, 0, 8000, 16000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(mel_filters(bands), theirs, atol=1e-8)


@torch.no_grad()
def test_a_clip_of_30_seconds_is_heard_as_by_whisper():
    """Whisper alone takes 30 seconds, and pads by reflection where we pad by silence."""
    torch.manual_seed(0)
    whisper, sound = WhisperModel(WHISPER).eval(), noise(30)
    backbone = SpeechBackbone(WHISPER, False, 50.0).eval()
    for name, value in backbone.initial_tensors().items():
        getattr(backbone, name).copy_(value)
    weights = {k: v for k, v in whisper.encoder.state_dict().items() if not k.startswith("layer_norm")}
    backbone.encoder.load_state_dict(weights)
    mel = WhisperFeatureExtractor()(sound.numpy(), sampling_rate=16000, return_tensors="pt").input_features[0]
    ours = backbone._log_mel(sound, 1500)
    torch.testing.assert_close(ours[:, 2:-2], mel[:, 2:-2], atol=1e-4, rtol=0)
    layers = whisper.encoder(mel[None], output_hidden_states=True).hidden_states
    for mine, theirs in zip(backbone._whisper_layers(mel[None])[:2], layers[:2], strict=True):  # theirs ends in a norm
        torch.testing.assert_close(mine, theirs)


@torch.no_grad()
@pytest.mark.parametrize("kind", CONFIGS)
def test_other_clips_and_padding_change_nothing(model_of, kind):
    model, long, short = model_of(kind), noise(1.7), noise(0.53, 1)
    batch = torch.zeros(3, len(long) + 999)
    batch[0, : len(long)], batch[1, : len(short)] = long, short
    mask = torch.arange(batch.shape[1]) < torch.tensor([[len(long)], [len(short)], [0]])
    features, frames = model.extract_features(batch, mask)
    assert features.shape[-1] == model.num_features == len(model.frontend.descriptor_names) + 16
    assert frames.sum(1).tolist() == [85, 27, 0] and not features[2].any() and not features[1, 27:].any()
    for row, sound in ((0, long), (1, short)):
        alone, _ = model.extract_features(sound[None])
        torch.testing.assert_close(features[row, : alone.shape[1]], alone[0], atol=1e-4, rtol=1e-4)
        assert alone[0, :, -16:].std(0).min() > 1e-3  # frames differ


@torch.no_grad()
def test_several_sums_stand_side_by_side(model_of):
    one, two = model_of("whisper"), model_of("whisper", backbone_sums=2)
    assert two.num_features == one.num_features + 16
    two.backbone.encoder.load_state_dict(one.backbone.encoder.state_dict())
    two.backbone.layer_weights[1] = torch.tensor([-99.0, 99.0, -99.0])
    sound = noise(0.7)
    features = two.extract_features(sound[None])[0][0, :, -32:]
    torch.testing.assert_close(features[:, :16], one.extract_features(sound[None])[0][0, :, -16:])
    layer = two.backbone._whisper_layers(two.backbone._log_mel(sound, 35)[None])[1]
    torch.testing.assert_close(features[:, 16:], torch.nn.functional.layer_norm(layer, (16,))[0])
    fresh = AVEmotionAudioModel(two.config).backbone.layer_weights.softmax(-1)  # each begins at its own layer
    assert fresh.argmax(-1).tolist() == [1, 2] and fresh.max(-1).values.min() > 0.95


@torch.no_grad()
@pytest.mark.parametrize("kind", ["whisper", "wavlm"])
def test_frames_are_where_the_sound_is(model_of, kind):
    """A click changes the states around its own frame most."""
    model, sound = model_of(kind), noise(1.0)
    clicked = sound.clone()
    clicked[320 * 25 - 40 : 320 * 25 + 40] += 0.5
    states = [model.extract_features(each[None])[0][0, :, -16:] for each in (sound, clicked)]
    assert abs(int((states[0] - states[1]).abs().sum(1).argmax()) - 25) <= 1


@torch.no_grad()
def test_another_frame_grid_is_interpolated(model_of):
    sound = noise(1.0)
    coarse, fine = (model_of("whisper", frame_shift_ms=shift).extract_features(sound[None])[0] for shift in (20, 10))
    assert (coarse.shape[1], fine.shape[1]) == (50, 100)
    torch.testing.assert_close(fine[0, ::2, -16:], coarse[0, :, -16:])
    torch.testing.assert_close(fine[0, 1:-1:2, -16:], (coarse[0, :-1, -16:] + coarse[0, 1:, -16:]) / 2)


@torch.no_grad()
@pytest.mark.parametrize("shift", [20, 10, 15])
def test_what_is_exported_hears_the_same(model_of, shift):
    backbone = model_of("whisper", frame_shift_ms=shift).backbone
    batch, lengths = torch.zeros(3, 20000), torch.tensor([17777, 8000, 0])
    batch[0, :17777], batch[1, :8000] = noise(17777 / 16000), noise(0.5, 1)
    count = -(-20000 * 1000 // (16000 * shift))
    traced, heard = backbone.trace(batch, lengths, count), backbone(batch, lengths, count)
    for row, length in enumerate(lengths.tolist()):
        real = -(-length * 1000 // (16000 * shift))
        torch.testing.assert_close(traced[row, :real], heard[row, :real], atol=2e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="WavLMModel cannot be exported; use one of Whisper"):
        model_of("wavlm").backbone.trace(batch, lengths, count)


def test_blocks_overlap_and_keep_every_frame_once():
    assert list(blocks(0)) == [] and list(blocks(700)) == [(0, 700, 0, 700)]
    assert list(blocks(1400)) == [(0, 1400, 0, 1400)]
    assert list(blocks(3000)) == [(0, 1450, 0, 1400), (1350, 2850, 1400, 2800), (2750, 3000, 2800, 3000)]
    assert all(last - first <= 1500 for first, last, _, _ in blocks(100_000))


@torch.no_grad()
def test_a_long_clip_is_heard_in_blocks(model_of, monkeypatch):
    monkeypatch.setattr(speech_backbone_av_emotion, "LONGEST", 60)
    monkeypatch.setattr(speech_backbone_av_emotion, "CONTEXT", 10)
    model = model_of("whisper")
    asked = []
    heard = model.backbone._whisper_layers
    monkeypatch.setattr(model.backbone, "_whisper_layers", lambda mel: asked.append(mel.shape[2]) or heard(mel))
    features, _ = model.extract_features(noise(3.0)[None])
    assert (features.shape[1] == 150 and asked == [100, 120, 100, 80]) or max(asked) <= 120
    assert features.isfinite().all() and features[0, :, -16:].abs().sum(1).min() > 0


def test_a_frozen_backbone_learns_only_its_sum(model_of):
    model = model_of("whisper").train()
    assert not model.backbone.encoder.training
    model(noise(0.5)[None]).pooler_output.sum().backward()
    assert model.backbone.layer_weights.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in model.backbone.encoder.parameters())
    trained = model_of("whisper", freeze_backbone=False).train()
    trained(noise(0.5)[None]).pooler_output.sum().backward()
    assert trained.backbone.encoder.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_model_with_a_backbone_is_saved_and_loaded(model_of, kind, tmp_path):
    model, sound = model_of(kind), noise(0.7)
    model.set_feature_statistics(torch.arange(model.num_features) / 7.0, torch.full((model.num_features,), 2.0))
    model.save_pretrained(tmp_path)
    loaded = AVEmotionAudioModel.from_pretrained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(loaded(sound[None]).pooler_output, model(sound[None]).pooler_output)
    assert not any(weight.requires_grad for weight in loaded.backbone.encoder.parameters())


@pytest.mark.parametrize("kind", CONFIGS)
def test_how_many_layers_stand_above_a_weight(model_of, kind):
    backbone = model_of(kind).backbone
    above = {name: backbone.layers_above()[weight] for name, weight in backbone.encoder.named_parameters()}
    prefix = "layers." if kind == "whisper" else "encoder.layers."
    layers = {name: count for name, count in above.items() if name.startswith(prefix)}
    assert layers == {name: 1 - int(name.removeprefix(prefix)[0]) for name in layers} and len(layers) > 20
    others = above.keys() - layers.keys()
    assert {above[name] for name in others} == {2} and any("conv" in name for name in others)


@torch.no_grad()
@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_hears_nearly_the_same(model_of, kind, dtype, tmp_path):
    model, sound, bits = model_of(kind), noise(1.0)[None], torch.finfo(dtype).eps
    features, _ = model.extract_features(sound)
    model.set_feature_statistics(features[0].mean(0), features[0].std(0).clamp(min=0.1))
    model.save_pretrained(tmp_path / "whole")
    half = AVEmotionAudioModel.from_pretrained(tmp_path / "whole", dtype=dtype)
    assert half.backbone.encoder.dtype == half.rnn.layers[0][0].weight_ih_l0.dtype == dtype
    heard, _ = half.extract_features(sound)
    assert heard.dtype == torch.float32 and torch.equal(heard[..., :-16], features[..., :-16])
    torch.testing.assert_close(heard[..., -16:], features[..., -16:], atol=30 * bits, rtol=0)
    pooled = half(sound).pooler_output
    torch.testing.assert_close(pooled.float(), model(sound).pooler_output, atol=30 * bits, rtol=0)
    half.save_pretrained(tmp_path / "half")
    whole_bytes, bytes_ = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half"))
    count = sum(weight.numel() for weight in model.backbone.encoder.parameters())
    assert whole_bytes - bytes_ > 1.9 * count
    again = AVEmotionAudioModel.from_pretrained(tmp_path / "half", dtype=dtype)
    assert torch.equal(again(sound).pooler_output, pooled)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["whisper", "wavlm"])
def test_training_in_bfloat16_hears_nearly_the_same(model_of, kind):
    model, sound = model_of(kind), noise(1.0)[None]
    features, _ = model.extract_features(sound)
    with torch.autocast("cpu", torch.bfloat16):
        heard, _ = model.extract_features(sound)
    assert heard.dtype == torch.float32 and torch.equal(heard[..., :-16], features[..., :-16])
    torch.testing.assert_close(heard[..., -16:], features[..., -16:], atol=0.15, rtol=0)
    rounded = heard[..., -16:].bfloat16().float()
    assert (rounded != heard[..., -16:]).float().mean() > 0.5  # the sums are not rounded


def test_pretraining_freezes_what_computes_the_features(model_of):
    config = model_of("whisper").config
    model = AVEmotionAudioForPreTraining(config)
    assert not any(w.requires_grad for w in model.audio_encoder.backbone.parameters())
    output = model(noise(1.0)[None])
    assert output.reconstruction.shape == output.features.shape == (1, 50, model.audio_encoder.num_features)
    output.loss.backward()


def test_layers_are_cut():
    config = WhisperConfig(encoder_layers=6)
    cut_layers(config, 4)
    assert depth(config) == 4 and depth(Wav2Vec2Config(num_hidden_layers=3)) == 3
    for wrong in (0, 5):
        with pytest.raises(ValueError, match=f"{wrong} layers of a whisper encoder: it has 4; choose from 1 to 4"):
            cut_layers(config, wrong)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"backbone_config": {"model_type": "resnet"}},
            "backbone_config is of a 'resnet' model; a speech encoder is one of",
        ),
        (
            {"backbone_config": {"model_type": "bert"}},
            "backbone_config is of a 'bert' model; a speech encoder is one of",
        ),
        ({"backbone_config": CONFIGS["whisper"].to_dict(), "backbone_sums": 4}, "backbone_sums=4 must be from 1 to 3"),
        ({"backbone_config": {"model_type": "smell"}}, "unknown model type 'smell'"),
        ({"backbone_config": {"model_type": "whisper"}, "sampling_rate": 8000}, "which hears 16000 Hz"),
    ],
)
def test_a_backbone_that_hears_nothing_is_refused(fields, message):
    with pytest.raises(Exception, match=message):
        AVEmotionAudioConfig(**({"f0_max": 600} | fields))
