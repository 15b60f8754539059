# SPDX-License-Identifier: Apache-2.0
"""What a cell did, as plain data: books, delay figures, rows of a report."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ir_radio.engine.cell_tables import BINS, BINS_PER_OCTAVE, FIRST_OCTAVE

PERCENTILE_ERROR = 1.0 / 64.0
"""Largest relative error of a percentile between 1 us and 73 min: half the width of a bin."""

# Middle of each bin, s; `queueing.delay_bin` says which delays fall in.
_OCTAVE, _PART = np.divmod(np.arange(BINS), BINS_PER_OCTAVE)
MIDDLES = 2.0 ** (_OCTAVE + FIRST_OCTAVE) * (1.0 + (_PART + 0.5) / BINS_PER_OCTAVE) * 1e-9


@dataclass(frozen=True)
class Books:
    """Messages and bytes: offered = delivered + sum(dropped) + queued, always.

    Attributes:
        dropped: reason -> (messages, bytes), sorted by reason.
    """

    offered: int = 0
    offered_bytes: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    queued: int = 0
    queued_bytes: int = 0
    dropped: dict[str, tuple[int, int]] = field(default_factory=dict)

    def balance(self) -> tuple[int, int]:
        """Messages and bytes that are not accounted for: (0, 0)."""
        drops = [sum(part) for part in zip(*self.dropped.values(), strict=True)] or [0, 0]
        return (
            self.offered - self.delivered - self.queued - drops[0],
            self.offered_bytes - self.delivered_bytes - self.queued_bytes - drops[1],
        )


@dataclass(frozen=True)
class Delay:
    """Delays from the arrival at the radio to the departure of the last bit, s; NaN where `count` is 0."""

    count: int = 0
    mean: float = math.nan
    p50: float = math.nan
    p99: float = math.nan
    max: float = math.nan


def percentile(counts: NDArray[np.int64], fraction: float) -> float:
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


def delay_of(counts: NDArray[np.int64], total: float, longest: float | None) -> Delay:
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


def delays_of(ranks: NDArray[np.int64], totals: NDArray[np.float64], longest: NDArray[np.float64]) -> list[Delay]:
    """Delay figures of many histograms, as `delay_of`.

    Args:
        ranks: [n, 3] int64, messages and the bins of p50 and p99 (`queueing.ranks`).
        totals, longest: [n] float64, sum of the delays and the greatest of them, s.
    """
    counts = ranks[:, 0]
    middles = np.minimum(MIDDLES[ranks[:, 1:]], longest[:, None])
    mean = totals / np.maximum(counts, 1)
    rows = zip(counts.tolist(), mean.tolist(), *middles.T.tolist(), longest.tolist(), strict=True)
    return [Delay(*row) if row[0] else Delay() for row in rows]


@dataclass(frozen=True)
class FlowRow:
    """One topic of one robot in one direction.

    Attributes:
        expired: messages dropped because their latency bound was over before they were sent.
        deadline_missed: messages delivered after the slice's latency bound, and expired ones.
        retransmissions: blocks, led by a message of it, that failed and were sent again.
        harq_failures: messages dropped because their block failed too often.
    """

    slice: str
    robot: str
    topic: str
    direction: str
    books: Books
    delay: Delay
    expired: int = 0
    deadline_missed: int = 0
    retransmissions: int = 0
    harq_failures: int = 0


@dataclass(frozen=True)
class SliceRow:
    """One slice; rates in bit/s over the period of the report.

    Attributes:
        punctured_blocks: resource blocks times mini-slots that URLLC took from it since the start.
        lost_bytes: that were to go in a slot, but were punctured or not decoded and stay queued, since the start.
    """

    slice: str
    type: str
    resource_blocks: float
    capacity: float
    offered_rate: float
    delivered_rate: float
    utilisation: float
    books: Books
    delay: Delay
    recent_delay: Delay
    retransmissions: int = 0
    harq_failures: int = 0
    punctured_blocks: int = 0
    lost_bytes: int = 0


@dataclass(frozen=True)
class LinkRow:
    """One robot's link: m, dB, bit/s of one resource block; NaN while the pose is unknown.

    Attributes:
        station: base station that serves it: 0, or the number of the carrier's neighbour.
        handovers: changes of it. bad_poses: poses that were refused.
    """

    robot: str
    distance: float
    snr: float
    rate: float
    station: int = 0
    handovers: int = 0
    bad_poses: int = 0


@dataclass(frozen=True)
class Report:
    """What a cell did: totals since the start, rates over the last `period` s up to `time` ns."""

    time: int
    period: float
    slices: tuple[SliceRow, ...]
    flows: tuple[FlowRow, ...]
    links: tuple[LinkRow, ...]
    scheduler: str = "reserved"
