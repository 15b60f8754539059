# SPDX-License-Identifier: Apache-2.0
"""Arrival processes of IoR section IV (1): Poisson for eMBB, compound Poisson for bursty URLLC."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr

from ir_radio.compiled import jit

Times = NDArray[np.int64]

_SMALL, _MOST = 10.0, 64
"""Means that are drawn by a table of so many counts; what lies beyond it has a probability under 1e-27."""
_AHEAD = 16
"""Packets of a batch that are written at once; more than most batches have of small means."""


def poisson(rate: float, start: int, end: int, rng: np.random.Generator) -> Times:
    """Arrivals of a Poisson process: exponential gaps of mean 1 / rate.

    Args:
        rate: arrivals per second, not negative.
        start, end: ns; arrivals lie in [start, end).
        rng: source of chance.

    Returns:
        [n] int64, ns, sorted.

    Raises:
        ValueError: the rate is negative or not finite, or the end is before the start.
    """
    _check(rate, "rate of arrivals")
    if end < start:
        raise ValueError(f"traffic that ends at {end} ns, before its start at {start} ns")
    # Given their number, the arrivals of a Poisson process are independent and uniform.
    count = rng.poisson(rate * (end - start) * 1e-9)
    return np.sort(rng.integers(start, max(end, start + 1), count))


def compound_poisson(batch_rate: float, mean_packets: float, start: int, end: int, rng: np.random.Generator) -> Times:
    """Packets that come in batches: batches as `poisson`, the number of packets of each Poisson distributed.

    All packets of a batch come at the same instant; a batch may be empty, as the Poisson distribution has it. Mean
    packets per second: batch_rate x mean_packets; their counts are over-dispersed by the factor 1 + mean_packets.

    Args:
        batch_rate: batches per second, not negative.
        mean_packets: mean number of packets of a batch, not negative.
        start, end: ns.
        rng: source of chance.

    Returns:
        [n] int64, ns, sorted: one entry per packet.

    Raises:
        ValueError: as for `poisson`.
    """
    _check(mean_packets, "mean number of packets")
    batches = poisson(batch_rate, start, end, rng)
    counts = _counts(mean_packets, len(batches), rng)
    packets = np.empty(int(counts.sum()), np.int64)
    _repeat(batches, counts, packets)
    return packets


def _counts(mean: float, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[n] int64, Poisson distributed; NumPy multiplies uniform numbers for small means, in eight times the time."""
    if mean >= _SMALL:
        return rng.poisson(mean, n)
    chances = rng.random(n)
    counts = np.empty(n, np.int64)
    table = pdtr(np.arange(_MOST), mean)
    _invert(table[table < 1.0], chances, counts)
    return counts


@jit
def _invert(table: NDArray[np.float64], chances: NDArray[np.float64], counts: NDArray[np.int64]) -> None:
    """The least count whose distribution function, `table`, exceeds each chance in [0, 1); no branch, so vectorised."""
    for i in range(len(chances)):
        count = 0
        for k in range(len(table)):
            count += table[k] <= chances[i]
        counts[i] = count


@jit
def _repeat(batches: Times, counts: NDArray[np.int64], packets: Times) -> None:
    """As np.repeat, in half of its time: writes more than it needs, at a fixed length, and lets the next write over."""
    at = 0
    for i in range(len(batches)):
        end = at + counts[i]
        if at + _AHEAD <= len(packets):
            for k in range(_AHEAD):
                packets[at + k] = batches[i]
            at += _AHEAD
        for k in range(at, end):
            packets[k] = batches[i]
        at = end


def _check(value: float, what: str) -> None:
    if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(f"{what} is {value}; give a finite number from 0 up")
