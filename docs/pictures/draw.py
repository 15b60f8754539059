# SPDX-License-Identifier: Apache-2.0
"""Pictures that need no running stack: robots with their frames from the URDF, and where the controllers drive."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot
from PIL import Image

from ir_drl.policies import make_policy
from ir_sim.sdf import World, compose
from ir_sim.sdf.poses import Pose, rotation
from ir_sim.sdf.urdf import to_urdf, tree
from ir_sim.simulation import Simulation
from ir_sim.tasks import Episode, make_task

WORLD = Path(__file__).resolve().parents[2] / "worlds" / "robot_field.sdf"
ROBOTS = ("cart", "spider", "hopper")


def save(figure: Any, path: Path) -> None:
    """Writes a figure, and closes it."""
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
    shrink(path)


def shrink(path: Path) -> None:
    """Makes a PNG a fraction of its size: 256 colours are enough; by octree, because it keeps those of thin lines."""
    with Image.open(path) as image:
        reduced = image.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True)


def _shape(geometry: ElementTree.Element) -> list[np.ndarray]:
    """Grids x, y, z of a URDF shape's surface."""
    shape = geometry[0]
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, np.pi, 9))
    if shape.tag == "sphere":
        r = float(shape.get("radius", 0))
        return [r * np.cos(u) * np.sin(v), r * np.sin(u) * np.sin(v), r * np.cos(v)]
    if shape.tag == "cylinder":
        r, h = float(shape.get("radius", 0)), float(shape.get("length", 0))
        rings, level = np.array([0, 1, 1, 0])[:, None] * r, np.array([-1, -1, 1, 1])[:, None] * h / 2
        return [rings * np.cos(u[:4]), rings * np.sin(u[:4]), level + 0 * u[:4]]
    x, y, z = (float(word) / 2 for word in str(shape.get("size")).split())
    corners = np.pi / 4 + np.pi / 2 * np.arange(5)
    rings, level = np.array([0, 1, 1, 0])[:, None] * np.sqrt(2), np.array([-1, -1, 1, 1])[:, None] * z
    return [x * rings * np.cos(corners), y * rings * np.sin(corners), level + 0 * corners]


def _pose(origin: ElementTree.Element) -> Pose:
    position, angles = (np.array([float(w) for w in str(origin.get(key)).split()]) for key in ("xyz", "rpy"))
    return Pose(position, rotation(*angles))


def robots(path: Path) -> None:
    """Every robot as its URDF says, with its frames."""
    world = compose(WORLD)
    figure = pyplot.figure(figsize=(12, 4.6), layout="constrained")
    for number, name in enumerate(ROBOTS, 1):
        axes: Any = figure.add_subplot(1, len(ROBOTS), number, projection="3d")
        description = world.robots[name].description
        poses = {f"{name}/base_link": Pose()}
        for branch in tree(name, description):
            poses[branch.child] = poses[branch.parent] @ branch.origin
        for link in ElementTree.fromstring(to_urdf(name, description)).findall("link"):
            for visual in link.findall("visual"):
                at = poses[str(link.get("name"))] @ _pose(visual.find("origin"))  # type: ignore[arg-type]
                grids = np.stack(_shape(visual.find("geometry")), axis=-1) @ at.rotation.T + at.position  # type: ignore[arg-type]
                colour = [float(w) for w in str(visual.find("material/color").get("rgba")).split()]  # type: ignore[union-attr]
                axes.plot_surface(*np.moveaxis(grids, -1, 0), color=colour[:3], alpha=0.35, linewidth=0)
        _draw_frames(axes, poses, name)
        axes.set_title(f"{name}: {len(poses)} frames")
        axes.set_box_aspect(None)
        axes.set_aspect("equal")
    save(figure, path)


def _draw_frames(axes: Any, poses: dict[str, Pose], name: str) -> None:
    size = 0.08 if name != "hopper" else 0.15
    for frame, pose in poses.items():
        for axis, colour in enumerate(("tab:red", "tab:green", "tab:blue")):
            axes.plot(*zip(pose.position, pose.position + size * pose.rotation[:, axis], strict=True), color=colour)
        if len(poses) < 10:
            axes.text(*pose.position, frame.partition("/")[2], fontsize=7)


def drives(path: Path, seconds: float = 60.0) -> None:
    """Where cart and spider go in a simulated minute under their own controllers."""
    world = compose(WORLD, ["cart", "spider"])
    figure, axes = pyplot.subplots(figsize=(7, 5.4), layout="constrained")
    _draw_scenery(axes, world)
    for name in ("cart", "spider"):
        axes.plot(*_track(Simulation(world, seed=1, cameras=False), name, seconds), label=name)
        axes.plot(*world.goals(name).T, "*", markersize=10, color=axes.lines[-1].get_color(), linestyle="")
    axes.set(
        xlabel="x (m)", ylabel="y (m)", aspect="equal", title=f"{seconds:g} s under their own controllers; stars: goals"
    )
    axes.legend()
    save(figure, path)


def _draw_scenery(axes: Any, world: World) -> None:
    for name, placed in world.scenery.items():
        for link in placed.model.links.values() if not name.startswith(("ground", "goal")) else ():
            for collision in link.collisions:
                at, size = placed.pose @ link.pose @ collision.pose, collision.geometry.size
                if collision.geometry.kind == "box":
                    corner = at.position[:2] - size[:2] / 2
                    axes.add_patch(pyplot.Rectangle(tuple(corner), size[0], size[1], color="0.6"))
                elif collision.geometry.kind in ("cylinder", "sphere"):
                    axes.add_patch(pyplot.Circle(tuple(at.position[:2]), size[0], color="0.6"))


def _track(simulation: Simulation, name: str, seconds: float) -> np.ndarray:
    """[2, n] m"""
    world = simulation.world
    task = make_task(world.robots[name].model, world)
    policy, episode = make_policy(task, seed=1), Episode(task, world.goals(name))
    step = episode.begin(simulation.sensors(name))
    places = []
    for _ in range(round(seconds / task.control_period)):
        action = task.clip(policy.act(step.observation))
        if task.velocities:
            simulation.drive(name, *action)
        else:
            simulation.move_joints(name, task.action_names, list(action))
        simulation.step(round(task.control_period / world.time_step))
        sensors = simulation.sensors(name)
        places.append(sensors.position[:2])
        step = episode.advance(sensors, action)
        if episode.needs_reset(step):
            simulation.reset_robot(name)
        if not episode.running:
            step = episode.begin(simulation.sensors(name))
    return np.array(places).T
