# SPDX-License-Identifier: Apache-2.0
"""Share of the proposals in the first two seconds of a new stack that the twin tests, by what it begins with.

The whole stack runs in the model's time as `./ir up` starts it. It begins with the networks that are shipped; beside it
stand the same rule that begins with nothing, and the rule about rewards that begins with nothing.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from harness import Axis, Goal, Options, Result, interval, main

from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.simulate_arguments import parse
from ir_twin.bringup.arguments import share

ROBOTS = ("cart", "spider", "hopper")
SHIPPED = "as shipped"
BEGINNINGS: dict[str, dict[str, Any]] = {
    SHIPPED: {},
    "the same from nothing": {"practised": ""},
    "rule reward from nothing": {"rule": "reward", "preset": "live", "practised": "", "replace_with": "nearby"},
}
"""What the settings have otherwise than those that are the default."""
SECONDS, WITHIN = 2.0, 0.99
"""s from the first state, and the share of proposals that should be tested in them."""


def run(options: Options) -> Result:
    """Two seconds of every beginning and seed; the settings that are the default are read from their file."""
    shipped = yaml.safe_load((share() / "config" / "twin" / "noise_free.yaml").read_text())
    found: dict[str, list[dict[str, float]]] = {}
    for name, changes in BEGINNINGS.items():
        found[name] = [tested(shipped | changes, seed) for seed in options.seed_list]
        print(name, found[name][-1], flush=True)
    shares = {name: np.array([[one[robot] for robot in ROBOTS] for one in each]) for name, each in found.items()}
    least = {robot: round(float(shares[SHIPPED][:, k].min()), 4) for k, robot in enumerate(ROBOTS)}
    return Result(
        x=Axis("robot", "", list(ROBOTS)),
        y=f"share of the proposals of the first {SECONDS:g} s that are tested",
        series={name: interval(each) for name, each in shares.items()},
        parameters={"settings": shipped, "beginnings": BEGINNINGS, "seconds": SECONDS},
        goals=[Goal(f"{robot}: least over seeds", f">= {WITHIN}", got, got >= WITHIN) for robot, got in least.items()],
        tables={name: dict(zip(map(str, options.seed_list), each, strict=True)) for name, each in found.items()},
    )  # fmt: skip


def tested(settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Of each robot, the share of its proposals that were accepted or vetoed by what the twin foresees."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "twin.yaml"
        file.write_text(yaml.safe_dump(settings))
        words = ["rendering:=false", f"duration:={SECONDS}", f"seed:={seed}", f"twin_settings:={file}"]
        report = ModelRun(parse(words)).to_end()["robots"]
    counts = {robot: report[robot]["verdicts"] for robot in ROBOTS}
    return {robot: (one["accepted"] + one["vetoed"]) / one["proposals"] for robot, one in counts.items()}


if __name__ == "__main__":
    main("twin-first", run, seeds=5, quick_seeds=1)
