# SPDX-License-Identifier: Apache-2.0
"""Percentiles of the delay histogram against exact ones."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_radio.books.histogram import BINS, PERCENTILE_ERROR, add_up, delay_bin, delay_of, delays_of, percentile, ranks


def histogram(delays):
    counts = np.zeros(BINS, np.int64)
    for delay in delays:
        counts[delay_bin(delay)] += 1
    return counts


@settings(deadline=None)
@given(st.lists(st.integers(1024, 2**42 - 1), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_percentile_is_within_its_stated_error(delays, fraction):
    exact = float(np.quantile(delays, fraction, method="inverted_cdf")) * 1e-9
    assert percentile(histogram(delays), fraction) == pytest.approx(exact, rel=PERCENTILE_ERROR)


@pytest.mark.parametrize(("delay", "bin_"), [(0, 0), (1, 0), (1023, 0), (1024, 0), (2048, 32), (2**62, BINS - 1)])
def test_extremes_are_counted_in_the_outermost_bins(delay, bin_):
    assert delay_bin(delay) == bin_


def test_bins_never_fall():
    delays = np.unique(np.geomspace(1, 1e13, 5000).astype(int))
    assert (np.diff([delay_bin(int(delay)) for delay in delays]) >= 0).all()


def test_no_messages_no_figures():
    delay = delay_of(np.zeros(BINS, np.int64), 0.0, None)
    assert delay.count == 0 and math.isnan(delay.p99) and math.isnan(delay.mean)


@settings(deadline=None)  # the first call may compile
@given(st.lists(st.lists(st.integers(0, 2**43), max_size=250), min_size=1, max_size=6))
def test_figures_of_many_flows_are_those_of_each(flows):
    counts = np.zeros((len(flows) + 1, BINS), np.int64)
    for row, delays in enumerate(flows, 1):
        np.add.at(counts[row], [delay_bin(delay) for delay in delays], 1)
    rows, out, both = np.arange(1, len(counts)), np.zeros((len(flows), 3), np.int64), np.zeros(BINS, np.int64)
    most = np.array([max(delays, default=0) for delays in flows])
    ranks(counts, rows, most, out)
    add_up(counts, rows, most, both)
    assert (both == counts.sum(axis=0)).all()
    totals, longest = (np.array([function(delays or [0]) * 1e-9 for delays in flows]) for function in (sum, max))
    found = delays_of(out, totals, longest)
    for row, delay in enumerate(found):
        expected = delay_of(counts[1 + row], totals[row], longest[row])
        np.testing.assert_equal(delay._asdict(), expected._asdict())
