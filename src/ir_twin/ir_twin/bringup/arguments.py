# SPDX-License-Identifier: Apache-2.0
"""The bringup's arguments, the same for ``./ir up`` and ``ros2 launch``, checked before anything starts."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from ament_index_python.packages import get_package_share_directory
from pydantic import Field, field_validator
from pydantic.fields import FieldInfo

from ir_common import stack_namespace
from ir_common.config import Config, ConfigError, load_yaml, validate
from ir_sim.sdf import compose
from ir_sim.tasks import FreeTask, require_goals, robot_task
from ir_twin.bringup import start_checks
from ir_twin.practised import STACK
from ir_twin.twin_config import TwinSettings


def share() -> Path:
    """Where worlds, configuration and launch files are installed."""
    return Path(get_package_share_directory("ir_twin"))


class BringupArguments(Config):
    """What a user can choose at the start; written ``name:=value``."""

    sim: Literal["mujoco", "gz"] = Field("mujoco", description="simulator: MuJoCo (built in) or Gazebo Harmonic")
    world: Path = Field(Path("robot_field"), description="name of a world in worlds/, or the path of an SDF file")
    robots: tuple[str, ...] = Field(
        (), description="robots, separated by commas: name, or name:model for further ones; all of the world's"
    )
    slices: Path = Field(Path("slices.yaml"), description="carrier, slice templates and first slices: a YAML file")
    bridge: Path = Field(Path("bridge.yaml"), description="topics of the robots: a bridge file")
    policies: dict[str, Path] = Field({}, description="separated by commas: robot=FILE, =trained or =scripted")
    exploration: float = Field(
        0.0,
        ge=0,
        le=2,
        description="standard deviation of the noise on the policies' actions, in halves of each action's range",
    )
    learn: tuple[str, ...] = Field(
        (),
        description="robots whose policy is learnt while they drive, separated by commas; those of a task by one agent",
    )
    learn_with: Literal["sac", "predict", "gan", "best", "paper"] = Field(
        "predict",
        description="how it is learnt: sac: from the robot alone; predict, gan, best: also from what a model predicts; "
        "paper: gan with IoR's networks (learn_from:=nothing)",
    )
    learn_from: str = Field(
        "shipped", min_length=1, description="where it begins: shipped (the stack's policy), nothing, or a policy file"
    )
    learn_folder: Path | None = Field(
        None,
        description="folder of the agents' checkpoints, gone on from; empty: the run's own (./ir simulate: none)",
    )
    external: tuple[str, ...] = Field((), description="robots without a controller of ours, separated by commas")
    radio: Literal["on", "off"] = Field("on", description="off: the controllers drive the robots directly")
    twin: Literal["off", "shadow", "enforce"] = Field("enforce", description="what the twin does with its verdicts")
    twin_settings: Path | None = Field(
        Path("noise_free"),
        description="YAML file with further parameters of the twin, such as rule, preset and checkpoints; empty: none",
    )
    slicing: Literal["proportional", "forecast", "learned", "static"] = Field(
        "forecast",
        description="who divides the carrier: measured demand, forecast needs, the slices' learning agents, or nobody",
    )
    side: Literal["all", "robot", "edge"] = Field(
        "all", description="what runs on this machine: everything, the robots, or radio, slices, twin and controllers"
    )
    dashboard: Literal["on", "off"] = Field("on", description="the live page")
    host: str = Field("127.0.0.1", min_length=1, description="address that the live page listens on; 0.0.0.0: all")
    port: int = Field(8080, ge=1, le=65535, description="of the live page; another one is taken when it is in use")
    headless: bool = Field(False, description="true: Gazebo without its window; MuJoCo has none, see the live page")
    seed: int = Field(1, ge=0, le=2**31 - 1, description="seed of the simulator, the radio, the policies and the twin")
    rendering: bool = Field(
        True, description="false: without the sensors that need rendering (cameras; in Gazebo the lidar too)"
    )
    real_time_factor: float = Field(1.0, ge=0, le=100, description="simulated seconds per second, 0: as fast as it can")
    lidar: Literal["sensor", "raycast"] = Field(
        "sensor",
        description="raycast: Gazebo's lidars are left out, and their rays cast in the same world without rendering",
    )
    sync: Literal["auto", "on", "off"] = Field(
        "auto",
        description="on: the simulator waits for commands that are on their way; off: as the host's time goes; "
        "auto: on with MuJoCo, off with Gazebo, which is stepped for it",
    )
    sync_patience: float = Field(
        1.0, gt=0, le=600, description="s of wall time that a command is waited for, before it is told and given up"
    )
    duration: float = Field(0.0, ge=0, description="end after so many simulated seconds, 0: run until Ctrl-C")
    report: Path | None = Field(None, description="JSON file for the report, written at the end")
    use_sim_time: bool = Field(
        True,
        description="false: nodes go by the host's clock, as real robots need it (side:=edge, or a part's launch file)",
    )
    params_file: Path | None = Field(
        None, description="ROS parameter file: further parameters of the nodes, and qos_overrides"
    )
    log_level: Literal["debug", "info", "warn", "error", "fatal"] = Field(
        "info", description="least severity that the nodes log"
    )
    namespace: str = Field(
        "", description="ROS namespace, such as lab1, of all that the stack has: several stacks fit into one ROS domain"
    )

    @field_validator("robots", "external", "learn", mode="before")
    @classmethod
    def _split_robots(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("policies", mode="before")
    @classmethod
    def _split_policies(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if any(not (robot and file) for robot, _, file in pairs):
            raise ValueError("must be robot=file, separated by commas")
        return {robot.strip(): file.strip() for robot, _, file in pairs}

    @field_validator("radio", "twin", "dashboard", "sync", mode="before")
    @classmethod
    def _yaml_truth(cls, value: Any) -> Any:
        """`ros2 launch` may read on and off as YAML truth values."""
        return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value

    @field_validator("report", "twin_settings", "params_file", "learn_folder", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return value or None

    @field_validator("namespace")
    @classmethod
    def _with_its_slash(cls, value: str) -> str:
        return stack_namespace.normalised(value)

    @property
    def names(self) -> list[str]:
        """Names of the robots, without their models."""
        return [robot.partition(":")[0] for robot in self.robots]


_COMMON = ("use_sim_time", "params_file", "log_level", "namespace")
ARGUMENTS_OF = {
    "sim": ("sim", "world", "robots", "bridge", "headless", "seed", "rendering", "lidar", "real_time_factor", *_COMMON),
    "radio": ("world", "robots", "slices", "slicing", "seed", *_COMMON),
    "twin": ("world", "robots", "radio", "twin", "twin_settings", "seed", *_COMMON),
}
"""The arguments of the launch files that start one part of the stack."""


def arguments_of(part: str = "") -> dict[str, FieldInfo]:
    """The arguments of a part of the stack by name; of the whole without one."""
    fields = BringupArguments.model_fields
    return {name: fields[name] for name in ARGUMENTS_OF[part]} if part else dict(fields)


def choices_of(field: FieldInfo) -> list[str]:
    """The values that an argument may have, where they can be listed."""
    if field.annotation is bool:
        return ["true", "false"]
    return list(get_args(field.annotation)) if get_origin(field.annotation) is Literal else []


def default_of(field: FieldInfo) -> str:
    """The default of an argument as it is written in ``name:=value``; empty where there is none."""
    default = field.get_default(call_default_factory=True)
    if default in (None, (), {}):
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def parse(words: Sequence[str], part: str = "") -> BringupArguments:
    """Reads ``name:=value`` words, finds the files and checks everything that can be checked before the start.

    Args:
        words: the arguments.
        part: a key of `ARGUMENTS_OF`: only that part of the stack will be started.

    Raises:
        ConfigError: an argument is unknown or out of range, a file is missing or wrong, a robot is unknown, …
    """
    values: dict[str, str] = {}
    known = list(arguments_of(part))
    for word in words:
        name, separator, value = word.partition(":=")
        if not separator:
            raise ConfigError(f"argument '{word}': must be name:=value, with a name of: {', '.join(known)}")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}:='?" if near else f"known arguments: {', '.join(known)}"
            raise ConfigError(f"unknown argument '{name}:='; {hint}")
        values[name] = value
    return check(validate(BringupArguments, values, "argument"), part)


def check(arguments: BringupArguments, part: str = "") -> BringupArguments:
    """Finds the files and lets every package refuse what it would refuse later, before anything starts.

    Packages take part by an entry point of the group ``ir_twin.preflight``, named after the argument that it looks at.

    Raises:
        ConfigError: as `parse`.
    """
    settings = arguments.twin_settings
    resolved = arguments.model_copy(
        update={
            "world": _find(arguments.world, "worlds", ".sdf", "world"),
            "slices": _find(arguments.slices, "config", ".yaml", "slices file"),
            "bridge": _find(arguments.bridge, "config", ".yaml", "bridge file"),
            "twin_settings": settings and _find(settings, "config/twin", ".yaml", "twin settings file"),
            "policies": {robot: _policy(path) for robot, path in arguments.policies.items()},
            "report": arguments.report and arguments.report.expanduser().resolve(),
            "learn_from": _first_policy(arguments.learn_from),
            "learn_folder": arguments.learn_folder and arguments.learn_folder.expanduser().resolve(),
            "params_file": arguments.params_file and _find(arguments.params_file, "config", ".yaml", "parameter file"),
        }
    )
    if part != "radio" or not resolved.robots:  # a radio carries topics of robots that are in no world, too
        words, undriven = _robots(resolved)
        external = tuple(dict.fromkeys((*resolved.external, *(n for n in undriven if n not in resolved.policies))))
        resolved = resolved.model_copy(update={"robots": words, "external": external})
    named = {"policies": resolved.policies, "external": resolved.external, "learn": resolved.learn}
    for argument, robots in named.items():
        for robot in robots:
            if robot not in resolved.names:
                raise ConfigError(f"{argument}:=: there is no robot '{robot}'; robots:={','.join(resolved.names)}")
    for robot in resolved.learn:
        if robot in resolved.external:
            raise ConfigError(f"learn:={robot}: has no controller of ours, which a policy could be handed to")
        if robot in resolved.policies:
            raise ConfigError(f"policies:={robot}=…: its policy is learnt; give learn_from:=FILE in place of that")
    if (first := resolved.namespace[1:].partition("/")[0]) in resolved.names:
        raise ConfigError(f"namespace:={first}: is the name of a robot; give another, such as lab1")
    if resolved.report:
        start_checks.report(resolved.report)
    twin_parameters(resolved)
    for entry in entry_points(group="ir_twin.preflight"):
        if entry.name in arguments_of(part):
            entry.load()(resolved)
    return resolved


def _robots(arguments: BringupArguments) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The robots as words that every node understands: name, or name:model; and names of those that have no task.

    What the world's files say and no simulator here obeys is told on the standard error output.

    Raises:
        ConfigError: the world is wrong, has no robots, or no goals for a robot whose task is to drive to some.
    """
    world = compose(arguments.world, arguments.robots)
    said = f"world:={arguments.world.stem}"
    for note in world.notes:
        print(f"note: {note}", file=sys.stderr)
    if not world.robots:
        known = ", ".join(sorted(file.parent.name for file in (share() / "worlds" / "models").glob("*/model.sdf")))
        raise ConfigError(f"{said}: has no robots; add some by robots:=NAME:MODEL (models of the stack: {known})")
    tasks = {name: robot_task(robot, world) for name, robot in world.robots.items()}
    for name, task in tasks.items():
        require_goals(name, task, world)
    given = set(arguments.robots)
    words = tuple(
        r.wish if r.source else r.name if r.name == r.model and f"{r.name}:{r.model}" not in given
        else f"{r.name}:{r.model}"
        for r in world.robots.values()
    )  # fmt: skip
    return words, tuple(name for name, task in tasks.items() if isinstance(task, FreeTask))


def _policy(path: Path) -> Path:
    """A file, or a word of ir_drl's `CHOICES`, which this floor cannot import."""
    return path if str(path) in ("trained", "scripted") else path.expanduser().resolve()


def _first_policy(chosen: str) -> str:
    """A file, or a word of ir_drl's for where an agent begins."""
    return chosen if chosen in ("shipped", "nothing") else str(Path(chosen).expanduser().resolve())


def twin_parameters(arguments: BringupArguments) -> dict[str, Any]:
    """Parameters of the twin node that the settings file gives; relative folders in it are next to the file.

    Raises:
        ConfigError: the file is wrong, or gives what has an argument of its own.
    """
    if arguments.twin_settings is None:
        return {}
    given = load_yaml(arguments.twin_settings, TwinSettings).model_dump(exclude_unset=True)
    for name, argument in (("mode", "twin"), ("seed", "seed")):
        if name in given:
            raise ConfigError(f"{arguments.twin_settings}: {name}: has an argument of its own; give {argument}:=")
    for name in ("checkpoints", "practised"):
        if given.get(name) and given[name] != STACK:
            given[name] = str(arguments.twin_settings.parent / Path(given[name]).expanduser())
    return given


def _find(path: Path, folder: str, suffix: str, what: str) -> Path:
    """A file of the user's own, or one that is installed with the stack."""
    path = path.expanduser()
    installed = share() / folder
    for candidate in (path, installed / path, installed / f"{path}{suffix}"):
        if candidate.is_file():
            return candidate.resolve()
    there = ", ".join(sorted(p.stem for p in installed.glob(f"*{suffix}")))
    raise ConfigError(f"{what} '{path}' is not there; give the path of a {suffix} file, or one of: {there}")
