# SPDX-License-Identifier: Apache-2.0
"""The baseline MADQN of MAFL section V-A: a DQN agent for every slice, without federation and without forecast."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field

from ir_slicing.learning.agents.batched import BatchedMLP, Replay, soft_update
from ir_slicing.learning.agents.ddpg import STATE, AgentConfig, Exploration, Floats


class DQNConfig(AgentConfig):
    """DQN."""

    levels: int = Field(9, ge=2, description="actions, evenly from -1 to 1")


class DQN:
    """M deep Q networks with targets (Mnih et al.), all updated at once; the interface of `ddpg.DDPG`.

    Args:
        config: validated.
        slices: M.
        seed: of weights, exploration and samples.
    """

    kind: Literal["dqn"] = "dqn"

    def __init__(self, config: DQNConfig, slices: int, seed: int) -> None:
        self.config, self.slices = config, slices
        generator = torch.Generator().manual_seed(seed)
        sizes = (STATE, *config.hidden, config.levels)
        self.network, self.target = BatchedMLP(slices, sizes, generator), BatchedMLP(slices, sizes, generator)
        self.target.load_flat(self.network.flat())
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=config.rate, foreach=True)
        self.replay = Replay(config.replay, slices, STATE, generator)
        self.exploration = Exploration(config, seed)
        self.levels = np.linspace(-1.0, 1.0, config.levels)

    def act(self, state: Floats, explore: bool = False) -> Floats:
        """Actions of all slices: [env, M, 3] -> [env, M], each one of the levels."""
        with torch.no_grad():
            x = torch.from_numpy(np.asarray(state, np.float32)).transpose(0, 1)
            choice = self.network(x).argmax(dim=-1).T.numpy()
        if explore:
            drawn = self.exploration.rng.integers(self.config.levels, size=choice.shape)
            choice = np.where(self.exploration.random(choice.shape), drawn, choice)
        return np.asarray(self.levels[choice])

    def remember(self, state: Floats, action: Floats, reward: Floats, after: Floats) -> None:
        """Stores one step of all environments; actions are levels."""
        choice = np.rint((action + 1.0) * (self.config.levels - 1) / 2.0)
        self.replay.add(state, choice, reward, after)

    def update(self) -> Floats | None:
        """One gradient step of every slice; losses [M], nothing while it warms up."""
        if self.replay.stored < self.config.warm_up:
            return None
        state, choice, reward, after = self.replay.sample(self.config.batch)
        with torch.no_grad():
            y = reward + self.config.discount * self.target(after).amax(dim=-1, keepdim=True)
        losses = (self.network(state).gather(-1, choice.long()) - y).square().mean(dim=(1, 2))
        self._optimiser.zero_grad()
        losses.sum().backward()
        self._optimiser.step()
        soft_update(self.target, self.network, self.config.target_rate)
        return losses.detach().numpy().astype(np.float64)
