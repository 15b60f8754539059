# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a policy in a Gymnasium environment, apart from training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
from numpy.typing import NDArray

from ir_drl.sac.generators import generator

FloatArray = NDArray[Any]
MAX_SEED = 2**31
"""Environments are seeded with whole numbers under this."""


def evaluate(
    environment: gymnasium.Env[Any, Any], act: Callable[[FloatArray], FloatArray], seed: int, episodes: int
) -> list[float]:
    """Returns of ``episodes`` episodes of a policy; the starts depend on ``seed`` only.

    Args:
        environment: is reset at the start of each episode.
        act: observation [n_obs] to action [n_act], both as the environment has them.
        seed: of the starts.
        episodes: how many.
    """
    rng, returns = generator(seed, "evaluation"), []
    for _ in range(episodes):
        observation, _ = environment.reset(seed=int(rng.integers(MAX_SEED)))
        total, ended = 0.0, False
        while not ended:
            observation, reward, terminated, truncated, _ = environment.step(act(observation))
            total, ended = total + float(reward), terminated or truncated
        returns.append(total)
    return returns
