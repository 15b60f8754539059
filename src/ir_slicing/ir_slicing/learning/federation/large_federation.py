# SPDX-License-Identifier: Apache-2.0
"""Federated runs of many slices, each with an environment of its own: what a site does in a round, and a driver.

A site keeps nothing between rounds but what its last message could not hold, so that it can run anywhere: in this
process, or under Flower (`flower`). Client and server are those of the live stack.

    python -m ir_slicing.learning.federation.large_federation --slices 200
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from ir_common.config import Config
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.device_traffic import TrafficConfig, generate
from ir_slicing.learning.federation.averaging_server import AveragingServer, ServerConfig
from ir_slicing.learning.federation.client import Client
from ir_slicing.learning.federation.compression import decode
from ir_slicing.learning.federation.messages import Global, Update
from ir_slicing.learning.slicing_environment import MAFL_CARRIER, SLICES, EnvironmentConfig, SlicingEnvironment

Weights = NDArray[np.float32]


class FederationRun(Config):
    """A run."""

    slices: int = Field(200, ge=1, description="sites, one slice each")
    rounds: int = Field(5, ge=1, description="federated rounds")
    steps: int = Field(40, ge=2, description="steps of a site in a round")
    envs: int = Field(4, ge=1, description="parallel environments of a site")
    devices: int = Field(10, ge=1, description="of a slice")
    seed: int = Field(0, ge=0, description="of everything")
    server: ServerConfig = ServerConfig()


AGENT = DDPGConfig(hidden=(32, 32), warm_up=32, batch=32, replay=2000, epsilon=0.3, epsilon_end=0.1, actor_delay=10)
"""Configuration of every site's agent."""
BLOCKS = 9
"""RB of a site: its part of a carrier that six slices share."""


@dataclass
class FederationHistory:
    """One entry a round.

    Attributes:
        reward: mean over sites and steps, with exploration.
        updates: that were used.
        bytes_up: on the wire.
    """

    reward: list[float] = field(default_factory=list)
    updates: list[int] = field(default_factory=list)
    bytes_up: list[int] = field(default_factory=list)


def make_server(run: FederationRun) -> AveragingServer:
    """The server with the weights that all sites start from."""
    agent = DDPG(AGENT, 1, run.seed)
    names = tuple(f"slice_{index}" for index in range(run.slices))
    return AveragingServer(run.server, agent.weights()[0], agent.architecture, names)


def site_round(run: FederationRun, index: int, whole: bytes, rest: Weights | None) -> tuple[bytes, Weights, float]:
    """Algorithm 1, lines 4 to 15, at one site.

    Args:
        run: the run.
        index: of the site.
        whole: the global weights (`AveragingServer.whole`).
        rest: [size] float32, what the last message could not hold (error feedback); nothing in the first round.

    Returns:
        the update message, the new rest, and the mean reward.

    Raises:
        ValueError: the message does not hold weights of these networks.
    """
    number = Global.from_bytes(whole).round
    agent = DDPG(AGENT, 1, run.seed + 1000 * index + number)
    client = Client(f"slice_{index}", run.server.compression, agent.weights()[0], agent.architecture)
    start = client.apply(whole, agent.weights()[0])
    if start is None:
        raise ValueError(f"site {index}: the global weights are of another architecture or not finite")
    own = start if rest is None else start + rest
    agent.load_weights(own[None])
    agent.actor_target.load_flat(agent.actor.flat())
    agent.critic_target.load_flat(agent.critic.flat())
    environment = _environment(run, index, number)
    rng, state, rewards = np.random.default_rng([run.seed, index, number]), environment.reset(), []
    state = environment.reset(0, environment.need.blocks * np.exp(rng.uniform(-1.1, 1.1, (run.envs, 1))))
    for _ in range(run.steps):
        action = agent.act(state, explore=True)
        after, outcome, _ = environment.step(action)
        agent.remember(state, action, outcome.reward, after)
        agent.update()
        state = after
        rewards.append(outcome.reward.mean())
    change = agent.weights()[0] - start
    data = client.update(agent.weights()[0], run.steps * run.envs)
    return data, change - decode(Update.from_bytes(data).payload, len(change)), float(np.mean(rewards))


def _environment(run: FederationRun, index: int, number: int) -> SlicingEnvironment:
    """Every site has a profile and traffic of its own; each round goes on with new traffic."""
    config = EnvironmentConfig(
        carrier=MAFL_CARRIER.model_copy(update={"bandwidth": 2e6, "resource_blocks": BLOCKS}),
        slices=(SLICES[index % len(SLICES)],),
    )
    rate = TrafficConfig().rates[index % len(SLICES)]
    traffic = TrafficConfig(devices=run.devices, rates=(rate * 50.0 / run.devices,))
    seed = run.seed + 100_003 * index + number
    return SlicingEnvironment(config, generate(traffic, run.steps + 1, run.envs, seed), seed)


def close_round(server: AveragingServer, history: FederationHistory, answers: list[tuple[bytes, float]]) -> None:
    """Takes the sites' answers, messages and rewards, closes the round and puts it down."""
    before = server.received_bytes
    used = sum(not server.receive(data) for data, _ in sorted(answers))  # the same sum whoever comes first
    server.close()
    history.reward.append(float(np.mean([reward for _, reward in sorted(answers)])) if answers else float("nan"))
    history.updates.append(used)
    history.bytes_up.append(server.received_bytes - before)


def run_in_process(run: FederationRun) -> tuple[AveragingServer, FederationHistory]:
    """All sites in this process, one after the other."""
    server, history = make_server(run), FederationHistory()
    rests: dict[int, Weights] = {}
    for _ in range(run.rounds):
        whole, answers = server.whole().to_bytes(), []
        for index in range(run.slices):
            data, rests[index], reward = site_round(run, index, whole, rests.get(index))
            answers.append((data, reward))
        close_round(server, history, answers)
    return server, history


def line(history: FederationHistory) -> str:
    """The last round in words."""
    return f"reward {history.reward[-1]:.4f}, {history.updates[-1]} updates, {history.bytes_up[-1]} bytes up"


def main() -> None:
    """Runs from the command line, in this process."""
    parser = argparse.ArgumentParser(description="federated training of many slices")
    parser.add_argument("--slices", type=int, default=200, help="sites [200]")
    parser.add_argument("--rounds", type=int, default=5, help="federated rounds [5]")
    parser.add_argument("--seed", type=int, default=0, help="of everything [0]")
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    history = run_in_process(FederationRun(slices=given.slices, rounds=given.rounds, seed=given.seed))[1]
    print(f"{given.slices} slices, {given.rounds} rounds in {time.perf_counter() - began:.1f} s; last {line(history)}")


if __name__ == "__main__":
    main()
