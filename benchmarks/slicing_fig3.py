# SPDX-License-Identifier: Apache-2.0
"""MAFL Fig. 3: reward and loss while the agents of DT-MAFL, FL and MADQN train, at the paper's load."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from _slicing_worlds import CONFIG, LEARNT, PAPER_LOAD, learn, sizes, world
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray

from ir_slicing.learning.agents.ddpg import DDPGConfig
from ir_slicing.learning.training import History

PIECES = 25


def curve(history: History, what: str, chunk: int) -> NDArray[np.float64]:
    """Means over pieces of the training; NaN where there is no loss yet."""
    series = np.array(getattr(history, what))
    return np.asarray(series[: len(series) // chunk * chunk].reshape(-1, chunk).mean(axis=1))


def stable_from(rewards: NDArray[np.float64]) -> int:
    """First piece from which on a curve stays within 1 % of its last five pieces' mean."""
    off = np.abs(rewards / rewards[-5:].mean() - 1.0) > 0.01
    return int(np.max(np.flatnonzero(off), initial=-1)) + 1


def run(options: Options) -> Result:
    """All seeds."""
    torch.set_num_threads(1)
    steps = sizes(options.quick)["training"]
    chunk = max(1, steps // PIECES)
    rewards: dict[str, list[Any]] = {name: [] for name in LEARNT}
    losses: dict[str, list[Any]] = {name: [] for name in LEARNT}
    for seed in options.seed_list:
        environment = world(PAPER_LOAD, seed, options.quick)[0]
        for name in LEARNT:
            history = learn(name, environment, seed, options.quick)[1]
            rewards[name].append(curve(history, "reward", chunk))
            losses[name].append(curve(history, "loss", chunk))
    last = {name: float(np.mean([one[-5:] for one in runs])) for name, runs in rewards.items()}
    stable = {name: chunk * stable_from(np.mean(runs, axis=0)) for name, runs in rewards.items()}
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
                "first step from which on the reward stays within 1 % of its last",
                "DT-MAFL not after the others",
                ", ".join(f"{name} {one}" for name, one in stable.items()),
                stable["DT-MAFL"] <= min(stable.values()),
            ),
        ],
        {"loss (16)": {name: interval(runs) for name, runs in losses.items()}},
    )


if __name__ == "__main__":
    main("slicing-fig3", run)
