# SPDX-License-Identifier: Apache-2.0
"""What an SDFormat <model> says, as plain values in SI units, with every pose resolved."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ir_sim.sdf.elements import Element
from ir_sim.sdf.grammar import IGNORED_PLUGINS, plugin_kind
from ir_sim.sdf.poses import Frames, Pose
from ir_sim.sdf.sensors import Sensor, read_sensor

Array = NDArray[np.float64]
UNLIMITED = 1e15  # SDFormat writes 1e16 for "no limit"


@dataclass(frozen=True)
class Geometry:
    """A shape. `size`: box full edges; sphere radius; cylinder and capsule radius, length; plane normal. All m."""

    kind: str
    size: Array


@dataclass(frozen=True)
class Collision:
    """A shape that touches. `pose` in its link; `margin` (m), `solref` and `solimp` are MuJoCo's (None: default)."""

    name: str
    pose: Pose
    geometry: Geometry
    friction: float
    margin: float = 0.0
    solref: Array | None = None
    solimp: Array | None = None


@dataclass(frozen=True)
class Visual:
    """A shape that is seen."""

    name: str
    pose: Pose
    geometry: Geometry
    colour: Array


@dataclass(frozen=True)
class Link:
    """A rigid body. `pose` in the model's frame; `inertia` [3, 3] kg m2 about the centre of mass in its axes."""

    name: str
    pose: Pose
    mass: float
    inertial_pose: Pose
    inertia: Array
    collisions: tuple[Collision, ...]
    visuals: tuple[Visual, ...]
    sensors: tuple[Sensor, ...]
    element: Element


@dataclass(frozen=True)
class Joint:
    """A joint. `position` and `axis` in the child link's frame; limits in rad or m, infinite where there are none."""

    name: str
    kind: str
    parent: str
    child: str
    element: Element
    position: Array = field(default_factory=lambda: np.zeros(3))
    axis: Array = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    lower: float = -math.inf
    upper: float = math.inf
    effort: float = math.inf  #: N m or N
    velocity: float = math.inf  #: rad/s or m/s
    damping: float = 0.0  #: N m s/rad or N s/m
    friction: float = 0.0  #: N m or N
    stiffness: float = 0.0  #: N m/rad or N/m
    rest: float = 0.0  #: rad or m, where the spring is relaxed
    armature: float = 0.0  #: kg m2 or kg, inertia of the rotor on the joint's side of its gear


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


@dataclass(frozen=True)
class Model:
    """One <model> of the world."""

    name: str
    static: bool
    self_collide: bool
    links: dict[str, Link]
    joints: dict[str, Joint]
    base: str  #: name of the canonical link
    drive: DiffDrive | None
    controller: JointController | None
    odometry: Output | None
    joint_states: Output | None
    element: Element


def read_model(element: Element, name: str) -> Model:
    """A <model> that `grammar.check` has passed.

    Raises:
        ConfigError: a value is missing, malformed, out of range or names something that is not there.
    """
    frames = Frames(element)
    links = {link.name: link for link in (_read_link(e, frames) for e in element.all("link"))}
    joints = {joint.name: joint for joint in (_read_joint(e, frames, links) for e in element.all("joint"))}
    if not links:
        raise element.error("has no <link>")
    base = element.attributes.get("canonical_link", next(iter(links)))
    if base not in links:
        raise element.error(f"canonical_link {base!r} is not a link of it")
    plugins = {plugin_kind(e): e for e in element.all("plugin") if plugin_kind(e) not in IGNORED_PLUGINS}
    return Model(
        name=name,
        static=element.boolean("static", False),
        self_collide=element.boolean("self_collide", False),
        links=links,
        joints=joints,
        base=base,
        drive=_read_drive(plugins["DiffDrive"], joints) if "DiffDrive" in plugins else None,
        controller=_read_controller(plugins["JointTrajectoryController"], joints)
        if "JointTrajectoryController" in plugins
        else None,
        odometry=_read_odometry(plugins["OdometryPublisher"]) if "OdometryPublisher" in plugins else None,
        joint_states=_read_joint_states(plugins["JointStatePublisher"], joints)
        if "JointStatePublisher" in plugins
        else None,
        element=element,
    )


def _read_link(element: Element, frames: Frames) -> Link:
    name = element.attribute("name")
    inertial = element.find("inertial")
    collisions = tuple(_read_collision(e, frames, name) for e in element.all("collision"))
    sensors = tuple(read_sensor(e, frames.within(e, name)) for e in element.all("sensor"))
    for sensor in sensors:
        for touched in set(sensor.collisions) - {collision.name for collision in collisions}:
            raise sensor.element.error(f"no collision of link {name!r} is named {touched!r}")
    return Link(
        name=name,
        pose=frames.pose(name, element),
        mass=inertial.positive("mass", 1.0) if inertial else 1.0,
        inertial_pose=frames.within(inertial, name) if inertial else Pose(),
        inertia=_read_inertia(inertial.find("inertia") if inertial else None),
        collisions=collisions,
        visuals=tuple(_read_visual(e, frames, name) for e in element.all("visual")),
        sensors=sensors,
        element=element,
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


def _read_geometry(element: Element) -> Geometry:
    geometry = element.require("geometry")
    if len(geometry.children) != 1:
        raise geometry.error("must hold one shape")
    shape = geometry.children[0]
    if shape.tag == "box":
        size = shape.require("size").vector(3)
        if np.any(size <= 0):
            raise shape.error(f"edges must be positive, got {size.tolist()}")
    elif shape.tag == "sphere":
        size = np.array([shape.positive("radius")])
    elif shape.tag == "plane":
        normal = shape.find("normal")
        size = normal.vector(3) if normal else np.array([0.0, 0.0, 1.0])
        if not np.linalg.norm(size) > 0:
            raise shape.error("normal must not be zero")
        size = size / np.linalg.norm(size)
    else:
        size = np.array([shape.positive("radius"), shape.positive("length")])
    return Geometry(shape.tag, size)


def _read_collision(element: Element, frames: Frames, link: str) -> Collision:
    ode = element.find("surface/friction/ode")
    mu = ode.number("mu", 1.0) if ode else 1.0
    if ode is not None and ode.number("mu2", mu) != mu:
        raise ode.error("mu2 differs from mu; friction that depends on the direction is not supported")
    if mu < 0:
        raise element.error(f"friction must not be negative, got {mu:g}")
    contact = element.find("surface/mujoco:contact")
    solver = _numbers(contact) if contact else {}
    return Collision(
        element.attribute("name"),
        frames.within(element, link),
        _read_geometry(element),
        mu,
        float(solver.get("margin", [0.0])[0]),
        solver.get("solref"),
        solver.get("solimp"),
    )


def _numbers(element: Element) -> dict[str, Array]:
    """The attributes of an element, each as numbers."""
    numbers = {}
    for name, text in element.attributes.items():
        try:
            numbers[name] = np.array([float(word) for word in text.split()])
        except ValueError:
            numbers[name] = np.empty(0)
        if not len(numbers[name]) or not np.all(np.isfinite(numbers[name])):
            raise element.error(f"attribute {name!r} must be numbers, got {text!r}")
    return numbers


def _read_visual(element: Element, frames: Frames, link: str) -> Visual:
    diffuse = element.find("material/diffuse")
    colour = np.array([0.7, 0.7, 0.7, 1.0])
    if diffuse is not None:
        colour = diffuse.vector(len(diffuse.text.split()) if len(diffuse.text.split()) == 3 else 4)
        colour = np.append(colour, 1.0)[:4]
    return Visual(element.attribute("name"), frames.within(element, link), _read_geometry(element), colour)


def _read_joint(element: Element, frames: Frames, links: dict[str, Link]) -> Joint:
    name, kind = element.attribute("name"), element.attribute("type")
    if kind not in ("revolute", "continuous", "prismatic", "fixed"):
        raise element.error(f"type {kind!r} is not supported; known: revolute, continuous, prismatic, fixed")
    parent, child = element.string("parent"), element.string("child")
    for tag, link in (("parent", parent), ("child", child)):
        if link not in links and not (tag == "parent" and link == "world"):
            raise element.require(tag).error(f"no link is named {link!r}")
    in_child = links[child].pose.inverse() @ frames.pose(name, element)
    if kind == "fixed":
        return Joint(name, kind, parent, child, element, in_child.position)
    axis = element.require("axis")
    xyz = axis.find("xyz")
    direction = xyz.vector(3) if xyz else np.array([0.0, 0.0, 1.0])
    if not np.linalg.norm(direction) > 0:
        raise axis.error("direction must not be zero")
    expressed_in = xyz.attributes.get("expressed_in", "") if xyz else ""
    if expressed_in:
        turn = (links[child].pose.inverse() @ frames.pose(expressed_in, axis)).rotation
    else:
        turn = in_child.rotation
    lower, upper = _limit(axis, "lower", -math.inf), _limit(axis, "upper", math.inf)
    if kind == "continuous":
        lower, upper = -math.inf, math.inf
    if lower > upper:
        raise axis.require("limit").error(f"lower limit {lower:g} is above the upper one {upper:g}")
    rotor = element.find("mujoco:joint")
    return Joint(
        name,
        kind,
        parent,
        child,
        element,
        position=in_child.position,
        axis=turn @ direction / np.linalg.norm(direction),
        lower=lower,
        upper=upper,
        effort=_limit(axis, "effort", math.inf),
        velocity=_limit(axis, "velocity", math.inf),
        damping=axis.number("dynamics/damping", 0.0),
        friction=axis.number("dynamics/friction", 0.0),
        stiffness=axis.number("dynamics/spring_stiffness", 0.0),
        rest=axis.number("dynamics/spring_reference", 0.0),
        armature=float(_numbers(rotor).get("armature", [0.0])[0]) if rotor else 0.0,
    )


def _limit(axis: Element, tag: str, default: float) -> float:
    """A limit; SDFormat's -1 for effort and velocity, and numbers beyond any use, mean none."""
    element = axis.find(f"limit/{tag}")
    if element is None:
        return default
    value = float(element.vector(1)[0])
    if abs(value) > UNLIMITED or (tag in ("effort", "velocity") and value < 0):
        return default
    return value


def _names(plugin: Element, tag: str, joints: dict[str, Joint]) -> tuple[str, ...]:
    """The joints that a plugin names, each of them there and movable."""
    for element in plugin.all(tag):
        if element.text not in joints or joints[element.text].kind == "fixed":
            raise element.error(f"no movable joint is named {element.text!r}")
    return tuple(element.text for element in plugin.all(tag))


def _read_drive(plugin: Element, joints: dict[str, Joint]) -> DiffDrive:
    left, right = _names(plugin, "left_joint", joints), _names(plugin, "right_joint", joints)
    if not left or not right:
        raise plugin.error("needs at least one <left_joint> and one <right_joint>")

    def bounds(side: str, what: str, default: float) -> Array:
        return np.array([plugin.number(f"{side}_{axis}_{what}", default) for axis in ("linear", "angular")])

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


def _read_controller(plugin: Element, joints: dict[str, Joint]) -> JointController:
    names = _names(plugin, "joint_name", joints)
    if not names:
        raise plugin.error("must name its joints in <joint_name> elements")

    def gains(tag: str) -> Array:
        values = [float(e.vector(1)[0]) for e in plugin.all(tag)] or [0.0] * len(names)
        if len(values) != len(names) or min(values) < 0:
            raise plugin.error(f"needs one <{tag}>, not negative, for each of its {len(names)} joints")
        return np.array(values)

    return JointController(plugin.string("topic"), names, gains("position_p_gain"), gains("position_d_gain"))


def _read_odometry(plugin: Element) -> Output:
    return Output(
        topic=plugin.string("odom_topic"),
        rate=plugin.positive("odom_publish_frequency", 50.0),
        frame=plugin.string("odom_frame"),
        child_frame=plugin.string("robot_base_frame"),
    )


def _read_joint_states(plugin: Element, joints: dict[str, Joint]) -> Output:
    movable = tuple(joint.name for joint in joints.values() if joint.kind != "fixed")
    return Output(
        topic=plugin.string("topic"),
        rate=plugin.positive("update_rate"),
        joints=_names(plugin, "joint_name", joints) or movable,
    )
