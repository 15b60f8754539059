# SPDX-License-Identifier: Apache-2.0
"""MAFL Fig. 2: how well the slice forecaster and what a practitioner picks forecast the traffic of a slice.

Generated traffic of one slice, with devices from independent to mostly driven by what moves along the lines; with
--traces FILE also measured 5G traffic, whose devices were recorded one after the other; with --city FILE users and
packets an hour of a city's base stations, 30 of them a seed. Beside the forecasters stands the best forecast that is
possible of generated traffic: one who sees what makes it (`device_traffic.Source.best`). Needs
requirements/forecasting.txt for all baselines.
"""

from __future__ import annotations

import argparse
import importlib.util
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _kept_pieces import kept
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray

from ir_slicing.learning import trace_devices
from ir_slicing.learning.city_traffic import DAY, load_city
from ir_slicing.learning.device_traffic import Source, TrafficConfig
from ir_slicing.learning.forecaster.baselines import (
    auto_arima,
    fit_lstm,
    fit_stid,
    lightgbm_lags,
    seasonal_naive,
    statistical,
)
from ir_slicing.learning.forecaster.fitting import FitConfig
from ir_slicing.learning.forecaster.forecaster_network import ForecasterConfig
from ir_slicing.learning.forecaster.quantiles import LEVELS, pinball
from ir_slicing.learning.forecaster.staged import fit_forecaster, parts

Floats = NDArray[np.floating]
RATE = 50e3
FORECASTER = "slice twin"
"""The slice forecaster, by the name that it has in results/slicing-fig2.json."""
BASELINES = (
    "LSTM, device by device", "STID", "LightGBM", "AutoARIMA", "AutoETS", "MSTL", "the day before", "the last value",
)  # fmt: skip
NEEDS = {"LightGBM": "lightgbm", "AutoARIMA": "statsforecast", "AutoETS": "statsforecast", "MSTL": "statsforecast"}
BEST = "best possible"
HORIZONS = (1, 3, 6)
EPOCHS = {FORECASTER: 3, BASELINES[0]: 5, BASELINES[1]: 5}
FEW = 600
"""Steps up to which networks get three times the epochs, and every step of the test is forecast from."""
STRIDE = 3
"""Steps between the forecasts of longer traffic: STL takes a tenth of a second for each."""
STATIONS = 30
NAME = "slicing-fig2"
TRAFFIC_SOURCES = ("device_traffic.py", "city_traffic.py", "trace_devices.py")
BASELINE_SOURCES = (*(f"forecaster/{n}.py" for n in ("baselines", "fitting", "traffic_windows")), *TRAFFIC_SOURCES)
"""Files that decide what the baselines say; of `fitting` their training."""


def told_by_baselines(traffic: Floats, fit: FitConfig, quick: bool) -> dict[str, Floats]:
    """Forecasts of the slice's traffic on the test part by all that is not the slice forecaster: name -> [k, horizon].

    They may learn from the steps that the networks stop by, too.
    """
    test, last, whole = fit.split(len(traffic))[1], places(traffic, fit), traffic.sum(axis=1)
    window, (lstm, stid) = ForecasterConfig().window, (_epochs(traffic, fit, name, quick) for name in BASELINES[:2])
    makers = {
        BASELINES[0]: lambda: fit_lstm(traffic, "device", window, HORIZONS, lstm).predict(traffic, last).sum(axis=-1),
        BASELINES[1]: lambda: fit_stid(traffic, window, HORIZONS, stid).predict(traffic, last).sum(axis=-1),
        BASELINES[2]: lambda: lightgbm_lags(traffic, window, last, HORIZONS, fit.day, test, fit.seed),
        BASELINES[3]: lambda: auto_arima(whole, last, HORIZONS, fit.day, test),
        BASELINES[4]: lambda: statistical("AutoETS", whole, last, HORIZONS, fit.day),
        BASELINES[5]: lambda: statistical("MSTL", whole, last, HORIZONS, fit.day),
        BASELINES[6]: lambda: seasonal_naive(traffic, last, HORIZONS, fit.day).sum(axis=-1),
        BASELINES[7]: lambda: np.repeat(whole[last][:, None], len(HORIZONS), axis=1),
    }
    return {name: maker() for name, maker in makers.items() if not missing(name)}


def told_by_forecaster(traffic: Floats, fit: FitConfig, quick: bool) -> tuple[Floats, dict[str, Any]]:
    """The slice forecaster's forecasts on the test part [k, horizon], and more of it."""
    test, last = fit.split(len(traffic))[1], places(traffic, fit)
    made = fit_forecaster(traffic, ForecasterConfig(horizons=HORIZONS), _epochs(traffic, fit, FORECASTER, quick))
    said = made.predict(traffic, last).sum(axis=-1)
    actual = came(traffic, fit)
    quantiles = np.moveaxis(made.quantiles(traffic, last), 2, 0)  # [level, k, horizon]
    naive = said + np.quantile(np.diff(traffic.sum(axis=1)[:test]), LEVELS)[:, None, None]
    told = {
        "parts": parts(made),
        "between 0.1 and 0.9 (%)": (100 * ((actual > quantiles[0]) & (actual < quantiles[-1])).mean(axis=0)).tolist(),
        "pinball loss (% of the mean)": _pinball(quantiles, actual),
        "pinball loss with the spread of single steps (% of the mean)": _pinball(naive, actual),
    }
    return said, told


def _epochs(traffic: Floats, fit: FitConfig, name: str, quick: bool) -> FitConfig:
    """How the network of a name is trained."""
    more = 3 if len(traffic) <= FEW else 1
    return fit.model_copy(update={"epochs": 1 if quick else more * EPOCHS[name]})


def _pinball(quantiles: Floats, actual: Floats) -> list[float]:
    """For each horizon, averaged over the levels, in percent of the mean traffic."""
    each = [
        [pinball(quantiles[i][:, h], actual[:, h], level) for i, level in enumerate(LEVELS)]
        for h in range(len(HORIZONS))
    ]
    return (100 * np.mean(each, axis=1) / actual.mean()).tolist()


def places(traffic: Floats, fit: FitConfig) -> NDArray[np.int64]:
    """Steps of the test part that are forecast from."""
    steps = len(traffic)
    return np.arange(fit.split(steps)[1], steps - max(HORIZONS), 1 if steps <= FEW else STRIDE)


def came(traffic: Floats, fit: FitConfig) -> Floats:
    """[k, horizon] bit/s of the slice at what is forecast."""
    return np.asarray(traffic.sum(axis=1)[places(traffic, fit)[:, None] + np.array(HORIZONS)])


def missing(name: str) -> bool:
    """Whether a baseline's library is not installed."""
    return name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None


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


@dataclass(frozen=True)
class Case:
    """Traffic [step, device] bit/s, how forecasters of it are trained, and what makes it where that is known."""

    traffic: Floats
    fit: FitConfig
    source: Source | None = None


def case_of(case: float | str, seed: int, quick: bool, files: dict[str, Path]) -> Case:
    """A case by its name, or by the correlation of generated traffic."""
    devices, steps = (12, 500) if quick else (50, 3000)
    fit, rng = FitConfig(seed=seed, graph_epochs=2), np.random.default_rng(seed)
    if case == "5G traces":
        matrix = trace_devices.device_matrix(trace_devices.load(files["traces"]), 2.0, 200 if quick else 600)
        chosen = matrix[:, rng.permutation(matrix.shape[1])[:devices]]
        return Case(chosen, fit.model_copy(update={"day": 60}))
    if isinstance(case, str):
        matrix = load_city(files["city"], case.removeprefix("city, ")).traffic
        return Case(matrix[:, rng.permutation(matrix.shape[1])[:STATIONS]], fit.model_copy(update={"day": DAY}))
    config = TrafficConfig(devices=devices, rates=(RATE,), correlation=case)
    source = Source(config, steps, np.random.default_rng([seed, 0, 0]))  # as `generate` does
    return Case((RATE * source.traffic).astype(np.float32), fit, source)


def of_baselines(case: Case, quick: bool) -> dict[str, Any]:
    """Errors by name, and the first day of the test."""
    got, actual = told_by_baselines(case.traffic, case.fit, quick), came(case.traffic, case.fit)
    if case.source:
        got[BEST] = RATE * case.source.best(places(case.traffic, case.fit), HORIZONS).sum(axis=-1)
    return {"errors": errors(got, actual), "example": _example({"actual": actual, **got})}


def of_forecaster(case: Case, quick: bool) -> dict[str, Any]:
    """Likewise, with what else was asked of it."""
    said, told = told_by_forecaster(case.traffic, case.fit, quick)
    got = {FORECASTER: said}
    return {"errors": errors(got, came(case.traffic, case.fit)), "told": told, "example": _example(got)}


def _example(got: dict[str, Floats]) -> dict[str, list[float]]:
    """Mb/s of the first day's forecasts one step ahead."""
    return {name: (one[:96, 0] / 1e6).round(4).tolist() for name, one in got.items()}


def piece(case: float | str, seed: int, quick: bool, files: dict[str, Path]) -> dict[str, Any]:
    """One case and seed: errors by name, what else was asked of the slice forecaster, and the first day of the test."""
    about = {"piece": f"{case} {seed}", "quick": quick, "rate": RATE, "epochs": EPOCHS, "few": FEW, "stride": STRIDE}
    others = kept_baselines(about, case, seed, files)
    own = kept(
        NAME, {**about, "of": "forecaster"}, ("forecaster", *TRAFFIC_SOURCES),
        lambda: of_forecaster(case_of(case, seed, quick, files), quick),
    )  # fmt: skip
    return {name: own[name] | others[name] for name in ("errors", "example")} | {"told": own["told"]}


def kept_baselines(about: dict[str, Any], case: float | str, seed: int, files: dict[str, Path]) -> dict[str, Any]:
    """What the baselines said, kept apart: it does not change with the slice forecaster, and takes far longer."""
    about = {**about, "of": "baselines", "absent": [name for name in BASELINES if missing(name)]}

    def make() -> dict[str, Any]:
        return of_baselines(case_of(case, seed, about["quick"], files), about["quick"])

    return dict(kept(NAME, about, BASELINE_SOURCES, make))


def run(options: Options, files: dict[str, Path], generated_seeds: int | None) -> Result:
    """All cases and seeds; of generated traffic, which takes far longer, only the first ``generated_seeds``."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")  # of statsforecast: convergence, and seasons that it leaves out
    cases: list[float | str] = [0.8, 0.0]
    cases += ["5G traces"] if "traces" in files else []
    cases += ["city, packets", "city, users"] if "city" in files else []
    absent = [name for name in BASELINES if missing(name)]
    found: dict[Any, list[Any]] = {case: [] for case in cases}
    for index, seed in enumerate(options.seed_list):
        for case in cases:
            if not isinstance(case, str) and generated_seeds is not None and index >= generated_seeds:
                continue
            found[case].append(piece(case, seed, options.quick, files))
    tables: dict[str, Any] = {"example (Mb/s)": found[0.8][0]["example"]}
    tables |= {"5G traces": "skipped: give --traces FILE"} if "traces" not in files else {}
    tables |= {"city": "skipped: give --city FILE"} if "city" not in files else {}
    tables |= {"not installed": absent} if absent else {}
    return report(found, tables, options.quick)


def report(found: dict[Any, list[Any]], tables: dict[str, Any], quick: bool) -> Result:
    """The result file: RMSE against horizon at a correlation of 0.8, all cases as tables, and the goals."""
    goals, names = [], [FORECASTER, *BASELINES, BEST]
    for case, runs in found.items():
        label = case if isinstance(case, str) else f"correlation {case:g}"
        all_errors = [one["errors"] for one in runs]
        both = {n: [np.array([one[n][i] for one in all_errors]) for i in (0, 1)] for n in names if n in all_errors[0]}
        tables[label] = {n: {"rmse (%)": interval(r), "mae (%)": interval(m)} for n, (r, m) in both.items()}
        told = [one["told"] for one in runs]
        tables[label]["quantiles"] = {k: interval([one[k] for one in told]) for k in told[0] if k != "parts"}
        tables[label]["number of seeds"] = len(runs)
        tables[label]["parts"] = {k: [one["parts"][k] for one in told] for k in told[0]["parts"]}
        rmse = {n: v[0].mean(axis=0) for n, v in both.items()}
        best = np.min([rmse[n] for n in BASELINES if n in rmse], axis=0)
        less = 100 * (1 - rmse[FORECASTER] / best)
        tables[label]["twin against the best baseline (% less)"] = less
        tables[label]["best baseline"] = [
            min((n for n in BASELINES if n in rmse), key=lambda n: rmse[n][i]) for i in range(len(HORIZONS))
        ]
        for i, horizon in enumerate(HORIZONS):
            what = f"RMSE of the {FORECASTER} against the best baseline, {label}, horizon {horizon}"
            goals.append(Goal(what, "at most 2 % more", f"{-less[i]:+.1f} %", bool(less[i] >= -2.0)))
        if case == 0.8:
            possible = 100 * (1 - rmse[BEST] / best)
            tables[label]["best possible against the best baseline (% less)"] = possible
            if "AutoARIMA" in rmse:
                gain = (rmse["AutoARIMA"] - rmse[FORECASTER]) / (rmse["AutoARIMA"] - rmse[BEST])
                tables[label]["share of the possible gain over AutoARIMA (%)"] = 100 * gain
            for i, horizon in enumerate(HORIZONS):
                share = 100 * less[i] / possible[i]
                what = f"share of the gain over the best baseline that is possible of these seeds, horizon {horizon}"
                goals.append(Goal(f"{label}: {what}", "80 %", f"{share:.1f} %", bool(share >= 80.0)))
    series = {n: tables["correlation 0.8"][n]["rmse (%)"] for n in names if n in tables["correlation 0.8"]}
    parameters = {
        "devices": 12 if quick else 50,
        "steps": 500 if quick else 3000,
        "epochs": EPOCHS,
        "twin": ForecasterConfig().model_dump(),
        "fit": FitConfig().model_dump(),
        "traffic": TrafficConfig().model_dump(),
        "stations": STATIONS,
        "fitted": "nothing to the paper, which gives no numbers; sizes, epochs and rules by hand on seeds 11 to 17 "
        "and on two halves of the stations of the same city file",
    }
    paper = {"Fig. 2b": "RMSE: the twin lowest, then LSTM, ARIMA worst; no numbers in the text"}
    return Result(
        Axis("horizon", "steps", list(HORIZONS)), "RMSE of the slice's traffic (% of its mean), correlation 0.8",
        series, parameters, paper, goals, tables,
    )  # fmt: skip


if __name__ == "__main__":
    extra = argparse.ArgumentParser(add_help=False)
    extra.add_argument("--traces", type=Path)
    extra.add_argument("--city", type=Path)
    extra.add_argument("--generated-seeds", type=int)
    known, rest = extra.parse_known_args()
    given = {name: path for name in ("traces", "city") if (path := getattr(known, name))}
    main(NAME, lambda options: run(options, given, known.generated_seeds), arguments=rest)
