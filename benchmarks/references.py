"""openSMILE and Praat on the frame grid of the package: frame t is centered on t * 10 ms."""

import functools

import numpy as np

from av_emotion_hf.models.descriptors_av_emotion import EGEMAPS_NAMES, VOICED_ONLY

SHIFT = 0.01
# openSMILE's frame i begins at i * 10 ms; that is the center of our frame i + 1 for windows of 20 ms, i + 3 of 60 ms.
# Jitter and shimmer are not from such a window but from the cycles around i * 10 ms: their r is highest there.
SPECTRAL_DELAY, PITCH_DELAY, CYCLE_DELAY = 1, 3, 0
FORMANT_NAMES = tuple(f"f{i}_{what}" for i in (1, 2, 3) for what in ("frequency", "bandwidth"))


@functools.cache
def _smile(level: str):
    import opensmile

    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, getattr(opensmile.FeatureLevel, level))


def opensmile_descriptors(waveform: np.ndarray, sampling_rate: int = 16000) -> dict[str, np.ndarray]:
    """The 25 descriptors of eGeMAPSv02 under our names; nan where openSMILE has no frame or defines no value."""
    frame = _smile("LowLevelDescriptors").process_signal(waveform, sampling_rate)
    values = {name.split("_sma3")[0]: column.to_numpy(np.float64) for name, column in frame.items()}
    count = (len(waveform) - 1) // round(SHIFT * sampling_rate) + 1
    table = {}
    for ours, theirs in EGEMAPS_NAMES.items():
        # the formants come from the short window
        early = ours not in VOICED_ONLY or ours in FORMANT_NAMES
        column = np.full(count, np.nan)
        delay = SPECTRAL_DELAY if early else CYCLE_DELAY if ours.startswith(("jitter", "shimmer")) else PITCH_DELAY
        size = min(len(values[theirs]), count - delay)
        column[delay : delay + size] = values[theirs][:size]
        table[ours] = column
    table["voiced"] = np.nan_to_num(table["f0_semitone"]) > 0
    defined = ~np.isnan(table["f0_semitone"])
    for name in VOICED_ONLY:
        if name in table:
            table[name] = np.where(table["voiced"] & (table[name] != 0), table[name], np.nan)
    return table | {"defined": defined}


def opensmile_functionals(waveform: np.ndarray, sampling_rate: int = 16000) -> dict[str, float]:
    """The 88 functionals of eGeMAPSv02."""
    return _smile("Functionals").process_signal(waveform, sampling_rate).iloc[0].to_dict()


def praat_descriptors(waveform: np.ndarray, sampling_rate: int = 16000) -> dict[str, np.ndarray]:
    """F0, HNR, formants, jitter, shimmer, and H1-H2 of its spectrum, with Praat's standard settings."""
    import parselmouth
    from parselmouth.praat import call

    sound = parselmouth.Sound(waveform.astype(np.float64), sampling_rate)
    count = (len(waveform) - 1) // round(SHIFT * sampling_rate) + 1
    times = np.arange(count) * SHIFT
    pitch = sound.to_pitch_ac(SHIFT, 55.0, 15, False, 0.03, 0.45, 0.01, 0.35, 0.14, 600.0)
    f0 = np.nan_to_num([pitch.get_value_at_time(t) for t in times])
    harmonicity = sound.to_harmonicity_ac(SHIFT, 55.0, 0.1, 4.5)
    hnr = np.array([harmonicity.get_value(t) for t in times])
    formants = sound.to_formant_burg(SHIFT, 5, 5500.0, 0.025, 50.0)
    pulses = call([sound, pitch], "To PointProcess (cc)")
    voiced = f0 > 0
    table = {
        "voiced": voiced,
        "defined": np.ones(count, dtype=bool),
        "f0_semitone": 12 * np.log2(np.where(voiced, f0, np.nan) / 27.5),
        "hnr_db": np.where(hnr > -100, hnr, np.nan),
        "jitter_local": np.full(count, np.nan),
        "shimmer_local_db": np.full(count, np.nan),
        "h1_h2_db": np.full(count, np.nan),
    }
    for i in (1, 2, 3):
        table[f"f{i}_frequency"] = np.array([formants.get_value_at_time(i, t) for t in times])
        table[f"f{i}_bandwidth"] = np.array([formants.get_bandwidth_at_time(i, t) for t in times])
    for i in np.flatnonzero(voiced):
        around = (times[i] - 0.03, times[i] + 0.03)
        table["jitter_local"][i] = call(pulses, "Get jitter (local)", *around, 0.0001, 0.02, 1.3)
        table["shimmer_local_db"][i] = call([sound, pulses], "Get shimmer (local_dB)", *around, 0.0001, 0.02, 1.3, 1.6)
        part = sound.extract_part(*around, parselmouth.WindowShape.HANNING, 1.0, False)
        spectrum = part.to_spectrum().values
        level = 10 * np.log10(np.sum(spectrum**2, axis=0) + 1e-20)
        width = sampling_rate / 2 / (len(level) - 1)
        h1, h2 = (level[max(0, round(k * f0[i] / width) - 1) :][:3].max() for k in (1, 2))
        table["h1_h2_db"][i] = h1 - h2
    for name in VOICED_ONLY:
        if name in table:
            table[name] = np.where(voiced, table[name], np.nan)
    return table


__all__ = ["opensmile_descriptors", "opensmile_functionals", "praat_descriptors"]
