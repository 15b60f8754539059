# SPDX-License-Identifier: Apache-2.0
"""IoR Fig. 6b: outage of URLLC against the mean packets of a batch; M = 8, 10 sub-carriers; and the joint optimum.

Outage is counted in packets: dropped by the air of those that came to it. Fitted on tuning seeds, reported on others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import Axis, Goal, Options, Result, interval, main
from radio_fig6a import EMBB_DELAY, FITTED, TUNING, _told, runs

from ir_radio.coexistence.batch_run import BatchResult
from ir_radio.coexistence.joint_scheduling import Requirements, optimise
from ir_radio.coexistence.scenario import CoexistenceScenario, scenario

EMBB, DROPPED = 8e6, 0.1
PAPER = {"proposed": 3.0, "PUTD": 10.0}


def base_at(packets: float, **changes: Any) -> CoexistenceScenario:
    """Fig. 6b's scenario: all computing shared."""
    return scenario(
        **({"sub_carriers": 10, "packets_per_minislot": 8, "batch_packets": packets, "embb_rate": EMBB} | changes)
    )


def both(base: CoexistenceScenario) -> dict[str, CoexistenceScenario]:
    """The two schemes of the figure."""
    return {"proposed": base, "PUTD": base.but(scheduler="putd")}


def outages(base: CoexistenceScenario, slots: int) -> dict[str, float]:
    """Outage on the tuning seeds, %: of packets, and of the mini-slots with packets."""
    got = [runs(both(base.but(embb_rate=0.0)), slots, seed) for seed in TUNING]

    def mean(name: str, what: str) -> float:
        return round(float(np.mean([100 * getattr(one[name], what) for one in got])), 2)

    return {
        n + end: mean(n, what) for n in PAPER for end, what in (("", "outage"), (", mini-slots", "outage_of_minislots"))
    }


def sensitivity(slots: int) -> dict[str, dict[str, dict[str, float]]]:
    """Outage at 6 packets a batch with one parameter changed."""
    changes: dict[str, list[Any]] = {
        "batch_rate": [500.0, 1000.0, 1300.0, 1500.0, 1700.0, 2000.0],
        "computing_rate": [12e6, 14e6, 16e6, 18e6, 24e6, 1e9],
        "carried_first": [False, True],
        "packets_per_minislot": [6, 7, 8, 9, 10], "packet_bits": [128, 256, 320],
        "urllc_power": [-105.0, -100.0, -95.0, -90.0, -80.0], "coherence_slots": [1, 10, 100],
        "shared": [500, 700, 850, 1000],
    }  # fmt: skip
    return {
        name: {str(v): outages(base_at(6.0, **{name: v}), slots) for v in values} for name, values in changes.items()
    }


def run(options: Options) -> Result:
    """All batch sizes and seeds."""
    sizes = [2, 6, 10] if options.quick else list(range(1, 11))
    slots, trial = (2000, 800) if options.quick else (20_000, 6000)
    found: dict[str, list[list[float]]] = {"proposed": [], "PUTD": [], "joint optimum": []}
    minis: dict[str, list[list[float]]] = {"proposed": [], "PUTD": []}
    choices = {}
    for size in sizes:
        base = base_at(float(size))
        choice = optimise(
            base,
            Requirements(embb_rate=EMBB / 8, embb_delay=EMBB_DELAY, dropped=DROPPED),
            trial,
            TUNING[:1] if options.quick else TUNING,
        )
        choices[str(size)] = _told(choice)
        scenes = both(base) | ({"joint optimum": choice.best} if choice.best else {})
        got: list[dict[str, BatchResult]] = [runs(scenes, slots, seed) for seed in options.seed_list]
        for name, column in found.items():
            column.append([100 * one[name].outage if name in one else np.nan for one in got])
        for name, column in minis.items():
            column.append([100 * one[name].outage_of_minislots for one in got])
    series = {name: interval(np.array(column).T) for name, column in found.items()}
    at = sizes.index(6)
    goals = [
        Goal(f"outage of {name} at 6 packets a batch (fitted)", f"near {paper:g} %",
             f"{series[name]['mean'][at]:.2f} %",
             abs(series[name]["mean"][at] - paper) <= 0.1 * paper)
        for name, paper in PAPER.items()
    ]  # fmt: skip
    joint, ours = (series[n]["mean"][at] for n in ("joint optimum", "proposed"))
    goals.append(
        Goal("joint optimum at 6 packets a batch", "less outage than proposed", f"{joint:.2f} %", joint < ours)
    )

    def draw(axes) -> None:  # type: ignore[no-untyped-def]
        axes.plot([6, 6], list(PAPER.values()), "kx", markersize=9, label="paper: 3 % and 10 %")

    return Result(
        Axis("mean packets of a batch", "", sizes), "outage (% of packets)", series,
        {"scenario": base_at(6.0).model_dump(), "slots": slots, "tuning seeds": list(TUNING), "fitted": FITTED,
         "joint needs": {"embb_rate of each": EMBB / 8, "embb_delay": EMBB_DELAY, "dropped": DROPPED}},
        {"at 6 packets a batch, M = 8": "3 % against PUTD's about 10 % (IoR section IV, Fig. 6b)"}, goals,
        {"joint choice": choices,
         "outage in % of mini-slots with packets": {n: interval(np.array(c).T) for n, c in minis.items()},
         "outage at 6 packets a batch, %, on tuning seeds": sensitivity(1000 if options.quick else 6000)}, draw,
    )  # fmt: skip


if __name__ == "__main__":
    main("radio-fig6b", run, seeds=20)
