# SPDX-License-Identifier: Apache-2.0
"""The normal approximation: hand-solved, its inverse, its limits."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_radio.model import blocklength


def test_by_hand():
    """n = 200, SNR 10 (linear), error 1e-5: 3.4594 - sqrt(0.991736 / 200) 1.442695 x 4.264891 bit per symbol."""
    expected = math.log2(11.0) - math.sqrt((1.0 - 1.0 / 121.0) / 200.0) * math.log2(math.e) * -NormalDist().inv_cdf(
        1e-5
    )
    assert blocklength.rate(10.0, 200, 1e-5) == pytest.approx(expected, rel=1e-9)
    assert expected == pytest.approx(3.0261, abs=1e-4)


@given(st.floats(0.1, 1e4), st.integers(50, 10_000), st.floats(1e-9, 0.5))
def test_error_is_the_inverse_of_rate(snr, n, probability):
    rate = float(blocklength.rate(snr, n, probability))
    if rate > 0.0:
        assert blocklength.error(snr, n, rate * n) == pytest.approx(probability, rel=1e-5)


@given(st.floats(0.0, 1e4), st.integers(1, 10_000), st.floats(1e-9, 0.499))
def test_rate_is_under_shannons_and_rises_with_length_and_error(snr, n, probability):
    rate = blocklength.rate(snr, n, probability)
    assert 0.0 <= rate <= math.log2(1.0 + snr) + 1e-12
    assert rate <= blocklength.rate(snr, 2 * n, probability) + 1e-12
    assert rate <= blocklength.rate(snr, n, min(2 * probability, 0.5)) + 1e-12


def test_limits():
    assert blocklength.rate(100.0, 10**12, 1e-3) == pytest.approx(math.log2(101.0), rel=1e-5)
    assert blocklength.error(0.0, 100, 10) == 1.0
    np.testing.assert_array_less(np.diff(blocklength.error(np.linspace(0.5, 5.0, 20), 100, 150.0)), 0.0)


@pytest.mark.parametrize(("n", "probability"), [(0, 0.1), (100, 0.0), (100, 1.0), (100, math.nan)])
def test_nonsense_is_refused(n, probability):
    with pytest.raises(ValueError, match="give"):
        blocklength.rate(1.0, n, probability)
    with pytest.raises(ValueError, match="positive"):
        blocklength.error(1.0, 100, 0)
