# SPDX-License-Identifier: Apache-2.0
"""Controls for robots whose URDF has none that is known here, as most leave them to ros2_control."""

from __future__ import annotations

import numpy as np

from ir_common.config import ConfigError
from ir_sim.sdf.elements import Element
from ir_sim.sdf.grammar import COMMANDED, Notes, plugin_kind
from ir_sim.sdf.poses import Frames
from ir_sim.sdf.shapes import read_collision

REACH = 0.1  #: rad or m: joints with an effort limit are held with all of it at this error
SETTLING = 0.1  #: s, time constant of these joints when nothing else moves them
_LEVEL = 0.99  # cosine: how nearly a wheel's axis must point to the left


def give_controls(model: Element, notes: Notes) -> None:
    """Adds a plugin that commands a <model> without one, in place, and says so.

    Continuous joints about the y axis on both sides are the wheels of a differential drive, with the radius of their
    collisions. Without wheels, joints with limits of position and effort follow positions.
    """
    if {plugin_kind(element) for element in model.all("plugin")} & set(COMMANDED):
        return
    plugin = _drive(model, notes) or _position_controller(model, notes)
    if plugin is not None:
        model.children.append(plugin)


def _plugin(model: Element, kind: str, file: str, leaves: list[tuple[str, str]]) -> Element:
    plugin = model.leaf("plugin", name=f"gz::sim::systems::{kind}", filename=f"gz-sim-{file}-system")
    plugin.children = [model.leaf(tag, text) for tag, text in leaves]
    return plugin


def _drive(model: Element, notes: Notes) -> Element | None:
    """The plugin of a differential drive, where the model has wheels on both sides."""
    frames, links = Frames(model), {link.attribute("name"): link for link in model.all("link")}
    sides: dict[str, list[tuple[str, float]]] = {"left": [], "right": []}
    radii = []
    for joint in model.all("joint"):
        name, child = joint.attribute("name"), joint.string("child")
        endless = joint.attribute("type") == "revolute" and joint.string("axis/limit/upper", "") == "inf"
        if not endless:
            continue
        pose = frames.pose(name, joint)
        axis = pose.rotation @ joint.require("axis/xyz").vector(3)
        radius = _radius(links[child], frames, child)
        if axis[1] > _LEVEL * np.linalg.norm(axis) and radius and pose.position[1]:
            sides["left" if pose.position[1] > 0 else "right"].append((name, float(pose.position[1])))
            radii.append(radius)
    if not (sides["left"] and sides["right"]):
        return None
    left, right = (float(np.mean([y for _, y in wheels])) for wheels in sides.values())
    leaves = [(f"{side}_joint", name) for side, wheels in sides.items() for name, _ in wheels]
    leaves += [("wheel_separation", f"{left - right:.9g}"), ("wheel_radius", f"{np.mean(radii):.9g}")]
    names = ", ".join(name for wheels in sides.values() for name, _ in wheels)
    text = f"has no controller; {names} are taken for the wheels of a differential drive"
    notes.add(model, f"{text}: separation {left - right:.4g} m, radius {np.mean(radii):.4g} m")
    return _plugin(model, "DiffDrive", "diff-drive", leaves)


def _radius(link: Element, frames: Frames, name: str) -> float:
    """Half the height of a wheel's first collision, m; 0: it has none."""
    for element in link.all("collision"):
        try:
            collision = read_collision(element, frames, name, Notes())
        except ConfigError:  # told with the rest of the model
            return 0.0
        if collision is not None and collision.geometry.kind != "plane":
            _, edges = collision.geometry.box()
            upright = np.abs((frames.pose(name, element) @ collision.pose).rotation) @ edges
            return float(upright[2] / 2)
    return 0.0


def _position_controller(model: Element, notes: Notes) -> Element | None:
    """The plugin that makes joints with limits follow positions; None: there are none."""
    joints = []
    for joint in model.all("joint"):
        effort = joint.string("axis/limit/effort", "inf") if joint.find("axis") else "inf"
        if "inf" not in (effort, joint.string("axis/limit/upper", "inf")) and joint.find("axis/mimic") is None:
            joints.append((joint.attribute("name"), float(effort)))
    if not joints:
        return None
    leaves = [("joint_name", name) for name, _ in joints]
    for tag, factor in (("position_p_gain", 1 / REACH), ("position_d_gain", SETTLING / REACH)):
        leaves += [(tag, f"{effort * factor:.9g}") for _, effort in joints]
    notes.add(
        model, f"has no controller; its {len(joints)} joints with limits follow positions, full effort at {REACH:g}"
    )
    return _plugin(model, "JointTrajectoryController", "joint-trajectory-controller", leaves)
