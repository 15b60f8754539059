# SPDX-License-Identifier: Apache-2.0
"""What a busy host does to a live run: with waiting for commands the run gets slower, without it robots fall.

Each seed runs beside so many processes that only compute, with ``sync:=on`` and ``sync:=off``; the same run in the
model's time says what is right.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from _live_stack import live
from _stack_runs import busy, simulate
from harness import Axis, Goal, Options, Result, interval, main

HOGS = (0, 2, 4)
WORDS = ("twin:=off", "rendering:=false")
DELAY_GOAL = 1e-3  #: s
LONGEST = 1200.0  #: s of wall time for one run


def late(report: dict[str, Any], model: dict[str, Any]) -> float:
    """By how much commands took longer than in the model, p99, s: over the radio, and from it to their effect."""
    radio = report["slices"]["control"]["delay_seconds"]["p99"] - model["slices"]["control"]["delay_seconds"]["p99"]
    return float(abs(radio) + report["host"]["late_seconds"]["p99"])


def run(options: Options) -> Result:
    """Runs of 60 s of simulated time by load and by `sync`."""
    seconds = 6 if options.quick else 60
    hogs = HOGS[:2] if options.quick else HOGS
    found: dict[str, dict[str, list[list[float]]]] = {}
    falls_modelled = []
    with tempfile.TemporaryDirectory() as name:
        for seed in options.seed_list:
            words = [*WORDS, f"seed:={seed}", f"duration:={seconds}"]
            model = simulate(words[:1] + words[2:])[0]
            falls_modelled.append(float(model["robots"]["hopper"]["falls"]))
            for sync in ("on", "off"):
                rows = found.setdefault(sync, {"pace": [], "late": [], "falls": []})
                reports = []
                for count in hogs:
                    with busy(count), live([*words, f"sync:={sync}"], Path(name) / f"{seed}-{sync}-{count}") as stack:
                        reports.append(stack.end(LONGEST))
                    print(f"seed {seed}, sync {sync}, {count} busy: {reports[-1]['host']['line']}", flush=True)
                rows["pace"].append([float(report["host"]["pace"]) for report in reports])
                rows["late"].append([1e3 * late(report, model) for report in reports])
                rows["falls"].append([float(report["robots"]["hopper"]["falls"]) for report in reports])
    on = found["on"]
    worst = max(max(row) for row in on["late"])
    most, spread = max(max(row) for row in on["falls"]), max(falls_modelled)
    goals = [
        Goal("sync:=on: commands later than in the model at p99, every run, ms", f"<= {1e3 * DELAY_GOAL:g}",
             round(worst, 3), worst <= 1e3 * DELAY_GOAL),
        Goal("sync:=on: most falls of the hopper in any run", f"<= {spread:g}, the most of the seeds in the model",
             most, most <= spread),
    ]  # fmt: skip
    return Result(
        Axis("busy processes beside the stack", "", list(hogs)),
        "falls of the hopper",
        {f"sync:={sync}": interval(rows["falls"]) for sync, rows in found.items()},
        {"arguments": list(WORDS), "simulated seconds": seconds},
        {},
        goals,
        {
            "pace": {f"sync:={sync}": interval(rows["pace"]) for sync, rows in found.items()},
            "commands late at p99, ms": {f"sync:={sync}": rows["late"] for sync, rows in found.items()},
            "falls in the model": falls_modelled,
        },
    )


if __name__ == "__main__":
    main("stack-load", run, seeds=3, quick_seeds=1)
