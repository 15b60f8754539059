# SPDX-License-Identifier: Apache-2.0
"""Poses, and the graph of frames that SDFormat poses refer to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ir_sim.sdf.elements import Element

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """A rigid transform: position [3] m, rotation [3, 3]."""

    position: Array = field(default_factory=lambda: np.zeros(3))
    rotation: Array = field(default_factory=lambda: np.eye(3))

    def __matmul__(self, other: Pose) -> Pose:
        return Pose(self.position + self.rotation @ other.position, self.rotation @ other.rotation)

    def inverse(self) -> Pose:
        """The transform the other way."""
        return Pose(-self.rotation.T @ self.position, self.rotation.T)

    @property
    def quaternion(self) -> Array:
        """Unit quaternion (w, x, y, z) of the rotation, w not negative."""
        m = self.rotation
        # the largest of the four squared components, after Shepperd (1978), keeps the division well conditioned
        squares = np.array([1 + m[0, 0] + m[1, 1] + m[2, 2], 1 + m[0, 0] - m[1, 1] - m[2, 2],
                            1 - m[0, 0] + m[1, 1] - m[2, 2], 1 - m[0, 0] - m[1, 1] + m[2, 2]])  # fmt: skip
        w, x, y, z = squares
        rows = np.array([
            [w, m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], x, m[1, 0] + m[0, 1], m[0, 2] + m[2, 0]],
            [m[0, 2] - m[2, 0], m[1, 0] + m[0, 1], y, m[2, 1] + m[1, 2]],
            [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[2, 1] + m[1, 2], z],
        ])  # fmt: skip
        quaternion = rows[int(np.argmax(squares))]
        quaternion = quaternion / np.linalg.norm(quaternion)
        return quaternion if quaternion[0] >= 0 else -quaternion

    @property
    def text(self) -> str:
        """As SDFormat writes it: x y z roll pitch yaw."""
        m = self.rotation
        angles = (
            np.arctan2(m[2, 1], m[2, 2]),
            np.arctan2(-m[2, 0], np.hypot(m[2, 1], m[2, 2])),
            np.arctan2(m[1, 0], m[0, 0]),
        )
        return " ".join(f"{float(v):.12g}" for v in (*self.position, *angles))


def rotation(roll: float, pitch: float, yaw: float) -> Array:
    """[3, 3] rotation about the fixed axes X, Y, Z in this order by angles in rad."""
    (cr, cp, cy), (sr, sp, sy) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    return np.array([
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ])  # fmt: skip


def towards(normal: Array) -> Array:
    """[3, 3] a rotation that turns the z axis into a unit normal."""
    pitch, yaw = math.acos(float(np.clip(normal[2], -1.0, 1.0))), math.atan2(normal[1], normal[0])
    return rotation(0.0, pitch, yaw)


def read_pose(parent: Element) -> tuple[Pose, str]:
    """The <pose> in an element and the name of the frame that it is relative to ("" where it names none)."""
    element = parent.find("pose")
    if element is None:
        return Pose(), ""
    frame = element.attributes.get("relative_to", "")
    if not element.text:
        return Pose(), frame
    if element.attributes.get("rotation_format", "euler_rpy") != "euler_rpy":
        values = element.vector(7)
        if not np.linalg.norm(values[3:]) > 0:
            raise element.error("a quaternion must not be zero")
        return Pose(values[:3], from_quaternion(values[[6, 3, 4, 5]])), frame
    values = element.vector(6)
    if element.attributes.get("degrees", "false").lower() in ("true", "1"):
        values[3:] = np.radians(values[3:])
    return Pose(values[:3], rotation(*values[3:])), frame


def from_quaternion(quaternion: Array) -> Array:
    """[3, 3] rotation of a quaternion (w, x, y, z), which need not be of unit length."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


class Frames:
    """The frames of a model or a world, each resolved into the frame of the whole.

    Args:
        owner: flat <model> (see `flatten`), whose links, joints and <frame>s are frames; or <world>, with its <frame>s.
        root: name of the frame of the whole: "__model__" or "world".
    """

    def __init__(self, owner: Element, root: str = "__model__") -> None:
        self._root = root
        self._elements: dict[str, Element] = {}
        self._shifts: dict[str, Pose] = {}
        self._inner: dict[str, Frames] = {}
        self._resolved: dict[str, Pose] = {root: Pose()}
        for element in owner.children:
            if element.tag in ("link", "joint", "frame") and (root == "__model__" or element.tag == "frame"):
                self._add(element.attribute("name"), element)

    def _add(self, name: str, element: Element) -> None:
        if name in self._elements:
            first = self._elements[name]
            raise element.error(f"the name {name!r} is taken by <{first.tag}> in line {first.line}")
        self._elements[name] = element

    def add_model(self, name: str, element: Element, inner: Frames, placement_frame: str) -> None:
        """Makes a model of the world a frame of it: <pose> of `element` is that of the model's `placement_frame`."""
        self._add(name, element)
        self._inner[name] = inner
        if placement_frame:
            self._shifts[name] = inner.pose(placement_frame, element).inverse()

    def pose(self, name: str, asked_by: Element, seen: tuple[str, ...] = ()) -> Pose:
        """Pose of a frame in the frame of the whole."""
        if name in self._resolved:
            return self._resolved[name]
        first, _, rest = name.partition("::")
        if name not in self._elements and rest and first in self._inner:
            return self.pose(first, asked_by, seen) @ self._inner[first].pose(rest, asked_by)
        if name not in self._elements:
            raise asked_by.error(f"no {'link, joint or ' if self._root == '__model__' else ''}frame is named {name!r}")
        if name in seen:
            raise asked_by.error(f"poses refer to each other in a circle: {' -> '.join((*seen, name))}")
        element = self._elements[name]
        own, relative_to = read_pose(element)
        base = self.pose(relative_to or self._default(element), element, (*seen, name))
        self._resolved[name] = base @ own @ self._shifts.get(name, Pose())
        return self._resolved[name]

    def _default(self, element: Element) -> str:
        """What the pose of an element is relative to where it does not say so."""
        if element.tag == "joint":
            return element.string("child")
        return element.attributes.get("attached_to", "") or self._root if element.tag == "frame" else self._root

    def link_of(self, name: str, asked_by: Element, seen: tuple[str, ...] = ()) -> str:
        """The link that a frame is fixed to; "" for the frame of the whole."""
        if name == self._root:
            return ""
        if name not in self._elements or name in seen:
            raise asked_by.error(f"no link is named {name!r}")
        element = self._elements[name]
        if element.tag == "link":
            return name
        next_one = element.string("child") if element.tag == "joint" else element.attributes.get("attached_to", "")
        return self.link_of(next_one or self._root, element, (*seen, name))

    def within(self, parent: Element, link: str) -> Pose:
        """Pose of something in a link (a collision, a sensor) in the link's frame."""
        own, relative_to = read_pose(parent)
        if not relative_to:
            return own
        return self.pose(link, parent).inverse() @ self.pose(relative_to, parent) @ own
