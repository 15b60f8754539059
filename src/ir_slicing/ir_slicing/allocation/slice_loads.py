# SPDX-License-Identifier: Apache-2.0
"""Loads of the slices, read from the radio's reports, whose counters run since the radio's start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ir_radio.books.cell_report import FlowCounters, Report, SliceRow
from ir_slicing.allocation.demand import Load


def dropped(counters: FlowCounters) -> int:
    """Messages dropped since the start, for whatever reason."""
    return sum(messages for messages, _ in counters.dropped.values())


@dataclass
class LoadReader:
    """Loads of the slices, report by report."""

    _dropped: dict[str, int] = field(default_factory=dict)

    def read(self, report: Report, bounds: Mapping[str, float]) -> dict[str, Load]:
        """The load of each slice of one report.

        Args:
            report: from the radio.
            bounds: latency bound of each slice, s.
        """
        before, self._dropped = self._dropped, {row.slice: dropped(row.counters) for row in report.slices}
        return {
            row.slice: Load(
                row.offered_rate,
                8.0 * row.counters.queued_bytes,
                missed(row, bounds.get(row.slice, float("inf")))
                or self._dropped[row.slice] > before.get(row.slice, self._dropped[row.slice]),
            )
            for row in report.slices
        }


def missed(row: SliceRow, bound: float) -> bool:
    """Whether messages came after the bound (s) in the report period, or none came though some wait."""
    return row.recent_delay.p99 > bound or (row.delivered_rate == 0.0 and row.counters.queued_bytes > 0)
