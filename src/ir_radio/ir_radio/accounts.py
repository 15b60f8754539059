# SPDX-License-Identifier: Apache-2.0
"""Reports of a cell: what its tables say, and rates over the period since the last report."""

from __future__ import annotations

import math

import numpy as np

from ir_radio import channel, stats
from ir_radio.ledger import NOTHING, FlowKey, Ledger, Totals
from ir_radio.mobility import Place
from ir_radio.slices import Carrier
from ir_radio.tables import MEASURED, Table

_NS = 1_000_000_000


class Accounts:
    """Keeps report periods.

    Args:
        carrier: the carrier.
        ledger: books of the flows.
        slices, links: tables of the cell.
        rows: rows of each slice in `slices`, one per station.
        types: type of each slice.
    """

    def __init__(
        self, carrier: Carrier, ledger: Ledger, slices: Table, links: Table,
        rows: dict[str, list[int]], types: dict[str, str],
    ) -> None:  # fmt: skip
        self._carrier, self._ledger, self._slices, self._links = carrier, ledger, slices, links
        self._rows, self._types = rows, types
        self._accounted = self._reported = 0
        self._allocated: dict[str, float] = {}  # resource blocks times ns
        self._before: dict[str, Totals] = {}

    def begin(self, time: int) -> None:
        """A period begins at `time`, ns."""
        self._accounted = self._reported = time
        self._allocated = dict.fromkeys(self._rows, 0.0)
        self._before = {name: self._totals(name) for name in self._rows}

    def account(self, time: int) -> None:
        """Counts what was allocated up to `time`, ns; before each change of it."""
        for name, rows in self._rows.items():
            blocks = float(self._slices.rows[rows]["blocks"].sum())
            self._allocated[name] = self._allocated.get(name, 0.0) + blocks * (time - self._accounted)
        self._accounted = time

    def report(self, time: int, links: dict[str, int], places: dict[str, Place]) -> stats.Report:
        """The report at `time`, ns; a new period begins."""
        self.account(time)
        period = (time - self._reported) / _NS
        report = stats.Report(
            time,
            period,
            tuple(self._slice(name, period, links) for name in self._rows),
            tuple(self._flow(*item) for item in self._ledger.rows.items()),
            tuple(self._link(robot, row, places[robot]) for robot, row in links.items()),
            self._carrier.air.scheduler,
        )
        self.begin(time)
        return report

    def _totals(self, name: str) -> Totals:
        return self._ledger.totals(name, float(self._slices.rows[self._rows[name]]["used"].sum()))

    def _slice(self, name: str, period: float, links: dict[str, int]) -> stats.SliceRow:
        now, before, rows = self._totals(name), self._before.get(name, NOTHING), self._ledger.of_slice(name)
        allocated = self._allocated.get(name, 0.0)
        records = self._slices.rows[self._rows[name]]
        robots = {key.robot for key in self._ledger.rows if key.slice == name}
        rates = [rate for robot in robots if not math.isnan(rate := self._mean_rate(links[robot]))]
        blocks = float(records["blocks"][0])
        retransmissions, failures = self._ledger.harq(rows)
        return stats.SliceRow(
            slice=name,
            type=self._types[name],
            resource_blocks=blocks,
            capacity=blocks * sum(rates) / len(rates) if rates else 0.0,
            offered_rate=8.0 * (now.offered_bytes - before.offered_bytes) / period if period > 0 else 0.0,
            delivered_rate=8.0 * (now.delivered_bytes - before.delivered_bytes) / period if period > 0 else 0.0,
            utilisation=min((now.used - before.used) / allocated, 1.0) if allocated > 0 else 0.0,
            books=self._ledger.books(rows),
            delay=self._ledger.delay(rows),
            recent_delay=stats.delay_of(now.delays - before.delays, (now.delay_sum - before.delay_sum) / _NS, None),
            retransmissions=retransmissions,
            harq_failures=failures,
            punctured_blocks=int(records["punctured"].sum()),
            lost_bytes=int(records["lost"].sum() / 8.0),
        )

    def _flow(self, key: FlowKey, row: int) -> stats.FlowRow:
        books, late = self._ledger.books([row]), int(self._ledger.flows.rows[row]["late"])
        expired = books.dropped.get("expired", (0, 0))[0]
        retransmissions, failures = self._ledger.harq([row])
        return stats.FlowRow(
            key.slice, key.robot, key.topic, key.direction, books, self._ledger.delay([row]),
            expired, late + expired, retransmissions, failures,
        )  # fmt: skip

    def _link(self, robot: str, row: int, place: Place) -> stats.LinkRow:
        snr = 10.0 * float(np.log10(self._links.rows[row]["snr"]))
        station = int(self._links.rows[row]["station"])
        return stats.LinkRow(
            robot, place.distance, snr, self._mean_rate(row), station, place.handovers, place.bad_poses
        )

    def _mean_rate(self, row: int) -> float:
        """Rate of a resource block at the link's mean SNR, or as measured, bit/s."""
        record = self._links.rows[row]
        if record["era"] == MEASURED:
            return float(record["rate"])
        return float(channel.block_rate(self._carrier, 10.0 * np.log10(record["snr"])))
