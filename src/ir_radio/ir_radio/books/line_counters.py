# SPDX-License-Identifier: Apache-2.0
"""Counters of messages that are on their way outside of the kernel, and the order in which they arrive."""

from __future__ import annotations

import heapq
from typing import NamedTuple

from ir_radio.books.flow_counters import CounterTable
from ir_radio.books.histogram import delay_bin
from ir_radio.cell_tables import Fate


class LineMessage(NamedTuple):
    """A message that was let in; `arrival`: when, ns."""

    flow: int
    size: int
    arrival: int


class LineEnd(NamedTuple):
    """What becomes of a message at `time`, ns."""

    time: int
    id: int
    fate: int


class LineCounters:
    """Messages in flight, and the counters of their flows: offered = delivered + dropped + queued, at every instant.

    Attributes:
        table: the counters.
        held: messages that were let in and whose end did not come yet, by id.
    """

    def __init__(self) -> None:
        self.table = CounterTable()
        self.held: dict[int, LineMessage] = {}
        self._ends: list[LineEnd] = []

    def offer(self, id_: int, message: LineMessage, fate: Fate) -> None:
        """Counts a message that was offered; one that was let in (ACCEPTED) is queued until it ends."""
        row, dropped = self.table.flows.rows[message.flow], fate != Fate.ACCEPTED
        row["offered"] += 1
        row["offered_bytes"] += message.size
        if dropped:
            self._drop(message, fate)
        else:
            row["queued"] += 1
            row["queued_bytes"] += message.size
            self.held[id_] = message

    def end_at(self, time: int, id_: int, fate: Fate) -> None:
        """Says what will become of a message that was let in, and when, ns."""
        heapq.heappush(self._ends, LineEnd(time, id_, int(fate)))

    def next_end(self) -> int | None:
        """When the next one ends, ns; none: there is none."""
        return self._ends[0].time if self._ends else None

    def ended(self, time: int, bounds: dict[int, int]) -> list[tuple[LineEnd, int]]:
        """Counts those that end up to `time`, ns, as ended; (end, flow) of each, in the order of time.

        Args:
            time: ns.
            bounds: latency bound of each flow, ns.
        """
        done = []
        while self._ends and self._ends[0].time <= time:
            end = heapq.heappop(self._ends)
            done.append((end, self.finish(end, bounds)))
        return done

    def finish(self, end: LineEnd, bounds: dict[int, int]) -> int:
        """Counts one that was let in as ended; returns its flow."""
        message = self.held.pop(end.id)
        row = self.table.flows.rows[message.flow]
        row["queued"] -= 1
        row["queued_bytes"] -= message.size
        if end.fate != Fate.DELIVERED:
            self._drop(message, Fate(end.fate))
            return message.flow
        delay = end.time - message.arrival
        row["delivered"] += 1
        row["delivered_bytes"] += message.size
        row["delay_sum"] += delay
        row["delay_max"] = max(int(row["delay_max"]), delay)
        row["late"] += delay > bounds[message.flow]
        self.table.delays.rows[message.flow, delay_bin(delay)] += 1
        return message.flow

    def drop_flying(self, flows: set[int] | None, time: int, fate: Fate) -> list[tuple[LineEnd, int]]:
        """Drops those in flight of some flows, or of all (none given); returns as `ended`."""
        gone = [end for end in self._ends if flows is None or self.held[end.id].flow in flows]
        if gone:
            lost = {end.id for end in gone}
            self._ends = [end for end in self._ends if end.id not in lost]
            heapq.heapify(self._ends)
        ends = [LineEnd(time, id_, int(fate)) for id_ in sorted(end.id for end in gone)]
        return [(end, self.finish(end, {})) for end in ends]

    def _drop(self, message: LineMessage, fate: Fate) -> None:
        drops = self.table.drops.rows[message.flow, int(fate)]
        drops[0] += 1
        drops[1] += message.size
