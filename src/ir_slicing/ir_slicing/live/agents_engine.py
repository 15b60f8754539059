# SPDX-License-Identifier: Apache-2.0
"""The agents of several slices in one process: reports in, requests out; calls for weights in, weights out.

A node, and a simulation in one process, are adapters around it. It knows no clock: how much is learnt between two
reports is said by whoever owns the time, as a number of updates (`learn`) and of fits (`fit`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ir_radio.books.cell_report import Report
from ir_slicing.learning.agent_weights import load
from ir_slicing.learning.agents.batched import BatchedMLP
from ir_slicing.learning.federation.update_keys import load_keys
from ir_slicing.live.joint_forecasts import JointForecasts
from ir_slicing.live.live_forecaster import LiveForecaster, fit_ready
from ir_slicing.live.need_requests import BlockRequest
from ir_slicing.live.slice_agent import SliceAgent
from ir_slicing.live.slice_agent_config import SliceAgentsConfig
from ir_slicing.live.slice_sight import look_all, state_size, states_of
from ir_slicing.live.slice_view import SortedReport, ViewReader

_REFUSED = {
    "forecast": "forecast of another width, negative or not finite; the low-passed rates stand in",
    "key": "there is no key to sign its updates with; give keys_file its key (`slice_keys`)",
    "model": "global weights of another architecture or round, or not finite; its own stay",
}


@dataclass(frozen=True)
class FederationReply:
    """The agents' reaction to a state of the federation.

    Attributes:
        updates: messages with their weights, to be sent.
        behind: some lack the weights of the round: the whole ones are to be asked for (`AgentsEngine.whole`).
        refused: why they take no part; empty: they do.
    """

    updates: tuple[bytes, ...] = ()
    behind: bool = False
    refused: str = ""


class _Actors:
    """The networks that act of all agents in one batch; who learnt since the last time is copied anew.

    Args:
        sizes: of the networks' layers.
    """

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self._sizes = sizes
        self._agents: list[SliceAgent] = []
        self._versions: list[int] = []
        self._network = BatchedMLP(0, self._sizes, torch.Generator())

    def act(self, agents: list[SliceAgent], states: NDArray[np.float64]) -> list[float]:
        """Actions, -1 to 1, of agents in their states [agent, S]."""
        if agents != self._agents:
            self._agents, self._versions = list(agents), [-1] * len(agents)
            self._network = BatchedMLP(len(agents), self._sizes, torch.Generator())
        for place, (agent, version) in enumerate(zip(agents, self._versions, strict=True)):
            if agent.version != version:
                self._network.load_row(place, agent.acting())
                self._versions[place] = agent.version
        with torch.no_grad():
            out: list[float] = (
                torch.tanh(self._network(torch.from_numpy(states.astype(np.float32))[:, None])).flatten().tolist()
            )
        return out


class AgentsEngine:
    """Agents come and go with their slices; what leaves a slice is `BlockRequest` and the bytes of updates.

    Args:
        config: validated.

    Attributes:
        agents: by name of their slice.

    Raises:
        ConfigError: the file of the weights, or of the keys, is missing or wrong, or they fit no networks.
    """

    def __init__(self, config: SliceAgentsConfig) -> None:
        self.config, self._weights = config, load(config.weights_file)
        self._keys = load_keys(config.keys_file) if config.keys_file else None
        self.agents: dict[str, SliceAgent] = {}
        self._views: dict[str, ViewReader] = {}
        self._bounds: dict[str, float] = {}
        self._actors = _Actors((state_size(config), *self._weights.hidden, 1))
        self._joint = JointForecasts()
        self._told: Counter[tuple[str, str]] = Counter()
        self._learnt = 0
        self._round, self._collecting = 0, False
        self._participants: frozenset[str] | None = None
        self._make("", 1.0)  # weights that fit no networks are refused here, not with the first slice

    def _make(self, name: str, max_latency: float) -> SliceAgent:
        seed = self.config.seed + sum(name.encode())
        forecaster = LiveForecaster(self.config, self.config.seed, train=self.config.twin)
        return SliceAgent(
            name, max_latency, self.config, self._weights, forecaster, seed, self.config.personal_layers
        )  # fmt: skip

    def set_slices(self, bounds: Mapping[str, float]) -> list[str]:
        """Takes the slices in force with their latency bounds (s); returns those of them whose agents are new."""
        self._bounds = dict(bounds)
        hosted = {name: bound for name, bound in bounds.items() if not self.config.slices or name in self.config.slices}
        for name in set(self.agents) - set(hosted):
            del self.agents[name], self._views[name]
        new = [name for name in hosted if name not in self.agents]
        for name, bound in hosted.items():
            if name in new:
                self.agents[name], self._views[name] = self._make(name, bound), ViewReader(name)
            self.agents[name].sight.max_latency = bound
        return new

    def report(self, report: Report, carrier: float) -> list[BlockRequest]:
        """Takes in what the radio did; each agent sees the rows of its own slice and asks.

        Args:
            report: from the radio.
            carrier: RB of the carrier.
        """
        rows = SortedReport(report, self._bounds)
        seen = [
            (name, agent, view)
            for name, agent in self.agents.items()
            if (view := self._views[name].read(rows, carrier)) is not None
        ]
        if not seen:
            return []
        expected = [agent.sight.expected[0] for _, agent, _ in seen]
        look_all([(agent.sight, view) for _, agent, view in seen], self._joint)
        states = states_of(
            self.config, [agent.remember(view, one) for (_, agent, view), one in zip(seen, expected, strict=True)]
        )
        actions = self._actors.act([agent for _, agent, _ in seen], states)
        return [
            BlockRequest(report.time, name, agent.ask(action, view))
            for (name, agent, view), action in zip(seen, actions, strict=True)
        ]

    def refusals(self) -> list[str]:
        """Forecasts and models that agents could not use since the last call, in words, with the counts so far."""
        new = []
        for name, agent in self.agents.items():
            for reason, count in agent.refused.items():
                if count != self._told[name, reason]:
                    self._told[name, reason] = count
                    new.append(f"slice '{name}': {_REFUSED[reason]} ({count} so far)")
        return new

    # --- learning ---

    def learn(self, updates: int) -> int:
        """Makes gradient steps, of one agent after the other; returns how many had enough experience to be made."""
        if not self.config.learn or not self.agents:
            return 0
        agents, made = list(self.agents.values()), 0
        for _ in range(updates):
            self._learnt += 1
            made += agents[self._learnt % len(agents)].learn()
        return made

    @property
    def forecasters(self) -> list[LiveForecaster]:
        """The forecasters of all slices, for who fits them beside the engine."""
        return [agent.sight.forecaster for agent in self.agents.values()]

    def fit(self, fits: int) -> int:
        """Fits slice forecasters here and now, at most ``fits`` of them; returns how many were fitted."""
        return fit_ready(self.forecasters, fits)

    # --- federation ---

    def federation(
        self, number: int, collecting: bool, architecture: str, participants: Sequence[str] | None = None
    ) -> FederationReply:
        """Takes in the state of the federation.

        Args:
            number: of the current round.
            collecting: updates are called for.
            architecture: of the networks that are federated.
            participants: slices whose updates were used in the round that was closed last; None: all that were sent.
        """
        self._round, self._collecting = number, collecting
        self._participants = None if participants is None else frozenset(participants)
        self._settle()
        if architecture != self._weights.architecture:
            why = (
                f"the manager federates networks of architecture {architecture}, these are of "
                f"{self._weights.architecture}; give both the same weights_file"
            )
            return FederationReply(refused=why)
        behind = any(agent.round != number for agent in self.agents.values())
        if behind and not collecting:
            return FederationReply()  # the change of the round that was closed just now is on its way
        return FederationReply(self._updates(), behind)

    def _updates(self) -> tuple[bytes, ...]:
        if not self._collecting or not self.config.learn:
            return ()
        made = ((name, agent.update(self._round)) for name, agent in self.agents.items())
        return tuple(signed for name, data in made if data is not None and (signed := self._signed(name, data)))

    def _signed(self, name: str, data: bytes) -> bytes | None:
        if self._keys is None:
            return data
        signed = self._keys.sign(name, data)
        if signed is None:
            self.agents[name].refused["key"] += 1
        return signed

    def model(self, data: bytes) -> bool:
        """Takes the message of a change of the weights; returns whether all agents could use it."""
        applied = [agent.apply(data) for agent in self.agents.values()]
        self._settle()
        return all(applied)

    def _settle(self) -> None:
        """Tells the agents whose weights are those of the present round what became of their last updates.

        State and model come on topics of their own, in either order.
        """
        if self._participants is not None:
            for name, agent in self.agents.items():
                agent.closed(self._round, name in self._participants)

    def whole(self, data: bytes) -> tuple[bytes, ...]:
        """Takes the message of the whole weights, for the agents that lack them; returns updates to be sent."""
        for agent in self.agents.values():
            if agent.round != self._round:
                agent.apply(data)
        self._settle()
        return self._updates()
