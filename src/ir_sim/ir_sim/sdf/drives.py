# SPDX-License-Identifier: Apache-2.0
"""What a model's <plugin> elements say: how it is driven, and what it tells of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ir_sim.sdf.elements import Element
from ir_sim.sdf.joints import Joint

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DiffDrive:
    """A differential drive. Limits: forward (m/s, m/s2) and turn (rad/s, rad/s2), infinite where there are none."""

    topic: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    separation: float  #: m
    radius: float  #: m
    velocity_low: Array  #: [2] forward, turn
    velocity_high: Array
    acceleration_low: Array
    acceleration_high: Array


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


def read_drive(plugin: Element, joints: dict[str, Joint]) -> DiffDrive:
    """What a plugin DiffDrive says."""
    left, right = _names(plugin, "left_joint", joints), _names(plugin, "right_joint", joints)
    if not left or not right:
        raise plugin.error("needs at least one <left_joint> and one <right_joint>")

    def bounds(side: str, what: str, default: float) -> Array:
        both = plugin.number(f"{side}_{what}", default)
        return np.array([plugin.number(f"{side}_{axis}_{what}", both) for axis in ("linear", "angular")])

    return DiffDrive(
        topic=plugin.string("topic"),
        left=left,
        right=right,
        separation=plugin.positive("wheel_separation", 1.0),
        radius=plugin.positive("wheel_radius", 0.2),
        velocity_low=bounds("min", "velocity", -math.inf),
        velocity_high=bounds("max", "velocity", math.inf),
        acceleration_low=bounds("min", "acceleration", -math.inf),
        acceleration_high=bounds("max", "acceleration", math.inf),
    )


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
