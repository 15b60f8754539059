# SPDX-License-Identifier: Apache-2.0
"""Measured traffic: the CSV files of a 5G dataset.

D. Raca et al., "Beyond Throughput, The Next Generation: a 5G Dataset with Channel and Context Metrics", ACM MMSys 2020
(public repository uccmisl/5Gdataset).
"""

from __future__ import annotations

import csv
import io
import math
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError

Floats = NDArray[np.float64]

COLUMNS = {"DL_bitrate": 1e3, "UL_bitrate": 1e3, "Speed": 1 / 3.6, "RSRP": 1.0, "RSRQ": 1.0, "SNR": 1.0, "CQI": 1.0}
"""Columns that are read, with the factor to bit/s, m/s, dBm, dB."""

MISSING = {"", "-"}
"""What the files write for a value that the phone did not tell."""

_TIME = "%Y.%m.%d_%H.%M.%S"


@dataclass(frozen=True)
class Trace:
    """One file.

    Attributes:
        name: path inside the folder or archive.
        time: [row] float64, s since the first row, not falling.
        values: column name -> [row] float64 in SI units and dB; NaN where the file says nothing.
    """

    name: str
    time: Floats
    values: dict[str, Floats]

    def resample(self, column: str, period: float) -> Floats:
        """Means of a column over periods of the clock, [period]; a period without a row repeats the one before.

        Args:
            column: of `COLUMNS`.
            period: s, positive.

        Raises:
            ValueError: an unknown column, a period that is not positive, or a column without a single value.
        """
        if column not in self.values:
            raise ValueError(f"{self.name}: no column '{column}'; there are: {', '.join(self.values)}")
        if not period > 0.0:
            raise ValueError(f"period {period} s must be positive")
        known = np.isfinite(self.values[column])
        if not known.any():
            raise ValueError(f"{self.name}: column '{column}' holds no value")
        place = (self.time[known] // period).astype(int)
        length = int(self.time[-1] // period) + 1
        count = np.bincount(place, minlength=length)
        total = np.bincount(place, self.values[column][known], length)
        filled = np.maximum.accumulate(np.where(count > 0, np.arange(length), -1))
        filled[filled < 0] = place[0]
        return total[filled] / count[filled]


def load(path: Path) -> list[Trace]:
    """Reads a CSV file, or all CSV files of a folder or ZIP archive, in the order of their names.

    Raises:
        ConfigError: nothing there, no CSV file in it, or a file that is not of the dataset's layout; the message
            names file, line and column.
    """
    if not path.exists():
        raise ConfigError(
            f"{path}: there is no such file or folder; give a trace, or a folder or ZIP archive of traces"
        )
    if path.suffix == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                names = sorted(n for n in archive.namelist() if n.endswith(".csv") and not n.startswith("__MACOSX/"))
                traces = [parse(archive.read(name), f"{path}/{name}") for name in names]
        except zipfile.BadZipFile:
            raise ConfigError(f"{path}: is not a ZIP archive") from None
    else:
        files = sorted(path.rglob("*.csv")) if path.is_dir() else [path]
        traces = [parse(file.read_bytes(), str(file)) for file in files]
    if not traces:
        raise ConfigError(f"{path}: holds no CSV file")
    return traces


def parse(data: bytes, name: str) -> Trace:
    """One CSV file.

    Raises:
        ConfigError: as for `load`.
    """
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8")))
        header = reader.fieldnames or []
        if lacking := [column for column in ("Timestamp", *COLUMNS) if column not in header]:
            raise ConfigError(
                f"{name}:1: column {', '.join(lacking)} is missing; there are: {', '.join(header) or 'none'}"
            )
        rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: is not UTF-8 text") from None
    if not rows:
        raise ConfigError(f"{name}: holds no row under its header")
    stamps = [_stamp(row["Timestamp"], f"{name}:{line}") for line, row in rows]
    # the phone's clock was set back once in the dataset: time stands still until it has caught up
    time = np.maximum.accumulate([(stamp - stamps[0]).total_seconds() for stamp in stamps])
    values = {
        column: np.array([_number(row[column], column, f"{name}:{line}") for line, row in rows]) * factor
        for column, factor in COLUMNS.items()
    }
    return Trace(name, time, values)


def _stamp(text: str | None, where: str) -> datetime:
    try:
        return datetime.strptime(text or "", _TIME)
    except ValueError:
        raise ConfigError(f"{where}: Timestamp: '{text}' is no time such as 2019.12.16_13.40.04") from None


def _number(text: str | None, column: str, where: str) -> float:
    if text in MISSING:
        return math.nan
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{where}: {column}: '{text}' is no number; write - for a value that is missing")
    return value


def device_matrix(
    traces: Iterable[Trace], period: float, steps: int, column: str = "DL_bitrate"
) -> NDArray[np.float32]:
    """Traces as devices of one slice: each that is long enough is cut into pieces of ``steps`` periods.

    The files were recorded one after the other, so what two devices have in common is the kind of use, not the hour.

    Returns:
        [step, device] float32: bit/s for the bitrates.

    Raises:
        ConfigError: no trace is long enough.
    """
    series = [trace.resample(column, period) for trace in traces]
    pieces = [one[i * steps : (i + 1) * steps] for one in series for i in range(len(one) // steps)]
    if not pieces:
        longest = max((len(one) for one in series), default=0)
        raise ConfigError(f"no trace has {steps} periods of {period:g} s, the longest has {longest}; ask for fewer")
    return np.stack(pieces, axis=1).astype(np.float32)
