# SPDX-License-Identifier: Apache-2.0
"""Hourly traffic of a city's base stations as devices of a slice.

The file is a CSV, gzipped or not, with the columns ``bs`` (station), ``hour`` (YYYY-MM-DD HH, local time), ``users``,
``packets`` and ``bytes``: the form of the data of Chen et al., "Analyzing and modeling spatio-temporal dependence of
cellular traffic at city scale", IEEE ICC 2015. The data themselves are not part of the project.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError

DAY = 24
"""Steps of a day."""

MISSING = 8
"""Hours without a row, in all of the days taken, up to which a station is kept; they are interpolated."""

WHOLE = 0.5
"""A day is whole where each of its hours has rows of at least this share of the stations."""


@dataclass(frozen=True)
class CityTraffic:
    """Traffic of the stations over whole days in a row.

    Attributes:
        traffic: [step, station] float32, of a column, per hour; it begins at midnight.
        stations: their names, sorted.
        first: the first hour.
    """

    traffic: NDArray[np.float32]
    stations: tuple[str, ...]
    first: datetime


def load_city(path: Path, column: str) -> CityTraffic:
    """The longest run of whole days of a file.

    Raises:
        ConfigError: no such file or column, a row that is none, or no whole day.
    """
    rows = _rows(path, column)
    stations = sorted({station for station, _ in rows})
    present: dict[datetime, int] = defaultdict(int)
    for _, hour in rows:
        present[hour] += 1
    first, days = _longest(present, WHOLE * len(stations))
    if not days:
        raise ConfigError(f"{path}: no day has all its {DAY} hours; give a file with whole days")
    values = np.full((days * DAY, len(stations)), np.nan)
    place = {station: index for index, station in enumerate(stations)}
    for (station, hour), value in rows.items():
        step = round((hour - first) / timedelta(hours=1))
        if 0 <= step < len(values):
            values[step, place[station]] = value
    kept = np.flatnonzero(np.isnan(values).sum(axis=0) <= MISSING)
    steps = np.arange(len(values))
    full = [np.interp(steps, steps[known], one[known]) for one in values.T[kept] for known in (~np.isnan(one),)]
    return CityTraffic(np.array(full, np.float32).T, tuple(stations[k] for k in kept), first)


def _rows(path: Path, column: str) -> dict[tuple[str, datetime], float]:
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as file:
            reader = csv.DictReader(file)
            if not {"bs", "hour", column} <= set(reader.fieldnames or ()):
                raise ConfigError(f"{path}: the columns bs, hour and {column} are needed, it has {reader.fieldnames}")
            return {(row["bs"], datetime.strptime(row["hour"], "%Y-%m-%d %H")): float(row[column]) for row in reader}
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}; give a CSV file of hourly traffic of base stations") from None


def _longest(present: dict[datetime, int], least: float) -> tuple[datetime, int]:
    """The first hour of the longest run of whole days, and their number."""
    days = sorted({hour.date() for hour in present})
    best, run, begun = (datetime.min, 0), 0, datetime.min
    for day in days:
        midnight = datetime(day.year, day.month, day.day)
        if any(present.get(midnight + timedelta(hours=h), 0) < least for h in range(DAY)):
            run = 0
            continue
        follows = run and midnight == begun + timedelta(days=run)
        begun, run = (begun, run + 1) if follows else (midnight, 1)
        best = max(best, (begun, run), key=lambda one: one[1])
    return best
