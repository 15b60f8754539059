# SPDX-License-Identifier: Apache-2.0
"""IoR Fig. 6a: mean URLLC delay against the eMBB throughput requirement, for the three schemes and the joint optimum.

EUAD gives eMBB a computing part equal to the requirement; proposed and PUTD an exclusive part of COVER times that, the
rest comes from the shared part when no URLLC is there. Fitted on TUNING seeds, reported on others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import Axis, Goal, Options, Result, interval, main

from ir_radio.coexistence.batch_run import BatchResult, draw, process, radiate
from ir_radio.coexistence.joint_scheduling import JointSchedule, Requirements, measured, optimise
from ir_radio.coexistence.scenario import MILLE, CoexistenceScenario, scenario

COVER = 0.75
TUNING = (1, 2, 3, 4)
PAPER_AT = 11e6
FITTED = {
    "cover": "0.75 of the eMBB requirement by the exclusive part (proposed, PUTD): sets the 24 % of Fig. 6a",
    "batch_rate": "1500 batches/s: sets PUTD's 10 % of Fig. 6b",
    "computing_rate": "16 Mb/s, shared by both figures: sets the proposed 3 % beside it",
    "carried_first": "false: new packets go before carried ones (a choice of two; true gives under 1 % in Fig. 6b)",
}
EMBB_DELAY, DROPPED = 10e-3, 0.01


def schemes(base: CoexistenceScenario, cover: float = COVER) -> dict[str, CoexistenceScenario]:
    """The three schemes for the eMBB rate of `base`."""
    part = base.embb_rate / base.computing_rate
    shared, split = round(MILLE * (1 - cover * part)), round(MILLE * (1 - part))
    return {
        "proposed": base.but(scheduler="puncturing", shared=shared), "PUTD": base.but(scheduler="putd", shared=shared),
        "EUAD": base.but(scheduler="euad", shared=split),
    }  # fmt: skip


def runs(scenes: dict[str, CoexistenceScenario], slots: int, seed: int) -> dict[str, BatchResult]:
    """Every scheme on the same draw of chance."""
    chance = draw(next(iter(scenes.values())), slots, seed)
    return {name: radiate(one, chance, process(one, chance)) for name, one in scenes.items()}


def need_at(rate: float, base: CoexistenceScenario) -> Requirements:
    """What the joint scheduler has to keep."""
    return Requirements(embb_rate=rate / base.embb_robots, embb_delay=EMBB_DELAY, dropped=DROPPED)


def gain(base: CoexistenceScenario, slots: int, cover: float = COVER) -> float:
    """How much less delay than EUAD, in percent, on the tuning seeds."""
    got = [runs(schemes(base, cover), slots, seed) for seed in TUNING]
    ours, theirs = (np.mean([one[name].urllc_delay for one in got]) for name in ("proposed", "EUAD"))
    return round(float(100 * (1 - ours / theirs)), 1)


def sensitivity(slots: int) -> dict[str, dict[str, float]]:
    """The gain over EUAD at 11 Mb/s, in percent, with one parameter changed."""
    base = scenario(embb_rate=PAPER_AT)
    changes: dict[str, list[Any]] = {
        "computing_rate": [15e6, 15.5e6, 16e6, 17e6, 18e6, 20e6], "batch_rate": [750.0, 1200.0, 1500.0, 1800.0],
        "batch_packets": [2.0, 4.0, 5.0, 6.0, 7.0], "packet_bits": [128, 192, 256, 288],
        "packets_per_minislot": [6, 8, 10, 12],
        "urllc_power": [-100.0, -95.0, -90.0, -80.0], "drop_after": [1e-3, 2e-3, 5e-3, 1.0],
        "carried_first": [False, True],
    }  # fmt: skip
    table = {"cover": {str(c): gain(base, slots, c) for c in (0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0)}}
    for name, values in changes.items():
        table[name] = {str(value): gain(base.but(**{name: value}), slots) for value in values}
    return table


def run(options: Options) -> Result:
    """All requirements and seeds."""
    rates = [5e6, 8e6, PAPER_AT] if options.quick else [1e6 * r for r in range(4, 14)]
    slots, trial = (2000, 800) if options.quick else (20_000, 6000)
    delays: dict[str, list[list[float]]] = {"proposed": [], "PUTD": [], "EUAD": [], "joint optimum": []}
    tables: dict[str, Any] = {
        "joint choice": {},
        "eMBB mean delay of the worst robot, ms": {},
        "not delivered, %": {},
        "fifo delay, ms": {},
    }
    kept = True
    for rate in rates:
        base, key = scenario(embb_rate=rate), f"{rate / 1e6:g} Mb/s"
        choice = optimise(base, need_at(rate, base), trial, TUNING[:1] if options.quick else TUNING)
        scenes = schemes(base) | ({"joint optimum": choice.best} if choice.best else {})
        got = [runs(scenes | {"fifo": base.but(scheduler="fifo")}, slots, seed) for seed in options.seed_list]
        for name, column in delays.items():
            column.append([1e3 * one[name].urllc_delay if name in one else np.nan for one in got])
        figures = {n: measured([one[n] for one in got], base, need_at(rate, base)) for n in got[0]}
        kept = kept and (not choice.best or figures["joint optimum"].keeps(need_at(rate, base)))
        tables["joint choice"][key] = _told(choice)
        tables["eMBB mean delay of the worst robot, ms"][key] = {
            n: round(1e3 * m.embb_delay, 2) for n, m in figures.items()
        }
        tables["not delivered, %"][key] = {n: round(100 * m.dropped, 3) for n, m in figures.items()}
        tables["fifo delay, ms"][key] = round(1e3 * figures["fifo"].delay, 2)
    series = {name: interval(np.array(column).T) for name, column in delays.items()}
    tables["less delay than EUAD at 11 Mb/s, %, on tuning seeds"] = sensitivity(1000 if options.quick else 6000)
    return Result(
        Axis("eMBB throughput requirement", "Mb/s", [rate / 1e6 for rate in rates]), "mean URLLC delay (ms)", series,
        {"scenario": scenario().model_dump(), "slots": slots, "tuning seeds": list(TUNING), "fitted": FITTED,
         "joint needs": {"embb_delay": EMBB_DELAY, "dropped": DROPPED}},
        {"less than EUAD at 11 Mb/s": "about 24 % (IoR section IV, Fig. 6a)", "PUTD": "almost the same as proposed"},
        _goals(series, rates.index(PAPER_AT), kept), tables, lambda axes: _draw(axes, series["EUAD"], rates),
    )  # fmt: skip


def _told(choice: JointSchedule) -> dict[str, Any]:
    if choice.best is None:
        return {"infeasible": list(choice.reasons), "tried": choice.tried}
    best = choice.best
    return {
        "shared": best.shared / MILLE,
        "M": best.packets_per_minislot,
        "puncture": best.puncture,
        "tried": choice.tried,
    }


def _goals(series: dict[str, dict[str, list[float]]], at: int, kept: bool) -> list[Goal]:
    ours, putd, euad, joint = (series[n]["mean"][at] for n in ("proposed", "PUTD", "EUAD", "joint optimum"))
    less, apart = 100 * (1 - ours / euad), 100 * abs(ours / putd - 1)
    return [
        Goal("less mean delay than EUAD at 11 Mb/s (fitted)", "24 % +- 2", f"{less:.1f} %", abs(less - 24) <= 2),
        Goal("proposed equal to PUTD at 11 Mb/s", "within 2 %", f"{apart:.2f} %", apart <= 2),
        Goal("joint optimum below the proposed scheme at 11 Mb/s", "less delay",
             f"{100 * (1 - joint / ours):.1f} % less", joint < ours),
        Goal("joint optimum keeps every need of eMBB and URLLC on other seeds", "wherever feasible", str(kept), kept),
    ]  # fmt: skip


def _draw(axes: Any, euad: dict[str, list[float]], rates: list[float]) -> None:
    point = euad["mean"][rates.index(PAPER_AT)]
    axes.plot([11], [0.76 * point], "kx", markersize=9, label="paper: 24 % under EUAD")
    axes.annotate("", (11, 0.76 * point), (11, point), arrowprops={"arrowstyle": "->"})


if __name__ == "__main__":
    main("radio-fig6a", run, seeds=20)
