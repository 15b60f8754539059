# SPDX-License-Identifier: Apache-2.0
"""The worlds and agents that the figures of slicing share: made once, kept, and the same for all of them.

Of every traffic the first half trains the slice forecasters, the next three tenths the agents, and the rest is the
test, so that no forecast the agents learn from or are judged by is of traffic its forecaster has seen. The agents are
trained at 100 users a slice only, the paper's load; all loads are tested with the same weights.
"""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from _kept_pieces import kept
from numpy.typing import NDArray

from ir_slicing.learning.agents import rules
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.agents.dqn import DQN, DQNConfig
from ir_slicing.learning.correction import CORRECTION_STATE, CorrectedEnvironment, CorrectionConfig
from ir_slicing.learning.device_traffic import TrafficConfig, generate
from ir_slicing.learning.forecaster.fitting import FitConfig
from ir_slicing.learning.forecaster.forecaster_network import ForecasterConfig
from ir_slicing.learning.forecaster.staged import fit_forecaster
from ir_slicing.learning.need_forecast import forecast_needs
from ir_slicing.learning.policy_training import (
    PolicyTrainingConfig,
    TrainingHistory,
    asking,
    evaluate,
    foreseeing,
    train,
)
from ir_slicing.learning.slicing_environment import EnvironmentConfig, SlicingEnvironment

Floats = NDArray[np.float64]
CONFIG = EnvironmentConfig()
LEARNT = ("DT-MAFL", "FL", "MADQN")
CORRECTIONS = "DT-MAFL, corrections"
PAPER_LOAD = 100
PROBED, PROBE_EVERY = 60, 30
"""Steps of the test on which agents are judged while they train, and steps of the training between two judgements."""


@dataclass(frozen=True)
class Method:
    """How the agents of a method learn; each differs in one thing from another."""

    forecast: bool = True
    federated: bool = True
    values: bool = False
    """DQN over levels of the action, in place of DDPG."""
    corrects: bool = False
    """Agents correct the request of the rule forecast, in place of changing their bandwidth."""


METHODS = {
    "DT-MAFL": Method(),
    CORRECTIONS: Method(corrects=True),
    "FL": Method(forecast=False),
    "DT-MAFL, not federated": Method(federated=False),
    "MADQN, with the forecast": Method(federated=False, values=True),
    "MADQN": Method(forecast=False, federated=False, values=True),
}
MARGIN = 1.05
"""Of the rule that corrections start from, on the need: the best of 1 to 1.2 in steps of 0.025 on seed 11."""
WORLD_SOURCES = ("forecaster", "device_traffic.py", "need_forecast.py", "slicing_environment.py", "satisfaction.py")
AGENT_SOURCES = (
    *WORLD_SOURCES, "agents", "federation", "policy_training.py", "../allocation/carrier_sharing.py", "correction.py",
)  # fmt: skip


def sizes(quick: bool) -> dict[str, int]:
    """Steps of traffic, training steps, epochs of the forecasters' parts and their batch of windows.

    No epochs for the attention: on this traffic its gate is 0, the forecasts are the same and take half the time. No
    trees, either (`world`): live forecasters have none.
    """
    if quick:
        return {"steps": 260, "training": 320, "epochs": 1, "graph epochs": 0, "batch": 16}
    return {"steps": 3000, "training": 1500, "epochs": 1, "graph epochs": 0, "batch": 16}


def traffic(users: int, seed: int, quick: bool) -> tuple[NDArray[np.float32], int, int]:
    """[step, 1, slice, device], and where the agents' part and the test begin."""
    steps = sizes(quick)["steps"]
    return generate(TrafficConfig(devices=users), steps, 1, seed), steps // 2, steps * 8 // 10


def world(users: int, seed: int, quick: bool) -> tuple[SlicingEnvironment, SlicingEnvironment]:
    """Training and test environment with the slice forecasters' forecasts."""
    made, begin, test = traffic(users, seed, quick)
    size = sizes(quick)

    def forecasts() -> dict[str, Any]:
        parts = {"epochs": size["epochs"], "graph_epochs": size["graph epochs"], "batch": size["batch"]}
        fit = FitConfig(train=0.85, validate=0.1, seed=seed, **parts)
        form = ForecasterConfig(horizons=(1,), trees=0)
        forecasters = [fit_forecaster(made[:begin, 0, m], form, fit) for m in range(len(CONFIG.slices))]
        blind = SlicingEnvironment(CONFIG, made[begin:], seed)
        needs = forecast_needs(blind, forecasters, start=begin)
        return {"blocks": needs.blocks.round(4).tolist(), "quantiles": needs.quantiles.round(4).tolist()}

    about = {"piece": f"world {users} {seed}", **size, "config": CONFIG.model_dump(exclude={"overload"})}
    needs = {name: np.array(one) for name, one in kept("slicing-worlds", about, WORLD_SOURCES, forecasts).items()}
    parts = ((begin, test), (test, len(made)))
    told = [[needs[name][a - begin : b - begin] for name in ("blocks", "quantiles")] for a, b in parts]
    return tuple(  # type: ignore[return-value]
        SlicingEnvironment(CONFIG, made[a:b], seed, *one) for (a, b), one in zip(parts, told, strict=True)
    )


def without_forecast(environment: SlicingEnvironment) -> SlicingEnvironment:
    """The same environment for agents that have no forecaster."""
    return SlicingEnvironment(environment.config, environment.traffic, environment.seed)


def bound(seed: int, quick: bool, steps: int | None = None) -> float:
    """Mean reward of the clairvoyant bound at the paper's load, on the test or its first steps."""

    def made() -> float:
        environment = without_forecast(world(PAPER_LOAD, seed, quick)[1])
        return float(evaluate(environment, foreseeing(rules.clairvoyant), steps).reward.mean())

    about = {"piece": f"test {seed}", "of it": steps, **sizes(quick)}
    return float(kept("slicing-bounds", about, AGENT_SOURCES, made))


def shown_to(method: Method, environment: SlicingEnvironment) -> SlicingEnvironment:
    """The environment as the agents of a method see it."""
    if not method.forecast:
        return without_forecast(environment)
    if not method.corrects:
        return environment
    e = environment
    made = CorrectedEnvironment(e.config, e.traffic, e.seed, e.forecast, e.quantiles, CorrectionConfig(margin=MARGIN))
    made.need_at = e.need_at  # type: ignore[method-assign]
    return made


def by_utility(environment: SlicingEnvironment) -> SlicingEnvironment:
    """The same environment in which requests beyond the carrier are shared by the slices' declared utilities."""
    made = copy.copy(environment)
    made.config = environment.config.model_copy(update={"overload": "utility"})
    return made


def agent_of(method: Method, slices: int, seed: int) -> DDPG | DQN:
    """A fresh agent of a method."""
    if method.values:
        return DQN(DQNConfig(), slices, seed)
    if method.corrects:
        return DDPG(DDPGConfig(first_weight=0.0), slices, seed, CORRECTION_STATE)
    return DDPG(DDPGConfig(), slices, seed)


def learn(
    name: str, environment: SlicingEnvironment, seed: int, quick: bool, test: SlicingEnvironment | None = None,
    **changes: Any,
) -> tuple[Any, TrainingHistory]:  # fmt: skip
    """An agent of one of the `METHODS`, trained at the paper's load, and what its training was like.

    Args:
        test: on whose first `PROBED` steps it is judged without exploration every `PROBE_EVERY` steps; None: it is not.
        changes: of `PolicyTrainingConfig`.
    """
    steps, method = sizes(quick)["training"], METHODS[name]
    config = PolicyTrainingConfig(steps=steps, federated=method.federated, **changes)
    agent = agent_of(method, environment.slices, seed)

    def trained() -> dict[str, Any]:
        looked = shown_to(method, environment if test is None else test)
        history = train(
            shown_to(method, environment), agent, config, seed,
            None if test is None else lambda: float(evaluate(looked, asking(agent), PROBED).reward.mean()), PROBE_EVERY,
        )  # fmt: skip
        weights = np.asarray(agent.network.flat() if isinstance(agent, DQN) else agent.weights(), "<f4")
        return {
            "weights": base64.b64encode(weights.tobytes()).decode(),
            "reward": np.round(history.reward, 5).tolist(),
            "loss": [None if np.isnan(one) else float(f"{one:.4g}") for one in history.loss],
            "traffic": history.traffic,
            "probes": np.round(history.probes, 5).tolist(),
        }

    about = {
        "piece": f"{name} {seed} {changes or ''}",
        **sizes(quick),
        "training config": config.model_dump(),
        "margin": MARGIN,
        "probed": [] if test is None else [PROBED, PROBE_EVERY],
    }
    made = kept("slicing-agents", about, AGENT_SOURCES, trained)
    weights = np.frombuffer(base64.b64decode(made["weights"]), "<f4").reshape(environment.slices, -1)
    if isinstance(agent, DQN):
        agent.network.load_flat(weights.copy())
    else:
        agent.load_weights(weights.copy())
    loss = [float("nan") if one is None else one for one in made["loss"]]
    return agent, TrainingHistory(made["reward"], loss, made["traffic"], made["probes"])
