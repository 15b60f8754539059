# SPDX-License-Identifier: Apache-2.0
"""Falls and return of a hopper that is no longer the one its policy was trained for: left alone, and learning live.

The whole stack runs in the model's time, with its radio and its twin as they are by default. From the start the hopper
carries a payload, its foot's joint drags, or each decision takes long; and once it is as it was, where learning can
only lose. The simple rule beside learning is to leave the shipped policy alone. There is no evaluation apart: falls and
rewards are those that the robot lived, with exploration. Pieces that are done are kept.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _changed_robots import damp, load
from _kept_pieces import kept
from _stack_runs import BASE
from harness import Axis, Goal, Options, Result, interval, main
from live_learning import SOURCES

from ir_drl.live.agent_training import LOG_STD, agent_training
from ir_drl.live.live_config import LiveAgentConfig
from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.simulate_arguments import parse

NAME = "live-adapt"
MINUTES, QUICK_MINUTES = 3, 1
LAST = 1
"""Minutes at the end that goals are about."""
WAYS: dict[str, tuple[str, ...]] = {"left alone": (), "sac": ("learn:=hopper", "learn_with:=sac")}
PAYLOAD, DAMPING, DECISION = 0.3, 4.0, 0.02
"""Share of the robot's mass on its base; factor of the foot's damping; s that each of controller and twin takes."""
CHANGES: dict[str, tuple[tuple[str, ...], Callable[[ModelRun], None]]] = {
    "payload": ((), lambda run: load(run, "hopper", PAYLOAD)),
    "dragging foot": ((), lambda run: damp(run, "hopper", "foot_joint", DAMPING)),
    "late decisions": ((f"compute:={DECISION}",), lambda _: None),
    "as it was": ((), lambda _: None),
}


def live(change: str, way: str, seed: int, minutes: int) -> list[list[float]]:
    """Falls, reward and control steps of each minute, and versions taken back until then."""
    torch.set_num_threads(1)
    words, make = CHANGES[change]
    run_words = ("robots:=hopper", f"seed:={seed}", f"duration:={minutes * 60 + 1}", *words, *WAYS[way])
    stack = ModelRun(parse([*BASE, *run_words]))
    make(stack)
    robot, seen, lived = stack.totals.robots["hopper"], np.zeros(3), []
    for minute in range(minutes):
        while stack.go_on((minute + 1) * 60.0):
            pass
        counts = robot.counts.totals()
        now = np.array([counts["falls"], counts["reward"], counts["steps"]], float)
        back = sum(agent.versions.taken_back for agent in stack.agents.values())
        lived.append([*(now - seen).tolist(), float(back)])
        seen = now
    stack.close()
    return lived


def piece(change: str, way: str, seed: int, minutes: int) -> np.ndarray:
    """As `live` [minutes, 4], kept."""
    config = LiveAgentConfig(algorithm="sac", seed=seed)
    settings = [config.model_dump(mode="json"), agent_training(config, "hopper_hop").model_dump(mode="json"), LOG_STD]
    about = {
        "piece": f"{change}, {way}, {seed}, {minutes}", "sizes": [PAYLOAD, DAMPING, DECISION],
        "settings": settings if WAYS[way] else None,
    }  # fmt: skip
    made: list[list[float]] = kept(NAME, about, SOURCES, lambda: live(change, way, seed, minutes))
    return np.array(made)


def run(options: Options) -> Result:
    """All pieces, seed by seed, so that a bench which was stopped has whole seeds."""
    minutes = QUICK_MINUTES if options.quick else MINUTES
    names = [(change, way) for change in CHANGES for way in WAYS]
    found: dict[tuple[str, str], list[np.ndarray]] = {name: [] for name in names}
    for seed in options.seed_list:
        for change, way in names:
            found[change, way].append(piece(change, way, seed, minutes))
    lived = {name: np.stack(each) for name, each in found.items()}  # [seeds, minutes, 4]
    return Result(
        x=Axis("time", "min", list(range(1, minutes + 1))),
        y="falls a minute",
        series={f"{change}, {way}": interval(each[:, :, 0]) for (change, way), each in lived.items()},
        parameters={
            "payload (share of all mass)": PAYLOAD, "factor of the foot's damping": DAMPING,
            "decision (s, controller and twin each)": DECISION, "ways": WAYS, "last minutes": LAST,
        },
        goals=goals(lived),
        tables={f"{change}, {way}": table(each) for (change, way), each in lived.items()},
    )  # fmt: skip


def table(lived: np.ndarray) -> dict[str, Any]:
    """Figures of each seed [seeds, minutes, 4], as lists."""
    between = lived[:, :, 1] / np.maximum(lived[:, :, 0], 1.0)
    return {
        "falls of each minute": lived[:, :, 0].astype(int),
        "reward of each minute": lived[:, :, 1].round(0),
        "reward between two falls, by minute (all of it, where there is none)": between.round(0),
        "taken back": lived[:, -1, 3].astype(int),
    }


def goals(lived: dict[tuple[str, str], np.ndarray]) -> list[Goal]:
    """Learning falls less than what it began with, in the same worlds; where nothing has changed, no more."""
    made = []
    for change in CHANGES:
        alone, learnt = (lived[change, way][:, -LAST:, :2].sum(axis=1).mean(axis=0) / LAST for way in WAYS)
        least = change == "as it was"
        asked = f"{'at most' if least else 'fewer than'} the {alone[0]:.1f} left alone"
        met = bool(learnt[0] <= alone[0] if least else learnt[0] < alone[0])
        made.append(Goal(f"{change}: falls a minute at the end", asked, round(float(learnt[0]), 1), met))
        what, asked = f"{change}: reward a minute at the end", f"at least the {alone[1]:.0f} left alone"
        made.append(Goal(what, asked, round(float(learnt[1])), bool(learnt[1] >= alone[1])))
    return made


if __name__ == "__main__":
    main(NAME, run, seeds=5, quick_seeds=1, first_seed=1)
