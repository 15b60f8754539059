# SPDX-License-Identifier: Apache-2.0
"""What the controllers' files must satisfy before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ir_common.config import ConfigError
from ir_drl.policies import make_policy
from ir_sim.sdf.world import compose
from ir_sim.tasks import robot_task


class PolicyArguments(Protocol):
    """The arguments of the bringup that matter here."""

    @property
    def world(self) -> Path:
        """World file."""

    @property
    def robots(self) -> Sequence[str]:
        """Robots: name, or name:model."""

    @property
    def policies(self) -> Mapping[str, Path]:
        """Policy file of some of the robots, by name."""


def check(arguments: PolicyArguments) -> None:
    """Sees that every robot has a task that its joints fit, and that every policy file fits the task of its robot.

    Raises:
        ConfigError: says which robot or file does not, and why.
    """
    world = compose(arguments.world, arguments.robots)
    tasks = {name: robot_task(robot, world) for name, robot in world.robots.items()}
    for name, path in arguments.policies.items():
        if name not in tasks:
            raise ConfigError(f"{path}: policy for unknown robot '{name}'; robots are: {', '.join(tasks)}")
        make_policy(tasks[name], path)
