# SPDX-License-Identifier: Apache-2.0
"""MAFL Fig. 2: how well the slice twin, LSTMs, AutoARIMA and the day before forecast the traffic of a slice.

Generated traffic of one slice, with devices from independent to wholly driven by what moves along the lines; with
--traces FILE also measured 5G traffic, whose devices were recorded one after the other.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray

from ir_slicing.learning import traces
from ir_slicing.learning.forecaster.baselines import auto_arima, fit_lstm, seasonal_naive
from ir_slicing.learning.forecaster.network import TwinConfig
from ir_slicing.learning.forecaster.training import FitConfig, fit_twin
from ir_slicing.learning.traffic import TrafficConfig, generate

Floats = NDArray[np.floating]
RATE = 50e3
BASELINES = ("LSTM, device by device", "LSTM, all devices", "AutoARIMA", "the day before", "the last value")


def forecasts(traffic: Floats, fit: FitConfig, horizons: tuple[int, ...]) -> tuple[dict[str, Floats], Floats]:
    """Forecasts of the slice's traffic on the test part, by name [k, horizon], and what came [k, horizon]."""
    end, test = fit.split(len(traffic))
    last = np.arange(test, len(traffic) - max(horizons))
    window = TwinConfig().window
    whole = traffic.sum(axis=1)
    out = {
        "slice twin": fit_twin(traffic, TwinConfig(horizons=horizons), fit).predict(traffic, last).sum(axis=-1),
        BASELINES[0]: fit_lstm(traffic, "device", window, horizons, fit).predict(traffic, last).sum(axis=-1),
        BASELINES[1]: fit_lstm(traffic, "joint", window, horizons, fit).predict(traffic, last).sum(axis=-1),
        BASELINES[2]: auto_arima(whole, last, horizons, fit.day, end),
        BASELINES[3]: seasonal_naive(traffic, last, horizons, fit.day).sum(axis=-1),
        BASELINES[4]: np.repeat(whole[last][:, None], len(horizons), axis=1),
    }
    return out, whole[last[:, None] + np.array(horizons)]


def errors(got: dict[str, Floats], actual: Floats) -> dict[str, tuple[list[float], list[float]]]:
    """RMSE and MAE for each horizon, in percent of the mean traffic."""
    mean = actual.mean()
    return {
        name: (
            (100 * np.sqrt(np.mean((one - actual) ** 2, axis=0)) / mean).tolist(),
            (100 * np.mean(np.abs(one - actual), axis=0) / mean).tolist(),
        )
        for name, one in got.items()
    }


def run(options: Options, trace_file: Path | None = None) -> Result:
    """All cases and seeds."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="possible convergence problem")
    quick = options.quick
    horizons, devices, steps = (1, 3, 6), 12 if quick else 50, 500 if quick else 3000
    cases: list[float | str] = [0.0, 0.8] if quick else [0.0, 0.5, 0.8, 1.0]
    measured = traces.load(trace_file) if trace_file else []
    if measured:
        cases.append("5G traces")
    found: dict[Any, list[dict[str, tuple[list[float], list[float]]]]] = {case: [] for case in cases}
    example: dict[str, Any] = {}
    began = time.perf_counter()
    for seed in options.seed_list:
        for case in cases:
            fit = FitConfig(epochs=2 if quick else 15, seed=seed)
            if isinstance(case, str):
                fit = fit.model_copy(update={"day": 60})
                rng = np.random.default_rng(seed)
                matrix = traces.device_matrix(measured, 2.0, 200 if quick else 600)
                traffic = matrix[:, rng.permutation(matrix.shape[1])[:devices]]
            else:
                config = TrafficConfig(devices=devices, rates=(RATE,), correlation=case)
                traffic = generate(config, steps, 1, seed)[:, 0, 0]
            got, actual = forecasts(traffic, fit, horizons)
            found[case].append(errors(got, actual))
            if case == 0.8 and not example:
                example = {"actual": actual[:96, 0] / 1e6, **{n: v[:96, 0] / 1e6 for n, v in got.items()}}
            print(f"seed {seed}, {case}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return report(found, horizons, {"devices": devices, "steps": steps, "example (Mb/s)": example})


def report(found: dict[Any, list[Any]], horizons: tuple[int, ...], about: dict[str, Any]) -> Result:
    """The result file: RMSE against horizon at a correlation of 0.8, all cases as tables, and the goals."""
    names = ["slice twin", *BASELINES]
    tables: dict[str, Any] = {"example (Mb/s)": about.pop("example (Mb/s)")}
    goals = []
    for case, runs in found.items():
        label = case if isinstance(case, str) else f"correlation {case:g}"
        both = {n: [np.array([one[n][i] for one in runs]) for i in (0, 1)] for n in names}
        tables[label] = {n: {"rmse (%)": interval(r), "mae (%)": interval(m)} for n, (r, m) in both.items()}
        rmse = {n: v[0].mean(axis=0) for n, v in both.items()}
        best = np.min([rmse[n] for n in BASELINES], axis=0)
        less = 100 * (1 - rmse["slice twin"] / best)
        correlated = not isinstance(case, str) and case >= 0.8
        goals.append(
            Goal(
                f"RMSE of the slice twin against the best baseline, {label}, horizons {horizons}",
                "25 % less" if correlated else "at most 2 % more",
                ", ".join(f"{-one:+.1f} %" for one in less),
                bool((less >= (25.0 if correlated else -2.0)).all()),
            )
        )
    series = {n: tables["correlation 0.8"][n]["rmse (%)"] for n in names}
    parameters = {
        **about,
        "twin": TwinConfig().model_dump(),
        "fit": FitConfig().model_dump(),
        "traffic": TrafficConfig().model_dump(),
        "fitted": "nothing to the paper, which gives no numbers; sizes and learning rate by hand on seed 1",
    }
    paper = {"Fig. 2b": "RMSE: the twin lowest, then LSTM, ARIMA worst; no numbers in the text"}
    return Result(
        Axis("horizon", "steps", list(horizons)), "RMSE of the slice's traffic (% of its mean), correlation 0.8",
        series, parameters, paper, goals, tables,
    )  # fmt: skip


if __name__ == "__main__":
    extra = argparse.ArgumentParser(add_help=False)
    extra.add_argument("--traces", type=Path)
    known, rest = extra.parse_known_args()
    main("slicing-fig2", lambda options: run(options, known.traces), arguments=rest)
