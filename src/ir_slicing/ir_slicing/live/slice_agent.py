# SPDX-License-Identifier: Apache-2.0
"""The agent of one live slice: it acts at every report, learns online, and takes part in the federation."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_slicing.learning.agent_weights import AgentWeights
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.federation.client import Client
from ir_slicing.learning.federation.compression import CompressionConfig
from ir_slicing.live.live_forecaster import LiveForecaster
from ir_slicing.live.slice_agent_config import SliceAgentConfig
from ir_slicing.live.slice_sight import Outcome, Seen, SliceSight, state_size, states_of
from ir_slicing.live.slice_view import SliceView

_NOISE = 256
"""Numbers that are drawn at a time."""


class SliceAgent:
    """One slice's agent: acts at every report, learns from what came of it, takes part in the federation.

    Args:
        name: of the slice.
        max_latency: its latency bound, s.
        config: validated.
        weights: that it starts from.
        forecaster: forecasts the devices' traffic.
        seed: of exploration and samples.
        personal_layers: last layers of both networks that stay in the slice.

    Attributes:
        sight: what it sees and asks for.
        version: number that changes with its weights.
        refused: reason -> number of things that were not used: forecasts, global models.

    Raises:
        ConfigError: the weights are not of the networks that they say, or these have fewer layers than are personal.
    """

    def __init__(
        self, name: str, max_latency: float, config: SliceAgentConfig, weights: AgentWeights,
        forecaster: LiveForecaster, seed: int, personal_layers: int = 0,
    ) -> None:  # fmt: skip
        self.name, self.config, self.sight = name, config, SliceSight(max_latency, config, forecaster)
        ddpg = DDPGConfig(
            hidden=weights.hidden, rate=config.learning_rate, noise=config.noise, warm_up=config.warm_up,
            replay=config.replay, epsilon=0.0, epsilon_end=0.0,
        )  # fmt: skip
        self._agent = DDPG(ddpg, 1, seed, state_size(config))
        if self._agent.architecture != weights.architecture or self._agent.weights().shape[1] != len(weights.values):
            raise ConfigError(
                f"{len(weights.values)} weights of architecture {weights.architecture} do not fit networks with hidden "
                f"layers {weights.hidden} and the action {config.action}; train them anew"
            )
        self.version = 0
        self._gate = weights.gate if config.action == "correction" else 1.0
        self._load(weights.values[None])
        self._agent.actor_target.load_flat(self._agent.actor.flat())
        self._agent.critic_target.load_flat(self._agent.critic.flat())
        self._client = Client(name, CompressionConfig(keep=config.keep), weights.values, weights.architecture)
        try:
            self._shared = self._agent.shared(personal_layers)
        except ValueError as error:
            raise ConfigError(f"{error}; give fewer") from None
        self._before: tuple[Seen, float, float] | None = None
        self._seen: deque[tuple[Seen, float, Outcome, Seen]] = deque(maxlen=config.replay)
        self._rng, self._noise = np.random.default_rng([seed, 7]), list[float]()
        self._samples = self._sent_samples = 0
        self._sent = -1
        self.refused = self.sight.refused

    @property
    def architecture(self) -> str:
        """The architecture of its networks."""
        return self._client.architecture

    @property
    def round(self) -> int:
        """The round of the global weights that it has."""
        return self._client.round

    # --- acting ---

    def step(self, view: SliceView) -> float:
        """Takes in a report and returns the RB to ask for."""
        state = states_of(self.config, [self.observe(view)])
        return self.ask(float(self._agent.act(state[None])[0, 0]), view)

    def observe(self, view: SliceView) -> Seen:
        """Takes in a report: what the state is made of that its network is to act on (`slice_sight.states_of`)."""
        expected = self.sight.expected[0]
        self.sight.look(view)
        return self.remember(view, expected)

    def remember(self, view: SliceView, expected: float) -> Seen:
        """As `observe`, after its sight looked at the view; ``expected``: RB that were expected of this period."""
        now = self.sight.seen(view, expected)
        if self._before is not None and view.time > self._before[2]:  # else the clock was set back
            self._seen.append((*self._before[:2], self.sight.outcome(view), now))
            self._samples += 1
        self._now = now
        return now

    def ask(self, action: float, view: SliceView) -> float:
        """The RB to ask for, from its network's action, -1 to 1, with the noise of its exploration.

        Behind a closed gate nothing is corrected, and nothing explored.
        """
        if self._gate == 0.0:
            action = 0.0
        elif self.config.noise > 0.0:
            if not self._noise:
                self._noise = self._rng.standard_normal(_NOISE).tolist()
            action = min(max(action + self.config.noise * self._noise.pop(), -1.0), 1.0)
        self._before = self._now, action, view.time
        return self.sight.ask(action, view)

    # --- learning ---

    def learn(self) -> bool:
        """One gradient step (15), (16); whether there was enough experience for it."""
        if self._seen:
            states, actions, outcomes, after = zip(*self._seen, strict=True)
            state, then = (states_of(self.config, part)[:, None] for part in (states, after))
            action = np.array(actions)[:, None]
            self._agent.remember(state, action, self.sight.rewards(outcomes)[:, None], then)
            self._seen.clear()
        done = self._agent.update() is not None
        self.version += done
        return done

    def acting(self) -> NDArray[np.float32]:
        """[parameters] of the network that acts; of another `version`, others."""
        return self._agent.actor.flat()[0]

    def update(self, number: int) -> bytes | None:
        """The message for a round; nothing where it was sent, was made on other weights, or nothing is learnt yet."""
        if number != self.round or number == self._sent or not self._samples:
            return None
        self._sent = number
        samples, self._samples = self._samples, 0
        self._sent_samples = samples
        # personal weights go as unchanged: the manager needs not know which they are, and slices may differ in it
        own = np.where(self._shared, self._agent.weights()[0], self._client.reference)
        return self._client.update(own, samples)

    def apply(self, data: bytes) -> bool:
        """Takes the shared part of the global weights, or all of them while it has learnt nothing of its own.

        Weights of another architecture or round, or not finite, are refused and counted.
        """
        own = self._agent.weights()[0]
        weights = self._client.apply(data, own)
        if weights is None:
            self.refused["model"] += 1
            return False
        self._load(np.where(self._shared | (self._agent.updates == 0), weights, own)[None])
        return True

    def closed(self, number: int, used: bool) -> None:
        """Hears whether its update had a part in the round before ``number``; what a lost one held is learnt again."""
        own = self._agent.weights()[0]
        weights = self._client.restored(number, used, own)
        if weights is not None:
            self._samples += self._sent_samples
            self._load(np.where(self._shared, weights, own)[None])

    def _load(self, weights: NDArray[np.float32]) -> None:
        self._agent.load_weights(weights)
        self.version += 1
