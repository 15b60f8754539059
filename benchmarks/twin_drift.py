# SPDX-License-Identifier: Apache-2.0
"""Time until the twin notices that a robot is another than the one it practised with, and false alarms an hour.

The whole stack runs in the model's time as `./ir up` starts it. After 30 s every robot of the fleet changes: a payload
on its body, a floor of less grip, a joint that drags, or a sensor that drifts. Without a fault all alarms are false;
those runs are with and without exploration, both of which the twin has met in practice. There, too, it is counted how
many outcomes lie in the intervals that the shipped networks foresee. Pieces that are done are kept.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from _changed_robots import damp, load, smooth
from _kept_pieces import kept
from harness import Axis, Goal, Options, Result, main

from ir_dynamics import model_checkpoint
from ir_dynamics.calibration import SHARES, surprise
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.transitions import Transition, TransitionMaker, layout_of
from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.ros_samples import StateSample
from ir_lab.model_time.simulate_arguments import parse
from ir_sim.onboard import OnBoardOutput
from ir_sim.readings import JointStates, Odometry, Reading
from ir_twin.practised import SHIPPED

ROBOTS = ("cart", "spider", "hopper")
BEGINS, WATCHED = 30.0, 45.0
"""s until the fault, and from then on."""
QUIET_SECONDS = 200.0
"""s without a fault, of each seed and exploration."""
QUIET_EXPLORATIONS = (0.0, 0.3)
PAYLOAD, GRIP, DAMPING, DRIFT = 0.3, 0.5, 4.0, 0.01
"""Share of the robot's mass on its base; factors of friction and of a joint's damping; rad (cart: rad/s) a second."""
JOINTS = {"cart": "left_wheel_joint", "spider": "left_front_knee", "hopper": "leg_joint"}
"""The joint that drags; where there is no such name, the first one does."""
FALSE_ALARMS = 1.0
"""An hour and robot that are allowed."""
SOURCES = tuple(
    f"../../../{path}"
    for path in ("ir_twin/ir_twin/drift.py", "ir_dynamics/ir_dynamics/calibration.py", "ir_lab/ir_lab/model_time")
)


def drag(run: ModelRun, robot: str) -> None:
    """A joint that resists its motion."""
    names = run.simulation.views[robot].joint_names
    damp(run, robot, JOINTS[robot] if JOINTS[robot] in names else names[0], DAMPING)


def sensor(run: ModelRun, robot: str) -> None:
    """A measured angle (cart: turn rate) that moves away from what is true."""
    onboard = run.onboard(robot)
    feed: Callable[[Reading], OnBoardOutput] = onboard.feed
    began = run.seconds

    def drifting(reading: Reading) -> OnBoardOutput:
        off, value = DRIFT * (reading.nanoseconds / 1e9 - began), reading.value
        if isinstance(value, JointStates) and robot != "cart":
            first = np.eye(len(value.positions))[0]
            reading = replace(reading, value=replace(value, positions=value.positions + off * first))
        elif isinstance(value, Odometry) and robot == "cart":
            reading = replace(reading, value=replace(value, angular=value.angular + np.array([0.0, 0.0, off])))
        return feed(reading)

    onboard.feed = drifting  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[ModelRun, str], None]] = {
    "payload": lambda run, robot: load(run, robot, PAYLOAD), "friction": lambda run, robot: smooth(run, robot, GRIP),
    "dragging joint": drag, "drifting sensor": sensor,
}  # fmt: skip


def watch(fault: str, exploration: float, seed: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Of each robot: alarms before the fault and after it, and of the first one after it how many s it took."""
    words = ["rendering:=false", f"duration:={seconds + 1}", f"seed:={seed}", f"exploration:={exploration}"]
    run = ModelRun(parse([*words, "learning_steps:=0"]))  # the network that is tested with stays anyway
    intervals = {} if fault else {robot: Intervals(run, robot) for robot in ROBOTS}
    go_to(run, BEGINS if fault else seconds)
    before = {robot: alarms(run, robot) for robot in ROBOTS}
    found: dict[str, dict[str, Any]] = {
        robot: {"before": before[robot], "after": 0, "took": None, "what": ""} for robot in ROBOTS
    }
    for robot, interval_of in intervals.items():
        found[robot]["covered"] = interval_of.covered()
    if fault:
        for robot in ROBOTS:
            FAULTS[fault](run, robot)
        while run.seconds < seconds:
            go_to(run, run.seconds + 1.0)
            for robot, one in found.items():
                state, count = run.drift(robot), alarms(run, robot) - before[robot]
                if count and one["took"] is None and state is not None:
                    one["took"], one["what"] = round(state.noticed - BEGINS, 2), state.what
                one["after"] = count
    run.close()
    return found


class Intervals:
    """Counts the outcomes of a robot's steps that lie within the intervals of the network that was shipped."""

    def __init__(self, run: ModelRun, robot: str) -> None:
        task = run.tasks[robot]
        layout = layout_of("ensemble", len(task.observation_names), len(task.action_names))
        network = model_checkpoint.load(SHIPPED / f"{task.name}.npz", task.name, layout, "ensemble").network
        assert isinstance(network, EnsembleNetwork) and network.tails is not None
        self._network, self._tails = network, network.tails
        self._layout, self._maker, self._steps = layout, TransitionMaker(layout), list[Transition]()
        run.listen(robot, self._take)

    def _take(self, sample: StateSample, expected: bool) -> None:
        step = sample.step
        made = None if expected else self._maker.feed(
            episode=step.episode, step=step.step, observation=step.observation, action=step.action,
            reward=step.reward, terminated=step.terminated, truncated=step.truncated,
        )  # fmt: skip
        self._steps += [made] if made else []

    def covered(self) -> list[float]:
        """The share of outcomes within the interval of each nominal share (`SHARES`), all observed quantities."""
        batch = Transition(*(np.stack([np.asarray(one[i]) for one in self._steps]) for i in range(6)))
        n = self._layout.num_observation
        u = surprise(self._network.residuals(batch)[:, :n], self._tails[:n])
        return [round(float(np.mean(u <= share + 1e-9)), 4) for share in SHARES]


def go_to(run: ModelRun, until: float) -> None:
    """On to an instant, s."""
    while run.go_on(until):
        pass


def alarms(run: ModelRun, robot: str) -> int:
    """Alarms of a robot so far."""
    state = run.drift(robot)
    assert state is not None, f"{robot} is not known from practice"
    return state.alarms


def piece(fault: str, exploration: float, seed: int, seconds: float) -> dict[str, dict[str, Any]]:
    """As `watch`, kept."""
    shipped = sorted(SHIPPED.glob("*.npz"))
    about = {
        "piece": f"{fault or 'none'} {exploration} {seed}", "fault": fault, "exploration": exploration, "seed": seed,
        "seconds": seconds, "sizes": [PAYLOAD, GRIP, DAMPING, DRIFT, BEGINS],
        "shipped": hashlib.sha256(b"".join(file.read_bytes() for file in shipped)).hexdigest(),
    }  # fmt: skip
    made: dict[str, dict[str, Any]] = kept(
        "twin-drift", about, SOURCES, lambda: watch(fault, exploration, seed, seconds)
    )
    return made


def run(options: Options) -> Result:
    """Faults of every kind and seed, then the fleet without one."""
    watched, quiet = (6.0, 8.0) if options.quick else (WATCHED, QUIET_SECONDS)
    faults = {
        fault: [piece(fault, 0.0, seed, BEGINS + watched) for seed in options.seed_list] for fault in FAULTS
    }  # fmt: skip
    none = [piece("", exploration, seed, quiet) for seed in options.seed_list for exploration in QUIET_EXPLORATIONS]
    hours = (quiet * len(none) + BEGINS * len(FAULTS) * len(options.seed_list)) * len(ROBOTS) / 3600
    false = sum(
        one[robot]["before"] for one in (*none, *(o for each in faults.values() for o in each)) for robot in ROBOTS
    )
    times = {f: {r: [one[r]["took"] for one in each] for r in ROBOTS} for f, each in faults.items()}
    rate = round(false / hours, 2)
    goals = [Goal("false alarms an hour and robot", f"<= {FALSE_ALARMS:g}", rate, rate <= FALSE_ALARMS)]
    covered = {robot: np.mean([one[robot]["covered"] for one in none], axis=0) for robot in ROBOTS}
    for robot, curve in covered.items():
        apart = round(float(np.mean(np.abs(curve - SHARES))), 3)
        goals.append(Goal(f"{robot}: calibration, mean distance from the diagonal", "< 0.1", apart, apart < 0.1))
    for fault, by in times.items():
        for robot, each in by.items():
            noticed = sum(one is not None for one in each)
            what = f"{fault}, {robot}: noticed within {watched:g} s"
            goals.append(Goal(what, f"{len(each)} of {len(each)}", noticed, noticed == len(each)))
    series = {robot: interval_of([times[fault][robot] for fault in FAULTS]) for robot in ROBOTS}
    return Result(
        x=Axis("fault", "", list(FAULTS)),
        y="time until it is noticed (s, mean of those that are)",
        series=series,
        parameters={
            "payload (share of all mass, on the base)": PAYLOAD, "factor of friction": GRIP,
            "factor of damping": DAMPING, "sensor's drift (rad or rad/s, a second)": DRIFT, "begins (s)": BEGINS,
            "robot-hours without a fault": round(hours, 3), "explorations without a fault": QUIET_EXPLORATIONS,
        },
        goals=goals,
        tables={
            "seconds until it is noticed": times,
            "named": {f: {r: [one[r]["what"] for one in each] for r in ROBOTS} for f, each in faults.items()},
            "outcomes within intervals": {"nominal": SHARES, **covered},
            "false alarms": {"count": false, "robot-hours": hours, "runs": none},
        },
    )  # fmt: skip


def interval_of(columns: list[list[float | None]]) -> dict[str, list[float]]:
    """Mean and half the range of the times of each fault that are known; NaN where none is."""
    known = [[one for one in column if one is not None] for column in columns]
    return {
        "mean": [float(np.mean(one)) if one else float("nan") for one in known],
        "ci95": [float(np.ptp(one)) / 2 if one else float("nan") for one in known],
    }


if __name__ == "__main__":
    main("twin-drift", run, seeds=2, quick_seeds=1)
