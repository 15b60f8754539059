# SPDX-License-Identifier: Apache-2.0
"""What drl-fig4a and drl-fig4b share: runs made or found, curves over epochs, and how complete they are."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _drl_runs import KEPT, TASK, Run
from harness import Options, interval

from ir_common.config import ConfigError
from ir_drl.assisted import ALGORITHMS
from ir_drl.sac.training_config import difference

FLAGS = {"kept": "draw from the kept runs as they are, and train nothing"}
Runs = dict[str, list[dict[str, Any]]]
"""Of each algorithm, what is kept of its runs."""


def collect(options: Options, epochs: int) -> Runs:
    """The runs of all algorithms and seeds: those that lack epochs are trained first, unless ``--kept``.

    Raises:
        ConfigError: two kept runs of one algorithm are not of the same settings.
    """
    if options.quick:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            return {
                name: [Run(name, seed, quick=True).train(epochs, place, place) for seed in options.seed_list]
                for name in ALGORITHMS
            }
    runs: Runs = {name: [] for name in ALGORITHMS}
    for seed in options.seed_list:
        for name in ALGORITHMS:
            found = kept(name, seed)
            if "kept" not in options.flags and (found is None or length(found) < epochs):
                found = Run(name, seed).train(epochs)
            if found is not None:
                runs[name].append(found)
    for name, some in runs.items():
        for run in some[1:]:
            if differs := difference(*(one["config"] | {"seed": None} for one in (some[0], run))):
                key, first, other = differs
                raise ConfigError(
                    f"{KEPT}: {name} seed {some[0]['seed']} was trained with {key} = {first}, seed {run['seed']} with "
                    f"{other}; delete the older one and train it anew"
                )
    return runs


def kept(algorithm: str, seed: int) -> dict[str, Any] | None:
    """What is kept of a run, if anything."""
    path = KEPT / f"{Run(algorithm, seed).name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def length(run: dict[str, Any]) -> int:
    """Epochs of a run."""
    return len(run["epochs"]["falls"])


def curves(runs: list[dict[str, Any]], key: str, epochs: int) -> np.ndarray:
    """[runs, epochs] of a number, or of the mean of several; NaN where a run has no such epoch."""
    table = np.full((len(runs), epochs), math.nan)
    for row, run in zip(table, runs, strict=True):
        values = [float(np.mean(value)) if value else math.nan for value in _listed(run["epochs"][key][:epochs])]
        row[: len(values)] = values
    return table


def _listed(values: list[Any]) -> list[list[float]]:
    return [value if isinstance(value, list) else [] if value is None else [value] for value in values]


def over_seeds(table: np.ndarray) -> dict[str, list[float]]:
    """Mean and interval of each epoch over the runs that have it; NaN where none has."""
    points = [interval(column[~np.isnan(column)][:, None]) if (~np.isnan(column)).any() else None for column in table.T]
    return {key: [math.nan if point is None else point[key][0] for point in points] for key in ("mean", "ci95")}


def label(algorithm: str, runs: list[dict[str, Any]], seeds: int, epochs: int) -> str:
    """The algorithm's name, with how much there is where that is not all."""
    complete = sum(length(run) >= epochs for run in runs)
    return algorithm if complete == seeds else f"{algorithm} (incomplete: {complete} of {seeds} seeds to the end)"


def account(runs: Runs, options: Options, epochs: int) -> dict[str, Any]:
    """For the result's parameters: which code made which run, and what is missing."""
    return {
        "task": TASK,
        "epochs": epochs,
        "runs": {
            name: {str(run["seed"]): {"epochs": length(run), "parts": run["parts"]} for run in some}
            for name, some in runs.items()
        },
        "missing": [
            f"{name} seed {seed}"
            for name in ALGORITHMS
            for seed in options.seed_list
            if not any(run["seed"] == seed and length(run) >= epochs for run in runs[name])
        ],
        "configs": {name: some[0]["config"] for name, some in runs.items() if some},
        "seed_rule": "no tuning on these seeds: best was tuned on seeds 101 to 103; two earlier settings of it were "
        "run on seeds 1 to 3, too, and given up for how they did there (docs/notes/dt_training.md)",
    }


def ratio(above: float, below: float) -> float | None:
    """above / below, or None where one of them is missing."""
    return above / below if math.isfinite(above) and math.isfinite(below) and below else None
