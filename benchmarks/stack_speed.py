# SPDX-License-Identifier: Apache-2.0
"""How fast the stack runs in the model's time on one core, by the number of robots and by what is switched on."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy, as `ir_lab` has it in a run of its own

import tempfile
from pathlib import Path

import numpy as np
import yaml
from _stack_runs import fleet, simulate
from harness import Axis, Goal, Options, Result, interval, main

ROBOTS = (1, 3, 6, 12, 30)
JUDGING_GOAL, LEARNING_GOAL, THIRTY_GOAL = 8.0, 3.0, 1.0


def practised(folder: Path, seconds: float) -> Path:
    """Settings of a twin that has learnt, in a run of its own."""
    settings = folder / "twin.yaml"
    settings.write_text(yaml.safe_dump({"checkpoints": str(folder / "checkpoints")}))
    simulate(["seed:=99", f"duration:={seconds}", f"twin_settings:={settings}", "twin:=shadow"])
    return settings


def run(options: Options) -> Result:
    """Simulated seconds per second of processor time."""
    robots = ROBOTS[:2] if options.quick else ROBOTS
    seconds = 3.0 if options.quick else 20.0
    with tempfile.TemporaryDirectory() as name:
        settings = practised(Path(name), 10.0 if options.quick else 60.0)
        ways = {
            "physics, sensors, control; radio and twin off": ["radio:=off", "twin:=off", "learning_steps:=0"],
            "with the radio and its slices": ["twin:=off", "learning_steps:=0"],
            "with the twin judging": ["twin:=enforce", "learning_steps:=0", f"twin_settings:={settings}"],
            "with the twin judging and learning": ["twin:=enforce"],
        }
        rows: dict[str, list[list[float]]] = {way: [] for way in ways}
        for seed in options.seed_list:
            for way, words in ways.items():
                found = []
                for count in robots:
                    fixed = [fleet(count), f"duration:={seconds}", f"seed:={seed}"]
                    found.append(seconds / simulate([*words, *fixed])[1])
                rows[way].append(found)
    series = {way: interval(found) for way, found in rows.items()}
    at = {way: dict(zip(robots, np.mean(found, axis=0), strict=True)) for way, found in rows.items()}
    judging, learning = (at[f"with the twin judging{more}"] for more in ("", " and learning"))
    wanted = [("three robots, the twin judging", JUDGING_GOAL, judging[3])]
    wanted.append(("three robots, the twin judging and learning", LEARNING_GOAL, learning[3]))
    if 30 in robots:
        wanted.append(("thirty robots, the twin judging", THIRTY_GOAL, judging[30]))
    goals = [Goal(what, f">= {goal:g}", round(float(got), 1), bool(got >= goal)) for what, goal, got in wanted]
    share = {way: {count: round(1 / speed, 4) for count, speed in by.items()} for way, by in at.items()}
    return Result(
        Axis("robots", "", list(robots)),
        "simulated seconds per second of one core",
        series,
        {"simulated seconds": seconds, "gradient steps a simulated second": 50, "radio": "config/slices.yaml"},
        {},
        goals,
        {"processor seconds a simulated second": share},
    )


if __name__ == "__main__":
    main("stack-speed", run, seeds=3, quick_seeds=1)
