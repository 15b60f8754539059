# SPDX-License-Identifier: Apache-2.0
"""Commands to robots by the simulated instant at which they take effect, and how late they did."""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from itertools import count
from typing import Any, NamedTuple

_COPIES = 64
"""Commands of a robot whose copy on its topic may still come."""


class ScheduledCommand(NamedTuple):
    """A command that crossed the radio; times in ns."""

    robot: str
    message: Any
    numbers: list[float]
    effect: int
    """When its last bit arrived."""
    due: int
    """When it would have, had processes taken no time; 0: not known, as it answers no state."""


class CommandSchedule:
    """What is to be done to the robots at which physics step.

    A command takes effect with the first step that begins at or after its instant. It also comes on the robot's command
    topic, like those of others who drive the robot there: a message with the same numbers is taken for its copy.

    Args:
        step: ns of a physics step.
    """

    def __init__(self, step: int) -> None:
        self._step, self._order = step, count()
        self._waiting: list[tuple[int, int, ScheduledCommand]] = []
        self._copies: dict[str, deque[ScheduledCommand]] = {}
        self.lateness = Lateness(step)

    def add(self, command: ScheduledCommand) -> None:
        """Takes a command that will be there, or is."""
        heapq.heappush(self._waiting, (command.effect, next(self._order), command))
        self.expect_copy(command)

    def expect_copy(self, command: ScheduledCommand) -> None:
        """Takes a command that is obeyed when its copy comes."""
        self._copies.setdefault(command.robot, deque(maxlen=_COPIES)).append(command)

    def copy_of(self, robot: str, numbers: list[float]) -> ScheduledCommand | None:
        """The scheduled command whose copy a message with these numbers is; None: somebody else sent it."""
        copies = self._copies.get(robot, deque())
        found = next((command for command in copies if command.numbers == numbers), None)
        while found is not None and copies.popleft() is not found:
            pass  # the copy of an earlier one was lost
        return found

    @property
    def next_step(self) -> int | None:
        """The physics step before which the next command has to be obeyed; None: there is none."""
        return -(-self._waiting[0][0] // self._step) if self._waiting else None

    def take(self, steps: int) -> list[ScheduledCommand]:
        """The commands that are to be obeyed before the step with number `steps`, in their order; counts them."""
        taken = []
        while self._waiting and self._waiting[0][0] <= steps * self._step:
            taken.append(heapq.heappop(self._waiting)[2])
            self.lateness.obeyed(steps, taken[-1].due)
        return taken

    def clear(self) -> None:
        """Time begins anew: nothing is on its way."""
        self._waiting.clear()
        self._copies.clear()


class Lateness:
    """How many physics steps later than by the model commands took effect.

    Args:
        step: ns of a physics step.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._counts: Counter[int] = Counter()

    def obeyed(self, steps: int, due: int) -> None:
        """A command took effect before the step with number `steps`; by the model it was there at `due`, ns (0: ?)."""
        if due > 0:
            self._counts[max(0, steps - -(-due // self._step))] += 1

    @property
    def commands(self) -> int:
        """How many there were."""
        return self._counts.total()

    def quantile(self, share: float) -> float:
        """The lateness, s, that this share of the commands do not exceed; NaN: there were none."""
        rank, seen = math.ceil(share * self.commands), 0
        for late in sorted(self._counts):
            seen += self._counts[late]
            if seen >= rank:
                return late * self._step / 1e9
        return math.nan
