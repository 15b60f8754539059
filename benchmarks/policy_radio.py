# SPDX-License-Identifier: Apache-2.0
"""Falls, collisions and reward of the shipped policies with late and lost commands and other bodies, in the simulator.

Beside them stand policies without memory that were trained on a good link (`benchmarks/baselines`); there is none for
the hopper's present body. Pieces that are done are kept.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _kept_pieces import ROOT, kept
from harness import Axis, Goal, Options, Result, interval, main

from ir_drl.controller import Controller, Input
from ir_drl.environments.task_env import TaskEnv
from ir_drl.policies import TRAINED, Policy, load_policy
from ir_sim.tasks import TASKS, Task

BASELINES = Path(__file__).parent / "baselines"
ROBOTS = ("hopper", "spider", "cart")
SOURCES = tuple(
    f"../../../{path}.py"
    for path in (
        *(f"ir_sim/ir_sim/{module}" for module in ("simulation", "robot_view", "network_policy", "action_memory")),
        "ir_sim/ir_sim/sdf/mujoco_compiler",
        *(f"ir_sim/ir_sim/tasks/{task}" for task in ("hopper_hop", "spider_patrol", "cart_navigation", "episode")),
        *(f"ir_drl/ir_drl/environments/{module}" for module in ("task_env", "conditions")),
        "ir_drl/ir_drl/controller",
    )
)
"""What decides about the numbers, beside policies and bodies."""
ENDLESS = 10_000
"""Goals of an episode: it ends by a fall, a collision or its time limit only."""
CONDITIONS: dict[str, dict[str, Any]] = {
    "no delay": {},
    "1 step": {"delay": (1, 1)},
    "2 steps": {"delay": (2, 2)},
    "3 steps": {"delay": (3, 3)},
    "jitter 0-3": {"jitter": (3, 3)},
    "2 % late by 5": {"spikes": (0.02, 0.02)},
    "loss 5 %": {"loss": (0.05, 0.05)},
    "mass -20 %": {"mass": (0.8, 0.8)},
    "mass +20 %": {"mass": (1.2, 1.2)},
    "friction x0.6": {"friction": (0.6, 0.6)},
    "friction x1.3": {"friction": (1.3, 1.3)},
}
NONE_ALLOWED = ("no delay", "1 step", "2 steps", "jitter 0-3")
ONE_ALLOWED = ("3 steps", "loss 5 %", "mass -20 %", "mass +20 %", "friction x0.6", "friction x1.3")
LATE = ("1 step", "2 steps", "3 steps", "jitter 0-3", "loss 5 %")


@dataclass
class Minute:
    """What one robot did in a minute of simulated time."""

    failures: int = 0
    goals: int = 0
    reward: float = 0.0


def run(options: Options) -> Result:
    """A minute of every robot, policy, condition and seed; each seed draws starts, goals, delays and noise."""
    measured: dict[str, dict[str, list[Minute]]] = {}
    for robot, kind, file in policies():
        measured[f"{robot}, {kind}"] = {
            condition: [Minute(**one) for one in minutes(robot, file, condition, options)] for condition in CONDITIONS
        }
    return Result(
        x=Axis("condition", "", list(CONDITIONS)),
        y="falls and collisions a minute",
        series={
            name: interval(np.array([[m.failures for m in each] for each in by.values()]).T)
            for name, by in measured.items()
        },
        parameters={"conditions": CONDITIONS, "control_steps_a_minute": {r: steps_of(TASKS[r]()) for r in ROBOTS}},
        goals=goals(measured),
        tables={name: {condition: about(each) for condition, each in by.items()} for name, by in measured.items()},
        draw=_draw,
    )


def _draw(axes: Any) -> None:
    axes.set_yscale("symlog", linthresh=1)
    axes.tick_params("x", rotation=60)


def policies() -> list[tuple[str, str, Path]]:
    """Robot, kind and file of every policy; one that is shipped as it was is measured once."""
    found = []
    for robot in ROBOTS:
        shipped, baseline = (folder / f"{TASKS[robot].name}.npz" for folder in (TRAINED, BASELINES))
        same = baseline.exists() and digest(baseline) == digest(shipped)
        found.append((robot, "shipped", baseline if same else shipped))
        found += [(robot, "baseline", baseline)] if baseline.exists() else []
    return found


def minutes(robot: str, file: Path, condition: str, options: Options) -> list[dict[str, Any]]:
    """What a policy does under a condition, by seed; kept, so that a run which was stopped goes on."""
    task, given = TASKS[robot](), CONDITIONS[condition]
    rests_on = {
        "piece": f"{robot} {file.parent.name} {condition}", "policy": digest(file), "conditions": given,
        "seeds": options.seed_list, "quick": options.quick,
        "bodies": digest(*sorted((ROOT / "worlds").rglob("*.sdf"))),
    }  # fmt: skip

    def make() -> list[dict[str, Any]]:
        policy = load_policy(file, task)
        return [asdict(minute(task, policy, given, seed, options.quick)) for seed in options.seed_list]

    made: list[dict[str, Any]] = kept("policy-radio", rests_on, SOURCES, make)
    return made


def digest(*files: Path) -> str:
    """A hash of the content of files."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def about(minutes: list[Minute]) -> dict[str, float]:
    """Means over seeds, a minute."""
    return {
        "failures": round(float(np.mean([m.failures for m in minutes])), 3),
        "goals": round(float(np.mean([m.goals for m in minutes])), 2),
        "reward": round(float(np.mean([m.reward for m in minutes])), 1),
    }


def goals(measured: dict[str, dict[str, list[Minute]]]) -> list[Goal]:
    """What issue and papers ask of policies that act over a radio."""
    found = []
    for robot in ROBOTS:
        ours = {condition: about(each) for condition, each in measured[f"{robot}, shipped"].items()}
        whole = ours["no delay"]["reward"]
        for conditions, most in ((NONE_ALLOWED, 0), (ONE_ALLOWED, 1)):
            for condition in conditions:
                got = ours[condition]["failures"]
                found.append(
                    Goal(f"{robot}, {condition}: falls and collisions a minute", f"<= {most}", got, got <= most)
                )
        for condition in LATE:
            share = round(ours[condition]["reward"] / whole, 3)
            found.append(Goal(f"{robot}, {condition}: reward over that without delay", ">= 0.95", share, share >= 0.95))
    late = about(measured["spider, shipped"]["1 step"])["goals"]
    now = about(measured["spider, baseline"]["no delay"])["goals"]
    found.append(Goal("spider, 1 step: goals a minute", f">= {now}, the baseline's without delay", late, late >= now))
    return found


def steps_of(task: Task) -> int:
    """Control steps of a minute."""
    return round(60 / task.control_period)


def minute(task: Task, policy: Policy, conditions: dict[str, Any], seed: int, quick: bool) -> Minute:
    """A minute of simulated time under conditions; after an end the robot is put back."""
    env, rng, done = TaskEnv(task.model, goals=ENDLESS, conditions=conditions), np.random.default_rng(seed), Minute()
    controller = Controller(task, policy, task.model, seed, input_timeout=1.0)
    episode, step, ended = 0, 0, True
    for _ in range(steps_of(task) // (20 if quick else 1)):
        if ended:
            observation, told = env.reset(seed=int(rng.integers(2**31)))
            episode, step, in_force = episode + 1, 0, None
        given = Input(0.0, task.name, episode, observation, action=in_force)
        decision = controller.on_state(given, step, 0.0)
        assert decision is not None and not decision.fault
        observation, reward, failed, cut, told = env.step(decision.action)  # type: ignore[arg-type]
        step, ended = step + 1, failed or cut
        in_force = told["action"]
        done.failures += failed
        done.goals += told["goals"]
        done.reward += reward
        if told["goals"] and not ended:  # as on board: the next goal is another episode
            episode, step, in_force = episode + 1, 0, None
    return done


if __name__ == "__main__":
    main("policy-radio", run, seeds=10, quick_seeds=1)
