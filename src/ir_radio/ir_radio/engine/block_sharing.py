# SPDX-License-Identifier: Apache-2.0
"""How the resource blocks of a slice are divided among its waiting queues, compiled."""

from __future__ import annotations

import math

from ir_radio.cell_tables import NONE, TINY, Rows, Tables
from ir_radio.compiled import jit
from ir_radio.engine.queueing import send


@jit
def grant(t: Tables, s: int, blocks: float, duration: int, whole: bool) -> None:
    """Divides `blocks` of slice `s` among its waiting queues for `duration` ns: max-min fair.

    A queue needs bits / (rate x duration) blocks. Where not all needs fit, the blocks are filled in evenly up to each
    need (water filling). Where they fit, they are scaled up to use every block, so that all finish together and early;
    or (`whole`) rounded up to whole blocks, which a queue is given and no more.
    """
    queues, slices, links = t.queues, t.slices, t.links
    total, count = 0.0, 0
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
            count += 1
        q = queues[q].next
    if count == 0:
        return
    level, scale = math.inf, 1.0
    if total > blocks:
        level = water_level(queues, slices[s].first, blocks, count)
    elif not whole:
        scale = blocks / total
    q = slices[s].first
    while q != NONE:
        granted = min(queues[q].granted, level) * scale
        queues[q].granted = granted
        queues[q].block = min(queues[q].block, granted * links[queues[q].link].rate * duration * 1e-9)
        q = queues[q].next


@jit
def water_level(queues: Rows, first: int, blocks: float, count: int) -> float:
    """The level L at which sum(min(need, L)) over the queues is `blocks`; the sum of needs is greater than that."""
    level, previous = blocks / count, -1.0
    while level > previous:
        previous = level
        rest, unmet = blocks, 0
        q = first
        while q != NONE:
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
