# SPDX-License-Identifier: Apache-2.0
"""How many physics steps are due by a wall clock, and in which turns they are run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ir_sim.sdf import World
from ir_sim.tasks import robot_task

MAX_BUSY = 0.02  #: s of wall time of stepping before a node's other callbacks get their turn
MAX_TURN = 0.02  #: s of simulated time that a turn takes at most, however seldom its robots are commanded
CATCH_UP = 1.5  #: times its pace at which a simulation that is a little behind may run


def longest_turn(world: World) -> float:
    """The simulated time, s, for which a world may run without a look at commands: one control period of any robot."""
    return min([MAX_TURN, *(robot_task(robot, world).control_period for robot in world.robots.values())])


class Pacer:
    """Keeps a simulation at a pace without running it ahead of the commands that its robots wait for.

    Steps come in turns, before each of which commands are to be taken. A round, made once a `tick`, is at most one turn
    or, where the pace asks for more, `CATCH_UP` times what a tick is worth; nor do rounds that follow each other fast,
    as after a late one, run faster than `CATCH_UP` times the pace: robots' controllers would fall behind. What is
    behind by more than two whole rounds is given up at once: on a host that is too slow the run gets slower, not
    different.

    Args:
        step: s of simulated time of one physics step.
        turn: s of simulated time of a turn at most; `longest_turn` gives what a world allows.
        tick: s of wall time between two rounds.
        clock: wall clock, s; only runs forward.

    Attributes:
        turn: steps of a whole turn.
    """

    def __init__(self, step: float, turn: float, tick: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.turn = max(1, int(turn / step + 1e-9))
        self._step, self._tick, self._clock = step, tick, clock
        self.restart(1.0, 0)

    def restart(self, factor: float, steps: int) -> None:
        """Counts the pace from now on.

        Args:
            factor: simulated seconds per second, not negative; 0: as fast as it can.
            steps: physics steps that the simulation has made.
        """
        self._per_second = factor / self._step
        self._began, self._first = self._clock(), steps
        self._looked, self._seen, self._credit = self._began, steps, 0.0

    def round(self, steps: Callable[[], int]) -> Iterator[int]:
        """The turns that are due now: for each a number of steps to run, once commands were taken.

        Args:
            steps: tells the physics steps that the simulation has made.
        """
        last = self._clock() + MAX_BUSY
        end = self._due(steps()) if self._per_second else None
        while end is None or steps() < end:
            yield self.turn if end is None else min(self.turn, end - steps())
            if self._clock() >= last:
                return

    def _due(self, steps: int) -> int:
        """The number of the step to which this round goes; gives up what is too far behind."""
        now, most = self._clock(), max(self.turn, round(CATCH_UP * self._tick * self._per_second))
        self._credit -= steps - self._seen  # steps that may be run now without running too fast
        self._credit = min(self._credit + (now - self._looked) * self._per_second * CATCH_UP, most)
        self._looked, self._seen = now, steps
        behind = int((now - self._began) * self._per_second) - (steps - self._first)
        if behind > 2 * most:
            behind = 2 * most
            self._began, self._first = now - behind / self._per_second, steps
        return steps + max(0, min(behind, int(self._credit + 1e-9)))
