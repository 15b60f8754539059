# SPDX-License-Identifier: Apache-2.0
"""Gradient steps per second of ir_drl's SAC and of stable-baselines3's, in turns, against what the cores could do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import torch
from harness import Axis, Goal, Options, Result, interval, main

from ir_drl.sac import SAC, SACConfig, UniformSampler
from ir_dynamics.replay_buffer import ReplayBuffer
from ir_dynamics.transitions import Transition, TransitionLayout

HOPPER = TransitionLayout(num_state=11, num_action=3)
STORED = 20_000
GOAL = 1.5


def flops(config: SACConfig, layout: TransitionLayout) -> int:
    """Floating-point operations of the matrix products that one update cannot do without.

    With F the sum over layers of 2 batch inputs outputs, a network costs F forward, F for its weights' gradients and F
    without the first layer for its inputs'. Forward: the actor twice (s and s'), two targets, two critics, two critics
    again at the new action. Back: weights and inputs of two critics, inputs of two critics for the actor's gradient (of
    the first layer the action's columns only), weights and inputs of the actor.
    """

    def layers(first: int, last: int) -> list[int]:
        widths = [first, *config.hidden, last]
        return [2 * config.batch * a * b for a, b in pairwise(widths)]

    actor = layers(layout.num_state, 2 * layout.num_action)
    critic = layers(layout.num_state + layout.num_action, 1)
    to_action = 2 * config.batch * layout.num_action * config.hidden[0]
    critics = 2 * (3 * sum(critic) + sum(critic) + sum(critic[1:]) + sum(critic[1:]) + to_action)
    return critics + 2 * sum(actor) + sum(actor) + sum(actor[1:])


def product_rate(config: SACConfig, seconds: float) -> float:
    """FLOP/s of the update's commonest product, [batch, 256] by [256, 256] for two networks: median of short runs."""
    width = config.hidden[-1]
    left, right = torch.randn(2, config.batch, width), torch.randn(2, width, width)
    out, rates = torch.empty(2, config.batch, width), []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        for _ in range(20):
            torch.bmm(left, right, out=out)
        rates.append(20 * 2 * out.numel() * width / (time.perf_counter() - began))
    return float(np.median(rates))


def transitions(seed: int) -> Transition:
    """Made-up experience; its content does not change the time an update takes."""
    rng, n = np.random.default_rng(seed), STORED
    return Transition(
        state=rng.normal(size=(n, HOPPER.num_state)),
        action=rng.uniform(-1, 1, (n, HOPPER.num_action)),
        reward=rng.normal(size=n),
        next_state=rng.normal(size=(n, HOPPER.num_state)),
        terminated=rng.random(n) < 0.01,
    )


def ours(config: SACConfig, seed: int) -> Callable[[int], None]:
    """A function that does that many updates of our agent."""
    agent, buffer = SAC(config, HOPPER, seed), ReplayBuffer(HOPPER, STORED)
    buffer.add(HOPPER.pack(transitions(seed)))
    sampler = UniformSampler(buffer, agent.random["replay"])

    def updates(count: int) -> None:
        for _ in range(count):
            agent.update(sampler)

    return updates


def theirs(config: SACConfig, seed: int) -> Callable[[int], None]:
    """A function that does that many updates of stable-baselines3's SAC with the same network, batch and rates."""
    import stable_baselines3

    agent = stable_baselines3.SAC(
        "MlpPolicy",
        Spaces(),
        learning_rate=config.learning_rate,
        buffer_size=STORED,
        batch_size=config.batch,
        policy_kwargs={"net_arch": list(config.hidden)},
        seed=seed,
        device="cpu",
    )
    agent.set_logger(stable_baselines3.common.logger.configure(None, []))
    data = transitions(seed)
    one: list[dict[str, Any]] = [{}]
    for i in range(STORED):
        state, action, reward, following, terminated = (np.asarray(part)[i : i + 1] for part in data[:5])
        agent.replay_buffer.add(state, following, action, reward, terminated, one)
    return lambda count: agent.train(count, config.batch)


class Spaces(gymnasium.Env[Any, Any]):
    """An environment that is never stepped: the widths of Hopper-v5."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (HOPPER.num_state,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (HOPPER.num_action,), np.float32)


def measure(agents: dict[str, Callable[[int], None]], seconds: float, count: int) -> dict[str, list[float]]:
    """Updates per second of each agent, in turns of ``count`` updates, three turns or more."""
    rates: dict[str, list[float]] = {name: [] for name in agents}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(rates["ir_drl"]) < 3:
        for name, updates in agents.items():
            updates(3)  # warm its caches
            began = time.perf_counter()
            updates(count)
            rates[name].append(count / (time.perf_counter() - began))
    return rates


def run(options: Options) -> Result:
    """One core, then all."""
    config, seconds, count = SACConfig(), 8.0 if options.quick else 60.0, 10 if options.quick else 50
    work = flops(config, HOPPER)
    cores = sorted({1, len(os.sched_getaffinity(0))})
    names = ("ir_drl", "stable-baselines3", "bound by matrix products")
    means: dict[str, list[dict[str, list[float]]]] = {name: [] for name in names}
    tables: dict[str, Any] = {"flop_per_update": work, "load_average_at_start": os.getloadavg()}
    ratio = 0.0
    for threads in cores:
        torch.set_num_threads(threads)
        agents = {"ir_drl": ours(config, options.first_seed), "stable-baselines3": theirs(config, options.first_seed)}
        rates = measure(agents, seconds, count)
        delivered = product_rate(config, 0.5 if options.quick else 3.0)
        pairs = np.array(rates["ir_drl"]) / np.array(rates["stable-baselines3"])
        ratio = float(np.median(pairs))
        for name in agents:
            means[name].append(interval(np.array(rates[name])[:, None]))
        means[names[2]].append(interval([[delivered / work]]))
        tables[f"{threads} thread(s)"] = {
            "median_updates_per_second": {name: float(np.median(values)) for name, values in rates.items()},
            "turns": len(pairs),
            "ratio_median": ratio,
            "ratio_quartiles": np.percentile(pairs, [25, 75]),
            "matrix_product_gflop_per_second": delivered / 1e9,
            "bound_updates_per_second": delivered / work,
            "share_of_bound": float(np.median(rates["ir_drl"])) * work / delivered,
        }
    series = {
        name: {key: [point[key][0] for point in points] for key in ("mean", "ci95")} for name, points in means.items()
    }
    return Result(
        x=Axis("threads", "", cores),
        y="gradient steps/s",
        series=series,
        parameters={
            "sac": config.model_dump(),
            "observations": HOPPER.num_state,
            "actions": HOPPER.num_action,
            "updates_a_turn": count,
            "torch": torch.__version__,
            "seeds": "one: the intervals are over turns",
        },
        goals=[Goal(f"speed relative to stable-baselines3, {cores[-1]} threads", f">= {GOAL}", ratio, ratio >= GOAL)],
        tables=tables,
    )


if __name__ == "__main__":
    main("drl-speed", run, seeds=1, quick_seeds=1)
