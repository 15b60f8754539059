# SPDX-License-Identifier: Apache-2.0
"""The agent of one live slice: MAFL section IV on what the radio reports about this slice, and on nothing else.

It sees the world as the agents of `learning.environment` do, so that weights trained there serve here: state
log(d / w), log(d^ / w), log(w / w_equal) with the needed blocks d now and d^ forecast, and the granted blocks w; the
action is a relative change of w. A live slice has a latency bound, so every device (one topic of one robot) is a
delay-constrained one, eq. (3).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ir_common.config import Config, ConfigError
from ir_slicing.agent_weights import AgentWeights
from ir_slicing.demand import DemandFilter
from ir_slicing.learning import satisfaction
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.federation.client import Client
from ir_slicing.learning.federation.compression import CompressionConfig
from ir_slicing.live_twin import LiveTwin

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SliceView:
    """What an agent may know: one report period of its own slice.

    Attributes:
        time: s of ROS time at the end of the period.
        devices: names, one for each topic of each robot.
        offered: [device] float64, bit/s.
        packet: [device] float64, bit: mean size of the device's messages.
        block_rate: [device] float64, bit/s of one RB on the device's link; 0 where unknown.
        queued: bit that wait.
        allocated: RB that the slice has.
        delay: p99 of the period, s; NaN where nothing was delivered.
        delivered: messages in the period.
        dropped: messages in the period.
        slices: number of slices that share the carrier.
        carrier: RB of the carrier.
    """

    time: float
    devices: tuple[str, ...]
    offered: Floats
    packet: Floats
    block_rate: Floats
    queued: float
    allocated: float
    delay: float
    delivered: int
    dropped: int
    slices: int
    carrier: float


class SliceAgentConfig(Config):
    """How a live agent acts and learns; what shapes its state is as in `learning.environment.EnvironmentConfig`."""

    max_change: float = Field(9.0, gt=0, le=9, description="largest gain of the slice in one step, of its own blocks")
    min_blocks: float = Field(0.25, gt=0, description="it never asks for less, RB")
    steepness: float = Field(20.0, gt=0, description="of the satisfaction curve, relative to the bound")
    target: float = Field(0.95, gt=0.5, lt=1, description="satisfaction that counts as the need being met")
    utilisation_weight: float = Field(0.5, ge=0, description="Lambda of eq. (14)")
    utility_weight: float = Field(0.5, ge=0, description="mu of eq. (14)")
    demand_time_constant: float = Field(1.0, gt=0, le=60, description="of the low pass of offered rates, s")
    drain_time: float = Field(0.1, gt=0, le=60, description="the need makes room to empty what is late in this time, s")
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="of Adam while it learns online")
    noise: float = Field(0.02, ge=0, le=1, description="deviation of the exploration noise on the action")
    warm_up: int = Field(256, ge=1, description="transitions before the first update")
    replay: int = Field(10_000, ge=1, description="transitions that are kept")
    keep: float = Field(0.1, gt=0, le=1, description="share of the changed weights that an update message holds")


class SliceSight:
    """What an agent sees of its slice, asks for and is paid: `learning.environment` on the reports of a live radio.

    Args:
        max_latency: the slice's latency bound, s.
        config: validated.
        twin: what forecasts the devices' traffic.

    Attributes:
        asked: RB of the last request.
        needed: RB that the slice needs now.
        refused: reason -> number of forecasts that were not used.
    """

    def __init__(self, max_latency: float, config: SliceAgentConfig, twin: LiveTwin) -> None:
        self.max_latency, self.config, self.twin = max_latency, config, twin
        self._filter = DemandFilter(config.demand_time_constant)
        self._held = config.min_blocks
        self.asked: float | None = None
        self.needed = config.min_blocks
        self.refused: Counter[str] = Counter()

    def observe(self, view: SliceView) -> Floats:
        """Takes in a report; returns the state [3]: log(d/w), log(d^/w), log(w/w_equal).

        d is what the last period needed, d^ what the twin, or without one the low-passed rates, say of the next.
        """
        smooth = self._filter.update(view.time, dict(zip(view.devices, view.offered, strict=True)))
        self.twin.push(view.devices, view.offered)
        self.needed = self.need(view, view.offered)
        expected = self._forecast(np.array([smooth[device] for device in view.devices]))
        self._held = max(min(self.asked or view.allocated, view.allocated), self.config.min_blocks)
        equal = view.carrier / max(view.slices, 1)
        return np.log([self.needed / self._held, self.need(view, expected) / self._held, self._held / equal])

    def ask(self, action: float, view: SliceView) -> float:
        """RB that an action asks for: what is held times (1 + max_change)^action."""
        asked = self._held * (1.0 + self.config.max_change) ** action
        self.asked = float(np.clip(asked, self.config.min_blocks, view.carrier))
        return self.asked

    def need(self, view: SliceView, offered: Floats) -> float:
        """RB with which every device is satisfied to the target while it offers ``offered`` [device] bit/s.

        Queued bits count as far as they are more than what the latency bound allows to wait.
        """
        known = view.block_rate > 0.0
        if not known.any():
            return self.config.min_blocks
        rate = np.where(known, view.block_rate, view.block_rate[known].mean())
        margin = satisfaction.headroom(self.config.target, self.config.steepness)
        bound = np.full(offered.shape, self.max_latency)
        wanted = np.where(offered > 0.0, satisfaction.rate_for_delay(offered, view.packet, bound, margin), 0.0)
        late = max(view.queued - float(offered.sum()) * self.max_latency, 0.0)
        blocks = float((wanted / rate).sum()) + late / self.config.drain_time / float(rate.mean())
        return min(max(blocks, self.config.min_blocks), view.carrier)

    def _forecast(self, smooth: Floats) -> Floats:
        """What the twin says of the next period; a forecast of another width is refused, the low pass stands in."""
        forecast = self.twin.forecast()
        if forecast is None:
            return smooth
        if forecast.shape != smooth.shape or not np.isfinite(forecast).all() or (forecast < 0.0).any():
            self.refused["forecast"] += 1
            return smooth
        return forecast

    def reward(self, view: SliceView) -> float:
        """(14) of the last request, with the measured delay in (3) and what was granted of it in (5).

        To be asked after `observe` of the report on what came of the request.
        """
        granted = max(min(self.asked or view.allocated, view.allocated), self.config.min_blocks)
        used = float(satisfaction.utilisation(np.array(granted), np.array(self.needed), "efficient"))
        return self.config.utilisation_weight * used + self.config.utility_weight * self.satisfaction(view)

    def satisfaction(self, view: SliceView) -> float:
        """(3) with the measured delay, times the share of the messages that were not dropped; idle: 1."""
        count = view.delivered + view.dropped
        if not count:
            return 0.0 if view.queued > 0.0 else 1.0
        if not view.delivered:
            return 0.0
        served = satisfaction.delay_satisfaction(
            np.array(view.delay), np.array(self.max_latency), self.config.steepness
        )
        return float(served) * view.delivered / count


class SliceAgent:
    """One slice's agent: acts at every report, learns from what came of it, takes part in the federation.

    Args:
        name: of the slice.
        max_latency: its latency bound, s.
        config: validated.
        weights: that it starts from.
        twin: what forecasts the devices' traffic.
        seed: of exploration and samples.
        personal_layers: last layers of both networks that stay in the slice.

    Attributes:
        sight: what it sees and asks for.
        refused: reason -> number of things that were not used: forecasts, global models.

    Raises:
        ConfigError: the weights are not of the networks that they say, or these have fewer layers than are personal.
    """

    def __init__(
        self, name: str, max_latency: float, config: SliceAgentConfig, weights: AgentWeights, twin: LiveTwin, seed: int,
        personal_layers: int = 0,
    ) -> None:  # fmt: skip
        self.name, self.config, self.sight = name, config, SliceSight(max_latency, config, twin)
        ddpg = DDPGConfig(
            hidden=weights.hidden, rate=config.learning_rate, noise=config.noise, warm_up=config.warm_up,
            replay=config.replay, epsilon=0.0, epsilon_end=0.0,
        )  # fmt: skip
        self._agent = DDPG(ddpg, 1, seed)
        if self._agent.architecture != weights.architecture or self._agent.weights().shape[1] != len(weights.values):
            raise ConfigError(
                f"{len(weights.values)} weights of architecture {weights.architecture} do not fit networks with hidden "
                f"layers {weights.hidden}; train them anew"
            )
        self._load(weights.values[None])
        self._agent.actor_target.load_flat(self._agent.actor.flat())
        self._agent.critic_target.load_flat(self._agent.critic.flat())
        self._client = Client(name, CompressionConfig(keep=config.keep), weights.values, weights.architecture)
        try:
            self._shared = self._agent.shared(personal_layers)
        except ValueError as error:
            raise ConfigError(f"{error}; give fewer") from None
        self._before: tuple[Floats, Floats, float] | None = None
        self._samples = 0
        self._sent = -1
        self.refused = self.sight.refused

    @property
    def architecture(self) -> str:
        """Of its networks."""
        return self._client.architecture

    @property
    def round(self) -> int:
        """Of the global weights that it has."""
        return self._client.round

    # --- acting ---

    def step(self, view: SliceView) -> float:
        """Takes in a report and returns the RB to ask for."""
        state = self.sight.observe(view)[None, None]
        if self._before is not None:
            self._learn_from(view, state)
        action = self._agent.act(state, explore=self.config.noise > 0.0)
        self._before = state, action, view.time
        return self.sight.ask(float(action[0, 0]), view)

    def _learn_from(self, view: SliceView, after: Floats) -> None:
        assert self._before is not None
        state, action, time = self._before
        if view.time <= time:
            return  # the clock was set back
        self._agent.remember(state, action, np.array([[self.sight.reward(view)]]), after)
        self._samples += 1

    # --- learning ---

    def learn(self) -> bool:
        """One gradient step (15), (16); whether there was enough experience for it."""
        return self._agent.update() is not None

    def update(self, number: int) -> bytes | None:
        """The message for a round; nothing where it was sent, was made on other weights, or nothing is learnt yet."""
        if number != self.round or number == self._sent or not self._samples:
            return None
        self._sent = number
        samples, self._samples = self._samples, 0
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

    def _load(self, weights: NDArray[np.float32]) -> None:
        self._agent.load_weights(weights)
