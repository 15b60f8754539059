# SPDX-License-Identifier: Apache-2.0
"""The air of IoR section IV (3) in the cell, compiled: eMBB by the slot, URLLC by the mini-slot into eMBB's blocks.

This air engine is the live one, `coexistence.batch_air` the batch one. Whole resource blocks; a block that was sent
in a slot arrives at its end.
"""

from __future__ import annotations

import math

import numpy as np

from ir_radio.cell_tables import NONE, Fate, Rows, Tables
from ir_radio.compiled import jit
from ir_radio.engine.block_sharing import grant
from ir_radio.engine.puncturing import IDLE, choose, survives
from ir_radio.engine.queueing import complete, give_up, give_up_late, send
from ir_radio.model.blocklength import packet_error, payload, symbols
from ir_radio.model.chance import uniform

_OUTAGE, _NOT_DECODED, _HARQ_FAILED = int(Fate.OUTAGE), int(Fate.NOT_DECODED), int(Fate.HARQ_FAILED)
_GOLDEN = 0.6180339887498949


@jit
def clear(t: Tables, k: int, slot: int) -> None:
    """Nobody owns a block of station k in this slot."""
    plan = t.grid[k]
    for c in range(len(plan)):
        plan[c] = IDLE
    t.stations[k].slot = slot
    if t.cell[0].apart:
        _dedicate(t, k, slot)


@jit
def _dedicate(t: Tables, k: int, slot: int) -> None:
    """Which blocks are dedicated in a slot: the first of each slice's, whole ones as in `plan`."""
    slices, shift, edge = t.slices, slot * _GOLDEN % 1.0, 0.0
    for s in range(len(slices)):
        if slices[s].station == k:
            slices[s].own_first = min(int(edge + shift), t.cell[0].blocks)
            slices[s].own_last = min(int(edge + min(slices[s].dedicated, slices[s].blocks) + shift), t.cell[0].blocks)
            edge += slices[s].blocks


@jit
def plan(t: Tables, k: int, start: int) -> None:
    """Gives the blocks of a slot of station k to its eMBB queues: to each slice its own, side by side.

    Fractions of blocks become whole ones by a shift that differs from slot to slot and is even over time (multiples of
    the golden ratio), so that their mean is exact.
    """
    cell, slices, queues, links, owner = t.cell, t.slices, t.queues, t.links, t.grid[k]
    slot = start // cell[0].slot
    clear(t, k, slot)
    shift = slot * _GOLDEN % 1.0
    edge = 0.0
    for s in range(len(slices)):
        if slices[s].station != k:
            continue
        first = min(int(edge + shift), cell[0].blocks)
        edge += slices[s].blocks
        last = min(int(edge + shift), cell[0].blocks)
        q = slices[s].first
        if slices[s].urllc or q == NONE:
            continue
        grant(t, s, last - first, cell[0].slot, True)
        inner = 0.0
        while q != NONE:
            begin = min(first + int(inner + shift), last)
            inner += queues[q].granted
            end = min(first + int(inner + shift), last)
            for c in range(begin, end):
                owner[c] = q
            _hold(t, q, end - begin, links[queues[q].link].rate)
            q = queues[q].next


@jit
def _hold(t: Tables, q: int, blocks: int, rate: float) -> None:
    """A queue holds whole blocks for the slot: its transport block is what fits into them."""
    queues = t.queues
    queues[q].granted, queues[q].punctured = blocks, 0
    queues[q].capacity = blocks * rate * t.cell[0].slot * 1e-9
    queues[q].block = min(queues[q].left + 8.0 * queues[q].later, queues[q].capacity)


@jit
def plan_fifo(t: Tables, k: int, start: int) -> None:
    """One line for all messages of station k, whatever their slice, in the order of arrival, until no block is free."""
    cell, slices, queues, pool, links, owner = t.cell, t.slices, t.queues, t.pool, t.links, t.grid[k]
    clear(t, k, start // cell[0].slot)
    used = np.int64(0)
    for s in range(len(slices)):
        q = slices[s].first if slices[s].station == k else NONE
        while q != NONE:
            _hold(t, q, used, 0.0)
            queues[q].cursor = queues[q].unsent if links[queues[q].link].rate > 0.0 else NONE
            q = queues[q].next
    while True:
        pick = _next_in_line(t, k)
        if pick == NONE:
            return
        m, one = queues[pick].cursor, links[queues[pick].link].rate * cell[0].slot * 1e-9
        queues[pick].block += queues[pick].left if m == queues[pick].unsent else 8.0 * pool[m].size
        queues[pick].cursor = pool[m].next
        while queues[pick].capacity < queues[pick].block:
            if used == cell[0].blocks:
                queues[pick].cursor, queues[pick].block = NONE, queues[pick].capacity
                break
            owner[used] = pick
            used += 1
            queues[pick].granted += 1
            queues[pick].capacity = queues[pick].granted * one


@jit
def _next_in_line(t: Tables, k: int) -> int:
    """The queue of station k whose message at the cursor was ready first."""
    slices, queues, pool = t.slices, t.queues, t.pool
    pick = NONE
    for s in range(len(slices)):
        q = slices[s].first if slices[s].station == k else NONE
        while q != NONE:
            if queues[q].cursor != NONE and (pick == NONE or _before(pool, queues[q].cursor, queues[pick].cursor)):
                pick = q
            q = queues[q].next
    return pick


@jit
def _before(pool: Rows, m: int, other: int) -> bool:
    """Was message m ready before the other? Where both were at once, who arrived first."""
    if pool[m].departure != pool[other].departure:
        return pool[m].departure < pool[other].departure
    return pool[m].id < pool[other].id


@jit
def puncture(t: Tables, s: int, start: int, taken: int) -> int:
    """Serves URLLC slice `s` in the mini-slot from `start`: its oldest messages go, at most M packets.

    Blocks that are dedicated to other slices are not taken, nor more than the ceiling of the slice.

    A packet takes as many whole blocks as carry it at the asked error probability; what exceeds the free blocks of the
    mini-slot goes on in the next, as a packet of its own. What would be late expires unsent. A policed slice waits once
    it has had its rate (token bucket). Returns the blocks of the station that are taken by now.
    """
    cell, slices = t.cell, t.slices
    if slices[s].police > 0.0:
        passed = (start - slices[s].refilled) * 1e-9
        slices[s].tokens = min(slices[s].tokens + passed * slices[s].police, slices[s].depth)
        slices[s].refilled = start
    q = slices[s].first
    while q != NONE:
        give_up_late(t, q, start, start + cell[0].mini + cell[0].latency)
        q = t.queues[q].next
    for _ in range(cell[0].limit):
        q = _oldest(t, s) if slices[s].police == 0.0 or slices[s].tokens > 0.0 else NONE
        blocks = _send_packet(t, q, _free(t, s, taken), start) if q != NONE else 0
        if blocks == 0:
            break
        taken += blocks
        if cell[0].apart:
            slices[s].taken += blocks
        slices[s].used += blocks * cell[0].mini
    if cell[0].patience > 0:
        _lose_patience(t, s, start)
    return taken


@jit
def _free(t: Tables, s: int, taken: int) -> int:
    """Blocks that URLLC slice `s` may still take in the mini-slot, of which `taken` are gone at its station."""
    slices, free = t.slices, t.cell[0].blocks - taken
    if not t.cell[0].apart:
        return free
    for j in range(len(slices)):
        if j != s and slices[j].station == slices[s].station:
            free -= max(slices[j].own_last - slices[j].own_first - slices[j].taken, 0)
    if slices[s].ceiling < t.cell[0].blocks:
        free = min(free, int(slices[s].ceiling + 1e-9) - slices[s].taken)
    return max(free, 0)


@jit
def _oldest(t: Tables, s: int) -> int:
    """The waiting queue within coverage whose unsent message was ready first."""
    queues, pool, pick = t.queues, t.pool, NONE
    q = t.slices[s].first
    while q != NONE:
        can = queues[q].unsent != NONE and t.links[queues[q].link].rate > 0.0
        if can and (pick == NONE or _before(pool, queues[q].unsent, queues[pick].unsent)):
            pick = q
        q = queues[q].next
    return pick


@jit
def _send_packet(t: Tables, q: int, free: int, start: int) -> int:
    """Sends the unsent message of a queue, or what of it fits into the free blocks; returns the blocks it takes."""
    cell, queues, pool = t.cell, t.queues, t.pool
    m, snr, bits = queues[q].unsent, t.links[queues[q].link].faded, queues[q].left
    need = max(symbols(snr, bits, cell[0].quantile), bits / cell[0].efficiency)
    blocks = math.ceil(need / cell[0].symbols - 1e-9)
    if blocks > free:
        blocks = free
        fits = min(payload(snr, free * cell[0].symbols, cell[0].quantile), free * cell[0].symbols * cell[0].efficiency)
        if free == 0 or fits < 1.0:
            return 0
        bits = min(float(int(fits)), bits)
    if uniform(cell[0].seed, pool[m].id, -1 - start) < packet_error(snr, blocks * cell[0].symbols, bits):
        pool[m].fate = _NOT_DECODED
    t.slices[queues[q].slice].tokens -= bits
    if bits < queues[q].left:
        queues[q].left -= bits
    else:
        complete(t, q, start + cell[0].mini + cell[0].latency)
    return blocks


@jit
def _lose_patience(t: Tables, s: int, start: int) -> None:
    """Drops messages that have been passed by in as many mini-slots as they have (IoR: two)."""
    cell, queues, pool = t.cell, t.queues, t.pool
    mini = cell[0].mini
    q = t.slices[s].first
    while q != NONE:
        while queues[q].unsent != NONE:
            first = -(-pool[queues[q].unsent].departure // mini) * mini
            if (start - first) // mini + 1 < cell[0].patience:
                break
            give_up(t, q, start, _OUTAGE)
        q = queues[q].next


@jit
def take(t: Tables, k: int, taken: int) -> None:
    """Chooses the blocks that URLLC takes at station k in a mini-slot; their owners are punctured."""
    cell, stations, queues, slices = t.cell, t.stations, t.queues, t.slices
    stations[k].taken = taken
    if taken == 0:
        return
    owner, chosen, order = t.grid[k], t.grid[len(stations) + k], t.grid[2 * len(stations)]
    if cell[0].apart:
        _choose_apart(t, k, taken)
    else:
        stations[k].rotation = choose(cell[0].rule, cell[0].blocks, stations[k].rotation, owner, order, taken, chosen)
    for i in range(taken):
        q = owner[chosen[i]]
        if q != IDLE:
            queues[q].punctured += 1
            slices[queues[q].slice].punctured += 1


@jit
def _choose_apart(t: Tables, k: int, taken: int) -> None:
    """As `choose`, but each slice takes its dedicated blocks first, and nobody takes those of another."""
    cell, stations, slices = t.cell, t.stations, t.slices
    owner, chosen, order = t.grid[k], t.grid[len(stations) + k], t.grid[2 * len(stations) + 1]
    for c in range(cell[0].blocks):
        order[c] = 1
    n = np.int64(0)
    for s in range(len(slices)):
        if slices[s].station == k:
            for c in range(slices[s].own_first, slices[s].own_last):
                order[c] = 0
                if slices[s].urllc and c - slices[s].own_first < slices[s].taken:
                    chosen[n] = c
                    n += 1
    usable = np.int64(0)
    for c in range(cell[0].blocks):
        if order[c]:
            order[usable] = c
            usable += 1
    if n < taken:
        stations[k].rotation = choose(
            cell[0].rule, usable, stations[k].rotation, owner, order, taken - n, chosen[n:]
        )  # fmt: skip


@jit
def deliver(t: Tables, s: int, start: int) -> None:
    """Ends the slot from `start` for slice `s`: delivers what survived of each block, or has it sent again."""
    cell, slices, queues, flows, pool = t.cell, t.slices, t.queues, t.flows, t.pool
    minis = cell[0].slot // cell[0].mini
    q = slices[s].first
    while q != NONE:
        if queues[q].block > 0.0 and queues[q].unsent != NONE:
            bits = survives(
                cell[0].loss, cell[0].threshold, cell[0].exponent,
                queues[q].capacity, queues[q].punctured, int(queues[q].granted) * minis,
            )  # fmt: skip
            failed = bits < 0 or (
                cell[0].block_error > 0.0 and uniform(cell[0].seed, -1 - q, start) < cell[0].block_error
            )
            bits = 0.0 if failed else min(bits, queues[q].block)
            slices[s].lost += queues[q].block - bits
            f = pool[queues[q].unsent].flow
            queues[q].fails = queues[q].fails + 1 if failed else 0
            if queues[q].fails > cell[0].retransmissions:
                queues[q].fails = 0
                give_up(t, q, start + cell[0].slot, _HARQ_FAILED)
            elif failed:
                flows[f].retransmissions += 1
            else:
                slices[s].used += queues[q].granted * cell[0].slot * bits / queues[q].capacity
                send(t, q, bits, 0.0, start, cell[0].slot)
        queues[q].granted, queues[q].block = 0.0, 0.0
        q = queues[q].next
