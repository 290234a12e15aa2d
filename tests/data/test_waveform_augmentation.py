import math

import numpy as np
import pytest
import torch
from helpers.signals import INNER, RATE, columns, harmonics, noise

import av_emotion_hf as av
from av_emotion_hf.data.codecs import code_opus, code_telephone
from av_emotion_hf.data.filters import change_tempo
from av_emotion_hf.data.waveform_augmentation import (
    WAVEFORM_AUGMENTATIONS,
    add_noise,
    add_reverberation,
    augment_waveform,
    change_level,
    change_speed,
    colored_noise,
    make_babble,
    read_in_circle,
    shift_pitch,
)

F0 = 200.0


@pytest.fixture(autouse=True)
def repeatable():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def voice():
    """A second of a voice with F0 and a spectrum that falls."""
    return torch.from_numpy(harmonics(F0, seconds=1.0, peak=0.3)).float()


@pytest.fixture(scope="module")
def pitch_of():
    """Function from a waveform to its median F0 in semitones, by the front-end."""
    frontend = av.AcousticFrontEnd(av.AVEmotionAudioConfig(descriptors=["f0_semitone", "voiced"]))

    def measure(waveform):
        table = columns(frontend, waveform)
        assert (table["voiced"][INNER] > 0).all()
        return float(np.median(table["f0_semitone"][INNER]))

    return measure


def decibels(waveform):
    """Mean power in dB."""
    return 10 * float(torch.log10(waveform.double().square().mean()))


def lag(late, early):
    """Samples by which `late` is behind `early`, at the peak of their cross-correlation."""
    size = 4 * len(early)
    correlation = torch.fft.irfft(torch.fft.rfft(late, size) * torch.fft.rfft(early, size).conj(), size)
    peak = int(correlation.argmax())
    return peak if peak < size // 2 else peak - size


def power_above(waveform, hertz):
    """Share of the power above a frequency, in dB."""
    power = torch.fft.rfft(waveform.double() * torch.hann_window(len(waveform))).abs().square()
    frequencies = torch.fft.rfftfreq(len(waveform), 1 / RATE)
    return 10 * float(torch.log10(power[frequencies > hertz].sum() / power.sum()))


@pytest.mark.parametrize("percent", [90, 97, 100, 110])
def test_speed_changes_length_and_pitch(voice, pitch_of, percent):
    faster = change_speed(voice, percent)
    assert len(faster) == -(-100 * len(voice) // percent)
    assert pitch_of(faster) - pitch_of(voice) == pytest.approx(12 * np.log2(percent / 100), abs=0.03)


@pytest.mark.parametrize("semitones", [-2.0, -0.7, 0.0, 1.0, 2.0])
def test_pitch_moves_f0_by_semitones_and_leaves_length_and_level(voice, pitch_of, semitones):
    shifted = shift_pitch(voice, semitones)
    assert len(shifted) == len(voice)
    assert pitch_of(shifted) - pitch_of(voice) == pytest.approx(semitones, abs=0.05)
    assert decibels(shifted[1600:-1600]) == pytest.approx(decibels(voice[1600:-1600]), abs=0.3)


def test_a_chirp_keeps_its_course_when_its_pitch_is_shifted(pitch_of):
    time = np.arange(2 * RATE) / RATE
    frequency = 150 + 50 * time  # 150 to 250 Hz
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    chirp = torch.from_numpy(0.2 * sum(np.cos(k * phase) / k for k in range(1, 12))).float()
    for part in (slice(0, RATE), slice(RATE, 2 * RATE)):
        assert pitch_of(shift_pitch(chirp, 2.0)[part]) - pitch_of(chirp[part]) == pytest.approx(2, abs=0.1)


def test_another_tempo_keeps_the_pitch_and_moves_events_with_it(voice, pitch_of):
    parts = torch.cat([torch.zeros(8000), voice[:8000], torch.zeros(8000), voice])
    for tempo in (0.8, 1.25):
        changed = change_tempo(parts, tempo)
        assert len(changed) == math.ceil(len(parts) / tempo)
        assert pitch_of(changed[-12000:-1000]) == pytest.approx(pitch_of(voice), abs=0.05)
        assert int((changed.abs() > 0.02).nonzero()[0]) == pytest.approx(8000 / tempo, abs=800)


def test_gain_is_in_decibels(voice):
    assert decibels(change_level(voice, -7.5)) - decibels(voice) == pytest.approx(-7.5, abs=1e-4)


@pytest.mark.parametrize("ratio", [0.0, 12.5, 30.0])
@pytest.mark.parametrize("exponent", [0.0, 2.0])
def test_noise_has_the_ratio(voice, ratio, exponent):
    noisy = add_noise(voice, colored_noise(len(voice), exponent), ratio)
    assert decibels(voice) - decibels(noisy - voice) == pytest.approx(ratio, abs=0.1)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5, 2.0])
def test_noise_has_its_color(exponent):
    power = torch.fft.rfft(colored_noise(1 << 18, exponent)).abs().square()
    bands = [power[(1 << k) : (1 << (k + 1))].mean().log2() for k in range(10, 17)]  # octaves from 62.5 Hz on
    slopes = torch.stack(bands).diff()
    torch.testing.assert_close(slopes, torch.full_like(slopes, -exponent), atol=0.15, rtol=0)


def test_babble_is_made_of_voices_of_equal_power_and_has_the_ratio(voice):
    loud, quiet = torch.from_numpy(noise(0.6, seed=1)).float(), 0.01 * torch.from_numpy(noise(1.7, seed=2)).float()
    assert decibels(make_babble([loud], 16000)) == pytest.approx(0, abs=0.3)
    assert decibels(make_babble([quiet], 16000)) == pytest.approx(0, abs=0.3)
    babble = make_babble([loud, quiet], len(voice))
    assert decibels(babble) == pytest.approx(10 * np.log10(2), abs=0.3)
    assert decibels(voice) - decibels(add_noise(voice, babble, 15.0) - voice) == pytest.approx(15, abs=0.1)


def test_what_is_read_in_a_circle_goes_on_from_a_random_place():
    read = read_in_circle(torch.arange(5), 12)
    assert len(read) == 12 and ((read[1:] - read[:-1]) % 5 == 1).all()
    assert len({int(read_in_circle(torch.arange(5), 1)) for _ in range(50)}) == 5


def test_reverberation_keeps_level_and_onset_and_decays():
    click = torch.zeros(32000)
    click[8000] = 0.5
    wet = add_reverberation(click, 0.5, 6.0)
    assert not wet[:8000].abs().max() > 1e-6 and int(wet.abs().argmax()) == 8000
    assert decibels(wet) == pytest.approx(decibels(click), abs=0.01)
    direct, tail = wet[8000].square(), wet[8001:]
    assert 10 * float(torch.log10(direct / tail.square().sum())) == pytest.approx(6, abs=0.05)
    # 60 dB in half a second are 12 dB in 0.1 s
    early, late = tail[:1600], tail[4800:6400]
    assert decibels(early) - decibels(late) == pytest.approx(36, abs=1)


def test_reverberation_keeps_the_level_of_a_voice(voice):
    padded = torch.nn.functional.pad(voice, (8000, 8000))
    wet = add_reverberation(padded, 0.8, 0.0)
    assert decibels(wet) == pytest.approx(decibels(padded), abs=0.01)
    assert wet[:8000].abs().max() < 1e-5 and wet[8000:8160].abs().max() > 0.1


@pytest.mark.parametrize("bit_rate", [6_000, 16_000, 24_000])
def test_opus_is_aligned_and_lossy(bit_rate):
    envelope = torch.from_numpy(np.interp(np.arange(40_001), np.arange(0, 41_000, 1000), abs(noise(41 / RATE)[:41])))
    speech_like = torch.from_numpy(noise(40_001 / RATE)) * envelope
    low = torch.fft.rfft(speech_like)
    low[torch.fft.rfftfreq(40_001, 1 / RATE) > 1500] = 0
    given = torch.fft.irfft(low, 40_001).float()
    given = 0.3 * given / given.abs().max()
    coded = code_opus(given, bit_rate)
    assert len(coded) == len(given) and abs(lag(coded, given)) <= 1
    assert 1 < decibels(given) - decibels(coded - given) < 25
    assert decibels(coded) == pytest.approx(decibels(given), abs=2)


def test_opus_loses_more_at_a_lower_rate(voice):
    errors = [decibels(code_opus(voice, bit_rate) - voice) for bit_rate in (6_000, 24_000)]
    assert errors[0] > errors[1] + 3


def test_the_telephone_has_its_band_and_is_lossy():
    given = 0.1 * torch.from_numpy(noise(1.0)).float()
    coded = code_telephone(given)
    assert len(coded) == len(given) and abs(lag(coded, given)) <= 1
    assert power_above(given, 4000) > -4 and power_above(coded, 4000) < -40
    tone = torch.from_numpy(0.3 * np.sin(2 * np.pi * 1037.3 * np.arange(RATE) / RATE)).float()
    inner = slice(1000, -1000)
    heard = code_telephone(tone)[inner]
    # 8 bits of mu-law have about 38 dB over a wide range of levels (Jayant and Noll 1984)
    assert 30 < decibels(tone[inner]) - decibels(heard - tone[inner]) < 45
    hum = torch.from_numpy(0.3 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)).float()
    assert decibels(code_telephone(hum)[inner]) < decibels(hum) - 30


@pytest.mark.parametrize("name", WAVEFORM_AUGMENTATIONS)
@pytest.mark.parametrize("samples", [0, 1, 2, 7, 500, 16_001])
def test_short_and_silent_clips_stay_finite_and_within_full_scale(name, samples):
    others = [torch.ones(1), torch.zeros(5), torch.zeros(0), 1e-30 * torch.ones(9), 0.1 * torch.randn(300)]
    for given in (torch.randn(samples), torch.zeros(samples), torch.full((samples,), 1e-30), torch.ones(samples)):
        for _ in range(3):
            changed = augment_waveform(given, {name: 1.0}, others)
            assert changed.dtype == torch.float32 and changed.isfinite().all()
            assert changed.abs().max(dim=0).values <= 1 if len(changed) else not samples
            low, high = (samples / 1.1, samples / 0.9 + 1) if name == "speed" else (samples, samples)
            assert low <= len(changed) <= high
            assert given.any() or torch.equal(changed, given)


def test_without_other_voices_there_is_no_babble(voice):
    assert torch.equal(augment_waveform(voice, {"babble": 1.0}), voice)
    assert torch.equal(augment_waveform(voice, {"babble": 1.0}, [torch.zeros(10), torch.zeros(0)]), voice)


def test_each_is_applied_with_its_probability(voice):
    short = voice[:100]
    changed = [not torch.equal(augment_waveform(short, {"gain": 0.3, "pitch": 0.0}), short) for _ in range(1000)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.05)
    assert torch.equal(augment_waveform(short, {"time_mask": 1.0}), short)


def test_random_speeds_are_all_from_90_to_110_percent_but_100(voice):
    lengths = {len(augment_waveform(voice, {"speed": 1.0})) for _ in range(300)}
    assert lengths == {-(-100 * len(voice) // percent) for percent in (*range(90, 100), *range(101, 111))}


def test_the_same_seed_gives_the_same_waveform(voice):
    probabilities = dict.fromkeys(WAVEFORM_AUGMENTATIONS, 0.7)
    others = [voice.flip(0), voice[:5000], voice[3000:]]
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(augment_waveform(voice, probabilities, others))
    assert torch.equal(made[0], made[1])
    assert len(made[0]) != len(made[2]) or not torch.equal(made[0], made[2])
