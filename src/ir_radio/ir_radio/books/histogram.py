# SPDX-License-Identifier: Apache-2.0
"""Histograms of delays: which bin a delay is counted in, and what mean and percentiles the counts give."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ir_radio.compiled import jit

Counts = NDArray[np.int64]

# Delays are counted in bins of 1/32 of a power of two: relative error of a bin's middle at most 1/64.
BINS_PER_OCTAVE = 32
FIRST_OCTAVE, OCTAVES = 10, 32  # from 1 us to 2^42 ns = 73 min
BINS = OCTAVES * BINS_PER_OCTAVE
_SHIFT = 5  # 2 to its power: BINS_PER_OCTAVE

PERCENTILE_ERROR = 1.0 / 64.0
"""Largest relative error of a percentile between 1 us and 73 min: half the width of a bin."""

# Middle of each bin, s; `delay_bin` says which delays fall in.
_OCTAVE, _PART = np.divmod(np.arange(BINS), BINS_PER_OCTAVE)
MIDDLES = 2.0 ** (_OCTAVE + FIRST_OCTAVE) * (1.0 + (_PART + 0.5) / BINS_PER_OCTAVE) * 1e-9


class Delay(NamedTuple):
    """Delays from the arrival at the radio to the departure of the last bit, s; NaN where `count` is 0."""

    count: int = 0  # type: ignore[assignment]  # the field, in the place of the method of tuples
    mean: float = math.nan
    p50: float = math.nan
    p99: float = math.nan
    max: float = math.nan


def percentile(counts: Counts, fraction: float) -> float:
    """The smallest delay that at least `fraction` of the messages do not exceed (nearest rank), s.

    Args:
        counts: [BINS] int64, messages in each bin of delay.
        fraction: in (0, 1].

    Returns:
        The middle of the bin, within `PERCENTILE_ERROR`; NaN where nothing was counted.
    """
    total = int(counts.sum())
    if total == 0:
        return math.nan
    rank = max(1, math.ceil(fraction * total - 1e-9))
    return float(MIDDLES[int(np.searchsorted(np.cumsum(counts), rank))])


def delay_of(counts: Counts, total: float, longest: float | None) -> Delay:
    """Delay figures of a histogram.

    Args:
        counts: [BINS] int64.
        total: sum of the delays, s.
        longest: the greatest of them, s; none: that of the histogram, within `PERCENTILE_ERROR`.
    """
    count = int(counts.sum())
    if count == 0:
        return Delay()
    if longest is None:
        longest = percentile(counts, 1.0)
    p50, p99 = (min(percentile(counts, fraction), longest) for fraction in (0.5, 0.99))
    return Delay(count, total / count, p50, p99, longest)


def delays_of(ranked: Counts, totals: NDArray[np.float64], longest: NDArray[np.float64]) -> list[Delay]:
    """Delay figures of many histograms, as `delay_of`.

    Args:
        ranked: [n, 3] int64, messages and the bins of p50 and p99 (`ranks`).
        totals, longest: [n] float64, sum of the delays and the greatest of them, s.
    """
    counts = ranked[:, 0]
    middles = np.minimum(MIDDLES[ranked[:, 1:]], longest[:, None])
    mean = totals / np.maximum(counts, 1)
    rows, none = zip(counts.tolist(), mean.tolist(), *middles.T.tolist(), longest.tolist(), strict=True), Delay()
    return [tuple.__new__(Delay, row) if row[0] else none for row in rows]


@jit
def delay_bin(delay: int) -> int:
    """The bin of a delay in ns; too small and too large ones are counted in the outermost bins."""
    octave = math.frexp(float(delay))[1] - 1  # 2^octave <= delay; delays are far below 2^53
    if octave < FIRST_OCTAVE:
        return 0
    if octave >= FIRST_OCTAVE + OCTAVES:
        return BINS - 1
    return ((octave - FIRST_OCTAVE) << _SHIFT) + ((delay >> (octave - _SHIFT)) & (BINS_PER_OCTAVE - 1))


@jit
def ranks(delays: Counts, rows: Counts, longest: Counts, out: Counts) -> None:
    """Bins of the delays that half, and 99 of 100, of a flow's messages do not exceed (nearest rank).

    Args:
        delays: [flows, BINS] int64, messages.
        rows: [n] int64, flows.
        longest: [n] int64, the greatest delay of each, ns: bins beyond it are empty, and not looked at.
        out: [n, 3] int64: messages, the two bins; untouched where there are no messages.
    """
    for i in range(len(rows)):
        counts = delays[rows[i], : delay_bin(longest[i]) + 1]
        total = 0
        for b in range(len(counts)):
            total += counts[b]
        out[i, 0] = total
        half, most, below = max(1, (total + 1) // 2), max(1, (99 * total + 99) // 100), 0
        for b in range(len(counts)):
            if below < half <= below + counts[b]:
                out[i, 1] = b
            if below < most <= below + counts[b]:
                out[i, 2] = b
                break
            below += counts[b]


@jit
def add_up(delays: Counts, rows: Counts, longest: Counts, out: Counts) -> None:
    """Adds the histograms of some flows to `out`.

    Args:
        delays: [flows, BINS] int64, messages.
        rows: [n] int64, flows.
        longest: as in `ranks`.
        out: [BINS] int64, added to.
    """
    for i in range(len(rows)):
        for b in range(delay_bin(longest[i]) + 1):
            out[b] += delays[rows[i], b]
