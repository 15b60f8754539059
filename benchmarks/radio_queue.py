# SPDX-License-Identifier: Apache-2.0
"""The base-station computing against closed forms: M/M/1, M^[X]/D/1, two-class preemptive-resume M/M/1.

Mean sojourn times in units of the mean service time. All intervals of a run hold together with 95 % (Bonferroni), so
that a correct simulation misses a closed form in one run of twenty, however many points there are.
"""

from __future__ import annotations

import math

import numpy as np
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray
from scipy import stats

from ir_radio.coexistence.batch_computing import compute

Ints = NDArray[np.int64]
SERVICE = 1_000_000  # ns
BATCH = 6.0
NONE: tuple[Ints, Ints] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
MODELS = ("M/M/1", "M^[X]/D/1", "two classes, upper", "two classes, lower")


def arrivals(rate: float, count: int, rng: np.random.Generator) -> Ints:
    """Poisson arrivals, `rate` per service time."""
    return np.cumsum(rng.exponential(SERVICE / rate, count)).astype(np.int64)


def exponential(count: int, rng: np.random.Generator) -> Ints:
    """Exponential service times."""
    return np.maximum(np.rint(rng.exponential(SERVICE, count)), 1).astype(np.int64)


def mean(arrival: Ints, end: Ints) -> float:
    """Mean sojourn without the first tenth, in which the queue fills."""
    skip = len(end) // 10
    return float(np.mean(end[skip:] - arrival[skip:]) / SERVICE)


def simulate(load: float, count: int, seed: int) -> list[float]:
    """Mean sojourn of each model."""
    rng = np.random.default_rng(seed)
    plain = arrivals(load, count, rng)
    batch = np.repeat(arrivals(load / BATCH, int(count / BATCH), rng), rng.poisson(BATCH, int(count / BATCH)))
    upper, lower = (arrivals(load / 2, count // 2, rng) for _ in range(2))
    until = min(upper[-1], lower[-1])
    upper, lower = upper[upper <= until], lower[lower <= until]
    ends = compute((upper, exponential(len(upper), rng)), (lower, exponential(len(lower), rng)), 1000, "puncturing")
    return [
        mean(plain, compute(NONE, (plain, exponential(count, rng)), 1000, "puncturing")[1]),
        mean(batch, compute((batch, np.full(len(batch), SERVICE)), NONE, 1000, "puncturing")[0]),
        mean(upper, ends[0]), mean(lower, ends[1]),
    ]  # fmt: skip


def closed(load: float) -> list[float]:
    """The closed forms for unit service times.

    M/M/1: 1 / (1 - r). M^[X]/D/1, X Poisson of mean N, batches at rate r / N: the packets of its batch before one are
    N / 2 in the mean, the batches before wait as in M/G/1: 1 + N / 2 + r (1 + N) / (2 (1 - r)). Preemptive-resume with
    loads a, b: 1 / (1 - a) and 1 / (1 - a) + (a + b) / ((1 - a) (1 - a - b)).
    """
    half = load / 2
    return [
        1 / (1 - load), 1 + BATCH / 2 + load * (1 + BATCH) / (2 * (1 - load)),
        1 / (1 - half), 1 / (1 - half) + load / ((1 - half) * (1 - load)),
    ]  # fmt: skip


def run(options: Options) -> Result:
    """All loads and seeds."""
    loads = [0.3, 0.6] if options.quick else [0.3, 0.5, 0.7, 0.8, 0.9]
    count = 30_000 if options.quick else 1_000_000
    got = np.array([[simulate(load, count, 100 * s + i) for i, load in enumerate(loads)] for s in options.seed_list])
    exact = np.array([closed(load) for load in loads])
    points = exact.size
    quantile = stats.t.ppf(1 - 0.025 / points, len(got) - 1) if len(got) > 1 else math.nan
    half = quantile * got.std(axis=0, ddof=1) / math.sqrt(len(got)) if len(got) > 1 else np.zeros_like(exact)
    off = np.abs(got.mean(axis=0) - exact)
    series = {name: interval(got[:, :, i]) for i, name in enumerate(MODELS)}
    goals = [
        Goal(f"{name}: closed form within the simultaneous 95 % interval", "at every load",
             f"greatest difference {100 * (off / exact)[:, i].max():.2f} %, "
             f"{100 * (off / half)[:, i].max():.0f} % of the half width",
             bool((off <= half)[:, i].all()))
        for i, name in enumerate(MODELS)
    ]  # fmt: skip

    def draw(axes) -> None:  # type: ignore[no-untyped-def]
        fine = np.linspace(loads[0], loads[-1], 80)
        axes.plot(fine, [closed(load) for load in fine], color="black", linewidth=0.7, linestyle="--")
        axes.plot([], [], color="black", linewidth=0.7, linestyle="--", label="closed form")
        axes.set_yscale("log")

    return Result(
        Axis("load", "", loads), "mean sojourn / mean service", series,
        {"jobs of each run": count, "mean packets of a batch": BATCH, "classes": "equal loads", "fitted": []},
        goals=goals, draw=draw,
        tables={
            "closed forms": {name: exact[:, i].tolist() for i, name in enumerate(MODELS)},
            "simultaneous half widths": {name: half[:, i].tolist() for i, name in enumerate(MODELS)},
        },
    )  # fmt: skip


if __name__ == "__main__":
    main("radio-queue", run, seeds=20, quick_seeds=4)
