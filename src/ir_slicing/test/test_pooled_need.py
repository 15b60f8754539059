# SPDX-License-Identifier: Apache-2.0
"""Need of a slice whose devices share one server."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_slicing.allocation.pooled_need import pooled_need, quantile_factor


def test_by_hand():
    """Two blocks busy with messages of 10 ms, one with messages of 40 ms: s = 20 ms; ten times s a second."""
    need = pooled_need(np.array([2e6, 1e6]), np.array([1e4, 4e4]), np.array([1e6, 1e6]), 0.1, 5.0)
    assert need == pytest.approx(3.0 + 5.0 * 0.02 / 0.1)
    assert pooled_need(np.zeros(2), np.array([1e4, 4e4]), np.full(2, 1e6), 0.1, 5.0) == 0.0
    assert pooled_need(np.zeros(0), np.zeros(0), np.zeros(0), 0.1, 5.0) == 0.0


def test_the_factor_is_that_of_an_exponential_delay():
    for reliability in (0.5, 0.99, 0.999):
        assert math.exp(-quantile_factor(reliability)) == pytest.approx(1.0 - reliability)
    assert quantile_factor(1.0 - 1e-12) == pytest.approx(math.log(1e4)), "no model is good for more"


def test_a_queue_with_the_need_keeps_its_bound_for_the_fraction_that_was_asked_for():
    """Independent of the formula: random arrivals of random sizes at one server, message by message."""
    rng, bound, rate = np.random.default_rng(0), 0.05, 1e6
    offered, packet = np.array([2e6, 1e6]), np.array([1e4, 1e4])
    for reliability in (0.9, 0.99):
        blocks = pooled_need(offered, packet, np.full(2, rate), bound, quantile_factor(reliability))
        gaps = rng.exponential(packet[0] / offered.sum(), 200_000)
        service = rng.exponential(packet[0] / (blocks * rate), len(gaps))
        waited, delays = 0.0, np.empty(len(gaps))
        for i, (gap, busy) in enumerate(zip(gaps.tolist(), service.tolist(), strict=True)):
            waited = max(waited - gap, 0.0) + busy
            delays[i] = waited
        assert (delays > bound).mean() == pytest.approx(1.0 - reliability, rel=0.2)


@settings(deadline=None)
@given(
    offered=st.lists(st.just(0.0) | st.floats(1e-3, 1e7), min_size=1, max_size=6),
    parts=st.integers(2, 5),
    factor=st.floats(0.5, 10),
)
def test_devices_that_share_a_server_need_as_much_as_one_and_never_less_for_more(offered, parts, factor):
    one = np.array(offered)
    packet, rate = np.linspace(1e3, 1e5, len(one)), np.linspace(1e5, 1e6, len(one))
    need = pooled_need(one, packet, rate, 0.1, factor)
    split = [np.repeat(values, parts) for values in (one / parts, packet, rate)]
    assert pooled_need(*split, 0.1, factor) == pytest.approx(need)
    assert pooled_need(2.0 * one, packet, rate, 0.1, factor) >= need >= float((one / rate).sum())
