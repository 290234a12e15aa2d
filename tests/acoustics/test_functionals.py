"""Functionals of contours against values by hand."""

import numpy as np
import pytest

from av_emotion_hf.acoustics.functionals import functionals, turning_points
from av_emotion_hf.models.descriptors_av_emotion import EGEMAPS_NAMES


def test_turning_points():
    contour = np.array([0.0, 1.0, 2.0, 1.95, 2.5, 1.0, 0.0, 0.0, 1.0])
    assert turning_points(contour).tolist() == [0, 4, 7, 8]  # the dip of 0.05 is below a tenth of the range
    assert len(turning_points(np.ones(5))) == 0 and len(turning_points(np.ones(1))) == 0


def test_functionals_by_hand():
    count = 100
    voiced = np.zeros(count)
    voiced[20:50] = voiced[60:90] = 1
    loudness = 1 + np.cos(2 * np.pi * np.arange(count) / 25)  # peaks at 0, 25, 50, 75
    table = {name: np.full(count, 2.0) * (voiced if name.startswith(("j", "s")) else 1) for name in EGEMAPS_NAMES}
    table |= {"loudness": loudness, "f0_semitone": voiced * np.linspace(20, 30, count)}
    table["alpha_ratio_db"] = np.where(voiced, -5.0, 7.0)
    result = functionals(table, 0.01, 0.01)
    assert len(result) == 88
    assert result["equivalentSoundLevel_dBp"] == pytest.approx(-20)
    assert result["VoicedSegmentsPerSec"] == pytest.approx(2)
    assert result["MeanVoicedSegmentLengthSec"] == pytest.approx(0.3)
    assert result["MeanUnvoicedSegmentLength"] == pytest.approx(0.4 / 3)
    assert result["loudnessPeaksPerSec"] == pytest.approx(3)
    assert result["alphaRatioV_sma3nz_amean"] == pytest.approx(-5)
    assert result["alphaRatioUV_sma3nz_amean"] == pytest.approx(7)
    # -5 and 7 dB are levels, whose deviation is not divided by their mean, and a frequency is not a level
    table["alpha_ratio_db"] = np.where(np.arange(count) % 20 < 10, 5.0, -5.0)
    table["f1_frequency"] = np.where(np.arange(count) % 20 < 10, 500.0, 1500.0) * voiced
    spread = functionals(table, 0.01, 0.01)
    assert spread["alphaRatioV_sma3nz_stddevNorm"] == pytest.approx(5, rel=0.15)
    assert spread["F1frequency_sma3nz_stddevNorm"] == pytest.approx(0.5, rel=0.15)
    assert result["F1frequency_sma3nz_amean"] == pytest.approx(2)
    assert result["F1frequency_sma3nz_stddevNorm"] == pytest.approx(0)
    inside = np.linspace(20, 30, count)[voiced > 0]
    assert result["F0semitoneFrom27.5Hz_sma3nz_amean"] == pytest.approx(inside.mean(), abs=0.01)
    assert result["F0semitoneFrom27.5Hz_sma3nz_percentile50.0"] == pytest.approx(np.median(inside), abs=0.1)
    assert result["F0semitoneFrom27.5Hz_sma3nz_meanRisingSlope"] > 0
    assert result["F0semitoneFrom27.5Hz_sma3nz_meanFallingSlope"] == 0
