# SPDX-License-Identifier: Apache-2.0
"""MAFL Fig. 3: reward and loss while the agents of DT-MAFL, FL and MADQN train, at the paper's load."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from _slicing_worlds import CONFIG, LEARNT, PAPER_LOAD, bound, learn, sizes, world
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray

from ir_slicing.learning.agents.ddpg import DDPGConfig
from ir_slicing.learning.policy_training import TrainingHistory

PIECES = 25
WINDOW = 100
"""Steps of the running mean whose stability counts."""
BAND = 0.02
"""It is stable while it stays this close to its final value, relative."""


def curve(history: TrainingHistory, what: str, chunk: int) -> NDArray[np.float64]:
    """Means over pieces of the training; NaN where there is no loss yet."""
    series = np.array(getattr(history, what))
    return np.asarray(series[: len(series) // chunk * chunk].reshape(-1, chunk).mean(axis=1))


def stable_from(history: TrainingHistory) -> int:
    """First step from which on the running mean of the reward stays within `BAND` of its final value.

    The running mean is that of the last `WINDOW` steps, its final value that of the last fifth of the training.
    """
    rewards = np.array(history.reward)
    window = min(WINDOW, len(rewards) // 5)
    running = np.convolve(rewards, np.full(window, 1.0 / window), mode="valid")  # [i]: steps i to i + window - 1
    off = np.abs(running / rewards[-(len(rewards) // 5) :].mean() - 1.0) > BAND
    return int(np.max(np.flatnonzero(off), initial=-1)) + 1 + window


def run(options: Options) -> Result:
    """All seeds."""
    torch.set_num_threads(1)
    steps = sizes(options.quick)["training"]
    chunk = max(1, steps // PIECES)
    rewards: dict[str, list[Any]] = {name: [] for name in LEARNT}
    losses: dict[str, list[Any]] = {name: [] for name in LEARNT}
    stable: dict[str, list[int]] = {name: [] for name in LEARNT}
    for seed in options.seed_list:
        environment = world(PAPER_LOAD, seed, options.quick)[0]
        for name in LEARNT:
            history = learn(name, environment, seed, options.quick)[1]
            rewards[name].append(curve(history, "reward", chunk))
            losses[name].append(curve(history, "loss", chunk))
            stable[name].append(stable_from(history))
    best = np.array([bound(seed, options.quick, test=False) for seed in options.seed_list])
    of_bound = {name: 100.0 * np.array([one[-5:].mean() for one in runs]) / best for name, runs in rewards.items()}
    last = {name: float(np.mean([one[-5:] for one in runs])) for name, runs in rewards.items()}
    first = {name: float(np.mean(runs)) for name, runs in stable.items()}
    return Result(
        Axis("step", "", [chunk * (i + 1) for i in range(len(rewards["FL"][0]))]),
        "mean reward (14) while training, with exploration",
        {name: interval(runs) for name, runs in rewards.items()},
        {**sizes(options.quick), "environment": CONFIG.model_dump(), "agent": DDPGConfig().model_dump()},
        {"Fig. 3": "DT-MAFL has the highest reward and the lowest loss, and is stable first; no numbers in the text"},
        [
            Goal(
                "highest reward of the last fifth of the training",
                "DT-MAFL",
                ", ".join(f"{name} {one:.4f}" for name, one in last.items()),
                max(last, key=lambda name: last[name]) == "DT-MAFL",
            ),
            Goal(
                f"first step from which on the mean of {WINDOW} steps stays within {BAND:.0%} of its final value",
                "DT-MAFL not after the others",
                ", ".join(f"{name} {one:.0f}" for name, one in first.items()),
                first["DT-MAFL"] <= min(first.values()),
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
