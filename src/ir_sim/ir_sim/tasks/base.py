# SPDX-License-Identifier: Apache-2.0
"""What every task has in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


def _empty() -> Array:
    return np.empty(0)


@dataclass(frozen=True)
class Sensors:
    """What a robot senses at one instant; fields that its task does not use may stay empty.

    Attributes:
        time: s, simulated time.
        position: [3] m, base link in the frame `map`.
        orientation: [4], base link in the frame `map`, unit quaternion (x, y, z, w).
        linear_velocity: [3] m/s, of the base link, in its own axes.
        angular_velocity: [3] rad/s, of the base link, in its own axes.
        joint_positions: [n] rad or m, in the order of `Task.joint_names`.
        joint_velocities: [n] rad/s or m/s, in the same order.
        ranges: [beams] m, lidar; infinity where nothing is in range.
        bearings: [beams] rad, direction of each beam in the base link's axes, counter-clockwise from ahead.
        bumps: [k] rad, directions of present contacts with anything but the ground, in the base link's axes.
        goal: [2] m, present goal in the frame `map`.
    """

    time: float = 0.0
    position: Array = field(default_factory=lambda: np.zeros(3))
    orientation: Array = field(default_factory=lambda: np.array([0.0, 0.0, 0.0, 1.0]))
    linear_velocity: Array = field(default_factory=lambda: np.zeros(3))
    angular_velocity: Array = field(default_factory=lambda: np.zeros(3))
    joint_positions: Array = field(default_factory=_empty)
    joint_velocities: Array = field(default_factory=_empty)
    ranges: Array = field(default_factory=_empty)
    bearings: Array = field(default_factory=_empty)
    bumps: Array = field(default_factory=_empty)
    goal: Array = field(default_factory=lambda: np.zeros(2))


def constants(*values: float) -> Array:
    """A read-only float64 vector."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def roll_pitch_yaw(quaternion: Array) -> tuple[float, float, float]:
    """Angles (rad) of a unit quaternion (x, y, z, w): fixed axes X, Y, Z in this order (REP-103)."""
    x, y, z, w = (float(v) for v in quaternion)
    roll = np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = np.arcsin(np.clip(2 * (w * y - z * x), -1.0, 1.0))
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return float(roll), float(pitch), float(yaw)


def wrap(angle: Array | float) -> Array:
    """The same angle in [-pi, pi), rad."""
    return (np.asarray(angle, dtype=np.float64) + np.pi) % (2 * np.pi) - np.pi


def goal_polar(sensors: Sensors, yaw: float) -> tuple[float, float]:
    """Distance (m) and bearing (rad, counter-clockwise from ahead) of the goal."""
    dx, dy = sensors.goal - sensors.position[:2]
    return float(np.hypot(dx, dy)), float(wrap(np.arctan2(dy, dx) - yaw))


class Task(ABC):
    """One robot model's task: layouts, reward and end of an episode. Objects hold no state.

    `reward`, `terminated` and `reached` take vectors with any leading (batch) dimensions and are the same
    for the live robot, a twin's prediction and a bag file.
    """

    name: ClassVar[str]
    model: ClassVar[str]  #: robot model that does this task
    command: ClassVar[str]  #: "twist", "twist_stamped", "joint_position" or "joint_effort"
    control_period: ClassVar[float]  #: s
    time_limit: ClassVar[int]  #: control steps after which an episode is cut off
    reset_on_time_limit: ClassVar[bool] = False  #: whether the robot is put back then
    reset_noise: ClassVar[float] = 0.0  #: half width of the uniform noise on joint positions and velocities at a reset
    trigger: ClassVar[str]  #: sensor topic whose arrival makes a control step: "scan" or "joint_states"
    joint_names: ClassVar[tuple[str, ...]] = ()  #: joints in `Sensors.joint_positions`
    observation_names: ClassVar[tuple[str, ...]]
    action_names: ClassVar[tuple[str, ...]]
    action_low: ClassVar[Array]  #: [n_act]
    action_high: ClassVar[Array]  #: [n_act]
    action_scale: ClassVar[Array]  #: [n_act] what one unit of the action is in the command (1, or N m)
    safe_action: ClassVar[Array]  #: [n_act] as a command: act on your own, as nobody tells anything valid
    command_age: ClassVar[float] = math.inf  #: s that a command may be held at most when no other comes

    @property
    def velocities(self) -> bool:
        """Whether the robot takes velocities: forward (m/s) and turn rate (rad/s)."""
        return self.command in ("twist", "twist_stamped")

    @abstractmethod
    def observe(self, sensors: Sensors) -> Array:
        """The observation vector, [n_obs]."""

    @abstractmethod
    def reward(self, observation: Array, action: Array, next_observation: Array) -> Array:
        """Reward of a transition, dimensionless, [...] for arguments [..., n_obs], [..., n_act], [..., n_obs]."""

    @abstractmethod
    def terminated(self, next_observation: Array) -> Flags:
        """Whether the episode ends badly here, bool [...] for [..., n_obs]."""

    def reached(self, next_observation: Array) -> Flags:
        """Whether the goal is reached here, bool [...] for [..., n_obs]; never, for a task without goals."""
        return np.zeros(np.shape(next_observation)[:-1], dtype=bool)

    def cause(self, next_observation: Array) -> str:
        """Why an episode ends at this observation [n_obs]: "fall", "collision", "goal", or "" where it does not."""
        if bool(self.terminated(next_observation)):
            return self.failure
        return "goal" if bool(self.reached(next_observation)) else ""

    failure: ClassVar[str]  #: what `terminated` means: "fall" or "collision"

    def clip(self, action: Array) -> Array:
        """The action within its bounds."""
        return np.clip(action, self.action_low, self.action_high)
