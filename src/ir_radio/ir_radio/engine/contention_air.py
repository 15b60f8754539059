# SPDX-License-Identifier: Apache-2.0
"""The air of a carrier with `contention`, compiled: carrier sensing, backoff, collisions, aggregated frames.

One medium a base station. Whoever has messages waits for the medium to be idle for AIFS, counts its backoff down, and
sends a frame over the whole carrier. Who ends at the same slot collides, doubles its window and draws anew (IEEE
802.11-2020, 10.22.2). A slice contends while it has air time left, which comes in with its part of the carrier.
"""

from __future__ import annotations

import math

import numpy as np

from ir_radio.cell_tables import NONE, TINY, Fate, Tables
from ir_radio.compiled import jit
from ir_radio.engine.queueing import complete, give_up, give_up_late
from ir_radio.model.chance import uniform

_HARQ_FAILED = int(Fate.HARQ_FAILED)
_BACKOFFS, _PACKETS = 1 << 41, 1 << 42
"""From here on, what draws are about are the backoffs of queues, and the packets of their frames."""
_LONG = 1000  # idle slots that are longer than any AIFS


@jit
def serve_contention(t: Tables, k: int, start: int) -> None:
    """Serves the mini-slot from `start` at station k: all frames that begin in it."""
    cell, stations = t.cell, t.stations
    end, slot = start + cell[0].mini, cell[0].backoff_slot
    _save_air_time(t, k, start)
    if stations[k].medium < start - slot:  # idle for longer than any AIFS
        stations[k].medium, stations[k].idle = start, _LONG
    while stations[k].medium < end:
        now = stations[k].medium
        wait = _least_wait(t, k, now)
        if wait < 0:
            return
        begin = now + wait * slot
        if begin >= end:
            passed = -(-(end - now) // slot)
            _count_down(t, k, passed)
            stations[k].medium = now + passed * slot
            return
        _count_down(t, k, wait)
        stations[k].medium = _transmit(t, k, begin) + cell[0].sifs
        stations[k].idle = 0


@jit
def _save_air_time(t: Tables, k: int, start: int) -> None:
    """Each slice has its part of the time since the last mini-slot, as far as it may save it up."""
    cell, slices = t.cell, t.slices
    for s in range(len(slices)):
        if slices[s].station == k and slices[s].active:
            since = start - slices[s].refilled
            slices[s].refilled = start
            slices[s].tokens = min(slices[s].tokens + since * slices[s].blocks / cell[0].blocks, float(cell[0].burst))


@jit
def _contends(t: Tables, s: int, q: int) -> bool:
    """Does this queue of a slice contend? Of the downlink only the one whose message came first does."""
    queues, pool = t.queues, t.pool
    if t.slices[s].tokens <= 0.0 or queues[q].unsent == NONE or not t.links[queues[q].link].rate > 0.0:
        return False
    if queues[q].downlink:
        mine = queues[q].unsent
        i = t.slices[s].first
        while i != NONE:
            other = queues[i].unsent
            if i != q and queues[i].downlink and other != NONE and t.links[queues[i].link].rate > 0.0:
                before = pool[other].departure < pool[mine].departure
                if before or (pool[other].departure == pool[mine].departure and pool[other].id < pool[mine].id):
                    return False
            i = queues[i].next
    return True


@jit
def _wait(t: Tables, k: int, s: int, q: int) -> int:
    """Slots until a contender sends: what is left of AIFS, and its backoff."""
    aifsn = np.int64(t.cell[0].windows[1 if t.slices[s].urllc else 0, 0])
    return max(aifsn - t.stations[k].idle, 0) + t.queues[q].backoff


@jit
def _least_wait(t: Tables, k: int, now: int) -> int:
    """Slots until the first contender of station k sends; -1: there is none. Draws the backoffs that are missing."""
    cell, slices, queues, least = t.cell, t.slices, t.queues, np.int64(-1)
    for s in range(len(slices)):
        q = slices[s].first if slices[s].station == k else NONE
        while q != NONE:
            give_up_late(t, q, now, now + cell[0].preamble + cell[0].latency)
            if _contends(t, s, q):
                if queues[q].backoff < 0:
                    _draw(t, s, q, now)
                wait = _wait(t, k, s, q)
                if least < 0 or wait < least:
                    least = wait
            q = queues[q].next
    return least


@jit
def _draw(t: Tables, s: int, q: int, now: int) -> None:
    """Draws a backoff, even over a window that doubles with each failure."""
    cell, queues, urllc = t.cell, t.queues, 1 if t.slices[s].urllc else 0
    window = min((cell[0].windows[urllc, 1] + 1.0) * 2.0 ** min(queues[q].fails, 20), cell[0].windows[urllc, 2] + 1.0)
    queues[q].backoff = int(uniform(cell[0].seed, -_BACKOFFS - (q << 8) - queues[q].fails, now) * window)


@jit
def _count_down(t: Tables, k: int, passed: int) -> None:
    """Lets idle slots pass at station k: whoever contends counts them down, but for what was left of its AIFS."""
    stations, slices, queues = t.stations, t.slices, t.queues
    for s in range(len(slices)):
        aifsn = np.int64(t.cell[0].windows[1 if slices[s].urllc else 0, 0])
        counted = passed - max(aifsn - stations[k].idle, 0)
        q = slices[s].first if slices[s].station == k and counted > 0 else NONE
        while q != NONE:
            if queues[q].backoff > 0 and _contends(t, s, q):
                queues[q].backoff = max(queues[q].backoff - counted, 0)
            q = queues[q].next
    stations[k].idle = min(stations[k].idle + passed, _LONG)


@jit
def _transmit(t: Tables, k: int, begin: int) -> int:
    """All whose wait is over send from `begin`; returns when the last acknowledgement ends, ns."""
    cell, slices, queues = t.cell, t.slices, t.queues
    count, longest = 0, np.int64(0)
    for s in range(len(slices)):
        q = slices[s].first if slices[s].station == k else NONE
        while q != NONE:
            queues[q].sends = queues[q].backoff == 0 and _contends(t, s, q) and _wait(t, k, s, q) == 0
            if queues[q].sends:
                count += 1
                longest = max(longest, _length(t, q, _packets(t, q)))
            q = queues[q].next
    for s in range(len(slices)):
        q = slices[s].first if slices[s].station == k else NONE
        while q != NONE:
            if queues[q].sends:
                _end_frame(t, s, q, begin, count > 1)
            q = queues[q].next
    return begin + longest + cell[0].sifs + cell[0].acknowledgement


@jit
def _packets(t: Tables, q: int) -> int:
    """Packets of the next frame of a queue: what waits, at most what may be aggregated and fits into the longest."""
    cell, queues = t.cell, t.queues
    bits = queues[q].left + 8.0 * queues[q].later
    most = (cell[0].txop - cell[0].preamble) * 1e-9 * _rate(t, q) / (8.0 * (cell[0].packet + cell[0].packet_header))
    return max(min(math.ceil(bits / (8.0 * cell[0].packet) - 1e-9), int(most), cell[0].aggregated), 1)


@jit
def _rate(t: Tables, q: int) -> float:
    """Of a link over the whole carrier, bit/s."""
    return t.links[t.queues[q].link].rate * t.cell[0].blocks


@jit
def _length(t: Tables, q: int, packets: int) -> int:
    """Length of a frame of so many packets, the last of which may be short, ns."""
    cell, queues = t.cell, t.queues
    bits = min(queues[q].left + 8.0 * queues[q].later, 8.0 * cell[0].packet * packets)
    return cell[0].preamble + math.ceil((bits + 8.0 * cell[0].packet_header * packets) / _rate(t, q) * 1e9)


@jit
def _end_frame(t: Tables, s: int, q: int, begin: int, collides: bool) -> None:
    """What becomes of a frame: it collides, or its packets arrive but for those that are not decoded."""
    cell, slices, queues, pool = t.cell, t.slices, t.queues, t.pool
    packets = _packets(t, q)
    length = _length(t, q, packets)
    spent = length + cell[0].sifs + cell[0].acknowledgement
    slices[s].tokens -= spent
    slices[s].used += spent * float(cell[0].blocks)
    queues[q].backoff = -1
    decoded, unit = 0, 8.0 * cell[0].packet
    if not collides:
        for i in range(packets):
            decoded += uniform(cell[0].seed, -_PACKETS - (q << 10) - i, begin) >= cell[0].packet_error
    bits = min(decoded * unit, queues[q].left + 8.0 * queues[q].later)
    if decoded < packets:
        slices[s].lost += (packets - decoded) * unit
        t.flows[pool[queues[q].unsent].flow].retransmissions += 1
    if decoded == 0:
        queues[q].fails += 1
        if queues[q].fails > cell[0].retransmissions:
            queues[q].fails = 0
            give_up(t, q, begin + spent, _HARQ_FAILED)
        return
    queues[q].fails = 0
    while queues[q].unsent != NONE and queues[q].left <= bits + TINY:
        bits -= queues[q].left
        complete(t, q, begin + length + cell[0].latency)
    if queues[q].unsent != NONE:
        queues[q].left -= max(bits, 0.0)
