# SPDX-License-Identifier: Apache-2.0
"""What runs on board of one robot: control steps from sensor readings, running totals, and a watchdog."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ir_sim.readings import JointStates, Odometry, Scan, Touch
from ir_sim.sdf.poses import Pose
from ir_sim.sdf.world import GROUND
from ir_sim.tasks import Episode, Sensors, Step, Task
from ir_sim.tasks.base import Array, roll_pitch_yaw, wrap

NANOSECONDS = 1_000_000_000
START_DISTANCE, START_ANGLE = 0.1, 0.2  #: m, rad: so near to its start a robot counts as put back
PATIENCE = 2 * NANOSECONDS  #: after which it counts as put back wherever it is: something may have pushed it away


@dataclass
class RobotCounters:
    """Since the start, as in `ir_interfaces/TaskStatus`."""

    distance: float = 0.0
    reward: float = 0.0
    episodes: int = 0
    steps: int = 0
    falls: int = 0
    collisions: int = 0
    goals: int = 0
    stops: int = 0


class OnBoard:
    """One robot's task, fed with its sensors' readings in order of time.

    A control step is made by the first reading of the task's trigger sensor at or after each control period. An episode
    that ends at a goal or by its time limit is followed by the next one's first step at the same instant. After an
    episode that ends with the robot in need of a reset, `needs_reset` is true and nothing more happens until `resume`.

    Args:
        name: of the robot.
        task: its task.
        start: where a reset puts its base link.
        goals: [n, 2] m.
        command_timeout: s of simulated time without a command after which the safe action is due.
    """

    def __init__(self, name: str, task: Task, start: Pose, goals: Array, command_timeout: float) -> None:
        self.name, self.task = name, task
        self.totals = RobotCounters()
        self.needs_reset = False
        self.now = 0  #: ns, newest reading of the trigger sensor
        self._start = start
        self._returning = False  # put back, but no reading has shown it yet
        self._since = 0  # ns, readings before it are of an earlier life
        self._episode = Episode(task, goals)
        self._timeout = round(command_timeout * NANOSECONDS)
        self._period = round(task.control_period * NANOSECONDS)
        self._action = task.safe_action
        self._command_at: int | None = None
        self._resumed_at = 0
        self._due = 0
        self._clear()

    def _clear(self) -> None:
        self._odometry: Odometry | None = None
        self._odometry_at = 0
        self._sensors = Sensors()
        self._touched: frozenset[str] = frozenset()

    def odometry(self, nanoseconds: int, value: Odometry) -> None:
        """Takes an odometry reading."""
        if self._returning and (self._at_start(value) or nanoseconds - self._resumed_at > PATIENCE):
            self._returning, self._since = False, nanoseconds
            self._clear()
        if self._odometry is not None and not self.idle and nanoseconds > self._odometry_at:
            self.totals.distance += float(np.linalg.norm(value.position - self._odometry.position))
        self._odometry, self._odometry_at = value, nanoseconds
        self._sensors = replace(
            self._sensors,
            position=value.position,
            orientation=value.orientation,
            linear_velocity=value.linear,
            angular_velocity=value.angular,
        )

    @property
    def idle(self) -> bool:
        """Whether the robot lies where it ended, or has not yet been seen at its start."""
        return self.needs_reset or self._returning

    def _at_start(self, value: Odometry) -> bool:
        x, y, z, w = value.orientation
        alike = abs(float(np.dot([w, x, y, z], self._start.quaternion)))
        away = float(np.linalg.norm(value.position - self._start.position))
        return away < START_DISTANCE and alike > math.cos(START_ANGLE / 2)

    def contacts(self, nanoseconds: int, touches: tuple[Touch, ...]) -> None:
        """Takes all present contacts; counts those with a body that was not touched before, the ground excluded."""
        if self.idle or nanoseconds < self._since:
            return
        others: dict[str, Touch] = {}
        for touch in touches:
            for collision in (touch.first, touch.second):
                if collision.split("::")[0] not in (self.name, GROUND):
                    others[collision] = touch
        self.totals.collisions += len(others.keys() - self._touched)
        self._touched = frozenset(others)
        bearings = [self._bearing(touch.position) for touch in others.values()]
        self._sensors = replace(self._sensors, bumps=np.array(bearings))

    def _bearing(self, position: Array) -> float:
        if self._odometry is None:
            return 0.0
        offset = position - self._odometry.position
        return float(wrap(np.arctan2(offset[1], offset[0]) - roll_pitch_yaw(self._odometry.orientation)[2]))

    def joint_states(self, nanoseconds: int, value: JointStates) -> tuple[Step, ...]:
        """Takes joint states; returns the control steps that it makes.

        Raises:
            ValueError: a joint of the task is missing.
        """
        if self.task.joint_names:
            missing = set(self.task.joint_names) - set(value.names)
            if missing:
                raise ValueError(f"joint states lack {sorted(missing)}")
            order = [value.names.index(joint) for joint in self.task.joint_names]
            self._sensors = replace(
                self._sensors, joint_positions=value.positions[order], joint_velocities=value.velocities[order]
            )
        return self._control(nanoseconds) if self.task.trigger == "joint_states" else ()

    def scan(self, nanoseconds: int, value: Scan) -> tuple[Step, ...]:
        """Takes a lidar scan; returns the control steps that it makes."""
        bearings = value.low + value.step * np.arange(len(value.ranges), dtype=np.float64)
        self._sensors = replace(self._sensors, ranges=value.ranges, bearings=bearings)
        return self._control(nanoseconds) if self.task.trigger == "scan" else ()

    def command(self, action: Array) -> None:
        """Takes an action that the robot was told to carry out."""
        self._action = self.task.clip(action)
        self._command_at = self.now

    def overdue(self) -> bool:
        """Whether the safe action has to be sent; true once for each silence, and counts a stop."""
        if self._command_at is None or self.now - self._command_at < self._timeout:
            return False
        self._command_at = None
        self._action = self.task.safe_action
        self.totals.stops += 1
        return True

    def resume(self) -> None:
        """The robot was put back: the next episode begins once odometry shows it there; older readings may come."""
        self.needs_reset, self._returning, self._resumed_at = False, True, self.now
        self._action, self._command_at = self.task.safe_action, None

    def _control(self, nanoseconds: int) -> tuple[Step, ...]:
        if nanoseconds <= self.now:  # time was set back, maybe by one reading: the simulation was reset
            self._episode.abandon()
            self._due, self._since, self._command_at = 0, 0, None
            self.needs_reset = self._returning = False
            self._touched = frozenset()
            self._action = self.task.safe_action
        self.now = nanoseconds
        if self.idle or nanoseconds < max(self._due, self._since) or self._odometry is None:
            return ()
        # on to the next multiple of the period: a late or lost reading does not shift the rhythm
        self._due = (nanoseconds // self._period + 1) * self._period
        if not self._episode.running:
            return (self._begin(),)
        step = self._episode.advance(self._sensors, self._action)
        self._count(step)
        if step.ended and not self.needs_reset:
            return step, self._begin()
        return (step,)

    def _begin(self) -> Step:
        self.totals.episodes += 1
        return self._episode.begin(self._sensors)

    def _count(self, step: Step) -> None:
        self.totals.steps += 1
        self.totals.reward += step.reward
        self.totals.falls += step.cause == "fall"
        self.totals.goals = self._episode.goals_reached
        self.needs_reset = self._episode.needs_reset(step)
