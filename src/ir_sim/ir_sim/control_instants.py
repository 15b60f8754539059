# SPDX-License-Identifier: Apache-2.0
"""When robots make their next control steps, learnt from when they made the last ones."""

from __future__ import annotations

from collections.abc import Mapping

LONGEST = 100_000_000
"""ns; so far a world runs at most without a look at its robots."""


class ControlInstants:
    """Predicts the instants at which robots read the sensor that triggers a control step.

    A simulator's sensors have a phase that is in no file: a sensor of 125 Hz may report at 2, 10, 18 ms, …. So the
    distance of a robot's last two readings is taken for the next ones, too. A robot of which two are not known, or
    whose reading did not come when it was expected, is not expected at any instant.

    Args:
        periods: ns, control period by robot.
    """

    def __init__(self, periods: Mapping[str, int]) -> None:
        self._periods = dict(periods)
        self._longest = min([LONGEST, *periods.values()])
        self._last: dict[str, int] = {}
        self._interval: dict[str, int] = {}
        self._stepped: dict[str, int] = {}

    @property
    def robots(self) -> list[str]:
        """Names of all robots."""
        return list(self._periods)

    def read(self, robot: str, stamp: int, stepped: bool) -> None:
        """A robot is done with a reading of its trigger sensor.

        Args:
            robot: name.
            stamp: ns, of the reading.
            stepped: whether it made a control step by it.
        """
        if robot not in self._periods:
            return
        before = self._last.get(robot, stamp)
        if stamp < before:
            self.forget(robot)
        elif 0 < stamp - before <= 4 * self._periods[robot]:
            self._interval[robot] = stamp - before
        self._last[robot] = stamp
        if stepped:
            self._stepped[robot] = stamp

    def forget(self, robot: str) -> None:
        """Two readings are waited for before the robot is expected again."""
        for known in (self._last, self._interval, self._stepped):
            known.pop(robot, None)

    def expected(self, robot: str) -> int | None:
        """ns of a robot's next control step; None: not known."""
        if robot not in self._interval:
            return None
        last, interval, period = self._last[robot], self._interval[robot], self._periods[robot]
        due = (self._stepped.get(robot, last) // period + 1) * period
        return last + max(1, -(-(due - last) // interval)) * interval

    def next_stop(self, now: int) -> int:
        """ns after `now` up to which a world may run: the next control step of any robot, or the longest way."""
        expected = [at for robot in self._periods if (at := self.expected(robot)) is not None and at > now]
        return min([now + self._longest, *expected])

    def due(self, now: int) -> list[str]:
        """Robots whose control step is expected at `now`, ns, or was before, and is not known to be made."""
        return [robot for robot in self._periods if (at := self.expected(robot)) is not None and at <= now]

    def read_at(self, now: int) -> list[str]:
        """Robots whose last reading is of `now`, ns."""
        return [robot for robot, stamp in self._last.items() if stamp == now]
