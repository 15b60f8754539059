# SPDX-License-Identifier: Apache-2.0
"""MAFL Figs. 3 and 4: reward while the agents train, and reward, utilisation and satisfaction against users per slice.

Of every traffic the first half trains the slice twins, the next three tenths the agents, and the rest is the test, so
that no forecast the agents learn from or are judged by is of traffic its twin has seen. The agents are trained at the
middle load only; all loads are tested with the same weights.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import torch
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray

from ir_slicing.learning.agents import rules
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.agents.dqn import DQN, DQNConfig
from ir_slicing.learning.environment import EnvironmentConfig, SlicingEnvironment
from ir_slicing.learning.forecaster.network import TwinConfig
from ir_slicing.learning.forecaster.training import FitConfig, fit_twin
from ir_slicing.learning.foresight import forecast_needs
from ir_slicing.learning.traffic import TrafficConfig, generate
from ir_slicing.learning.training import History, Policy, TrainingConfig, asking, evaluate, foreseeing, train

Floats = NDArray[np.float64]
CONFIG = EnvironmentConfig()
LEARNT = ("DT-MAFL", "FL", "MADQN")
MEASURES = ("reward", "utilisation", "satisfaction")


def world(users: int, steps: int, seed: int, epochs: int) -> tuple[SlicingEnvironment, SlicingEnvironment]:
    """Training and test environment with the twins' forecasts."""
    traffic = generate(TrafficConfig(devices=users), steps, 1, seed)
    begin, test = steps // 2, steps * 8 // 10
    fit = FitConfig(epochs=epochs, train=0.85, validate=0.1, seed=seed)
    twin = TwinConfig(horizons=(1,))
    twins = [fit_twin(traffic[:begin, 0, m], twin, fit) for m in range(len(CONFIG.slices))]
    out = []
    for part in (traffic[begin:test], traffic[test:]):
        blind = SlicingEnvironment(CONFIG, part, seed)
        out.append(SlicingEnvironment(CONFIG, part, seed, forecast_needs(blind, twins)))
    return out[0], out[1]


def without_forecast(environment: SlicingEnvironment) -> SlicingEnvironment:
    """The same environment for agents that have no twin."""
    return SlicingEnvironment(environment.config, environment.traffic, environment.seed)


def learn(environment: SlicingEnvironment, steps: int, seed: int) -> tuple[dict[str, Any], dict[str, History]]:
    """The three learning methods, trained on one environment."""
    blind, count = without_forecast(environment), environment.slices
    agents: dict[str, Any] = {
        "DT-MAFL": DDPG(DDPGConfig(), count, seed),
        "FL": DDPG(DDPGConfig(), count, seed),
        "MADQN": DQN(DQNConfig(), count, seed),
    }
    history = {
        name: train(
            environment if name == "DT-MAFL" else blind,
            agent,
            TrainingConfig(steps=steps, federated=name != "MADQN"),
            seed,
        )
        for name, agent in agents.items()
    }
    return agents, history


def judge(environment: SlicingEnvironment, agents: dict[str, Any], reserved: Floats) -> dict[str, list[float]]:
    """[reward, utilisation, satisfaction] of every method on a test."""
    blind = without_forecast(environment)
    policies: dict[str, tuple[SlicingEnvironment, Policy]] = {
        name: (environment if name == "DT-MAFL" else blind, asking(agent)) for name, agent in agents.items()
    }
    policies |= {
        "NetShare": (blind, lambda e: rules.nvs(e, reserved)),
        "proportional": (blind, rules.proportional),
        "equal": (blind, rules.equal),
        "clairvoyant bound": (blind, foreseeing(rules.clairvoyant)),
    }
    return {n: [float(getattr(evaluate(e, p), m).mean()) for m in MEASURES] for n, (e, p) in policies.items()}


def run(options: Options) -> Result:
    """All seeds and loads."""
    torch.set_num_threads(1)
    quick = options.quick
    loads = [60, 100] if quick else [60, 80, 100, 120, 140]
    steps, training, epochs = (260, 320, 1) if quick else (4000, 1500, 12)
    results: list[list[dict[str, list[float]]]] = []
    histories: list[dict[str, History]] = []
    began = time.perf_counter()
    for seed in options.seed_list:
        worlds = {users: world(users, steps, seed, epochs) for users in loads}
        middle = worlds[100][0]
        agents, history = learn(middle, training, seed)
        reserved = np.mean([middle.need_at(step).blocks[0] for step in range(0, middle.steps, 5)], axis=0)
        results.append([judge(worlds[users][1], agents, reserved) for users in loads])
        histories.append(history)
        print(f"seed {seed}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return report(loads, results, histories, {"steps": steps, "training steps": training, "twin epochs": epochs})


def report(
    loads: list[int], results: list[list[dict[str, list[float]]]], histories: list[dict[str, History]],
    about: dict[str, Any],
) -> Result:  # fmt: skip
    """The result file: reward against load; utilisation, satisfaction and training curves as tables; the goals."""
    names = list(results[0][0])
    values = {n: np.array([[one[n] for one in run] for run in results]) for n in names}  # [seed, load, measure]
    tables: dict[str, Any] = {m: {n: interval(values[n][:, :, i]) for n in names} for i, m in enumerate(MEASURES) if i}
    chunk = max(1, about["training steps"] // 25)

    def curve(history: History, what: str) -> Floats:
        """Means over pieces of the training; NaN where there is no loss yet."""
        series = np.array(getattr(history, what))
        return series[: len(series) // chunk * chunk].reshape(-1, chunk).mean(axis=1)

    for what in ("reward", "loss"):
        tables[f"training {what}, every {chunk} steps"] = {
            n: interval([curve(one[n], what) for one in histories]) for n in LEARNT
        }
    bound, ours = values["clairvoyant bound"][:, :, 0], values["DT-MAFL"][:, :, 0]
    at = loads.index(100)
    share = 100.0 * float((ours / bound)[:, at].mean())
    others = {n: values[n][:, :, 0].mean(axis=0) for n in names if n not in ("DT-MAFL", "clairvoyant bound")}
    lead = ours.mean(axis=0) - np.max(list(others.values()), axis=0)
    ahead = [f"{users} users: {one:+.4f}" for users, one in zip(loads, lead, strict=True)]
    return Result(
        Axis("users per slice", "", loads),
        "mean reward (14)",
        {n: interval(values[n][:, :, 0]) for n in names},
        {
            **about,
            "environment": CONFIG.model_dump(),
            "traffic": TrafficConfig().model_dump(),
            "agent": DDPGConfig().model_dump(),
            "fitted": "device rates: 100 users a slice need three quarters of the carrier; learning rate: by hand",
        },
        {"Figs. 3, 4": "DT-MAFL above FL, MADQN and NetShare throughout, and stable first; no numbers in the text"},
        [
            Goal(
                "reward at 100 users a slice, of the clairvoyant bound's",
                "at least 95 %",
                f"{share:.1f} %",
                share >= 95.0,
            ),
            Goal("reward above the best baseline at every load", "> 0", ", ".join(ahead), bool((lead > 0).all())),
        ],
        tables,
    )


if __name__ == "__main__":
    main("slicing-fig4", run)
