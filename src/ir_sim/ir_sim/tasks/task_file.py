# SPDX-License-Identifier: Apache-2.0
"""Tasks without code: a YAML file that says what a robot observes and does, what that is worth, and when it ends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from ir_common.config import Config, ConfigError, load_yaml
from ir_sim.tasks.base import Array, Flags, Sensors, Task, constants, goal_polar, roll_pitch_yaw, wrap
from ir_sim.tasks.expressions import Expression, ExpressionError, parse_expression

if TYPE_CHECKING:
    from ir_sim.sdf import Robot

FILE_NAME = "task.yaml"
_JOINT = re.compile(r"joint_states\.(.+)\.(position|velocity)")
_BODY = ("x", "y", "z", "roll", "pitch", "yaw", "forward", "left", "up", "roll_rate", "pitch_rate", "yaw_rate")
#: What an observation may name beside the joints: pose in `map` (m, rad), velocities in the robot's axes (m/s, rad/s)
KNOWN = frozenset({f"odom.{name}" for name in _BODY} | {"goal.distance", "goal.bearing", "contacts.count"})


class ActionRange(Config):
    """Bounds of one number of the action, and what one unit of it is in the command."""

    low: float = Field(description="least value")
    high: float = Field(description="greatest value")
    safe: float = Field(0.0, description="value that does no harm, sent when nobody commands")
    scale: float = Field(1.0, gt=0, description="command of one unit: m/s, rad/s, rad, N m")


class TaskFile(Config):
    """Content of a task file."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="name of the task, in bags and on the page")
    command: Literal["twist", "twist_stamped", "joint_position", "joint_effort"] = Field(
        description="what an action is"
    )
    control_period: float = Field(gt=0, description="s between commands")
    time_limit: int = Field(1000, ge=1, description="control steps after which an episode is cut off")
    reset_on_time_limit: bool = Field(False, description="whether the robot is put back then")
    reset_noise: float = Field(0.0, ge=0, description="half width of the noise on joints at a reset, rad or m")
    trigger: Literal["scan", "joint_states"] = Field("joint_states", description="topic whose arrival makes a step")
    failure: Literal["fall", "collision"] = Field("fall", description="what `terminated` means")
    observation: dict[str, str] = Field(min_length=1, description="expressions over topics, by name")
    action: dict[str, ActionRange] = Field(min_length=1, description="numbers of the action, by name, or by joint")
    reward: str = Field("0", description="expression over observation, before.NAME and action.NAME")
    terminated: str = Field("False", description="expression over the observation: the episode ends badly")
    reached: str = Field("", description="expression over the observation: the goal is reached; empty: no goals")


def _nearest(values: Any, low: float, high: float, most: float = 10.0) -> float:
    """Least range, m, of the lidar between two bearings in degrees, counter-clockwise from `low`; at most `most`."""
    ranges, bearings = values["scan"]
    inside = np.degrees(wrap(bearings - np.radians(low))) % 360.0 <= (high - low) % 360.0 + 1e-9
    if high - low >= 360.0:
        inside = np.ones(len(bearings), dtype=bool)
    return float(min(most, np.min(np.maximum(ranges[inside], 0.0), initial=most)))


class FileTask(Task):
    """A task made from a `TaskFile`: `task_class` makes one class for each."""

    expressions: ClassVar[tuple[Expression, ...]]
    worth: ClassVar[Expression]
    end: ClassVar[Expression]
    source: ClassVar[str]

    def observe(self, sensors: Sensors) -> Array:
        """Values of the observation's expressions; one that is not a number is 0."""
        values = _sensor_values(sensors, self.joint_names)
        return np.nan_to_num(np.array([float(expression(values)) for expression in self.expressions]), posinf=1e6,
                             neginf=-1e6)  # fmt: skip

    def reward(self, observation: Array, action: Array, next_observation: Array) -> Array:
        """Value of the reward's expression for [..., n_obs], [..., n_act], [..., n_obs]."""
        after = np.asarray(next_observation, dtype=np.float64)
        values = _named(self.observation_names, after) | _named(self.observation_names, observation, "before.")
        values |= _named(self.action_names, action, "action.")
        return np.broadcast_to(np.asarray(self.worth(values), dtype=np.float64), after.shape[:-1]).copy()

    def terminated(self, next_observation: Array) -> Flags:
        """Whether the expression of the end holds."""
        return self._holds(self.end, next_observation)

    def _holds(self, expression: Expression, observation: Array) -> Flags:
        given = np.asarray(observation, dtype=np.float64)
        found = np.asarray(expression(_named(self.observation_names, given)), dtype=np.bool_)
        return np.broadcast_to(found, given.shape[:-1]).copy()


class _GoalTask(FileTask):
    """A task with goals: the stack asks a task that has its own `reached` for goals in the world."""

    goal: ClassVar[Expression]

    def reached(self, next_observation: Array) -> Flags:
        return self._holds(self.goal, next_observation)


def _named(names: tuple[str, ...], vector: Array, prefix: str = "") -> dict[str, Array]:
    array = np.asarray(vector, dtype=np.float64)
    return {f"{prefix}{name}": array[..., index] for index, name in enumerate(names)}


def _sensor_values(sensors: Sensors, joints: tuple[str, ...]) -> dict[str, Any]:
    angles = roll_pitch_yaw(sensors.orientation)
    numbers = (*sensors.position, *angles, *sensors.linear_velocity, *sensors.angular_velocity)
    values: dict[str, Any] = {f"odom.{name}": number for name, number in zip(_BODY, numbers, strict=True)}
    values["goal.distance"], values["goal.bearing"] = goal_polar(sensors, angles[2])
    values["contacts.count"] = float(len(sensors.bumps))
    values["scan"] = (sensors.ranges, sensors.bearings)
    for index, joint in enumerate(joints):
        values[f"joint_states.{joint}.position"] = sensors.joint_positions[index]
        values[f"joint_states.{joint}.velocity"] = sensors.joint_velocities[index]
    return values


def load_task(path: str | Path, model: str) -> type[FileTask]:
    """The task class of a task file.

    Args:
        path: YAML file.
        model: robot model that does the task.

    Raises:
        ConfigError: the file is missing or malformed, or an expression is not allowed, with file and key.
    """
    return task_class(load_yaml(path, TaskFile), model, str(path))


def task_class(content: TaskFile, model: str, source: str, base: type[FileTask] = FileTask) -> type[FileTask]:
    """As `load_task`; `source` is named in errors, and `base` is the class of a task without goals."""
    names, actions = tuple(content.observation), tuple(content.action)

    def read(key: str, text: str, *known: Any) -> Expression:
        try:
            return parse_expression(text, *known)
        except ExpressionError as error:
            raise ConfigError(f"{source}: {key}: {error}") from None

    def on_sensors(name: str) -> bool:
        return name in KNOWN or _JOINT.fullmatch(name) is not None

    for name in (*names, *actions):
        if not all(part.isidentifier() for part in name.split(".")) and name not in actions:
            raise ConfigError(f"{source}: observation.{name}: names are letters, digits and _")
    for name, bounds in content.action.items():
        if not bounds.low <= bounds.safe <= bounds.high or bounds.low == bounds.high:
            raise ConfigError(f"{source}: action.{name}: must be low <= safe <= high, and not all the same")
    if content.command.startswith("twist") and len(actions) != 2:
        raise ConfigError(f"{source}: action: a twist has two numbers, forward speed and turn rate, got {len(actions)}")
    seen = [
        read(f"observation.{n}", text, on_sensors, {"nearest": _nearest}) for n, text in content.observation.items()
    ]
    after = frozenset(names)
    whole = after | {f"before.{name}" for name in names} | {f"action.{name}" for name in actions}
    joints = {match[1] for one in seen for name in one.names if (match := _JOINT.fullmatch(name))}
    attributes: dict[str, Any] = {
        "__doc__": f"The task of {source}.",
        "name": content.name,
        "model": model,
        "source": source,
        **content.model_dump(
            include={
                "command", "control_period", "time_limit", "reset_on_time_limit", "reset_noise", "trigger", "failure"
            }
        ),
        "joint_names": tuple(sorted(joints | (set(actions) if not content.command.startswith("twist") else set()))),
        "observation_names": names,
        "action_names": actions,
        **{f"action_{bound}": constants(*(getattr(r, bound) for r in content.action.values())) for bound in
           ("low", "high", "scale")},
        "safe_action": constants(*(bounds.safe for bounds in content.action.values())),
        "expressions": tuple(seen),
        "worth": read("reward", content.reward, whole),
        "end": read("terminated", content.terminated, after),
    }  # fmt: skip
    if content.reached:
        attributes["goal"] = read("reached", content.reached, after)
    title = "".join(word.title() for word in content.name.split("_"))
    made: type[FileTask] = type(title, (_GoalTask if content.reached else base,), attributes)
    return made


FREE_PERIOD = 0.1  #: s, of a robot without a task
_FREE_SPEED, _FREE_EFFORT = 1.0, 10.0  # m/s and rad/s, N m, of a robot that states no limits


class FreeTask(FileTask):
    """What a robot without a task does: it observes its pose and joints, can be commanded, and earns nothing."""


def free_task(robot: Robot) -> type[FileTask]:
    """The task of a robot that nobody gave one: its state, its command within its limits, no reward and no end."""
    description = robot.description
    observation = {name: f"odom.{name}" for name in ("x", "y", "yaw", "forward", "yaw_rate")}
    drive, controller = description.drive, description.controller
    command: Literal["twist", "twist_stamped", "joint_position", "joint_effort"] = "twist"
    action: dict[str, ActionRange] = {}
    if drive is not None:
        for index, name in enumerate(("forward_speed", "turn_rate")):
            low, high = (float(bound[index]) for bound in (drive.velocity_low, drive.velocity_high))
            action[name] = _bounded(low, high, _FREE_SPEED)
    elif controller is not None:
        command = "joint_position" if controller.by_position else "joint_effort"
        for index, name in enumerate(controller.joints):
            joint = description.joints[name]
            ends = (joint.lower, joint.upper) if controller.by_position else (-joint.effort, joint.effort)
            action[name] = _bounded(*ends, np.pi if controller.by_position else _FREE_EFFORT)
            observation[f"position_{index}"] = f"joint_states['{name}'].position"
            observation[f"velocity_{index}"] = f"joint_states['{name}'].velocity"
    if not action:
        raise ConfigError(f"robot {robot.name!r} takes no commands")
    content = TaskFile(
        name=re.sub(r"\W", "_", f"{robot.model}_free".lower()).lstrip("_0123456789"),
        command=command, control_period=FREE_PERIOD, observation=observation, action=action,
    )  # fmt: skip
    return task_class(content, robot.model, f"robot {robot.name!r} without a task", FreeTask)


def _bounded(low: float, high: float, most: float) -> ActionRange:
    low, high = (float(np.clip(v, -d, d)) for v, d in ((low, _finite(low, most)), (high, _finite(high, most))))
    if low == high:
        high = low + 1e-6
    return ActionRange(low=low, high=high, safe=float(np.clip(0.0, low, high)))


def _finite(value: float, most: float) -> float:
    return abs(value) if np.isfinite(value) else most
