# SPDX-License-Identifier: Apache-2.0
"""MAFL Fig. 3: reward and loss while the agents of DT-MAFL, FL and MADQN train, at the paper's load.

The agents are judged without exploration, on traffic that they do not train on, every so many steps; so neither the
random actions of the first 400 steps nor their end decides who is stable first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from _slicing_worlds import CONFIG, CORRECTIONS, LEARNT, PAPER_LOAD, PROBE_EVERY, PROBED, bound, learn, sizes, world
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray

from ir_slicing.learning.agents.ddpg import DDPGConfig
from ir_slicing.learning.policy_training import TrainingHistory

METHODS_SHOWN = (*LEARNT, CORRECTIONS)
WINDOW = 5
"""Judgements of the running mean whose stability counts."""
BAND = 0.02
"""It is stable while it stays this close to its final value, relative."""


def losses_of(history: TrainingHistory) -> NDArray[np.float64]:
    """Means of the loss between two judgements; NaN where there is none yet."""
    series = np.array(history.loss)
    return np.asarray(series[: len(series) // PROBE_EVERY * PROBE_EVERY].reshape(-1, PROBE_EVERY).mean(axis=1))


def stable_from(history: TrainingHistory) -> int:
    """First step from which on the running mean of `WINDOW` judgements stays within `BAND` of its final value.

    Its final value is the mean of the last fifth of the judgements.
    """
    rewards = np.array(history.probes)
    window = max(1, min(WINDOW, len(rewards) // 5))
    running = np.convolve(rewards, np.full(window, 1.0 / window), mode="valid")  # [i]: judgements i to i + window - 1
    off = np.abs(running / rewards[-max(1, len(rewards) // 5) :].mean() - 1.0) > BAND
    return PROBE_EVERY * (int(np.max(np.flatnonzero(off), initial=-1)) + 1 + window)


def run(options: Options) -> Result:
    """All seeds."""
    torch.set_num_threads(1)
    rewards: dict[str, list[Any]] = {name: [] for name in METHODS_SHOWN}
    losses: dict[str, list[Any]] = {name: [] for name in METHODS_SHOWN}
    stable: dict[str, list[int]] = {name: [] for name in METHODS_SHOWN}
    for seed in options.seed_list:
        environment, test = world(PAPER_LOAD, seed, options.quick)
        for name in METHODS_SHOWN:
            history = learn(name, environment, seed, options.quick, test)[1]
            rewards[name].append(np.array(history.probes))
            losses[name].append(losses_of(history))
            stable[name].append(stable_from(history))
    best = np.array([bound(seed, options.quick, PROBED) for seed in options.seed_list])
    fifth = max(1, len(rewards["FL"][0]) // 5)
    of_bound = {name: 100.0 * np.array([one[-fifth:].mean() for one in runs]) / best for name, runs in rewards.items()}
    last = {name: float(np.mean([one[-fifth:] for one in runs])) for name, runs in rewards.items()}
    first = {name: float(np.mean(runs)) for name, runs in stable.items()}
    return Result(
        Axis("step", "", [PROBE_EVERY * (i + 1) for i in range(len(rewards["FL"][0]))]),
        "mean reward (14) on other traffic, without exploration",
        {name: interval(runs) for name, runs in rewards.items()},
        {
            **sizes(options.quick),
            "environment": CONFIG.model_dump(),
            "agent": DDPGConfig().model_dump(),
            "judged on (steps)": PROBED,
            "every (steps)": PROBE_EVERY,
        },
        {"Fig. 3": "DT-MAFL has the highest reward and the lowest loss, and is stable first; no numbers in the text"},
        [
            Goal(
                "highest reward of the last fifth of the training",
                "DT-MAFL",
                ", ".join(f"{name} {last[name]:.4f}" for name in LEARNT),
                max(LEARNT, key=lambda name: last[name]) == "DT-MAFL",
            ),
            Goal(
                f"first step from which on the mean of {WINDOW} judgements stays within {BAND:.0%} of its final value",
                "DT-MAFL not after the others",
                ", ".join(f"{name} {first[name]:.0f}" for name in LEARNT),
                first["DT-MAFL"] <= min(first[name] for name in LEARNT),
            ),
            Goal(
                "the same, of agents that correct a rule",
                "not after FL and MADQN",
                ", ".join(f"{name} {first[name]:.0f}" for name in (CORRECTIONS, "FL", "MADQN")),
                first[CORRECTIONS] <= min(first["FL"], first["MADQN"]),
            ),
        ],
        {
            "reward of the last fifth, of the clairvoyant bound's mean (%)": {
                name: interval(shares[:, None]) for name, shares in of_bound.items()
            },
            "loss (16)": {name: interval(runs) for name, runs in losses.items()},
            "stable from step": {
                name: {"seeds": runs, **interval(np.array([runs]).T)} for name, runs in stable.items()
            },
        },
    )


if __name__ == "__main__":
    main("slicing-fig3", run)
