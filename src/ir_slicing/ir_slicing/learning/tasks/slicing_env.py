# SPDX-License-Identifier: Apache-2.0
"""The slicing environment as a `gymnasium.Env`: one agent asks for all slices."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from ir_slicing.learning.tasks.slicing_episodes import STATE, EpisodesConfig, SlicingEpisodes


class SlicingEnv(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """MAFL problem (7): observation [3 slices] float32, action [slices] in [-1, 1], reward the mean of (14).

    The action of a slice is a relative change of its blocks, the observation its state (`SlicingEnvironment.observe`).

    Args:
        episodes: what they are drawn from; the defaults are MAFL section V-A.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (as Gymnasium declares it)

    def __init__(self, episodes: EpisodesConfig | None = None) -> None:
        self.episodes = SlicingEpisodes(episodes or EpisodesConfig())
        slices = len(self.episodes.names)
        self.observation_space = Box(-np.inf, np.inf, (STATE * slices,), np.float32)
        self.action_space = Box(-1.0, 1.0, (slices,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """A new episode; info: blocks and need of each slice."""
        super().reset(seed=seed)
        state = self.episodes.begin(self.np_random)
        return state.ravel(), self.episodes.told(None)

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One period; the last one is a truncation. info: also utilisation and satisfaction of each slice."""
        state, outcome, last = self.episodes.step(action)
        return state.ravel(), float(outcome.reward.mean()), False, last, self.episodes.told(outcome)
