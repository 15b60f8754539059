# SPDX-License-Identifier: Apache-2.0
"""Tasks: what a robot's observation, action, reward and end of episode mean, in one place for every consumer."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from ir_common.config import ConfigError
from ir_sim.tasks.base import Sensors, Task
from ir_sim.tasks.cart_navigation import CartNavigation
from ir_sim.tasks.episode import Episode, Step
from ir_sim.tasks.hopper_hop import HopperHop
from ir_sim.tasks.spider_patrol import SpiderPatrol

if TYPE_CHECKING:
    from ir_sim.sdf import World

__all__ = ["TASKS", "CartNavigation", "Episode", "HopperHop", "Sensors", "SpiderPatrol", "Step", "Task", "make_task"]

#: Task class of each robot model: ours, and the entry points of the group ir_sim.tasks.
TASKS: dict[str, type[Task]] = {task.model: task for task in (CartNavigation, SpiderPatrol, HopperHop)}


def make_task(model: str, world: World | None = None) -> Task:
    """The task of a robot model.

    Args:
        model: name of the robot model (not of the instance): a key of `TASKS`.
        world: where given, its robots of this model must have the joints that the task acts on.

    Raises:
        ConfigError: no task for this model, or the world's robot lacks one of its joints.
    """
    if model not in TASKS:
        raise ConfigError(
            f"robot model {model!r} has no task; models with one: {', '.join(sorted(TASKS))}; see docs/guide/robot.md"
        )
    task = TASKS[model]()
    for robot in world.robots.values() if world else ():
        missing = set(task.joint_names) - set(robot.joints) if robot.model == model else None
        if missing:
            raise ConfigError(f"robot {robot.name!r} lacks the joints {sorted(missing)} of task {task.name}")
    return task


for _entry in entry_points(group="ir_sim.tasks"):  # last, since what is loaded imports this module
    TASKS.setdefault(_entry.name, _entry.load())
