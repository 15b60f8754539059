# SPDX-License-Identifier: Apache-2.0
"""One-way delays of one robot over each access profile, beside measured ones.

128 bytes every 10.4 ms, each way, all blocks of the carrier, 10 m from the base station. For `nr-campus` the distance
(Kolmogorov-Smirnov) to the uplink delays that were measured over OpenAirInterface in band n78. Its three fitted numbers
were fitted on the first half of the packets (flag --fit searches them again); goals are held against the second half.
A table has 1 to 100 stations of 1 Mb/s each on WiFi, without contention (`wifi`) and with it (`wifi6`).
"""

from __future__ import annotations

import csv
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray
from scipy import stats

from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model.carrier import Carrier
from ir_radio.model.profiles import load_profile
from ir_radio.model.slice_specs import Direction, SliceSpec

Floats = NDArray[np.float64]
PROFILES = ("nr", "lte", "wifi", "nr-campus", "nr-urllc", "lte-campus", "wifi6")
WAYS: tuple[Direction, Direction] = ("uplink", "downlink")
PERIOD, SIZE, DISTANCE = 10.4e-3, 128, 10.0
PERCENTILES = (50, 90, 99, 99.9)
DATA = Path(os.environ.get("IR_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
FILE = DATA / "oai-n78-uplink-delays.csv"
"""Measured delays, beside the project (or where IR_SHARED_DATA says): read, never copied."""
MEASURED = {
    "nr uplink, p50 and p99, ms": "13.4 and 43: S. Mostafavi et al., EDAF (OpenAirInterface, n78, 106 blocks)",
    "nr uplink, mean, ms": "10: Simu5G",
    "nr downlink, ms": "4 to 10: campus networks in standalone mode",
    "nr round trip, ms": "at least 19: srsRAN, 40 MHz of n78",
    "nr uplink, textbook timings alone, p50 and p99, ms": "10.7 to 13.4 and 18 to 22",
    "nr downlink, textbook timings alone, p50 and p99, ms": "4.9 and 10.5",
    "nr uplink, configured grant, textbook timings, p50 and p99, ms": "4.3 to 5.2 and 11 to 13",
    "nr uplink rate of downlink's": "1/3 to 1/4, TDD 7:2",
}
"""The issue's numbers, measured elsewhere; those called textbook are a Monte Carlo of six timings."""
FITTED = {"gnb_processing": 2.75e-3, "bler_target": 0.225, "combining_spread": 30.0}


def delays(carrier: Carrier, way: Direction, count: int, seed: int) -> Floats:
    """Delays of `count` messages, ms [delivered]."""
    kind = "urllc" if carrier.access and carrier.access.configured_grant else "embb"
    cell = Cell(carrier, seed=seed)
    cell.set_slice(SliceSpec(name="a", type=kind, rate=1e6, max_latency=10.0, reliability=0.9))  # type: ignore[arg-type]
    cell.set_allocation({"a": float(carrier.resource_blocks)})
    cell.set_pose("robot", (DISTANCE, 0.0, 0.0))
    flow = cell.flow(FlowKey("a", "robot", "x", way))
    offered = (np.arange(count) * PERIOD * 1e9).astype(np.int64)
    times, fates = cell.run([flow] * count, [SIZE] * count, offered, int(offered[-1]) + 10**9)
    return (times - offered)[fates == 0] / 1e6


def crowd(profile: str, stations: int, seconds: float, seed: int) -> Floats:
    """Delays of messages of so many stations, ms: each sends 1500 B at random times, 1 Mb/s in the mean."""
    carrier, rng = load_profile(profile), np.random.default_rng(seed)
    cell, flows = Cell(carrier, seed=seed), []
    cell.set_slice(SliceSpec(name="a", type="embb", rate=1e6, max_latency=10.0, reliability=0.9))
    cell.set_allocation({"a": float(carrier.resource_blocks)})
    for k in range(stations):
        cell.set_pose(f"r{k}", (DISTANCE, 0.1 * k, 0.0))
        flows.append(cell.flow(FlowKey("a", f"r{k}", "x", "uplink")))
    count = rng.poisson(1e6 / 12_000 * seconds * stations)
    offered = np.sort(rng.integers(0, int(seconds * 1e9), count))
    chosen = np.array(flows)[rng.integers(stations, size=count)]
    times, fates = cell.run(chosen, [1500] * count, offered, int((seconds + 1) * 1e9))
    return (times - offered)[fates == 0] / 1e6


def measured() -> Floats | None:
    """The measured delays in the order of their packets, ms; none: the file is not here."""
    if not FILE.exists():
        return None
    with FILE.open(encoding="utf-8") as file:
        return np.array([float(row["one_way_ms"]) for row in csv.DictReader(file)])


def with_access(carrier: Carrier, **keys: Any) -> Carrier:
    """The carrier with some keys of its access changed."""
    dump = carrier.model_dump()
    return Carrier.model_validate(dump | {"access": dump["access"] | keys})


def distance(ours: Floats, theirs: Floats) -> list[float]:
    """(Kolmogorov-Smirnov distance, p50 of ours relative to theirs - 1, the same of p99)."""
    errors = [float(np.percentile(ours, q) / np.percentile(theirs, q) - 1.0) for q in (50, 99)]
    return [float(stats.ks_2samp(ours, theirs).statistic), *errors]


def fit(first: Floats, count: int) -> dict[str, float]:
    """The grid point with the least sum of distance and errors of p50 and p99, on seeds of its own."""
    base, best = load_profile("nr-campus"), (np.inf, FITTED)
    grid = itertools.product((2e-3, 2.25e-3, 2.5e-3, 2.75e-3, 3e-3), (0.15, 0.2, 0.225, 0.25, 0.275, 0.3),
                             (8.0, 12.0, 15.0, 20.0, 25.0, 30.0))  # fmt: skip
    for values in grid:
        keys = dict(zip(FITTED, values, strict=True))
        ours = np.concatenate([delays(with_access(base, **keys), "uplink", count, seed) for seed in (11, 12, 13)])
        best = min(best, (sum(map(abs, distance(ours, first))), keys), key=lambda one: one[0])
    return best[1]


def sensitivity(second: Floats, options: Options, count: int) -> dict[str, list[float]]:
    """Distance, p50 and p99 on the second half with each fitted number a fifth less and more."""
    base, out = load_profile("nr-campus"), {}
    for name, value in FITTED.items():
        for factor in (0.8, 1.2):
            carrier = with_access(base, **{name: factor * value})
            ours = np.concatenate([delays(carrier, "uplink", count, seed) for seed in options.seed_list])
            out[f"{name} x {factor}"] = [round(x, 3) for x in distance(ours, second)]
    return out


def compare(theirs: Floats, ours: Floats, options: Options, count: int) -> tuple[list[Goal], dict[str, Any]]:
    """Goals on the second half of the file, and tables."""
    half = len(theirs) // 2
    parts = {"first half, fitted": theirs[:half], "second half": theirs[half:], "all": theirs}
    ks, p50, p99 = distance(ours, parts["second half"])
    goals = [
        Goal("nr-campus uplink, p50 against the second half", "within 20 %", f"{100 * p50:+.0f} %", abs(p50) <= 0.2),
        Goal("nr-campus uplink, p99 against the second half", "within 20 %", f"{100 * p99:+.0f} %", abs(p99) <= 0.2),
        Goal("nr-campus uplink, distance to the second half", "under 0.15", round(ks, 3), ks < 0.15),
    ]
    tables: dict[str, Any] = {
        "nr-campus uplink against parts of the file: distance, p50 - 1, p99 - 1": {
            name: [round(x, 3) for x in distance(ours, part)] for name, part in parts.items()
        },
        "first half of the file against the second: distance, p50 - 1, p99 - 1": [
            round(x, 3) for x in distance(parts["first half, fitted"], parts["second half"])
        ],
        "measured percentiles, ms": {
            name: {f"p{q}": round(float(np.percentile(part, q)), 1) for q in PERCENTILES}
            for name, part in parts.items()
        },
        "sensitivity on the second half: distance, p50 - 1, p99 - 1": sensitivity(parts["second half"], options, count),
    }
    if "fit" in options.flags:
        tables["fit on the first half"] = fit(parts["first half, fitted"], count)
    return goals, tables


def run(options: Options) -> Result:
    """All profiles, both ways."""
    count = 1500 if options.quick else 10_000
    series, table, campus = {}, {}, np.zeros(0)
    for profile in PROFILES:
        for way in WAYS:
            samples = [delays(load_profile(profile), way, count, seed) for seed in options.seed_list]
            name, every = f"{profile} {way}", np.concatenate(samples)
            series[name] = interval([[float(np.percentile(one, q)) for q in PERCENTILES] for one in samples])
            table[name] = {f"p{q}": round(float(np.percentile(every, q)), 2) for q in PERCENTILES}
            if (profile, way) == ("nr-campus", "uplink"):
                campus = every
    theirs = measured()
    goals, tables = ([], {}) if theirs is None else compare(theirs, campus, options, count)
    if theirs is None:
        print(f"radio-latency: {FILE.name} is not in {DATA}: no comparison with what was measured")
    tables["percentiles, ms"] = table
    tables["stations of 1 Mb/s each: p50 and p99, ms"] = {
        f"{profile}, {stations}": np.round(np.percentile(crowd(profile, stations, 5.0, 1), (50, 99)), 2).tolist()
        for profile in ("wifi", "wifi6")
        for stations in (1, 10, 50, 100)
    }
    found = "not here, nothing compared" if theirs is None else f"{len(theirs)} packets"
    tables["measured delays"] = f"{FILE.name}: {found}"
    down = table["nr-campus downlink"]["p50"]
    goals.append(Goal("nr-campus downlink, p50", "4 to 10 ms", f"{down} ms", 4.0 <= down <= 10.0))

    def draw(axes: Any) -> None:
        axes.set_yscale("log")
        if theirs is not None:
            points = [float(np.percentile(theirs, q)) for q in PERCENTILES]
            axes.plot(PERCENTILES, points, "k--", label="measured uplink")

    return Result(
        Axis("percentile", "%", list(PERCENTILES)), "one-way delay (ms)", series,
        {"message": f"{SIZE} B every {PERIOD * 1e3} ms", "distance, m": DISTANCE, "messages of a run": count,
         "profiles": {name: load_profile(name).model_dump() for name in PROFILES if load_profile(name).access},
         "fitted": [f"nr-campus access.{name} = {value}" for name, value in FITTED.items()],
         "chosen": ["nr-campus access.keep_granting", "nr-campus access.core_delay"]},
        paper=MEASURED, goals=goals, tables=tables, draw=draw,
    )  # fmt: skip


if __name__ == "__main__":
    main("radio-latency", run, flags={"fit": "searches the fitted numbers again, on the first half of the file"})
