# SPDX-License-Identifier: Apache-2.0
r"""Odometry that drifts, from poses that do not: what wheels would have told, with the covariance that goes with it.

Each displacement, d along its direction and :math:`\Delta\theta` of heading, is told with independent errors of

.. math:: \sigma_d^2 = \delta^2 |d|, \qquad \sigma_\theta^2 = \delta^2 (|d| + |\Delta\theta|)

after the odometry motion model of S. Thrun, W. Burgard, D. Fox, *Probabilistic Robotics* (2005), section 5.4, with the
error growing with the way and not with its square, so that it does not matter in how many pieces a way is told. After L
metres straight ahead the standard deviation is :math:`\delta\sqrt L`, of the way in m and of the heading in rad.
The covariance of (x, y, heading) is that error, propagated to first order.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Planar = tuple[float, float, float]  #: x, y (m), heading (rad)


class OdometryDrift:
    """The told pose of one robot in its odom frame, which is the map's where it was first seen.

    Args:
        drift: delta, m per square root of m, and rad.
        rng: source of the errors.
    """

    def __init__(self, drift: float, rng: np.random.Generator) -> None:
        self._drift, self._rng = drift, rng
        self._true: Planar | None = None
        self.told: Planar = (0.0, 0.0, 0.0)
        self.covariance: Array = np.zeros((3, 3))

    def advance(self, pose: Planar) -> Planar:
        """Takes the true pose in the map; returns the told one. Without drift they are the same."""
        if self._true is None or self._drift == 0.0:
            self._true = self.told = pose
            return pose
        x, y, heading = self._true
        self._true = pose
        dx, dy, turn = pose[0] - x, pose[1] - y, _wrap(pose[2] - heading)
        way, aside = math.hypot(dx, dy), math.atan2(dy, dx) - heading
        along_error, turn_error = self._errors(way, turn)
        far, to = way + along_error, self.told[2] + aside
        moved = (far * math.cos(to), far * math.sin(to))
        self._propagate(to, moved, way, turn)
        self.told = (self.told[0] + moved[0], self.told[1] + moved[1], _wrap(self.told[2] + turn + turn_error))
        return self.told

    def _errors(self, way: float, turn: float) -> tuple[float, float]:
        normal = self._rng.normal(size=2)
        return (
            self._drift * math.sqrt(way) * float(normal[0]),
            self._drift * math.sqrt(way + abs(turn)) * float(normal[1]),
        )

    def _propagate(self, to: float, moved: tuple[float, float], way: float, turn: float) -> None:
        state = np.eye(3)
        state[0, 2], state[1, 2] = -moved[1], moved[0]
        noise = np.array([[math.cos(to), 0.0], [math.sin(to), 0.0], [0.0, 1.0]])
        added = self._drift**2 * np.diag([way, way + abs(turn)])
        self.covariance = state @ self.covariance @ state.T + noise @ added @ noise.T

    def correction(self) -> Planar:
        """What a perfect localiser would say: the pose of the odom frame in the map."""
        true = self.told if self._true is None else self._true
        heading = _wrap(true[2] - self.told[2])
        cos, sin = math.cos(heading), math.sin(heading)
        x, y = self.told[:2]
        return true[0] - (cos * x - sin * y), true[1] - (sin * x + cos * y), heading


def _wrap(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi
