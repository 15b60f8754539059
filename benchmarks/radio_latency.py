# SPDX-License-Identifier: Apache-2.0
"""One-way delays of one robot over each access profile, beside measured ones.

128 bytes every 10.4 ms, each way, all blocks of the carrier, 10 m from the base station. For `nr-campus` the distance
(Kolmogorov-Smirnov) to the uplink delays that were measured over OpenAirInterface in band n78, with packets offered
when that sender offered them: every 10 ms, in step with the frames, so that a few phases repeat. Packets that the file
lacks are offered, too, and not compared; the phase is that of the file's first segments, which all leave at one instant
of the pattern of slots, its uplink slot. The network had an incident of 0.3 s that alone makes the p99 of the half it
falls into; so the file is cut into blocks of 25 packets. Three numbers were fitted on every other block (flag --fit
searches them again, on seeds of its own); goals are held against the other blocks, and against the whole file.
A table has 1 to 100 stations of 1 Mb/s each on WiFi, without contention (`wifi`) and with it (`wifi6`).
"""

from __future__ import annotations

import csv
import itertools
import os
from pathlib import Path
from typing import Any, NamedTuple

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
GRID = {
    "gnb_processing": (2.25e-3, 2.5e-3, 2.75e-3, 3e-3, 3.25e-3),
    "bler_target": (0.15, 0.2, 0.215, 0.225, 0.235, 0.25),
    "combining_spread": (8.0, 12.0, 14.0, 16.0, 18.0, 20.0, 22.0, 30.0),
}
"""What is fitted of `nr-campus`, and among which values."""
FITTED = {name: getattr(load_profile("nr-campus").access, name) for name in GRID}
TICK, BLOCK = 10.0, 25
"""Interval of the measuring sender, ms; packets of a block of the file, of which the incident spans two."""


def cell_run(
    carrier: Carrier, way: Direction, offered: NDArray[np.int64], seed: int
) -> tuple[Floats, NDArray[np.int8]]:
    """(Delays, ms, fates) of messages that are offered at these times, ns."""
    kind = "urllc" if carrier.access and carrier.access.configured_grant else "embb"
    cell = Cell(carrier, seed=seed)
    cell.set_slice(SliceSpec(name="a", type=kind, rate=1e6, max_latency=10.0, reliability=0.9))  # type: ignore[arg-type]
    cell.set_allocation({"a": float(carrier.resource_blocks)})
    cell.set_pose("robot", (DISTANCE, 0.0, 0.0))
    flow = cell.flow(FlowKey("a", "robot", "x", way))
    count = len(offered)
    times, fates = cell.run([flow] * count, [SIZE] * count, offered, int(offered[-1]) + 10**9)
    return (times - offered) / 1e6, fates


def delays(carrier: Carrier, way: Direction, count: int, seed: int) -> Floats:
    """Delays of `count` messages, ms [delivered]."""
    times, fates = cell_run(carrier, way, (np.arange(count) * PERIOD * 1e9).astype(np.int64), seed)
    return times[fates == 0]


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


class MeasuredUplink(NamedTuple):
    """What was measured, and when it was offered.

    Attributes:
        offered: [packets] ms, in a pattern of slots that begins at 0; with packets that the file lacks.
        recorded: [packets] is it in the file?
        delays: [recorded] ms.
    """

    offered: Floats
    recorded: NDArray[np.bool_]
    delays: Floats

    @property
    def fitted(self) -> NDArray[np.bool_]:
        """[recorded] is it in a block that was fitted on?"""
        return np.arange(len(self.delays)) // BLOCK % 2 == 0


def measured(carrier: Carrier) -> MeasuredUplink | None:
    """The measured delays beside a carrier's pattern of slots; none: the file is not here."""
    if not FILE.exists():
        return None
    with FILE.open(encoding="utf-8") as file:
        rows = [
            [float(row[name]) for name in ("send_ms", "one_way_ms", "first_segment_ms")] for row in csv.DictReader(file)
        ]
    sent, delays, first = np.array(rows).T
    access, slot = carrier.access, carrier.slot * 1e3
    assert access is not None
    pattern, uplink = len(access.tdd) * slot, access.tdd.index("U") * slot
    sent = sent + pattern + uplink - float(np.median((sent + first) % pattern))
    number = np.round((sent - sent[0]) / TICK).astype(int)
    offered = sent[0] + TICK * np.arange(number[-1] + 1)
    offered[number] = sent
    return MeasuredUplink(offered, np.isin(np.arange(len(offered)), number), delays)


def replayed(carrier: Carrier, trace: MeasuredUplink, seed: int, times: int = 1) -> Floats:
    """Delays of packets that are offered as in the file, so many times over, ms [delivered]."""
    span = TICK * (len(trace.offered) + 20)  # in step, and so that nothing is left over
    offered = np.concatenate([trace.offered + k * span for k in range(times)])
    times_of, fates = cell_run(carrier, "uplink", (offered * 1e6).astype(np.int64), seed)
    return times_of[(fates == 0) & np.tile(trace.recorded, times)]


def with_access(carrier: Carrier, **keys: Any) -> Carrier:
    """The carrier with some keys of its access changed."""
    dump = carrier.model_dump()
    return Carrier.model_validate(dump | {"access": dump["access"] | keys})


def distance(ours: Floats, theirs: Floats) -> list[float]:
    """(Kolmogorov-Smirnov distance, p50 of ours relative to theirs - 1, the same of p99)."""
    errors = [float(np.percentile(ours, q) / np.percentile(theirs, q) - 1.0) for q in (50, 99)]
    return [round(x, 3) for x in (float(stats.ks_2samp(ours, theirs).statistic), *errors)]


def fit(trace: MeasuredUplink) -> dict[str, Any]:
    """The grid point with the least sum of distance and errors of p50 and p99 on the fitted blocks."""
    base, theirs, tried = load_profile("nr-campus"), trace.delays[trace.fitted], []
    for values in itertools.product(*GRID.values()):
        keys = dict(zip(GRID, values, strict=True))
        ours = np.concatenate([replayed(with_access(base, **keys), trace, seed) for seed in range(11, 19)])
        tried.append((sum(map(abs, distance(ours, theirs))), keys))
    tried.sort(key=lambda one: one[0])
    return {f"{place + 1}.": {"sum": round(total, 3), **keys} for place, (total, keys) in enumerate(tried[:5])}


def sensitivity(trace: MeasuredUplink, options: Options) -> dict[str, list[float]]:
    """Distance, p50 and p99 on the blocks that were not fitted on, with one thing changed."""
    base, others = load_profile("nr-campus"), trace.delays[~trace.fitted]

    def held(carrier: Carrier, trace: MeasuredUplink) -> list[float]:
        return distance(np.concatenate([replayed(carrier, trace, seed) for seed in options.seed_list]), others)

    out = {
        f"{name} x {factor}": held(with_access(base, **{name: factor * value}), trace)
        for name, value in FITTED.items()
        for factor in (0.8, 1.2)
    }
    out |= {f"offered {by:+} ms": held(base, trace._replace(offered=trace.offered + by)) for by in (-0.5, 0.5)}
    return out


def compare(trace: MeasuredUplink, even: Floats, options: Options) -> tuple[list[Goal], dict[str, Any], list[Floats]]:
    """Goals, tables, and the delays of each seed; `even`: delays with packets at even intervals, out of step."""
    samples = [replayed(load_profile("nr-campus"), trace, s, 1 if options.quick else 4) for s in options.seed_list]
    ours = np.concatenate(samples)
    parts = {
        "blocks fitted on": trace.delays[trace.fitted],
        "other blocks": trace.delays[~trace.fitted],
        "all": trace.delays,
        "first half": trace.delays[: len(trace.delays) // 2],
        "second half": trace.delays[len(trace.delays) // 2 :],
    }
    goals = []
    for name in ("other blocks", "all"):
        ks, p50, p99 = distance(ours, parts[name])
        goals += [
            Goal(
                f"nr-campus uplink, p50 against the file, {name}", "within 20 %", f"{100 * p50:+.0f} %", abs(p50) <= 0.2
            ),
            Goal(
                f"nr-campus uplink, p99 against the file, {name}", "within 20 %", f"{100 * p99:+.0f} %", abs(p99) <= 0.2
            ),
            Goal(f"nr-campus uplink, distance to the file, {name}", "under 0.15", ks, ks < 0.15),
        ]
    tables: dict[str, Any] = {
        "nr-campus uplink, offered as in the file: distance, p50 - 1, p99 - 1": {
            name: distance(ours, part) for name, part in parts.items()
        },
        f"nr-campus uplink, a packet every {PERIOD * 1e3} ms: distance, p50 - 1, p99 - 1": {
            name: distance(even, part) for name, part in parts.items()
        },
        "first half of the file against the second: distance, p50 - 1, p99 - 1": [
            distance(parts["first half"], parts["second half"])
        ],
        "percentiles, ms, nr-campus uplink offered as in the file, and the file": {
            name: {f"p{q}": round(float(np.percentile(part, q)), 1) for q in PERCENTILES}
            for name, part in ({"nr-campus": ours} | parts).items()
        },
        "sensitivity on the other blocks: distance, p50 - 1, p99 - 1": sensitivity(trace, options),
    }
    if "fit" in options.flags:
        tables["fit, the best of the grid"] = fit(trace)
    return goals, tables, samples


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
    trace = measured(load_profile("nr-campus"))
    goals, tables = list[Goal](), dict[str, Any]()
    if trace is None:
        print(f"radio-latency: {FILE.name} is not in {DATA}: no comparison with what was measured")
    else:
        goals, tables, samples = compare(trace, campus, options)
        series["nr-campus uplink as in the file"] = interval([np.percentile(one, PERCENTILES) for one in samples])
    tables["percentiles, ms"] = table
    tables["stations of 1 Mb/s each: p50 and p99, ms"] = {
        f"{profile}, {stations}": np.round(np.percentile(crowd(profile, stations, 5.0, 1), (50, 99)), 2).tolist()
        for profile in ("wifi", "wifi6")
        for stations in (1, 10, 50, 100)
    }
    found = "not here, nothing compared" if trace is None else f"{len(trace.delays)} packets"
    tables["measured delays"] = f"{FILE.name}: {found}"
    down = table["nr-campus downlink"]["p50"]
    goals.append(Goal("nr-campus downlink, p50", "4 to 10 ms", f"{down} ms", 4.0 <= down <= 10.0))

    def draw(axes: Any) -> None:
        axes.set_yscale("log")
        if trace is not None:
            points = [float(np.percentile(trace.delays, q)) for q in PERCENTILES]
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
    main(
        "radio-latency", run, flags={"fit": "searches the fitted numbers again, on the blocks that they were fitted on"}
    )
