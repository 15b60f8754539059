# SPDX-License-Identifier: Apache-2.0
"""Falls in training over 50 epochs on Hopper-v5 of sac, predict, gan and best (IoR Fig. 4b); the runs of drl-fig4a."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from _drl_figures import FLAGS, Runs, account, collect, curves, label, over_seeds, ratio
from harness import Axis, Goal, Options, Result, interval, main

from ir_drl.assisted import ALGORITHMS

EPOCHS, NINTH = 50, 8


def run(options: Options) -> Result:
    """Falls per epoch, and their totals."""
    epochs = 2 if options.quick else EPOCHS
    runs = collect(options, epochs)
    tables = {name: curves(some, "falls", epochs) for name, some in runs.items()}
    totals = {name: table.sum(axis=1) for name, table in tables.items()}
    complete = {
        name: float(total.mean()) if len(total) == options.seeds and np.isfinite(total).all() else math.nan
        for name, total in totals.items()
    }
    share = ratio(complete["best"], complete["sac"])
    return Result(
        x=Axis("epoch", "1,000 environment steps", list(range(1, epochs + 1))),
        y="falls in the epoch (training, with exploration)",
        series={label(name, runs[name], options.seeds, epochs): over_seeds(tables[name]) for name in runs},
        parameters=account(runs, options, epochs),
        paper={
            "source": "IoR section III, Fig. 4b",
            "falls in 50 epochs": {"gan": 166, "predict": 184},
            "gan at epoch 9": "30 % under predict, 50 % under sac",
        },
        goals=[Goal(f"best: falls in {epochs} epochs relative to sac's", "<= 0.5", share, (share or math.inf) <= 0.5)],
        tables={
            "total_falls": {
                name: interval(total[np.isfinite(total)][:, None])
                for name, total in totals.items()
                if np.isfinite(total).any()
            },
            "total_falls_by_seed": {
                name: {str(run["seed"]): total for run, total in zip(runs[name], totals[name], strict=True)}
                for name in runs
            },
            "falls_so_far": _so_far(runs, tables),
            "falls_at_epoch_9": {
                name: over_seeds(table)["mean"][NINTH] for name, table in tables.items() if epochs > NINTH
            },
        },
    )


def _so_far(runs: Runs, tables: dict[str, np.ndarray]) -> dict[str, Any]:
    """For each algorithm: falls until the last epoch that its run and sac's with the same seed both have."""
    plain = {run["seed"]: row for run, row in zip(runs["sac"], tables["sac"], strict=True)}
    found: dict[str, Any] = {}
    for name in ALGORITHMS[1:]:
        for run, row in zip(runs[name], tables[name], strict=True):
            if run["seed"] in plain:
                both = np.isfinite(row) & np.isfinite(plain[run["seed"]])
                falls = {"epochs": both.sum(), name: row[both].sum(), "sac": plain[run["seed"]][both].sum()}
                found.setdefault(name, {})[str(run["seed"])] = falls
    return found


if __name__ == "__main__":
    main("drl-fig4b", run, seeds=5, quick_seeds=1, first_seed=1, flags=FLAGS)
