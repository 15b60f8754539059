# SPDX-License-Identifier: Apache-2.0
"""What learning costs on the network: raw data to one place, FedAvg with float32 weights, and compressed changes.

The three train at the paper's load on the same world and with the same forecasts. Raw data: each period every device's
traffic and the rate of a block on its link, two float32, go to the orchestrator, where one agent learns from all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from _kept_pieces import kept
from _slicing_worlds import AGENT_SOURCES, PAPER_LOAD, bound, learn, sizes, world
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray

from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.federation.averaging_server import ServerConfig
from ir_slicing.learning.federation.compression import CompressionConfig
from ir_slicing.learning.policy_training import PolicyTrainingConfig, TrainingHistory, asking, evaluate, train
from ir_slicing.learning.slicing_environment import SlicingEnvironment

Floats = NDArray[np.float64]
RAW, PLAIN, COMPRESSED = "raw data, one agent", "FedAvg, float32", "FedAvg, compressed"
FORMS = (RAW, PLAIN, COMPRESSED)
BYTES_A_DEVICE = 8
PERIOD = PolicyTrainingConfig().period


class Pooled(DDPG):
    """One agent for all slices, with the experience of all."""

    def __init__(self, seed: int) -> None:
        super().__init__(DDPGConfig(), 1, seed)

    def act(self, state: Floats, explore: bool = False) -> Floats:
        """[env, M, 3] -> [env, M]."""
        return super().act(state.reshape(-1, 1, state.shape[-1]), explore).reshape(state.shape[:2])

    def remember(self, state: Floats, action: Floats, reward: Floats, after: Floats) -> None:
        """As of `DDPG`."""
        rows, width = (-1, 1), state.shape[-1]
        super().remember(
            state.reshape(-1, 1, width), action.reshape(rows), reward.reshape(rows), after.reshape(-1, 1, width)
        )


def trained(form: str, environment: SlicingEnvironment, seed: int, quick: bool) -> tuple[DDPG, TrainingHistory]:
    """An agent and what its training cost."""
    if form == RAW:
        agent, steps = Pooled(seed), sizes(quick)["training"]
        history = train(environment, agent, PolicyTrainingConfig(steps=steps, federated=False), seed)
        each = environment.slices * environment.devices * BYTES_A_DEVICE
        return agent, TrainingHistory(history.reward, history.loss, [each * (step + 1) for step in range(steps)])
    if form == COMPRESSED:
        return learn("DT-MAFL", environment, seed, quick)
    return learn(
        "DT-MAFL", environment, seed, quick, server=ServerConfig(compression=CompressionConfig(form="float32"))
    )


def reached(reward: Floats, share: float = 0.95, width: int = 50) -> int:
    """First step at which the mean of the last ``width`` rewards is at ``share`` of that of the last tenth."""
    mean = np.convolve(reward, np.ones(width) / width, mode="valid")
    return int(np.argmax(mean >= share * np.mean(reward[-len(reward) // 10 :]))) + width - 1


def piece(form: str, seed: int, quick: bool) -> dict[str, Any]:
    """Reward on the test, bytes a round and until 95 % of the last reward, and the bytes and rewards of every step."""
    environment, test = world(PAPER_LOAD, seed, quick)
    agent, history = trained(form, environment, seed, quick)
    traffic, reward = np.array(history.traffic, float), np.array(history.reward)
    growth = np.diff(traffic, prepend=0.0)
    a_round = PERIOD * growth[-1] if form == RAW else float(np.median(growth[growth > 0.0]))
    return {
        "reward": float(evaluate(test, asking(agent)).reward.mean()),
        "round": a_round,
        "until": float(traffic[reached(reward)]),
        "all": float(traffic[-1]),
    }


def run(options: Options) -> Result:
    """All forms and seeds."""
    torch.set_num_threads(1)
    found = {
        form: [
            kept(
                "slicing-comm", {"piece": f"{form} {seed}", **sizes(options.quick)}, AGENT_SOURCES,
                lambda form=form, seed=seed: piece(form, seed, options.quick),  # type: ignore[misc]
            )
            for seed in options.seed_list
        ]
        for form in FORMS
    }  # fmt: skip
    mean = {form: {key: float(np.mean([one[key] for one in runs])) for key in runs[0]} for form, runs in found.items()}
    best = np.array([bound(seed, options.quick) for seed in options.seed_list])
    rewards = np.array([[one["reward"] for one in runs] for runs in found.values()])
    fewer = mean[PLAIN]["round"] / mean[COMPRESSED]["round"]
    lost = 100.0 * (1.0 - mean[COMPRESSED]["reward"] / mean[PLAIN]["reward"])
    return Result(
        Axis("", "", list(FORMS)),
        "kB a round of 20 periods, all slices, both ways",
        {"a round": interval_of(found, "round", 1e-3)},
        {**sizes(options.quick), "period": PERIOD, "compression": CompressionConfig().model_dump()},
        {"section IV-B": "O(l k^2) messages an iteration; no numbers"},
        [
            Goal("bytes of a round, float32 over compressed", "at least 10", f"{fewer:.1f}", fewer >= 10.0),
            Goal("reward lost by compression on the test", "at most 1 %", f"{lost:+.2f} %", lost <= 1.0),
        ],
        {
            "until 95 % of the last reward (kB)": interval_of(found, "until", 1e-3),
            "whole training (kB)": interval_of(found, "all", 1e-3),
            "reward on the test": interval_of(found, "reward", 1.0),
            "reward on the test, of the clairvoyant bound's (%)": interval(100.0 * (rewards / best).T),
        },
    )


def interval_of(found: dict[str, list[dict[str, float]]], key: str, factor: float) -> dict[str, list[float]]:
    """[form] of one number."""
    return interval(np.array([[factor * one[key] for one in runs] for runs in found.values()]).T)


if __name__ == "__main__":
    main("slicing-comm", run)
