# SPDX-License-Identifier: Apache-2.0
"""Messages and their queues, compiled.

Each queue is a list of messages in the pool, oldest first: ``head`` is the oldest that has not left, ``unsent`` the
first of which bits remain; those before it are in flight, their departure is known.
"""

from __future__ import annotations

import math

from ir_radio.books.histogram import delay_bin
from ir_radio.cell_tables import NONE, TINY, Fate, Tables
from ir_radio.compiled import jit

_DELIVERED, _EXPIRED = int(Fate.DELIVERED), int(Fate.EXPIRED)  # plain integers: what compiled code can read


@jit
def wait(t: Tables, q: int) -> None:
    """Enters a queue into its slice's list of waiting queues."""
    queues, slices = t.queues, t.slices
    if queues[q].waiting == 0:
        queues[q].waiting = 1
        queues[q].next = slices[queues[q].slice].first
        slices[queues[q].slice].first = q
        t.cell[0].waiting += 1


@jit
def stop_waiting(t: Tables, q: int) -> None:
    """Takes a queue out of that list."""
    queues, slices = t.queues, t.slices
    s, following = queues[q].slice, queues[q].next
    if slices[s].first == q:
        slices[s].first = following
    else:
        i = slices[s].first
        while queues[i].next != q:
            i = queues[i].next
        queues[i].next = following
    queues[q].waiting = 0
    t.cell[0].waiting -= 1


@jit
def join(t: Tables, q: int, m: int) -> None:
    """Puts a message, ready for the air, at the end of a queue."""
    queues, pool = t.queues, t.pool
    pool[m].next = NONE
    if queues[q].tail == NONE:
        queues[q].head = m
    else:
        pool[queues[q].tail].next = m
    queues[q].tail = m
    if queues[q].unsent == NONE:
        queues[q].unsent = m
        queues[q].left = 8.0 * (pool[m].size + t.cell[0].header)
        queues[q].open = NONE
    else:
        queues[q].later += pool[m].size + t.cell[0].header
    wait(t, q)


@jit
def next_unsent(t: Tables, q: int) -> None:
    """Turns to the message after the unsent one."""
    queues, pool = t.queues, t.pool
    m = pool[queues[q].unsent].next
    queues[q].unsent = m
    queues[q].left = 0.0
    if m != NONE:
        queues[q].left = 8.0 * (pool[m].size + t.cell[0].header)
        queues[q].later -= pool[m].size + t.cell[0].header


@jit
def close(t: Tables, m: int, time: int, fate: int, n: int) -> None:
    """Takes a message, out of its queue already, out of the counters; writes event n and frees its row."""
    flows, queues, events = t.flows, t.queues, t.events
    message = t.pool[m]
    f, size = message.flow, message.size
    q = flows[f].queue
    queues[q].bytes -= size
    flows[f].queued -= 1
    flows[f].queued_bytes -= size
    if fate == _DELIVERED:
        delay = time - message.arrival
        flows[f].delivered += 1
        flows[f].delivered_bytes += size
        flows[f].delay_sum += delay
        flows[f].delay_max = max(flows[f].delay_max, delay)
        flows[f].late += delay > flows[f].bound
        t.delays[f, delay_bin(delay)] += 1
    else:
        t.drops[f, fate, 0] += 1
        t.drops[f, fate, 1] += size
    events[n].id, events[n].flow, events[n].time, events[n].fate = message.id, f, time, fate
    t.pool[m].next = t.cell[0].free
    t.cell[0].free = m


@jit
def leave(t: Tables, q: int, time: int, fate: int, n: int) -> None:
    """Closes the head of a queue as event n."""
    m = t.queues[q].head
    t.queues[q].head = t.pool[m].next
    if t.pool[m].next == NONE:
        t.queues[q].tail = NONE
    close(t, m, time, fate, n)


@jit
def depart(t: Tables, q: int, time: int, n: int) -> int:
    """Lets go of the messages of a queue that left up to `time`; returns the number of events, or -1 - it: full."""
    queues, pool = t.queues, t.pool
    while queues[q].head != queues[q].unsent and pool[queues[q].head].departure <= time:
        if n == len(t.events):
            return -1 - n
        m = queues[q].head
        leave(t, q, pool[m].departure, pool[m].fate, n)
        n += 1
    return n


@jit
def give_up(t: Tables, q: int, time: int, fate: int) -> None:
    """Drops the unsent message of a queue at `time`; it leaves behind those in flight."""
    m = t.queues[q].unsent
    t.pool[m].departure = time + t.cell[0].latency
    t.pool[m].fate = fate
    next_unsent(t, q)


@jit
def expire_behind(t: Tables, q: int, before: int, time: int) -> None:
    """Expires the message behind `before`, the unsent one or a later one, at `time`; it leaves before the unsent."""
    queues, pool = t.queues, t.pool
    m, unsent = pool[before].next, queues[q].unsent
    pool[before].next = pool[m].next
    if pool[m].next == NONE:
        queues[q].tail = before
    queues[q].later -= pool[m].size
    pool[m].next, pool[m].departure, pool[m].fate = unsent, time + t.cell[0].latency, _EXPIRED
    if queues[q].head == unsent:
        queues[q].head = m
    else:
        last = queues[q].head
        while pool[last].next != unsent:
            last = pool[last].next
        pool[last].next = m


@jit
def give_up_late(t: Tables, q: int, start: int, soonest: int) -> None:
    """Expires the first messages of a queue that would be late if they arrived at `soonest`, ns: none goes in vain."""
    queues, lifespan = t.queues, t.slices[t.queues[q].slice].lifespan
    while queues[q].unsent != NONE and 0 < lifespan < soonest - t.pool[queues[q].unsent].arrival:
        give_up(t, q, start, _EXPIRED)


@jit
def complete(t: Tables, q: int, departure: int) -> None:
    """The last bit of the unsent message of a queue arrives at `departure`; what it is by then is known."""
    m = t.queues[q].unsent
    lifespan = t.slices[t.queues[q].slice].lifespan
    t.pool[m].departure = departure
    if 0 < lifespan < departure - t.pool[m].arrival:
        t.pool[m].fate = _EXPIRED
    next_unsent(t, q)


@jit
def send(t: Tables, q: int, bits: float, rate: float, start: int, duration: int) -> None:
    """Sends bits of a queue, flowing evenly at `rate` from `start` (0: all arrive at the end of `duration`)."""
    queues = t.queues
    sent = 0.0
    while queues[q].unsent != NONE and queues[q].left <= bits - sent + TINY:
        sent += queues[q].left
        passed = min(math.ceil(sent / rate * 1e9 - 1e-3), duration) if rate > 0.0 else duration
        complete(t, q, start + passed + t.cell[0].latency)
        if bits - sent < TINY:
            break
    if queues[q].unsent != NONE:
        queues[q].left = max(queues[q].left - max(bits - sent, 0.0), 0.0)


@jit
def refresh(t: Tables, s: int, start: int, n: int) -> int:
    """Clears the waiting queues of a slice for what starts at `start`; returns as `depart`."""
    queues, slices, pool = t.queues, t.slices, t.pool
    last, q, lifespan = NONE, slices[s].first, slices[s].lifespan
    while q != NONE:
        while lifespan > 0 and queues[q].unsent != NONE and pool[queues[q].unsent].arrival + lifespan <= start:
            give_up(t, q, start, _EXPIRED)
        n = depart(t, q, start, n)
        if n < 0:
            return n
        following = queues[q].next
        if queues[q].head == NONE:
            queues[q].waiting = 0
            t.cell[0].waiting -= 1
            if last == NONE:
                slices[s].first = following
            else:
                queues[last].next = following
        else:
            last = q
        q = following
    return n
