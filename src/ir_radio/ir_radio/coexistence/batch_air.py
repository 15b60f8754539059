# SPDX-License-Identifier: Apache-2.0
"""The batch air engine, IoR section IV (3): slots for eMBB, mini-slots for URLLC that punctures it.

A slot gives each sub-carrier to the eMBB user of the greatest backlog x rate (max-weight). A mini-slot that starts at T
sends URLLC packets that were ready at T, each on one sub-carrier. Integer nanoseconds and bits. The live cell has its
own air, `ir_radio.engine.live_air`; what both compute the same way is in `ir_radio.engine.puncturing`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ir_radio.cell_tables import Rows
from ir_radio.coexistence.batch_computing import DROPPED
from ir_radio.coexistence.scenario import SLOT, CoexistenceScenario
from ir_radio.compiled import jit
from ir_radio.engine.puncturing import BEST, IDLE, LOSSES, ROTATE, RULES, choose, survives

QUEUED = -1
LOST = -3
"""End of a packet that was sent, but not decoded."""

TAKEN = -2
"""fifo: the sub-carrier belongs to URLLC for the slot."""

_PUNCTURING, _PUTD, _FIFO = 0, 1, 2
_MODES = {"puncturing": _PUNCTURING, "putd": _PUTD, "euad": _PUTD, "fifo": _FIFO}


Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Packets(NamedTuple):
    """URLLC packets, [n] each: ready, ns; luck in [0, 1), lost where it is under the error; end, ns or a fate."""

    ready: NDArray[np.int64]
    luck: NDArray[np.float64]
    end: NDArray[np.int64]


JOB = np.dtype([("ready", "i8"), ("user", "i8"), ("bits", "i8"), ("left", "i8"), ("next", "i8"), ("end", "i8")])
"""An eMBB job; `left` are the bits not delivered."""
USER = np.dtype(
    [(n, "i8") for n in (
        "head", "tail", "backlog", "fails", "granted", "punctured", "capacity", "unplanned", "cursor", "active",
    )]
)  # fmt: skip
"""An eMBB user: its line of jobs, bits waiting, and what it has of the slot."""
_STATE = np.dtype(
    [(n, "i8") for n in (
        "mode", "carried_first", "rule", "loss", "threshold", "exponent", "retransmissions",
        "limit", "minis", "mini", "era_slots", "usable", "rotation", "next_job", "planned", "carried", "fresh",
        "failed",
    )] + [("epsilon", "f8")]
)  # fmt: skip


@jit
def _rank(s: Rows, errors: Floats, order: Ints) -> None:
    """Lists the sub-carriers that carry a URLLC packet at the asked error probability; the best first, if so ruled."""
    n = 0
    for c in range(len(errors)):
        if errors[c] <= s[0].epsilon:
            i = n
            if s[0].rule == BEST:
                while i > 0 and errors[order[i - 1]] > errors[c]:
                    order[i] = order[i - 1]
                    i -= 1
            order[i] = c
            n += 1
    s[0].usable = n


@jit
def _enqueue(s: Rows, users: Rows, jobs: Rows, now: int) -> None:
    """Puts the jobs that are ready at `now`, ns, into the lines of their users."""
    i = s[0].next_job
    while i < len(jobs) and jobs[i].ready <= now:
        u = jobs[i].user
        if users[u].head == QUEUED:
            users[u].head = i
        else:
            jobs[users[u].tail].next = i
        users[u].tail = i
        users[u].backlog += jobs[i].bits
        i += 1
    s[0].next_job = i


@jit
def _plan(s: Rows, users: Rows, rates: Ints, plan: Ints) -> None:
    """Gives sub-carriers to eMBB users by max-weight; none once every backlog is covered."""
    waiting = 0  # users with a backlog, listed in `active`
    for u in range(len(users)):
        if users[u].backlog > 0:
            users[u].granted, users[u].punctured, users[u].capacity = 0, 0, 0
            users[u].unplanned = users[u].backlog
            users[waiting].active = u
            waiting += 1
    if waiting == 0 and s[0].planned == 0:
        return
    s[0].planned = waiting
    open_users = waiting
    for c in range(len(plan)):
        best, weight = IDLE, 0
        for i in range(waiting if open_users > 0 else 0):
            u = users[i].active
            w = users[u].unplanned * rates[u, c]
            if w > weight:
                best, weight = u, w
        plan[c] = best
        if best != IDLE:
            users[best].granted += 1
            users[best].capacity += rates[best, c]
            users[best].unplanned -= rates[best, c]
            open_users -= users[best].unplanned <= 0


@jit
def _send(users: Rows, packets: Packets, i: int, errors: Floats, plan: Ints, c: int, end: int, trace: Ints) -> None:
    """Sends packet i on sub-carrier c."""
    users[max(plan[c], 0)].punctured += plan[c] >= 0  # no branch, which nobody could foresee
    packets.end[i] = LOST if packets.luck[i] < errors[c] else end
    if len(trace):
        trace[c] = i


@jit
def _puncture(
    s: Rows, users: Rows, packets: Packets, errors: Floats, plan: Ints, order: Ints, chosen: Ints, now: int, trace: Ints
) -> None:
    """Serves a mini-slot: sends up to M packets, carries or drops the excess."""
    first, fresh = s[0].carried, s[0].fresh
    last = fresh
    while last < len(packets.ready) and packets.ready[last] <= now:
        last += 1
    if last == first:
        return
    room = min(s[0].limit, s[0].usable)
    if s[0].carried_first:
        old = min(fresh - first, room)
        new = min(last - fresh, room - old)
    else:
        new = min(last - fresh, room)
        old = min(fresh - first, room - new)
    count, end, usable, at = old + new, now + s[0].mini, s[0].usable, s[0].rotation
    in_turn = s[0].rule == ROTATE
    if count > 0 and in_turn:
        if at >= usable:  # seldom, and a division costs as much as a packet
            at %= usable
    elif count > 0:
        s[0].rotation = choose(s[0].rule, usable, at, plan, order, count, chosen)
    for k in range(count):
        i = first + k if k < old else fresh - old + k
        c = order[at] if in_turn else chosen[k]
        at = at + 1 if at + 1 < usable else 0
        _send(users, packets, i, errors, plan, c, end, trace)
    if in_turn:
        s[0].rotation = at
    for i in range(first + old, fresh):
        packets.end[i] = DROPPED  # its second mini-slot has passed it by
    s[0].carried, s[0].fresh = fresh + new, last
    if fresh + new < last and s[0].mode == _PUTD:
        for i in range(fresh + new, last):
            packets.end[i] = DROPPED
        s[0].carried = last
    s[0].failed += s[0].carried > first + old + new


@jit
def _take(users: Rows, rates: Ints, plan: Ints, u: int) -> bool:
    """fifo: gives user u the free sub-carrier of its greatest rate; false where there is none."""
    best = IDLE
    for c in range(len(plan)):
        if plan[c] == IDLE and rates[u, c] > 0 and (best == IDLE or rates[u, c] > rates[u, best]):
            best = c
    if best == IDLE:
        return False
    plan[best] = u
    users[u].granted += 1
    users[u].capacity += rates[u, best]
    return True


@jit
def _plan_fifo(
    s: Rows,
    users: Rows,
    jobs: Rows,
    packets: Packets,
    rates: Ints,
    errors: Floats,
    plan: Ints,
    order: Ints,
    start: int,
    traces: Ints,
) -> None:
    """Gives out the sub-carriers of a slot to packets and jobs in the order in which they were ready."""
    plan[:] = IDLE
    for u in range(len(users)):
        users[u].granted, users[u].punctured, users[u].capacity, users[u].unplanned = 0, 0, 0, 0
        users[u].cursor, users[u].active = users[u].head, u
    s[0].planned = len(users)
    place, at, mini, blocked = 0, IDLE, s[0].minis, False
    while True:
        pick, oldest = IDLE, start + 1
        for u in range(len(users)):
            if users[u].cursor != QUEUED and jobs[users[u].cursor].ready < oldest:
                pick, oldest = u, jobs[users[u].cursor].ready
        i = s[0].fresh
        if i < len(packets.ready) and packets.ready[i] <= min(oldest, start) and not blocked:
            if mini == s[0].minis:  # a new sub-carrier, the first usable one that is free
                while place < s[0].usable and plan[order[place]] != IDLE:
                    place += 1
                if place == s[0].usable:
                    blocked = True
                    continue
                at, mini = order[place], 0
                plan[at] = TAKEN
            mini += 1
            _send(users, packets, i, errors, plan, at, start + mini * s[0].mini, traces[mini - 1])
            s[0].fresh = s[0].carried = i + 1
        elif pick != IDLE:
            users[pick].unplanned += jobs[users[pick].cursor].left
            users[pick].cursor = jobs[users[pick].cursor].next
            while users[pick].capacity < users[pick].unplanned:
                if not _take(users, rates, plan, pick):
                    users[pick].cursor = QUEUED
                    break
        else:
            return


@jit
def _deliver(s: Rows, users: Rows, jobs: Rows, end: int) -> None:
    """Ends a slot: delivers the bits of each block, oldest job first; bounded retransmission of blocks that failed."""
    for k in range(s[0].planned):
        u = users[k].active
        if users[u].granted == 0 or users[u].backlog == 0:
            continue
        bits = survives(
            s[0].loss, s[0].threshold, s[0].exponent,
            users[u].capacity, users[u].punctured, users[u].granted * s[0].minis,
        )  # fmt: skip
        if bits < 0:
            users[u].fails += 1
            if users[u].fails > s[0].retransmissions:
                head = users[u].head
                users[u].fails = 0
                users[u].backlog -= jobs[head].left
                jobs[head].end = DROPPED
                users[u].head = jobs[head].next
            continue
        users[u].fails = 0
        bits = min(bits, users[u].backlog)
        users[u].backlog -= bits
        while bits > 0:
            head = users[u].head
            sent = min(bits, jobs[head].left)
            jobs[head].left -= sent
            bits -= sent
            if jobs[head].left == 0:
                jobs[head].end = end
                users[u].head = jobs[head].next


@jit
def _run(
    s: Rows,
    users: Rows,
    jobs: Rows,
    packets: Packets,
    rates: Ints,
    errors: Floats,
    plan: Ints,
    order: Ints,
    chosen: Ints,
    slots: int,
    grants: Ints,
    traces: Ints,
) -> None:
    """Runs `slots` slots: plans each, serves its mini-slots, delivers; arguments as those of `transmit`."""
    none, total = traces[0, :, :0], len(packets.ready)
    era, next_era = -1, 0
    for slot in range(slots):
        start = slot * s[0].mini * s[0].minis
        if slot == next_era:
            era, next_era = era + 1, slot + s[0].era_slots
            _rank(s, errors[era], order)
        if s[0].next_job < len(jobs) and jobs[s[0].next_job].ready <= start:
            _enqueue(s, users, jobs, start)
        trace = traces[slot] if slot < len(traces) else none
        if s[0].mode == _FIFO:
            _plan_fifo(s, users, jobs, packets, rates[era], errors[era], plan, order, start, trace)
        else:
            _plan(s, users, rates[era], plan)
            for m in range(s[0].minis):
                now = start + m * s[0].mini
                if s[0].carried == s[0].fresh and (s[0].fresh == total or packets.ready[s[0].fresh] > now):
                    continue
                _puncture(s, users, packets, errors[era], plan, order, chosen, now, trace[m])
        if slot < len(grants):
            for c in range(len(plan)):
                grants[slot, c] = plan[c]
        _deliver(s, users, jobs, start + s[0].mini * s[0].minis)


@jit
def _starts(ready: Ints, mini: int, minis: int) -> int:
    """The number of mini-slots, of `minis` of length `mini`, before whose start new packets became ready."""
    count, last = 0, -1  # last: start of the mini-slot that was counted last, ns
    for i in range(len(ready)):
        if ready[i] > last:
            last = -(-ready[i] // mini) * mini
            if last >= minis * mini:
                break
            count += 1
    return count


def offered_minislots(ready: NDArray[np.int64], scene: CoexistenceScenario, slots: int) -> int:
    """Mini-slots of a run at whose start packets were new: ready, ns, sorted."""
    return int(_starts(ready, scene.minislot, slots * scene.minislots))


def make_packets(ready: NDArray[np.int64], luck: NDArray[np.float64]) -> Packets:
    """Packets of the times at which they are ready, ns, sorted, and their luck."""
    return Packets(ready, luck, np.full(len(ready), QUEUED))


def make_jobs(ready: NDArray[np.int64], user: NDArray[np.int64], bits: NDArray[np.int64]) -> NDArray[np.void]:
    """[n] JOB of the times at which they are ready, ns, sorted, their users and their bits, positive."""
    jobs = np.zeros(len(ready), JOB)
    jobs["ready"], jobs["user"], jobs["bits"], jobs["left"] = ready, user, bits, bits
    jobs["next"] = jobs["end"] = QUEUED
    return jobs


def transmit(
    scene: CoexistenceScenario,
    packets: Packets,
    jobs: NDArray[np.void],
    rates: NDArray[np.int64],
    errors: NDArray[np.float64],
    slots: int,
    grants: NDArray[np.int64] | None = None,
    traces: NDArray[np.int64] | None = None,
) -> int:
    """Sends packets and jobs for `slots` slots; writes their ends.

    Args:
        packets, jobs: as `make_packets` and `make_jobs` give them; `end` and `left` are written.
        rates: [eras, users, sub-carriers] int64, bit: what a sub-carrier carries in a slot.
        errors: [eras, sub-carriers] float64: error probability of a URLLC packet.
        slots: at most eras x coherence_slots.
        grants: [n, sub-carriers] int64, written for the first n slots: the eMBB user, or -1 and (fifo) -2.
        traces: [n, mini-slots, sub-carriers] int64, likewise: the packet that was sent there, else as given.

    Returns:
        the number of mini-slots in which packets were dropped.
    """
    carriers = scene.sub_carriers
    s = np.zeros(1, _STATE)
    for name, value in (
        ("mode", _MODES[scene.scheduler]), ("carried_first", scene.carried_first), ("rule", RULES[scene.puncture]),
        ("loss", LOSSES[scene.loss]), ("threshold", scene.loss_threshold), ("exponent", scene.loss_exponent),
        ("retransmissions", scene.retransmissions), ("limit", scene.packets_per_minislot), ("minis", scene.minislots),
        ("mini", SLOT // scene.minislots), ("era_slots", scene.coherence_slots), ("epsilon", scene.epsilon),
    ):  # fmt: skip
        s[name] = value
    users = np.zeros(scene.embb_robots, USER)
    users["head"] = users["tail"] = QUEUED
    plan, order, chosen = np.full(carriers, IDLE), np.zeros(carriers, np.int64), np.zeros(carriers, np.int64)
    grants = np.empty((0, carriers), np.int64) if grants is None else grants
    traces = np.empty((1, scene.minislots, 0), np.int64) if traces is None else traces
    _run(s, users, jobs, packets, rates, errors, plan, order, chosen, slots, grants, traces)
    return int(s[0]["failed"])
