# SPDX-License-Identifier: Apache-2.0
"""Whether one command gives one result: the stack in the model's time alone, beside busy processes, with other jobs."""

from __future__ import annotations

from _stack_runs import busy, fingerprint, simulate
from harness import Axis, Goal, Options, Result, main

from ir_lab.experiment.plan import Run
from ir_lab.experiment.runner import on_cores

HOGS = 4
WORDS = ("twin:=enforce", "exploration:=0.2")


def run(options: Options) -> Result:
    """Three runs of each seed under three circumstances; their reports are compared to the last digit."""
    words = (*WORDS, f"duration:={5 if options.quick else 60}")
    plans = [Run("same", seed, ("rendering:=false", *words), ()) for seed in options.seed_list]
    alone = [fingerprint(simulate([*words, f"seed:={seed}"])[0]) for seed in options.seed_list]
    with busy(HOGS):
        beside = [fingerprint(simulate([*words, f"seed:={seed}"])[0]) for seed in options.seed_list]
    pooled = {plan.seed: report for plan, report in on_cores(plans, 2)}
    # the words of a report are those that were given: here without the first one, and with the seed at the end
    jobs = []
    for seed in options.seed_list:
        report = pooled[seed]
        report["arguments"] = {"words": ["rendering:=false", *words, f"seed:={seed}"]}
        jobs.append(fingerprint(report))
    equal = [float(len({a, b, c}) == 1) for a, b, c in zip(alone, beside, jobs, strict=True)]
    return Result(
        Axis("seed", "", list(options.seed_list)),
        "1: the three reports are equal to the last digit",
        {"equal": {"mean": equal, "ci95": [0.0] * len(equal)}},
        {"arguments": list(words), "busy processes": HOGS, "jobs": 2},
        {},
        [
            Goal("seeds whose three reports are equal", f"all {len(equal)}", int(sum(equal)), all(equal)),
            Goal(
                "seeds differ from each other", f"{len(equal)} reports", len(set(alone)), len(set(alone)) == len(equal)
            ),
        ],
        {"hashes": {"alone": alone, "beside busy processes": beside, "two jobs": jobs}},
    )


if __name__ == "__main__":
    main("stack-same", run)
