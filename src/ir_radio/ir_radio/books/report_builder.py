# SPDX-License-Identifier: Apache-2.0
"""Reports of a cell: what its tables say, and rates over the period since the last report."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ir_radio.books import cell_report
from ir_radio.books.flow_counters import NOTHING, CounterTable, SliceSums
from ir_radio.books.histogram import delay_of
from ir_radio.cell_tables import MEASURED, Table
from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.mobility import Place

_NS = 1_000_000_000


class ReportBuilder:
    """Makes the reports of a cell, and keeps what the last one was made of for the rates of the next.

    Args:
        carrier: the carrier.
        counters: those of the flows.
        slices, links: tables of the cell.
        rows: rows of each slice in `slices`, one per station.
        types: type of each slice.
    """

    def __init__(
        self, carrier: Carrier, counters: CounterTable, slices: Table, links: Table,
        rows: dict[str, list[int]], types: dict[str, str],
    ) -> None:  # fmt: skip
        self._carrier, self._counters, self._slices, self._links = carrier, counters, slices, links
        self._rows, self._types = rows, types
        self._counted = self._reported = 0
        self._allocated: dict[str, float] = {}  # resource blocks times ns
        self._before: dict[str, SliceSums] = {}

    def begin(self, time: int, sums: dict[str, SliceSums] | None = None) -> None:
        """A period begins at `time`, ns; `sums`: of the slices by now, where they are known."""
        self._counted = self._reported = time
        self._allocated = dict.fromkeys(self._rows, 0.0)
        self._before = {name: self._sums(name) for name in self._rows} if sums is None else sums

    def count_allocated(self, time: int) -> None:
        """Counts what was allocated up to `time`, ns; before each change of it."""
        for name, rows in self._rows.items():
            blocks = float(self._slices.rows[rows]["blocks"].sum())
            self._allocated[name] = self._allocated.get(name, 0.0) + blocks * (time - self._counted)
        self._counted = time

    def report(
        self, time: int, links: dict[str, int], places: dict[str, Place], uplinks: dict[str, int] | None = None
    ) -> cell_report.Report:
        """The report at `time`, ns; a new period begins.

        The rate of a robot with a row of its own for uplink is that of its slower direction: guarantees rest on that.
        """
        self.count_allocated(time)
        period, uplinks = (time - self._reported) / _NS, uplinks or {}
        rates = self._mean_rates()
        for robot, row in uplinks.items():
            rates[links[robot]] = min(rates[links[robot]], rates[row])
        sums = {name: self._sums(name) for name in self._rows}
        report = cell_report.Report(
            time,
            period,
            tuple(self._slice(name, sums[name], period, links, rates) for name in self._rows),
            tuple(self._counters.each()),
            self._link_rows(links, places, rates, uplinks),
            self._carrier.air.scheduler,
        )
        self.begin(time, sums)
        return report

    def _sums(self, name: str) -> SliceSums:
        return self._counters.sums(
            self._counters.of_slice(name), float(self._slices.rows[self._rows[name]]["used"].sum())
        )

    def _slice(
        self, name: str, now: SliceSums, period: float, links: dict[str, int], rates: NDArray[np.float64]
    ) -> cell_report.SliceRow:
        before, rows = self._before.get(name, NOTHING), self._counters.of_slice(name)
        allocated = self._allocated.get(name, 0.0)
        records = self._slices.rows[self._rows[name]]
        there = rates[[links[robot] for robot in self._counters.robots.get(name, ())]]
        known = there[~np.isnan(there)].tolist()
        blocks = float(records["blocks"][0])
        retransmissions, failures = self._counters.harq(rows)
        return cell_report.SliceRow(
            slice=name,
            type=self._types[name],
            resource_blocks=blocks,
            capacity=blocks * math.fsum(known) / len(known) if known else 0.0,
            offered_rate=8.0 * (now.offered_bytes - before.offered_bytes) / period if period > 0 else 0.0,
            delivered_rate=8.0 * (now.delivered_bytes - before.delivered_bytes) / period if period > 0 else 0.0,
            utilisation=min((now.used - before.used) / allocated, 1.0) if allocated > 0 else 0.0,
            counters=self._counters.counters(rows),
            delay=self._counters.delay(rows, now),
            recent_delay=delay_of(now.delays - before.delays, (now.delay_sum - before.delay_sum) / _NS, None),
            retransmissions=retransmissions,
            harq_failures=failures,
            punctured_blocks=int(records["punctured"].sum()),
            lost_bytes=int(records["lost"].sum() / 8.0),
        )

    def _link_rows(
        self, links: dict[str, int], places: dict[str, Place], rates: NDArray[np.float64], uplinks: dict[str, int]
    ) -> tuple[cell_report.LinkRow, ...]:
        snr = self._mean_ratios()
        chosen = list(links.values())
        own = [uplinks.get(robot, row) for robot, row in links.items()] if uplinks else chosen
        stations = self._links.rows["station"][chosen].tolist()
        at = [places[robot] for robot in links]
        distances, handovers = [place.distance for place in at], [place.handovers for place in at]
        bad, failures = [place.bad_poses for place in at], [place.failures for place in at]
        each = zip(
            links, distances, snr[chosen].tolist(), rates[chosen].tolist(), stations, handovers, bad, failures,
            snr[own].tolist(), strict=True,
        )  # fmt: skip
        return tuple(map(partial(tuple.__new__, cell_report.LinkRow), each))

    def _mean_ratios(self) -> NDArray[np.float64]:
        """Mean SNR of each link, dB; of uplink, on as many blocks as `uplink.blocks` says."""
        record, uplink = self._links.rows, self._carrier.uplink
        shared = np.minimum(record["headroom"] / uplink.blocks, 1.0) if uplink else 1.0
        with np.errstate(divide="ignore", invalid="ignore"):  # rows that no link has
            return np.asarray(10.0 * np.log10(record["snr"] * shared))

    def _mean_rates(self) -> NDArray[np.float64]:
        """Rate of a resource block of each link at its mean SNR, or as measured, bit/s."""
        record = self._links.rows
        measured = record["rate"] * self._carrier.least_share
        mean = channel.block_rate(self._carrier, self._mean_ratios())
        return np.where(record["era"] == MEASURED, measured, mean).astype(np.float64)
