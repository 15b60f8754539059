# SPDX-License-Identifier: Apache-2.0
"""The wall time at which each message of a bag is due, and a clock that ticks with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ir_bag.contents import Message

_LONGEST_WAIT = 0.2


class Timeline:
    """Bag time against wall time: at wall time `began` it is `start`, and it runs `rate` times as fast.

    Args:
        start: bag time, ns.
        rate: positive.
        now: wall clock, s.
        wait: waits so many seconds, or less; returns whether to end.
        clock_period: s of wall time between two ticks, None: no ticks.
        tick: takes the bag time of a tick, ns.
    """

    def __init__(
        self, start: int, rate: float, now: Callable[[], float], wait: Callable[[float], bool],
        clock_period: float | None = None, tick: Callable[[int], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._start, self._rate, self._now, self._wait = start, rate, now, wait
        self._period, self._tick = clock_period, tick
        self._began = now()
        self._ticks = 0

    def due(self, time: int) -> float:
        """Wall time, s, at which it is `time`."""
        return self._began + (time - self._start) / (1e9 * self._rate)

    def paced(self, messages: Iterable[Message], until: int | None = None) -> Iterator[Message]:
        """Messages before bag time `until` (ns; None: all), each as soon as it is due, in their order.

        Ends early when the wait says so.
        """
        for message in messages:
            if until is not None and message.time >= until:
                return
            if self._wait_until(self.due(message.time)):
                return
            yield message

    def run_to(self, time: int) -> None:
        """Lets time run on to `time`, ns, and gives the last tick."""
        if not self._wait_until(self.due(time)) and self._period is not None:
            self._tick(time)

    def _wait_until(self, wall: float) -> bool:
        while True:
            now = self._now()
            waits = [wall - now, _LONGEST_WAIT]
            if self._period is not None:
                next_tick = self._began + self._ticks * self._period
                if next_tick <= min(now, wall):
                    self._tick(self._start + round((next_tick - self._began) * 1e9 * self._rate))
                    self._ticks += 1
                    continue
                waits.append(next_tick - now)
            if now >= wall:
                return self._wait(0.0)
            if self._wait(max(min(waits), 0.0)):
                return True
