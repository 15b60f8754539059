# SPDX-License-Identifier: Apache-2.0
"""Robots as URDF, for the many ROS tools that read nothing else, and the frames that go with it (REP-105).

Frames of a robot: `NAME/odom`, `NAME/base_link`, `NAME/LINK` for each further link and `NAME/SENSOR` as the model names
them. A link's frame lies where URDF wants it: at the joint that moves the link, turned as the model turns the link.
Joints keep the model's names, which are those of the joint states.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ir_sim.sdf.joints import Joint
from ir_sim.sdf.model import Link, Model
from ir_sim.sdf.poses import Pose
from ir_sim.sdf.shapes import Geometry
from ir_sim.sdf.world import GROUND, World

BASE = "base_link"
_KINDS = {"revolute": "revolute", "continuous": "continuous", "prismatic": "prismatic", "fixed": "fixed"}
_UNLIMITED = 1e6  # URDF wants a number for every limit


@dataclass(frozen=True)
class Branch:
    """A frame under another one.

    Attributes:
        parent, child: frames.
        origin: pose of the child's frame in the parent's, at joint position zero.
        joint: what moves it; none: it is fixed.
        link: the link that stands in it; none: a sensor's frame.
    """

    parent: str
    child: str
    origin: Pose
    joint: Joint | None = None
    link: Link | None = None

    def at(self, position: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Translation [3] m and quaternion (w, x, y, z) of the child's frame with its joint at `position`, rad or m."""
        if self.joint is None:
            return self.origin.position, self.origin.quaternion
        if self.joint.kind == "prismatic":
            return self.origin.position + self.origin.rotation @ self.joint.axis * position, self.origin.quaternion
        half, axis = position / 2, self.joint.axis
        turn = np.array([math.cos(half), *(math.sin(half) * axis)])
        return self.origin.position, _product(self.origin.quaternion, turn)


def tree(name: str, model: Model) -> tuple[Branch, ...]:
    """The frames under `NAME/base_link`, parents first. Rails above the base are left out: odometry has its pose."""
    base = f"{name}/{BASE}"
    branches = (
        [] if model.base == BASE else [Branch(base, f"{name}/{model.base}", Pose(), None, model.links[model.base])]
    )
    shift = {model.base: Pose()}  # from a link's frame in the model to its frame here
    order = [model.base]
    for parent in order:  # grows while it is walked
        for joint in model.joints.values():
            if joint.parent != parent or joint.child in shift:
                continue
            child = model.links[joint.child]
            shift[joint.child] = Pose(joint.position)
            here = model.links[parent].pose @ shift[parent]
            origin = here.inverse() @ child.pose @ shift[joint.child]
            moved = joint if joint.single else None
            branches.append(Branch(f"{name}/{parent}", f"{name}/{joint.child}", origin, moved, child))
            order.append(joint.child)
    taken = {base, *(branch.child for branch in branches)}
    for link in order:
        for sensor in model.links[link].sensors:
            if sensor.frame and sensor.frame not in taken:
                taken.add(sensor.frame)
                branches.append(Branch(f"{name}/{link}", sensor.frame, shift[link].inverse() @ sensor.pose))
    return tuple(branches)


def to_urdf(name: str, model: Model) -> str:
    """URDF of a robot: links with inertia, shapes and colours, joints with limits; a capsule is cylinder and balls.

    Args:
        name: of the robot; links are named as its frames.
    """
    root = ElementTree.Element("robot", name=name)
    _add_link(root, f"{name}/{BASE}", model.links[model.base] if model.base == BASE else None, Pose())
    for branch in tree(name, model):
        shift = Pose(branch.joint.position).inverse() if branch.joint else Pose()
        _add_link(root, branch.child, branch.link, shift)
        _add_joint(root, branch)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def scenery_to_urdf(world: World, frame: str) -> str:
    """URDF of what stands still in a world, but for its ground: one link, the frame `frame`, with all the shapes."""
    root = ElementTree.Element("robot", name=world.name)
    link = ElementTree.SubElement(root, "link", name=frame)
    for name, placed in world.scenery.items():
        for part in placed.model.links.values() if name != GROUND else ():
            _add_visuals(link, part, placed.pose @ part.pose, name)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add_visuals(element: ElementTree.Element, link: Link, at: Pose, owner: str) -> None:
    for visual in link.visuals:
        for number, (pose, shape) in enumerate(_shapes(visual.geometry)):
            shown = _add_shape(
                element, "visual", f"{owner}/{visual.name}{number or ''}", at @ visual.pose @ pose, shape
            )
            colour = " ".join(_text(value) for value in visual.colour)
            material = ElementTree.SubElement(shown, "material", name=f"{owner}/{visual.name}")
            ElementTree.SubElement(material, "color", rgba=colour)


def _add_link(root: ElementTree.Element, name: str, link: Link | None, shift: Pose) -> None:
    element = ElementTree.SubElement(root, "link", name=name)
    if link is None:
        return
    inertial = ElementTree.SubElement(element, "inertial")
    _add_origin(inertial, shift @ link.inertial_pose)
    ElementTree.SubElement(inertial, "mass", value=_text(link.mass))
    values = {
        a + b: _text(link.inertia["xyz".index(a), "xyz".index(b)]) for a, b in ("xx", "xy", "xz", "yy", "yz", "zz")
    }
    ElementTree.SubElement(inertial, "inertia", {f"i{axes}": value for axes, value in values.items()})
    _add_visuals(element, link, shift, name)
    for collision in link.collisions:
        for number, (pose, shape) in enumerate(_shapes(collision.geometry)):
            _add_shape(element, "collision", f"{collision.name}{number or ''}", shift @ collision.pose @ pose, shape)


def _shapes(geometry: Geometry) -> Iterator[tuple[Pose, ElementTree.Element]]:
    """The URDF shapes of a shape, each at its pose; a plane has none, an ellipsoid or a cone is its box."""
    if geometry.kind == "mesh" and geometry.file:
        scale = " ".join(_text(value) for value in geometry.size)
        yield Pose(), ElementTree.Element("mesh", filename=geometry.file.path.as_uri(), scale=scale)
    elif geometry.kind in ("ellipsoid", "cone"):
        middle, edges = geometry.box()
        yield Pose(middle), ElementTree.Element("box", size=" ".join(_text(value) for value in edges))
    size = [_text(value) for value in geometry.size]
    if geometry.kind == "box":
        yield Pose(), ElementTree.Element("box", size=" ".join(size))
    elif geometry.kind == "sphere":
        yield Pose(), ElementTree.Element("sphere", radius=size[0])
    elif geometry.kind in ("cylinder", "capsule"):
        yield Pose(), ElementTree.Element("cylinder", radius=size[0], length=size[1])
        for end in (-0.5, 0.5) if geometry.kind == "capsule" else ():
            yield Pose(np.array([0.0, 0.0, end * geometry.size[1]])), ElementTree.Element("sphere", radius=size[0])


def _add_shape(
    link: ElementTree.Element, kind: str, name: str, pose: Pose, shape: ElementTree.Element
) -> ElementTree.Element:
    element = ElementTree.SubElement(link, kind, name=name)
    _add_origin(element, pose)
    ElementTree.SubElement(element, "geometry").append(shape)
    return element


def _add_joint(root: ElementTree.Element, branch: Branch) -> None:
    joint = branch.joint
    kind = _KINDS[joint.kind] if joint else "fixed"
    if joint and kind == "revolute" and not math.isfinite(joint.upper - joint.lower):
        kind = "continuous"
    element = ElementTree.SubElement(root, "joint", name=joint.name if joint else f"{branch.child}_joint", type=kind)
    _add_origin(element, branch.origin)
    ElementTree.SubElement(element, "parent", link=branch.parent)
    ElementTree.SubElement(element, "child", link=branch.child)
    if joint is None:
        return
    ElementTree.SubElement(element, "axis", xyz=" ".join(_text(value) for value in joint.axis))
    ElementTree.SubElement(element, "dynamics", damping=_text(joint.damping), friction=_text(joint.friction))
    limits = {"effort": joint.effort, "velocity": joint.velocity}
    if kind != "continuous":
        limits |= {"lower": joint.lower, "upper": joint.upper}
    ElementTree.SubElement(
        element, "limit", {tag: _text(min(max(v, -_UNLIMITED), _UNLIMITED)) for tag, v in limits.items()}
    )


def _add_origin(element: ElementTree.Element, pose: Pose) -> None:
    words = pose.text.split()
    ElementTree.SubElement(element, "origin", xyz=" ".join(words[:3]), rpy=" ".join(words[3:]))


def _text(value: float) -> str:
    return f"{float(value):.9g}"


def _product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Product of two quaternions (w, x, y, z)."""
    aw, ax, ay, az = a.tolist()
    bw, bx, by, bz = b.tolist()
    return np.array([
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    ])  # fmt: skip
