"""Functionals: the 88 numbers by which eGeMAPSv02 describes an utterance (Eyben et al. 2016)."""

import numpy as np

from ..models.descriptors_av_emotion import EGEMAPS_NAMES, FORMANTS

SMOOTHING = np.ones(3)
PEAK_THRESHOLD = 0.1  # fraction of a contour's range that a rise or a fall must exceed

EVERYWHERE = ("spectral_flux", *(f"mfcc_{i}" for i in range(1, 5)))
SPECTRAL = ("alpha_ratio_db", "hammarberg_index_db", "egemaps_slope_0_500", "egemaps_slope_500_1500", "spectral_flux")
VOICED = tuple(EGEMAPS_NAMES)[list(EGEMAPS_NAMES).index("jitter_local") :]
# Zero is arbitrary for these levels, cepstra and slopes, and so would be a deviation relative to their mean.
WITHOUT_ZERO = frozenset(
    (*SPECTRAL[:-1], *EVERYWHERE[1:], "hnr_db", "h1_h2_db", "h1_a3_db", *(f"f{i}_amplitude_db" for i in FORMANTS))
)


def _smooth(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean (N,) of each of the N values at `where` (T,) and its neighbors, as far as these are there too."""
    if not where.any():
        return np.zeros(0)
    total = np.convolve(np.where(where, values, 0), SMOOTHING)[1:-1]
    return (total / np.maximum(np.convolve(where, SMOOTHING)[1:-1], 1))[where]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _spread(values: np.ndarray) -> float:
    """Standard deviation over the mean, with its sign; 0 for an empty contour or a mean of 0."""
    mean = _mean(values)
    return float(values.std()) / mean if mean else 0.0


def turning_points(contour: np.ndarray) -> np.ndarray:
    """Indices of the alternating minima and maxima of a contour (T,) that differ by more than `PEAK_THRESHOLD`.

    The first and the last frame are included if they are extreme.
    """
    if len(contour) < 2 or np.ptp(contour) == 0:
        return np.zeros(0, dtype=int)
    threshold = PEAK_THRESHOLD * np.ptp(contour)
    steps = np.sign(np.diff(contour))
    moving = np.flatnonzero(steps)
    turns = moving[1:][steps[moving[1:]] != steps[moving[:-1]]]  # first frame after a change of direction
    points: list[int] = []
    for i in (0, *turns.tolist(), len(contour) - 1):
        if points and i == points[-1]:
            continue
        if len(points) > 1 and (contour[points[-1]] - contour[points[-2]]) * (contour[i] - contour[points[-1]]) >= 0:
            points[-1] = i  # further in the same direction
        elif not points or abs(contour[i] - contour[points[-1]]) > threshold:
            points.append(i)
        elif len(points) == 1 and i != len(contour) - 1:
            points[0] = i if abs(contour[i] - contour.mean()) > abs(contour[points[0]] - contour.mean()) else points[0]
    return np.array(points)


def _contour(name: str, values: np.ndarray, seconds: float) -> dict[str, float]:
    """Ten functionals of one contour (T,) with a frame every `seconds`."""
    low, middle, high = np.percentile(values, (20, 50, 80)).tolist() if len(values) else (0.0,) * 3
    points = turning_points(values)
    slopes = np.diff(values[points]) / (np.diff(points) * seconds) if len(points) > 1 else np.zeros(0)
    rising, falling = slopes[slopes > 0], -slopes[slopes < 0]
    return {
        f"{name}_amean": _mean(values),
        f"{name}_stddevNorm": _spread(values),
        f"{name}_percentile20.0": low,
        f"{name}_percentile50.0": middle,
        f"{name}_percentile80.0": high,
        f"{name}_pctlrange0-2": high - low,
        f"{name}_meanRisingSlope": _mean(rising),
        f"{name}_stddevRisingSlope": float(rising.std()) if len(rising) else 0.0,
        f"{name}_meanFallingSlope": _mean(falling),
        f"{name}_stddevFallingSlope": float(falling.std()) if len(falling) else 0.0,
    }


def _runs(flags: np.ndarray) -> np.ndarray:
    """Lengths of the runs of True."""
    edges = np.diff(np.concatenate([[0], flags.astype(int), [0]]))
    return np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)


def functionals(descriptors: dict[str, np.ndarray], frame_seconds: float, power: float) -> dict[str, float]:
    """The 88 functionals of eGeMAPSv02, with its names and in its order.

    Contours are averaged over three frames; where voiced and unvoiced frames are distinguished, separately. A contour
    without frames gives 0. `stddevNorm` is the standard deviation over the mean; for levels, cepstra and slopes, whose
    mean may be close to zero, it is the standard deviation itself.

    Args:
        descriptors: columns (T,) by name, not smoothed: the 25 of eGeMAPSv02.
        frame_seconds: distance between the centers of two frames.
        power: mean square of the waveform, for the sound level.
    """
    voiced = descriptors["f0_semitone"] > 0
    always = np.ones_like(voiced)
    loudness = _smooth(descriptors["loudness"], always)
    pitch = _smooth(descriptors["f0_semitone"], voiced)
    result = _contour("F0semitoneFrom27.5Hz_sma3nz", pitch, frame_seconds)
    result |= _contour("loudness_sma3", loudness, frame_seconds)

    def add(name: str, where: np.ndarray, suffix: str, infix: str = "", spread: bool = True) -> None:
        values = _smooth(descriptors[name], where)
        theirs = EGEMAPS_NAMES[name]
        theirs = theirs.replace("slope", f"slope{infix}") if "slope" in theirs else theirs + infix
        result[f"{theirs}{suffix}_amean"] = _mean(values)
        if spread:
            deviation = float(values.std()) if len(values) else 0.0
            result[f"{theirs}{suffix}_stddevNorm"] = deviation if name in WITHOUT_ZERO else _spread(values)

    for name in EVERYWHERE:
        add(name, always, "_sma3")
    for name in VOICED:
        add(name, voiced, "_sma3nz")
    for name in (*SPECTRAL, *EVERYWHERE[1:]):
        add(name, voiced, "_sma3nz", "V")
    for name in SPECTRAL:
        add(name, ~voiced, "_sma3nz", "UV", spread=False)

    seconds = max(len(voiced) * frame_seconds, frame_seconds)
    points = turning_points(loudness)
    inner = points[(points > 0) & (points < len(loudness) - 1)]
    neighbors = loudness[np.minimum(inner + 1, len(loudness) - 1)] <= loudness[inner] if len(inner) else inner
    peaks = int(np.sum(neighbors & (loudness[inner] >= loudness[inner - 1]))) if len(inner) else 0
    runs, gaps = _runs(voiced) * frame_seconds, _runs(~voiced) * frame_seconds
    result |= {
        "loudnessPeaksPerSec": peaks / seconds,
        "VoicedSegmentsPerSec": len(runs) / seconds,
        "MeanVoicedSegmentLengthSec": _mean(runs),
        "StddevVoicedSegmentLengthSec": float(runs.std()) if len(runs) else 0.0,
        "MeanUnvoicedSegmentLength": _mean(gaps),
        "StddevUnvoicedSegmentLength": float(gaps.std()) if len(gaps) else 0.0,
        "equivalentSoundLevel_dBp": float(10 * np.log10(power + 1e-12)),
    }
    return result


__all__ = ["functionals", "turning_points"]
