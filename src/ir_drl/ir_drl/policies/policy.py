# SPDX-License-Identifier: Apache-2.0
"""What a policy is, and the random one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ir_sim.tasks import Task

FloatArray = NDArray[np.float64]


class Policy(Protocol):
    """What a robot does: a function from observation to action.

    A policy may remember things within an episode; `reset` begins a new one.
    """

    def reset(self, seed: int) -> None:
        """Begins an episode; the same seed and observations give the same actions."""

    def act(self, observation: FloatArray) -> FloatArray:
        """The action for ``observation`` ([n_obs], finite, units by the task): [n_act] within the task's bounds."""


class RandomPolicy:
    """Actions drawn independently and uniformly within the task's bounds."""

    def __init__(self, task: Task) -> None:
        self._low, self._high = task.action_low, task.action_high
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Starts the sequence of ``seed`` from its beginning."""
        self._rng = np.random.default_rng(seed)

    def act(self, observation: FloatArray) -> FloatArray:
        """The next action of the sequence; ``observation`` is not looked at."""
        return self._rng.uniform(self._low, self._high)
