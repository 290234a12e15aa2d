import pytest
import torch

import av_emotion_hf as av
from av_emotion_hf.models.descriptors_av_emotion import CATALOG, FORMANT_NAMES

FREE = torch.export.Dim.DYNAMIC


@pytest.mark.slow
def test_traced_descriptors_are_those_of_the_front_end(waveforms, tracing):
    names = [name for family in CATALOG.values() for name in family if name not in FORMANT_NAMES]
    config = av.AVEmotionAudioConfig(descriptors=names, deltas=True, smoothing_frames=3)
    frontend = av.AcousticFrontEnd(config).eval()
    with torch.no_grad():
        expected, frame_mask = frontend.descriptors(*waveforms)
        tracing()
        got, got_mask = frontend.descriptors(*waveforms)
    spare = got.shape[1] - expected.shape[1]
    assert spare == 2 and not got_mask[:, -spare:].any() and not got[:, -spare:].any()
    assert torch.equal(got_mask[:, :-spare], frame_mask)
    assert expected[..., names.index("voiced")].mean() > 0.2
    for i, name in enumerate(frontend.descriptor_names):
        difference = (got[:, :-spare, i] - expected[..., i]).abs().max() / expected[..., i].std()
        assert difference < (0.02 if "cpp" in name else 2e-3), name


def test_formants_cannot_be_traced(waveforms, tracing):
    frontend = av.AcousticFrontEnd(av.AVEmotionAudioConfig.egemaps())
    tracing()
    with pytest.raises(ValueError, match=r"'f1_frequency'.* cannot be exported; remove them from `descriptors`"):
        frontend.descriptors(*waveforms)


def test_traced_crops_are_those_of_the_model(build, crops, tracing):
    model = build(av.AVEmotionImageModel)
    with torch.no_grad():
        expected, frame_mask = model.extract_features(*crops)
        tracing()
        got, got_mask = model.extract_features(*crops)
    assert torch.equal(got_mask, frame_mask)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_torch_export_takes_a_model_at_any_length(build, audio_config):
    audio_config.rnn_type = "gru"
    model = build(av.AVEmotionAudioForSequenceClassification)
    sound = 0.3 * torch.sin(0.08 * torch.arange(30000)).sign() + 0.01 * torch.randn(2, 30000)
    given = {"input_values": sound, "attention_mask": torch.ones(2, 30000, dtype=torch.long)}
    with torch.no_grad():
        program = torch.export.export(model, (), given, dynamic_shapes={name: {0: FREE, 1: FREE} for name in given})
        traced = program.module()
        for clips, samples in ((1, 4000), (2, 41000), (1, 50)):
            part = sound.repeat(1, 2)[:clips, :samples], torch.ones(clips, samples, dtype=torch.long)
            part = dict(zip(given, part, strict=True))
            torch.testing.assert_close(traced(**part).logits, model(**part).logits, atol=1e-4, rtol=1e-4)
