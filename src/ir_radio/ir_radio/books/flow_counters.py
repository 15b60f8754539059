# SPDX-License-Identifier: Apache-2.0
"""The counters of the flows of a cell: one row per flow, summed up per slice."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ir_radio.books.cell_report import NONE_DROPPED, FlowCounters, FlowRow
from ir_radio.books.histogram import BINS, Delay, add_up, delay_of, delays_of, ranks
from ir_radio.cell_tables import FLOW, Fate, Table
from ir_radio.model.slice_specs import Direction


class FlowKey(NamedTuple):
    """Names one topic of one robot in one direction, and the slice that carries it."""

    slice: str
    robot: str
    topic: str
    direction: Direction


class SliceSums(NamedTuple):
    """Running sums over the flows of a slice since the start; their differences are the figures of a report period.

    Attributes:
        offered_bytes, delivered_bytes: bytes.
        used: resource blocks times ns that carried bits.
        delay_sum: of the delays of delivered messages, ns.
        delays: [BINS] int64, histogram of them.
    """

    offered_bytes: int
    delivered_bytes: int
    used: float
    delay_sum: float
    delays: NDArray[np.int64]


_COUNTS = ("offered", "offered_bytes", "delivered", "delivered_bytes", "queued", "queued_bytes")
_REASONS = [fate.name.lower() for fate in Fate]
_ORDER = np.argsort(np.argsort(_REASONS))  # place of each among the sorted ones
NOTHING = SliceSums(0, 0, 0.0, 0.0, np.zeros(BINS, np.int64))


class CounterTable:
    """Counters and delays of flows since the start.

    Attributes:
        rows: row of each flow, by its name.
        robots: those that a slice has flows of, by the slice's name.
        flows, drops, delays: the kernel's tables; drops [flow, fate, (messages, bytes)], delays [flow, bin].
    """

    def __init__(self) -> None:
        self.rows: dict[FlowKey, int] = {}
        self.robots: dict[str, set[str]] = {}
        self._of_slice: dict[str, list[int]] = {}
        self._arrays: dict[str, NDArray[np.int64]] = {}  # the same, for a report
        self.flows = Table(FLOW)
        self.drops, self.delays = Table(np.int64, (len(Fate), 2)), Table(np.int64, (BINS,))

    def open(self, key: FlowKey, queue: int) -> int:
        """The row of a flow, which is open from now on."""
        if key not in self.rows:
            self.rows[key] = self.flows.add()
            self._of_slice.setdefault(key.slice, []).append(self.rows[key])
            self.robots.setdefault(key.slice, set()).add(key.robot)
            self.drops.add()
            self.delays.add()
        row = self.rows[key]
        self.flows.rows[row]["queue"], self.flows.rows[row]["active"] = queue, 1
        return row

    def of_slice(self, name: str) -> NDArray[np.int64]:
        """Rows of the flows of a slice, in the order in which they were opened first; not to be written."""
        rows = self._of_slice.get(name, [])
        if len(self._arrays.get(name, ())) != len(rows) or not rows:
            self._arrays[name] = np.array(rows, np.int64)
        return self._arrays[name]

    def close(self, name: str) -> None:
        """Closes the flows of a slice."""
        self.flows.rows["active"][self.of_slice(name)] = 0

    def forget(self, name: str) -> None:
        """Gives up the rows of a slice, whose flows are closed and empty."""
        for key in [key for key in self.rows if key.slice == name]:
            row = self.rows.pop(key)
            for table in (self.flows, self.drops, self.delays):
                table.release(row)
        self._of_slice.pop(name, None)
        self._arrays.pop(name, None)
        self.robots.pop(name, None)

    def counters(self, rows: NDArray[np.int64] | list[int]) -> FlowCounters:
        """The counters of some flows, added up."""
        flows, drops = self.flows.rows[rows], self.drops.rows[rows].sum(axis=0)
        return FlowCounters(
            offered=int(flows["offered"].sum()),
            offered_bytes=int(flows["offered_bytes"].sum()),
            delivered=int(flows["delivered"].sum()),
            delivered_bytes=int(flows["delivered_bytes"].sum()),
            queued=int(flows["queued"].sum()),
            queued_bytes=int(flows["queued_bytes"].sum()),
            dropped=_dropped(drops[None])[0],
        )

    def harq(self, rows: NDArray[np.int64]) -> tuple[int, int]:
        """Blocks of some flows that were sent again, and their messages that were dropped in the end."""
        failures = self.drops.rows[rows, int(Fate.HARQ_FAILED), 0].sum()
        return int(self.flows.rows[rows]["retransmissions"].sum()), int(failures)

    def delay(self, rows: NDArray[np.int64], sums: SliceSums) -> Delay:
        """Delay figures of some flows together, given their running sums."""
        longest = float(self.flows.rows["delay_max"][rows].max(initial=0)) * 1e-9
        return delay_of(sums.delays, sums.delay_sum * 1e-9, longest)

    def sums(self, rows: NDArray[np.int64], used: float) -> SliceSums:
        """Running sums of some flows; `used`: resource blocks times ns that carried bits."""
        flows, delays = self.flows.rows[rows], np.zeros(BINS, np.int64)
        add_up(self.delays.rows, rows, flows["delay_max"].copy(), delays)
        return SliceSums(
            int(flows["offered_bytes"].sum()),
            int(flows["delivered_bytes"].sum()),
            used,
            float(flows["delay_sum"].sum()),
            delays,
        )

    def each(self) -> list[FlowRow]:
        """The row of every flow for a report, in the order in which they were opened first."""
        order = np.fromiter(self.rows.values(), np.int64, len(self.rows))
        flows, drops = self.flows.rows[order], self.drops.rows[order]
        bins, longest = np.zeros((len(order), 3), np.int64), flows["delay_max"].copy()
        ranks(self.delays.rows, order, longest, bins)
        counted = zip(*(flows[name].tolist() for name in _COUNTS), _dropped(drops), strict=True)
        delays = delays_of(bins, flows["delay_sum"] * 1e-9, longest * 1e-9)
        expired, failed = drops[:, Fate.EXPIRED, 0], drops[:, Fate.HARQ_FAILED, 0]
        late, again = flows["late"] + expired, flows["retransmissions"]
        columns = (
            map(partial(tuple.__new__, FlowCounters), counted), delays,
            *(column.tolist() for column in (expired, late, again, failed)),
        )  # fmt: skip
        return list(map(partial(tuple.__new__, FlowRow), zip(*zip(*self.rows, strict=True), *columns, strict=True)))


def _dropped(drops: NDArray[np.int64]) -> list[Mapping[str, tuple[int, int]]]:
    """Messages and bytes of each flow that were dropped by reason, sorted; `drops`: [flow, fate, 2]."""
    found: list[dict[str, tuple[int, int]]] = [{}] * len(drops)  # shared by those that lost nothing
    flows, fates = np.nonzero(drops[:, :, 0])
    order = np.argsort(flows * len(_REASONS) + _ORDER[fates])
    flows, fates = flows[order], fates[order]
    pairs = map(tuple, drops[flows, fates].tolist())
    for flow, reason, pair in zip(flows.tolist(), fates.tolist(), pairs, strict=True):
        if not found[flow]:
            found[flow] = {}
        found[flow][_REASONS[reason]] = pair
    return [one or NONE_DROPPED for one in found]
