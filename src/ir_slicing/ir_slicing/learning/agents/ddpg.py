# SPDX-License-Identifier: Apache-2.0
"""A DDPG agent for every slice, all of them updated at once: MAFL section IV-B, eqs. (15) to (17), Algorithm 1."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from ir_common.config import Config
from ir_slicing.learning.agents.batched import BatchedMLP, Replay, architecture, soft_update

Floats = NDArray[np.float64]

STATE = 3
"""Size of a slice's state where nothing else is said (`SlicingEnvironment.observe`)."""


class AgentConfig(Config):
    """What DDPG and DQN agents share."""

    hidden: tuple[int, ...] = Field((64, 64), min_length=1, description="hidden layers (the paper: six of 64)")
    discount: float = Field(
        0.5, ge=0, lt=1, description="gamma; 0.5 as in Table II: an allocation acts for a few steps. The text says 0.95"
    )
    rate: float = Field(3e-3, gt=0, description="learning rate of Adam; the paper's 0.1 does not train")
    target_rate: float = Field(0.01, gt=0, le=1, description="nu of eq. (17)")
    replay: int = Field(20_000, ge=1, description="transitions of a slice (the paper: 1000)")
    batch: int = Field(64, ge=1, description="transitions of a slice in an update")
    warm_up: int = Field(256, ge=1, description="transitions of a slice before the first update")
    epsilon: float = Field(1.0, ge=0, le=1, description="first probability of a random action (Algorithm 1, line 6)")
    epsilon_end: float = Field(0.05, ge=0, le=1, description="last probability")
    epsilon_steps: int = Field(400, ge=1, description="steps from the first to the last")


class DDPGConfig(AgentConfig):
    """DDPG."""

    actor_delay: int = Field(
        100, ge=0, description="critic updates before the actor's first: it learns of a critic that knows"
    )
    saturation: float = Field(
        0.01,
        ge=0,
        description="weight of the squared input of the actor's last tanh, without which it sticks at -1 or 1",
    )
    first_weight: float = Field(
        3e-3, ge=0, description="largest first weight of the actor's last layer; 0: the first actions are exactly 0"
    )
    noise: float = Field(
        0.1, ge=0, description="deviation of Gaussian noise on the other actions; 0: as in Algorithm 1"
    )


class Exploration:
    """Which slices act at random in which step: probability epsilon, falling in a straight line."""

    def __init__(self, config: AgentConfig, seed: int) -> None:
        self.config, self.steps = config, 0
        self.rng = np.random.default_rng([seed, 7])

    def random(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Draws for one step."""
        done = min(self.steps / self.config.epsilon_steps, 1.0)
        self.steps += 1
        epsilon = self.config.epsilon + done * (self.config.epsilon_end - self.config.epsilon)
        return self.rng.random(shape) < epsilon


class DDPG:
    """M actors and M critics with their targets.

    Args:
        config: validated.
        slices: M.
        seed: of weights, exploration and samples.
        state: S, size of a slice's state.
    """

    kind: Literal["ddpg"] = "ddpg"

    def __init__(self, config: DDPGConfig, slices: int, seed: int, state: int = STATE) -> None:
        self.config, self.slices = config, slices
        generator = torch.Generator().manual_seed(seed)
        a, c = (state, *config.hidden, 1), (state + 1, *config.hidden, 1)
        self.architecture = architecture(a, c)
        self.actor = BatchedMLP(slices, a, generator, config.first_weight)
        self.critic = BatchedMLP(slices, c, generator)
        self.actor_target, self.critic_target = BatchedMLP(slices, a, generator), BatchedMLP(slices, c, generator)
        self.actor_target.load_flat(self.actor.flat())
        self.critic_target.load_flat(self.critic.flat())
        self._actor_optimiser = torch.optim.Adam(self.actor.parameters(), lr=config.rate, foreach=True)
        self._critic_optimiser = torch.optim.Adam(self.critic.parameters(), lr=config.rate, foreach=True)
        self.replay = Replay(config.replay, slices, state, generator)
        self.exploration = Exploration(config, seed)
        self.updates = 0

    def act(self, state: Floats, explore: bool = False) -> Floats:
        """Actions of all slices: [env, M, S] -> [env, M], -1 to 1."""
        with torch.no_grad():
            x = torch.from_numpy(np.asarray(state, np.float32)).transpose(0, 1)
            action = torch.tanh(self.actor(x))[..., 0].T.numpy().astype(np.float64)
        if not explore:
            return action
        rng = self.exploration.rng
        noisy = np.clip(action + self.config.noise * rng.standard_normal(action.shape), -1.0, 1.0)
        return np.where(self.exploration.random(action.shape), rng.uniform(-1.0, 1.0, action.shape), noisy)

    def remember(self, state: Floats, action: Floats, reward: Floats, after: Floats) -> None:
        """Stores one step of all environments: [E, M, S], [E, M], [E, M], [E, M, S]."""
        self.replay.add(state, action, reward, after)

    def update(self) -> Floats | None:
        """One gradient step of every slice on a batch of its own; critic loss [M], nothing while it warms up."""
        if self.replay.stored < max(self.config.warm_up, 1):
            return None
        return self.learn(*self.replay.sample(self.config.batch))

    def learn(self, state: Tensor, action: Tensor, reward: Tensor, after: Tensor) -> Floats:
        """The gradient step on given transitions [M, batch, ...]; returns the critic losses [M].

        Critic (16): mean of (y - Q(s, a))^2, y = R + gamma Q'(s', pi'(s')); actor (15): up the gradient of Q(s, pi(s)).
        Differs from the paper: `actor_delay` and `saturation`.
        The losses are summed over slices, so that no slice's gradient depends on another's.
        """
        with torch.no_grad():
            ahead = torch.tanh(self.actor_target(after))
            y = reward + self.config.discount * self.critic_target(torch.cat([after, ahead], dim=-1))
        losses = (self.critic(torch.cat([state, action], dim=-1)) - y).square().mean(dim=(1, 2))
        self._critic_optimiser.zero_grad()
        losses.sum().backward()
        self._critic_optimiser.step()

        self.updates += 1
        if self.updates > self.config.actor_delay:
            before = self.actor(state)
            value = (
                self.critic(torch.cat([state, torch.tanh(before)], dim=-1)) - self.config.saturation * before.square()
            )
            self._actor_optimiser.zero_grad()
            (-value.mean(dim=(1, 2)).sum()).backward()
            self._actor_optimiser.step()
        soft_update(self.actor_target, self.actor, self.config.target_rate)
        soft_update(self.critic_target, self.critic, self.config.target_rate)
        return losses.detach().numpy().astype(np.float64)

    def weights(self) -> NDArray[np.float32]:
        """[M, parameters]: actor, then critic; what the federation averages."""
        return np.concatenate([self.actor.flat(), self.critic.flat()], axis=1)

    def load_weights(self, weights: NDArray[np.float32]) -> None:
        """Takes [M, parameters]; the targets follow by (17)."""
        split = self.actor.width
        self.actor.load_flat(weights[:, :split])
        self.critic.load_flat(weights[:, split:])

    def shared(self, personal_layers: int) -> NDArray[np.bool_]:
        """[parameters]: which of them leave the slice when the last layers of both networks are personal.

        Raises:
            ValueError: more personal layers than there are.
        """
        masks = []
        for network in (self.actor, self.critic):
            layers = network.parameters_by_layer
            if not 0 <= personal_layers <= len(layers):
                raise ValueError(f"{personal_layers} personal layers; the networks have {len(layers)}")
            masks += [np.full(size, index < len(layers) - personal_layers) for index, size in enumerate(layers)]
        return np.concatenate(masks)
