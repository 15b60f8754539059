# SPDX-License-Identifier: Apache-2.0
r"""Keeps a robot that somebody drives from what its lidar sees, however late its commands and its scans are.

A velocity is admissible where the robot could still stop in the free part of the arc that it leads along (D. Fox,
W. Burgard, S. Thrun, "The Dynamic Window Approach to Collision Avoidance", IEEE Robotics & Automation Magazine 4(1),
1997, eq. 14), here with the time that passes until a stop can be in force:

.. math:: v^2 / 2a + v (T + j) \le d(v, \omega)

with a the deceleration, T the period of commands, j how much later than usual a command may be, and d the free way.
Where the driver's arc leads to something within a look-ahead L, of all admissible velocities that one is taken which

.. math:: \frac{v}{v_0} \frac{\min(d, L)}{L} - \kappa \frac{|\omega - \omega_0|}{\omega_{max}}

is greatest for, with :math:`(v_0, \omega_0)` the wish: the robot is steered past what is in its way, and no more than
that takes. Differs from the paper: no dynamic window, and in the objective (eq. 13) the wish stands for the heading.
The arc begins where the robot will be when the command takes effect: commands on their way are carried out in thought.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ir_sim.sdf.model import Model

Velocity = tuple[float, float]  #: forward m/s, turn rad/s
STOP: Velocity = (0.0, 0.0)
Array = NDArray[np.float64]
SHARES = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25, 0.12)
"""Parts of the wished speed that are tried."""
BLIND = 0.5
"""A scan older than so many s is none."""
REMEMBERED = 3.0
"""Commands of so many s are remembered."""
TOUCHING = 0.1
"""m, for a range that is too short to be measured."""
GRAIN = 0.03
"""m between places of an arc that are looked at."""
BRAKES = 0.5
"""Part of the nominal deceleration that is counted on."""
STEERED_FROM = 0.2
"""m/s; what is slower is manoeuvring, in which the driver's turn rate is kept."""
LOOK_AHEAD = 1.0
"""m, L above."""
RESERVE = 0.25
"""Cost of the greatest turn rate that a driver did not wish, kappa above."""
PERSISTENCE = 0.1
"""Cost of the side to which the robot was not steered last."""
TURNS = 13
"""Turn rates that are tried."""
ASSUMED = 2.0
"""m/s2, nominal deceleration of a robot whose description gives none."""


class Body(NamedTuple):
    """What a robot's stopping rests on."""

    radius: float
    """m, of a circle around the base link that holds the robot."""
    deceleration: float
    """m/s2, positive."""
    lidar: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where it is on the base link: x, y (m) and heading (rad)."""


class Displacement(NamedTuple):
    """A displacement in the plane: m, m, rad."""

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0


def body_of(model: Model) -> Body | None:
    """The body of a robot that takes velocities; None: it has no lidar."""
    base = model.links[model.base].pose
    lidars = [(link, sensor) for link in model.links.values() for sensor in link.sensors if sensor.kind == "lidar"]
    if model.drive is None or not lidars:
        return None
    deceleration = -float(model.drive.acceleration_low[0])
    if not (math.isfinite(deceleration) and deceleration > 0):
        deceleration = ASSUMED
    link, sensor = lidars[0]
    at = base.inverse() @ link.pose @ sensor.pose
    yaw = math.atan2(at.rotation[1, 0], at.rotation[0, 0])
    return Body(_radius(model), BRAKES * deceleration, (float(at.position[0]), float(at.position[1]), yaw))


def _radius(model: Model) -> float:
    base, reach = model.links[model.base].pose.inverse(), 0.0
    for link in model.links.values():
        for collision in link.collisions:
            at = base @ link.pose @ collision.pose
            middle, edges = collision.geometry.box()
            corner = np.abs(at.position + at.rotation @ middle)[:2]
            if collision.geometry.kind in ("cylinder", "sphere", "capsule") and abs(at.rotation[2, 2]) > 0.99:
                reach = max(reach, float(np.linalg.norm(corner)) + float(edges[0]) / 2)  # upright: round from above
            else:
                reach = max(reach, float(np.linalg.norm(corner + (np.abs(at.rotation) @ edges / 2)[:2])))
    return reach


class OnTheWay:
    """Commands that were sent to one robot, and where those that are not in force yet lead it. Times in s."""

    def __init__(self) -> None:
        self._sent: deque[tuple[float, Velocity]] = deque([(-math.inf, STOP)])

    def add(self, velocity: Velocity, now: float) -> None:
        """A command was sent now, whoever made it."""
        self._sent.append((now, velocity))
        while len(self._sent) > 1 and self._sent[1][0] < now - REMEMBERED:
            self._sent.popleft()

    def pose(self, since: float, now: float) -> Displacement:
        """How far what was sent from ``since`` until now moves the robot, seen from where it was before that."""
        x = y = yaw = 0.0
        spans = [*self._sent, (now, STOP)]
        for (begin, (forward, turn)), (end, _) in itertools.pairwise(spans):
            time = min(end, now) - max(begin, since)
            if time <= 0 or (forward, turn) == STOP:
                continue
            middle = yaw + turn * time / 2
            chord = forward * time * float(np.sinc(turn * time / 2 / np.pi))
            x, y, yaw = x + chord * math.cos(middle), y + chord * math.sin(middle), yaw + turn * time
        return Displacement(x, y, yaw)


class DrivingGuard:
    """Lessens the speed of one robot's commands so that it can always stop, and steers it past what is in its way.

    Times are s of one monotonic clock.

    Args:
        body: of the robot.
        turning: rad/s, the fastest that it is steered to either side; 0: it is not steered.
        margin: m that stay free between it and what it sees.
        period: s between commands.
    """

    def __init__(self, body: Body, turning: float = 0.0, margin: float = 0.08, period: float = 0.05) -> None:
        self._body, self._turning, self._margin, self._period = body, turning, margin, period
        self._side = 0.0  # to which the robot is steered: 1 left, -1 right
        self._points: Array = np.zeros((0, 2))  # m, in the axes of the base link when they were seen
        self._seen = -math.inf

    def see(self, bearings: Array, ranges: Array, now: float) -> None:
        """Takes a scan that arrived now: bearings [n] rad from ahead to the left, ranges [n] m, infinite where free.

        A range of less than the sensor can measure (minus infinity) is taken for `TOUCHING`.
        """
        x, y, yaw = self._body.lidar
        ranges = np.where(np.isneginf(ranges), TOUCHING, ranges)
        near = np.isfinite(ranges)
        angles, ranges = bearings[near] + yaw, ranges[near]
        self._points = np.stack([x + ranges * np.cos(angles), y + ranges * np.sin(angles)], axis=1)
        self._seen = now

    def limit(self, wish: Velocity, sent: OnTheWay, delay: float, late: float, now: float) -> Velocity:
        """The velocity nearest to the wish from which the robot can stop before anything that it sees.

        Args:
            wish: what the driver wants.
            sent: commands until now.
            delay: s, usual round trip: of a command to the robot and of what it sees back.
            late: s by which a command may take longer than that.
            now: present.
        """
        if self._seen == -math.inf or wish[0] == 0.0:
            return wish  # nothing is known of a lidar whose slice was never there
        if now - self._seen > BLIND:
            return STOP
        points = self._from(sent.pose(self._seen - delay, now))
        slowed = self._slowed(points, wish, late)
        if wish[0] < STEERED_FROM or not self._turning:
            return slowed
        ahead = max(LOOK_AHEAD, self._to_stop(wish[0], late))
        if self._free(points, *wish, ahead) >= ahead:
            self._side = 0.0
            return slowed
        return self._steered(points, wish, ahead, late) or slowed

    def _slowed(self, points: Array, wish: Velocity, late: float) -> Velocity:
        """The fastest admissible part of the wish, its turn rate as it is."""
        for share in SHARES:
            speed, way = share * wish[0], self._to_stop(share * wish[0], late)
            if self._free(points, speed, wish[1], way) >= way:
                return (speed, wish[1])
        return (0.0, wish[1])

    def _steered(self, points: Array, wish: Velocity, ahead: float, late: float) -> Velocity | None:
        """The admissible velocity that the objective of the module is greatest for; None: there is none."""
        found, best = None, -math.inf
        asides = np.linspace(-2 * self._turning, 2 * self._turning, TURNS)
        turns = np.unique(np.clip(wish[1] + asides, -self._turning, self._turning)).tolist()
        for share, turn in itertools.product(SHARES[::2], turns):
            speed, aside = share * wish[0], turn - wish[1]
            free = self._free(points, speed, turn, ahead)
            if free < self._to_stop(speed, late):
                continue
            score = share * free / ahead - RESERVE * abs(aside) / self._turning
            score -= PERSISTENCE * (aside * self._side < 0)
            if score > best:
                found, best = (speed, turn), score
        if found is not None and abs(found[1] - wish[1]) > self._turning / TURNS:
            self._side = math.copysign(1.0, found[1] - wish[1])
        return found

    def _to_stop(self, speed: float, late: float) -> float:
        """Way in m until the robot stands, if the next command tells it to."""
        return speed * speed / (2 * self._body.deceleration) + abs(speed) * (self._period + late)

    def _from(self, pose: Displacement) -> Array:
        cos, sin = math.cos(pose.yaw), math.sin(pose.yaw)
        offset = self._points - (pose.x, pose.y)
        return np.stack([cos * offset[:, 0] + sin * offset[:, 1], cos * offset[:, 1] - sin * offset[:, 0]], axis=1)

    def _free(self, points: Array, speed: float, turn: float, way: float) -> float:
        """How far an arc keeps clear of all points, m, at most ``way``; what is too near already may be left."""
        keep = self._body.radius + self._margin
        points = points[np.hypot(points[:, 0], points[:, 1]) < way + keep + GRAIN]
        if not len(points):
            return way
        s = np.copysign(np.linspace(0.0, way, 2 + int(way / GRAIN)), speed)
        angle = s * turn / speed
        chord = s * np.sinc(angle / 2 / np.pi)
        x, y = chord * np.cos(angle / 2), chord * np.sin(angle / 2)
        gap = np.hypot(points[:, :1] - x, points[:, 1:] - y)
        blocked = np.flatnonzero(np.any((gap < keep) & (gap < gap[:, :1]), axis=0))
        return way if not len(blocked) else abs(float(s[max(blocked[0] - 1, 0)]))
