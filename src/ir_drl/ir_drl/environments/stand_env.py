# SPDX-License-Identifier: Apache-2.0
"""The hopper comes to rest and stays on its feet: what trains its behaviour on board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ir_drl.environments.task_env import Array, TaskEnv
from ir_drl.policies import make_policy

LONGEST_RUN = 300  #: control steps that the robot hops before it is left alone
LONGEST_HOLD = 5  #: control steps, somewhat over `Task.command_age`
LENGTH = 300  #: control steps of an episode
EXPLORATION = 0.1  #: standard deviation of the noise while it hops, so that it is left alone in other states, too


class StandEnv(TaskEnv):
    """A hopping robot is left alone: its last command stays in force for up to `LONGEST_HOLD`, then the agent acts.

    Reward: 1 + max(0, 1 - |v|) - 0.02 |a|^2 with v the forward velocity, m/s, and a the action; 0 for the step by which
    it falls. A step acts at once: what runs on board has no radio.

    Args:
        start: policy that hops at first: a file, or a word of `make_policy`.
        settings: as of `TaskEnv`; its conditions should have no delay.
    """

    def __init__(self, start: str = "trained", **settings: Any) -> None:
        super().__init__("hopper", **settings)
        self._hops = make_policy(self.task, Path(start))
        self._left = LENGTH

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Lets the robot hop for a while, and leaves it alone on its feet."""
        observation, told = super().reset(seed=seed, options=options)
        while (found := self._hop(observation)) is None:
            observation, told = super().reset()
        self._left = LENGTH
        return found, told

    def _hop(self, observation: Array) -> Array | None:
        """The observation with which the robot is left alone; None: it fell."""
        self._hops.reset(int(self.np_random.integers(2**31)))
        hops = int(self.np_random.integers(LONGEST_RUN))
        action = self.task.safe_action
        for number in range(hops + int(self.np_random.integers(LONGEST_HOLD + 1))):
            if number < hops:
                action = self._hops.act(observation) + self.np_random.normal(0.0, EXPLORATION, len(action))
            observation, _, failed, ended, _ = super().step(action.astype(np.float32))
            if failed or ended:
                return None
        return observation

    def step(self, action: NDArray[np.float32]) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """As `TaskEnv.step`, with the reward of standing still."""
        observation, _, failed, ended, told = super().step(action)
        self._left -= 1
        taken = told["action"]
        reward = 0.0 if failed else 1.0 + max(0.0, 1.0 - abs(float(observation[5]))) - 0.02 * float(taken @ taken)
        return observation, reward, failed, (ended or self._left == 0) and not failed, told
