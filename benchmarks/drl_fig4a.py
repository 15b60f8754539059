# SPDX-License-Identifier: Apache-2.0
"""Return over 120 epochs on Hopper-v5 of sac, predict, gan and best (IoR Fig. 4a); trains for hours, resumably."""

from __future__ import annotations

import math

import numpy as np
from _drl_figures import FLAGS, account, collect, curves, label, over_seeds, ratio
from harness import Axis, Goal, Options, Result, main

EPOCHS, SMOOTH, BY = 120, 5, 60


def run(options: Options) -> Result:
    """Curves of the evaluation return, and the goals on them."""
    epochs = 2 if options.quick else EPOCHS
    runs = collect(options, epochs)
    tables = {name: curves(some, "evaluation_returns", epochs) for name, some in runs.items()}
    means = {name: over_seeds(table) for name, table in tables.items()}
    last = {name: _late(table, epochs, options.seeds) for name, table in tables.items()}
    reached = _best_until(tables["best"][:, :BY], options.seeds)
    cpu = {name: float(np.nanmean(curves(some, "cpu_seconds", epochs)[:, 1:])) for name, some in runs.items() if some}
    times = ratio(cpu.get("best", math.nan), cpu.get("sac", math.nan))
    ratios = {
        f"{above} / {below} at epoch {epochs}": (ratio(last[above], last[below]), goal)
        for above, below, goal in (("gan", "predict", 1.2), ("gan", "sac", 1.4), ("best", "sac", 1.4))
    }
    goals = [
        Goal(f"best: mean return of {SMOOTH} epochs over all seeds, highest until epoch {BY}", ">= 3000", reached,
             reached is not None and reached >= 3000),
        Goal("best: processor time of an epoch, relative to sac's", "<= 2", times, times is not None and times <= 2),
        *(Goal(what, f">= {goal}", got, got is not None and got >= goal) for what, (got, goal) in ratios.items()),
    ]  # fmt: skip
    return Result(
        x=Axis("epoch", "1,000 environment steps", list(range(1, epochs + 1))),
        y="evaluation return (mean of 5 episodes, no exploration)",
        series={label(name, runs[name], options.seeds, epochs): means[name] for name in runs},
        parameters=account(runs, options, epochs),
        paper={
            "source": "IoR section III, Fig. 4a",
            "gan / predict at epoch 120": 1.2,
            "gan / sac at epoch 120": 1.4,
            "note": "the paper's Hopper-v2 returns and its definition of reward are not given",
        },
        goals=goals,
        tables={
            "late_return": last,
            "training_return": {
                name: over_seeds(curves(some, "training_return", epochs))["mean"] for name, some in runs.items()
            },
            "cpu_seconds_per_epoch": cpu,
        },
    )


def _late(table: np.ndarray, epochs: int, seeds: int) -> float:
    """Mean over seeds and the last epochs; NaN unless all seeds have them."""
    return float(np.mean(table[:, max(epochs - SMOOTH, 0) :])) if len(table) == seeds else math.nan


def _best_until(table: np.ndarray, seeds: int) -> float | None:
    """Highest mean over all seeds and `SMOOTH` epochs in a row; None unless there are all seeds."""
    if len(table) < seeds or table.shape[1] < SMOOTH:
        return None
    smooth = np.convolve(table.mean(axis=0), np.full(SMOOTH, 1 / SMOOTH), "valid")
    return float(np.nanmax(smooth)) if np.isfinite(smooth).any() else None


if __name__ == "__main__":
    main("drl-fig4a", run, seeds=3, quick_seeds=1, first_seed=1, flags=FLAGS)
