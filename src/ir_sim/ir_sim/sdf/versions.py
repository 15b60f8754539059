# SPDX-License-Identifier: Apache-2.0
"""SDFormat files of older versions, rewritten as the present one says the same."""

from __future__ import annotations

import numpy as np

from ir_sim.sdf.elements import Element

GRAVITY = np.array([0.0, 0.0, -9.8])  #: m/s2, of a world that says nothing
_ALMOST = 0.02  # m/s2, by which the ways to write the earth's differ
OLDEST, NEWEST = (1, 3), (1, 12)
_AXES = ("axis", "axis2")
_IMU_NOISE = (("rate", "angular_velocity"), ("accel", "linear_acceleration"))


def upgrade(root: Element) -> tuple[int, int]:
    """Rewrites a file's <sdf> in place, and returns its version.

    Up to 1.4 a joint's axis is in the model's frame, and in 1.5 and 1.6 it is with <use_parent_model_frame>; from 1.5
    on it is in the joint's. Up to 1.6 <pose frame="…"> says what relative_to says from 1.7 on, an IMU may have one
    noise for all axes, and a joint the name of a link. Up to 1.5 gravity is in <physics>; what says the same there
    later on goes.

    Raises:
        ConfigError: no version, or one that nobody here knows the meaning of.
    """
    version = _version(root)
    for element in root.walk():
        if element.tag == "world":
            _upgrade_physics(element, version)
        if element.tag == "model" and version < (1, 7):
            _part_names(element)
        if element.tag == "imu" and version < (1, 7):
            _upgrade_noise(element)
        for child in element.children:
            if child.tag in _AXES and element.tag == "joint":
                _upgrade_axis(child, version)
            if child.tag == "pose" and version < (1, 7):
                frame = child.attributes.pop("frame", "")
                child.attributes |= {"relative_to": frame} if frame else {}
    return version


def _version(root: Element) -> tuple[int, int]:
    text = root.attributes.get("version")
    if text is None:
        raise root.error('lacks version="…"; the meaning of a file depends on it (the newest is 1.12)')
    try:
        major, minor = (int(word) for word in text.strip().split("."))
    except ValueError:
        raise root.error(f"version {text!r} is none; versions look like 1.9") from None
    if not OLDEST <= (major, minor) <= NEWEST:
        raise root.error(f"version {text} is not known; 1.{OLDEST[1]} to 1.{NEWEST[1]} are")
    return major, minor


def _upgrade_physics(world: Element, version: tuple[int, int]) -> None:
    """Takes gravity out of <physics>; from 1.6 on Gazebo does not look at it there: where it changes nothing."""
    moved = ("gravity", "magnetic_field")
    for physics in world.all("physics"):
        if version < (1, 6) and world.find("gravity") is None:
            world.children += physics.all("gravity")
        own = world.find("gravity")
        in_force = own.vector(3) if own else GRAVITY
        kept = [
            child
            for child in physics.children
            if version >= (1, 6) and child.tag == "gravity" and np.any(np.abs(child.vector(3) - in_force) > _ALMOST)
        ]
        physics.children = [child for child in physics.children if child.tag not in moved or child in kept]


def _part_names(model: Element) -> None:
    """Gives joints that are called as a link another name, as libsdformat does; from 1.7 on that is a mistake."""
    taken = {e.attributes.get("name", "") for e in model.children if e.tag in ("link", "frame", "model")}
    for joint in model.all("joint"):
        while joint.attributes.get("name", "") in taken:
            joint.attributes["name"] += "_joint"
        taken.add(joint.attributes.get("name", ""))


def _upgrade_noise(imu: Element) -> None:
    """Gives each axis of an IMU the noise of its quantity."""
    noise = imu.find("noise")
    if noise is None:
        return
    imu.children = [child for child in imu.children if child is not noise]
    kind = list(noise.all("type"))
    for old, quantity in _IMU_NOISE:
        values = noise.find(old)
        if values is not None and imu.find(quantity) is None:
            of_axis = noise.with_children([*kind, *values.children])
            axes = [values.leaf(axis).with_children([of_axis]) for axis in "xyz"]
            imu.children.append(values.leaf(quantity).with_children(axes))


def _upgrade_axis(axis: Element, version: tuple[int, int]) -> None:
    if version >= (1, 7):
        return
    in_model = version < (1, 5) or axis.boolean("use_parent_model_frame", False)
    axis.children = [child for child in axis.children if child.tag != "use_parent_model_frame"]
    if in_model:
        if axis.find("xyz") is None:
            axis.children.append(axis.leaf("xyz", "0 0 1"))
        axis.require("xyz").attributes["expressed_in"] = "__model__"
