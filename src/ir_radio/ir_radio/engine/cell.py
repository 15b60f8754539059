# SPDX-License-Identifier: Apache-2.0
"""The radio cell: one carrier, its slices, and the queue of every robot in each of them; live and in batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ir_radio import cell_tables
from ir_radio.books import cell_report
from ir_radio.books.flow_counters import CounterTable, FlowKey
from ir_radio.books.report_builder import ReportBuilder
from ir_radio.cell_tables import NONE, Fate, Table
from ir_radio.engine import kernel
from ir_radio.engine.cell_links import CellLinks
from ir_radio.engine.cell_settings import settings
from ir_radio.engine.cell_slices import CellSlices
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import Direction, SliceSpec

CALLS = frozenset({
    "set_slice", "remove_slice", "set_allocation", "add_link", "set_pose", "set_measured", "flow", "close_flow",
    "offer", "reset_time", "report",
})  # fmt: skip
"""Calls that `Cell.apply` makes by name: those that a cell's journal holds."""

NEVER = int(np.iinfo(np.int64).max)
_NS = 1_000_000_000
_FATES = tuple(Fate)


class CellEvent(NamedTuple):
    """What became of a message that was let in; `time`: departure of its last bit, or of the drop, ns."""

    id: int
    flow: int
    time: int
    fate: Fate


class Cell:
    """A sliced carrier (IoR section IV: 1 ms slots of 4 mini-slots; MAFL section II: resource blocks leased to slices).

    Time is integer nanoseconds and never runs backwards, except by `reset_time`. The resource blocks of a slice are
    divided anew at every slot (eMBB) or mini-slot (URLLC) among its waiting queues, one per robot and direction.
    A message that arrives while a slot runs waits for the next one. The allocation of a slice may be fractional: a
    fraction of a block is that fraction of its time. How service is divided is written at `kernel.run` and in
    docs/method/radio.md.

    Args:
        carrier: the radio carrier.
        slot: length of a slot, ns; none: the carrier's.
        mini_slots: mini-slots of a slot; none: the carrier's.
        start: time at the start, ns.
        seed: of shadowing and fading.
    """

    def __init__(
        self, carrier: Carrier, slot: int | None = None, mini_slots: int | None = None, start: int = 0, seed: int = 0
    ) -> None:
        slot = carrier.slot_time if slot is None else slot
        mini_slots = carrier.mini_slots if mini_slots is None else mini_slots
        if slot <= 0 or mini_slots <= 0 or slot % mini_slots:
            raise ValueError(f"a slot of {slot} ns cannot be cut into {mini_slots} mini-slots of whole nanoseconds")
        self.carrier = carrier
        self._queues, self._counters = Table(cell_tables.QUEUE), CounterTable()
        self._cell = settings(carrier, slot, mini_slots, seed)
        self._slices = CellSlices(carrier, self._cell)
        self._links = CellLinks(carrier, self._cell, seed, self._move_queues)
        self._now, self._free = self._cell["now"], self._cell["free"]  # views
        count = 1 + len(carrier.neighbours)
        self._stations = np.zeros(count, cell_tables.STATION)
        for name in ("first", "last", "embb_first", "embb_last"):
            self._stations[name] = NONE
        self._grid = np.full((2 * count + 2, carrier.resource_blocks), NONE)
        self._grid[2 * count] = np.arange(carrier.resource_blocks)
        self._pool = np.zeros(0, cell_tables.MESSAGE)
        self._events = np.zeros(64, cell_tables.EVENT)
        self._arrival = np.zeros(1, cell_tables.ARRIVAL)
        self._no_arrivals = self._arrival[:0]
        self._queue_rows: dict[tuple[str, str, Direction], int] = {}
        self._queues_of: dict[str, dict[int, str]] = {}  # robot: row of a queue: its slice
        self._keys: dict[int, FlowKey] = {}
        slices = self._slices.rows, self._slices.types
        self._reports = ReportBuilder(carrier, self._counters, self._slices.table, self._links.table, *slices)
        self._last_id = 0
        self._pending: list[NDArray[Any]] = []
        self._loops = kernel.load(self._tables(), self._arrival)  # now, not at the first message
        self._start(start)

    @property
    def now(self) -> int:
        """The time up to which everything has happened, ns."""
        return int(self._now[0])

    def apply(self, call: str, *arguments: Any) -> Any:
        """Makes one of the `CALLS` by name; returns what it returns.

        Raises:
            ValueError: there is no such call.
        """
        if call not in CALLS:
            raise ValueError(f"a cell has no call {call}")
        return getattr(self, call)(*arguments)

    def _start(self, time: int) -> None:
        mini = int(self._cell["mini"][0])
        self._now[0], self._cell["next"] = time, -(-time // mini) * mini
        self._stations["slot"], self._stations["busy"], self._stations["clock"] = NONE, 0, time
        self._stations["medium"] = 0
        self._reports.begin(time)

    # --- slices, allocation, links ---

    def set_slice(self, spec: SliceSpec) -> None:
        """Adds a slice, without resource blocks, or changes the one of this name; its messages stay queued.

        Blocks over its ceiling are taken from it; `fifo` has one line for all slices, and knows neither ceilings nor
        dedicated blocks.
        """
        self._reports.count_allocated(self.now)
        self._slices.put(spec)
        for key, row in self._counters.rows.items():
            if key.slice == spec.name:
                self._counters.flows.rows[row]["bound"] = self._bound(key)

    def remove_slice(self, name: str) -> list[CellEvent]:
        """Removes a slice now: its queued messages are dropped (slice_deleted), its flows closed.

        Returns the drops, after what else became of messages since `advance`.

        Its counters stay in the reports until 32 more were removed; a slice of the same name goes on with them.

        Raises:
            KeyError: there is no such slice.
        """
        del self.specs[name]
        events = [event for row in self._slices.rows[name] for event in self._flush(row, Fate.SLICE_DELETED)]
        self._reports.count_allocated(self.now)
        self._counters.close(name)
        if retired := self._slices.close(name):
            self._forget(retired)
        return events

    def _forget(self, name: str) -> None:
        self._counters.forget(name)
        for key in [key for key in self._queue_rows if key[0] == name]:
            row = self._queue_rows.pop(key)
            self._queues.release(row)
            del self._queues_of[key[1]][row]
        self._slices.forget(name)

    def set_allocation(self, blocks: Mapping[str, float]) -> None:
        """Gives each slice its resource blocks, at every station, from its next slot (mini-slot) on; others get none.

        Nor does a slice get more than its ceiling.

        Raises:
            ValueError: a slice is unknown, a number is negative or not finite, or the sum is more than the carrier's.
        """
        self._slices.check(blocks)
        self._reports.count_allocated(self.now)
        self._slices.allocate(blocks)

    @property
    def specs(self) -> dict[str, SliceSpec]:
        """The slices in force, by name."""
        return self._slices.specs

    @property
    def links(self) -> dict[str, int]:
        """The row of each robot's link."""
        return self._links.rows

    def add_link(self, robot: str) -> int:
        """The row of a robot's link; a new one has no pose, and nothing is let in before it has."""
        return self._links.add(robot)

    def set_pose(self, robot: str, position: ArrayLike) -> None:
        """Sets where a robot is: the rate of its link holds from now on.

        Args:
            robot: name.
            position: [3] float, m, map frame.

        Raises:
            ValueError: the position is not three finite numbers, or beyond `carrier.FARTHEST`.
        """
        self._links.set_pose(robot, position, self.now)

    def _move_queues(self, robot: str, station: int) -> None:
        """The queues of a robot go on at a station, with what they hold."""
        for queue, name in self._queues_of.get(robot, {}).items():
            self._loops.move(self._tables(), queue, self._slices.rows[name][station])

    def set_measured(self, robot: str, snr: float, rate: float) -> None:
        """Sets what was measured on a robot's link, in place of what its pose would give; it does not fade on top.

        Args:
            robot: name.
            snr: dB; messages are let in from the carrier's `min_snr` up.
            rate: of a resource block, bit/s, as `channel.block_rate`; above the carrier's best counts as that.

        Raises:
            ValueError: a ratio beyond 1,000 dB, or a rate that is negative or not finite.
        """
        self._links.set_measured(robot, snr, rate)

    def flow(self, key: FlowKey) -> int:
        """Opens a flow and returns its number, for `offer`.

        Raises:
            KeyError: there is no such slice.
        """
        _ = self.specs[key.slice]
        row = self._counters.open(key, self._queue(key))
        self._keys[row] = key
        self._counters.flows.rows[row]["bound"] = self._bound(key)
        return row

    def _bound(self, key: FlowKey) -> int:
        """Delay beyond which messages of a flow count as late, ns."""
        return round(self.specs[key.slice].budget(*key[1:]) * _NS)

    def key(self, flow: int) -> FlowKey:
        """What a flow's number stands for."""
        return self._keys[flow]

    def close_flow(self, flow: int) -> None:
        """Closes a flow: what is offered from now on is dropped (no_slice), what is queued goes its way."""
        self._counters.flows.rows[flow]["active"] = 0

    def _queue(self, key: FlowKey) -> int:
        queue_key = (key.slice, key.robot, key.direction)
        if queue_key not in self._queue_rows:
            row = self._queue_rows[queue_key] = self._queues.add()
            self._queues_of.setdefault(key.robot, {})[row] = key.slice
            record = self._queues.rows[row]
            record["link"] = link = self._links.of(key.robot)[0 if key.direction == "downlink" else -1]
            record["slice"] = self._slices.rows[key.slice][self._links.table.rows[link]["station"]]
            record["downlink"] = key.direction == "downlink"
            record["head"] = record["unsent"] = record["tail"] = record["next"] = record["until"] = NONE
            record["backoff"] = NONE
        return self._queue_rows[queue_key]

    # --- time ---

    def offer(self, flow: int, size: int, time: int) -> tuple[int, Fate]:
        """Offers one message; time runs on to its arrival.

        Args:
            flow: number of the flow.
            size: bytes, positive.
            time: arrival, ns, not before `now`.

        Returns:
            (id of the message, ACCEPTED or why it was dropped).
        """
        if size <= 0:
            raise ValueError(f"a message of {size} bytes; sizes are positive")
        self._last_id += 1
        self._arrival.view(np.int64)[:4] = self._last_id, flow, size, time
        self._run(self._arrival, time)
        return self._last_id, _FATES[int(self._arrival["fate"][0])]

    def advance(self, time: int) -> list[CellEvent]:
        """Runs on to `time` (ns) and returns what became of messages since the last call, in the order of time."""
        self._run(self._no_arrivals, time)
        if not self._pending:
            return []
        return [CellEvent(id_, flow, at, _FATES[fate]) for id_, flow, at, fate in self._take_events().tolist()]

    def next_event(self) -> int:
        """A time before which no message leaves, ns: when to call `advance` next; NEVER while nothing waits."""
        if self._pending:
            return self.now
        return int(self._loops.next_event(self._tables()))

    def run(self, flows: ArrayLike, sizes: ArrayLike, times: ArrayLike, until: int) -> tuple[Any, Any]:
        """Batch: offers n messages and runs on to `until`.

        Args:
            flows, sizes, times: [n] int; times in ns, sorted, none before `now` or after `until`.
            until: ns.

        Returns:
            (times [n] int64 ns of departure or drop, fates [n] int8 `Fate`; ACCEPTED: still queued at the end).
        """
        arrivals = np.zeros(len(np.atleast_1d(times)), cell_tables.ARRIVAL)
        arrivals["id"] = np.arange(len(arrivals)) + self._last_id + 1
        arrivals["flow"], arrivals["size"], arrivals["time"] = flows, sizes, times
        within = not len(arrivals) or (self.now <= arrivals["time"][0] and arrivals["time"][-1] <= until)
        if not within or np.diff(arrivals["time"]).min(initial=0) < 0:
            raise ValueError(f"arrival times must be sorted and lie in {self.now} to {until} ns, now and the end")
        if len(arrivals) and arrivals["size"].min() <= 0:
            raise ValueError("sizes must be positive")
        if len(arrivals) and (arrivals["flow"].min() < 0 or arrivals["flow"].max() >= len(self._counters.flows.rows)):
            raise ValueError("flows must be numbers that `flow` returned")
        first, self._last_id = self._last_id + 1, self._last_id + len(arrivals)
        self._run(arrivals, until)
        out_times, fates = arrivals["time"].copy(), arrivals["fate"].astype(np.int8)
        ended = self._take_events()
        ended = ended[ended["id"] >= first]
        out_times[ended["id"] - first], fates[ended["id"] - first] = ended["time"], ended["fate"]
        return out_times, fates

    def reset_time(self, time: int) -> list[CellEvent]:
        """Time jumps, forwards or backwards: queued messages are dropped (time_jump); returns as `remove_slice`."""
        events = self._flush(NONE, Fate.TIME_JUMP)
        self._start(time)
        return events

    def _tables(self) -> cell_tables.Tables:
        """What the kernel works on; anew for each call, as tables grow."""
        return cell_tables.Tables(
            self._cell, self._stations, self._slices.table.rows, self._queues.rows, self._counters.flows.rows,
            self._counters.drops.rows, self._counters.delays.rows, self._pool, self._links.table.rows, self._grid,
            self._events,
        )  # fmt: skip

    def _run(self, arrivals: Any, until: int) -> None:
        if until < self.now:
            raise ValueError(f"the cell is at {self.now} ns and cannot go back to {until} ns; use reset_time")
        done = False
        while not done:
            taken, count, done = self._loops.run(self._tables(), arrivals, until)
            if count:
                self._pending.append(self._events[:count].copy())
            arrivals = arrivals[taken:]
            if not done and self._free[0] == NONE:
                self._grow_pool()
            if count == len(self._events):
                self._events = np.zeros(min(2 * count, 1 << 20), cell_tables.EVENT)

    def _grow_pool(self) -> None:
        old = len(self._pool)
        self._pool = np.concatenate([self._pool, np.zeros(max(old, 64), cell_tables.MESSAGE)])
        self._pool["next"][old:] = np.arange(old + 1, len(self._pool) + 1)
        self._pool["next"][-1] = NONE
        self._free[0] = old

    def _take_events(self) -> NDArray[Any]:
        if not self._pending:
            return self._events[:0]
        events = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        self._pending = []
        return events[np.argsort(events["time"], kind="stable")] if len(events) > 1 else events

    def _flush(self, row: int, fate: Fate) -> list[CellEvent]:
        events = np.zeros(int(self._counters.flows.rows["queued"].sum()), cell_tables.EVENT)
        count = self._loops.flush(self._tables()._replace(events=events), row, int(fate))
        self._pending.append(events[:count])
        return self.advance(self.now)

    # --- counters and reports ---

    def counters(self, flow: int | None = None) -> cell_report.FlowCounters:
        """The counters of one flow, or of all flows of the cell together."""
        return self._counters.counters(list(self._counters.rows.values()) if flow is None else [flow])

    def report(self) -> cell_report.Report:
        """What the cell did up to now; starts a new report period. Removed slices are in it, without blocks."""
        return self._reports.report(self.now, self._links.rows, self._links.places, self._links.uplinks)

    def grid(self) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
        """The blocks of the mini-slot served last, of each station; not under `reserved`.

        Returns:
            ([stations, blocks] the queue that holds a block in this slot, -1: none; per station the blocks URLLC took).
        """
        count = len(self._stations)
        taken = self._stations["taken"].tolist()
        return self._grid[:count].copy(), [self._grid[count + k, :n].copy() for k, n in enumerate(taken)]
