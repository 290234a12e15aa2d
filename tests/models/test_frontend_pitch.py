"""F0 and voicing of signals whose answers are known."""

import numpy as np
import pytest
from helpers.signals import INNER, RATE, columns, harmonics, hertz, noise, time_axis

pytestmark = pytest.mark.usefixtures("one_thread")


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


def test_constant_offset_is_not_a_voice(frontend):
    assert not columns(frontend, np.full(8000, 0.5))["voiced"].any()
    found = columns(frontend, 0.3 + 0.2 * harmonics(150))
    np.testing.assert_allclose(hertz(found["f0_semitone"][INNER]), 150, rtol=0.01)
