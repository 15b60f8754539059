# SPDX-License-Identifier: Apache-2.0
"""The slicing environment as a PettingZoo `ParallelEnv` (optional: requirements/multiagent.txt): an agent a slice."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from ir_slicing.learning.tasks.slicing_episodes import STATE, EpisodesConfig, SlicingEpisodes

Array = NDArray[np.float32]


class SlicingParallelEnv(ParallelEnv):  # type: ignore[misc]
    """MAFL section IV-A: each slice sees [3] float32 of its own, asks with [1] in [-1, 1], and has its own reward (14).

    Args:
        episodes: what they are drawn from; the defaults are MAFL section V-A.
    """

    metadata: dict[str, Any] = {"name": "ir_slicing_v0", "render_modes": []}  # noqa: RUF012 (as PettingZoo declares it)

    def __init__(self, episodes: EpisodesConfig | None = None) -> None:
        self.episodes = SlicingEpisodes(episodes or EpisodesConfig())
        self.possible_agents = list(self.episodes.names)
        self.agents: list[str] = []
        self.render_mode = None
        self.observation_spaces = {name: Box(-np.inf, np.inf, (STATE,), np.float32) for name in self.possible_agents}
        self.action_spaces = {name: Box(-1.0, 1.0, (1,), np.float32) for name in self.possible_agents}
        self._rng = np.random.default_rng()
        self._state = np.zeros((len(self.possible_agents), STATE), np.float32)

    def observation_space(self, agent: str) -> Box:
        """Of an agent; the same object each time, so that it can be seeded."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Box:
        """As `observation_space`."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, dict[str, float]]]:
        """A new episode; infos: blocks and need of each slice."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self._state = self.episodes.begin(self._rng)
        return self._seen(), self.episodes.told(None)

    def step(
        self, actions: dict[str, Array]
    ) -> tuple[dict[str, Array], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, float]]]:
        """One period for all; the last one truncates all."""
        asked = np.array([float(np.asarray(actions[name]).reshape(())) for name in self.possible_agents])
        self._state, outcome, last = self.episodes.step(asked)
        names, seen = self.agents, self._seen()
        rewards = {name: float(reward) for name, reward in zip(names, outcome.reward[0], strict=True)}
        self.agents = [] if last else names
        return seen, rewards, dict.fromkeys(names, False), dict.fromkeys(names, last), self.episodes.told(outcome)

    def state(self) -> Array:
        """What all slices see together: [3 slices]."""
        return self._state.ravel()

    def _seen(self) -> dict[str, Array]:
        return {name: self._state[index].copy() for index, name in enumerate(self.possible_agents)}
