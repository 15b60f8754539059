# SPDX-License-Identifier: Apache-2.0
"""Worlds: an SDFormat world file with the chosen robots in it."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_sim.sdf import grammar
from ir_sim.sdf.elements import Element, parse
from ir_sim.sdf.model import Model, read_model
from ir_sim.sdf.placement import free_pose
from ir_sim.sdf.poses import Pose, read_pose

GROUND = "ground"  #: name of the model that is the ground of a world
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_GOAL = re.compile(r"goal_(.+)_(\d+)")


@dataclass(frozen=True)
class Placed:
    """A model at its place in the world."""

    model: Model
    pose: Pose


@dataclass(frozen=True)
class Robot:
    """A robot of the world: an instance of a model that takes commands."""

    name: str
    model: str  #: name of the model, which its task goes by
    placed: Placed

    @property
    def description(self) -> Model:
        """What its SDFormat file says."""
        return self.placed.model

    @property
    def start(self) -> Pose:
        """Where its base link stands at the start, in the world."""
        return self.placed.pose @ self.description.links[self.description.base].pose

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of its movable joints."""
        return tuple(joint.name for joint in self.description.joints.values() if joint.kind != "fixed")


@dataclass(frozen=True)
class World:
    """A world with its chosen robots.

    Attributes:
        name: of the world.
        file: world file.
        time_step: s, of the physics.
        gravity: [3] m/s2.
        scenery: everything that is not a robot, by name.
        robots: by name, in the order chosen.
        element: <world> as it was read, for the Gazebo export.
    """

    name: str
    file: Path
    time_step: float
    gravity: NDArray[np.float64]
    scenery: dict[str, Placed]
    robots: dict[str, Robot]
    element: Element

    def goals(self, robot: str) -> NDArray[np.float64]:
        """Goals of a robot in order, [n, 2] m; an extra instance without goals of its own has its model's.

        Raises:
            ConfigError: no such robot.
        """
        if robot not in self.robots:
            raise ConfigError(f"no robot {robot!r} in world {self.name}; its robots: {', '.join(self.robots)}")
        for owner in (robot, self.robots[robot].model):
            found = {}
            for name, placed in self.scenery.items():
                match = _GOAL.fullmatch(name)
                if match and match[1] == owner:
                    found[int(match[2])] = placed.pose.position[:2]
            if found:
                return np.array([found[key] for key in sorted(found)])
        return np.empty((0, 2))


def compose(file: str | Path, robots: Sequence[str] = ()) -> World:
    """Reads a world file and keeps the chosen robots.

    Args:
        file: SDFormat world. Models that it includes by `model://NAME` are looked for in `models` beside it, then in
            the folders of GZ_SIM_RESOURCE_PATH.
        robots: `NAME` of a robot of the world, or `NAME:MODEL` for one that may not be in it: it is placed where there
            is room. Empty: all robots of the world.

    Raises:
        ConfigError: missing or malformed file, unsupported element (with file and line), unknown robot or model.
    """
    file = Path(file).resolve()
    root = parse(file)
    if root.tag != "sdf" or root.find("world") is None:
        raise root.error("is not an SDFormat world: expected <sdf> with a <world>")
    grammar.check(root)
    element = root.require("world")
    physics = element.find("physics")
    gravity = element.find("gravity")
    placed = _read_placed(element, file)
    present = {name: item for name, item in placed.items() if is_robot(item.model)}
    scenery = {name: item for name, item in placed.items() if name not in present}
    return World(
        name=element.attribute("name"),
        file=file,
        time_step=physics.positive("max_step_size", 0.001) if physics else 0.001,
        gravity=gravity.vector(3) if gravity else np.array([0.0, 0.0, -9.8]),
        scenery=scenery,
        robots=_choose(robots, present, scenery, file),
        element=element,
    )


def is_robot(model: Model) -> bool:
    """Whether a model takes commands."""
    return not model.static and (model.drive is not None or model.controller is not None)


def _read_placed(world: Element, file: Path) -> dict[str, Placed]:
    placed: dict[str, Placed] = {}
    for element in world.children:
        if element.tag not in ("model", "include"):
            continue
        source = _included(element, file) if element.tag == "include" else element
        name = element.string("name", "") if element.tag == "include" else ""
        name = name or source.attribute("name")
        if name in placed:
            raise element.error(f"the name {name!r} is taken; give this one a <name> of its own")
        pose, relative_to = read_pose(element if element.find("pose") else source)
        if relative_to not in ("", "world"):
            raise element.require("pose").error("only relative_to the world is supported here")
        placed[name] = Placed(read_model(rename(source, name), name), pose)
    return placed


def _included(include: Element, file: Path) -> Element:
    uri = include.string("uri")
    if not uri.startswith("model://"):
        raise include.require("uri").error(f"only model://NAME is supported, got {uri!r}")
    model = load_model(uri.removeprefix("model://"), file)
    if model is None:
        folders = ", ".join(str(folder) for folder in _model_folders(file))
        raise include.require("uri").error(f"no {uri.removeprefix('model://')}/model.sdf in {folders}")
    static = include.find("static")
    if static is not None:
        model.children = [child for child in model.children if child.tag != "static"] + [static]
    return model


def _model_folders(file: Path) -> list[Path]:
    path = os.environ.get("GZ_SIM_RESOURCE_PATH", "")
    return [file.parent / "models", *(Path(folder) for folder in path.split(os.pathsep) if folder)]


def load_model(name: str, world_file: Path) -> Element | None:
    """The checked <model> of a model folder, or None where there is no such folder."""
    for folder in _model_folders(world_file):
        path = folder / name / "model.sdf"
        if path.is_file():
            root = parse(path)
            grammar.check(root)
            return root.require("model")
    return None


def rename(model: Element, instance: str) -> Element:
    """A copy of a <model> under another name: topics and frames that begin with its name begin with the new one."""
    old = model.attribute("name")
    renamed = copy.deepcopy(model)
    renamed.attributes["name"] = instance
    pending = [renamed]
    while pending:
        element = pending.pop()
        if element.text.startswith((f"/{old}/", f"{old}/")):
            element.text = element.text.replace(f"{old}/", f"{instance}/", 1)
        pending.extend(element.children)
    return renamed


def _choose(
    chosen: Sequence[str], present: dict[str, Placed], scenery: dict[str, Placed], file: Path
) -> dict[str, Robot]:
    wishes = [word.strip() for entry in chosen for word in entry.split(",") if word.strip()]
    robots: dict[str, Robot] = {}
    extra: list[tuple[str, str]] = []
    for wish in wishes or present:
        name, _, model = wish.partition(":")
        if name in robots or name in (other for other, _ in extra):
            raise ConfigError(f"robot {name!r} is asked for twice; give each instance a name of its own (NAME:MODEL)")
        if name in present and model in ("", _model_name(present[name])):
            robots[name] = Robot(name, _model_name(present[name]), present[name])
        elif not model:
            known = ", ".join(sorted(present))
            raise ConfigError(f"unknown robot {name!r}; robots of {file.name}: {known}; others by NAME:MODEL")
        elif name in present or name in scenery or not _NAME.fullmatch(name):
            raise ConfigError(f"{wish!r}: the name must be free in {file.name} and be lower-case letters, digits and _")
        else:
            extra.append((name, model))
            robots[name] = Robot(name, model, Placed(_robot_model(model, name, file), Pose()))
    placed = {**scenery, **{name: robot.placed for name, robot in robots.items() if (name, robot.model) not in extra}}
    for name, model in extra:
        start = next((item.pose for item in present.values() if _model_name(item) == model), Pose())
        item = Placed(robots[name].description, free_pose(robots[name].description, start, placed, file))
        placed[name] = item
        robots[name] = Robot(name, model, item)
    return robots


def _model_name(placed: Placed) -> str:
    """Name of the model that an instance was made from: that of its folder, or its own when it stands in the world."""
    path = placed.model.element.file
    return path.parent.name if path.name == "model.sdf" else placed.model.name


def _robot_model(model: str, name: str, file: Path) -> Model:
    element = load_model(model, file)
    known = sorted({path.parent.name for folder in _model_folders(file) for path in folder.glob("*/model.sdf")})
    if element is None:
        raise ConfigError(f"unknown robot model {model!r}; known models: {', '.join(known)}")
    description = read_model(rename(element, name), name)
    if not is_robot(description):
        raise ConfigError(
            f"model {model!r} takes no commands, so it cannot be a robot; known models: {', '.join(known)}"
        )
    return description
