"""The acoustic front-end as a whole: frames, padding, gradients, normalization, selection."""

import copy
import math

import numpy as np
import pytest
import torch
from helpers.signals import RATE, columns, cycles, harmonics, noise, time_axis

from av_emotion_hf.models.configuration_av_emotion import AVEmotionAudioConfig
from av_emotion_hf.models.descriptors_av_emotion import EGEMAPS_NAMES
from av_emotion_hf.models.frontend_av_emotion import AcousticFrontEnd

pytestmark = pytest.mark.usefixtures("one_thread")


def test_names_families_and_sizes(frontend):
    names = frontend.descriptor_names
    assert len(set(names)) == len(names) == len(frontend.gain) == 20 + 40
    assert list(frontend.families) == ["prosody", "voice_quality", "spectral"]
    assert tuple(name for family in frontend.families.values() for name in family) == names
    voiced_only = {name for name, flag in zip(names, frontend.voiced_only.tolist(), strict=True) if flag}
    assert voiced_only == {"f0_semitone", "jitter_local", "shimmer_local", "hnr_db", "h1_h2_db"}
    other = AcousticFrontEnd(AVEmotionAudioConfig(num_mel_bins=80, sampling_rate=24000, frame_shift_ms=10))
    assert other.filterbank.shape == (other.spectrum.n_fft // 2 + 1, 80)
    assert (other.filterbank.sum(dim=0) > 0).all()
    assert other.descriptors(torch.zeros(1, 2400))[0].shape == (1, 10, 20 + 80)


@pytest.mark.parametrize("samples, frames", [(0, 0), (1, 1), (320, 1), (321, 2), (16000, 50)])
def test_num_frames(frontend, samples, frames):
    assert frontend.num_frames(samples) == frames
    assert frontend.num_frames(torch.tensor([samples])).tolist() == [frames]
    features, mask = frontend(torch.zeros(2, samples))
    assert features.shape == (2, frames, len(frontend.descriptor_names)) and mask.shape == (2, frames)


def test_frames_are_centered(frontend):
    click = np.zeros(RATE)
    click[10 * frontend.shift] = 0.5
    energy = columns(frontend, click)["log_energy_db"]
    assert energy.argmax() == 10 and energy[9] == energy[11] == energy.min()


def test_padding_changes_nothing(frontend):
    clips = [harmonics(130, seconds=0.81), np.concatenate([harmonics(300, seconds=0.5), 0.1 * noise(0.3)])]
    clips = [torch.tensor(clip, dtype=torch.float32) for clip in (*clips, cycles(100, 0.01, 0.05, 0.4)[0])]
    size = 20000
    batch = torch.stack([torch.cat([clip, torch.full((size - len(clip),), 9.0)]) for clip in clips])  # junk
    batch[0, -1] = math.nan
    mask = torch.stack([(torch.arange(size) < len(clip)).long() for clip in clips])
    with torch.no_grad():
        features, frame_mask = frontend.descriptors(batch, mask)
        for row, clip in enumerate(clips):
            alone, _ = frontend.descriptors(clip[None])
            count = frontend.num_frames(len(clip))
            assert frame_mask[row].tolist() == [True] * count + [False] * (len(frame_mask[row]) - count)
            torch.testing.assert_close(features[row, :count], alone[0], rtol=1e-3, atol=2e-3)
            assert (features[row, count:] == 0).all()


def test_fully_masked_row(frontend):
    mask = torch.tensor([[1], [0]]).expand(2, 4000)
    features, frame_mask = frontend.descriptors(torch.randn(2, 4000), mask)
    assert frame_mask[0].all() and not frame_mask[1].any() and (features[1] == 0).all()


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(8000),
        np.full(8000, 0.5),
        np.sign(np.sin(2 * np.pi * 200 * time_axis(0.5))),
        1e4 * np.sign(noise(0.5)),
        1e-7 * noise(0.5),
        np.eye(1, 8000, 4000)[0],
        np.cos(np.pi * np.arange(8000)),
        np.array([0.5]),
        harmonics(200, seconds=0.005),
    ],
    ids=["silence", "dc", "clipped", "huge", "tiny", "click", "nyquist", "one sample", "less than a frame"],
)
def test_bad_signals_stay_finite(frontend, signal):
    waveform = torch.tensor(signal, dtype=torch.float32)[None].requires_grad_()
    features, _ = frontend(waveform)
    assert features.isfinite().all()
    features.sum().backward()
    assert waveform.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in frontend.parameters())
    frontend.zero_grad()


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e20])
def test_unusable_samples_are_an_error(frontend, value):
    waveform = torch.zeros(2, 1000)
    waveform[1, 7] = value
    with pytest.raises(ValueError, match=r"input_values\[1, 7\] = .*must be finite.*drop the clip"):
        frontend(waveform)


def test_left_padding_is_an_error(frontend):
    with pytest.raises(ValueError, match="pad clips on the right"):
        frontend(torch.zeros(1, 4), torch.tensor([[0, 1, 1, 1]]))


def test_gradients_reach_parameters_and_waveform(frontend):
    frontend = copy.deepcopy(frontend)
    waveform = torch.tensor(harmonics(150) + 0.05 * noise(), dtype=torch.float32)[None].requires_grad_()
    features, _ = frontend(waveform)
    features.square().mean().backward()
    for name, parameter in frontend.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name
    assert waveform.grad.abs().max() > 0
    assert (frontend.filterbank.grad[frontend.filterbank == 0] == 0).all()  # bands stay where they are


@pytest.mark.slow
def test_gradients_are_right():
    config = AVEmotionAudioConfig(
        sampling_rate=8000, num_mel_bins=4, pitch_frame_length_ms=20, f0_min=100, frame_length_ms=8
    )
    frontend = AcousticFrontEnd(config).double()
    waveform = torch.tensor(0.1 * noise(0.01), dtype=torch.float64)[None].requires_grad_()
    spectral = [frontend.descriptor_names.index(name) for name in frontend.families["spectral"]]
    assert torch.autograd.gradcheck(lambda x: frontend.descriptors(x)[0][..., spectral] / 100, waveform, atol=1e-4)


def test_normalize(frontend):
    frontend = copy.deepcopy(frontend)
    size, names = len(frontend.descriptor_names), frontend.descriptor_names
    features = torch.randn(1, 2, size)
    features[0, :, names.index("voiced")] = torch.tensor([1.0, 0.0])
    with torch.no_grad():
        frontend.feature_mean.uniform_(1, 2), frontend.feature_std.uniform_(1, 2)
        frontend.gain.uniform_(1, 2), frontend.offset.uniform_(1, 2)
        out = frontend.normalize(features)
    expected = (features - frontend.feature_mean) / frontend.feature_std * frontend.gain + frontend.offset
    torch.testing.assert_close(out[0, 0], expected[0, 0].detach())
    unvoiced, defined = frontend.voiced_only, ~frontend.voiced_only
    torch.testing.assert_close(out[0, 1, unvoiced], frontend.offset[unvoiced].detach())
    torch.testing.assert_close(out[0, 1, defined], expected[0, 1, defined].detach())


def test_initial_tensors_cover_the_module_and_the_meta_device(frontend):
    fresh = AcousticFrontEnd(AVEmotionAudioConfig())
    with torch.device("meta"):
        model = AcousticFrontEnd(AVEmotionAudioConfig())
        initial = model.initial_tensors()
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    assert set(initial) == set(tensors)
    assert all(tensor.is_meta for tensor in tensors.values())
    assert all(tensor.device.type == "cpu" for tensor in initial.values())
    model.to_empty(device="cpu")
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    with torch.no_grad():
        for name, value in initial.items():
            tensors[name].copy_(value)
    signal = torch.tensor(harmonics(150), dtype=torch.float32)[None]
    torch.testing.assert_close(model(signal), fresh(signal), rtol=0, atol=0)
    assert set(model.state_dict()) == {"filterbank", "compression", "gain", "offset", "feature_mean", "feature_std"}


def test_precisions(frontend):
    signal = torch.tensor(harmonics(150) + 0.01 * noise())[None]
    reference, _ = copy.deepcopy(frontend).double().descriptors(signal)
    single, _ = frontend.descriptors(signal.float())
    assert reference.dtype == torch.float64 and single.dtype == torch.float32
    torch.testing.assert_close(single, reference.float(), rtol=5e-3, atol=5e-3)
    half, _ = frontend.descriptors(signal.bfloat16())
    torch.testing.assert_close(half, frontend.descriptors(signal.bfloat16().float())[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(frontend.descriptors(signal.float())[0], single)


def test_selection():
    front = AcousticFrontEnd(AVEmotionAudioConfig(descriptors=["prosody", "f1_frequency", "mfcc_2"]))
    assert front.families == {
        "prosody": ("loudness", "log_energy_db", "f0_semitone", "voiced", "voicing_probability"),
        "voice_quality": (),
        "spectral": ("f1_frequency", "mfcc_2"),
    }
    everything = ["prosody", "voice_quality", "spectral"]
    front = AcousticFrontEnd(AVEmotionAudioConfig(descriptors=everything, deltas=True))
    signal = torch.tensor(harmonics(150), dtype=torch.float32)[None]
    features, _ = front.descriptors(signal)
    names = front.descriptor_names
    assert len(names) == 2 * (5 + 7 + 10 + 9 + 4 + 40) == features.shape[-1]
    # the same values whatever else is selected
    default = AcousticFrontEnd(AVEmotionAudioConfig())
    expected, _ = default.descriptors(signal)
    same = [names.index(name) for name in default.descriptor_names]
    torch.testing.assert_close(features[..., same], expected, rtol=1e-4, atol=1e-4)


def test_egemaps_selects_the_25(egemaps):
    front = AcousticFrontEnd(AVEmotionAudioConfig.egemaps())
    assert set(front.descriptor_names) == set(EGEMAPS_NAMES) and len(front.descriptor_names) == 25
    features = torch.zeros(1, 2, 25)
    features[0, 0, front.descriptor_names.index("f0_semitone")] = 30
    assert front.defined_cells(features)[0].sum(-1).tolist() == [25, 10]


def test_configuration_of_an_old_checkpoint(frontend):
    old = {
        **{"sampling_rate": 16000, "frame_shift_ms": 20, "frame_length_ms": 25, "pitch_frame_length_ms": 60},
        **{"num_mel_bins": 40, "f0_min": 55, "f0_max": 600, "voicing_threshold": 0.45},
    }
    front = AcousticFrontEnd(AVEmotionAudioConfig.from_dict(old))
    assert front.descriptor_names == frontend.descriptor_names
    front.load_state_dict(frontend.state_dict())


def test_smoothing_and_deltas():
    names = ["f0_semitone", "log_energy_db", "voiced"]
    signal = np.concatenate([np.zeros(4000), harmonics(150), np.zeros(4000)])
    plain, smooth, slopes = (
        columns(AcousticFrontEnd(AVEmotionAudioConfig.egemaps(descriptors=names, **settings)), signal)
        for settings in ({"smoothing_frames": 1}, {"smoothing_frames": 3}, {"smoothing_frames": 1, "deltas": True})
    )
    energy, pitch, voiced = plain["log_energy_db"], plain["f0_semitone"], plain["voiced"] > 0
    np.testing.assert_allclose(smooth["log_energy_db"][1:-1], (energy[:-2] + energy[1:-1] + energy[2:]) / 3, rtol=1e-4)
    np.testing.assert_array_equal(smooth["voiced"], plain["voiced"])
    assert (smooth["f0_semitone"][~voiced] == 0).all()  # and no unvoiced neighbor pulls the ends of the voice down
    np.testing.assert_allclose(smooth["f0_semitone"][voiced], pitch[voiced].mean(), rtol=0.02)
    expected = (2 * (energy[4:] - energy[:-4]) + energy[3:-1] - energy[1:-3]) / 10
    np.testing.assert_allclose(slopes["delta_log_energy_db"][2:-2], expected, atol=1e-4)
    assert np.abs(slopes["delta_f0_semitone"]).max() < 0.2 and (slopes["delta_f0_semitone"][~voiced] == 0).all()


@pytest.mark.parametrize("signal", [np.zeros(800), np.full(800, 0.5), 1e4 * np.sign(noise(0.05)), np.array([0.5])])
def test_egemaps_of_bad_signals_stays_finite(egemaps, signal):
    waveform = torch.tensor(signal, dtype=torch.float32)[None].requires_grad_()
    features, _ = egemaps(waveform)
    assert features.isfinite().all()
    features.sum().backward()
    assert waveform.grad.isfinite().all()
    egemaps.zero_grad()


@pytest.mark.slow
def test_egemaps_gradients_are_right():
    config = AVEmotionAudioConfig.egemaps(
        8000, num_mel_bins=4, frame_length_ms=8, fft_length=64, pitch_frame_length_ms=20, f0_min=100
    )
    frontend = AcousticFrontEnd(config).double()
    waveform = torch.tensor(0.1 * noise(0.01), dtype=torch.float64)[None].requires_grad_()
    smooth = [i for i, voiced in enumerate(frontend.voiced_only.tolist()) if not voiced]
    assert torch.autograd.gradcheck(lambda x: frontend.descriptors(x)[0][..., smooth] / 100, waveform, atol=1e-4)
