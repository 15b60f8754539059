# SPDX-License-Identifier: Apache-2.0
"""How fast the agents of 6, 60 and 600 slices decide and learn: all in one batch, against one DDPG of
stable-baselines3 a slice, with networks, batch and replay of the same sizes, in the same run.

Beside it stands a report in the live agents, from plain data to requests, without forecasters and with one fitted for
each slice; and the messages of their node.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gymnasium
import numpy as np
import stable_baselines3
import torch
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from stable_baselines3.common.logger import Logger

from ir_common.ros_time import to_stamp
from ir_interfaces.msg import CellReport, SliceRequest
from ir_radio.books.cell_report import FlowCounters, FlowRow, LinkRow, Report, SliceRow
from ir_radio.books.histogram import Delay
from ir_radio.model.carrier import Carrier
from ir_radio.ros.ros_slice_messages import report_to_message
from ir_slicing.learning.agents.ddpg import DDPG, STATE, DDPGConfig
from ir_slicing.live.agents_engine import AgentsEngine
from ir_slicing.live.slice_agent_config import SliceAgentsConfig
from ir_slicing.ros.ros_cell_reports import report_from_message

CONFIG = DDPGConfig(actor_delay=0, replay=2000)
STORED = 256
WHAT = ("low pass in the forecast's place", "each with a forecaster")
"""Of a report in the live agents."""


class Nowhere(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """Spaces of a slice's agent; nobody steps it."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (STATE,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))


def batched(slices: int, seed: int) -> DDPG:
    """Agents of all slices with experience, past their warm-up."""
    rng, agent = np.random.default_rng(seed), DDPG(CONFIG, slices, seed)
    state = rng.standard_normal((STORED, slices, STATE))
    agent.remember(state, rng.uniform(-1, 1, (STORED, slices)), rng.random((STORED, slices)), state)
    return agent


def separate(seed: int) -> stable_baselines3.DDPG:
    """One slice's agent of stable-baselines3, likewise."""
    agent = stable_baselines3.DDPG(
        "MlpPolicy", Nowhere(), learning_rate=CONFIG.rate, buffer_size=CONFIG.replay, batch_size=CONFIG.batch,
        tau=CONFIG.target_rate, gamma=CONFIG.discount, policy_kwargs={"net_arch": list(CONFIG.hidden)}, seed=seed,
    )  # fmt: skip
    agent.set_logger(Logger(None, []))
    rng = np.random.default_rng(seed)
    for _ in range(STORED):
        state = rng.standard_normal((1, STATE)).astype(np.float32)
        done = np.array([False])
        agent.replay_buffer.add(state, state, rng.uniform(-1, 1, (1, 1)), rng.random(1), done, [{}])
    return agent


def live_report(slices: int, number: int) -> Report:
    """The ``number``-th report of a radio with one device in each slice, whose traffic is a wave of twelve reports."""
    sent = round(10 * number + 20 * np.sin(2 * np.pi * number / 12))
    counters = FlowCounters(sent, 10_000 * sent, sent, 10_000 * sent)
    delay, names = Delay(10, 2e-3, 2e-3, 4e-3, 4e-3), [f"slice_{k}" for k in range(slices)]
    rows = [SliceRow(n, "embb", 2.0, 4e7, 4e6, 4e6, 0.5, counters, Delay(), delay) for n in names]
    flows = [FlowRow(n, "cart", n, "uplink", counters, Delay()) for n in names]
    return Report(200_000_000 * number, 0.2, tuple(rows), tuple(flows), (LinkRow("cart", 5.0, 20.0, 1e6),))


def live(slices: int, forecasts: bool, quick: bool) -> tuple[float, float]:
    """Median processor time of a report in `AgentsEngine`, s, and the share of the slices whose forecast is in use.

    Args:
        slices: number of them.
        forecasts: each has a forecaster of its own, fitted to what it saw.
    """
    engine = AgentsEngine(SliceAgentsConfig(replay=200, twin=forecasts, history=300, epochs=1))
    engine.set_slices({f"slice_{k}": 0.05 for k in range(slices)})
    seen, measured, times = 310 if forecasts else 4, 20 if quick else 100, []
    for number in range(1, seen + measured):
        if forecasts and number == seen:
            engine.fit(slices)
        report = live_report(slices, number)
        began = time.thread_time()
        engine.report(report, 200.0)
        times.append(time.thread_time() - began)
    in_use = float(np.mean([one.in_use for one in engine.forecasters]))
    return float(np.median(times[seen + 4 :])), in_use


def beside(slices: int) -> dict[str, float]:
    """Processor time, ms, that the node of the agents spends on a report besides: its messages."""
    message = report_to_message(live_report(slices, 10), Carrier(), 1)
    data = serialize_message(message)

    def requests() -> None:
        for k in range(slices):
            request = SliceRequest(slice=f"slice_{k}", resource_blocks=2.0)
            request.header.stamp = to_stamp(200_000_000)
            serialize_message(request)

    return {
        "report from bytes (rclpy)": 1e3 * spent(lambda: deserialize_message(data, CellReport)),
        "plain data from the report": 1e3 * spent(lambda: report_from_message(message)),
        "requests to bytes": 1e3 * spent(requests),
    }


def spent(call: Callable[[], object], times: int = 20) -> float:
    """Median processor time of a call, s."""
    out = []
    for _ in range(times):
        began = time.thread_time()
        call()
        out.append(time.thread_time() - began)
    return float(np.median(out))


def shortest(call: Callable[[], object], seconds: float) -> float:
    """Median duration of a call, s, of as many as fit into ``seconds``, at least one."""
    times: list[float] = []
    while not times or sum(times) < seconds:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def run(options: Options) -> Result:
    """Medians for every number of slices, batched and apart, in turn; a seed is a repetition."""
    torch.set_num_threads(1)
    counts = [6, 60] if options.quick else [6, 60, 600]
    budget = 0.1 if options.quick else 0.3
    many = [separate(seed) for seed in range(counts[-1])]
    decide, learn, decide_apart, learn_apart = (np.zeros((options.seeds, len(counts))) for _ in range(4))
    for i, seed in enumerate(options.seed_list):
        for j, count in enumerate(counts):
            agent, state = batched(count, seed), np.random.default_rng(seed).standard_normal((1, count, STATE))
            agent.act(state)
            agent.update()
            decide[i, j] = shortest(lambda agent=agent, state=state: agent.act(state), budget)  # type: ignore[misc]
            learn[i, j] = shortest(agent.update, budget)

            def act_apart(count: int = count, state: NDArray[np.float64] = state) -> None:
                for m in range(count):
                    many[m].predict(state[0, m], deterministic=True)

            def learn_each(count: int = count) -> None:
                for one in many[:count]:
                    one.train(1, CONFIG.batch)

            decide_apart[i, j], learn_apart[i, j] = shortest(act_apart, 0.0), shortest(learn_each, 0.0)
    lives = np.array(
        [[[live(n, told, options.quick) for n in counts] for told in (False, True)] for _ in options.seed_list]
    )  # [seed, forecasts, count, (s, share in use)]
    reports, used = 1e3 * lives[..., 0], 100.0 * lives[:, 1, -1, 1]
    messages = beside(counts[-1])
    took = 1e3 * float(decide[:, -1].mean())
    return Result(
        Axis("slices", "", counts),
        "agent updates a second",
        {
            "all in one batch": interval(np.array(counts) / learn),
            "stable-baselines3, one a slice": interval(np.array(counts) / learn_apart),
        },
        {"agent": CONFIG.model_dump(), "threads": 1, "an update": "one gradient step of critic and actor, batch of 64"},
        {},
        [
            Goal(
                f"{counts[-1]} slices decide",
                "600 in under one period of 100 ms",
                f"{took:.2f} ms",
                took < 100.0 and counts[-1] >= 600,
            ),
            *(
                Goal(
                    f"a report of {counts[-1]} slices in the live agents, {what}, processor time",
                    "at most 10 ms for 600",
                    f"{took_report:.2f} ms",
                    took_report <= 10.0 and counts[-1] >= 600,
                )
                for what, took_report in zip(WHAT, reports[:, :, -1].mean(axis=0).tolist(), strict=True)
            ),
        ],
        {
            **{f"a report in the live agents, {what} (ms)": interval(reports[:, k]) for k, what in enumerate(WHAT)},
            f"of {counts[-1]} slices with forecasters, forecasts in use (%)": interval(used[:, None]),
            f"the node's messages for a report of {counts[-1]} slices, besides (ms)": messages,
            "decision of all slices (ms)": interval(1e3 * decide),
            "decision of all slices, apart (ms)": interval(1e3 * decide_apart),
            "update of all slices (ms)": interval(1e3 * learn),
            "update of all slices, apart (ms)": interval(1e3 * learn_apart),
            "step of all slices: decision and update (ms)": interval(1e3 * (decide + learn)),
            "step of all slices, apart (ms)": interval(1e3 * (decide_apart + learn_apart)),
            "updates, times as fast as apart": interval(learn_apart / learn),
        },
    )


if __name__ == "__main__":
    main("slicing-speed", run)
