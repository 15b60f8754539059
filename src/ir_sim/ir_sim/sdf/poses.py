# SPDX-License-Identifier: Apache-2.0
"""Poses, and the graph of frames that SDFormat poses refer to."""

from __future__ import annotations

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


def read_pose(parent: Element) -> tuple[Pose, str]:
    """The <pose> in an element and the name of the frame that it is relative to ("" where it names none)."""
    element = parent.find("pose")
    if element is None:
        return Pose(), ""
    values = element.vector(6)
    if element.attributes.get("degrees", "false").lower() in ("true", "1"):
        values[3:] = np.radians(values[3:])
    return Pose(values[:3], rotation(*values[3:])), element.attributes.get("relative_to", "")


class Frames:
    """The frames of one model: its links, joints and <frame>s, each resolved into the model's frame."""

    def __init__(self, model: Element) -> None:
        self._model = model
        self._elements: dict[str, Element] = {}
        self._resolved: dict[str, Pose] = {"__model__": Pose()}
        for element in model.children:
            if element.tag in ("link", "joint", "frame"):
                name = element.attribute("name")
                if name in self._elements:
                    first = self._elements[name]
                    raise element.error(f"the name {name!r} is taken by <{first.tag}> in line {first.line}")
                self._elements[name] = element

    def pose(self, name: str, asked_by: Element, seen: tuple[str, ...] = ()) -> Pose:
        """Pose of a frame in the model's frame."""
        if name in self._resolved:
            return self._resolved[name]
        if name not in self._elements:
            raise asked_by.error(f"no link, joint or frame is named {name!r}")
        if name in seen:
            raise asked_by.error(f"poses refer to each other in a circle: {' -> '.join((*seen, name))}")
        element = self._elements[name]
        own, relative_to = read_pose(element)
        default = {"joint": lambda: element.string("child"), "link": lambda: "__model__",
                   "frame": lambda: element.attributes.get("attached_to", "__model__")}  # fmt: skip
        base = self.pose(relative_to or default[element.tag](), element, (*seen, name))
        self._resolved[name] = base @ own
        return self._resolved[name]

    def within(self, parent: Element, link: str) -> Pose:
        """Pose of something in a link (a collision, a sensor) in the link's frame."""
        own, relative_to = read_pose(parent)
        if not relative_to:
            return own
        return self.pose(link, parent).inverse() @ self.pose(relative_to, parent) @ own
