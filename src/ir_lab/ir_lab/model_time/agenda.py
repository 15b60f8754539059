# SPDX-License-Identifier: Apache-2.0
"""The agenda of a simulated run: what is due at which instant, in an order that is the same in every run."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any

NANOSECONDS = 1_000_000_000
NEVER = 2**63 - 1
"""An instant that does not come, ns."""

_Entry = tuple[int, int, Callable[..., None], tuple[Any, ...]]


class Agenda:
    """Calls in the order of their instants; those of one instant in the order in which they were put down.

    Attributes:
        now: the present, ns of simulated time.
    """

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[_Entry] = []
        self._soon: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._count = 0

    def at(self, time: int, call: Callable[..., None], *arguments: Any) -> None:
        """Puts a call down for an instant, ns.

        Raises:
            ValueError: the instant is past.
        """
        if time < self.now:
            raise ValueError(f"{time} ns is past: it is {self.now} ns")
        self._count += 1
        heapq.heappush(self._heap, (time, self._count, call, arguments))

    def soon(self, call: Callable[..., None], *arguments: Any) -> None:
        """Puts a call down for the present instant, after all that already waits for it in the same way."""
        self._soon.append((call, arguments))

    def every(self, period: int, call: Callable[[], None]) -> None:
        """Has a call made every ``period`` ns from now on, the first time a period from now."""

        def again() -> None:
            self.at(self.now + period, again)
            call()

        self.at(self.now + period, again)

    @property
    def next(self) -> int:
        """The next instant at which something is due, ns; `NEVER`: nothing is."""
        if self._soon:
            return self.now
        return self._heap[0][0] if self._heap else NEVER

    def run_next(self) -> None:
        """Goes on to the next instant and makes all calls that are due then, and those that follow at once."""
        time = self.next
        if time == NEVER:  # nothing is due
            return
        self.now = time
        heap, soon = self._heap, self._soon
        while True:
            while soon:
                call, arguments = soon.popleft()
                call(*arguments)
            if not heap or heap[0][0] > time:
                return
            _, _, call, arguments = heapq.heappop(heap)
            call(*arguments)

    def pass_to(self, time: int) -> None:
        """Lets time go on to an instant before which nothing is due, ns.

        Raises:
            ValueError: something is due before it, or it is past.
        """
        if not self.now <= time <= self.next:
            raise ValueError(f"{time} ns: it is {self.now} ns, and something is due at {self.next} ns")
        self.now = time
