# SPDX-License-Identifier: Apache-2.0
"""The watchdog of one robot: after too long a silence of its commands, the robot acts on its own."""

from __future__ import annotations

from collections import deque

import numpy as np

from ir_sim.readings import NANOSECONDS
from ir_sim.tasks.base import Array

_ECHOES = 16
"""Commands of the robot's own that may not have come back yet; one that is lost on the way is forgotten at last."""
_ALIKE = 1e-9
"""What a number loses at most on its way through a message, as a share of it."""

STEADY = 2 * NANOSECONDS
"""ns for which what was missing has to come before it counts as back; twice as long each further time."""


class SilenceNotice:
    """Says once that something stays away, and once that it is back; not at each piece that comes through meanwhile.

    What comes and goes by turns has to come for longer and longer before it counts as back, so the words get rare.
    Times are ns of one clock.
    """

    def __init__(self) -> None:
        self._told = False
        self._back: int | None = None  # since when it comes again
        self._steady = STEADY

    def stopped(self) -> bool:
        """It has stayed away for too long; whether that is to be said."""
        told, self._told, self._back = self._told, True, None
        return not told

    def heard(self, now: int) -> bool:
        """It came; whether it is to be said that it is back."""
        if not self._told:
            return False
        if self._back is None or now < self._back:
            self._back = now
        self._told = now - self._back < self._steady
        if not self._told:
            self._steady *= 2
        return not self._told


class CommandWatchdog:
    """Measures the silence since the last command, in the time of the robot's readings.

    What the robot commands itself goes out on its command topic, and is heard there again: that one echo is not taken
    for a command.

    Args:
        timeout: s without a command after which the robot acts on its own; positive.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = round(timeout * NANOSECONDS)
        self._command_at: int | None = None  # None: no command since the start, the last stop or the last reset
        self._own: deque[Array] = deque(maxlen=_ECHOES)

    def sent(self, action: Array) -> None:
        """The robot commanded itself an action [n_act]; its echo is to come."""
        self._own.append(action)

    def is_echo(self, action: Array) -> bool:
        """Whether a command is the robot's own, come back."""
        for number, own in enumerate(self._own):
            if np.allclose(action, own, rtol=_ALIKE, atol=_ALIKE):
                for _ in range(number + 1):  # those before it were lost
                    self._own.popleft()
                return True
        return False

    def heard(self, now: int) -> None:
        """A command came at `now`, ns."""
        self._command_at = now

    def disarm(self) -> None:
        """Nothing is due until the next command."""
        self._command_at = None

    def overdue(self, now: int) -> bool:
        """Whether at `now`, ns, commands have stayed away for too long; true once for each silence."""
        if self._command_at is None or now - self._command_at < self._timeout:
            return False
        self.disarm()
        return True
