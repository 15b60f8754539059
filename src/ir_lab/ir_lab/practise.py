# SPDX-License-Identifier: Apache-2.0
"""``./ir run ir_lab practise``: lets the twin learn from a fleet in the model's time, for checkpoints that are shipped.

Of each task there are, in the folder that is made: ``TASK.npz`` (the network, in half precision), ``TASK.rows.npz``
(some of its transitions, so that it can go on), ``TASK.scores.npz`` (what the robot was like, see `ir_twin.drift`), and
``about.json``: command, commit, seed, and what came of each session.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from pydantic import Field, model_validator

from ir_common.atomic_file import replace_text
from ir_common.config import EXIT_CONFIG, Config, ConfigError, load_yaml
from ir_common.provenance import commit_of
from ir_dynamics import model_checkpoint
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.transitions import Rows, Transition, TransitionLayout, TransitionMaker, layout_of
from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.ros_samples import StateSample
from ir_lab.model_time.simulate_arguments import parse
from ir_sim.tasks import Task
from ir_twin.bringup.arguments import share
from ir_twin.drift import block_scores, block_steps, save_scores

KEPT_ROWS, KEPT_HELDOUT = 1_200, 320
"""Transitions that are shipped, in blocks of `BLOCK` evenly over practice."""
BLOCK = 16


class PracticeRadio(Config):
    """What a carrier has otherwise than the default one."""

    carrier: dict[str, Any] = Field({}, description="fields of the carrier")
    guaranteed: float = Field(1.0, gt=0, le=1, description="part of the slices' rates that is guaranteed")


class PracticeSession(Config):
    """One run of the fleet."""

    radio: str = Field(description="one of the practice's carriers")
    twin: Literal["shadow", "enforce"] = Field(description="mode of the twin")
    exploration: float = Field(ge=0, le=2, description="as of the bringup")


class Practice(Config):
    """What the twin practises, and how."""

    settings: dict[str, Any] = Field(description="of the twin")
    duration: float = Field(gt=0, description="of a session, simulated s")
    carriers: dict[str, PracticeRadio] = Field(min_length=1, description="by name")
    sessions: tuple[PracticeSession, ...] = Field(min_length=1, description="in which it learns")
    known_duration: float = Field(gt=0, description="of a session in which it does not, simulated s")
    known: tuple[PracticeSession, ...] = Field(
        (), description="conditions in which what the robots are like is taken down"
    )

    @model_validator(mode="after")
    def _radios_are_there(self) -> Practice:
        for session in (*self.sessions, *self.known):
            if session.radio not in self.carriers:
                raise ValueError(f"sessions: radio {session.radio} is none of {', '.join(self.carriers)}")
        return self


def read_practice(path: Path | None = None) -> Practice:
    """The practice of a file; None: that of what the stack ships.

    Raises:
        ConfigError: the file cannot be read, or a field is wrong.
    """
    return load_yaml(path or share() / "config" / "practice.yaml", Practice)


def slices_of(radio: PracticeRadio) -> dict[str, Any]:
    """The content of a slices file: that of the stack with another carrier."""
    slices: dict[str, Any] = yaml.safe_load((share() / "config" / "slices.yaml").read_text())
    slices["carrier"] |= radio.carrier
    for template in slices["templates"]:
        template["rate"] *= radio.guaranteed
    return slices


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the executable ``practise``."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="practise", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder that is made")
    parser.add_argument("--plan", type=Path, help="YAML file with the sessions [config/practice.yaml]")
    parser.add_argument("--seed", type=int, default=100, help="of the first session; each has one more [100]")
    given = parser.parse_args(words)
    try:
        practise(given.out, read_practice(given.plan), given.seed, f"./ir run ir_lab practise {shlex.join(words)}")
    except ConfigError as error:
        print(f"practise: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)


def practise(out: Path, plan: Practice, seed: int, command: str) -> None:
    """Makes the sessions and writes the folder.

    Raises:
        ConfigError: the folder cannot be made or has checkpoints in it, or the plan's settings are wrong.
    """
    model_checkpoint.probe(out)
    if there := sorted(out.glob("*.npz")):
        raise ConfigError(f"{there[0]}: is there already; give another folder as --out")
    commit = commit_of(__file__)  # of what is loaded, whatever is edited while it runs
    mishaps = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        settings = {**plan.settings, "checkpoints": str(work / "learnt")}
        for number, session in enumerate(plan.sessions):
            run = _run(plan, session, settings, seed + number, plan.duration, learn=True)
            report = run.to_end()["robots"]
            mishaps.append({robot: one["falls"] + one["collisions"] for robot, one in report.items()})
            print(f"session {number + 1} of {len(plan.sessions)}: {mishaps[-1]}", flush=True)
        tasks = {task.name: task for task in run.tasks.values()}
        about = {name: _ship(task, work / "learnt", out, plan) for name, task in tasks.items()}
    _take_down(out, plan, seed + len(plan.sessions))
    content = {
        "command": command, "commit": commit, "seed": seed, "falls and collisions by session": mishaps,
        "tasks": about, "plan": plan.model_dump(mode="json"),
    }  # fmt: skip
    replace_text(out / "about.json", json.dumps(content, indent=1) + "\n")


def _run(
    plan: Practice, session: PracticeSession, settings: dict[str, Any], seed: int, duration: float, learn: bool
) -> ModelRun:
    with tempfile.TemporaryDirectory() as name:
        files = {"slices": slices_of(plan.carriers[session.radio]), "twin_settings": settings}
        for argument, content in files.items():
            (Path(name) / f"{argument}.yaml").write_text(yaml.safe_dump(content))
        words = [f"{argument}:={name}/{argument}.yaml" for argument in files]
        words += [f"twin:={session.twin}", f"exploration:={session.exploration}", f"seed:={seed}"]
        words += [f"duration:={duration}", "rendering:=false", *([] if learn else ["learning_steps:=0"])]
        return ModelRun(parse(words))


def _ship(task: Task, learnt: Path, out: Path, plan: Practice) -> dict[str, Any]:
    """Writes what is shipped of a task; returns how good the network is, before and after it was made small."""
    preset = plan.settings["preset"]
    layout = layout_of(preset, len(task.observation_names), len(task.action_names))
    source, file = (model_checkpoint.file_of(folder, task.name) for folder in (learnt, out))
    model = replace(model_checkpoint.load(source, task.name, layout, preset), version=1)
    rows, heldout = model_checkpoint.load_rows(source, layout)
    model_checkpoint.save(file, model, preset, half=True)
    model_checkpoint.save_rows(file, thinned(rows, KEPT_ROWS), thinned(heldout, KEPT_HELDOUT), compressed=True)
    small = model_checkpoint.load(file, task.name, layout, preset)
    scale = rows[:, layout.next_state].std(axis=0)[: layout.num_observation].clip(1e-6)
    errors = [one.network.errors(layout.unpack(heldout), scale).state for one in (model, small)]
    return {"transitions": model.transitions, "state_error": errors[0], "state_error_as_shipped": errors[1]}


def thinned(rows: Rows, count: int) -> Rows:
    """At most ``count`` of rows [n, width], in whole blocks of successive ones, evenly from the first to the last."""
    blocks = len(rows) // BLOCK
    wanted = min(count // BLOCK, blocks)
    if wanted < 1:
        return rows[:count]
    first = np.linspace(0, blocks - 1, wanted).round().astype(int) * BLOCK
    return rows[(first[:, None] + np.arange(BLOCK)).ravel()]


def _take_down(out: Path, plan: Practice, seed: int) -> None:
    """Writes what the robots are like under each condition, as the networks that are shipped see them."""
    found: dict[str, list[Any]] = {}
    settings = {**plan.settings, "practised": str(out.resolve())}
    for number, session in enumerate(plan.known):
        run = _run(plan, session, settings, seed + number, plan.known_duration, learn=False)
        takers = {robot: Blocks(task, out, plan.settings["preset"]) for robot, task in run.tasks.items()}
        for robot, taker in takers.items():
            run.listen(robot, taker.take)
        run.to_end()
        for taker in takers.values():
            found.setdefault(taker.task.name, []).append(np.stack(taker.scores))
        print(f"taken down {number + 1} of {len(plan.known)}", flush=True)
    for name, scores in found.items():
        save_scores(model_checkpoint.file_of(out, name), scores)


class Blocks:
    """The scores of successive blocks of a robot's transitions.

    Args:
        task: of the robot.
        folder: of the network that sees them.
        preset: of that.
    """

    def __init__(self, task: Task, folder: Path, preset: str) -> None:
        self.task = task
        self.layout: TransitionLayout = layout_of(preset, len(task.observation_names), len(task.action_names))
        network = model_checkpoint.load(
            model_checkpoint.file_of(folder, task.name), task.name, self.layout, preset
        ).network
        if not isinstance(network, EnsembleNetwork):
            raise ConfigError(f"preset {preset}: says nothing of how sure it is; give ensemble")
        self.network = network
        self.scores: list[Any] = []
        self._maker, self._block = TransitionMaker(self.layout), block_steps(task.control_period)
        self._steps: list[Transition] = []

    def take(self, sample: StateSample, expected: bool) -> None:
        """Takes a state as it came over the radio."""
        step = sample.step
        transition = None if expected else self._maker.feed(
            episode=step.episode, step=step.step, observation=step.observation, action=step.action,
            reward=step.reward, terminated=step.terminated, truncated=step.truncated,
        )  # fmt: skip
        if transition is not None:
            self._steps.append(transition)
        if len(self._steps) == self._block:
            self.scores.append(block_scores(self.network, self._steps, self.layout.num_observation))
            self._steps.clear()


if __name__ == "__main__":
    main()
