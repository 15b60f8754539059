# SPDX-License-Identifier: Apache-2.0
"""The channel of TR 38.901 against its formulas: path loss, probability of line of sight, shadowing over space.

Seven scenarios, 14 distances, three frequencies, two heights of terminals. The formulas are written here once more,
from the tables, for one place at a time. Probabilities, deviations and correlations are counted over many fields.
"""

from __future__ import annotations

import math
import statistics
import time
from typing import Any

import numpy as np
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray

from ir_radio.engine.cell import Cell
from ir_radio.model.carrier import Carrier
from ir_radio.model.coverage import Coverage
from ir_radio.model.propagation import Propagation

Floats = NDArray[np.float64]
BASES = {"inf_sl": 1.5, "inf_dl": 1.5, "inf_sh": 8.0, "inf_dh": 8.0, "inh_mixed": 3.0, "inh_open": 3.0, "umi": 10.0}
DISTANCES = [2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 80.0, 100.0, 150.0, 200.0, 300.0, 500.0]
FREQUENCIES = (0.7e9, 3.5e9, 28e9)
TERMINALS = (0.5, 1.5)
LAGS = (1.0, 2.5, 5.0, 10.0, 20.0)
CLUTTER = {"inf_sl": (0.2, 10.0, 2.0), "inf_dl": (0.6, 2.0, 6.0), "inf_sh": (0.2, 10.0, 2.0), "inf_dh": (0.6, 2.0, 6.0)}
DEVIATION = {"inf_sl": 5.7, "inf_dl": 7.2, "inf_dh": 4.0, "inh_open": 8.03, "umi": 7.82}
CORRELATION = {"inh_mixed": 6.0, "inh_open": 6.0, "umi": 13.0}
"""Without line of sight, as the deviations; of factories 10 m."""


def loss(scenario: str, sight: bool, f: float, flat: float, base: float, terminal: float) -> float:
    """Table 7.4.1-1, dB; f in Hz."""
    d, ghz = math.hypot(flat, base - terminal), f / 1e9
    if scenario == "umi":
        terminal = max(terminal, 1.5)
        breakpoint_ = 4 * (base - 1) * (terminal - 1) * f / 3e8
        los = 32.4 + 21 * math.log10(d) + 20 * math.log10(ghz)
        if flat > breakpoint_:
            los = 32.4 + 40 * math.log10(d) + 20 * math.log10(ghz)
            los -= 9.5 * math.log10(breakpoint_**2 + (base - terminal) ** 2)
        none = 35.3 * math.log10(d) + 22.4 + 21.3 * math.log10(ghz) - 0.3 * (terminal - 1.5)
        return los if sight else max(los, none)
    if scenario.startswith("inh"):
        los = 32.4 + 17.3 * math.log10(d) + 20 * math.log10(ghz)
        return los if sight else max(los, 38.3 * math.log10(d) + 17.3 + 24.9 * math.log10(ghz))
    los = 31.84 + 21.5 * math.log10(d) + 19 * math.log10(ghz)
    if sight:
        return los
    slope = {"inf_sl": (33.0, 25.5), "inf_dl": (18.6, 35.7), "inf_sh": (32.4, 23.0), "inf_dh": (33.63, 21.9)}
    which = ("inf_sl", "inf_dl") if scenario == "inf_dl" else (scenario,)
    return max([los] + [slope[s][0] + slope[s][1] * math.log10(d) + 20 * math.log10(ghz) for s in which])


def probability(scenario: str, flat: float, base: float, terminal: float) -> float:
    """Table 7.4.2-1."""
    if scenario == "umi":
        return 1.0 if flat <= 18 else 18 / flat + math.exp(-flat / 36) * (1 - 18 / flat)
    if scenario == "inh_mixed":
        if flat <= 1.2:
            return 1.0
        return math.exp(-(flat - 1.2) / 4.7) if flat < 6.5 else 0.32 * math.exp(-(flat - 6.5) / 32.6)
    if scenario == "inh_open":
        if flat <= 5:
            return 1.0
        return math.exp(-(flat - 5) / 70.8) if flat <= 49 else 0.54 * math.exp(-(flat - 49) / 211.7)
    density, width, height = CLUTTER[scenario]
    k = -width / math.log(1 - density)
    if scenario.endswith("h"):
        k *= (base - terminal) / (height - terminal)
    return math.exp(-flat / k)


def carrier(scenario: str, frequency: float = 3.5e9, **keys: Any) -> Carrier:
    """A carrier of 0 dBm without noise that matters, so that its ratio is a loss but for a constant."""
    given: dict[str, Any] = {"scenario": scenario, **keys}
    return Carrier(
        propagation=Propagation.model_validate(given), frequency=frequency, position=(0.0, 0.0, BASES[scenario])
    )


def offset(one: Carrier) -> float:
    """What is added to a negative loss for the ratio, dB."""
    noise = one.noise_density + one.noise_figure + 10 * math.log10(one.block_bandwidth)
    return one.tx_power - 10 * math.log10(one.resource_blocks) - noise


def loss_errors() -> dict[str, float]:
    """Greatest difference of each scenario over the grid, dB."""
    found = {}
    for scenario, base in BASES.items():
        worst = 0.0
        for f in FREQUENCIES:
            for sight in (True, False):
                one = carrier(scenario, f, line_of_sight="always" if sight else "never", shadowing=False)
                coverage = Coverage(one, 0)
                for terminal in TERMINALS:
                    for flat in DISTANCES:
                        got = offset(one) - float(coverage.at((0.6 * flat, 0.8 * flat, terminal))[0])
                        worst = max(worst, abs(got - loss(scenario, sight, f, flat, base, terminal)))
        found[scenario] = worst
    return found


def sight_shares(scenario: str, fields: int, seed: int) -> list[float]:
    """Share of fields in which each distance has line of sight."""
    one = carrier(scenario, shadowing=False)
    places = np.array([(flat, 0.0, 1.5) for flat in DISTANCES])
    seen = [Coverage(one, seed * fields + k).sight(places)[0] for k in range(fields)]
    return [float(share) for share in np.mean(seen, axis=0)]


def shadows(scenario: str, fields: int) -> tuple[float, list[float]]:
    """(Standard deviation, dB, correlation at each lag) of shadowing without line of sight."""
    one = carrier(scenario, line_of_sight="never")
    places = np.array([(50.0 + lag, 20.0, 1.5) for lag in (0.0, *LAGS)])
    got = np.array([Coverage(one, 10_000 + k).at(places)[0] for k in range(fields)])
    return float(got[:, 0].std()), [float(np.corrcoef(got[:, 0], got[:, 1 + i])[0, 1]) for i in range(len(LAGS))]


def pose_time(stations: int, rounds: int) -> float:
    """Median time of `Cell.set_pose` with shadowing, us."""
    there = tuple((10.0 * k, 5.0, 3.0) for k in range(1, stations))
    cell, took = Cell(Carrier(neighbours=there, shadowing=6.0)), []
    for k in range(rounds):
        begin = time.perf_counter()
        cell.set_pose("robot", (0.001 * k, 0.0, 0.5))
        took.append(time.perf_counter() - begin)
    return 1e6 * statistics.median(took)


def run(options: Options) -> Result:
    """All scenarios."""
    fields, many = (1000, 3000) if options.quick else (2000, 8000)
    errors, series, exact, off = loss_errors(), {}, {}, 0.0
    for scenario, base in BASES.items():
        shares = [sight_shares(scenario, fields, seed) for seed in options.seed_list]
        series[scenario] = interval(shares)
        exact[scenario] = [probability(scenario, flat, base, 1.5) for flat in DISTANCES]
        off = max(off, float(np.abs(np.mean(shares, axis=0) - exact[scenario]).max()))
    deviations, correlations, wrong, apart = {}, {}, 0.0, 0.0
    for scenario in ("inf_sl", "inf_dl", "inf_dh", "inh_open", "umi"):
        deviation, correlation = shadows(scenario, many)
        deviations[scenario] = {"got, dB": round(deviation, 2), "table, dB": DEVIATION[scenario]}
        wanted = [math.exp(-lag / CORRELATION.get(scenario, 10.0)) for lag in LAGS]
        correlations[scenario] = {"got": np.round(correlation, 3).tolist(), "exp(-x/d)": np.round(wanted, 3).tolist()}
        wrong = max(wrong, abs(deviation / DEVIATION[scenario] - 1.0))
        apart = max(apart, float(np.abs(np.subtract(correlation, wanted)).max()))
    took = pose_time(64, 2000)
    goals = [
        Goal("path losses: greatest difference over the grid", "at most 0.01 dB", f"{max(errors.values()):.1e} dB",
             max(errors.values()) <= 0.01),
        Goal("share of places with line of sight against its probability: greatest difference", "at most 0.03",
             round(off, 3), off <= 0.03),
        Goal("standard deviation of shadowing: greatest relative difference", "at most 4 %", f"{100 * wrong:.1f} %",
             wrong <= 0.04),
        Goal("correlation of shadowing over space: greatest difference to exp(-x/d)", "at most 0.05", round(apart, 3),
             apart <= 0.05),
        Goal("a pose with shadowing at 64 stations", "under 30 us", f"{took:.1f} us", took < 30.0),
    ]  # fmt: skip

    def draw(axes: Any) -> None:
        for values in exact.values():
            axes.plot(DISTANCES, values, color="black", linewidth=0.6, linestyle="--")
        axes.plot([], [], color="black", linewidth=0.6, linestyle="--", label="table 7.4.2-1")
        axes.set_xscale("log")

    return Result(
        Axis("distance in the plane", "m", DISTANCES), "share of places with line of sight", series,
        {"fields of each seed": fields, "fields for shadowing": many, "frequencies, Hz": FREQUENCIES,
         "heights of base stations, m": BASES, "clutter: density, width, height": CLUTTER, "fitted": []},
        goals=goals, draw=draw,
        tables={"path loss: greatest difference, dB": {k: float(f"{v:.1e}") for k, v in errors.items()},
                "probability of line of sight, formula": {k: np.round(v, 4).tolist() for k, v in exact.items()},
                "shadowing without line of sight": deviations, "correlation at " + str(LAGS) + " m": correlations},
    )  # fmt: skip


if __name__ == "__main__":
    main("radio-channel", run, seeds=5, quick_seeds=2)
