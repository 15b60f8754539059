# SPDX-License-Identifier: Apache-2.0
"""The journal of a cell, and a cell that repeats one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from ir_common.journal import Journal, Journaled
from ir_radio.books.cell_report import FlowCounters, Report
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.engine.delayed_cell import DelayedCell
from ir_radio.engine.line_cell import LineCell, LineLink
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import DelayTrace
from ir_radio.model.slice_specs import SliceSpec

_REFUSED = frozenset({"set_allocation", "set_pose", "set_measured"})
"""Calls that a cell refuses where their values are wrong; what holds then stays, and the run goes on."""


def journal_of(cell: Cell | LineCell, mini_slots: int | None, start: int, seed: int) -> Journal:
    """An empty journal of a cell, which must be as it was made.

    Args:
        cell: made of its carrier and these:
        mini_slots: as given to it.
        start: as given to it, ns.
        seed: as given to it.
    """
    if isinstance(cell, LineCell):
        return Journal("line", {"lines": cell.lines, "start": start, "seed": seed}, together=("offer",))
    begin: dict[str, Any] = {"carrier": cell.carrier, "mini_slots": mini_slots, "start": start, "seed": seed}
    if isinstance(cell, DelayedCell):
        begin["delays"] = cell.delays
    return Journal("cell", begin, together=("offer",))


class JournaledCell:
    """A cell and the journal of its calls; what lets time run on is in their stamps.

    Args:
        cell: whose calls, but for `advance`, go through here.
        journal: takes them.
    """

    def __init__(self, cell: Cell | LineCell, journal: Journal) -> None:
        self._stamped = Journaled(cell, journal, first=lambda: cell.now)
        self._offers = Journaled(cell, journal)  # an offer has its time among its arguments

    def apply(self, call: str, *arguments: Any) -> Any:
        """Writes a call down and makes it, as `Journaled.apply`."""
        return (self._offers if call == "offer" else self._stamped).apply(call, *arguments)


class CellReplay:
    """A cell that is told the calls of a journal (older ones: no seed); its reports are those of the recorded cell."""

    def __init__(
        self, carrier: dict[str, Any], mini_slots: int | None, start: int, seed: int = 0,
        delays: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:  # fmt: skip
        given = Carrier.model_validate(carrier)
        rest: dict[str, Any] = {"mini_slots": mini_slots, "start": start, "seed": seed}
        traces = {robot: DelayTrace.of(values) for robot, values in (delays or {}).items()}
        self.cell: Cell | LineCell = DelayedCell(given, traces, **rest) if traces else Cell(given, **rest)
        self._slices: dict[str, Any] = {}

    def apply(self, call: str, *arguments: Any) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Makes a call; yields what the recorded node said after it: (topic, key, content)."""
        if call == "offer":
            for offer in arguments[0]:
                self.cell.apply(call, *offer)
            return
        now, *rest = arguments
        if now > self.cell.now:
            self.cell.advance(now)
        if call == "set_slice":
            rest = [SliceSpec.model_validate(rest[0])]
        elif call == "flow":
            rest = [FlowKey(*rest[0])]
        with contextlib.suppress(*([ValueError] if call in _REFUSED else [])):
            result = self.cell.apply(call, *rest)
        if call == "report":
            yield "/radio/report", now, self._said(result)

    def _said(self, report: Report) -> dict[str, Any]:
        self._slices = {row.slice: _counts(row.counters) | {"delay_max": row.delay.max} for row in report.slices}
        flows = {f"{row.robot}/{row.topic} {row.direction} {row.slice}": _counts(row.counters) for row in report.flows}
        return {"slices": self._slices, "flows": flows}

    def totals(self) -> dict[str, Any]:
        """The last report's part of the run's report."""
        return {"slices": self._slices}


class LineReplay(CellReplay):
    """Links without a carrier that are told the calls of a journal."""

    def __init__(self, lines: Mapping[str, Mapping[str, Any]], start: int, seed: int) -> None:
        self.cell = LineCell({robot: LineLink.of(values) for robot, values in lines.items()}, start=start, seed=seed)
        self._slices = {}


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
