# SPDX-License-Identifier: Apache-2.0
"""The cell once more, slow and exact: fractions, lists, every mini-slot. Shares no code with the kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass
class Message:
    number: int
    size: int
    arrival: int
    left: Fraction = Fraction(0)
    ends: int | None = None
    fate: str = ""


@dataclass
class Slice:
    urllc: bool
    blocks: Fraction
    lifespan: int
    limit: int


@dataclass
class Queue:
    slice: str
    rate: Fraction  # bit/s of one block
    messages: list[Message] = field(default_factory=list)
    granted: Fraction = Fraction(0)
    block: Fraction = Fraction(0)

    def waiting(self) -> list[Message]:
        return [m for m in self.messages if m.ends is None]

    def occupied(self, time: int) -> int:
        return sum(m.size for m in self.messages if m.ends is None or m.ends > time)


def fill_level(needs: list[Fraction], blocks: Fraction) -> list[Fraction]:
    """Max-min fair parts of `blocks`, smallest need first; all blocks are used."""
    total = sum(needs)
    if total <= blocks:
        return [need * blocks / total for need in needs]
    parts = {}
    for position, index in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        parts[index] = min(needs[index], blocks / (len(needs) - position))
        blocks -= parts[index]
    return [parts[index] for index in range(len(needs))]


def simulate(slices, queues, arrivals, until, slot=1_000_000, minis=4):
    """Arrivals: (time, queue key, size), sorted. Returns per arrival (time, fate); fate 'accepted': still queued."""
    mini, results, pending = slot // minis, {}, list(enumerate(arrivals))
    for start in range(0, until, mini):
        while pending and pending[0][1][0] <= start:
            number, (time, key, size) = pending.pop(0)
            _arrive(slices, queues[key], number, size, time, results)
        for name, spec in slices.items():
            members = [q for q in queues.values() if q.slice == name]
            if spec.urllc or start % slot == 0:
                _schedule(spec, members, start, mini if spec.urllc else slot)
            for queue in members:
                _send(spec, queue, start, mini)
    for number, (time, key, size) in pending:
        _arrive(slices, queues[key], number, size, time, results)
    out = []
    for number, (time, _, _) in enumerate(arrivals):
        result = results[number]
        if isinstance(result, str):
            out.append((time, result))
        elif result.ends is None or result.ends > until:
            out.append((time, "accepted"))
        else:
            out.append((result.ends, result.fate))
    return out


def _arrive(slices, queue, number, size, time, results):
    limit = slices[queue.slice].limit
    if size > limit:
        results[number] = "too_large"
    elif queue.rate == 0:
        results[number] = "out_of_coverage"
    elif queue.occupied(time) + size > limit:
        results[number] = "queue_full"
    else:
        message = Message(number, size, time, Fraction(8 * size))
        queue.messages.append(message)
        results[number] = message


def _schedule(spec, members, start, duration):
    for queue in members:
        queue.granted = queue.block = Fraction(0)
        for message in queue.waiting():
            if spec.lifespan and message.arrival + spec.lifespan <= start:
                message.ends, message.fate = start, "expired"
    seconds = Fraction(duration, 10**9)
    while True:
        busy = [queue for queue in members if queue.waiting() and queue.rate]
        needs = [sum(m.left for m in queue.waiting()) / (queue.rate * seconds) for queue in busy]
        for queue in members:
            queue.granted = queue.block = Fraction(0)
        for queue, part in zip(busy, fill_level(needs, spec.blocks) if busy else [], strict=True):
            queue.granted = part
            queue.block = min(sum(m.left for m in queue.waiting()), part * queue.rate * seconds)
        if not spec.lifespan or not [queue for queue in busy if _expire_hopeless(spec, queue, start)]:
            return


def _expire_hopeless(spec, queue, start):
    """Of a queue that cannot send all: the first message that begins in this block and would be late goes now."""
    speed, sent = queue.granted * queue.rate, Fraction(0)
    if not speed or queue.block >= sum(m.left for m in queue.waiting()):
        return False
    for message in queue.waiting():
        if sent and sent >= queue.block:
            return False
        sent += message.left
        if start + math.ceil(sent / speed * 10**9) - message.arrival > spec.lifespan:
            message.ends, message.fate = start, "expired"
            return True
    return False


def _send(spec, queue, start, mini):
    speed = queue.granted * queue.rate
    if not speed:
        return
    budget = min(queue.block, speed * Fraction(mini, 10**9))
    queue.block -= budget
    sent = Fraction(0)
    for message in queue.waiting():
        part = min(message.left, budget - sent)
        sent += part
        message.left -= part
        if message.left > 0:
            break
        message.ends = start + math.ceil(sent / speed * 10**9)
        late = spec.lifespan and message.ends - message.arrival > spec.lifespan
        message.fate = "expired" if late else "delivered"
