# SPDX-License-Identifier: Apache-2.0
"""The worlds and agents that the figures of slicing share: made once, kept, and the same for all of them.

Of every traffic the first half trains the slice forecasters, the next three tenths the agents, and the rest is the
test, so that no forecast the agents learn from or are judged by is of traffic its forecaster has seen. The agents are
trained at 100 users a slice only, the paper's load; all loads are tested with the same weights.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from _kept_pieces import kept
from numpy.typing import NDArray

from ir_slicing.learning.agents import rules
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.agents.dqn import DQN, DQNConfig
from ir_slicing.learning.device_traffic import TrafficConfig, generate
from ir_slicing.learning.forecaster.fitting import FitConfig
from ir_slicing.learning.forecaster.forecaster_network import ForecasterConfig
from ir_slicing.learning.forecaster.staged import fit_forecaster
from ir_slicing.learning.need_forecast import forecast_needs
from ir_slicing.learning.policy_training import PolicyTrainingConfig, TrainingHistory, evaluate, foreseeing, train
from ir_slicing.learning.slicing_environment import EnvironmentConfig, SlicingEnvironment

Floats = NDArray[np.float64]
CONFIG = EnvironmentConfig()
LEARNT = ("DT-MAFL", "FL", "MADQN")
PAPER_LOAD = 100
WORLD_SOURCES = ("forecaster", "device_traffic.py", "need_forecast.py", "slicing_environment.py", "satisfaction.py")
AGENT_SOURCES = (*WORLD_SOURCES, "agents", "federation", "policy_training.py", "carrier_sharing.py")


def sizes(quick: bool) -> dict[str, int]:
    """Steps of traffic, training steps, epochs of the forecasters' parts and their batch of windows."""
    if quick:
        return {"steps": 260, "training": 320, "epochs": 1, "graph epochs": 0, "batch": 16}
    return {"steps": 3000, "training": 1500, "epochs": 1, "graph epochs": 1, "batch": 16}


def traffic(users: int, seed: int, quick: bool) -> tuple[NDArray[np.float32], int, int]:
    """[step, 1, slice, device], and where the agents' part and the test begin."""
    steps = sizes(quick)["steps"]
    return generate(TrafficConfig(devices=users), steps, 1, seed), steps // 2, steps * 8 // 10


def world(users: int, seed: int, quick: bool) -> tuple[SlicingEnvironment, SlicingEnvironment]:
    """Training and test environment with the slice forecasters' forecasts."""
    made, begin, test = traffic(users, seed, quick)
    size = sizes(quick)

    def forecasts() -> list[Any]:
        parts = {"epochs": size["epochs"], "graph_epochs": size["graph epochs"], "batch": size["batch"]}
        fit = FitConfig(train=0.85, validate=0.1, seed=seed, **parts)
        form = ForecasterConfig(horizons=(1,))
        forecasters = [fit_forecaster(made[:begin, 0, m], form, fit) for m in range(len(CONFIG.slices))]
        blind = SlicingEnvironment(CONFIG, made[begin:], seed)
        return forecast_needs(blind, forecasters, start=begin)[:, 0].round(4).tolist()

    about = {"piece": f"world {users} {seed}", **size, "config": CONFIG.model_dump(exclude={"overload"})}
    needs = np.array(kept("slicing-worlds", about, WORLD_SOURCES, forecasts))[:, None]
    return tuple(  # type: ignore[return-value]
        SlicingEnvironment(CONFIG, made[a:b], seed, needs[a - begin : b - begin])
        for a, b in ((begin, test), (test, len(made)))
    )


def without_forecast(environment: SlicingEnvironment) -> SlicingEnvironment:
    """The same environment for agents that have no forecaster."""
    return SlicingEnvironment(environment.config, environment.traffic, environment.seed)


def bound(seed: int, quick: bool, test: bool) -> float:
    """Mean reward of the clairvoyant bound at the paper's load, on the test or on what the agents train with."""

    def made() -> float:
        environment = without_forecast(world(PAPER_LOAD, seed, quick)[test])
        return float(evaluate(environment, foreseeing(rules.clairvoyant)).reward.mean())

    about = {"piece": f"{'test' if test else 'training'} {seed}", **sizes(quick)}
    return float(kept("slicing-bounds", about, AGENT_SOURCES, made))


def agent_of(name: str, slices: int, seed: int) -> DDPG | DQN:
    """A fresh agent of a method."""
    return DQN(DQNConfig(), slices, seed) if name == "MADQN" else DDPG(DDPGConfig(), slices, seed)


def learn(
    name: str, environment: SlicingEnvironment, seed: int, quick: bool, **changes: Any
) -> tuple[Any, TrainingHistory]:
    """An agent of a method, trained at the paper's load, and what its training was like.

    Args:
        changes: of `PolicyTrainingConfig`.
    """
    steps = sizes(quick)["training"]
    config = PolicyTrainingConfig(steps=steps, federated=name != "MADQN", **changes)
    agent = agent_of(name, environment.slices, seed)

    def trained() -> dict[str, Any]:
        shown = environment if name == "DT-MAFL" else without_forecast(environment)
        history = train(shown, agent, config, seed)
        weights = np.asarray(agent.network.flat() if isinstance(agent, DQN) else agent.weights(), "<f4")
        return {
            "weights": base64.b64encode(weights.tobytes()).decode(),
            "reward": np.round(history.reward, 5).tolist(),
            "loss": [None if np.isnan(one) else float(f"{one:.4g}") for one in history.loss],
            "traffic": history.traffic,
        }

    about = {"piece": f"{name} {seed} {changes or ''}", **sizes(quick), "training config": config.model_dump()}
    made = kept("slicing-agents", about, AGENT_SOURCES, trained)
    weights = np.frombuffer(base64.b64decode(made["weights"]), "<f4").reshape(environment.slices, -1)
    if isinstance(agent, DQN):
        agent.network.load_flat(weights.copy())
    else:
        agent.load_weights(weights.copy())
    loss = [float("nan") if one is None else one for one in made["loss"]]
    return agent, TrainingHistory(made["reward"], loss, made["traffic"])
