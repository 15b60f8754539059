# SPDX-License-Identifier: Apache-2.0
"""Health of the stack: which of the nodes that announced themselves are there, and whether time goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ir_common.diagnosis import ERROR, OK, WARN, Status

RECENT = 30.0
"""A node that was started again so many seconds ago is still worth a warning."""
STANDSTILL = 2.0
"""Seconds of wall time without any simulated time: something has stopped."""


class Health:
    """Watches; times are seconds of one monotonic clock."""

    def __init__(self, now: float) -> None:
        self._restarts: dict[str, int] = {}
        self._restarted: dict[str, float] = {}
        self._clock, self._moved = 0.0, now

    def look(
        self, processes: Mapping[str, Sequence[tuple[str, int]]], present: set[str], simulated: float, now: float
    ) -> list[Status]:
        """How everything is now.

        Args:
            processes: of each node that announced itself: (host, process id) of each of its starts.
            present: full names of the nodes in the ROS graph.
            simulated: ROS time, s.
        """
        return [
            self._time(simulated, now),
            *(self._node(n, p, n in present, now) for n, p in sorted(processes.items())),
        ]

    def _time(self, simulated: float, now: float) -> Status:
        if simulated != self._clock:
            self._clock, self._moved = simulated, now
        values = {"simulated time (s)": f"{simulated:.2f}"}
        if now - self._moved > STANDSTILL:
            return Status("ir: clock", ERROR, f"ROS time has stood still for {now - self._moved:.0f} s", values=values)
        return Status("ir: clock", OK, "runs", values=values)

    def _node(self, name: str, starts: Sequence[tuple[str, int]], present: bool, now: float) -> Status:
        host, process = starts[-1]
        restarts = len(starts) - 1
        if restarts > self._restarts.get(name, 0):
            self._restarted[name] = now
        self._restarts[name] = restarts
        values = {"process id": str(process), "restarts": str(restarts)}
        if not present:
            return Status(f"ir: {name}", ERROR, "is gone", host, values)
        if now - self._restarted.get(name, -RECENT) < RECENT:
            return Status(f"ir: {name}", WARN, "was started again", host, values)
        return Status(f"ir: {name}", OK, "is there", host, values)
