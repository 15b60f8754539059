# SPDX-License-Identifier: Apache-2.0
"""When the directions of a carrier with `access` are open, and what a request, a report or a repetition waits for.

Compiled. `way` is DOWNLINK or UPLINK, `length` that of a slot (eMBB) or mini-slot (URLLC), ns.
"""

from __future__ import annotations

from ir_radio.cell_tables import Tables
from ir_radio.compiled import jit
from ir_radio.model.chance import uniform
from ir_radio.model.radio_access import DOWNLINK, UPLINK

_LINKS = 1 << 45
"""From here on, what draws are about are the request occasions of links."""


@jit
def open_share(t: Tables, start: int, length: int, way: int) -> float:
    """Share of the slot or mini-slot from `start` in which the carrier serves a direction."""
    cell = t.cell
    slot = start // cell[0].slot
    spans, part = cell[0].spans[slot % cell[0].slots], length / cell[0].slot
    begin = (start - slot * cell[0].slot) / cell[0].slot
    open_until, open_from = spans[DOWNLINK], 1.0 - spans[UPLINK]
    if way == DOWNLINK:
        share = (min(begin + part, open_until) - begin) / part
    else:
        share = (begin + part - max(begin, open_from)) / part
    return share if share > 1e-9 else 0.0


@jit
def opening(t: Tables, time: int, length: int, way: int) -> int:
    """Start of the first slot (mini-slot) from `time` on in which the carrier serves a direction, ns."""
    start = -(-time // length) * length
    while open_share(t, start, length, way) <= 0.0:
        start += length
    return start


@jit
def length_of(t: Tables, q: int) -> int:
    """How long a queue is scheduled for at once: a mini-slot if it is of a URLLC slice, else a slot, ns."""
    return t.cell[0].mini if t.slices[t.queues[q].slice].urllc else t.cell[0].slot


@jit
def granted_at(t: Tables, known: int, length: int) -> int:
    """Start of the uplink transmission that a base station grants once it knows of the need, at `known`, ns."""
    grant = opening(t, known + t.cell[0].gnb, length, DOWNLINK)
    return opening(t, grant + t.cell[0].k2, length, UPLINK)


@jit
def request(t: Tables, q: int, time: int) -> None:
    """A terminal asks for its first grant: scheduling request at its next occasion, grant, transmission k2 slots on.

    Occasions come with the period of requests, shifted for each link by its own part of it.
    """
    cell, queues, length = t.cell, t.queues, length_of(t, q)
    period = cell[0].sr
    slots = max(period // cell[0].slot, 1)
    shift = cell[0].slot * int(uniform(cell[0].seed, _LINKS + queues[q].link, 0) * slots)
    occasion = shift - (shift - time - cell[0].ue) // period * period
    sent = opening(t, occasion, length, UPLINK)
    queues[q].open = granted_at(t, sent + length, length)
    queues[q].visible = cell[0].first_grant


@jit
def approach(t: Tables, q: int, time: int) -> None:
    """A message came to an empty queue at `time`: from when on it may be served, and how much of it is known.

    That does not depend on when it is asked, before the queue is served; so joining a queue costs nothing more.
    """
    cell, queues = t.cell, t.queues
    queues[q].report_at, queues[q].newer_at = 0, 0
    if queues[q].downlink:
        queues[q].open, queues[q].visible = time + cell[0].gnb, 0.0
    elif cell[0].configured or time + cell[0].ue <= queues[q].until:
        queues[q].open, queues[q].visible = time + cell[0].ue, 0.0
    else:
        request(t, q, time)


@jit
def report(t: Tables, q: int, start: int, length: int, rest: float) -> None:
    """A transmission from `start` carries a buffer report: `rest` bits are to come; grants follow once it is read.

    At most two reports are under way; the later of them is replaced by a newer one.
    """
    queues = t.queues
    if rest <= 0.0:
        queues[q].report_at, queues[q].newer_at, queues[q].visible = 0, 0, 0.0
        return
    bits, when = rest + t.cell[0].segment, granted_at(t, start + length, length)
    if queues[q].report_at == 0:
        queues[q].report, queues[q].report_at = bits, when
    else:
        queues[q].newer, queues[q].newer_at = bits, when


@jit
def read_reports(t: Tables, q: int, start: int) -> None:
    """Lets the grants of a buffer report count from the slot in which they come into force."""
    queues = t.queues
    while 0 < queues[q].report_at <= start:
        queues[q].visible = max(queues[q].visible, queues[q].report)
        queues[q].report, queues[q].report_at = queues[q].newer, queues[q].newer_at
        queues[q].newer_at = 0


@jit
def repetition(t: Tables, start: int, length: int, way: int) -> int:
    """Start of the next transmission of a block that was sent from `start` and not decoded, ns."""
    cell, end = t.cell, start + length
    if way == UPLINK:
        soonest = granted_at(t, end, length)
    else:
        answer = opening(t, max(start + cell[0].k1, end + cell[0].ue), length, UPLINK)
        soonest = answer + length + cell[0].gnb
    return opening(t, max(soonest, start + cell[0].rtt), length, way)


@jit
def step_at(t: Tables, level: float) -> int:
    """The step of the ladder of MCS that a link of `level`, dB, takes."""
    step = 0
    while step + 1 < t.cell[0].steps and level >= t.cell[0].ladder[step + 1, 0]:
        step += 1
    return step
