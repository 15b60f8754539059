# SPDX-License-Identifier: Apache-2.0
"""What an SDFormat <model> says, as plain values in SI units, with every pose resolved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ir_sim.sdf.drives import (
    JointController,
    Output,
    WheelDrive,
    read_ackermann,
    read_controller,
    read_drive,
    read_joint_states,
    read_mecanum,
    read_odometry,
)
from ir_sim.sdf.elements import Element
from ir_sim.sdf.grammar import COMMANDED, OTHER_SENSORS, Notes, plugin_kind
from ir_sim.sdf.includes import flatten
from ir_sim.sdf.joints import Joint, read_joint
from ir_sim.sdf.poses import Frames, Pose
from ir_sim.sdf.sensors import Sensor, read_sensor
from ir_sim.sdf.shapes import Collision, Visual, read_collision, read_visual

Array = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class Link:
    """A rigid body. `pose` in the model's frame; `inertia` [3, 3] kg m2 about the centre of mass in its axes.

    With a `density` (kg/m3) mass, centre and inertia are those of its collisions; gravity leaves a `weightless` one.
    """

    name: str
    pose: Pose
    mass: float
    inertial_pose: Pose
    inertia: Array
    collisions: tuple[Collision, ...]
    visuals: tuple[Visual, ...]
    sensors: tuple[Sensor, ...]
    element: Element
    density: float | None = None
    weightless: bool = False


@dataclass(frozen=True)
class Model:
    """One <model> of the world."""

    name: str
    static: bool
    self_collide: bool
    links: dict[str, Link]
    joints: dict[str, Joint]
    base: str  #: name of the canonical link
    drive: WheelDrive | None
    controller: JointController | None
    odometry: Output | None
    joint_states: Output | None
    element: Element  #: as it stands in the world, with its inner models
    frames: Frames


def read_model(element: Element, name: str, notes: Notes) -> Model:
    """A <model> that `grammar.check` has passed, with its inner models' links as its own.

    Raises:
        ConfigError: a value is missing, malformed, out of range or names something that is not there.
    """
    flat = flatten(element)
    frames = Frames(flat)
    plugins = {plugin_kind(e): e for e in flat.all("plugin")}
    static = flat.boolean("static", False)
    rollers = _roller_wheels(flat, plugins.get("MecanumDrive"), notes)
    links = {link.name: link for link in (_read_link(e, frames, notes, rollers, static) for e in flat.all("link"))}
    joints = {joint.name: joint for joint in (read_joint(e, frames, links) for e in flat.all("joint"))}
    for joint in joints.values():
        if joint.mimic and (joint.mimic.leader not in joints or not joints[joint.mimic.leader].single):
            raise joint.element.error(f"follows joint {joint.mimic.leader!r}, which is not there, or has no position")
    if not links:
        raise element.error("has no <link>")
    base = flat.attributes.get("canonical_link") or next(iter(links))
    if base not in links:
        raise element.error(f"canonical_link {base!r} is not a link of it")
    commanded = not plugins.keys().isdisjoint(COMMANDED)

    def read(kind: str, reader: Callable[[Element], T]) -> T | None:
        return reader(plugins[kind]) if kind in plugins and commanded else None

    return Model(
        name=name,
        static=static,
        self_collide=flat.boolean("self_collide", False),
        links=links,
        joints=joints,
        base=base,
        drive=read("DiffDrive", lambda e: read_drive(e, joints))
        or read("AckermannSteering", lambda e: read_ackermann(e, joints))
        or read("MecanumDrive", lambda e: read_mecanum(e, joints)),
        controller=read("JointTrajectoryController", lambda e: read_controller(e, joints)),
        odometry=read("OdometryPublisher", read_odometry),
        joint_states=read("JointStatePublisher", lambda e: read_joint_states(e, joints)),
        element=element,
        frames=frames,
    )


def _roller_wheels(flat: Element, plugin: Element | None, notes: Notes) -> frozenset[str]:
    """Names of the links that are wheels of a mecanum drive."""
    if plugin is None:
        return frozenset()
    notes.add(plugin, "rollers are not simulated: each wheel grips along their axes by a force in its place, which its"
              " friction and its share of the robot's weight bound")  # fmt: skip
    joints = {child.text for child in plugin.children if child.tag.endswith("_joint")}
    return frozenset(joint.string("child") for joint in flat.all("joint") if joint.attributes.get("name") in joints)


def _read_link(element: Element, frames: Frames, notes: Notes, rollers: frozenset[str], static: bool) -> Link:
    name = element.attribute("name")
    inertial = element.find("inertial")
    read = [read_collision(e, frames, name, notes, name in rollers) for e in element.all("collision")]
    collisions = tuple(collision for collision in read if collision)
    for number, collision in enumerate(collisions):
        if any(other.name == collision.name for other in collisions[:number]):
            raise element.error(f"has two collisions named {collision.name!r}")
    shown = [read_visual(e, frames, name, notes, static) for e in element.all("visual")]
    sensors = tuple(
        read_sensor(e, frames.within(e, name), notes)
        for e in element.all("sensor")
        if e.attributes.get("type") not in OTHER_SENSORS
    )
    for sensor in sensors:
        for touched in set(sensor.collisions) - {collision.name for collision in collisions}:
            raise sensor.element.error(f"no collision of link {name!r} is named {touched!r}")
    if element.boolean("kinematic", False):
        raise element.require("kinematic").error("is not supported: every link that is not static moves by its forces")
    for tag in ("self_collide", "velocity_decay"):
        for found in element.all(tag):
            notes.add(found, "of a link is passed over, as Gazebo's own engine does")
    automatic = inertial is not None and inertial.attributes.get("auto", "false").lower() in ("true", "1")
    if automatic and not collisions:
        raise element.error("its inertia is to be computed, and it has no collision")
    return Link(
        name=name,
        pose=frames.pose(name, element),
        mass=inertial.positive("mass", 1.0) if inertial and not static else 1.0,
        inertial_pose=frames.within(inertial, name) if inertial else Pose(),
        inertia=_read_inertia(None if static or inertial is None else inertial.find("inertia")),
        collisions=collisions,
        visuals=tuple(visual for visual in shown if visual),
        sensors=sensors,
        element=element,
        density=inertial.positive("density", 1000.0) if automatic and inertial else None,
        weightless=not element.boolean("gravity", True),
    )


def _read_inertia(element: Element | None) -> Array:
    if element is None:
        return np.eye(3)
    xx, yy, zz = (element.positive(tag, 1.0) for tag in ("ixx", "iyy", "izz"))
    xy, xz, yz = (element.number(tag, 0.0) for tag in ("ixy", "ixz", "iyz"))
    inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    moments = np.linalg.eigvalsh(inertia)
    if moments[0] <= 0 or moments[0] + moments[1] < moments[2] * (1 - 1e-6):
        raise element.error(f"is not the inertia of any body: its principal moments are {moments.tolist()}")
    return inertia
