# SPDX-License-Identifier: Apache-2.0
"""Trains the twin's networks from a recorded bag, and writes the checkpoints that the twin node goes on from."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ir_common.config import EXIT_CONFIG, ConfigError, validate
from ir_dynamics import model_checkpoint
from ir_dynamics.dynamics_config import MAX_HELDOUT, MAX_REPLAY, FittingConfig
from ir_dynamics.model_version import ModelVersion, begin_at
from ir_dynamics.predict_network import Prediction, prediction_errors, spread
from ir_dynamics.task_learner import TaskLearner
from ir_dynamics.transitions import Rows, heldout_mask
from ir_twin.bag_transitions import Recorded, read_transitions

CHECK_STEPS = 200
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the executable ``train``."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _train(given)
    except ConfigError as error:
        print(f"train: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    except OSError as error:
        print(f"train: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ntrain: interrupted; checkpoints already named above are written", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="train", description=__doc__)
    parser.add_argument("--bag", type=Path, required=True, help="folder of a rosbag2 (sqlite3 or MCAP)")
    parser.add_argument("--out", type=Path, default=Path("checkpoints"), help="folder of checkpoints [checkpoints]")
    presets = get_args(FittingConfig.model_fields["preset"].annotation)
    parser.add_argument("--preset", choices=presets, default="live", help="network [live]")
    parser.add_argument("--steps", type=int, default=20_000, help="gradient steps of a task at most [20000]")
    parser.add_argument("--patience", type=int, default=10, help=f"looks in {CHECK_STEPS} steps without gain [10]")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches [0]")
    parser.add_argument("--skip-bad", action="store_true", help="leave out messages with NaN or wrong widths")
    return parser


def _train(given: argparse.Namespace) -> None:
    if given.steps < 1 or given.patience < 1:
        raise ConfigError("--steps and --patience must be at least 1")
    config = validate(FittingConfig, {"preset": given.preset, "seed": given.seed}, "options")
    torch.set_num_threads(1)
    console = Console()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        reading = progress.add_task(f"reading {given.bag}", total=None)
        found = read_transitions(
            given.bag,
            given.skip_bad,
            lambda done, total: progress.update(reading, completed=done, total=total),
            config,
        )
        model_checkpoint.probe(given.out)  # not to be found out after the training
        for name, recorded in found.items():
            path = model_checkpoint.file_of(given.out, name)
            bar = progress.add_task(f"training {name}", total=given.steps)
            model, note = train(
                recorded, path, given.preset, given.seed, given.steps, given.patience,
                lambda steps, bar=bar: progress.update(bar, completed=steps),  # type: ignore[misc]
            )  # fmt: skip
            progress.update(bar, total=progress.tasks[bar].completed)
            if model:
                model_checkpoint.save(path, model, given.preset)
                console.print(table(recorded, model, *model_checkpoint.load_rows(path, recorded.layout)))
            console.print(f"{path}: {note}")


def train(
    recorded: Recorded, path: Path, preset: str, seed: int, steps: int, patience: int,
    progress: Callable[[int], None] = lambda steps: None,
) -> tuple[ModelVersion | None, str]:  # fmt: skip
    """Trains one task's network until its held-out error stops improving; goes on from the checkpoint at ``path``.

    Returns:
        The best version, None where none was better than the checkpoint, and a line that says what came of it.

    Raises:
        ConfigError: too few transitions, or the checkpoint does not fit.
    """
    layout, rows, name = recorded.layout, recorded.rows, recorded.task.name
    old = model_checkpoint.load(path, name, layout, preset) if path.exists() else None
    before = model_checkpoint.load_rows(path, layout)  # after it: rows of another preset are of another width
    known = {row.tobytes() for part in before for row in part}
    fresh = rows[[row.tobytes() not in known for row in rows]]  # a bag that is given again adds nothing
    config = _config(preset, seed, before, len(fresh))
    if len(rows) < config.min_transitions:
        raise ConfigError(f"{name}: {len(rows)} transitions are too few; {config.min_transitions} or more are needed")
    begin = begin_at(name, layout, old)
    learner, best, idle = TaskLearner(config, begin), None, 0
    learner.restore(path)
    learner.add(fresh)
    while learner.steps < steps and idle < patience:
        look = min(learner.steps + CHECK_STEPS, steps)
        while learner.steps < look:  # the risk to go first, whose steps do not count
            learner.step()
        progress(learner.steps)
        made = learner.publish()
        idle = 0 if isinstance(made, ModelVersion) else idle + 1
        best = made if isinstance(made, ModelVersion) else best
    learner.keep(path)
    if best is None:
        return None, "kept as it was: no version was better on the held-out transitions of this bag"
    best = replace(best, version=begin.version + 1)
    return best, f"version {best.version} of {len(rows)} transitions, {recorded.gaps} gaps, {recorded.refused} refused"


def _config(preset: str, seed: int, before: tuple[Rows, Rows], fresh: int) -> FittingConfig:
    """Has room, within the limits, for what was (learnt from, held out) before and ``fresh`` transitions."""
    learnt, heldout = map(len, before)
    held = int(heldout_mask(learnt + heldout, fresh).sum())
    return FittingConfig(
        preset=preset, seed=seed, worse_by=0.0,  # type: ignore[arg-type]
        replay_capacity=min(max(learnt + fresh - held, 100), MAX_REPLAY),
        heldout_capacity=min(max(heldout + held, 10), MAX_HELDOUT),
    )  # fmt: skip


def table(recorded: Recorded, model: ModelVersion, learnt: Rows, heldout: Rows) -> Table:
    """Errors of each state dimension and the reward on the held-out transitions [n, width], those of earlier bags
    included, against persistence (s' = s, mean reward).
    """
    seen, held = recorded.layout.unpack(learnt), recorded.layout.unpack(heldout)
    scale = spread(seen.next_state[:, : recorded.layout.num_observation])
    mean = np.full(len(held.state), np.mean(seen.reward), np.float32)
    still = prediction_errors(Prediction(held.state, mean), held, scale)
    shown = Table(title=f"{recorded.task.name}: held-out error ({len(heldout)} transitions)")
    for head in ("", "network", "persistence"):
        shown.add_column(head, justify="left" if not head else "right")
    ours = model.error.state_dimensions
    for name, error, other in zip(recorded.task.observation_names, ours, still.state_dimensions, strict=True):
        shown.add_row(name, f"{error:.4f}", f"{other:.4f}")
    shown.add_row("state (RMS, in deviations)", f"{model.error.state:.4f}", f"{still.state:.4f}")
    shown.add_row("reward", f"{model.error.reward:.4f}", f"{still.reward:.4f}")
    return shown


if __name__ == "__main__":
    main()
