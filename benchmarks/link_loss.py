# SPDX-License-Identifier: Apache-2.0
"""A link that goes away for five seconds: falls, collisions and drift of robots that act on their own meanwhile.

The whole stack runs in the model's time. Beside it stands the same with each task's constant safe action in place of
the behaviour on board.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
from harness import Axis, Goal, Options, Result, interval, main

from ir_lab.model_time.faults import Fault
from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.simulate_arguments import parse
from ir_lab.net_movement import NetMovement
from ir_sim.behaviours import StandStill

ROBOTS = ("cart", "spider", "hopper")
CUTS = (9.5, 17.5, 26.0)
"""s; no time limit of the hopper (8 s) is within one: after it the robot is put back, and takes a step."""
LASTS = 5.0
"""s that the link is away."""
STOPPING = 2.0
"""s within which a robot has to be at rest; what it moves after them is drift."""
AFTER = 2.0
"""s in which a fall still counts as one of the link's loss."""
LOOK = 0.1
"""s between looks at where the robots are."""
DRIFT = 0.1
"""m of drift that are allowed."""
KINDS = ("on board", "safe action")


def run(options: Options) -> Result:
    """Every seed is a run with all robots, whose links all go away three times."""
    cuts = CUTS[:1] if options.quick else CUTS
    found: dict[str, list[dict[str, dict[str, float]]]] = {kind: [] for kind in KINDS}
    for seed in options.seed_list:
        for kind in KINDS:
            with behaviour(kind):
                found[kind].append(lose(seed, cuts))
        print(seed, {kind: each[-1] for kind, each in found.items()}, flush=True)
    failures = {kind: np.array([[one[r]["failures"] for r in ROBOTS] for one in each]) for kind, each in found.items()}
    drift = {kind: np.array([[one[r]["drift"] for r in ROBOTS] for one in each]) for kind, each in found.items()}
    goals = []
    for k, robot in enumerate(ROBOTS):
        lost = int(failures["on board"][:, k].sum())
        far = round(float(drift["on board"][:, k].max()), 3)
        count = len(options.seed_list) * len(cuts)
        goals.append(Goal(f"{robot}: falls and collisions in {count} losses of the link", "0", lost, lost == 0))
        goals.append(Goal(f"{robot}: largest drift, m", f"<= {DRIFT}", far, far <= DRIFT))
    return Result(
        x=Axis("robot", "", list(ROBOTS)),
        y=f"falls and collisions in {len(cuts)} losses of the link",
        series={kind: interval(each) for kind, each in failures.items()},
        parameters={"cuts_seconds": cuts, "lasts_seconds": LASTS, "stopping_seconds": STOPPING, "after_seconds": AFTER},
        goals=goals,
        tables={kind: dict(zip(map(str, options.seed_list), each, strict=True)) for kind, each in found.items()},
    )


@contextmanager
def behaviour(kind: str) -> Iterator[None]:
    """What robots do alone in the block."""
    if kind == "on board":
        yield
        return
    with patch("ir_sim.onboard.behaviour_of", StandStill):
        yield


def lose(seed: int, cuts: tuple[float, ...]) -> dict[str, dict[str, float]]:
    """Falls and collisions from the losses of the link, the largest drift (m), and the largest way to rest (m)."""
    faults = [Fault(kind="link_cut", at=at, duration=LASTS, robot=robot) for at in cuts for robot in ROBOTS]
    words = ["rendering:=false", "twin:=off", f"robots:={','.join(ROBOTS)}", f"seed:={seed}", "duration:=3600"]
    stack = ModelRun(parse(words, faults))
    told = {robot: {"failures": 0.0, "drift": 0.0, "way": 0.0} for robot in ROBOTS}
    for at in cuts:
        before, _ = moved(stack, at)
        _, way = moved(stack, at + STOPPING)
        _, drift = moved(stack, at + LASTS)
        after, _ = moved(stack, at + LASTS + AFTER)
        for robot, one in told.items():
            one["failures"] += after[robot] - before[robot]
            one["way"] = max(one["way"], round(float(np.linalg.norm(way[robot])), 3))
            one["drift"] = max(one["drift"], round(float(np.linalg.norm(drift[robot])), 3))
    stack.close()
    return told


def moved(stack: ModelRun, until: float) -> tuple[dict[str, int], dict[str, Any]]:
    """Falls and collisions until an instant, and how far each robot moved from now to then, [2] m.

    An interval in which a robot was put back is left out, as the hopper is by its time limit.
    """
    ways = {robot: NetMovement() for robot in ROBOTS}
    now = stack.seconds
    while True:
        for robot, way in ways.items():
            way.look(stack.simulation.views[robot].odometry().position.tolist(), now)
        if now >= until - LOOK / 2:
            break
        now = min(now + LOOK, until)
        while stack.go_on(now):
            pass
    report = stack.report()["robots"]
    failures = {robot: report[robot]["falls"] + report[robot]["collisions"] for robot in ROBOTS}
    return failures, {robot: np.array(way.way) for robot, way in ways.items()}


if __name__ == "__main__":
    main("link-loss", run, seeds=5, quick_seeds=1)
