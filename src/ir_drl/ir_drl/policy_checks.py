# SPDX-License-Identifier: Apache-2.0
"""What the controllers' files must satisfy before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ir_common.config import ConfigError
from ir_drl.algorithms import LiveAlgorithm
from ir_drl.live.first_policy import first_policy
from ir_drl.live.live_config import LiveAgentConfig
from ir_drl.policies import make_policy
from ir_sim.sdf.world import compose
from ir_sim.tasks import robot_task


class LearningArguments(Protocol):
    """The arguments of the bringup about agents that learn live."""

    @property
    def world(self) -> Path:
        """World file."""

    @property
    def robots(self) -> Sequence[str]:
        """Robots: name, or name:model."""

    @property
    def learn(self) -> Sequence[str]:
        """Names of those whose policy is learnt."""

    @property
    def learn_with(self) -> LiveAlgorithm:
        """Algorithm."""

    @property
    def learn_from(self) -> str:
        """Where the policies begin."""


def check_learning(arguments: LearningArguments) -> None:
    """Sees that every robot whose policy is to be learnt has a policy to begin with.

    Raises:
        ConfigError: says which has not, and why.
    """
    if not arguments.learn:
        return
    config = LiveAgentConfig(algorithm=arguments.learn_with, learn_from=arguments.learn_from)
    world = compose(arguments.world, arguments.robots)
    for robot in arguments.learn:
        first_policy(config, robot_task(world.robots[robot], world))


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
