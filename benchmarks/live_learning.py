# SPDX-License-Identifier: Apache-2.0
"""Falls and return of a hopper that learns over the radio while it drives, by algorithm, over 60 epochs of 1,000 steps.

The whole stack runs in the model's time, with its radio, its slices and its twin as they are by default.
IoR's Fig. 4 in the stack: the agent sees what crosses the uplink, its policies act late, the twin bounds what they try.
The simple rule beside them is the policy that the stack ships, which nobody changes.
There is no evaluation apart: returns are those of the episodes that the robot lived, with exploration.
Pieces (one way to learn, one seed) that are done are kept, so that a bench which was stopped goes on where it was;
`--kept` draws what there is, and says what is missing.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from _kept_pieces import kept_at, place_of
from _stack_runs import BASE
from harness import Axis, Goal, Options, Result, main

from ir_common.atomic_file import replace_text
from ir_drl.live.agent_training import agent_training
from ir_drl.live.live_agent import LiveAgent
from ir_drl.live.live_config import LiveAgentConfig
from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.simulate_arguments import parse

NAME = "live-learning"
JOBS = 2
EPOCHS, QUICK_EPOCHS, BLOCK = 60, 2, 5
"""Of 1,000 transitions each; figures are means over blocks of epochs."""
SLOWEST = 30.0
"""s of simulated time that an epoch takes at most: a fall costs time in which nothing is learnt."""
WAYS: dict[str, tuple[str, ...]] = {
    "sac": ("learn:=hopper", "learn_with:=sac", "learn_from:=nothing"),
    "predict": ("learn:=hopper", "learn_with:=predict", "learn_from:=nothing"),
    "gan": ("learn:=hopper", "learn_with:=gan", "learn_from:=nothing"),
    "best": ("learn:=hopper", "learn_with:=best", "learn_from:=nothing"),
    "sac, from the shipped policy": ("learn:=hopper", "learn_with:=sac", "learn_from:=shipped"),
    "predict, from the shipped policy": ("learn:=hopper", "learn_with:=predict", "learn_from:=shipped"),
}
SHIPPED = "the shipped policy, nobody learns"
PACKAGES = ("ir_sim", "ir_radio", "ir_dynamics", "ir_slicing", "ir_twin")
LIVE = (
    "sac",
    "assisted",
    "policies",
    "controller.py",
    "live/live_agent.py",
    "live/policy_versions.py",
    "live/step_chain.py",
)
PARTS = (
    *(f"{name}/{name}" for name in PACKAGES),
    *(f"ir_drl/ir_drl/{name}" for name in LIVE),
    "ir_lab/ir_lab/model_time",
)
SOURCES = tuple(f"../../../{path}" for path in PARTS)


def run(options: Options) -> Result:
    """All pieces, seed by seed, so that one which is stopped has whole seeds."""
    epochs = QUICK_EPOCHS if options.quick else EPOCHS
    names = ["sac", "predict", SHIPPED] if options.quick else [*WAYS, SHIPPED]
    asked = [(name, seed, epochs) for seed in options.seed_list for name in names]
    pieces = [(*one, place_of(NAME, about(*one), SOURCES)) for one in asked]
    missing = []
    if "kept" in options.flags:
        there = [(piece, place if (place := piece[3]).exists() else part_of(place)) for piece in pieces]
        pieces = [piece for piece, place in there if place.exists()]
        found = [json.loads(place.read_text()) for _, place in there if place.exists()]
        missing = [f"{name}, seed {seed}: all" for (name, seed, *_), place in there if not place.exists()]
        for (name, seed, *_), one in zip(pieces, found, strict=True):
            if len(one["falls"]) < epochs:
                missing.append(f"{name}, seed {seed}: from epoch {len(one['falls']) + 1} on")
    else:
        with ProcessPoolExecutor(JOBS, mp_context=get_context("spawn")) as pool:
            found = list(pool.map(live, pieces))
    by: dict[str, list[dict[str, Any]]] = {}
    for (name, *_), one in zip(pieces, found, strict=True):
        by.setdefault(name, []).append(one)
    return result(by, epochs, missing)


def about(name: str, seed: int, epochs: int) -> dict[str, Any]:
    """All that a piece rests on besides the code; not how many epochs it goes on for."""
    settings = None
    if name in WAYS:
        words = dict(word.split(":=") for word in WAYS[name])
        config = LiveAgentConfig(algorithm=words["learn_with"], learn_from=words["learn_from"], seed=seed)
        settings = [config.model_dump(mode="json"), agent_training(config, "hopper_hop").model_dump(mode="json")]
    return {"piece": [name, seed, epochs], "settings": settings}


def part_of(place: Path) -> Path:
    """Where the epochs are of a piece that is not done."""
    return place.with_suffix(".part")


def live(piece: tuple[str, int, int, Path]) -> dict[str, Any]:
    """What is kept of one piece: returns and falls of each epoch, and the agent's figures at the end."""
    name, seed, epochs, place = piece

    def made() -> dict[str, Any]:
        words = ["robots:=hopper", f"seed:={seed}", f"duration:={epochs * SLOWEST}", *WAYS.get(name, ())]
        stack = ModelRun(parse([*BASE, *words]))
        if name == SHIPPED:
            return unlearnt(stack, epochs)
        agent, seen = stack.agents["hopper_hop"], 0
        for _ in stack.run():
            if len(agent.records) > seen:
                seen = len(agent.records)
                replace_text(part_of(place), json.dumps(so_far(stack, agent)))
            if seen >= epochs:
                break
        part_of(place).unlink(missing_ok=True)
        stack.close()
        return so_far(stack, agent)

    one: dict[str, Any] = kept_at(place, f"{NAME} {name} {seed}", made)
    return one


def so_far(stack: ModelRun, agent: LiveAgent) -> dict[str, Any]:
    """What is kept of a run up to now."""
    report = stack.report()
    return {
        "returns": [record.training_returns for record in agent.records],
        "falls": [record.falls for record in agent.records],
        "seconds": report["simulated_seconds"],
        "vetoed": report["robots"]["hopper"]["verdicts"]["vetoed"],
        "agent": report["agents"]["hopper_hop"],
    }


def unlearnt(stack: ModelRun, epochs: int) -> dict[str, Any]:
    """The same of a robot whose policy nobody changes: its reward and falls, an epoch each 1,000 steps."""
    robot, marks = stack.totals.robots["hopper"], [(0.0, 0.0, 0.0)]
    for _ in stack.run():
        counts = robot.counts.totals()
        if counts["steps"] >= len(marks) * 1000:
            marks.append((counts["reward"], counts["falls"], counts["steps"]))
        if len(marks) > epochs:
            break
    report = stack.report()
    stack.close()
    steps = np.diff(np.array(marks), axis=0)
    return {
        "returns": [[float(reward / count * 1000.0)] for reward, _, count in steps],
        "falls": [int(falls) for _, falls, _ in steps],
        "seconds": report["simulated_seconds"],
        "vetoed": report["robots"]["hopper"]["verdicts"]["vetoed"],
        "agent": {},
    }


def blocks(one: dict[str, Any]) -> list[float]:
    """Mean return of the episodes of each block of epochs; NaN where none ended."""
    returns = one["returns"]
    parts = [list(chain.from_iterable(returns[k : k + BLOCK])) for k in range(0, len(returns), BLOCK)]
    return [float(np.mean(part)) if part else np.nan for part in parts]


def series_of(found: list[dict[str, Any]], count: int) -> dict[str, list[float]]:
    """Mean and half width of the 95 % interval over seeds, block by block; a block that a seed lacks is left out."""
    table = np.full((len(found), count), np.nan)
    for row, one in zip(table, found, strict=True):
        values = blocks(one)[:count]
        row[: len(values)] = values
    seen = np.isfinite(table)
    number = seen.sum(axis=0)
    mean = np.where(number > 0, np.nansum(table, axis=0) / np.maximum(number, 1), np.nan)
    square = np.nansum((table - mean) ** 2, axis=0) / np.maximum(number - 1, 1)
    half = np.where(number > 1, 1.96 * np.sqrt(square / np.maximum(number, 1)), 0.0)
    return {"mean": mean.tolist(), "ci95": half.tolist()}


def result(by: dict[str, list[dict[str, Any]]], epochs: int, missing: list[str]) -> Result:
    """The result's form."""
    ends = list(range(min(BLOCK, epochs), epochs + 1, BLOCK))
    return Result(
        Axis("epoch", "1,000 steps", ends),
        "return of an episode",
        {name: series_of(found, len(ends)) for name, found in by.items()},
        {
            "epochs": epochs,
            "ways": WAYS,
            "intervals": "normal, over the seeds that have the block",
            "missing": missing,
            "fitted": {},
        },
        {"IoR, Fig. 4": "return and failures of a hopper over 120 epochs, in a simulator, without a radio"},
        goals(by),
        {name: table(found) for name, found in by.items()},
    )


def table(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of each seed, as lists."""
    return {
        "falls": [sum(one["falls"]) for one in found],
        "falls in the last 5 epochs": [sum(one["falls"][-BLOCK:]) for one in found],
        "return in the last 5 epochs": [round(last(one), 1) for one in found],
        "epochs": [len(one["falls"]) for one in found],
        "simulated seconds": [one["seconds"] for one in found],
        "vetoed": [one["vetoed"] for one in found],
        "agent": [one["agent"] for one in found],
    }


def last(one: dict[str, Any]) -> float:
    """Mean return in the last block of epochs."""
    return blocks({"returns": one["returns"][-BLOCK:]})[0] if one["returns"] else np.nan


def goals(by: dict[str, list[dict[str, Any]]]) -> list[Goal]:
    """What learning live should bring: less falls with a model than without, and no worse than not learning."""
    made = []
    falls = {name: float(np.mean([sum(one["falls"]) for one in found])) for name, found in by.items()}
    ends = {name: float(np.nanmean([last(one) for one in found])) for name, found in by.items()}
    for name in ("predict", "gan", "best"):
        if name in by and "sac" in by:
            asked = f"fewer than the {falls['sac']:.0f} of sac"
            made.append(
                Goal(f"falls of {name}, from nothing", asked, round(falls[name], 1), falls[name] < falls["sac"])
            )
    for name in WAYS:
        if name in by and SHIPPED in by and "shipped" in name:
            asked = f"at least the {ends[SHIPPED]:.0f} of the policy as it is shipped"
            met = ends[name] >= ends[SHIPPED]
            made.append(Goal(f"return at the end, {name}", asked, round(ends[name], 1), met))
    return made


if __name__ == "__main__":
    main(NAME, run, seeds=5, quick_seeds=1, flags={"kept": "draws what there is, and says what is missing"})
