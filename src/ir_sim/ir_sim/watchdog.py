# SPDX-License-Identifier: Apache-2.0
"""The watchdog of one robot: after too long a silence of its commands, the safe action is due."""

from __future__ import annotations

from ir_sim.readings import NANOSECONDS


class CommandWatchdog:
    """Measures the silence since the last command, in the time of the robot's readings.

    Whoever sends the safe action does so on the robot's command topic, and so hears it there again: that one echo is
    not taken for a command.

    Args:
        timeout: s without a command after which the safe action is due; positive.

    Attributes:
        stops: times that it was due.
    """

    def __init__(self, timeout: float) -> None:
        self.stops = 0
        self._timeout = round(timeout * NANOSECONDS)
        self._command_at: int | None = None  # None: no command since the start, the last stop or the last reset
        self._echo = False

    def is_echo(self, safe: bool) -> bool:
        """Whether a command is the watchdog's own, come back.

        Args:
            safe: whether it is the safe action.
        """
        echo, self._echo = self._echo and safe, self._echo and not safe
        return echo

    def heard(self, now: int) -> None:
        """A command came at `now`, ns."""
        self._command_at = now

    def disarm(self) -> None:
        """Nothing is due until the next command."""
        self._command_at = None

    def overdue(self, now: int) -> bool:
        """Whether the safe action has to be sent at `now`, ns; true once for each silence."""
        if self._command_at is None or now - self._command_at < self._timeout:
            return False
        self.disarm()
        self.stops += 1
        self._echo = True
        return True
