# SPDX-License-Identifier: Apache-2.0
"""The world as the page draws it: plain lists and numbers, ready for JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from ir_sim.sdf.model import Joint, Link, Model, Visual
from ir_sim.sdf.poses import Pose
from ir_sim.sdf.world import GROUND, World

_DRAWN = ("box", "sphere", "cylinder", "capsule", "plane")


BARE: dict[str, Any] = {"name": "", "shapes": [], "goals": {}, "robots": {}, "radius": 5.0}
"""Where no world is known: a bare floor, and robots without shapes."""


def scene(world: World) -> dict[str, Any]:
    """What the page draws of a world.

    Returns:
        name; shapes: everything that stands still; goals: [n, 2] m of each robot; robots: their links as in `_robot`;
        radius: m, of a circle around the origin that holds the scenery. A shape is [kind, size, pose, colour], a pose
        x y z (m) and quaternion x y z w, a size as in `ir_sim.sdf.model.Geometry`, a colour r g b in 0 to 1.
    """
    shapes, reach = [], [1.0]
    for name, placed in world.scenery.items():
        for link in placed.model.links.values() if name != GROUND else ():
            for visual in link.visuals:
                at = placed.pose @ link.pose
                shapes.append(_shape(visual, at))
                reach.append(float(np.linalg.norm(at.position[:2])))
    return {
        "name": world.name,
        "shapes": shapes,
        "goals": {name: world.goals(name).round(3).tolist() for name in world.robots},
        "robots": {name: _robot(robot.description, robot.placed.pose) for name, robot in world.robots.items()},
        "radius": round(max(reach), 2),
    }


def _robot(model: Model, start: Pose) -> dict[str, Any]:
    """Start pose of the base link, and the links, parents first, the base link first of all.

    Each link: shapes in its frame; parent, an index, -1 for the base; rest, its pose in its parent's frame at joint
    position zero; and its joint: name ("" where it cannot move), kind, axis and position in the link's frame.
    Links above the base (rails) carry nothing that is seen and are left out: odometry has the base's pose.
    """
    order, links = [model.base], [_link(model.links[model.base], None, -1, Pose())]
    for name in order:  # grows while it is walked
        for joint in model.joints.values():
            if joint.parent == name and joint.child not in order:
                child = model.links[joint.child]
                rest = model.links[name].pose.inverse() @ child.pose
                links.append(_link(child, joint, order.index(name), rest))
                order.append(joint.child)
    return {"start": _pose(start @ model.links[model.base].pose), "links": links}


def _link(link: Link, joint: Joint | None, parent: int, rest: Pose) -> dict[str, Any]:
    movable = joint is not None and joint.single
    return {
        "shapes": [_shape(visual, Pose()) for visual in link.visuals],
        "parent": parent,
        "rest": _pose(rest),
        "joint": joint.name if joint and movable else "",
        "slides": bool(joint and joint.kind == "prismatic"),
        "axis": _numbers(joint.axis if joint else np.zeros(3)),
        "at": _numbers(joint.position if joint else np.zeros(3)),
    }


def _shape(visual: Visual, at: Pose) -> list[Any]:
    """Kind, size, pose and colour; of a shape that the page cannot draw, the box around it."""
    kind, size, pose = visual.geometry.kind, visual.geometry.size, at @ visual.pose
    if kind not in _DRAWN:
        middle, size = visual.geometry.box()
        kind, pose = "box", pose @ Pose(middle)
    return [kind, _numbers(size), _pose(pose), _numbers(visual.colour[:3])]


def _pose(pose: Pose) -> list[float]:
    w, x, y, z = pose.quaternion
    return _numbers(np.array([*pose.position, x, y, z, w]))


def _numbers(values: np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]
