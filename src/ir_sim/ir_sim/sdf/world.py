# SPDX-License-Identifier: Apache-2.0
"""Worlds: an SDFormat world file with the chosen robots in it."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_sim.sdf import grammar, resources, topics
from ir_sim.sdf.elements import Element
from ir_sim.sdf.grammar import Notes
from ir_sim.sdf.includes import expand, include, load_model, rename
from ir_sim.sdf.model import Model, read_model
from ir_sim.sdf.placement import free_pose, standing_pose
from ir_sim.sdf.poses import Frames, Pose
from ir_sim.sdf.versions import GRAVITY, upgrade
from ir_sim.sdf.xacro_files import read_file

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
    source: str = ""  #: model's name, or the path of its file or folder, by which `compose` finds it again

    @property
    def wish(self) -> str:
        """The word by which `compose` chooses this robot again: NAME or NAME:MODEL."""
        return f"{self.name}:{self.source}" if self.source else self.name

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
        """Names of its movable joints, but for those that no single number describes (ball, universal)."""
        return tuple(joint.name for joint in self.description.joints.values() if joint.single)

    @property
    def folder(self) -> Path:
        """Where the file stands that describes it."""
        return self.description.element.file.parent


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
        notes: what the files say and this simulator passes over, one line each with file and line.
    """

    name: str
    file: Path
    time_step: float
    gravity: NDArray[np.float64]
    scenery: dict[str, Placed]
    robots: dict[str, Robot]
    element: Element
    notes: tuple[str, ...] = ()

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
            the folders of GZ_SIM_RESOURCE_PATH and its likes (`resources`).
        robots: `NAME` of a robot of the world, or `NAME:MODEL` for one that may not be in it, where MODEL is a model's
            name, its folder, or an SDFormat or URDF file: it is placed where there is room. Empty: all robots of the
            world.

    Raises:
        ConfigError: missing or malformed file, unsupported element (with file and line), unknown robot or model.
    """
    file = Path(file).resolve()
    root, notes = read_file(file), Notes()
    if root.tag != "sdf" or root.find("world") is None:
        raise root.error("is not an SDFormat world: expected <sdf> with a <world>")
    upgrade(root)
    grammar.check(root, notes)
    worlds = list(root.all("world"))
    if len(worlds) > 1:
        notes.add(
            worlds[1], f"is passed over: only the file's first world, {worlds[0].attribute('name')!r}, is simulated"
        )
    element = worlds[0]
    physics = element.find("physics")
    gravity = element.find("gravity")
    placed = _read_placed(element, notes)
    present = {name: item for name, item in placed.items() if is_robot(item.model)}
    scenery = {name: item for name, item in placed.items() if name not in present}
    chosen = _choose(robots, present, scenery, file, notes)
    return World(
        name=element.attribute("name"),
        file=file,
        time_step=physics.positive("max_step_size", 0.001) if physics else 0.001,
        gravity=gravity.vector(3) if gravity else GRAVITY.copy(),
        scenery=scenery,
        robots=chosen,
        element=element,
        notes=notes.lines,
    )


def is_robot(model: Model) -> bool:
    """Whether a model takes commands."""
    return not model.static and (model.drive is not None or model.controller is not None)


def _read_placed(world: Element, notes: Notes) -> dict[str, Placed]:
    frames = Frames(world, "world")
    models: dict[str, Model] = {}
    for element in world.children:
        if element.tag not in ("model", "include"):
            continue
        if element.attributes.get("merge", "false").lower() in ("true", "1"):
            raise element.error('merge="true" is for models that include; a world cannot')
        source = include(element, notes) if element.tag == "include" else expand(element, notes)
        if source is None:
            continue
        name = source.attribute("name")
        if name in models:
            raise element.error(f"the name {name!r} is taken; give this one a <name> of its own")
        own = copy.deepcopy(source)
        if topics.takes_commands(own) and not own.boolean("static", False):
            topics.complete(own, name, apart=False)
        models[name] = read_model(own, name, notes)
        frames.add_model(name, own, models[name].frames, own.attributes.get("placement_frame", ""))
    return {name: Placed(model, frames.pose(name, model.element)) for name, model in models.items()}


def _file_name(model: Element) -> str:
    """Name of the model folder that a <model> was read from, which its topics begin with; "": it is in the world."""
    return model.file.parent.name if model.file.name == "model.sdf" else ""


def _choose(
    chosen: Sequence[str], present: dict[str, Placed], scenery: dict[str, Placed], file: Path, notes: Notes
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
            known = f"robots of {file.name}: {', '.join(sorted(present))}" if present else f"{file.name} has no robots"
            raise ConfigError(f"unknown robot {name!r}; {known}; others by NAME:MODEL, such as {name}:{name}")
        elif name in present or name in scenery or not _NAME.fullmatch(name):
            raise ConfigError(f"{wish!r}: the name must be free in {file.name} and be lower-case letters, digits and _")
        else:
            description = _robot_model(model, name, file, notes)
            source = str(Path(model).expanduser().resolve()) if Path(model).expanduser().exists() else model
            model = _short_name(model)
            extra.append((name, model))
            robots[name] = Robot(name, model, Placed(description, Pose()), source)
    placed = {**scenery, **{name: robot.placed for name, robot in robots.items() if (name, robot.model) not in extra}}
    for name, model in extra:
        likes = [item.pose for item in present.values() if _model_name(item) == model]
        start = likes[0] if likes else standing_pose(robots[name].description)
        item = Placed(robots[name].description, free_pose(robots[name].description, start, placed, file))
        placed[name] = item
        robots[name] = replace(robots[name], placed=item)
    return robots


def _model_name(placed: Placed) -> str:
    """Name of the model that an instance was made from: that of its folder, or its own when it stands in the world."""
    return _file_name(placed.model.element) or placed.model.name


def _short_name(model: str) -> str:
    """Name of the model that a wish names: of a file that is not `model.sdf` its stem, of a folder its name."""
    path = Path(model)
    return path.parent.name if path.name == "model.sdf" else path.name.partition(".")[0]


def _robot_model(model: str, name: str, file: Path, notes: Notes) -> Model:
    named = Path(model).expanduser()
    folders = [named, *(folder / model for folder in resources.model_folders(file))]
    path = next((found for folder in folders if folder.is_dir() and (found := resources.model_file(folder))), None)
    if named.is_file():
        path = named
    if path is None:
        known = {p.parent.name for folder in resources.model_folders(file) for p in folder.glob("*/model.sdf")}
        raise ConfigError(
            f"unknown robot model {model!r}; known models: {', '.join(sorted(known))}; or give the path of a model's"
            " folder, or of its SDFormat or URDF file"
        )
    element = load_model(path.resolve(), notes)
    own = rename(element, name)
    if not topics.takes_commands(own):
        plugins = ", ".join(grammar.COMMANDED)
        raise own.error(f"takes no commands, so it cannot be a robot; it needs one of the plugins {plugins}")
    topics.complete(own, name, apart=True)
    return read_model(own, name, notes)
