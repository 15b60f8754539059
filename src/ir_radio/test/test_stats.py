# SPDX-License-Identifier: Apache-2.0
"""Percentiles of the delay histogram against exact ones."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_radio import stats
from ir_radio.queueing import delay_bin
from ir_radio.tables import BINS


def histogram(delays):
    counts = np.zeros(BINS, np.int64)
    for delay in delays:
        counts[delay_bin(delay)] += 1
    return counts


@given(st.lists(st.integers(1024, 2**42 - 1), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_percentile_is_within_its_stated_error(delays, fraction):
    exact = float(np.quantile(delays, fraction, method="inverted_cdf")) * 1e-9
    assert stats.percentile(histogram(delays), fraction) == pytest.approx(exact, rel=stats.PERCENTILE_ERROR)


@pytest.mark.parametrize(("delay", "bin_"), [(0, 0), (1, 0), (1023, 0), (1024, 0), (2048, 32), (2**62, BINS - 1)])
def test_extremes_are_counted_in_the_outermost_bins(delay, bin_):
    assert delay_bin(delay) == bin_


def test_bins_never_fall():
    delays = np.unique(np.geomspace(1, 1e13, 5000).astype(int))
    assert (np.diff([delay_bin(int(delay)) for delay in delays]) >= 0).all()


def test_no_messages_no_figures():
    delay = stats.delay_of(np.zeros(BINS, np.int64), 0.0, None)
    assert delay.count == 0 and math.isnan(delay.p99) and math.isnan(delay.mean)
