# SPDX-License-Identifier: Apache-2.0
"""The one form of all benchmarks: options in, one JSON file and one picture out.

A benchmark is a module ``benchmarks/<name>.py`` that calls `main` with a function from `Options` to `Result`:

    def run(options: Options) -> Result: ...

    if __name__ == "__main__":
        main("radio-speed", run)
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ir_common.config import EXIT_CONFIG, ConfigError
from ir_common.provenance import commit_of

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Options:
    """What the command line chose.

    Attributes:
        quick: a smoke run; its numbers prove nothing.
        seeds: number of seeds; seed s is ``first_seed + s``.
        out: folder of the results.
        flags: those of the benchmark's own flags that were given.
    """

    quick: bool
    seeds: int
    out: Path
    first_seed: int = 1000
    flags: frozenset[str] = frozenset()

    @property
    def seed_list(self) -> list[int]:
        """The seeds of this run."""
        return list(range(self.first_seed, self.first_seed + self.seeds))


@dataclass(frozen=True)
class Axis:
    """The horizontal axis of a figure."""

    label: str
    unit: str
    values: list[Any]


@dataclass(frozen=True)
class Goal:
    """Something that was promised, and what came of it."""

    what: str
    goal: str
    got: Any
    met: bool


@dataclass
class Result:
    """What a benchmark found.

    Attributes:
        x: horizontal axis.
        y: label and unit of the vertical axis.
        series: name -> {"mean": [...], "ci95": [...]}, as `interval` makes them; one value for each of ``x.values``.
        parameters: everything that the numbers rest on; ``fitted`` in it names what was fitted to the paper.
        paper: the paper's numbers, with where they stand.
        goals: what was promised, met or not.
        tables: anything else, plain data.
    """

    x: Axis
    y: str
    series: dict[str, dict[str, list[float]]]
    parameters: dict[str, Any] = field(default_factory=dict)
    paper: dict[str, Any] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    tables: dict[str, Any] = field(default_factory=dict)
    draw: Callable[[Any], None] | None = None
    """Draws on matplotlib axes after the series were drawn, for what is special."""


def interval(samples: ArrayLike) -> dict[str, list[float]]:
    """Mean and half width of the 95 % Student interval over seeds.

    Args:
        samples: [seeds, points].
    """
    values = np.atleast_2d(np.asarray(samples, dtype=float))
    count = values.shape[0]
    mean = values.mean(axis=0)
    half = (
        stats.t.ppf(0.975, count - 1) * values.std(axis=0, ddof=1) / math.sqrt(count)
        if count > 1
        else np.zeros_like(mean)
    )
    return {"mean": mean.tolist(), "ci95": np.asarray(half).tolist()}


def main(
    name: str,
    run: Callable[[Options], Result],
    seeds: int = 5,
    quick_seeds: int = 2,
    arguments: Sequence[str] | None = None,
    first_seed: int = 1000,
    flags: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Runs one benchmark from the command line and writes ``<out>/<name>.json`` and ``<out>/<name>.png``.

    ``flags`` are further options without values, each with its description.
    """
    parser = argparse.ArgumentParser(
        prog=f"./ir bench {name}", description=(sys.modules["__main__"].__doc__ or "").strip()
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run; its numbers prove nothing")
    parser.add_argument("--seeds", type=int, help=f"number of seeds [{seeds}, quick: {quick_seeds}]")
    parser.add_argument("--out", type=Path, help="folder of the results [benchmarks/results, quick: a folder in .ir]")
    for flag, about in flags.items():
        parser.add_argument(f"--{flag}", action="store_true", help=about)
    given = parser.parse_args(arguments)
    if given.seeds is not None and given.seeds < 1:
        parser.error("--seeds: must be at least 1")
    out = given.out or (RESULTS.parents[1] / ".ir" / "quick" if given.quick else RESULTS)
    out.mkdir(parents=True, exist_ok=True)
    chosen = frozenset(flag for flag in flags if getattr(given, flag.replace("-", "_")))
    options = Options(given.quick, given.seeds or (quick_seeds if given.quick else seeds), out, first_seed, chosen)
    began = time.perf_counter()
    try:
        result = run(options)
    except ConfigError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    write(name, result, options, time.perf_counter() - began)
    for goal in result.goals:
        print(f"{'met ' if goal.met else 'MISS'}  {goal.what}: goal {goal.goal}, got {goal.got}")
    print(f"{out / name}.json and .png")


def write(name: str, result: Result, options: Options, seconds: float) -> None:
    """Writes the JSON file and the picture."""
    content = {
        "name": name,
        "commit": commit_of(__file__),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "seconds": round(seconds, 1),
        "quick": options.quick,
        "seeds": options.seed_list,
        "parameters": result.parameters,
        "x": asdict(result.x),
        "y": result.y,
        "series": result.series,
        "paper": result.paper,
        "goals": [asdict(goal) for goal in result.goals],
        "tables": result.tables,
    }
    (options.out / f"{name}.json").write_text(json.dumps(_plain(content), indent=1, allow_nan=False) + "\n")
    _picture(name, result, options.out / f"{name}.png")


def _picture(name: str, result: Result, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    numeric = all(isinstance(value, int | float) for value in result.x.values)
    places = result.x.values if numeric else list(range(len(result.x.values)))
    for label, one in result.series.items():
        if numeric and len(places) > 1:
            (line,) = axes.plot(places, one["mean"], marker="o" if len(places) < 30 else "", markersize=3, label=label)
            low, high = np.subtract(one["mean"], one["ci95"]), np.add(one["mean"], one["ci95"])
            axes.fill_between(places, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
        else:
            axes.errorbar(places, one["mean"], one["ci95"], fmt="o", capsize=3, label=label)
    if not numeric:
        axes.set_xticks(places, [str(value) for value in result.x.values])
    axes.set_xlabel(f"{result.x.label} ({result.x.unit})" if result.x.unit else result.x.label)
    axes.set_ylabel(result.y)
    axes.set_title(name)
    axes.grid(alpha=0.3)
    if result.draw:
        result.draw(axes)
    axes.legend()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _plain(value: Any) -> Any:
    """NumPy values as Python's, NaN and infinity as null."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
