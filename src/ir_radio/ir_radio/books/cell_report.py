# SPDX-License-Identifier: Apache-2.0
"""What a cell did, as plain data: counters, delay figures, rows of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ir_radio.books.histogram import Delay

NONE_DROPPED: Mapping[str, tuple[int, int]] = {}
"""Shared by all flows that lost nothing."""


class FlowCounters(NamedTuple):
    """Messages and bytes of one flow, or of several together: offered = delivered + sum(dropped) + queued, always.

    Attributes:
        dropped: reason -> (messages, bytes), sorted by reason.
    """

    offered: int = 0
    offered_bytes: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    queued: int = 0
    queued_bytes: int = 0
    dropped: Mapping[str, tuple[int, int]] = NONE_DROPPED

    def balance(self) -> tuple[int, int]:
        """Messages and bytes that are not accounted for: (0, 0)."""
        drops = [sum(part) for part in zip(*self.dropped.values(), strict=True)] or [0, 0]
        return (
            self.offered - self.delivered - self.queued - drops[0],
            self.offered_bytes - self.delivered_bytes - self.queued_bytes - drops[1],
        )


class FlowRow(NamedTuple):
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
    counters: FlowCounters
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
    counters: FlowCounters
    delay: Delay
    recent_delay: Delay
    retransmissions: int = 0
    harq_failures: int = 0
    punctured_blocks: int = 0
    lost_bytes: int = 0


class LinkRow(NamedTuple):
    """One robot's link: m, dB, bit/s of one resource block; NaN while the pose is unknown.

    Attributes:
        station: base station that serves it: 0, or the number of the carrier's neighbour.
        handovers: changes of it. bad_poses: poses that were refused. failures: of the radio link.
        uplink_snr: dB; that of downlink where terminals have no power of their own.
    """

    robot: str
    distance: float
    snr: float
    rate: float
    station: int = 0
    handovers: int = 0
    bad_poses: int = 0
    failures: int = 0
    uplink_snr: float = math.nan


@dataclass(frozen=True)
class Report:
    """What a cell did: counters since the start, rates over the last `period` s up to `time` ns."""

    time: int
    period: float
    slices: tuple[SliceRow, ...]
    flows: tuple[FlowRow, ...]
    links: tuple[LinkRow, ...]
    scheduler: str = "reserved"
