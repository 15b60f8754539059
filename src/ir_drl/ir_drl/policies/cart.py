# SPDX-License-Identifier: Apache-2.0
"""The cart drives to its goal around obstacles: a vector field histogram on the lidar sectors of its observation.

After I. Ulrich and J. Borenstein, "VFH+: Reliable Obstacle Avoidance for Fast Mobile Robots", ICRA 1998: directions in
which an obstacle, enlarged by the robot's radius, is near are masked; of the free ones the one of least cost is taken,
|direction - goal| + weight * |direction - last direction|, which keeps to one side of an obstacle.
Differs from VFH+: in place of a certainty grid there is a short memory of sector readings, because a sector of 30
degrees says how near the nearest obstacle is, not where in the sector; masks are made for several distances, a nearer
one costing more, so that a gap is taken where going round is far; and the robot can turn on the spot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ir_drl.policies.policy import FloatArray

if TYPE_CHECKING:
    from ir_sim.tasks import CartNavigation

DIRECTIONS = np.radians(np.arange(-180.0, 180.0, 5.0))
"""[72] rad, candidate directions."""


class CartPolicy:
    """Drives to the goal; the task's 12 sectors are the only sight.

    Args:
        task: gives bounds, body radius, lidar reach and control period.
    """

    speed = 0.7  # m/s at most
    margin = 0.13  # m kept beyond the body radius
    foresights = (2.0, 1.3, 0.8, 0.5)  # m; obstacles farther off do not mask a direction
    detour = 0.6  # rad that are gone round for rather than the next shorter foresight
    memory = 4.0  # s that sightings are kept
    keep = 0.7  # weight of staying with the last direction
    turn_gain = 2.0  # rad/s per rad of heading error
    spread = np.radians(np.linspace(-13.0, 13.0, 5))  # where in its sector an obstacle may be, rad

    def __init__(self, task: CartNavigation) -> None:
        self.task = task
        self._first = task.observation_names.index("range_000")
        count = len(task.observation_names) - self._first
        self._width = 2.0 * np.pi / count
        self._centres = self._width * np.arange(count)
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forgets the last direction and all sightings."""
        self._heading: float | None = None
        self._seen = np.zeros((0, 3))  # x, y (m, in the robot's axes), age (s)

    def act(self, observation: FloatArray) -> FloatArray:
        """[n_obs] to (forward speed, turn rate)."""
        distance, bearing, v, w = observation[:4]
        ranges = observation[self._first :]
        self._remember(ranges, v, w)
        x, y = self._seen[:, 0], self._seen[:, 1]
        reach, angle = np.hypot(x, y), np.arctan2(y, x)
        heading = self._direction(distance, bearing, reach, angle)
        if heading is None:  # enclosed: turn on the spot towards where there is most room
            self._heading = None
            roomiest = _wrap(self._centres[int(np.argmax(ranges))])
            return np.array([0.0, np.copysign(0.8, roomiest if roomiest else 1.0)])
        self._heading = heading
        turn = float(np.clip(self.turn_gain * heading, -1.2, 1.2))
        return self.task.clip(np.array([self._forward(distance, heading, turn, reach, angle), turn]))

    def _remember(self, ranges: FloatArray, v: float, w: float) -> None:
        """Moves old sightings into the present axes, drops those that the sectors show to be free, adds new ones."""
        step = self.task.control_period
        cos, sin = np.cos(w * step), np.sin(w * step)
        x, y = self._seen[:, 0] - v * step, self._seen[:, 1]
        moved = np.stack([cos * x + sin * y, cos * y - sin * x, self._seen[:, 2] + step], axis=1)
        if self._heading is not None:
            self._heading = float(_wrap(self._heading - w * step))
        sector = np.rint(np.arctan2(moved[:, 1], moved[:, 0]) / self._width).astype(int) % len(ranges)
        free = np.hypot(moved[:, 0], moved[:, 1]) < ranges[sector] - 0.05
        moved = moved[~free & (moved[:, 2] < self.memory)]
        near = ranges < self.foresights[0] + 0.5
        bearing = (self._centres[near, None] + self.spread).ravel()
        reach = np.repeat(ranges[near], len(self.spread))
        fresh = np.stack([reach * np.cos(bearing), reach * np.sin(bearing), np.zeros_like(reach)], axis=1)
        self._seen = np.concatenate([moved, fresh])

    def _direction(self, distance: float, bearing: float, reach: FloatArray, angle: FloatArray) -> float | None:
        """The free direction of least cost, rad; less foresight costs more; None where all is blocked."""
        radius = self.task.body_radius + self.margin
        half = np.where(reach > radius, np.arcsin(np.minimum(radius / np.maximum(reach, 1e-6), 1.0)), np.pi / 2)
        candidates = np.append(DIRECTIONS, bearing)
        blocked_by = np.abs(_wrap(candidates[:, None] - angle)) < half
        cost = np.abs(_wrap(candidates - bearing))
        if self._heading is not None:
            cost += self.keep * np.abs(_wrap(candidates - self._heading))
        best, least = None, np.inf
        for level, foresight in enumerate(self.foresights):
            free = ~np.any(blocked_by & (reach < min(foresight, distance + radius)), axis=1)
            costs = np.where(free, cost + level * self.detour, np.inf)
            if costs.min() < least:
                best, least = float(_wrap(candidates[np.argmin(costs)])), costs.min()
        return best

    def _forward(self, distance: float, heading: float, turn: float, reach: FloatArray, angle: FloatArray) -> float:
        """Speed towards ``heading``: slower the farther off it is, the nearer the goal, the less room the arc has."""
        wanted = min(self.speed, 0.15 + 0.8 * distance) * max(0.0, np.cos(min(abs(1.5 * heading), np.pi)))
        x, y = reach * np.cos(angle), reach * np.sin(angle)
        radius = self.task.body_radius + 0.6 * self.margin
        for speed in (wanted, wanted / 2, wanted / 4):
            time = np.linspace(0.1, 0.3 + 1.5 * speed, 6)[:, None]  # s; farther than it takes to stop
            px, py = speed * time * np.cos(turn * time / 2), speed * time * np.sin(turn * time / 2)
            gap = np.hypot(x - px, y - py)
            if np.all((gap > radius) | (gap > reach)):  # clear, or moving away from it
                return float(speed)
        return 0.0


def _wrap(angle: FloatArray | float) -> FloatArray:
    return (np.asarray(angle) + np.pi) % (2.0 * np.pi) - np.pi
