# SPDX-License-Identifier: Apache-2.0
"""The books of a cell: one row per flow, summed up per slice."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ir_radio.books import cell_report
from ir_radio.engine import queueing
from ir_radio.engine.cell_tables import BINS, FLOW, Fate, Table
from ir_radio.model.slice_specs import Direction


class FlowKey(NamedTuple):
    """Names one topic of one robot in one direction, and the slice that carries it."""

    slice: str
    robot: str
    topic: str
    direction: Direction


class FlowCounters(NamedTuple):
    """Running sums of a slice; their differences are the figures of a report period."""

    offered_bytes: int
    delivered_bytes: int
    used: float
    delay_sum: float
    delays: NDArray[np.int64]


_BOOKS = ("offered", "offered_bytes", "delivered", "delivered_bytes", "queued", "queued_bytes")
NOTHING = FlowCounters(0, 0, 0.0, 0.0, np.zeros(BINS, np.int64))


class CounterTable:
    """Books and delays of flows since the start.

    Attributes:
        rows: row of each flow, by its name.
        flows, drops, delays: the kernel's tables; drops [flow, fate, (messages, bytes)], delays [flow, bin].
    """

    def __init__(self) -> None:
        self.rows: dict[FlowKey, int] = {}
        self.flows = Table(FLOW)
        self.drops, self.delays = Table(np.int64, (len(Fate), 2)), Table(np.int64, (BINS,))

    def open(self, key: FlowKey, queue: int) -> int:
        """The row of a flow, which is open from now on."""
        if key not in self.rows:
            self.rows[key] = self.flows.add()
            self.drops.add()
            self.delays.add()
        row = self.rows[key]
        self.flows.rows[row]["queue"], self.flows.rows[row]["active"] = queue, 1
        return row

    def of_slice(self, name: str) -> list[int]:
        """Rows of the flows of a slice."""
        return [row for key, row in self.rows.items() if key.slice == name]

    def close(self, name: str) -> None:
        """Closes the flows of a slice."""
        for row in self.of_slice(name):
            self.flows.rows[row]["active"] = 0

    def forget(self, name: str) -> None:
        """Gives up the rows of a slice, whose flows are closed and empty."""
        for key in [key for key in self.rows if key.slice == name]:
            row = self.rows.pop(key)
            for table in (self.flows, self.drops, self.delays):
                table.release(row)

    def books(self, rows: list[int]) -> cell_report.Books:
        """The books of some flows together."""
        flows, drops = self.flows.rows[rows], self.drops.rows[rows].sum(axis=0)
        dropped = {fate.name.lower(): (int(drops[fate, 0]), int(drops[fate, 1])) for fate in Fate if drops[fate, 0]}
        return cell_report.Books(
            offered=int(flows["offered"].sum()),
            offered_bytes=int(flows["offered_bytes"].sum()),
            delivered=int(flows["delivered"].sum()),
            delivered_bytes=int(flows["delivered_bytes"].sum()),
            queued=int(flows["queued"].sum()),
            queued_bytes=int(flows["queued_bytes"].sum()),
            dropped=dict(sorted(dropped.items())),
        )

    def harq(self, rows: list[int]) -> tuple[int, int]:
        """Blocks of some flows that were sent again, and their messages that were dropped in the end."""
        failures = self.drops.rows[rows, int(Fate.HARQ_FAILED), 0].sum()
        return int(self.flows.rows[rows]["retransmissions"].sum()), int(failures)

    def delay(self, rows: list[int], totals: FlowCounters) -> cell_report.Delay:
        """Delay figures of some flows together, given their totals."""
        longest = float(self.flows.rows["delay_max"][rows].max(initial=0)) * 1e-9
        return cell_report.delay_of(totals.delays, totals.delay_sum * 1e-9, longest)

    def totals(self, rows: list[int], used: float) -> FlowCounters:
        """Running sums of some flows; `used`: resource blocks times ns that carried bits."""
        flows, delays = self.flows.rows[rows], np.zeros(BINS, np.int64)
        queueing.add_up(self.delays.rows, np.array(rows, np.int64), delays)
        return FlowCounters(
            int(flows["offered_bytes"].sum()),
            int(flows["delivered_bytes"].sum()),
            used,
            float(flows["delay_sum"].sum()),
            delays,
        )

    def each(self) -> list[cell_report.FlowRow]:
        """The figures of every flow."""
        order = list(self.rows.values())
        flows, drops = self.flows.rows[order], self.drops.rows[order]
        ranks = np.zeros((len(order), 3), np.int64)
        queueing.ranks(self.delays.rows, np.array(order, np.int64), ranks)
        delays = cell_report.delays_of(ranks, flows["delay_sum"] * 1e-9, flows["delay_max"] * 1e-9)
        dropped: list[dict[str, tuple[int, int]]] = [{} for _ in order]
        for fate in sorted(Fate, key=lambda fate: fate.name):
            for i in np.flatnonzero(drops[:, fate, 0]).tolist():
                dropped[i][fate.name.lower()] = (int(drops[i, fate, 0]), int(drops[i, fate, 1]))
        books = zip(*(flows[name].tolist() for name in _BOOKS), strict=True)
        expired, failed = (drops[:, fate, 0].tolist() for fate in (Fate.EXPIRED, Fate.HARQ_FAILED))
        late, again = (flows["late"] + drops[:, Fate.EXPIRED, 0]).tolist(), flows["retransmissions"].tolist()
        counts = zip(expired, late, again, failed, strict=True)
        return [
            cell_report.FlowRow(
                key.slice, key.robot, key.topic, key.direction,
                cell_report.Books(**dict(zip(_BOOKS, book, strict=True)), dropped=lost), delay, *count,
            )
            for key, book, lost, delay, count in zip(self.rows, books, dropped, delays, counts, strict=True)
        ]  # fmt: skip
