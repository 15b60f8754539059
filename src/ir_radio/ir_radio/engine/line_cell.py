# SPDX-License-Identifier: Apache-2.0
"""Links without a carrier: a rate, a delay with jitter, and loss, constant or as a trace says."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ir_radio import cell_tables
from ir_radio.books.cell_report import FlowCounters, Report
from ir_radio.books.flow_counters import FlowKey
from ir_radio.books.line_counters import LineCounters, LineEnd, LineMessage
from ir_radio.books.report_builder import ReportBuilder
from ir_radio.cell_tables import MEASURED, Fate, Table
from ir_radio.engine.cell import CALLS, NEVER, CellEvent
from ir_radio.model.carrier import Carrier
from ir_radio.model.chance import uniform
from ir_radio.model.link_traces import DelayTrace
from ir_radio.model.mobility import Place
from ir_radio.model.slice_specs import SliceSpec

_NS = 1_000_000_000
_NORMAL = NormalDist()
_LOSS, _JITTER = 1, 2  # what a draw is for
_UNLIMITED = 1e15  # bit/s, of a line without a rate


@dataclass(frozen=True)
class LineRate:
    """The rate of a line over time.

    Attributes:
        values: [second] float64, bit/s.
        loop: begin anew at the end; else the last value stays.
    """

    values: NDArray[np.float64]
    loop: bool = True

    @cached_property
    def _bits(self) -> NDArray[np.float64]:
        return np.concatenate([[0.0], np.cumsum(self.values)])

    def at(self, seconds: float) -> float:
        """bit/s, some seconds after the beginning."""
        index = int(seconds) % len(self.values) if self.loop else min(int(seconds), len(self.values) - 1)
        return float(self.values[index])

    def finish(self, start: float, bits: float) -> float:
        """When so many bits are sent that go from `start` on; both in s from the beginning; infinity: never."""
        return max(start, self._when(self._sent(start) + bits))

    def _sent(self, seconds: float) -> float:
        """Bits that go from the beginning on."""
        length, total = len(self.values), float(self._bits[-1])
        if self.loop:
            rounds, seconds = divmod(seconds, length)
            return rounds * total + float(np.interp(seconds, np.arange(length + 1), self._bits))
        if seconds > length:
            return total + (seconds - length) * float(self.values[-1])
        return float(np.interp(seconds, np.arange(length + 1), self._bits))

    def _when(self, bits: float) -> float:
        """The first instant at which so many have gone."""
        length, total = len(self.values), float(self._bits[-1])
        rounds = 0
        if bits > total:
            if not self.loop:
                last = float(self.values[-1])
                return length + (bits - total) / last if last > 0.0 else math.inf
            if total <= 0.0:
                return math.inf
            rounds = math.ceil(bits / total) - 1
            bits -= rounds * total
        index = max(1, int(np.searchsorted(self._bits, min(bits, total), side="left")))
        rate = float(self.values[index - 1])
        return rounds * length + index - 1 + ((bits - float(self._bits[index - 1])) / rate if rate > 0.0 else 0.0)


@dataclass(frozen=True)
class LineWay:
    """One direction of a link.

    Attributes:
        rate: bit/s; 0: no limit.
        rates: in place of `rate`.
        delay: of each message after its last bit has gone, s; mean of a normal distribution, cut off at 0.
        jitter: its standard deviation, s.
        delays: in place of `delay` and `jitter`.
        loss: probability that a message is lost.
        queue_limit: bytes that wait to be sent; what does not fit is dropped.
    """

    rate: float = 0.0
    rates: LineRate | None = None
    delay: float = 0.0
    jitter: float = 0.0
    delays: DelayTrace | None = None
    loss: float = 0.0
    queue_limit: int = 1_000_000

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> LineWay:
        """The direction that a journal holds."""
        rates, delays = values["rates"], values["delays"]
        return cls(**{
            **values, "rates": rates and LineRate(np.array(rates["values"]), rates["loop"]),
            "delays": delays and DelayTrace.of(delays),
        })  # fmt: skip


@dataclass(frozen=True)
class LineLink:
    """Both directions of a link."""

    uplink: LineWay = field(default_factory=LineWay)
    downlink: LineWay = field(default_factory=LineWay)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> LineLink:
        """The link that a journal holds."""
        return cls(LineWay.of(values["uplink"]), LineWay.of(values["downlink"]))


class _Sender:
    """The sending end of a direction: when it is free, and what waits there."""

    def __init__(self, way: LineWay) -> None:
        self.way = way
        self.reset()

    def reset(self) -> None:
        self.free = self.last = 0  # ns: when the last bit of all is sent, and arrives
        self.waiting: deque[tuple[int, int]] = deque()  # (sent at, bytes), in order
        self.bytes = 0

    def backlog(self, time: int) -> int:
        """Bytes of messages that are not sent yet."""
        while self.waiting and self.waiting[0][0] <= time:
            self.bytes -= self.waiting.popleft()[1]
        return self.bytes

    def sent(self, time: int, size: int, begin: int) -> int:
        """When the last bit of a message that comes at `time` is sent; all in ns."""
        start = max(time, self.free)
        if start >= NEVER:
            return NEVER
        if self.way.rates:
            end = self.way.rates.finish(max(0, start - begin) / _NS, 8.0 * size)
            return begin + math.ceil(end * _NS) if end < 1e9 else NEVER
        return start + (math.ceil(8e9 * size / self.way.rate) if self.way.rate else 0)


class LineCell:
    """Links of their own, one per robot, in place of a carrier that is shared; counted and reported as a `Cell` does.

    A message waits until those before it, in its direction, are sent; is sent at the rate of the link; and arrives its
    delay after its last bit, never before one that was sent earlier. It is lost with a probability, whatever its size.
    All slices of a robot share its link, first come, first served: nothing is allocated. Every draw belongs to the
    number of a message, so that a run can be repeated.

    Takes the calls of a `Cell`, by `apply`, too.

    Args:
        lines: link of each robot.
        start: time at the start, ns.
        seed: of loss and jitter.

    Attributes:
        lines: as given.
        carrier: what stands for one in reports: a single block, which is the link.
        specs: slices in force, by name.
        links: row of each robot's link.
        now: the time up to which everything has happened, ns.
    """

    def __init__(self, lines: Mapping[str, LineLink], start: int = 0, seed: int = 0) -> None:
        self.lines, self._seed, self.now, self._begin = dict(lines), seed, start, start
        self.carrier = Carrier(resource_blocks=1)
        self.specs: dict[str, SliceSpec] = {}
        self.links: dict[str, int] = {}
        self._places: dict[str, Place] = {}
        self._senders = {
            (robot, way): _Sender(getattr(line, way)) for robot, line in lines.items() for way in ("uplink", "downlink")
        }
        self._line, self._slices, self._links = LineCounters(), Table(cell_tables.SLICE), Table(cell_tables.LINK)
        self._rows: dict[str, list[int]] = {}
        self._types: dict[str, str] = {}
        self._keys: dict[int, FlowKey] = {}
        self._bounds: dict[int, int] = {}
        self._closed: set[int] = set()
        self._last_id = 0
        counted = self._slices, self._links, self._rows, self._types
        self._reports = ReportBuilder(self.carrier, self._line.table, *counted)
        self._reports.begin(start)

    def apply(self, call: str, *arguments: Any) -> Any:
        """Makes a call by name, as `Cell.apply`."""
        if call not in CALLS or not hasattr(self, call):
            raise ValueError(f"links without a carrier have no call {call}")
        return getattr(self, call)(*arguments)

    # --- slices and links ---

    def set_slice(self, spec: SliceSpec) -> None:
        """Adds a slice, or changes the one of this name."""
        if spec.name not in self._rows:
            self._rows[spec.name] = [self._slices.add()]
        self._reports.count_allocated(self.now)
        self._slices.rows[self._rows[spec.name][0]]["blocks"] = 1.0
        self.specs[spec.name], self._types[spec.name] = spec, spec.type
        for flow, key in self._keys.items():
            if key.slice == spec.name:
                self._bounds[flow] = round(self.specs[key.slice].budget(*key[1:]) * _NS)

    def remove_slice(self, name: str) -> list[CellEvent]:
        """Removes a slice now: its messages on the way are dropped; its counters stay in the reports."""
        del self.specs[name]
        self._reports.count_allocated(self.now)
        self._slices.rows[self._rows[name][0]]["blocks"] = 0.0
        flows = set(self._line.table.of_slice(name).tolist())
        self._closed |= flows
        return self._events_of(self._line.drop_flying(flows, self.now, Fate.SLICE_DELETED))

    def set_allocation(self, blocks: Mapping[str, float]) -> None:
        """Does nothing: links of their own are not divided."""

    def add_link(self, robot: str) -> int:
        """The row of a robot's link.

        Raises:
            KeyError: it has none.
        """
        _ = self.lines[robot]
        if robot not in self.links:
            row = self.links[robot] = self._links.add()
            self._links.rows[row] = (MEASURED, 0, 0, math.nan, math.nan, _UNLIMITED, math.inf)
            self._places[robot] = Place()
        return self.links[robot]

    def flow(self, key: FlowKey) -> int:
        """Opens a flow and returns its number, for `offer`.

        Raises:
            KeyError: there is no such slice.
        """
        self.add_link(key.robot)
        row = self._line.table.open(key, 0)
        self._keys[row], self._bounds[row] = key, round(self.specs[key.slice].budget(*key[1:]) * _NS)
        self._closed.discard(row)
        return row

    def key(self, flow: int) -> FlowKey:
        """What a flow's number stands for."""
        return self._keys[flow]

    def close_flow(self, flow: int) -> None:
        """Closes a flow: what is offered from now on is dropped (no_slice), what is on its way goes it."""
        self._closed.add(flow)

    # --- time ---

    def offer(self, flow: int, size: int, time: int) -> tuple[int, Fate]:
        """Offers one message, as `Cell.offer`."""
        if size <= 0 or time < self.now:
            raise ValueError(f"a message of {size} bytes at {time} ns; sizes are positive, and it is {self.now} ns")
        self.now = time
        self._last_id += 1
        id_, message, key = self._last_id, LineMessage(flow, size, time), self._keys[flow]
        fate = Fate.NO_SLICE if flow in self._closed else Fate.ACCEPTED
        sender = self._senders[key.robot, key.direction]
        if fate == Fate.ACCEPTED and sender.backlog(time) + size > sender.way.queue_limit:
            fate = Fate.TOO_LARGE if size > sender.way.queue_limit else Fate.QUEUE_FULL
        self._line.offer(id_, message, fate)
        if fate == Fate.ACCEPTED:
            self._send(id_, message, key, sender)
        return id_, fate

    def advance(self, time: int) -> list[CellEvent]:
        """Runs on to `time` (ns) and returns what became of messages since the last call, in the order of time."""
        if time < self.now:
            raise ValueError(f"it is {self.now} ns and cannot go back to {time} ns; use reset_time")
        self.now = time
        return self._events_of(self._line.ended(time, self._bounds))

    def next_event(self) -> int:
        """When the next message arrives or is lost, ns; NEVER while none is on its way."""
        end = self._line.next_end()
        return NEVER if end is None else max(end, self.now)

    def reset_time(self, time: int) -> list[CellEvent]:
        """Time jumps: messages on their way are dropped (time_jump), traces begin anew."""
        events = self._events_of(self._line.drop_flying(None, self.now, Fate.TIME_JUMP))
        for sender in self._senders.values():
            sender.reset()
        self.now = self._begin = time
        self._reports.begin(time)
        return events

    def counters(self, flow: int | None = None) -> FlowCounters:
        """The counters of one flow, or of all flows together."""
        table = self._line.table
        return table.counters(list(table.rows.values()) if flow is None else [flow])

    def report(self) -> Report:
        """What the links did up to now; a new report period begins."""
        seconds = max(0, self.now - self._begin) / _NS
        for robot, row in self.links.items():
            way = self.lines[robot].uplink
            self._links.rows[row]["rate"] = way.rates.at(seconds) if way.rates else way.rate or _UNLIMITED
        return self._reports.report(self.now, self.links, self._places)

    def _send(self, id_: int, message: LineMessage, key: FlowKey, sender: _Sender) -> None:
        way, time = sender.way, message.arrival
        start = max(time, sender.free)
        sent = sender.free = sender.sent(time, message.size, self._begin)
        sender.waiting.append((sent, message.size))
        sender.bytes += message.size
        if sent >= NEVER:
            self._line.end_at(NEVER, id_, Fate.LOST)
            return
        self._slices.rows[self._rows[key.slice][0]]["used"] += sent - start
        if way.loss and uniform(self._seed, id_, _LOSS) < way.loss:
            self._line.end_at(sent, id_, Fate.LOST)
            return
        delay = way.delay
        if way.delays:
            delay = way.delays.at(max(0, time - self._begin) / _NS)
        elif way.jitter:
            delay = max(0.0, delay + way.jitter * _NORMAL.inv_cdf(uniform(self._seed, id_, _JITTER)))
        sender.last = max(sender.last, sent + round(delay * _NS))
        self._line.end_at(sender.last, id_, Fate.DELIVERED)

    def _events_of(self, ends: list[tuple[LineEnd, int]]) -> list[CellEvent]:
        return [CellEvent(end.id, flow, end.time, Fate(end.fate)) for end, flow in ends]
