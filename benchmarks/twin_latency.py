# SPDX-License-Identifier: Apache-2.0
"""How long a verdict takes for 1, 8 and 64 robots in one batched call: percentiles over calls, by preset and rule."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the twin node does, before NumPy

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from harness import Axis, Goal, Options, Result, main

from ir_dynamics.dynamics_config import PRESETS, EnsembleConfig, RiskConfig
from ir_dynamics.ensemble import Ensemble
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.predict_network import PredictionError
from ir_dynamics.predict_trainer import PredictTrainer
from ir_dynamics.risk_trainer import RiskTrainer
from ir_dynamics.transitions import layout_of
from ir_sim.tasks import HopperHop
from ir_twin.judgement import judge_all
from ir_twin.robot_twin import RobotTwin
from ir_twin.task_twin import TaskTwin
from ir_twin.twin_config import VetoConfig

ROBOTS = (1, 8, 64)
GOALS = {1: 2e-3, 64: 5e-3}
CALLS = 5000
SECOND = 1_000_000_000
VETOED = 0.02
SETTINGS = yaml.safe_load((Path(__file__).parents[1] / "config" / "twin" / "risk_to_go.yaml").read_text())
RULES: dict[str, dict[str, Any]] = {
    "reward": {},
    "risk": {"rule": "risk"},
    "risk_to_go": {key: value for key, value in SETTINGS.items() if key in VetoConfig.model_fields},
}
"""What the veto has otherwise than by default."""
LAYOUTS = {preset: layout_of(preset, 11, 3) for preset in (*PRESETS, "ensemble")}


def network(preset: str, seed: int) -> Any:
    """An untrained network of a preset: its numbers do not change the time it takes."""
    layout = LAYOUTS[preset]
    if preset == "ensemble":
        risk, rows = RiskTrainer(RiskConfig(steps=1), layout, seed), np.zeros((10, layout.width), np.float32)
        risk.step(rows, len(rows))
        return replace(Ensemble(EnsembleConfig(), layout, seed).export(), to_go=risk.fresh)
    return PredictTrainer(PRESETS[preset], layout, seed).export()


def fleet(preset: str, count: int, config: VetoConfig, seed: int) -> list[RobotTwin]:
    """Twins of ``count`` hoppers in mid-episode."""
    hopper, layout, rng = HopperHop(), LAYOUTS[preset], np.random.default_rng(seed)
    task = TaskTwin(hopper.name, layout, reward_window=100)
    error = PredictionError(0.0, 0.0, np.zeros(layout.num_observation))
    task.adopt(ModelVersion(hopper.name, 1, network(preset, seed), 0, 0, error, 0.0), config)
    twins = [RobotTwin(f"hopper_{i}", task, hopper.safe_action, hopper.clip) for i in range(count)]
    for twin in twins:
        state = rng.normal(size=layout.num_observation)
        twin.observe(SECOND, hopper.name, episode=1, step=0, observation=state, action=[], reward=0, terminated=False)
    return twins


def measure(preset: str, rule: str, vetoed: float, count: int, options: Options) -> np.ndarray:
    """Seconds of each call, with a limit that vetoes about a share ``vetoed`` of the proposals."""
    config = VetoConfig.model_validate(RULES[rule] | {"mode": "enforce", "max_consecutive_vetoes": 0})
    twins, rng = fleet(preset, count, config, options.first_seed), np.random.default_rng(options.first_seed)
    task = twins[0].task
    task.threshold.value, task.risk_limit.value = -1e9, 1.0
    calls = min(300 if options.quick else CALLS, 10 * CALLS // count)
    proposals = rng.uniform(-1, 1, (calls, count, task.layout.num_action))
    first = [verdict for actions in proposals[:100] for verdict in judge_all(twins, list(actions), SECOND, config)]
    task.threshold.value = float(np.quantile([v.predicted_reward for v in first], vetoed))
    risks = [v.risk for v in first if np.isfinite(v.risk)]
    task.risk_limit.value = float(np.quantile(risks, 1 - vetoed)) if risks else 1.0
    if vetoed == 1.0:
        task.risk_limit.value, task.threshold.value = -1.0, 1e9
    seconds = np.empty(calls)
    for i, actions in enumerate(proposals):
        given = list(actions)
        began = time.perf_counter()
        judge_all(twins, given, SECOND, config)
        seconds[i] = time.perf_counter() - began
    return seconds


def run(options: Options) -> Result:
    """All presets and rules."""
    torch.set_num_threads(1)
    cases = {
        "live, reward": ("live", "reward", VETOED),
        "paper, reward": ("paper", "reward", VETOED),
        "ensemble, reward": ("ensemble", "reward", VETOED),
        "ensemble, risk": ("ensemble", "risk", VETOED),
        "ensemble, risk to go": ("ensemble", "risk_to_go", VETOED),
        "ensemble, risk, all vetoed": ("ensemble", "risk", 1.0),
        "ensemble, risk to go, all vetoed": ("ensemble", "risk_to_go", 1.0),
    }
    series: dict[str, Any] = {}
    table: dict[str, Any] = {}
    goals = []
    for name, case in cases.items():
        table[name] = {}
        for count in ROBOTS:
            p50, p99, p999 = np.percentile(measure(*case, count, options), [50, 99, 99.9]) * 1e3
            table[name][count] = {"p50_ms": p50, "p99_ms": p99, "p99.9_ms": p999}
            if count in GOALS:
                goal = GOALS[count] * 1e3
                goals.append(Goal(f"p99 of {count} robots, {name}", f"< {goal:g} ms", round(p99, 3), p99 < goal))
        p99 = [table[name][count]["p99_ms"] for count in ROBOTS]
        series[name] = {"mean": p99, "ci95": [0.0] * len(ROBOTS)}
    return Result(
        x=Axis("robots in one call", "", list(ROBOTS)),
        y="p99 of a call (ms)",
        series=series,
        parameters={
            "layouts": {preset: [layout.num_state, layout.num_action] for preset, layout in LAYOUTS.items()},
            "calls": f"{CALLS}, fewer for many robots",
            "share_vetoed": VETOED,
            "risk_steps": VetoConfig().risk_steps,
            "risk_candidates": {
                "risk": VetoConfig().risk_candidates,
                "risk_to_go": RULES["risk_to_go"]["risk_candidates"],
            },
            "load_average": os.getloadavg(),
            "real_time_scheduling": os.sched_getscheduler(0) == os.SCHED_FIFO,
            "seeds": "one: percentiles are over calls",
        },
        goals=goals,
        tables={"latency": table},
        draw=lambda axes: axes.set_yscale("log"),
    )


if __name__ == "__main__":
    main("twin-latency", run, seeds=1, quick_seeds=1)
