# SPDX-License-Identifier: Apache-2.0
"""Tasks: what a robot's observation, action, reward and end of episode mean, in one place for every consumer."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from ir_common.config import ConfigError
from ir_sim.tasks.base import Sensors, Task
from ir_sim.tasks.cart_navigation import CartNavigation
from ir_sim.tasks.episode import Episode, Step
from ir_sim.tasks.hopper_hop import HopperHop
from ir_sim.tasks.spider_patrol import SpiderPatrol
from ir_sim.tasks.task_file import FILE_NAME, FreeTask, free_task, load_task

if TYPE_CHECKING:
    from ir_sim.sdf import Robot, World

__all__ = [
    "TASKS", "CartNavigation", "Episode", "FreeTask", "HopperHop", "Sensors", "SpiderPatrol", "Step", "Task",
    "make_task", "read_tasks", "require_goals", "robot_task",
]  # fmt: skip

#: Task class of each robot model: ours, and the entry points of the group ir_sim.tasks.
TASKS: dict[str, type[Task]] = {task.model: task for task in (CartNavigation, SpiderPatrol, HopperHop)}


def make_task(model: str, world: World | None = None) -> Task:
    """The task of a robot model: a class of `TASKS`, or of a task file; of a robot that has neither, its `FreeTask`.

    A task file is `task.yaml` beside the file that describes the robot, or `tasks/MODEL.yaml` beside the world.

    Args:
        model: name of the robot model (not of the instance).
        world: where given, its robots of this model must have the joints that the task acts on; without it only
            models of `TASKS` are known.

    Raises:
        ConfigError: no task for this model, a faulty task file, or the world's robot lacks one of its joints.
    """
    robots = [robot for robot in world.robots.values() if robot.model == model] if world else []
    if world is not None and robots:
        return robot_task(robots[0], world)
    if model not in TASKS:
        raise ConfigError(
            f"robot model {model!r} has no task; models with one: {', '.join(sorted(TASKS))}; see docs/guide/robot.md"
        )
    return TASKS[model]()


def robot_task(robot: Robot, world: World) -> Task:
    """As `make_task`, of a robot of a world."""
    kind = TASKS.get(robot.model)
    if kind is None:
        files = (robot.folder / FILE_NAME, world.file.parent / "tasks" / f"{robot.model}.yaml")
        file = next((file for file in files if file.is_file()), None)
        kind = load_task(file, robot.model) if file else free_task(robot)
    task = kind()
    missing = set(task.joint_names) - set(robot.joints)
    if missing:
        raise ConfigError(f"robot {robot.name!r} lacks the joints {sorted(missing)} of task {task.name}")
    return task


def require_goals(name: str, task: Task, world: World) -> None:
    """Makes sure that a robot whose task is to get to goals has some.

    Raises:
        ConfigError: it has none.
    """
    if type(task).reached is not Task.reached and not len(world.goals(name)):
        mend = f"add models goal_{name}_1, … to it"
        raise ConfigError(f"{world.file}: has no goals for {name!r}, which drives from one to the next; {mend}")


def read_tasks(robots: Iterable[str], world: str | Path | None) -> dict[str, Task]:
    """The task of each robot, by name.

    Args:
        robots: NAME or NAME:MODEL.
        world: file of the world that they are in; only looked at where the words do not name models of `TASKS`.

    Raises:
        ConfigError: the world is wrong or has no such robot, or a robot has no task.
    """
    chosen = list(robots)
    models = {name: model or name for name, _, model in (robot.partition(":") for robot in chosen)}
    if not world or (models and all(model in TASKS for model in models.values())):
        return {name: make_task(model) for name, model in models.items()}
    from ir_sim.sdf.world import compose  # not at the top: it brings the simulator with it, which few callers need

    described = compose(world, chosen)
    return {name: robot_task(robot, described) for name, robot in described.robots.items()}


for _entry in entry_points(group="ir_sim.tasks"):  # last, since what is loaded imports this module
    TASKS.setdefault(_entry.name, _entry.load())
