# SPDX-License-Identifier: Apache-2.0
"""Numbers in files of measurements: units, ranges, and the many ways to write that there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ir_common.config import ConfigError

COLUMNS = {"DL_bitrate": 1e3, "UL_bitrate": 1e3, "Speed": 1 / 3.6, "RSRP": 1.0, "RSRQ": 1.0, "SNR": 1.0, "CQI": 1.0}
"""Columns of the dataset that are read, with the factor to bit/s, m/s, dBm, dB."""

MISSING = frozenset({"", "-", "nan", "null", "none", "na", "n/a", "nil", "#n/a", "?"})
"""What files write, in small letters, for a value that is not known."""
NOT_AVAILABLE = frozenset({2147483647.0, -2147483648.0})
"""What Android's telephony says for a value that the phone does not tell (CellInfo.UNAVAILABLE)."""

TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
RATE_UNITS = {"bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9, "B/s": 8.0, "kB/s": 8e3, "MB/s": 8e6}

_RANGES = {
    "rate": (0.0, 1e15, "a rate in bit/s is not negative"),
    "delay": (0.0, 600.0, "a delay is from 0 to 600 s; of clocks that were not in step, add their difference"),
    "cqi": (0.0, 15.0, "a CQI is from 0 to 15"),
    "snr": (-200.0, 200.0, "an SNR is from -200 to 200 dB"),
}  # fmt: skip
_KINDS = {"DL_bitrate": "rate", "UL_bitrate": "rate", "CQI": "cqi", "SNR": "snr"}


@dataclass(frozen=True)
class ColumnLayout:
    """One column of a file.

    Attributes:
        name: in the header.
        factor: to SI units.
        unit: of a time: a key of `TIME_UNITS`; empty: seconds, or what its size says.
        kind: rate, delay, cqi or snr: what range it has; empty: that of the dataset's column of this name, if any.
    """

    name: str
    factor: float = 1.0
    unit: str = ""
    kind: str = ""


def shown(text: str) -> str:
    """A text of a file as a message shows it: on one line, and not much of it."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:40])


def number(text: str, column: ColumnLayout, where: str, comma: bool) -> float:
    """The value of a field in SI units; NaN: it says that there is none.

    Args:
        text: the field.
        column: that it stands in.
        where: file and line, for the message.
        comma: a comma stands for the decimal point.

    Raises:
        ConfigError: the field is no number, or out of the range of its kind.
    """
    text = text.strip()
    if text.lower() in MISSING:
        return math.nan
    try:
        value = float(text.replace(",", ".") if comma else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{where}: {column.name}: '{shown(text)}' is no number; write - for a value that is missing")
    if value in NOT_AVAILABLE:
        return math.nan
    low, high, words = _RANGES.get(column.kind or _KINDS.get(column.name, ""), (-math.inf, math.inf, ""))
    if not low <= value * column.factor <= high:
        raise ConfigError(f"{where}: {column.name}: {shown(text)} is out of range: {words}; write - if it is not known")
    return value * column.factor
