# SPDX-License-Identifier: Apache-2.0
"""A cell some of whose links also take as long as was measured elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ir_radio.books.cell_report import FlowCounters, Report
from ir_radio.books.flow_counters import FlowKey
from ir_radio.books.line_counters import LineCounters, LineEnd, LineMessage
from ir_radio.books.report_builder import ReportBuilder
from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import Cell, CellEvent
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import DelayTrace

_NS = 1_000_000_000


class DelayedCell(Cell):
    """A `Cell` whose messages arrive no sooner than the measured delay of their link after they came in.

    A message leaves when its last bit has crossed the carrier, or the delay that its trace gives for the time at which
    it came in is over, whichever is later: a measured delay holds the time of access and scheduling, so that nothing is
    counted twice, and a queue at the carrier comes on top only as far as it is longer. Messages of a robot in one
    direction stay in their order. Counters and reports are of what has left in this sense.

    Args:
        carrier, mini_slots, start, seed: as of `Cell`.
        delays: of robots.
    """

    def __init__(
        self, carrier: Carrier, delays: Mapping[str, DelayTrace], mini_slots: int | None = None, start: int = 0,
        seed: int = 0,
    ) -> None:  # fmt: skip
        self.delays = dict(delays)
        self._line, self._bounds, self._begin = LineCounters(), dict[int, int](), start
        self._last: dict[tuple[str, str], int] = {}
        super().__init__(carrier, mini_slots=mini_slots, start=start, seed=seed)
        counted = self._slices.table, self._links.table, self._slices.rows, self._slices.types
        self._reports = ReportBuilder(carrier, self._line.table, *counted)
        self._reports.begin(start)

    def flow(self, key: FlowKey) -> int:
        """Opens a flow and returns its number, as `Cell.flow`."""
        row = super().flow(key)
        self._bounds[row] = self._bound(key)
        assert self._line.table.open(key, 0) == row  # both tables grow and shrink together
        return row

    def offer(self, flow: int, size: int, time: int) -> tuple[int, Fate]:
        """Offers one message, as `Cell.offer`."""
        id_, fate = super().offer(flow, size, time)
        self._line.offer(id_, LineMessage(flow, size, time), fate)
        return id_, fate

    def advance(self, time: int) -> list[CellEvent]:
        """Runs on to `time` (ns) and returns what became of messages since the last call, in the order of time."""
        events = []
        for event in super().advance(time):
            if event.fate == Fate.DELIVERED:
                self._send(event)
            else:
                self._line.finish(LineEnd(event.time, event.id, event.fate), {})
                events.append(event)
        events += self._events_of(self._line.ended(time, self._bounds))
        return sorted(events, key=lambda event: event.time)

    def next_event(self) -> int:
        """A time before which no message leaves, ns, as `Cell.next_event`."""
        due = super().next_event()
        end = self._line.next_end()
        return due if end is None else min(due, end)

    def remove_slice(self, name: str) -> list[CellEvent]:
        """Removes a slice now, as `Cell.remove_slice`, with what is in flight."""
        events = super().remove_slice(name)
        flows = set(self._line.table.of_slice(name).tolist())
        return events + self._events_of(self._line.drop_flying(flows, self.now, Fate.SLICE_DELETED))

    def reset_time(self, time: int) -> list[CellEvent]:
        """Time jumps, as `Cell.reset_time`; traces of delays begin anew."""
        before = self.now
        events = super().reset_time(time)
        self._begin = time
        self._last.clear()
        return events + self._events_of(self._line.drop_flying(None, before, Fate.TIME_JUMP))

    def counters(self, flow: int | None = None) -> FlowCounters:
        """The counters of one flow, or of all flows together."""
        table = self._line.table
        return table.counters(list(table.rows.values()) if flow is None else [flow])

    def report(self) -> Report:
        """What the cell did up to now, as `Cell.report`."""
        again = self._counters.flows.rows["retransmissions"]
        self._line.table.flows.rows["retransmissions"] = again
        return super().report()

    def run(self, *_: Any, **__: Any) -> Any:
        """Refuses: delays are those of a live run.

        Raises:
            ValueError: always.
        """
        raise ValueError("a cell with measured delays has no batch; offer its messages one by one")

    def _forget(self, name: str) -> None:
        super()._forget(name)
        self._line.table.forget(name)

    def _send(self, event: CellEvent) -> None:
        key, message = self.key(event.flow), self._line.held[event.id]
        trace, due, fate = self.delays.get(key.robot), event.time, Fate.DELIVERED
        if trace and (trace.uplink if key.direction == "uplink" else trace.downlink):
            measured = trace.at(max(0, message.arrival - self._begin) / _NS)
            due = max(due, message.arrival + round(measured * _NS), self._last.get((key.robot, key.direction), 0))
            self._last[key.robot, key.direction] = due
            spec = self.specs.get(key.slice)
            if spec and 0 < round(spec.lifespan * _NS) < due - message.arrival:
                fate = Fate.EXPIRED
        self._line.end_at(due, event.id, fate)

    def _events_of(self, ends: list[tuple[LineEnd, int]]) -> list[CellEvent]:
        return [CellEvent(end.id, flow, end.time, Fate(end.fate)) for end, flow in ends]
