# SPDX-License-Identifier: Apache-2.0
"""How the resource blocks of a slice are divided among its waiting queues, compiled."""

from __future__ import annotations

import math

from ir_radio.cell_tables import NONE, TINY, Fate, Rows, Tables
from ir_radio.compiled import jit
from ir_radio.engine.queueing import expire_behind, give_up, send
from ir_radio.model.radio_access import DOWNLINK, UPLINK

_EXPIRED = int(Fate.EXPIRED)
BOTH = 2
"""Both directions, where one may be asked for."""


@jit
def grant(t: Tables, s: int, blocks: float, duration: int, whole: bool) -> bool:
    """Divides `blocks` of slice `s` among its waiting queues for `duration` ns: max-min fair; do they not suffice?

    A queue needs bits / (rate x duration) blocks. Where not all needs fit, the blocks are filled in evenly up to each
    need (water filling). Where they fit, they are scaled up to use every block, so that all finish together and early;
    or (`whole`) rounded up to whole blocks, which a queue is given and no more. A slice whose directions are apart is
    divided between them first: each has its part, and what the other leaves.
    """
    queues, slices, links = t.queues, t.slices, t.links
    total, upwards, count = 0.0, 0.0, 0
    q = slices[s].first
    while q != NONE:
        bits, rate = queues[q].left + 8.0 * queues[q].later, links[queues[q].link].rate
        queues[q].granted = 0.0
        queues[q].block = 0.0
        if bits > 0.0 and rate > 0.0:
            queues[q].block = bits  # for now: all; `granted` holds the need
            need = bits / (rate * duration * 1e-9)
            queues[q].granted = math.ceil(need - 1e-9) if whole else need
            total += queues[q].granted
            upwards += 0.0 if queues[q].downlink else queues[q].granted
            count += 1
        q = queues[q].next
    if count == 0:
        return False
    level, scale = math.inf, 1.0
    up_level = level
    if total > blocks and slices[s].uplink >= 0.0:
        part = min(upwards, max(slices[s].uplink * blocks, blocks - (total - upwards)))
        up_level = _level_of(queues, slices[s].first, part, UPLINK)
        level = _level_of(queues, slices[s].first, blocks - part, DOWNLINK)
    elif total > blocks:
        up_level = level = water_level(queues, slices[s].first, blocks, count, BOTH)
    elif not whole:
        scale = blocks / total
    q = slices[s].first
    while q != NONE:
        granted = min(queues[q].granted, level if queues[q].downlink else up_level) * scale
        queues[q].granted = granted
        queues[q].block = min(queues[q].block, granted * links[queues[q].link].rate * duration * 1e-9)
        q = queues[q].next
    return total > blocks


@jit
def _level_of(queues: Rows, first: int, blocks: float, way: int) -> float:
    """The water level over the queues of one direction; inf where their needs fit."""
    total, count = 0.0, 0
    q = first
    while q != NONE:
        if _goes(queues, q, way):
            total += queues[q].granted
            count += queues[q].granted > 0.0
        q = queues[q].next
    return math.inf if total <= blocks * (1.0 + 1e-12) else water_level(queues, first, blocks, count, way)


@jit
def _goes(queues: Rows, q: int, way: int) -> bool:
    return way == BOTH or queues[q].downlink == (way == DOWNLINK)


@jit
def water_level(queues: Rows, first: int, blocks: float, count: int, way: int) -> float:
    """The level L at which sum(min(need, L)) over the queues of a direction is `blocks`; the sum of needs is greater.

    `count` is the number of those that need any.
    """
    level, previous = blocks / count, -1.0
    while level > previous:
        previous = level
        rest, unmet = blocks, 0
        q = first
        while q != NONE:
            if _goes(queues, q, way):
                if queues[q].granted <= level:
                    rest -= queues[q].granted
                else:
                    unmet += 1
            q = queues[q].next
        if unmet == 0:
            break
        level = max(level, rest / unmet)
    return level


@jit
def give_up_hopeless(t: Tables, s: int, start: int) -> bool:
    """Expires messages of slice `s` that would be late with the blocks that their queue was just granted; any at all?

    Only where a grant does not carry all that waits: there blocks that go to them are missed by those behind them, and
    under overload a slice would send little but messages that are late by then. All that would begin until the next
    grant is looked at, the first of each queue in any case.
    """
    queues, links, any_given_up = t.queues, t.links, False
    q = t.slices[s].first
    while q != NONE:
        rate, bits = queues[q].granted * links[queues[q].link].rate, queues[q].left + 8.0 * queues[q].later
        short = queues[q].unsent != NONE and rate > 0.0 and queues[q].block < bits - TINY
        if short and _is_late(t, q, queues[q].unsent, bits / rate, start):  # else none is: those behind it are younger
            if _is_late(t, q, queues[q].unsent, queues[q].left / rate, start):
                give_up(t, q, start, _EXPIRED)
                any_given_up = True
            elif _give_up_behind(t, q, rate, start):
                any_given_up = True
        q = queues[q].next
    return any_given_up


@jit
def _is_late(t: Tables, q: int, m: int, seconds: float, start: int) -> bool:
    """Would a message be late if its last bit went so many seconds after `start`?"""
    end = start + math.ceil(min(seconds * 1e9, 1e17) - 1e-3) + t.cell[0].latency
    return end - t.pool[m].arrival > t.slices[t.queues[q].slice].lifespan


@jit
def _give_up_behind(t: Tables, q: int, rate: float, start: int) -> bool:
    """Expires the first message behind the unsent one that would begin in this block and be late; is there one?"""
    queues, pool = t.queues, t.pool
    sent, before, m = queues[q].left, queues[q].unsent, pool[queues[q].unsent].next
    while m != NONE and sent < queues[q].block:
        sent += 8.0 * pool[m].size
        if _is_late(t, q, m, sent / rate, start):
            expire_behind(t, q, before, start)
            return True
        before, m = m, pool[m].next
    return False


@jit
def transmit(t: Tables, q: int, start: int, duration: int) -> None:
    """Sends what a queue was granted for `duration` ns from `start`; its bits flow evenly."""
    queues = t.queues
    block_rate = t.links[queues[q].link].rate
    rate = queues[q].granted * block_rate
    bits = min(rate * duration * 1e-9, queues[q].block)
    if not bits > 0.0:
        return
    send(t, q, bits, rate, start, duration)
    rest = queues[q].block - bits
    queues[q].block = rest if rest > TINY else 0.0
    t.slices[queues[q].slice].used += bits / block_rate * 1e9
