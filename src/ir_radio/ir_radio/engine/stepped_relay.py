# SPDX-License-Identifier: Apache-2.0
"""A relay's cell that runs in step with a simulation: neither goes where the other's messages are still to come from.

A simulation says at each instant up to which all readings are published and before which no further one comes. The cell
takes what was stamped up to there in, each message at its stamp, and runs to the last nanosecond before that next
instant. Where a state reaches the edge the cell stands still until the edge has answered it, so that the answer is
offered at the very instant: processes take no time by this clock, however long the host kept them.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

from ir_common.answers import Answers
from ir_radio.engine.cell import NEVER, CellEvent
from ir_radio.engine.relay_engine import RelayEngine

STRAY = 100_000_000
"""ns; a stamp so far ahead of the simulation is of another clock and says nothing."""


@dataclass(frozen=True)
class Instant:
    """How far a simulation has run: ns of `now` and of its next reading; robots whose control step may be due."""

    now: int
    next: int
    due: tuple[str, ...] = ()


@dataclass(frozen=True)
class Horizon:
    """The instant that was dealt with, and before which no further command arrives but for later control steps; ns."""

    now: int
    until: int


class SteppedRelay:
    """Decides how far the cell may run; whoever uses it carries the messages.

    Args:
        engine: of the relay.
        let_in: offers a message to the engine at a time, ns.
        finish: hands on what became of one message; calls `delivered` for states that reached the edge.
        on_the_way: whether a state or a command is in the cell.
        edge: answers of the edge to states.
        onboard: what the robots' on-board parts say when they are done with a reading.
        prepare: called at each instant before anything else, with its time: the place for poses.

    Attributes:
        started: an instant came.
    """

    def __init__(
        self, engine: RelayEngine, let_in: Callable[[Any, int], None], finish: Callable[[CellEvent], None],
        on_the_way: Callable[[], bool], edge: Answers, onboard: Answers, prepare: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.started = False
        self._engine, self._let_in, self._finish, self._on_the_way = engine, let_in, finish, on_the_way
        self._edge, self._onboard, self._prepare = edge, onboard, prepare
        self._instants: deque[Instant] = deque()
        self._present: Instant | None = None
        self._last = -1
        self._early: list[tuple[int, int, Any]] = []
        self._order = count()
        self._events: deque[CellEvent] = deque()  # that are not yet handed on
        self._done: dict[str, int] = {}

    # --- what comes ---

    def instant(self, instant: Instant) -> None:
        """The simulation has come to an instant."""
        self.started = True
        self._instants.append(instant)

    def done(self, robot: str, stamp: int) -> None:
        """An on-board part is done with its reading of `stamp`, ns: states that follow from it have come."""
        self._done[robot] = stamp
        if self._present is None or stamp >= self._present.now:
            self._onboard.heard(robot)

    def from_robot(self, message: Any, stamp: int | None) -> None:
        """Takes a message; it is let in at its stamp, ns (None: now), or now, where the cell is beyond that."""
        newest = (self._instants[-1] if self._instants else self._present or Instant(self._last, self._last)).next
        now = self._engine.cell.now
        time = now if stamp is None or stamp > newest + STRAY else stamp
        heapq.heappush(self._early, (time, next(self._order), message))

    def from_edge(self, message: Any, robot: str) -> None:
        """Takes a message to a robot: the answer that is waited for, or something else."""
        self._let_in(message, self._engine.cell.now)
        self._edge.heard(robot)

    def delivered(self, robot: str) -> None:
        """A state of a robot reached the edge just now, and somebody there is to answer it."""
        self._edge.ask(robot)

    # --- how far the cell runs ---

    def progress(self) -> list[Horizon]:
        """Runs as far as what has come allows; returns what the simulation may be told."""
        passed: list[Horizon] = []
        while not self._edge.waiting():
            present = self._present = self._present or self._next_instant()
            if present is None:
                break
            if present.now > self._last or self._last < 0:
                missing = self._onboard.waiting()
                if not self._run(present.now if missing else present.next - 1) or missing:
                    break
            self._last, self._present = present.now, None
            passed.append(Horizon(present.now, present.next if self._on_the_way() else NEVER))
        return passed

    @property
    def waits(self) -> bool:
        """Whether somebody's answer is waited for."""
        return self._edge.waiting() or self._onboard.waiting()

    @property
    def silent(self) -> set[str]:
        """Robots whose edge or on-board part is not waited for."""
        return self._edge.silent | self._onboard.silent

    def _next_instant(self) -> Instant | None:
        if not self._instants:
            return None
        instant = self._instants.popleft()
        if instant.now < self._last:
            self._begin(instant.now)
        if instant.now > self._last:
            self._prepare(instant.now)
            self._ask(instant.due, instant.now)
        return instant

    def _ask(self, robots: Iterable[str], now: int) -> None:
        for robot in robots:
            self._onboard.ask(robot)
            if self._done.get(robot) == now:
                self._onboard.heard(robot)

    def _begin(self, now: int) -> None:
        """The simulation began anew: what is on its way is dropped, nothing is owed."""
        self._early.clear()
        self._edge.dismiss()
        self._onboard.dismiss()
        for event in [*self._events, *self._engine.begin(now)]:
            self._finish(event)
        self._events.clear()
        self._last = -1

    def _run(self, target: int) -> bool:
        """Runs the cell to `target`, ns; False: it stands before that, as the edge has to answer first."""
        engine = self._engine
        while True:
            while self._events:
                self._finish(self._events.popleft())
                if self._edge.waiting():
                    return False
            now = engine.cell.now
            while self._early and self._early[0][0] <= now:
                self._let_in(heapq.heappop(self._early)[2], now)
            if now >= target:
                return True
            goal = min(target, self._early[0][0]) if self._early else target
            if now < engine.trace_change:
                goal = min(goal, engine.trace_change)
            if self._on_the_way():
                goal = min(goal, max(engine.next_event(), now))
            self._events.extend(engine.advance(goal))
            if engine.trace_change <= goal:
                engine.play()
