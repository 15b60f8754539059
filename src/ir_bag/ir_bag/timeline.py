# SPDX-License-Identifier: Apache-2.0
"""The wall time at which each message of a bag is due, and a clock that ticks with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ir_bag.contents import Message

_LONGEST_WAIT = 0.2
LONG_GAP = 10.0  #: s of wall time; a longer wait for the next message is told


class Timeline:
    """Bag time against wall time: at wall time `began` it is `start`, and it runs `rate` times as fast.

    Args:
        start: bag time, ns.
        rate: positive.
        now: wall clock, s.
        wait: waits so many seconds, or less; returns whether to end.
        clock_period: s of wall time between two ticks, None: no ticks.
        tick: takes the bag time of a tick, ns.
        gap: takes the length of a gap, s of bag time, before it is waited for or jumped over.
        skip_gaps: s of bag time; longer gaps are jumped over; None: none.
    """

    def __init__(
        self, start: int, rate: float, now: Callable[[], float], wait: Callable[[float], bool],
        clock_period: float | None = None, tick: Callable[[int], None] = lambda _: None,
        gap: Callable[[float], None] = lambda _: None, skip_gaps: float | None = None,
    ) -> None:  # fmt: skip
        self._start, self._rate, self._now, self._wait = start, rate, now, wait
        self._period, self._tick = clock_period, tick
        self._gap, self._skip_gaps = gap, skip_gaps
        self._began = now()
        self._ticks = 0
        self._last = start  # bag time of the last message

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
            self._look_for_gap(message.time)
            if self._wait_until(self.due(message.time)):
                return
            yield message

    def _look_for_gap(self, time: int) -> None:
        """Tells, or jumps over, a long time from the last message to `time`, ns."""
        before, self._last = self._last, time
        seconds = (time - before) * 1e-9
        skipped = self._skip_gaps is not None and seconds > self._skip_gaps
        if skipped or seconds > LONG_GAP * self._rate:
            self._gap(seconds)
        if skipped:
            self._start += time - before  # so that it is due when the message before it was

    def run_to(self, time: int) -> None:
        """Lets time run on to `time`, ns, and gives the last tick."""
        self._look_for_gap(time)
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
