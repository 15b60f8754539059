# SPDX-License-Identifier: Apache-2.0
"""What SDFormat <joint> elements say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ir_sim.sdf.elements import Element
from ir_sim.sdf.poses import Frames, Pose
from ir_sim.sdf.shapes import attribute_numbers

Array = NDArray[np.float64]
UNLIMITED = 1e15  # SDFormat writes 1e16 for "no limit"
KINDS = ("revolute", "continuous", "prismatic", "fixed", "ball", "universal", "revolute2")
_TWO_AXES = ("universal", "revolute2")


@dataclass(frozen=True)
class Mimic:
    """A joint that follows another one: its position is `multiplier` times the leader's, plus `offset` (rad or m)."""

    leader: str
    multiplier: float
    offset: float


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
    mimic: Mimic | None = None
    second: Joint | None = None  #: the other axis of a universal or revolute2 joint, nearer to the child

    @property
    def single(self) -> bool:
        """Whether one number, an angle or a length, says how it stands."""
        return self.kind in ("revolute", "continuous", "prismatic")


class _HasPose(Protocol):
    @property
    def pose(self) -> Pose: ...


def read_joint(element: Element, frames: Frames, links: Mapping[str, _HasPose]) -> Joint:
    """A <joint> of a flat model.

    Raises:
        ConfigError: a type that is not supported, a link or frame that is not there, a wrong value.
    """
    name, kind = element.attribute("name"), element.attribute("type")
    if kind not in KINDS:
        raise element.error(f"type {kind!r} is not supported; known: {', '.join(KINDS)}")
    ends = {}
    for tag in ("parent", "child"):
        end = element.string(tag)
        ends[tag] = end if tag == "parent" and end == "world" else frames.link_of(end, element.require(tag))
        if ends[tag] not in links and ends[tag] != "world":
            raise element.require(tag).error(f"no link is named {end!r}")
    parent, child = ends["parent"], ends["child"]
    in_child = links[child].pose.inverse() @ frames.pose(name, element)
    if kind in ("fixed", "ball"):
        axis = element.find("axis")
        damping = axis.number("dynamics/damping", 0.0) if kind == "ball" and axis else 0.0
        return Joint(name, kind, parent, child, element, in_child.position, damping=damping)
    to_child = links[child].pose.inverse()

    def axis_of(tag: str, its_name: str, its_kind: str, second: Joint | None) -> Joint:
        axis = element.require(tag)
        expressed_in = xyz.attributes.get("expressed_in", "") if (xyz := axis.find("xyz")) else ""
        turn = (to_child @ frames.pose(expressed_in, axis)).rotation if expressed_in else in_child.rotation
        ends = (its_name, its_kind, parent, child)
        return _read_axis(element, axis, ends, in_child.position, turn, second)

    second = axis_of("axis2", f"{name}_axis2", "revolute", None) if kind in _TWO_AXES else None
    return axis_of("axis", name, kind, second)


def _read_axis(
    element: Element, axis: Element, ends: tuple[str, str, str, str], position: Array, turn: Array, second: Joint | None
) -> Joint:
    xyz = axis.find("xyz")
    direction = xyz.vector(3) if xyz else np.array([0.0, 0.0, 1.0])
    if not np.linalg.norm(direction) > 0:
        raise axis.error("direction must not be zero")
    kind = ends[1]
    lower, upper = _limit(axis, "lower", -math.inf), _limit(axis, "upper", math.inf)
    if kind == "continuous":
        lower, upper = -math.inf, math.inf
    if lower > upper:
        raise axis.require("limit").error(f"lower limit {lower:g} is above the upper one {upper:g}")
    rotor = element.find("mujoco:joint")
    return Joint(
        *ends,
        element,
        position=position,
        axis=turn @ direction / np.linalg.norm(direction),
        lower=lower,
        upper=upper,
        effort=_limit(axis, "effort", math.inf),
        velocity=_limit(axis, "velocity", math.inf),
        damping=axis.number("dynamics/damping", 0.0),
        friction=axis.number("dynamics/friction", 0.0),
        stiffness=axis.number("dynamics/spring_stiffness", 0.0),
        rest=axis.number("dynamics/spring_reference", 0.0),
        armature=float(attribute_numbers(rotor).get("armature", [0.0])[0]) if rotor else 0.0,
        mimic=_read_mimic(axis),
        second=second,
    )


def _read_mimic(axis: Element) -> Mimic | None:
    element = axis.find("mimic")
    if element is None:
        return None
    if element.attributes.get("axis", "axis") != "axis":
        raise element.error("only the first axis of a joint can be followed")
    multiplier = element.number("multiplier", 1.0)
    offset = element.number("offset", 0.0) - multiplier * element.number("reference", 0.0)
    return Mimic(element.attribute("joint"), multiplier, offset)


def _limit(axis: Element, tag: str, default: float) -> float:
    """A limit; SDFormat's -1 for effort and velocity, numbers beyond any use, and inf mean none."""
    element = axis.find(f"limit/{tag}")
    if element is None or element.text.lower().lstrip("+-") in ("inf", "infinity"):
        return default
    value = float(element.vector(1)[0])
    if abs(value) > UNLIMITED or (tag in ("effort", "velocity") and value < 0):
        return default
    return value
