# SPDX-License-Identifier: Apache-2.0
"""How fast the agents of 6, 60 and 600 slices decide and learn, all in one batch against one agent a slice."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from harness import Axis, Goal, Options, Result, interval, main

from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig


def median_time(call: Callable[[], object], seconds: float) -> float:
    """Median duration of a call, s, of as many as fit into ``seconds``; at least three, after one to warm up."""
    call()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def filled(slices: int, seed: int) -> DDPG:
    """An agent with experience, past its warm-up."""
    rng, agent = np.random.default_rng(seed), DDPG(DDPGConfig(actor_delay=0, replay=2000), slices, seed)
    state = rng.standard_normal((256, slices, 3))
    agent.remember(state, rng.uniform(-1, 1, (256, slices)), rng.random((256, slices)), state)
    return agent


def run(options: Options) -> Result:
    """Medians for every number of slices, batched and apart, in turn."""
    torch.set_num_threads(1)
    counts = [6, 60] if options.quick else [6, 60, 600]
    budget = 0.2 if options.quick else 1.0
    act, learn, apart = (np.zeros((len(options.seed_list), len(counts))) for _ in range(3))
    for i, seed in enumerate(options.seed_list):
        for j, count in enumerate(counts):
            agent, state = filled(count, seed), np.random.default_rng(seed).standard_normal((1, count, 3))
            act[i, j] = median_time(lambda agent=agent, state=state: agent.act(state), budget)  # type: ignore[misc]
            learn[i, j] = median_time(agent.update, budget)
            one = filled(1, seed)
            apart[i, j] = count * median_time(one.update, budget)  # all alike, so one is timed
    goal = 1e3 * float(act[:, -1].mean())
    ratio = apart / learn
    return Result(
        Axis("slices", "", counts),
        "slices updated a second",
        {"batched": interval(np.array(counts) / learn), "one agent a slice": interval(np.array(counts) / apart)},
        {"agent": DDPGConfig().model_dump(), "threads": 1},
        {},
        [Goal(f"{counts[-1]} slices decide", "under 100 ms", f"{goal:.2f} ms", goal < 100.0 and counts[-1] >= 600)],
        {
            "decision (ms)": interval(1e3 * act),
            "update of all slices (ms)": interval(1e3 * learn),
            "batched against apart (times as fast)": interval(ratio),
        },
    )


if __name__ == "__main__":
    main("slicing-speed", run)
