"""Jitter and shimmer of cycles whose perturbation is known."""

import math

import pytest
from helpers.signals import INNER, columns, cycles

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
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


def test_shimmer_in_decibel(egemaps):
    signal, _, shimmer = cycles(140, 0.0, 0.05)
    found = columns(egemaps, signal)
    voiced = found["voiced"][8:-8] > 0
    # normally distributed amplitudes: the mean level difference follows from that of the amplitudes
    assert found["shimmer_local_db"][8:-8][voiced].mean() == pytest.approx(20 / math.log(10) * shimmer, rel=0.1)
