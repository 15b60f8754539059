# SPDX-License-Identifier: Apache-2.0
"""Reports of many runs as one table: mean, interval and paired difference of every number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

NOT_COMPARED = ("arguments", "host", "wall_seconds", "restarts", "warnings")
"""Parts of a report that say how it was made, not what came of it."""


def numbers_of(report: Mapping[str, Any]) -> dict[str, float]:
    """Every number of a report by its path, such as ``robots.hopper.falls``; truth values are 0 and 1."""
    return dict(_numbers({key: value for key, value in report.items() if key not in NOT_COMPARED}, ""))


def _numbers(part: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(part, Mapping):
        for key, value in part.items():
            yield from _numbers(value, f"{path}.{key}" if path else str(key))
    elif isinstance(part, bool | int | float):
        yield path, float(part)


@dataclass(frozen=True)
class Figure:
    """One number of one variant over the seeds.

    Attributes:
        mean: over the seeds.
        half_width: of the 95 % Student interval; NaN for one seed.
        difference: mean paired difference to the reference variant; NaN for that itself.
        difference_half_width: of its 95 % interval; NaN for one pair.
        seeds: how many seeds the mean is of.
    """

    mean: float
    half_width: float
    difference: float
    difference_half_width: float
    seeds: int


def half_width(values: Sequence[float]) -> float:
    """Half the 95 % Student interval of a mean; NaN for fewer than two values."""
    n = len(values)
    return float(student.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else math.nan


def compare(reports: Mapping[str, Mapping[int, Mapping[str, Any]]], reference: str) -> dict[str, dict[str, Figure]]:
    """Figures of all numbers.

    Args:
        reports: report by variant and seed.
        reference: variant that the others are held against, seed by seed.

    Returns:
        by path of the number, then by variant; a variant without the number is left out.
    """
    numbers = {variant: {seed: numbers_of(report) for seed, report in by.items()} for variant, by in reports.items()}
    paths = dict.fromkeys(path for by in numbers.values() for row in by.values() for path in row)
    return {path: _row(numbers, path, reference) for path in paths}


def _row(numbers: Mapping[str, Mapping[int, Mapping[str, float]]], path: str, reference: str) -> dict[str, Figure]:
    row = {}
    against = numbers[reference]
    for variant, by in numbers.items():
        values = [row[path] for row in by.values() if path in row]
        if not values:
            continue
        pairs = [by[s][path] - against[s][path] for s in by if path in by[s] and path in against.get(s, {})]
        other = variant != reference and bool(pairs)
        row[variant] = Figure(
            float(np.mean(values)), half_width(values), float(np.mean(pairs)) if other else math.nan,
            half_width(pairs) if other else math.nan, len(values),
        )  # fmt: skip
    return row


def rows(table: Mapping[str, Mapping[str, Figure]]) -> list[dict[str, Any]]:
    """The table as plain rows, one for each number and variant; what is not there is None."""
    return [
        {"number": path, "variant": variant, **{k: _plain(v) for k, v in vars(figure).items()}}
        for path, by in table.items()
        for variant, figure in by.items()
    ]


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
