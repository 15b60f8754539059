# SPDX-License-Identifier: Apache-2.0
"""The inner loop of the cell, compiled by Numba: arrays in, arrays out, integer nanoseconds.

Rows of the tables (`ir_radio.cell_tables`) refer to each other by index, -1 is none. Two kinds of service:
`block_sharing` (each slice on its own blocks, bits flow evenly) where the scheduler is RESERVED, else `live_air` (IoR
section IV).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ir_radio.cell_tables import EUAD, FIFO, NONE, RESERVED, Fate, Row, Rows, Tables
from ir_radio.compiled import entry, jit
from ir_radio.engine.access_air import next_arrival, serve_access
from ir_radio.engine.access_timing import approach
from ir_radio.engine.block_sharing import give_up_hopeless, grant, transmit
from ir_radio.engine.contention_air import serve_contention
from ir_radio.engine.fading import fade
from ir_radio.engine.live_air import clear, deliver, plan, plan_fifo, puncture, take
from ir_radio.engine.preemption import enter, first_come, process, purge, work_of
from ir_radio.engine.queueing import depart, join, leave, refresh, stop_waiting, wait
from ir_radio.model.shares import MILLE

_DELIVERED, _ACCEPTED = int(Fate.DELIVERED), int(Fate.ACCEPTED)  # plain integers: what compiled code can read
_QUEUE_FULL, _TOO_LARGE, _COMPUTING_FULL = int(Fate.QUEUE_FULL), int(Fate.TOO_LARGE), int(Fate.COMPUTING_FULL)
_OUT_OF_COVERAGE, _NO_POSE, _NO_SLICE = int(Fate.OUT_OF_COVERAGE), int(Fate.NO_POSE), int(Fate.NO_SLICE)


@jit
def _serve(t: Tables, n: int) -> int:
    """Serves one mini-slot, and the start of a slot where it is one; returns as `depart` (full: nothing was sent)."""
    cell, stations, slices, queues = t.cell, t.stations, t.slices, t.queues
    start, slot_starts = cell[0].next, cell[0].next % cell[0].slot == 0
    if cell[0].processing > 0:
        for k in range(len(stations)):
            process(t, k, start)
    for s in range(len(slices)):
        if slices[s].first != NONE and (slices[s].urllc or slot_starts or cell[0].contends):
            n = refresh(t, s, start, n)
            if n < 0:
                return n
            q = slices[s].first
            while q != NONE:
                if cell[0].coherence > 0 or t.links[queues[q].link].barred > 0:
                    fade(t, queues[q].link, start)
                q = queues[q].next
    if cell[0].access:
        serve_access(t, start, slot_starts)
    elif cell[0].contends:
        for k in range(len(stations)):
            serve_contention(t, k, start)
    elif cell[0].scheduler == RESERVED:
        _serve_reserved(t, start, slot_starts)
    else:
        _serve_air(t, start, slot_starts)
    cell[0].next = start + cell[0].mini
    return n


@jit
def _serve_reserved(t: Tables, start: int, slot_starts: bool) -> None:
    """Each slice has its blocks to itself; they are divided at its slots (mini-slots)."""
    slices, queues, mini, slot = t.slices, t.queues, t.cell[0].mini, t.cell[0].slot
    for s in range(len(slices)):
        if slices[s].first != NONE and (slices[s].urllc or slot_starts):
            duration = mini if slices[s].urllc else slot
            short = grant(t, s, slices[s].blocks, duration, False)
            while short and slices[s].lifespan > 0 and give_up_hopeless(t, s, start):
                short = grant(t, s, slices[s].blocks, duration, False)
        q = slices[s].first
        while q != NONE:
            transmit(t, q, start, mini)
            q = queues[q].next


@jit
def _serve_air(t: Tables, start: int, slot_starts: bool) -> None:
    """URLLC takes blocks of eMBB; eMBB is planned at the start of a slot and delivered at its end."""
    cell, stations, slices = t.cell, t.stations, t.slices
    slot = start // cell[0].slot
    if cell[0].apart:
        for s in range(len(slices)):
            slices[s].taken = 0
    for k in range(len(stations)):
        if slot_starts and cell[0].scheduler == FIFO:
            plan_fifo(t, k, start)
        elif slot_starts:
            plan(t, k, start)
        elif stations[k].slot != slot:  # nothing waited when it began
            clear(t, k, slot)
        taken = np.int64(0)
        for s in range(len(slices)):
            if slices[s].station == k and slices[s].urllc and slices[s].first != NONE:
                taken = puncture(t, s, start, taken)
        take(t, k, taken)
    if (start + cell[0].mini) % cell[0].slot == 0:
        for s in range(len(slices)):
            if not slices[s].urllc:
                deliver(t, s, slot * cell[0].slot)


@jit
def _serve_until(t: Tables, time: int, n: int) -> int:
    """Serves all mini-slots that start before `time`; idle ones are skipped."""
    cell = t.cell
    while cell[0].next < time:
        if cell[0].waiting == 0 and cell[0].processing == 0:
            cell[0].next = -(-time // cell[0].mini) * cell[0].mini
            break
        n = _serve(t, n)
        if n < 0:
            break
    return n


@jit
def _judge(t: Tables, arrival: Row) -> int:
    """Is there room for a message, or why not?"""
    cell, links = t.cell, t.links
    flow = t.flows[arrival.flow]
    if flow.active == 0:
        return _NO_SLICE
    queue = t.queues[flow.queue]
    limit = t.slices[queue.slice].limit
    if arrival.size > limit:
        return _TOO_LARGE
    if math.isnan(links[queue.link].snr):
        return _NO_POSE
    if links[queue.link].snr < cell[0].coverage:
        return _OUT_OF_COVERAGE
    if queue.bytes + arrival.size > limit:
        return _QUEUE_FULL
    if cell[0].scheduler == EUAD and cell[0].work > 0.0 and queue.downlink and t.slices[queue.slice].urllc:
        busy = t.stations[links[queue.link].station].busy
        through = first_come(arrival.time, work_of(cell, arrival.size), busy, cell[0].shared)
        if through - arrival.time > cell[0].drop_after:
            return _COMPUTING_FULL
    return _ACCEPTED


@jit
def _admit(t: Tables, arrival: Row) -> None:
    """Takes a message in, or counts it as dropped; the pool has a free row."""
    cell, queues, flows, pool = t.cell, t.queues, t.flows, t.pool
    f, size = arrival.flow, arrival.size
    flows[f].offered += 1
    flows[f].offered_bytes += size
    arrival.fate = _judge(t, arrival)
    if arrival.fate != _ACCEPTED:
        t.drops[f, arrival.fate, 0] += 1
        t.drops[f, arrival.fate, 1] += size
        return
    q, m = flows[f].queue, cell[0].free
    cell[0].free = pool[m].next
    pool[m].id, pool[m].flow, pool[m].size, pool[m].fate = arrival.id, f, size, _DELIVERED
    pool[m].arrival = pool[m].departure = arrival.time
    queues[q].bytes += size
    flows[f].queued += 1
    flows[f].queued_bytes += size
    if cell[0].work > 0.0 and queues[q].downlink:
        enter(t, t.links[queues[q].link].station, m, t.slices[queues[q].slice].urllc)
    else:
        join(t, q, m)


@jit
def run(t: Tables, arrivals: Rows, until: int) -> tuple[int, int, bool]:
    """Runs the cell on to `until`.

    Slots and mini-slots lie on multiples of their length; one that starts at T serves what was ready by T. The fate
    of each arrival at the door is written into it, that of messages that were let in becomes an event.

    Args:
        t: tables of the cell; its events are filled from the start, in the order of time within each queue.
        arrivals: [n] ARRIVAL, sorted by time, none before `now` or after `until`.
        until: ns, int64.

    Returns:
        (arrivals taken, events written, done). Where done is false, the events or the pool were full: make room and
        call again with the arrivals that were not taken.
    """
    cell, slices, queues, flows, links = t.cell, t.slices, t.queues, t.flows, t.links
    n = np.int64(0)  # not a literal, for which all would be compiled once more
    for a in range(len(arrivals)):
        time, flow = arrivals[a].time, arrivals[a].flow
        n = _serve_until(t, time, n)
        if n >= 0 and flows[flow].active:
            n = depart(t, flows[flow].queue, time, n)
        if n < 0 or cell[0].free == NONE:
            return a, max(n, -1 - n), False
        cell[0].now = time
        if cell[0].work > 0.0:
            process(t, links[queues[flows[flow].queue].link].station, time)
        _admit(t, arrivals[a])
    n = _serve_until(t, until, n)
    for s in range(len(slices)):
        q = slices[s].first
        while q != NONE and n >= 0:
            n = depart(t, q, until, n)
            q = queues[q].next
    if n < 0:
        return len(arrivals), -1 - n, False
    cell[0].now = until
    return len(arrivals), n, True


@jit
def flush(t: Tables, s: int, fate: int) -> int:
    """Drops every message of slice row `s` (all: -1) now; returns the number of events, for which there is room."""
    cell, slices, queues = t.cell, t.slices, t.queues
    n = purge(t, s, fate, np.int64(0))
    for i in range(len(slices)):
        q = slices[i].first if s in (NONE, i) else NONE
        while q != NONE:
            while queues[q].head != NONE:
                leave(t, q, cell[0].now, fate, n)
                n += 1
            queue = queues[q]
            queue.unsent, queue.later, queue.waiting = NONE, 0, 0
            queue.left, queue.granted, queue.block, queue.backoff = 0.0, 0.0, 0.0, NONE
            cell[0].waiting -= 1
            q = queue.next
        if s in (NONE, i):
            slices[i].first = NONE
            slices[i].owed_down, slices[i].owed_up, slices[i].refilled = 0.0, 0.0, 0
    if s == NONE:  # time jumps: what was before it is nobody's past
        for q in range(len(queues)):
            queues[q].open, queues[q].arrived, queues[q].departed, queues[q].turn = 0, 0, 0, 0
            queues[q].until = NONE
    return n


@jit
def move(t: Tables, q: int, s: int) -> None:
    """Handover: queue `q` goes on in slice row `s`, that of another station, with all that it holds."""
    queues = t.queues
    waiting = queues[q].waiting
    if waiting:
        stop_waiting(t, q)
    queues[q].slice, queues[q].granted, queues[q].block, queues[q].fails = s, 0.0, 0.0, 0
    queues[q].backoff = NONE
    if waiting:
        wait(t, q)
    if t.cell[0].access and queues[q].unsent != NONE:
        queues[q].until = NONE  # the new station knows nothing of it
        approach(t, q, max(t.cell[0].now, t.links[queues[q].link].barred))


@jit
def next_event(t: Tables) -> int:
    """A time before which no message leaves, ns, at least now + 1; the largest int64 while nothing waits.

    For a message in flight it is the departure; for one that waits, the departure if its queue had all the blocks.
    """
    cell, slices, queues, pool, links = t.cell, t.slices, t.queues, t.pool, t.links
    soonest = np.iinfo(np.int64).max
    slot, mini, whole = cell[0].slot, cell[0].mini, cell[0].scheduler != RESERVED
    next_slot = -(-cell[0].next // slot) * slot
    for s in range(len(slices)):
        q = slices[s].first
        while q != NONE:
            queue = queues[q]
            if queue.head != queue.unsent:
                soonest = min(soonest, pool[queue.head].departure)
            elif queue.unsent != NONE and cell[0].access:
                soonest = min(soonest, next_arrival(t, q))
            elif queue.unsent != NONE and cell[0].contends:
                soonest = min(soonest, cell[0].next + cell[0].preamble + cell[0].latency)
            elif queue.unsent != NONE and whole and slices[s].urllc:
                soonest = min(soonest, cell[0].next + mini + cell[0].latency)
            elif (
                queue.unsent != NONE and whole and queue.block > 0.0
            ):  # planned: it ends with the slot, whatever a pose says
                soonest = min(soonest, next_slot + cell[0].latency)
            elif queue.unsent != NONE:
                varies = cell[0].coherence > 0 or links[queue.link].barred > 0
                best = cell[0].bandwidth * cell[0].efficiency if varies else links[queue.link].rate
                blocks = float(cell[0].blocks) if whole else max(slices[s].blocks, queue.granted)
                start = cell[0].next if slices[s].urllc or queue.block > 0.0 else next_slot
                # the first of several urllc messages may expire at once, and the next one be of any size
                left = 0.0 if slices[s].urllc and queue.unsent != queue.tail else queue.left
                if blocks * best > 0.0:
                    end = start + 1 + int(min(left / (blocks * best) * 1e9, 1e17))
                    soonest = min(soonest, (-(-end // slot) * slot if whole else end) + cell[0].latency)
            q = queue.next
    return max(min(soonest, _through(t)), cell[0].now + 1)


@jit
def _through(t: Tables) -> int:
    """A time before which no message that is still in the computing leaves."""
    cell, stations, pool = t.cell, t.stations, t.pool
    soonest = np.iinfo(np.int64).max
    if cell[0].processing > 0:
        for k in range(len(stations)):
            if stations[k].first != NONE:
                soonest = min(soonest, pool[stations[k].first].departure)
            if stations[k].embb_first != NONE:
                soonest = min(soonest, stations[k].clock + stations[k].left // MILLE)
        soonest = -(-soonest // cell[0].mini) * cell[0].mini + 1 + cell[0].latency
    return soonest


class Loops(NamedTuple):
    """The functions of this module that a cell calls, as loaded code for its tables."""

    run: Callable[[Tables, Rows, int], tuple[int, int, bool]]
    flush: Callable[[Tables, int, int], int]
    move: Callable[[Tables, int, int], None]
    next_event: Callable[[Tables], int]


def load(t: Tables, arrivals: Rows) -> Loops:
    """Loads the loops for tables and arrivals of these types, or compiles them where that was not done yet."""
    return Loops(entry(run, t, arrivals, 0), entry(flush, t, 0, 0), entry(move, t, 0, 0), entry(next_event, t))
