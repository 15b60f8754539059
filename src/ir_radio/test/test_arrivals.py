# SPDX-License-Identifier: Apache-2.0
"""Arrival processes against their theory: mean, dispersion, gaps."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ir_radio.model import arrivals
from ir_radio.model.arrivals import compound_poisson, poisson

SECOND = 1_000_000_000


def counts(times, seconds):
    """Arrivals in each of 0.1 s."""
    return np.bincount(times // (SECOND // 10), minlength=10 * seconds)


def test_poisson_has_its_mean_its_variance_and_exponential_gaps():
    times = poisson(200.0, 0, 500 * SECOND, np.random.default_rng(1))
    per_bin = counts(times, 500)
    assert per_bin.mean() == pytest.approx(20.0, abs=4 * math.sqrt(20.0 / 5000))
    assert per_bin.var() / per_bin.mean() == pytest.approx(1.0, abs=4 * math.sqrt(2.0 / 5000))
    assert stats.kstest(np.diff(times) / SECOND, "expon", args=(0, 1 / 200.0)).pvalue > 1e-3


def test_compound_poisson_is_bursty_as_its_theory_says():
    """Variance over mean of the counts is 1 + mean_packets, batches have exponential gaps, sizes are Poisson."""
    times = compound_poisson(50.0, 6.0, 0, 500 * SECOND, np.random.default_rng(2))
    per_bin = counts(times, 500)
    assert per_bin.mean() == pytest.approx(30.0, rel=0.03)
    assert per_bin.var() / per_bin.mean() == pytest.approx(7.0, rel=0.1)
    instants, sizes = np.unique(times, return_counts=True)
    full = 1.0 - math.exp(-6.0)  # empty batches are not seen
    assert sizes.mean() == pytest.approx(6.0 / full, rel=0.02)
    assert stats.kstest(np.diff(instants) / SECOND, "expon", args=(0, 1 / (50.0 * full))).pvalue > 1e-3


@pytest.mark.parametrize("mean", [0.0, 0.3, 6.0, 9.99, 10.0, 30.0])
def test_sizes_of_batches_are_poisson_on_both_sides_of_the_means_that_are_drawn_by_a_table(mean):
    sizes = arrivals._counts(mean, 20_000, np.random.default_rng(4))
    last = max(1, int(stats.poisson.isf(1e-3, mean)))
    seen = np.bincount(np.minimum(sizes, last), minlength=last + 1)
    due = np.append(stats.poisson.pmf(np.arange(last), mean), stats.poisson.sf(last - 1, mean)) * len(sizes)
    enough = due > 5.0
    assert seen[due == 0.0].sum() == 0
    assert ((seen - due)[enough] ** 2 / due[enough]).sum() < stats.chi2.isf(1e-4, max(1, enough.sum() - 1))


@given(st.lists(st.integers(0, 40), max_size=30))
def test_every_batch_has_as_many_packets_as_were_counted(counts):
    batches = np.arange(100, 100 + len(counts))
    packets = np.zeros(sum(counts), np.int64)
    arrivals._repeat(batches, np.array(counts, np.int64), packets)
    assert packets.tolist() == np.repeat(batches, counts).tolist()


def test_same_seed_same_traffic_and_it_stays_within_its_time():
    first, second = (compound_poisson(100.0, 3.0, 7, 2 * SECOND, np.random.default_rng(5)) for _ in range(2))
    assert first.dtype == np.int64 and (first == second).all()
    assert first.min() >= 7 and first.max() < 2 * SECOND and (np.diff(first) >= 0).all()
    assert not len(poisson(0.0, 0, SECOND, np.random.default_rng(0)))
    assert not len(poisson(10.0, 5, 5, np.random.default_rng(0)))


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf])
def test_nonsense_is_refused(rate):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="rate of arrivals"):
        poisson(rate, 0, 1, rng)
    with pytest.raises(ValueError, match="mean number"):
        compound_poisson(1.0, rate, 0, 1, rng)
    with pytest.raises(ValueError, match="before its start"):
        poisson(1.0, 2, 1, rng)
