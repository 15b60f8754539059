# SPDX-License-Identifier: Apache-2.0
"""The air of a carrier with `access`, compiled: transport blocks in slots that have a direction, HARQ, RLC segments.

Each slice has its blocks to itself, in both directions. What becomes of a transport block is drawn when it is sent: how
often it is sent, and so when it is decoded. The blocks of its repetitions are taken from the slice's next slots.
"""

from __future__ import annotations

import math

from ir_radio.cell_tables import MEASURED, NONE, TINY, Fate, Tables
from ir_radio.compiled import jit
from ir_radio.engine.access_timing import (
    approach,
    length_of,
    open_share,
    opening,
    read_reports,
    repetition,
    report,
    request,
    step_at,
)
from ir_radio.engine.block_sharing import BOTH, water_level
from ir_radio.engine.queueing import complete, give_up_late
from ir_radio.engine.uplink_sharing import needed, useful
from ir_radio.model.chance import uniform
from ir_radio.model.radio_access import DOWNLINK, UPLINK

_HARQ_FAILED = int(Fate.HARQ_FAILED)
_BLOCKS, _CORE = 1 << 40, 1 << 50
"""From here on, what draws are about are the transport blocks of queues, and the ways of messages through the core."""
_MOST_CYCLES = 8  # in which RLC has HARQ try again (maxRetxThreshold of TS 38.331 is 1 to 32)
MAX_MIN, ROUND_ROBIN, PROPORTIONAL_FAIR = range(3)
SHARINGS = {"max_min": MAX_MIN, "round_robin": ROUND_ROBIN, "proportional_fair": PROPORTIONAL_FAIR}
_MEMORY = 100.0  # slots over which proportional fairness takes the mean of a queue's rate


@jit
def serve_access(t: Tables, start: int, slot_starts: bool) -> None:
    """Serves the mini-slot from `start`: the URLLC slices, and all slices where a slot starts."""
    cell, slices = t.cell, t.slices
    for s in range(len(slices)):
        if slices[s].first != NONE and (slices[s].urllc or slot_starts):
            length = cell[0].mini if slices[s].urllc else cell[0].slot
            for way in (DOWNLINK, UPLINK):
                share = open_share(t, start, length, way)
                if share > 0.0:
                    _serve_way(t, s, start, length, way, share)


@jit
def _serve_way(t: Tables, s: int, start: int, length: int, way: int, share: float) -> None:
    """Divides the blocks of slice `s` in one direction among its queues, and sends a transport block of each."""
    slices, queues = t.slices, t.queues
    time = length * share * 1e-9
    owed = slices[s].owed_up if way == UPLINK else slices[s].owed_down
    paid = min(owed, slices[s].blocks)
    if way == UPLINK:
        slices[s].owed_up -= paid
    else:
        slices[s].owed_down -= paid
    blocks = slices[s].blocks - paid
    slices[s].used += paid * time * 1e9 * t.cell[0].weight
    total, count = 0.0, 0
    q = slices[s].first
    while q != NONE:
        queues[q].granted, queues[q].capacity = 0.0, 0.0
        rate = t.links[queues[q].link].rate
        if queues[q].downlink == (way == DOWNLINK) and rate > 0.0:
            bits = _demand(t, q, start, way, time)
            if bits > t.cell[0].segment:
                queues[q].granted = math.ceil(needed(t, queues[q].link, bits, time) - 1e-9)
                queues[q].capacity = bits
                total += queues[q].granted
                count += 1
        q = queues[q].next
    if count == 0 or blocks <= 0.0:
        return
    if t.cell[0].sharing == MAX_MIN and (total <= blocks or not slices[s].urllc):
        level = math.inf if total <= blocks else water_level(queues, slices[s].first, blocks, count, BOTH)
        q = slices[s].first
        while q != NONE:
            if queues[q].granted > 0.0:
                _send_block(t, q, min(queues[q].granted, level), start, length, way, time)
            q = queues[q].next
    else:
        _serve_in_turn(t, s, blocks, start, length, way, time)


@jit
def _serve_in_turn(t: Tables, s: int, blocks: float, start: int, length: int, way: int, time: float) -> None:
    """Gives each queue all it needs, the first in turn first, until no block is left.

    In a URLLC slice that is whose message is oldest: shared out, blocks would carry parts of many that come late.
    """
    slices, queues, links = t.slices, t.queues, t.links
    while blocks > 0.0:
        best, pick = -math.inf, NONE
        q = slices[s].first
        while q != NONE:
            if queues[q].granted > 0.0:
                merit = -float(queues[q].turn)
                if slices[s].urllc:
                    merit = -float(t.pool[queues[q].unsent].arrival)
                elif t.cell[0].sharing == PROPORTIONAL_FAIR:
                    merit = links[queues[q].link].rate / max(_mean_rate(t, q, start), 1.0)
                if merit > best or (merit == best and q < pick):
                    best, pick = merit, q
            q = queues[q].next
        if pick == NONE:
            return
        given = min(queues[pick].granted, blocks)
        queues[pick].granted = 0.0
        blocks -= given
        _send_block(t, pick, given, start, length, way, time)


@jit
def _mean_rate(t: Tables, q: int, start: int) -> float:
    """Mean of the rate of a queue over the last slots, bit/s."""
    slots = (start - t.queues[q].turn) / t.cell[0].slot
    return t.queues[q].mean * math.exp(-slots / _MEMORY)


@jit
def _waiting_bits(t: Tables, q: int) -> float:
    """Bits of a queue that are to be sent, headers of messages included."""
    return t.queues[q].left + 8.0 * t.queues[q].later


@jit
def _give_up_hopeless(t: Tables, q: int, start: int, way: int, time: float) -> None:
    """Expires the first messages of a queue that would be late even if it had all blocks of its slice from now on."""
    cell, queues, s = t.cell, t.queues, t.queues[q].slice
    blocks, rate = useful(t, queues[q].link, t.slices[s].blocks)
    slot_bits = blocks * rate * time - cell[0].segment
    if t.slices[s].lifespan == 0 or slot_bits <= 0.0:
        return
    after = (cell[0].gnb if way == UPLINK else cell[0].ue) + cell[0].latency + cell[0].core
    m = NONE
    while m != queues[q].unsent and queues[q].unsent != NONE:
        m = queues[q].unsent
        slots = max(math.ceil(queues[q].left / slot_bits - 1e-9), 1)
        give_up_late(t, q, start, start + min(slots, 1 << 30) * length_of(t, q) + after)


@jit
def _demand(t: Tables, q: int, start: int, way: int, time: float) -> float:
    """Bits, with the header of a segment, that the scheduler would have a queue send in the slot from `start`."""
    cell, queues = t.cell, t.queues
    _give_up_hopeless(t, q, start, way, time)
    bits = _waiting_bits(t, q)
    if bits <= 0.0:
        return 0.0
    if queues[q].open == NONE:
        approach(t, q, t.pool[queues[q].unsent].departure)
    if start < queues[q].open:
        return 0.0
    if way == DOWNLINK or cell[0].configured:
        return bits + cell[0].segment
    read_reports(t, q, start)
    usable = max(queues[q].visible, float(cell[0].first_grant) if start <= queues[q].until else 0.0)
    if usable <= cell[0].segment and queues[q].report_at == 0:
        request(t, q, start)  # nothing is granted, and nobody knows
        return 0.0
    return min(bits + cell[0].segment, usable)


@jit
def _send_block(t: Tables, q: int, blocks: float, start: int, length: int, way: int, time: float) -> None:
    """Sends a transport block of a queue in so many resource blocks; `time`: for which they carry it, s."""
    cell, slices, queues = t.cell, t.slices, t.queues
    blocks, rate = useful(t, queues[q].link, blocks)
    size = min(queues[q].capacity, blocks * rate * time)
    bits = size - cell[0].segment
    if bits <= TINY:
        return
    s = queues[q].slice
    queues[q].mean = _mean_rate(t, q, start) * (1.0 - 1.0 / _MEMORY) + bits / time / _MEMORY
    queues[q].turn = start
    times, decoded, lost = _decode(t, q, start, length, way, blocks)
    slices[s].used += blocks * time * 1e9 * cell[0].weight
    if times > 1:
        t.flows[t.pool[queues[q].unsent].flow].retransmissions += times - 1
        slices[s].lost += bits * (times - 1)
        if way == UPLINK:
            slices[s].owed_up += blocks * (times - 1)
        else:
            slices[s].owed_down += blocks * (times - 1)
    queues[q].arrived = max(queues[q].arrived, decoded)
    _drain(t, q, bits, lost)
    if way == UPLINK and not cell[0].configured:
        queues[q].visible -= size
        queues[q].report -= bits
        queues[q].newer -= bits
        queues[q].until = start + cell[0].keep if cell[0].keep > 0 else NONE
        report(t, q, start, length, _waiting_bits(t, q))


@jit
def _drain(t: Tables, q: int, bits: float, lost: bool) -> None:
    """Takes the bits of a block from a queue; messages of which that was the last arrive, in order, or are lost."""
    cell, queues, pool = t.cell, t.queues, t.pool
    while queues[q].unsent != NONE and bits > -TINY:
        m = queues[q].unsent
        if lost:
            pool[m].fate = _HARQ_FAILED
        if queues[q].left > bits + TINY:
            queues[q].left -= max(bits, 0.0)
            break
        bits -= queues[q].left
        core = cell[0].core
        if cell[0].jitter > 0.0:
            core += int(-cell[0].jitter * math.log(uniform(cell[0].seed, _CORE + pool[m].id, 0)))
        queues[q].departed = max(queues[q].departed, queues[q].arrived + cell[0].latency + core)
        complete(t, q, queues[q].departed)
        if bits < TINY:
            break


@jit
def _decode(t: Tables, q: int, start: int, length: int, way: int, blocks: float) -> tuple[int, int, bool]:
    """Draws what becomes of a transport block on so many resource blocks.

    Returns (how often it is sent, when it is decoded or given up, ns, is it lost?).
    """
    cell, seed = t.cell, t.cell[0].seed
    margin, after = _margin(t, q, blocks), cell[0].gnb if way == UPLINK else cell[0].ue
    times, cycles = 0, 0
    while True:
        for attempt in range(cell[0].attempts):
            gain = 10.0 * math.log10(attempt + 1.0) / cell[0].spread
            fails = 0.5 * math.erfc((margin + gain) / math.sqrt(2.0))
            draw = uniform(seed, -_BLOCKS - (q << 8) - times, start)
            times += 1
            if draw >= fails:
                return times, start + length + after, False
            if attempt + 1 < cell[0].attempts:
                start = repetition(t, start, length, way)
        cycles += 1
        if not cell[0].acknowledged or cycles == _MOST_CYCLES:
            return times, start + length + after, True
        start = opening(t, start + length + cell[0].rlc, length, way)


@jit
def _margin(t: Tables, q: int, blocks: float) -> float:
    """By how many deviations a link on so many blocks is over the SNR at which half the blocks of its MCS fail.

    An outer loop keeps first transmissions at the target, unless even the lowest MCS fails more often, or the best one
    less. A measured link is taken to have one.
    """
    cell, ladder, link = t.cell, t.cell[0].ladder, t.links[t.queues[q].link]
    if link.era == MEASURED:
        return cell[0].margin
    level = 10.0 * math.log10(link.faded / max(blocks / link.headroom, 1.0))
    step = step_at(t, level)
    true = (level - ladder[step, 2]) / ladder[step, 3] + 1.2815515655446004  # Q^-1(0.1)
    if not cell[0].outer:
        return true
    if step == cell[0].steps - 1:
        return max(true, cell[0].margin)
    return min(true, cell[0].margin) if step == 0 else cell[0].margin


@jit
def next_arrival(t: Tables, q: int) -> int:
    """A time before which nothing that waits in a queue arrives, ns; `next_event` of the kernel asks."""
    cell, queues, length = t.cell, t.queues, length_of(t, q)
    way = DOWNLINK if queues[q].downlink else UPLINK
    if queues[q].open == NONE:
        approach(t, q, t.pool[queues[q].unsent].departure)
    start = opening(t, max(cell[0].next, queues[q].open), length, way)
    return start + length + (cell[0].gnb if way == UPLINK else cell[0].ue) + cell[0].latency + cell[0].core
