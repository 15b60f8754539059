# SPDX-License-Identifier: Apache-2.0
"""How long the risk to go is to be fitted: falls of an exploring hopper under the twin, in the simulator alone."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the twin node does, before NumPy

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from harness import Axis, Goal, Options, Result, interval, main

from ir_drl.environments.task_env import TaskEnv
from ir_drl.policies import make_policy
from ir_dynamics.dynamics_config import EnsembleConfig, FittingConfig, RiskConfig
from ir_dynamics.ensemble import Ensemble
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.predict_network import PredictionError
from ir_dynamics.risk_trainer import RiskTrainer
from ir_dynamics.termination_labels import TerminationLabels
from ir_dynamics.transitions import Rows, TransitionMaker, layout_of
from ir_sim.tasks import HopperHop
from ir_twin.judgement import judge
from ir_twin.robot_twin import RobotTwin
from ir_twin.task_twin import TaskTwin
from ir_twin.twin_config import VetoConfig

HOPPER = HopperHop()
LAYOUT = layout_of("ensemble", len(HOPPER.observation_names), len(HOPPER.action_names))
SETTINGS = yaml.safe_load((Path(__file__).parents[1] / "config" / "twin" / "risk_to_go.yaml").read_text())
CONFIG = VetoConfig.model_validate(
    {key: value for key, value in SETTINGS.items() if key in VetoConfig.model_fields} | {"mode": "enforce"}
)
EXPLORATION = 0.3
LATENCY = 0.006
"""s: an action takes effect up to so long after the state that it answers, as over the radio."""
MINUTE = round(60 / HOPPER.control_period)
TRANSITIONS = (3_500, 20_000)
STEPS = (60, 125, 250, 500, 1000, 2000)


def run(options: Options) -> Result:
    """Of each seed: what was gathered without the twin, fits of it, and other minutes with and without them."""
    torch.set_num_threads(1)
    steps, gathered = ((250,), (1_500,)) if options.quick else (STEPS, TRANSITIONS)
    played = MINUTE // 10 if options.quick else MINUTE
    without: list[int] = []
    falls: dict[int, list[list[int]]] = {count: [] for count in gathered}
    for seed in options.seed_list:
        _, rows = hop(seed, max(gathered))
        without.append(hop(seed + 1_000_000, played)[0])
        for count in gathered:
            falls[count].append([hop(seed + 1_000_000, played, watching(rows[:count], n, seed))[0] for n in steps])
            print(f"seed {seed}, {count} transitions: {falls[count][-1]}, without the twin {without[-1]}", flush=True)
    series = {f"learnt from {count:,} transitions": interval(falls[count]) for count in gathered}
    series["without the twin"] = interval([[count] * len(steps) for count in without])
    used = steps.index(RiskConfig().steps)
    off = int(np.sum(without))
    return Result(
        x=Axis("gradient steps of a fit", "", list(steps)),
        y="falls of the hopper in a minute",
        series=series,
        parameters={
            "exploration": EXPLORATION, "latency_seconds": LATENCY, "control_steps_played": played,
            "rule": CONFIG.model_dump(include={"rule", "risk_limit", "risk_candidates", "risk_spread"}),
            "networks": RiskConfig().model_dump(),
        },
        goals=[
            Goal(
                f"falls with a fit of {RiskConfig().steps} steps to {count:,} transitions",
                f"at most half of {off}, those without", got := int(np.sum([row[used] for row in falls[count]])),
                2 * got <= off,
            )
            for count in gathered
        ],
        tables={"falls": {str(count): rows for count, rows in falls.items()} | {"without": without}},
        draw=lambda axes: axes.set_xscale("log"),
    )  # fmt: skip


def watching(rows: Rows, steps: int, seed: int) -> RobotTwin:
    """A twin whose risk to go was fitted to rows for so many gradient steps; its limit is in force."""
    risk = RiskTrainer(RiskConfig(steps=steps), LAYOUT, seed)
    while risk.fresh is None:
        risk.step(rows, len(rows))
    network = replace(Ensemble(EnsembleConfig(), LAYOUT, seed).export(), to_go=risk.fresh)
    task = TaskTwin(HOPPER.name, LAYOUT, reward_window=100)
    error = PredictionError(0.0, 0.0, np.zeros(LAYOUT.num_observation))
    task.adopt(ModelVersion(HOPPER.name, 1, network, len(rows), steps, error, 0.0), CONFIG)
    task.risk_limit.value = CONFIG.risk_limit
    return RobotTwin("hopper", task, HOPPER.safe_action, HOPPER.clip)


def hop(seed: int, count: int, twin: RobotTwin | None = None) -> tuple[int, Rows]:
    """Falls over so many control steps, and the transitions whose outcome is known by then [n, width]."""
    env, rng = TaskEnv("hopper", latency=LATENCY), np.random.default_rng(seed)
    policy, reach = make_policy(env.task, seed=seed), (env.task.action_high - env.task.action_low) / 2
    chain, labels = TransitionMaker(LAYOUT), TerminationLabels(FittingConfig().risk_horizon, env.task.control_period)
    rows, falls = [], 0
    content: dict[str, Any] = {"terminated": True, "episode": 0}
    for _ in range(count):
        if content["terminated"] or content["truncated"]:
            observation, _ = env.reset(seed=int(rng.integers(2**31)))
            policy.reset(int(rng.integers(2**31)))
            content = {
                "episode": content["episode"] + 1, "step": 0, "observation": observation, "action": [], "reward": 0.0,
                "terminated": False, "truncated": False,
            }  # fmt: skip
            rows += labels.follow(chain.feed(**content), chain)
            if twin:
                twin.observe(0, HOPPER.name, **content)
        wanted = policy.act(content["observation"]) + EXPLORATION * reach * rng.normal(size=len(reach))
        action = env.task.clip(wanted)
        if twin:
            action = judge(twin, action, 0, CONFIG).sent
        observation, reward, terminated, truncated, _ = env.step(action.astype(np.float32))
        content |= {
            "step": content["step"] + 1, "observation": observation, "action": action, "reward": reward,
            "terminated": terminated, "truncated": truncated,
        }  # fmt: skip
        rows += labels.follow(chain.feed(**content), chain)
        if twin:
            twin.observe(0, HOPPER.name, **content)
        falls += terminated
    return falls, np.stack([LAYOUT.pack(row) for row in rows])


if __name__ == "__main__":
    main("twin-risk", run, seeds=4, quick_seeds=1)
