# SPDX-License-Identifier: Apache-2.0
"""Time between the ticks of a simulated clock."""

from __future__ import annotations


class TickClock:
    """ROS time at any instant, from the ticks of /clock and the wall clock; all in integer ns.

    Between ticks time runs on at the rate that the ticks show, at most one tick period beyond the last: it stops with
    a paused simulation. Ticks are delivered late, never early, so the estimate follows the earliest and gives way to
    late ones slowly. It never runs backwards, except after a tick that is before the last: the simulation was reset.
    """

    GIVE_WAY = 0.1
    """Fraction of a tick's lateness, and of its news about the rate, that is believed."""

    def __init__(self) -> None:
        self._tick: int | None = None
        self._wall, self._ahead = 0, 0.0  # wall time of the last tick, and how far ahead of it the estimate was then
        self._step = self._waited = 0.0  # means over the last ticks
        self._period = 0.0
        self._last = 0

    @property
    def started(self) -> bool:
        """Has there been a tick?"""
        return self._tick is not None

    @property
    def rate(self) -> float:
        """ROS time per wall time; 0 before the second tick."""
        return self._step / self._waited if self._waited > 0.0 else 0.0

    def tick(self, ros: int, wall: int) -> bool:
        """Takes a tick of ROS time `ros` that came at wall time `wall`; returns whether time began or jumped back."""
        if self._tick is None or ros < self._tick:
            self._tick = self._last = ros
            self._wall, self._ahead = wall, 0.0
            self._step = self._waited = self._period = 0.0
            return True
        step, waited, rate = ros - self._tick, max(wall - self._wall, 1), self.rate
        if step == 0:
            return False
        ahead = self._ahead + rate * waited - step
        if rate > 0.0:
            self._step += self.GIVE_WAY * (step - self._step)
            self._waited += self.GIVE_WAY * (min(waited, 3.0 * step / rate) - self._waited)  # a pause is no news
            self._period = min(float(step), 1.1 * self._period)
        else:
            self._step, self._waited, self._period = float(step), float(waited), float(step)
        self._tick, self._wall = ros, wall
        self._ahead = ahead * (1.0 - self.GIVE_WAY) if 0.0 < ahead < self._period else 0.0
        return False

    def now(self, wall: int) -> int:
        """ROS time at wall time `wall`; 0 before the first tick."""
        if self._tick is None:
            return 0
        beyond = min(self._ahead + self.rate * (wall - self._wall), self._period)
        self._last = max(self._last, self._tick + int(beyond))
        return self._last

    def wall_until(self, ros: int, wall: int) -> int:
        """Wall time from `wall` until ROS time is `ros`, if ticks go on coming as they did; 0: it is, or unknown."""
        if self._tick is None or self.rate <= 0.0:
            return 0
        return max(0, int((ros - self._tick - self._ahead) / self.rate) + 1 - (wall - self._wall))
