# SPDX-License-Identifier: Apache-2.0
"""The journal of a cell, and a cell that repeats one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ir_common.journal import Journal
from ir_radio.books.cell_report import FlowCounters, Report
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec

_CALLS = (
    "set_slice", "remove_slice", "set_allocation", "add_link", "set_pose", "set_measured", "flow", "close_flow",
    "reset_time", "report",
)  # fmt: skip


def keep(cell: Cell, mini_slots: int | None, start: int, seed: int) -> Journal:
    """The journal of a cell from now on, which must be as it was made; what lets time run on is in its stamps.

    Args:
        cell: made of its carrier and these:
        mini_slots: as given to it.
        start: as given to it, ns.
        seed: as given to it.
    """
    journal = Journal("cell", {"carrier": cell.carrier, "mini_slots": mini_slots, "start": start, "seed": seed})
    journal.watch(cell, *_CALLS, first=lambda: cell.now)
    journal.watch(cell, "offer", together=True)  # has its time among its arguments
    return journal


class CellReplay:
    """A cell that is told the calls of a journal (older ones: no seed); its reports are those of the recorded cell."""

    def __init__(self, carrier: dict[str, Any], mini_slots: int | None, start: int, seed: int = 0) -> None:
        self.cell = Cell(Carrier.model_validate(carrier), mini_slots=mini_slots, start=start, seed=seed)
        self._slices: dict[str, Any] = {}

    def apply(self, call: str, *arguments: Any) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Makes a call; yields what the recorded node said after it: (topic, key, content)."""
        if call == "offer":
            for offer in arguments[0]:
                self.cell.offer(*offer)
            return
        now, *rest = arguments
        if now > self.cell.now:
            self.cell.advance(now)
        if call == "set_slice":
            self.cell.set_slice(SliceSpec.model_validate(rest[0]))
        elif call == "flow":
            self.cell.flow(FlowKey(*rest[0]))
        elif call == "report":
            yield "/radio/report", now, self._said(self.cell.report())
        elif call in _CALLS:
            getattr(self.cell, call)(*rest)
        else:
            raise ValueError(f"a cell has no call {call}")

    def _said(self, report: Report) -> dict[str, Any]:
        self._slices = {row.slice: _counts(row.counters) | {"delay_max": row.delay.max} for row in report.slices}
        flows = {f"{row.robot}/{row.topic} {row.direction} {row.slice}": _counts(row.counters) for row in report.flows}
        return {"slices": self._slices, "flows": flows}

    def totals(self) -> dict[str, Any]:
        """The last report's part of the run's report."""
        return {"slices": self._slices}


def _counts(counters: FlowCounters) -> dict[str, Any]:
    """Messages and bytes, in the form of the run's report."""

    def pair(messages: int, size: int) -> dict[str, int]:
        return {"messages": messages, "bytes": size}

    return {
        "offered": pair(counters.offered, counters.offered_bytes),
        "delivered": pair(counters.delivered, counters.delivered_bytes),
        "queued": pair(counters.queued, counters.queued_bytes),
        "dropped": {reason: pair(*counts) for reason, counts in counters.dropped.items()},
    }
