# SPDX-License-Identifier: Apache-2.0
"""Filtered demand and rates of resource blocks."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_slicing.allocation.demand import DemandFilter, mean_block_rate


def test_block_rate_is_what_even_bits_see():
    """10 Mbit over a 1 Mb/s link and a 3 Mb/s link take 5 + 5/3 s of one block: 1.5 Mb/s."""
    assert mean_block_rate([1e6, 3e6], otherwise=9.0) == pytest.approx(1.5e6)


def test_block_rate_leaves_out_unknown_and_dead_links():
    assert mean_block_rate([math.nan, 0.0, 2e6], otherwise=9.0) == pytest.approx(2e6)
    assert mean_block_rate([math.nan, 0.0], otherwise=9.0) == 9.0


def test_step_reaches_63_percent_after_the_time_constant():
    smooth = DemandFilter(2.0)
    assert smooth.update(0.0, {"a": 0.0}) == {"a": 0.0}
    for k in range(1, 11):
        got = smooth.update(0.2 * k, {"a": 100.0})
    assert got["a"] == pytest.approx(100.0 * (1 - math.exp(-1)))


def test_time_that_jumps_back_starts_anew():
    smooth = DemandFilter(1.0)
    smooth.update(100.0, {"a": 50.0})
    assert smooth.update(0.1, {"a": 10.0}) == {"a": 10.0}


def test_new_and_vanished_slices():
    smooth = DemandFilter(1.0)
    smooth.update(0.0, {"a": 10.0})
    assert smooth.update(0.1, {"b": 7.0}) == {"b": 7.0}
    assert smooth.update(0.2, {"a": 30.0, "b": 7.0})["a"] == 30.0


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 1e9)), min_size=1))
def test_filter_stays_within_what_it_saw(samples):
    smooth, time, seen = DemandFilter(1.0), 0.0, []
    for step, rate in samples:
        time += step
        seen.append(rate)
        assert min(seen) * (1 - 1e-9) <= smooth.update(time, {"a": rate})["a"] <= max(seen) * (1 + 1e-9)
