# SPDX-License-Identifier: Apache-2.0
"""Times in files of measurements: dates, epochs or seconds, and clocks that were set while they were written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime, timezone

import numpy as np

from ir_common.config import ConfigError
from ir_radio.model.trace_values import TIME_UNITS, ColumnLayout, shown

SET_BACK = 5.0
"""Seconds back from which a clock was set; by less it is late, and time stands still until it has caught up."""

_DATASET = re.compile(r"(\d{4})\.(\d\d)\.(\d\d)_(\d\d)\.(\d\d)\.(\d\d)")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))?\s*(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)
_EPOCHS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"))  # numbers from which an epoch of this century has that unit
_FURTHEST = 1e15  # s; of a number that is meant to be a time


class Clock:
    """Seconds since the first row, from what stands in the column of times.

    A step of more than `gap` s is shortened to that. A clock that was set back goes on by the usual step.

    Args:
        column: of the times.
        gap: s.
        name: of the file.
        what: before a text that is no time, in messages; none: the column's name.

    Attributes:
        times: s, one for each row, not falling.
    """

    def __init__(self, column: ColumnLayout, gap: float, name: str, what: str | None = None) -> None:
        self._column, self._gap, self._name = column, gap, name
        self._what = f"{column.name}: " if what is None else what
        self.times: list[float] = []
        self._before = 0.0
        self._dates: bool | None = None
        self._factor = TIME_UNITS.get(column.unit, 0.0)
        self._shift = self._first = 0.0
        self._jumps: list[tuple[str, int, float]] = []

    def add(self, text: str, line: int, relative: bool = False) -> None:
        """Takes the time of the next row.

        Args:
            text: what stands in the file.
            line: its number.
            relative: the first time counts as such, not as the beginning.

        Raises:
            ConfigError: it is no time, or of another kind than those before.
        """
        stamp = self._stamp(text.strip(), f"{self._name}:{line}")
        if not self.times:
            self._first = min(0.0, stamp) if relative else stamp
            if relative and stamp > self._gap:
                self._shorten("gap", line, stamp)
                self._first = stamp - self._gap
            self.times.append(stamp - self._first)
        else:
            step = stamp - self._before
            if step > self._gap:
                self._shorten("gap", line, step)
                self._shift = self.times[-1] + self._gap - (stamp - self._first)
            elif step < -SET_BACK:
                self._shorten("set back", line, -step)
                self._shift = self.times[-1] + self._usual() - (stamp - self._first)
            self.times.append(max(self.times[-1], stamp - self._first + self._shift))
        self._before = stamp

    def notes(self) -> Iterator[str]:
        """What was done about the clock, one line for each kind."""
        for kind, done in (("gap", f"shortened to {self._gap:g} s"), ("set back", "taken for the usual step")):
            jumps = [(line, size) for what, line, size in self._jumps if what == kind]
            if jumps:
                more = f" (and {len(jumps) - 1} more)" if len(jumps) > 1 else ""
                line, size = jumps[0]
                yield f"{self._name}:{line}: the clock jumps {kind.replace('gap', 'ahead')} by {size:g} s, {done}{more}"

    def _shorten(self, kind: str, line: int, size: float) -> None:
        self._jumps.append((kind, line, size))

    def _usual(self) -> float:
        """Median of the steps so far that go ahead, s."""
        steps = np.diff(self.times[-1000:])
        return float(np.median(steps[steps > 0.0])) if (steps > 0.0).any() else 1.0

    def _stamp(self, text: str, where: str) -> float:
        value = _date(text)
        dates = value is not None
        if value is None:
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not abs(value) <= _FURTHEST * 1e9:
                wanted = "a time such as 2019.12.16_13.40.04, 2019-12-16T13:40:04.5Z or seconds"
                raise ConfigError(f"{where}: {self._what}'{shown(text)}' is no time; give {wanted}")
            if not self._factor:
                self._factor = TIME_UNITS[next((unit for least, unit in _EPOCHS if abs(value) >= least), "s")]
            value *= self._factor
        if self._dates is None:
            self._dates = dates
        elif dates is not self._dates:
            raise ConfigError(
                f"{where}: {self._what}'{shown(text)}' is written in another way than the times before it"
            )
        return value


def _date(text: str) -> float | None:
    """Seconds since 1970 of a date and time of day; none: it is none. Without a zone it counts as UTC."""
    try:
        if match := _DATASET.fullmatch(text):
            return datetime(*map(int, match.groups()), tzinfo=timezone.utc).timestamp()  # type: ignore[misc,arg-type]
        if match := _ISO.fullmatch(text):
            day, clock, fraction, zone = match.groups()
            zone = "+00:00" if zone in (None, "Z", "z") else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
            return datetime.fromisoformat(f"{day}T{clock}{zone}").timestamp() + float(f"0.{fraction or 0}")
    except ValueError:
        pass
    return None
