# SPDX-License-Identifier: Apache-2.0
"""Computing of a base station, IoR section IV (2), step by step: preemptive-resume priority of URLLC over eMBB.

The shared part serves URLLC, first come first served, and eMBB when no URLLC is there; the exclusive part always serves
eMBB. The eMBB jobs form one line whose first is served by both parts together. Its work is counted in thousandths of
nanoseconds, so time stays whole. The batch engine (`coexistence.batch_computing`) uses the same steps.
"""

from __future__ import annotations

import math

from numba.extending import register_jitable

from ir_radio.cell_tables import NONE, Rows, Tables
from ir_radio.compiled import jit
from ir_radio.engine.queueing import close, join
from ir_radio.model.shares import MILLE


@register_jitable
def first_come(arrival: int, work: int, free: int, share: int) -> int:
    """When a job leaves a part of `share` thousandths that is free at `free`, ns; work: ns of the whole computing."""
    return max(arrival, free) + (work if share == MILLE else -(-work * MILLE // share))


@register_jitable
def resume(left: int, rate: int, now: int, until: int) -> tuple[int, int]:
    """Serves a job at `rate` thousandths from `now`, at most until `until`: (work left, time); 0 left: it is done."""
    span = until - now  # may be endless: its product with the rate is asked for only where the work is longer
    if rate > 0 and (left <= span or left <= rate * span):
        return 0, now + -(-left // rate)
    return left - rate * span, until


@jit
def work_of(cell: Rows, size: int) -> int:
    """Time of the whole computing for a message, ns."""
    return math.ceil(cell[0].work * size)


@jit
def enter(t: Tables, k: int, m: int, urllc: bool) -> None:
    """A message comes to the computing of station k, which was served up to its arrival; fifo has no urllc."""
    cell, stations, pool = t.cell, t.stations, t.pool
    arrival, work = pool[m].arrival, work_of(cell, pool[m].size)
    pool[m].next = NONE
    if urllc:
        stations[k].busy = first_come(arrival, work, stations[k].busy, cell[0].shared)
        pool[m].departure = stations[k].busy
        if stations[k].first == NONE:
            stations[k].first = m
        else:
            pool[stations[k].last].next = m
        stations[k].last = m
    else:
        if stations[k].embb_first == NONE:
            stations[k].embb_first = m
            stations[k].left, stations[k].clock = work * MILLE, arrival
        else:
            pool[stations[k].embb_last].next = m
        stations[k].embb_last = m
    cell[0].processing += 1


@jit
def process(t: Tables, k: int, time: int) -> None:
    """Serves the computing of station k up to `time`; what is through joins its queue for the air."""
    cell, stations, pool, flows = t.cell, t.stations, t.pool, t.flows
    while stations[k].first != NONE and pool[stations[k].first].departure <= time:
        m = stations[k].first
        stations[k].first = pool[m].next
        cell[0].processing -= 1
        join(t, flows[pool[m].flow].queue, m)
    while stations[k].embb_first != NONE and stations[k].clock < time:
        rate, until = cell[0].idle, time
        if stations[k].clock < stations[k].busy:
            rate, until = MILLE - cell[0].shared, min(stations[k].busy, time)
        stations[k].left, stations[k].clock = resume(stations[k].left, rate, stations[k].clock, until)
        if stations[k].left == 0:
            m = stations[k].embb_first
            stations[k].embb_first = pool[m].next
            if pool[m].next != NONE:
                stations[k].left = work_of(cell, pool[pool[m].next].size) * MILLE
            cell[0].processing -= 1
            pool[m].departure = stations[k].clock
            join(t, flows[pool[m].flow].queue, m)


@jit
def purge(t: Tables, s: int, fate: int, n: int) -> int:
    """Drops the messages of slice row `s` (-1: all) from the computing now, as events; returns the number of events."""
    cell, stations, pool, queues, flows = t.cell, t.stations, t.pool, t.queues, t.flows
    for k in range(len(stations)):
        for embb in range(2):
            before, m = NONE, stations[k].embb_first if embb else stations[k].first
            while m != NONE:
                following = pool[m].next
                if s != NONE and queues[flows[pool[m].flow].queue].slice != s:
                    before = m
                elif before != NONE:
                    pool[before].next = following
                elif embb:
                    stations[k].embb_first, stations[k].clock = following, cell[0].now
                    if following != NONE:
                        stations[k].left = work_of(cell, pool[following].size) * MILLE
                else:
                    stations[k].first = following
                if before != m:
                    close(t, m, cell[0].now, fate, n)
                    cell[0].processing -= 1
                    n += 1
                m = following
            if embb:
                stations[k].embb_last = before
            else:
                stations[k].last = before
    return n
