# SPDX-License-Identifier: Apache-2.0
"""The inner loop of the cell, compiled by Numba: arrays in, arrays out, integer nanoseconds.

Rows of the tables (`ir_radio.tables`) refer to each other by index, -1 is none. Each queue is a list of messages in the
pool, oldest first: ``head`` is the oldest that has not left, ``unsent`` the first of which bits remain; those before it
are in flight, their departure is settled. All functions stay in this file: Numba's cache watches only the file of the
function that it caches, so a change elsewhere would go unnoticed.
"""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np
from numba import njit

# No reference counting: nothing is allocated here, and counting ten arrays at each call doubles the time of the loop.
_jit = njit(cache=True, error_model="numpy", _nrt=False)

NONE = -1
MEASURED = -2
"""Era of a link whose rate was measured: fading is in it already."""
TINY = 1e-6
"""Bits under which a remainder is rounding, not data."""


class Fate(IntEnum):
    """What became of a message; from QUEUE_FULL on: why it was dropped."""

    DELIVERED = 0
    ACCEPTED = 1
    QUEUE_FULL = 2
    TOO_LARGE = 3
    EXPIRED = 4
    OUT_OF_COVERAGE = 5
    NO_POSE = 6
    NO_SLICE = 7
    SLICE_DELETED = 8
    TIME_JUMP = 9


# Plain integers: what compiled code can read.
_DELIVERED, _ACCEPTED = int(Fate.DELIVERED), int(Fate.ACCEPTED)
_QUEUE_FULL, _TOO_LARGE, _EXPIRED = int(Fate.QUEUE_FULL), int(Fate.TOO_LARGE), int(Fate.EXPIRED)
_OUT_OF_COVERAGE, _NO_POSE, _NO_SLICE = int(Fate.OUT_OF_COVERAGE), int(Fate.NO_POSE), int(Fate.NO_SLICE)


# Delays are counted in bins of 1/32 of a power of two: relative error of a bin's middle at most 1/64.
BINS_PER_OCTAVE = 32
_SHIFT = 5
FIRST_OCTAVE, OCTAVES = 10, 32  # from 1 us to 2^42 ns = 73 min
BINS = OCTAVES * BINS_PER_OCTAVE


@_jit
def delay_bin(delay: int) -> int:
    """The bin of a delay in ns; too small and too large ones are counted in the outermost bins."""
    octave = math.frexp(float(delay))[1] - 1  # 2^octave <= delay; delays are far below 2^53
    if octave < FIRST_OCTAVE:
        return 0
    if octave >= FIRST_OCTAVE + OCTAVES:
        return BINS - 1
    return ((octave - FIRST_OCTAVE) << _SHIFT) + ((delay >> (octave - _SHIFT)) & (BINS_PER_OCTAVE - 1))


@_jit
def _wait(cell, slices, queues, q):
    """Enters a queue into its slice's list of waiting queues."""
    if queues[q].waiting == 0:
        queues[q].waiting = 1
        queues[q].next = slices[queues[q].slice].first
        slices[queues[q].slice].first = q
        cell[0].waiting += 1


@_jit
def _next_unsent(queues, pool, q):
    """Turns to the message after the unsent one."""
    m = pool[queues[q].unsent].next
    queues[q].unsent = m
    queues[q].left = 0.0
    if m != NONE:
        queues[q].left = 8.0 * pool[m].size
        queues[q].later -= pool[m].size


@_jit
def _leave(cell, queues, flows, drops, delays, pool, q, time, fate, events, n):
    """Takes the head of a queue out of the books and writes event n."""
    m = queues[q].head
    message = pool[m]
    f, size = message.flow, message.size
    queues[q].head = message.next
    if message.next == NONE:
        queues[q].tail = NONE
    queues[q].bytes -= size
    flows[f].queued -= 1
    flows[f].queued_bytes -= size
    if fate == _DELIVERED:
        delay = time - message.arrival
        flows[f].delivered += 1
        flows[f].delivered_bytes += size
        flows[f].delay_sum += delay
        flows[f].delay_max = max(flows[f].delay_max, delay)
        delays[f, delay_bin(delay)] += 1
    else:
        drops[f, fate, 0] += 1
        drops[f, fate, 1] += size
    events[n].id, events[n].flow, events[n].time, events[n].fate = message.id, f, time, fate
    pool[m].next = cell[0].free
    cell[0].free = m


@_jit
def _settle(cell, queues, flows, drops, delays, pool, q, time, events, n):
    """Lets go of the messages of a queue that left up to `time`; returns the number of events, or -1 - it: full."""
    while queues[q].head != queues[q].unsent and pool[queues[q].head].departure <= time:
        if n == len(events):
            return -1 - n
        head = pool[queues[q].head]
        _leave(cell, queues, flows, drops, delays, pool, q, head.departure, head.fate, events, n)
        n += 1
    return n


@_jit
def _expire(queues, pool, q, lifespan, time):
    """Gives up unsent messages whose lifespan is over at `time`."""
    while queues[q].unsent != NONE and pool[queues[q].unsent].arrival + lifespan <= time:
        m = queues[q].unsent
        pool[m].departure = time
        pool[m].fate = _EXPIRED
        _next_unsent(queues, pool, q)


@_jit
def _exponential(seed, link, era):
    """The draw of mean 1 that belongs to a link and an era, whoever asks and when (two rounds of SplitMix64)."""
    z = (
        np.uint64(seed)
        + np.uint64(link) * np.uint64(0xD1B54A32D192ED03)
        + np.uint64(era) * np.uint64(0x9E3779B97F4A7C15)
    )
    for _ in range(2):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return -math.log((np.float64(z >> np.uint64(11)) + 0.5) * 2.0**-53)


@_jit
def _fade(cell, links, link, start):
    """Rayleigh block fading: at each era (coherence time) the power gain is drawn anew from Exp(1)."""
    era = start // cell[0].coherence
    if links[link].era not in (era, MEASURED):
        links[link].era = era
        snr = links[link].snr * _exponential(cell[0].seed, link, era)
        efficiency = min(math.log2(1.0 + snr), cell[0].efficiency)
        links[link].rate = cell[0].bandwidth * efficiency if snr >= cell[0].coverage else 0.0


@_jit
def _grant(slices, queues, links, s, duration):
    """Divides the resource blocks of a slice among its waiting queues for `duration` ns: max-min fair, all used.

    A queue needs bits / (rate x duration) blocks. Where all needs fit, they are scaled up to use every block, so that
    all finish together and early; where not, the blocks are filled in evenly up to each need (water filling).
    """
    total, count = 0.0, 0
    q = slices[s].first
    while q != NONE:
        bits, rate = queues[q].left + 8.0 * queues[q].later, links[queues[q].link].rate
        queues[q].granted = 0.0
        queues[q].block = 0.0
        if bits > 0.0 and rate > 0.0:
            queues[q].block = bits  # for now: all; `granted` holds the need
            queues[q].granted = bits / (rate * duration * 1e-9)
            total += queues[q].granted
            count += 1
        q = queues[q].next
    blocks = slices[s].blocks
    if count == 0:
        return
    level, scale = math.inf, 1.0
    if total <= blocks:
        scale = blocks / total
    else:
        level = _water_level(slices, queues, s, blocks, count)
    q = slices[s].first
    while q != NONE:
        granted = min(queues[q].granted, level) * scale
        queues[q].granted = granted
        queues[q].block = min(queues[q].block, granted * links[queues[q].link].rate * duration * 1e-9)
        q = queues[q].next


@_jit
def _water_level(slices, queues, s, blocks, count):
    """The level L at which sum(min(need, L)) over the queues is `blocks`; the sum of needs is greater than that."""
    level, previous = blocks / count, -1.0
    while level > previous:
        previous = level
        rest, unmet = blocks, 0
        q = slices[s].first
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


@_jit
def _transmit(cell, slices, queues, pool, links, q, start, duration):
    """Sends bits of one queue for `duration` ns from `start`; messages whose last bit goes get their departure."""
    s = queues[q].slice
    block_rate = links[queues[q].link].rate
    rate = queues[q].granted * block_rate
    send = min(rate * duration * 1e-9, queues[q].block)
    if not send > 0.0:
        return
    sent = 0.0
    while queues[q].unsent != NONE and queues[q].left <= send - sent + TINY:
        m = queues[q].unsent
        sent += queues[q].left
        departure = start + min(math.ceil(sent / rate * 1e9 - 1e-3), duration) + cell[0].latency
        pool[m].departure = departure
        lifespan = slices[s].lifespan
        pool[m].fate = _EXPIRED if 0 < lifespan < departure - pool[m].arrival else _DELIVERED
        _next_unsent(queues, pool, q)
        if send - sent < TINY:
            break
    if queues[q].unsent != NONE and send > sent:
        queues[q].left -= send - sent
    rest = queues[q].block - send
    queues[q].block = rest if rest > TINY else 0.0
    slices[s].used += send / block_rate * 1e9


@_jit
def _schedule(cell, slices, queues, flows, drops, delays, pool, links, s, start, duration, events, n):
    """Clears the waiting queues of a slice and grants them their blocks for what starts at `start`."""
    last, q = NONE, slices[s].first
    while q != NONE:
        if slices[s].lifespan > 0:
            _expire(queues, pool, q, slices[s].lifespan, start)
        n = _settle(cell, queues, flows, drops, delays, pool, q, start, events, n)
        if n < 0:
            return n
        if cell[0].coherence > 0:
            _fade(cell, links, queues[q].link, start)
        following = queues[q].next
        if queues[q].head == NONE:
            queues[q].waiting = 0
            cell[0].waiting -= 1
            if last == NONE:
                slices[s].first = following
            else:
                queues[last].next = following
        else:
            last = q
        q = following
    _grant(slices, queues, links, s, duration)
    return n


@_jit
def _serve(cell, slices, queues, flows, drops, delays, pool, links, events, n):
    """Serves one mini-slot, and the start of a slot where it is one; returns as `_settle` (full: nothing was sent)."""
    start, mini, slot = cell[0].next, cell[0].mini, cell[0].slot
    for s in range(len(slices)):
        if slices[s].first != NONE and (slices[s].urllc or start % slot == 0):
            duration = mini if slices[s].urllc else slot
            n = _schedule(cell, slices, queues, flows, drops, delays, pool, links, s, start, duration, events, n)
            if n < 0:
                return n
    for s in range(len(slices)):
        q = slices[s].first
        while q != NONE:
            _transmit(cell, slices, queues, pool, links, q, start, mini)
            q = queues[q].next
    cell[0].next = start + mini
    return n


@_jit
def _serve_until(cell, slices, queues, flows, drops, delays, pool, links, time, events, n):
    """Serves all mini-slots that start before `time`; idle ones are skipped."""
    while cell[0].next < time:
        if cell[0].waiting == 0:
            cell[0].next = -(-time // cell[0].mini) * cell[0].mini
            break
        n = _serve(cell, slices, queues, flows, drops, delays, pool, links, events, n)
        if n < 0:
            break
    return n


@_jit
def _judge(cell, slices, queues, flows, links, arrival):
    """Is there room for a message, or why not?"""
    flow = flows[arrival.flow]
    if flow.active == 0:
        return _NO_SLICE
    queue = queues[flow.queue]
    limit = slices[queue.slice].limit
    if arrival.size > limit:
        return _TOO_LARGE
    if math.isnan(links[queue.link].snr):
        return _NO_POSE
    if links[queue.link].snr < cell[0].coverage:
        return _OUT_OF_COVERAGE
    if queue.bytes + arrival.size > limit:
        return _QUEUE_FULL
    return _ACCEPTED


@_jit
def _admit(cell, slices, queues, flows, drops, pool, links, arrival):
    """Takes a message in, or counts it as dropped; the pool has a free row."""
    f, size = arrival.flow, arrival.size
    flows[f].offered += 1
    flows[f].offered_bytes += size
    arrival.fate = _judge(cell, slices, queues, flows, links, arrival)
    if arrival.fate != _ACCEPTED:
        drops[f, arrival.fate, 0] += 1
        drops[f, arrival.fate, 1] += size
        return
    q, m = flows[f].queue, cell[0].free
    cell[0].free = pool[m].next
    pool[m].id, pool[m].flow, pool[m].size, pool[m].arrival, pool[m].next = arrival.id, f, size, arrival.time, NONE
    if queues[q].tail == NONE:
        queues[q].head = m
    else:
        pool[queues[q].tail].next = m
    queues[q].tail = m
    if queues[q].unsent == NONE:
        queues[q].unsent = m
        queues[q].left = 8.0 * size
    else:
        queues[q].later += size
    queues[q].bytes += size
    flows[f].queued += 1
    flows[f].queued_bytes += size
    _wait(cell, slices, queues, q)


@_jit
def run(cell, slices, queues, flows, drops, delays, pool, links, arrivals, until, events):
    """Runs the cell on to `until`.

    Slots and mini-slots lie on multiples of their length; one that starts at T serves what arrived up to T. The fate
    of each arrival at the door is written into it, that of messages that were let in becomes an event.

    Args:
        arrivals: [n] ARRIVAL, sorted by time, none before `now` or after `until`.
        events: [m] EVENT, filled from the start, in the order of time within each queue.

    Returns:
        (arrivals taken, events written, done). Where done is false, the events or the pool were full: make room and
        call again with the arrivals that were not taken.
    """
    n = 0
    for a in range(len(arrivals)):
        time, flow = arrivals[a].time, arrivals[a].flow
        n = _serve_until(cell, slices, queues, flows, drops, delays, pool, links, time, events, n)
        if n >= 0 and flows[flow].active:
            n = _settle(cell, queues, flows, drops, delays, pool, flows[flow].queue, time, events, n)
        if n < 0 or cell[0].free == NONE:
            return a, max(n, -1 - n), False
        cell[0].now = time
        _admit(cell, slices, queues, flows, drops, pool, links, arrivals[a])
    n = _serve_until(cell, slices, queues, flows, drops, delays, pool, links, until, events, n)
    for s in range(len(slices)):
        q = slices[s].first
        while q != NONE and n >= 0:
            n = _settle(cell, queues, flows, drops, delays, pool, q, until, events, n)
            q = queues[q].next
    if n < 0:
        return len(arrivals), -1 - n, False
    cell[0].now = until
    return len(arrivals), n, True


@_jit
def flush(cell, slices, queues, flows, drops, delays, pool, s, fate, events):
    """Drops every message of slice `s` (all slices: -1) now; returns the number of events, for which there is room."""
    n = 0
    for i in range(len(slices)):
        q = slices[i].first if s in (NONE, i) else NONE
        while q != NONE:
            while queues[q].head != NONE:
                _leave(cell, queues, flows, drops, delays, pool, q, cell[0].now, fate, events, n)
                n += 1
            queue = queues[q]
            queue.unsent, queue.later, queue.waiting = NONE, 0, 0
            queue.left, queue.granted, queue.block = 0.0, 0.0, 0.0
            cell[0].waiting -= 1
            q = queue.next
        if s in (NONE, i):
            slices[i].first = NONE
    return n


@_jit
def next_event(cell, slices, queues, pool, links):
    """A time before which no message leaves, ns, at least now + 1; the largest int64 while nothing waits.

    For a message in flight it is the departure; for one that waits, the departure if its queue had all the blocks.
    """
    soonest = np.iinfo(np.int64).max
    next_slot = -(-cell[0].next // cell[0].slot) * cell[0].slot
    for s in range(len(slices)):
        q = slices[s].first
        while q != NONE:
            queue = queues[q]
            if queue.head != queue.unsent:
                soonest = min(soonest, pool[queue.head].departure)
            elif queue.unsent != NONE:
                best = cell[0].bandwidth * cell[0].efficiency if cell[0].coherence > 0 else links[queue.link].rate
                rate = max(slices[s].blocks, queue.granted) * best
                start = cell[0].next if slices[s].urllc or queue.block > 0.0 else next_slot
                if rate > 0.0:
                    soonest = min(soonest, start + 1 + int(min(queue.left / rate * 1e9, 1e17)) + cell[0].latency)
            q = queue.next
    return max(soonest, cell[0].now + 1)
