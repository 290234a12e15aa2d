"""The acoustic front-end against signals whose answers are known."""

import copy
import functools
import math

import numpy as np
import pytest
import torch

from av_emotion_hf.models.configuration_av_emotion import AVEmotionAudioConfig
from av_emotion_hf.models.descriptors_av_emotion import EGEMAPS_NAMES
from av_emotion_hf.models.frontend_av_emotion import AcousticFrontEnd

RATE = 16000
INNER = slice(3, -3)  # frames whose windows lie inside the clip


@pytest.fixture(scope="module")
def frontend():
    return AcousticFrontEnd(AVEmotionAudioConfig())


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def columns(frontend, signal):
    """Descriptors of one clip as a dict of arrays (T,)."""
    with torch.no_grad():
        features, mask = frontend.descriptors(torch.as_tensor(np.asarray(signal), dtype=torch.float32)[None])
    assert mask.all()
    return dict(zip(frontend.descriptor_names, features[0].numpy().T, strict=True))


def hertz(semitones):
    return 27.5 * 2 ** (semitones / 12)


def time_axis(seconds=1.0):
    return np.arange(round(seconds * RATE)) / RATE


def harmonics(f0, slope=1.0, top=4000, seconds=1.0, peak=0.5):
    """Harmonics of `f0` up to `top` Hz whose amplitudes fall with k^slope."""
    t = time_axis(seconds)
    signal = sum(np.cos(2 * np.pi * f0 * k * t + k * k) / k**slope for k in range(1, int(top / f0) + 1))
    return peak * signal / np.abs(signal).max()


def noise(seconds=1.0, seed=0):
    return np.random.default_rng(seed).standard_normal(round(seconds * RATE))


@functools.cache
def cycles(f0, jitter, shimmer, seconds=3.0, seed=0):
    """Clicks (each without mean) at perturbed periods, and the local jitter and shimmer they really have."""
    draw, t = np.random.default_rng(seed), time_axis(seconds)
    signal, times, heights = np.zeros_like(t), [0.02], []
    while times[-1] < seconds - 0.02:
        heights.append(1 + shimmer * draw.standard_normal())
        z = (t - times[-1]) / 3e-4
        signal += heights[-1] * (1 - z**2) * np.exp(-(z**2) / 2)
        times.append(times[-1] + (1 + jitter * draw.standard_normal()) / f0)
    periods, heights = np.diff(times), np.array(heights)
    true_jitter = np.abs(np.diff(periods)).mean() / periods.mean()
    return 0.5 * signal, true_jitter, np.abs(np.diff(heights)).mean() / heights.mean()


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


def test_frames_are_centred(frontend):
    click = np.zeros(RATE)
    click[10 * frontend.shift] = 0.5
    energy = columns(frontend, click)["log_energy_db"]
    assert energy.argmax() == 10 and energy[9] == energy[11] == energy.min()


@pytest.mark.parametrize("f0", [60, 87.3, 131, 220, 333.3, 450, 500])
@pytest.mark.parametrize("slope", [0, 1, 2])
def test_f0_of_harmonic_tones(frontend, f0, slope):
    found = columns(frontend, harmonics(f0, slope))
    assert found["voiced"][INNER].all()
    np.testing.assert_allclose(hertz(found["f0_semitone"][INNER]), f0, rtol=0.01)


def test_f0_follows_a_glide(frontend):
    t = time_axis(2)
    f0 = 100 * 2**t  # 100 to 400 Hz
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    found = columns(frontend, 0.2 * sum(np.cos(k * phase) / k for k in range(1, 9)))
    assert found["voiced"][INNER].all()
    np.testing.assert_allclose(hertz(found["f0_semitone"][INNER]), f0[:: frontend.shift][INNER], rtol=0.01)


def test_voicing(frontend):
    white = 0.1 * noise()
    pink = np.fft.irfft(np.fft.rfft(white) / np.sqrt(np.arange(1, len(white) // 2 + 2)))
    assert columns(frontend, white)["voiced"].mean() < 0.02
    assert columns(frontend, pink)["voiced"].mean() < 0.1
    faint = columns(frontend, np.concatenate([harmonics(150), 0.002 * harmonics(150)]))  # 54 dB below the rest
    assert faint["voiced"][3:47].all() and not faint["voiced"][53:].any()
    assert (faint["f0_semitone"][53:] == 0).all() and (faint["hnr_db"][53:] == 0).all()
    assert faint["voicing_probability"][3:47].min() > 0.99


@pytest.mark.parametrize("f0", [110, 220])
@pytest.mark.parametrize("snr", [0, 10, 20])
def test_hnr(frontend, f0, snr):
    tone, hiss = harmonics(f0, seconds=2), noise(2)
    hiss *= np.sqrt(np.mean(tone**2) / np.mean(hiss**2) / 10 ** (snr / 10))
    found = columns(frontend, tone + hiss)
    voiced = found["voiced"][INNER] > 0
    assert voiced.mean() > 0.8
    assert abs(found["hnr_db"][INNER][voiced].mean() - snr) < 1.5


@pytest.mark.parametrize("f0", [90, 140, 240])
@pytest.mark.parametrize("jitter, shimmer", [(0.005, 0.0), (0.0, 0.05), (0.01, 0.08), (0.02, 0.1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_jitter_and_shimmer(frontend, f0, jitter, shimmer, sign):
    signal, true_jitter, true_shimmer = cycles(f0, jitter, shimmer)
    found = columns(frontend, sign * signal)
    voiced = found["voiced"][INNER] > 0
    assert voiced.mean() > 0.9
    measured = {name: found[name][INNER][voiced].mean() for name in ("jitter_local", "shimmer_local")}
    assert measured["jitter_local"] == pytest.approx(true_jitter, rel=0.25, abs=1e-3)
    assert measured["shimmer_local"] == pytest.approx(true_shimmer, rel=0.25, abs=5e-3)


def test_steady_tone_has_no_jitter_or_shimmer(frontend):
    found = columns(frontend, cycles(123.4, 0, 0)[0])  # frames 5 to -5 lie within the clicks
    assert found["jitter_local"][5:-5].max() < 1e-3 and found["shimmer_local"][5:-5].max() < 5e-3


def test_h1_h2_and_cpp(frontend):
    tone = columns(frontend, harmonics(150, slope=1))
    np.testing.assert_allclose(tone["h1_h2_db"][INNER], 20 * math.log10(2), atol=0.7)
    assert tone["cpp_db"][INNER].min() > columns(frontend, 0.1 * noise())["cpp_db"][INNER].max() + 5


def test_spectral_descriptors_against_numpy(frontend):
    signal = (0.1 * noise() + harmonics(200)).astype(np.float32).astype(np.float64)
    found, length, n_fft, frame = columns(frontend, signal), 400, 512, 20
    n = np.arange(length)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * n / length)
    frames = [signal[t * 320 - 200 :][:length] * window for t in (frame - 1, frame)]
    before, power = (2 * np.abs(np.fft.rfft(x, n_fft)) ** 2 / n_fft / np.sum(window**2) for x in frames)
    hz = np.arange(n_fft // 2 + 1) * RATE / n_fft

    def band(low, high):
        return (hz >= low) & (hz < high)

    def line(low, high):
        return np.polyfit(hz[band(low, high)], 10 * np.log10(power[band(low, high)]), 1)[0]

    flux = np.sqrt(np.mean((np.sqrt(power) - np.sqrt(before))[band(0, 5000)] ** 2))
    log_mel = np.log(1e-9 + power @ frontend.filterbank.detach().numpy())
    mfcc = [math.sqrt(2 / 40) * np.sum(log_mel * np.cos(np.pi * i * (np.arange(40) + 0.5) / 40)) for i in (1, 4)]
    expected = {
        "log_energy_db": 10 * np.log10(np.sum(frames[1] ** 2) / np.sum(window**2)),
        "alpha_ratio_db": 10 * np.log10(power[band(1000, 5000)].sum() / power[band(50, 1000)].sum()),
        "hammarberg_index_db": 10 * np.log10(power[band(0, 2000)].max() / power[band(2000, 5000)].max()),
        "slope_0_500": line(0, 500),
        "slope_500_1500": line(500, 1500),
        "spectral_flux": flux,
        "spectral_centroid": np.sum(hz * power) / np.sum(power),
        "mfcc_1": mfcc[0],
        "mfcc_4": mfcc[1],
        "log_mel_07": log_mel[7],
    }
    for name, value in expected.items():
        assert found[name][frame] == pytest.approx(value, rel=1e-3, abs=0.02 if name.endswith("_db") else 1e-6), name


def test_tone_lights_its_band_and_loudness_grows(frontend):
    quiet = columns(frontend, 0.05 * np.sin(2 * np.pi * 1000 * time_axis()))
    loud = columns(frontend, 0.5 * np.sin(2 * np.pi * 1000 * time_axis()))
    bands = np.stack([loud[f"log_mel_{i:02d}"] for i in range(40)])
    assert set(bands[:, INNER].argmax(axis=0)) == {13}  # 1000 mel between 32 and 2840 mel in 41 steps
    np.testing.assert_allclose(loud["log_energy_db"][INNER], 10 * math.log10(0.125), atol=0.05)
    ratio = (loud["loudness"] / quiet["loudness"])[INNER]
    assert (ratio > 3).all() and (ratio < 10 ** (2 / 3)).all()  # cube root of 20 dB, less the floor


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


def test_constant_offset_is_not_a_voice(frontend):
    assert not columns(frontend, np.full(8000, 0.5))["voiced"].any()
    found = columns(frontend, 0.3 + 0.2 * harmonics(150))
    np.testing.assert_allclose(hertz(found["f0_semitone"][INNER]), 150, rtol=0.01)


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


EGEMAPS = ["egemaps", "voiced", "spectral_rolloff", "zero_crossing_rate"]


@pytest.fixture(scope="module")
def egemaps():
    return AcousticFrontEnd(AVEmotionAudioConfig.egemaps(descriptors=EGEMAPS, smoothing_frames=1))


def vowel(formants, f0, seconds=0.6):
    """Harmonics of `f0` under the envelope of resonators, -6 dB per octave."""
    t, poles = time_axis(seconds), []
    for f in formants:
        pole = math.exp(-math.pi * (50 + 0.03 * f) / RATE) * np.exp(2j * np.pi * f / RATE)
        poles += [pole, pole.conjugate()]
    signal = np.zeros_like(t)
    for k in range(1, int(5000 / f0) + 1):
        z = np.exp(2j * np.pi * k * f0 / RATE)
        response = 1 / np.prod([1 - pole / z for pole in poles])
        signal += abs(response) / k * np.cos(2 * np.pi * k * f0 * t + np.angle(response))
    return 0.3 * signal / np.abs(signal).max()


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


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"descriptors": ["pitch"]}, "'pitch'"),
        ({"descriptors": []}, "nothing"),
        ({"descriptors": ["hnr_db"]}, "add 'voiced' or 'f0_semitone'"),
        ({"smoothing_frames": 2}, "odd number"),
        ({"fft_length": 256}, "shorter than frame_length_ms"),
    ],
)
def test_wrong_selection_is_an_error(settings, message):
    with pytest.raises(Exception, match=message):
        AVEmotionAudioConfig(**settings)


def test_configuration_of_an_old_checkpoint(frontend):
    old = {
        **{"sampling_rate": 16000, "frame_shift_ms": 20, "frame_length_ms": 25, "pitch_frame_length_ms": 60},
        **{"num_mel_bins": 40, "f0_min": 55, "f0_max": 600, "voicing_threshold": 0.45},
    }
    front = AcousticFrontEnd(AVEmotionAudioConfig.from_dict(old))
    assert front.descriptor_names == frontend.descriptor_names
    front.load_state_dict(frontend.state_dict())


@pytest.mark.parametrize("formants", [(730, 1090, 2440), (530, 1840, 2480), (570, 840, 2410)])
@pytest.mark.parametrize("f0", [90, 120, 160])
def test_formants(egemaps, formants, f0):
    found = columns(egemaps, vowel([*formants, 3500, 4500], f0))
    for i, frequency in enumerate(formants, 1):
        assert np.median(found[f"f{i}_frequency"][6:-6]) == pytest.approx(frequency, rel=0.08)


def test_amplitudes_of_formants(egemaps):
    tones = {200: 0.0, 600: -10.0, 1000: -30.0, 2400: -25.0}  # dB
    signal = sum(10 ** (level / 20) * np.cos(2 * np.pi * f * time_axis() + f) for f, level in tones.items())
    frontend = copy.deepcopy(egemaps)
    power = torch.fft.rfft(
        torch.tensor(0.1 * signal, dtype=torch.float32)[None, 4000:4960] * frontend.voice.window,
        n=frontend.voice.n_fft,
    )
    power = power.abs().square()
    level = frontend.voice._level(power, torch.tensor([[200.0, 600.0, 2500.0]]), 0.2)
    np.testing.assert_allclose(level[0] - level[0, 0], [0, -10, -25], atol=0.5)


def test_shimmer_in_decibel(egemaps):
    signal, _, shimmer = cycles(140, 0.0, 0.05)
    found = columns(egemaps, signal)
    voiced = found["voiced"][8:-8] > 0
    # normally distributed amplitudes: the mean level difference follows from that of the amplitudes
    assert found["shimmer_local_db"][8:-8][voiced].mean() == pytest.approx(20 / math.log(10) * shimmer, rel=0.1)


def test_slopes_rolloff_and_crossings(egemaps):
    signal = 0.1 * noise() + harmonics(200)
    found, frame = columns(egemaps, signal), 30
    spectrum = np.fft.rfft(
        signal[frame * 160 - 160 :][:320] * (0.54 - 0.46 * np.cos(np.pi * np.arange(320) / 160)), 512
    )
    hz, power = np.arange(257) * RATE / 512, np.abs(spectrum) ** 2
    level = 10 * np.log10(power)
    for low, high in ((0, 500), (500, 1500)):
        band = (hz >= low) & (hz <= high)
        f, y, count = hz[band], level[band], band.sum() - 1
        slope = (count * (f @ y) - f.sum() * y.sum()) / (count * (f @ f) - f.sum() ** 2)
        assert found[f"egemaps_slope_{low}_{high}"][frame] == pytest.approx(slope, rel=1e-3)
    assert found["spectral_rolloff"][frame] == hz[np.searchsorted(np.cumsum(power), 0.85 * power.sum())]
    part = signal[frame * 160 - 160 :][:320] > 0
    assert found["zero_crossing_rate"][frame] == pytest.approx(np.mean(part[1:] != part[:-1]))


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
    assert (smooth["f0_semitone"][~voiced] == 0).all()  # and no unvoiced neighbour pulls the ends of the voice down
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


def test_egemaps_gradients_are_right():
    config = AVEmotionAudioConfig.egemaps(
        8000, num_mel_bins=4, frame_length_ms=8, fft_length=64, pitch_frame_length_ms=20, f0_min=100
    )
    frontend = AcousticFrontEnd(config).double()
    waveform = torch.tensor(0.1 * noise(0.01), dtype=torch.float64)[None].requires_grad_()
    smooth = [i for i, voiced in enumerate(frontend.voiced_only.tolist()) if not voiced]
    assert torch.autograd.gradcheck(lambda x: frontend.descriptors(x)[0][..., smooth] / 100, waveform, atol=1e-4)
