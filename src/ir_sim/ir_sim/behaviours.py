# SPDX-License-Identifier: Apache-2.0
"""What a robot does while nobody tells it anything valid, computed on board from its own state.

The cart brakes and the spider stands: their behaviour is their task's safe action, whatever they observe. The hopper
would fall by its safe action, no torque; its behaviour is a small network that comes to rest and stays there
(``on_board/TASK.npz`` with what made it in ``on_board/TASK.json``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ir_sim.network_policy import load_policy
from ir_sim.tasks.base import Array, Task

FOLDER = Path(__file__).parent / "on_board"


class Behaviour(Protocol):
    """A function of the robot's own state."""

    def act(self, observation: Array) -> Array:
        """The action [n_act] for an observation [n_obs], units by the task."""


class StandStill:
    """The safe action, whatever is observed."""

    def __init__(self, task: Task) -> None:
        self._action = task.safe_action

    def act(self, observation: Array) -> Array:
        """See `Behaviour`."""
        return self._action


def behaviour_of(task: Task) -> Behaviour:
    """The behaviour of a task's robot.

    Raises:
        ConfigError: its file is damaged or does not fit the task.
    """
    file = FOLDER / f"{task.name}.npz"
    return load_policy(file, task) if file.exists() else StandStill(task)
