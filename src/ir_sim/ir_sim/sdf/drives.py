# SPDX-License-Identifier: Apache-2.0
"""What a model's <plugin> elements say: how it is driven, and what it tells of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ir_sim.sdf.elements import Element
from ir_sim.sdf.joints import Joint

Array = NDArray[np.float64]
STRAIGHT = 1e-3  #: rad/s, turn under which Gazebo steers straight ahead
ROLLERS = "/rollers"
"""After a joint's name: the actuator that stands for the grip of its wheel's rollers."""


@dataclass(frozen=True)
class WheelDrive:
    """What all drives on wheels say. Limits: linear (m/s, m/s2) and turn (rad/s, rad/s2), infinite where none."""

    topic: str
    radius: float  #: m
    separation: float  #: m, between left and right wheels
    velocity_low: Array  #: [2] linear, turn
    velocity_high: Array
    acceleration_low: Array
    acceleration_high: Array

    sideways: ClassVar[bool] = False
    """Whether it drives sideways, too."""

    @property
    def wheels(self) -> tuple[str, ...]:
        """Joints that are turned with a speed."""
        raise NotImplementedError

    def commands(self, forward: float, turn: float, sideways: float) -> dict[str, float]:
        """By actuator, its command for a velocity: m/s, rad/s, m/s to the left."""
        raise NotImplementedError


@dataclass(frozen=True)
class DiffDrive(WheelDrive):
    """A differential drive."""

    left: tuple[str, ...]
    right: tuple[str, ...]

    @property
    def wheels(self) -> tuple[str, ...]:
        """See `WheelDrive`."""
        return (*self.left, *self.right)

    def commands(self, forward: float, turn: float, sideways: float) -> dict[str, float]:
        """See `WheelDrive`."""
        speeds: dict[str, float] = {}
        for joints, side in ((self.left, -1.0), (self.right, 1.0)):
            speed = (forward + side * turn * self.separation / 2) / self.radius
            speeds |= dict.fromkeys(joints, speed)
        return speeds


@dataclass(frozen=True)
class AckermannDrive(DiffDrive):
    """Front wheels that are steered about one centre, as Gazebo's AckermannSteering.

    A turn that is tighter than the steering limit lets is driven with the limit. Standing, it only steers.
    """

    steering: tuple[str, str]  #: left, right
    kingpin_width: float  #: m, between the axes about which the wheels are steered
    wheel_base: float  #: m, between front and rear wheels
    steering_limit: float  #: rad, of a wheel in the middle
    steering_gain: float  #: 1/s, speed of a steering joint over how far it is from its angle

    def commands(self, forward: float, turn: float, sideways: float) -> dict[str, float]:
        """See `WheelDrive`; of the steering joints it is angles, rad."""
        curvature = 0.0
        if abs(turn) >= STRAIGHT:
            most = math.sin(self.steering_limit) / self.wheel_base
            curvature = min(max(turn / forward, -most), most) if forward else math.copysign(most, turn)
        angles = [
            math.atan2(self.wheel_base * curvature, 1.0 + side * curvature * self.kingpin_width / 2)
            for side in (-1.0, 1.0)
        ]  # of a wheel at radius R: atan(base / (R -+ width / 2)), with curvature 1 / R
        speeds = super().commands(forward, forward * curvature, 0.0)
        return speeds | dict(zip(self.steering, angles, strict=True))


@dataclass(frozen=True)
class MecanumDrive(WheelDrive):
    """Four wheels with rollers at 45 degrees, as Gazebo's MecanumDrive."""

    front_left: tuple[str, ...]
    front_right: tuple[str, ...]
    back_left: tuple[str, ...]
    back_right: tuple[str, ...]
    wheel_base: float  #: m, between front and rear wheels

    sideways: ClassVar[bool] = True

    @property
    def wheels(self) -> tuple[str, ...]:
        """See `WheelDrive`."""
        return tuple(self.roller_axes)

    @property
    def roller_axes(self) -> dict[str, tuple[float, float]]:
        """By joint, the direction on the ground in which its wheel grips: that of its rollers' axes."""
        inward, outward = (math.sqrt(0.5), -math.sqrt(0.5)), (math.sqrt(0.5), math.sqrt(0.5))
        return {
            **dict.fromkeys((*self.front_left, *self.back_right), inward),
            **dict.fromkeys((*self.front_right, *self.back_left), outward),
        }

    def commands(self, forward: float, turn: float, sideways: float) -> dict[str, float]:
        """See `WheelDrive`; with `ROLLERS` after a joint's name, how fast it is to go along its rollers' axes, m/s."""
        across = turn * (self.separation + self.wheel_base) / 2
        given = {}
        for joints, side, skew in (
            (self.front_left, -1.0, -1.0), (self.front_right, 1.0, 1.0),
            (self.back_left, -1.0, 1.0), (self.back_right, 1.0, -1.0),
        ):  # fmt: skip
            rim = forward + skew * sideways + side * across
            for joint in joints:
                given[joint], given[joint + ROLLERS] = rim / self.radius, rim * math.sqrt(0.5)
        return given


@dataclass(frozen=True)
class JointController:
    """Joints that follow commands: positions where they have gains, efforts where they have none."""

    topic: str
    joints: tuple[str, ...]
    stiffness: Array  #: [n] N m/rad
    damping: Array  #: [n] N m s/rad

    @property
    def by_position(self) -> bool:
        """Whether commands are positions."""
        return bool(np.any(self.stiffness > 0))


@dataclass(frozen=True)
class Output:
    """A periodic message of the model itself: odometry or joint states."""

    topic: str
    rate: float  #: Hz
    frame: str = ""
    child_frame: str = ""
    joints: tuple[str, ...] = ()


def _names(plugin: Element, tag: str, joints: dict[str, Joint]) -> tuple[str, ...]:
    """The joints that a plugin names, each of them there and movable."""
    for element in plugin.all(tag):
        if element.text not in joints or not joints[element.text].single:
            raise element.error(f"no movable joint is named {element.text!r}")
    return tuple(element.text for element in plugin.all(tag))


def _read_wheels(plugin: Element) -> dict[str, Any]:
    """What all plugins of drives on wheels say."""

    def bounds(side: str, what: str, default: float) -> Array:
        both = plugin.number(f"{side}_{what}", default)
        return np.array([plugin.number(f"{side}_{axis}_{what}", both) for axis in ("linear", "angular")])

    return {
        "topic": plugin.string("topic"),
        "separation": plugin.positive("wheel_separation", 1.0),
        "radius": plugin.positive("wheel_radius", 0.2),
        "velocity_low": bounds("min", "velocity", -math.inf),
        "velocity_high": bounds("max", "velocity", math.inf),
        "acceleration_low": bounds("min", "acceleration", -math.inf),
        "acceleration_high": bounds("max", "acceleration", math.inf),
    }


def _needed(plugin: Element, tags: str, joints: dict[str, Joint]) -> dict[str, Any]:
    """By tag, the joints that a plugin must name at least one of."""
    found = {tag: _names(plugin, f"{tag}_joint", joints) for tag in tags.split()}
    if lacking := [f"<{tag}_joint>" for tag, names in found.items() if not names]:
        raise plugin.error(f"needs at least one {' and one '.join(lacking)}")
    return found


def read_drive(plugin: Element, joints: dict[str, Joint]) -> DiffDrive:
    """What a plugin DiffDrive says."""
    return DiffDrive(**_read_wheels(plugin), **_needed(plugin, "left right", joints))


def read_ackermann(plugin: Element, joints: dict[str, Joint]) -> AckermannDrive:
    """What a plugin AckermannSteering says."""
    for tag in ("steering_only", "use_actuator_msg"):
        if plugin.boolean(tag, False):
            raise plugin.require(tag).error("is not supported: here the drive takes velocities, not steering angles")
    steering = _needed(plugin, "left_steering right_steering", joints)
    for side, names in steering.items():
        if len(names) != 1:
            raise plugin.error(f"needs just one <{side}_joint>")
    limit = plugin.positive("steering_limit", 0.5)
    if limit >= math.pi / 2:
        raise plugin.error(f"<steering_limit> must be under pi / 2, got {limit:g}")
    return AckermannDrive(
        **_read_wheels(plugin), **_needed(plugin, "left right", joints),
        steering=(steering["left_steering"][0], steering["right_steering"][0]),
        kingpin_width=plugin.positive("kingpin_width", 0.8), wheel_base=plugin.positive("wheel_base", 1.0),
        steering_limit=limit, steering_gain=plugin.positive("steer_p_gain", 1.0),
    )  # fmt: skip


def read_mecanum(plugin: Element, joints: dict[str, Joint]) -> MecanumDrive:
    """What a plugin MecanumDrive says."""
    wheels = _needed(plugin, "front_left front_right back_left back_right", joints)
    return MecanumDrive(**_read_wheels(plugin), **wheels, wheel_base=plugin.positive("wheelbase", 1.0))


def read_controller(plugin: Element, joints: dict[str, Joint]) -> JointController:
    """What a plugin JointTrajectoryController says; without <joint_name> it controls every movable joint."""
    names = _names(plugin, "joint_name", joints) or tuple(joint.name for joint in joints.values() if joint.single)
    if not names:
        raise plugin.error("there are no movable joints that it could control")

    def gains(tag: str) -> Array:
        values = [float(e.vector(1)[0]) for e in plugin.all(tag)] or [0.0] * len(names)
        if len(values) != len(names) or min(values) < 0:
            raise plugin.error(f"needs one <{tag}>, not negative, for each of its {len(names)} joints")
        return np.array(values)

    return JointController(plugin.string("topic"), names, gains("position_p_gain"), gains("position_d_gain"))


def read_odometry(plugin: Element) -> Output:
    """What a plugin OdometryPublisher says."""
    return Output(
        topic=plugin.string("odom_topic"),
        rate=plugin.positive("odom_publish_frequency", 50.0),
        frame=plugin.string("odom_frame"),
        child_frame=plugin.string("robot_base_frame"),
    )


def read_joint_states(plugin: Element, joints: dict[str, Joint]) -> Output:
    """What a plugin JointStatePublisher says; without <joint_name> it tells of every movable joint."""
    movable = tuple(joint.name for joint in joints.values() if joint.single)
    return Output(
        topic=plugin.string("topic"),
        rate=plugin.positive("update_rate"),
        joints=_names(plugin, "joint_name", joints) or movable,
    )
