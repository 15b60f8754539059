# SPDX-License-Identifier: Apache-2.0
"""The same robots in MuJoCo and in Gazebo: responses to steps and sines, policies, and what explains a difference.

Both simulators run in lockstep behind the same topics. Needs Gazebo with ros_gz (`./ir doctor`). A difference is the
root mean square over the observation's numbers, each in units of its spread in MuJoCo; MuJoCo against itself from
another start shows what the start alone makes. Suspects are judged in an environment without topics, which draws goals
of its own: of the cart, whose observation holds the way to its goal, only differences between suspects say anything.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from _live_stack import DOMAINS, live
from harness import Axis, Goal, Options, Result, interval, main

from ir_common.config import ConfigError
from ir_drl.controller import Controller, Input
from ir_drl.environments import environment_id
from ir_drl.policies import make_policy

ROBOTS = ("cart", "spider", "hopper")
SECONDS, STRENGTH, FREQUENCY = 1.0, 0.3, 0.5  #: of an excitation; of half of the range; Hz
POLICY_SECONDS, QUICK_SECONDS = 60.0, 4.0
FALLS_GOAL = 0.0
SUSPECTS: dict[str, dict[str, Any]] = {
    "as described": {},
    "mass 0.9": {"mass": (0.9, 0.9)}, "mass 1.1": {"mass": (1.1, 1.1)},
    "friction 0.7": {"friction": (0.7, 0.7)}, "friction 1.3": {"friction": (1.3, 1.3)},
    "one step of delay": {"delay": (1, 1)},
}  # fmt: skip
Array = np.ndarray[Any, np.dtype[Any]]


@contextmanager
def over_topics(simulator: str, robot: str, folder: Path) -> Iterator[gymnasium.Env[Any, Any]]:
    """A robot's environment in one of the simulators, stepped over its topics."""
    os.environ["ROS_DOMAIN_ID"] = str(DOMAINS[os.getpid() % len(DOMAINS)])  # as the stack's
    rays = ["lidar:=raycast"] if simulator == "gz" else []
    words = [f"sim:={simulator}", f"robots:={robot}", f"external:={robot}", "radio:=off", "twin:=off",
             "slicing:=static", "rendering:=false", "sync:=off", *rays]  # fmt: skip
    with live(words, folder / f"{robot}-{simulator}"):
        environment = gymnasium.make(environment_id(robot, ros=True), timeout=60.0)
        try:
            yield environment
        finally:
            environment.close()


def excitations(environment: gymnasium.Env[Any, Any]) -> dict[str, Array]:
    """Steps and sines of each action, [steps, n_act], by name."""
    task: Any = environment.unwrapped.task  # type: ignore[attr-defined]
    times = np.arange(round(SECONDS / task.control_period)) * task.control_period
    middle, half = (task.action_high + task.action_low) / 2, (task.action_high - task.action_low) / 2
    # a cosine, since a sine begins with the safe action, upon which a robot acts on its own
    shapes = {"step": np.ones_like(times), "sine": np.cos(2 * np.pi * FREQUENCY * times)}
    found = {}
    for i, name in enumerate(task.action_names):
        for shape, values in shapes.items():
            actions = np.tile(middle, (len(times), 1))
            actions[:, i] += STRENGTH * half[i] * values
            found[f"{shape} of {name}"] = actions
    return found


def responses(environment: gymnasium.Env[Any, Any], actions: dict[str, Array], seed: int) -> dict[str, Array]:
    """Observations [steps, n_obs] that follow each excitation; fewer rows where an episode ended."""
    found = {}
    for name, sequence in actions.items():
        environment.reset(seed=seed)
        rows = []
        for action in sequence:
            observation, _, terminated, truncated, _ = environment.step(action.astype(np.float32))
            rows.append(observation)
            if terminated or truncated:
                break
        found[name] = np.array(rows)
    return found


def apart(first: dict[str, Array], second: dict[str, Array], steps: int) -> list[float]:
    """The difference after each control step, mean over the excitations that have not ended in either."""
    spread = {name: rows.std(axis=0) + 0.01 for name, rows in first.items()}
    curves = []
    for name, rows in first.items():
        count = min(len(rows), len(second[name]))
        distance = np.sqrt((((rows[:count] - second[name][:count]) / spread[name]) ** 2).mean(axis=1))
        curves.append(np.pad(distance, (0, steps - count), constant_values=np.nan))
    return [float(value) for value in np.nanmean(np.array(curves), axis=0)]


def with_policy(environment: gymnasium.Env[Any, Any], robot: str, seconds: float) -> dict[str, float]:
    """Reward a control step and falls a minute of the robot's policy."""
    task: Any = environment.unwrapped.task  # type: ignore[attr-defined]
    controller = Controller(task, make_policy(task), robot, seed=0, input_timeout=1e9)
    falls, total, steps, episode = 0, 0.0, round(seconds / task.control_period), 0
    observation, action = environment.reset(seed=1)[0], None
    for _ in range(steps):
        given = Input(0.0, task.name, episode, np.asarray(observation, dtype=np.float64), action=action)
        action = controller.decide(given, 0.0).action
        observation, reward, terminated, truncated, info = environment.step(action.astype(np.float32))
        total += float(reward)
        if terminated or truncated:
            falls += info["cause"] in ("fall", "collision")
            episode += 1
            observation, action = environment.reset(seed=1 + episode)[0], None
    return {"reward a step": total / steps, "mishaps a minute": 60.0 * falls / (steps * task.control_period)}


def explained(robot: str, actions: dict[str, Array], seen: dict[str, Array], steps: int) -> dict[str, float]:
    """How far MuJoCo with another mass, friction or delay is from what Gazebo did: mean difference, by suspect."""
    found = {}
    for suspect, conditions in SUSPECTS.items():
        environment = gymnasium.make(environment_id(robot), conditions=conditions or None)
        found[suspect] = round(float(np.nanmean(apart(seen, responses(environment, actions, 1), steps))), 4)
    return found


def run(options: Options) -> Result:
    """Every robot in both simulators."""
    if shutil.which("gz") is None:
        raise ConfigError("gz is not on PATH: this bench compares with Gazebo (./ir doctor tells what is missing)")
    seconds = QUICK_SECONDS if options.quick else POLICY_SECONDS
    robots = ROBOTS[2:] if options.quick else ROBOTS
    series: dict[str, list[float]] = {}
    policies: dict[str, dict[str, dict[str, float]]] = {}
    suspects, count = {}, 10
    with tempfile.TemporaryDirectory() as name:
        for robot in robots:
            found = {}
            for simulator in ("mujoco", "gz"):
                with over_topics(simulator, robot, Path(name)) as environment:
                    actions = excitations(environment)
                    found[simulator] = responses(environment, actions, options.first_seed)
                    if simulator == "mujoco":
                        again = responses(environment, actions, options.first_seed + 1)
                    policies.setdefault(robot, {})[simulator] = with_policy(environment, robot, seconds)
                print(f"{robot} in {simulator}: {policies[robot][simulator]}", flush=True)
            steps = len(next(iter(actions.values())))
            for label, other in ((robot, found["gz"]), (f"{robot}, MuJoCo from another start", again)):
                curve = np.array(apart(found["mujoco"], other, steps))
                series[label] = [float(np.nanmean(part)) for part in np.array_split(curve, count)]
            suspects[robot] = explained(robot, actions, found["gz"], steps)
    falls = policies["hopper"]["gz"]["mishaps a minute"]
    return Result(
        Axis("time since the first action", "s", [round((k + 0.5) * SECONDS / count, 3) for k in range(count)]),
        "difference from MuJoCo, spreads of the observation",
        {label: interval([curve]) for label, curve in series.items()},
        {"seconds of an excitation": SECONDS, "strength": STRENGTH, "seconds of a policy": seconds},
        {},
        [Goal("falls a minute of the hopper in Gazebo", f"{FALLS_GOAL:g}", falls, falls <= FALLS_GOAL)],
        {"policies": policies, "difference by suspect": suspects},
    )


if __name__ == "__main__":
    main("sim-to-sim", run, seeds=1, quick_seeds=1)
