# SPDX-License-Identifier: Apache-2.0
"""Learning from a task's scripted controller: its transitions are part of every batch (RLPD, Ball et al. 2023)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from pydantic import Field

from ir_common.config import Config, ConfigError
from ir_drl.policies import Policy, RandomPolicy, make_policy
from ir_drl.sac.generators import Generators
from ir_drl.sac.policy_evaluation import MAX_SEED
from ir_drl.sac.samplers import Sampler
from ir_dynamics.replay_buffer import ReplayBuffer
from ir_dynamics.transitions import Rows, Transition, TransitionLayout
from ir_sim.tasks import Task


class Demonstrations(Config):
    """How much the scripted controller shows."""

    steps: int = Field(default=0, ge=0, description="of the environment, before the training; 0: it shows nothing")
    share: float = Field(default=0.5, gt=0, lt=1, description="part of each batch that is drawn from them")
    noise: float = Field(
        default=0.1, ge=0, description="standard deviation of what is added to its actions in [-1, 1], so that actions "
        "beside them are seen, too"
    )  # fmt: skip


class DemonstrationSampler:
    """A share of each batch from demonstrations, the rest as another sampler gives it. See `Sampler`."""

    def __init__(self, shown: ReplayBuffer, share: float, rest: Sampler, rng: np.random.Generator) -> None:
        self._shown, self._share, self._rest, self._rng = shown, share, rest, rng

    def fill(self, out: Rows) -> None:
        """See `Sampler`."""
        count = round(self._share * len(out))
        self._shown.fill(out[:count], self._rng)
        self._rest.fill(out[count:])


def demonstrate(
    environment: gymnasium.Env[Any, Any], config: Demonstrations, layout: TransitionLayout, seed: int, name: str
) -> ReplayBuffer:
    """Transitions of the scripted controller, the same for the same seed.

    Raises:
        ConfigError: there is no scripted controller for this environment.
    """
    task = getattr(environment.unwrapped, "task", None)
    policy: Policy | None = make_policy(task, Path("scripted")) if isinstance(task, Task) else None
    if task is None or policy is None or isinstance(policy, RandomPolicy):
        raise ConfigError(f"demonstrations.steps: {name} has no scripted controller to show it; leave it out")
    random, shown = Generators(seed, "demonstrations"), ReplayBuffer(layout, config.steps, action_limit=1.0)
    rng, ended = random["demonstrations"], True
    low, high = environment.action_space.low, environment.action_space.high  # type: ignore[attr-defined]
    while len(shown) < config.steps:
        if ended:
            observation, _ = environment.reset(seed=int(rng.integers(MAX_SEED)))
            policy.reset(int(rng.integers(MAX_SEED)))
        wanted = 2.0 * (policy.act(observation[: len(task.observation_names)]) - low) / (high - low) - 1.0
        action = np.clip(wanted + rng.normal(0.0, config.noise, wanted.shape), -1.0, 1.0).astype(np.float32)
        done = (low + (action + 1.0) * 0.5 * (high - low)).astype(np.float32)
        following, reward, terminated, truncated, _ = environment.step(done)
        shown.add(layout.pack(Transition(observation, action, float(reward), following, terminated)))
        observation, ended = following, terminated or truncated
    return shown
