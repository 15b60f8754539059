# SPDX-License-Identifier: Apache-2.0
"""The stack's time between two readings of /clock."""

from __future__ import annotations

import time

SMOOTHING = 0.2
"""Weight of the newest pace."""


class StackTime:
    """What the stack's clock shows at an instant of the monotonic clock; both in s.

    Without /clock the stack lives in wall time, as real robots do.
    """

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._pace = 1.0

    def take(self, stamp: float, now: float) -> None:
        """The clock showed ``stamp`` at ``now``; a clock that is set back begins anew."""
        if self._last is not None and now > self._last[1]:
            pace = (stamp - self._last[0]) / (now - self._last[1])
            if pace < 0:
                self._pace = 1.0
            else:
                self._pace += SMOOTHING * (min(pace, 10.0) - self._pace)
        self._last = (stamp, now)

    def at(self, now: float) -> float:
        """What it shows at ``now``."""
        if self._last is None:
            return time.time() + now - time.monotonic()
        stamp, at = self._last
        return stamp + self._pace * (now - at)

    def age(self, stamp: float, now: float) -> float:
        """How old what was stamped so is at ``now``, s of the monotonic clock; never negative."""
        return max(0.0, (self.at(now) - stamp) / max(self._pace, 0.1))
