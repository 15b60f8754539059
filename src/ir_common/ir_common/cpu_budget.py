# SPDX-License-Identifier: Apache-2.0
"""A share of a core that a process which learns beside others keeps to."""

from __future__ import annotations

import time
from collections.abc import Callable


class Budget:
    """Keeps CPU time under a share of wall time: after ``c`` seconds of work there is ``c (1 / duty - 1)`` of rest.

    Args:
        duty: share of one core.
        wall: clock of wall time, s.
        cpu: clock of this process's CPU time, s.
    """

    def __init__(
        self, duty: float, wall: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time
    ) -> None:
        self._duty, self._wall, self._cpu = duty, wall, cpu
        self._start = self._rested = wall()
        self._used_at_start = self._used = cpu()

    def pause(self) -> float:
        """Seconds to rest before the next piece of work (0: none); rest beyond 0.1 s of it is not saved up."""
        used, now = self._cpu(), self._wall()
        self._rested = max(self._rested + (used - self._used) / self._duty, now - 0.1)
        self._used = used
        return max(self._rested - now, 0.0)

    @property
    def share(self) -> float:
        """Share of one core taken since the start."""
        return (self._cpu() - self._used_at_start) / max(self._wall() - self._start, 1e-9)
