# SPDX-License-Identifier: Apache-2.0
"""Who drives which robot, and what stops it: one driver each, take-over, dead-man."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from ir_dashboard.driving_guard import STOP, Array, Displacement, DrivingGuard, OnTheWay, Velocity

REPEAT = 0.1
"""A robot that is held is told so often to stand still, s."""
JOYSTICK = "joystick"
"""The driver that stands for ROS's own tools."""
UNKNOWN_TRIP = 0.3
"""Round trip that is assumed until one was measured, s."""


class DrivingRefused(Exception):
    """A wish of a driver that is not granted; the text says why."""


class Actuator(Protocol):
    """What the desk acts on."""

    def send(self, robot: str, velocity: Velocity) -> None:
        """Proposes a velocity for a robot."""

    def hold(self, robot: str, held: bool) -> None:
        """Holds the robot's own controller, or lets it go on."""


@dataclass(frozen=True)
class Limits:
    """The fastest that a robot drives: m/s and rad/s; `backward` and `right` are negative or zero."""

    backward: float
    forward: float
    right: float
    left: float

    @classmethod
    def of(cls, low: Iterable[float], high: Iterable[float]) -> Limits:
        """Of the least and the greatest action of a task: forward m/s, turn rad/s."""
        (backward, right), (forward, left) = low, high
        return cls(float(backward), float(forward), float(right), float(left))

    @property
    def turning(self) -> float:
        """The fastest that it turns to either side, rad/s."""
        return min(self.left, -self.right)

    def velocity(self, forward: float, turn: float) -> Velocity:
        """The velocity of a joystick position, each axis in [-1, 1]; turn is positive to the left.

        Raises:
            DrivingRefused: not finite.
        """
        if not (math.isfinite(forward) and math.isfinite(turn)):
            raise DrivingRefused("the joystick position is not finite")
        forward, turn = max(-1.0, min(1.0, forward)), max(-1.0, min(1.0, turn))
        return (
            forward * (self.forward if forward > 0 else -self.backward),
            turn * (self.left if turn > 0 else -self.right),
        )

    def position(self, velocity: Velocity) -> tuple[float, float]:
        """The joystick position of a velocity, not clipped: the inverse of `velocity`."""
        forward, turn = velocity
        ahead, aside = self.forward if forward > 0 else -self.backward, self.left if turn > 0 else -self.right
        return (forward / ahead if ahead else 0.0), (turn / aside if aside else 0.0)


class RoundTrip:
    """Time from a command to the state that says it was in force on the robot.

    A velocity command carries no time stamp, so each one is made unlike its predecessors by at most 0.1 % towards
    zero; the action vector of the state, which the robot returns unrounded, then says which one it was.
    """

    STEPS = 1000

    def __init__(self, memory: int = 200) -> None:
        self._count = 0
        self._sent: deque[tuple[Velocity, float]] = deque(maxlen=memory)
        self._delays: deque[float] = deque(maxlen=memory)
        self._moving = False

    def mark(self, velocity: Velocity, now: float) -> Velocity:
        """The velocity to send in place of `velocity` at `now`, s; a stop stays exactly that."""
        if velocity == STOP:
            self._moving = False
            return velocity
        if not self._moving:  # what was on its way before the stop may never be heard of
            self._sent.clear()
        self._moving = True
        self._count = (self._count + 1) % self.STEPS
        scale = 1.0 - 1e-6 * self._count
        marked = (velocity[0] * scale, velocity[1] * scale)
        self._sent.append((marked, now))
        return marked

    def echo(self, action: Sequence[float], now: float) -> float | None:
        """Takes an action that was in force; the delay in s where it is news of a command."""
        for index, (velocity, sent) in enumerate(self._sent):
            if tuple(action) == velocity:
                for _ in range(index + 1):  # an older one was overtaken
                    self._sent.popleft()
                self._delays.append(now - sent)
                return now - sent
        return None

    def quantile(self, q: float) -> float | None:
        """Quantile of the remembered delays, s (nearest rank)."""
        ordered = sorted(self._delays)
        return ordered[min(len(ordered) - 1, math.ceil(q * len(ordered)) - 1)] if ordered else None

    @property
    def last(self) -> float | None:
        """The newest delay, s."""
        return self._delays[-1] if self._delays else None

    def waiting(self, now: float) -> float:
        """How long the oldest command since the last that was in force has been on its way, s; 0: none is."""
        return now - self._sent[0][1] if self._moving and self._sent else 0.0

    def usual(self) -> float:
        """The delay to reckon with, s."""
        return self.quantile(0.5) or UNKNOWN_TRIP

    def late(self, now: float) -> float:
        """By how much a command may take longer than usual, s: as some did, or as those on their way do now."""
        return max(self.quantile(0.95) or UNKNOWN_TRIP, self.waiting(now)) - self.usual()


@dataclass(frozen=True)
class Sight:
    """How old what a driver sees may be, s, and what becomes of his speed.

    Up to `slow` he drives as he wishes; from there on slower, in proportion; from `lock` on not at all.
    """

    slow: float = 0.4
    lock: float = 1.2

    def share(self, age: float) -> float:
        """The part of the wished speed that is left at an age, s, in [0, 1]."""
        return 1.0 if age <= self.slow else max(0.0, 1.0 - (age - self.slow) / (self.lock - self.slow))


@dataclass
class Seat:
    """The driver's seat of one robot.

    Attributes:
        driver: who drives, empty: nobody.
        held: the robot's own controller is held; with no driver, the robot stands and waits.
        heard: time of the driver's last command, s.
        sent: time of the last velocity sent, s.
        moving: the last velocity sent was not zero.
        stops: how often the dead-man stopped it.
        guard: keeps it from what its lidar sees; None: it has none.
        guarded: whether the guard is heeded.
        path: what was sent.
        limited: why the last command was another than wished: guard, steered (by it), sight or link; empty: it was not.
        pictured: time at which the newest picture was taken, s; minus infinity: none came.
        reported: time at which its last state came, s.
        refused: commands that came too late to be carried out.
    """

    limits: Limits
    driver: str = ""
    held: bool = False
    heard: float = -math.inf
    sent: float = -math.inf
    moving: bool = False
    stops: int = 0
    trip: RoundTrip = field(default_factory=RoundTrip)
    guard: DrivingGuard | None = None
    guarded: bool = True
    path: OnTheWay = field(default_factory=OnTheWay)
    limited: str = ""
    pictured: float = -math.inf
    reported: float = -math.inf
    refused: int = 0

    def age(self, now: float) -> float:
        """How old what is known of the robot at the edge is, s: the older one of its newest picture and state."""
        known = [at for at in (self.pictured, self.reported) if at > -math.inf]
        return max(0.0, now - min(known)) if known else 0.0

    def ahead(self, now: float) -> Displacement:
        """How far the commands that are on their way will move the robot."""
        return self.path.pose(now - self.trip.usual(), now)


class Desk:
    """All seats. Times are seconds of one monotonic clock.

    A driver takes a seat, which holds the robot's own controller; sends joystick positions, which become proposed
    velocities; and releases it, which stops the robot and lets its controller go on. A driver that falls silent for
    `dead_man` stops the robot. One that vanishes stops it too and leaves it held, so that it stays where it stopped
    until somebody takes or releases it. A robot that is held and not driven is told again and again to stand still: one
    lost stop is harmless.

    What a driver wishes is lessened where he sees late, where his commands are late, and by the robot's guard.

    Args:
        limits: of each robot that can be driven.
        dead_man: s.
        actuator: what commands go to.
        sight: how old what a driver sees may be.
        guards: by robot; others have none.
        command_age: s after which a driver's command is too old to be carried out.
    """

    def __init__(
        self, limits: Mapping[str, Limits], dead_man: float, actuator: Actuator, sight: Sight | None = None,
        guards: Mapping[str, DrivingGuard] = MappingProxyType({}), command_age: float = 0.3,
    ) -> None:  # fmt: skip
        self.seats = {robot: Seat(limit, guard=guards.get(robot)) for robot, limit in limits.items()}
        self._dead_man, self._actuator, self._sight = dead_man, actuator, sight or Sight()
        self._command_age = command_age

    def seat(self, robot: str) -> Seat:
        """The seat of a robot.

        Raises:
            DrivingRefused: there is none.
        """
        if robot not in self.seats:
            raise DrivingRefused(f"'{robot}' cannot be driven; robots that can: {', '.join(self.seats) or 'none'}")
        return self.seats[robot]

    def take(self, robot: str, driver: str, now: float, over: bool = False) -> str:
        """Seats a driver; returns who had to leave, or nothing.

        Raises:
            DrivingRefused: another one drives, and `over` is not set.
        """
        seat = self.seat(robot)
        if seat.driver == driver:
            return ""
        if seat.driver and not over:
            raise DrivingRefused(f"{robot} has a driver; take over or wait")
        previous, seat.driver = seat.driver, driver
        seat.heard, seat.held, seat.trip = now, True, RoundTrip()
        self._actuator.hold(robot, True)
        self._send(robot, STOP, now)
        return previous

    def command(
        self, robot: str, driver: str, forward: float, turn: float, now: float, age: float | None = None,
        at: float | None = None,
    ) -> None:  # fmt: skip
        """A joystick position of a driver, each axis in [-1, 1].

        Args:
            robot: that is driven.
            driver: who says so.
            forward: from full speed astern to full speed ahead.
            turn: positive to the left.
            now: present, s.
            age: of the picture on the driver's screen, s, where he knows; what is known here counts where it is older.
            at: when the hand was there, s, where that is known; what is older than `command_age` is not carried out.

        Raises:
            DrivingRefused: not the driver, or not finite.
        """
        seat = self.seat(robot)
        if seat.driver != driver:
            raise DrivingRefused(f"you do not drive {robot}")
        wish = seat.limits.velocity(forward, turn)
        if at is not None and now - at > self._command_age:
            seat.refused += 1
            return
        seat.heard = now
        self._send(robot, seat.trip.mark(self._lessened(seat, wish, age, now), now), now)

    def joystick(self, robot: str, velocity: Velocity, now: float, at: float | None = None) -> None:
        """A velocity from ROS's own tools, which drive as `JOYSTICK`; the first that moves takes a seat that is free.

        Raises:
            DrivingRefused: not finite.
        """
        seat = self.seat(robot)
        if seat.driver != JOYSTICK:
            if seat.driver or velocity == STOP:
                return
            self.take(robot, JOYSTICK, now)
        self.command(robot, JOYSTICK, *seat.limits.position(velocity), now, at=at)

    def _lessened(self, seat: Seat, wish: Velocity, age: float | None, now: float) -> Velocity:
        """What is left of a wish."""
        seat.limited = ""
        sight, link = self._sight.share(max(seat.age(now), age or 0.0)), self._sight.share(seat.trip.waiting(now))
        share = min(sight, link)
        if share < 1.0:
            seat.limited = "sight" if sight <= link else "link"
        velocity = (share * wish[0], share * wish[1])
        if seat.guard is None or not seat.guarded:
            return velocity
        kept = seat.guard.limit(velocity, seat.path, seat.trip.usual(), seat.trip.late(now), now)
        if kept != velocity:
            seat.limited = "guard" if kept[1] == velocity[1] else "steered"
        return kept

    def lessen(self, heeded: bool, sight: Sight) -> None:
        """Changes what lessens a driver: whether guards, which go on seeing, are heeded; how old sight may be."""
        self._sight = sight
        for seat in self.seats.values():
            seat.guarded = heeded

    def release(self, robot: str, driver: str, now: float) -> None:
        """Stops the robot and lets its own controller go on; a held robot without driver may be released by anyone.

        Raises:
            DrivingRefused: another one drives.
        """
        seat = self.seat(robot)
        if seat.driver not in ("", driver):
            raise DrivingRefused(f"{robot} has another driver")
        seat.driver, seat.held = "", False
        self._send(robot, STOP, now)
        self._actuator.hold(robot, False)

    def lost(self, driver: str, now: float) -> list[str]:
        """A driver vanished: stops and holds what it drove; returns those robots."""
        robots = [robot for robot, seat in self.seats.items() if seat.driver == driver]
        for robot in robots:
            self.seats[robot].driver = ""
            self._stop(robot, now)
        return robots

    def tick(self, now: float) -> None:
        """Stops robots whose driver is silent, and keeps stopped what is held; call it often against `dead_man`."""
        for robot, seat in self.seats.items():
            silent = not seat.driver or now - seat.heard >= self._dead_man
            if seat.held and silent and (seat.moving or now - seat.sent >= REPEAT):
                self._stop(robot, now)

    def controller_ready(self, robot: str, enabled: bool) -> None:
        """The controller of a robot is there, perhaps anew, and says whether it goes on by itself.

        A controller that was started again knows of no hold and is held again. One that stands still although nobody
        holds it was held by somebody who is gone, such as this process before it was started again: it stays held.
        """
        seat = self.seat(robot)
        if seat.held and enabled:
            self._actuator.hold(robot, True)
        seat.held = seat.held or not enabled

    def echo(self, robot: str, action: Sequence[float], now: float) -> None:
        """Takes the action that a state says was in force."""
        if robot in self.seats:
            self.seats[robot].reported = now
            self.seats[robot].trip.echo(action, now)

    def saw(self, robot: str, bearings: Array, ranges: Array, now: float) -> None:
        """Takes a scan of a robot that arrived now, as `DrivingGuard.see`."""
        if robot in self.seats and (guard := self.seats[robot].guard) is not None:
            guard.see(bearings, ranges, now)

    def pictured(self, robot: str, age: float, now: float) -> None:
        """Takes that a picture arrived now, `age` s after it was taken."""
        if robot in self.seats:
            self.seats[robot].pictured = now - age

    def _stop(self, robot: str, now: float) -> None:
        if self.seats[robot].moving:
            self.seats[robot].stops += 1
        self._send(robot, STOP, now)

    def _send(self, robot: str, velocity: Velocity, now: float) -> None:
        seat = self.seats[robot]
        seat.moving, seat.sent = velocity != STOP, now
        seat.path.add(velocity, now)
        self._actuator.send(robot, velocity)
