# SPDX-License-Identifier: Apache-2.0
"""Measured networks: the CSV files of a 5G dataset, and links of robots that follow them.

D. Raca et al., "Beyond Throughput, The Next Generation: a 5G Dataset with Channel and Context Metrics", ACM MMSys 2020
(public repository uccmisl/5Gdataset).
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import TraceSpec

Floats = NDArray[np.float64]

COLUMNS = {"DL_bitrate": 1e3, "UL_bitrate": 1e3, "Speed": 1 / 3.6, "RSRP": 1.0, "RSRQ": 1.0, "SNR": 1.0, "CQI": 1.0}
"""Columns that are read, with the factor to bit/s, m/s, dBm, dB."""

MISSING = {"", "-"}
"""What the files write for a value that the phone did not tell."""

_TIME = "%Y.%m.%d_%H.%M.%S"
_NS = 1_000_000_000

_CQI = (0.0, 0.1523, 0.2344, 0.3770, 0.6016, 0.8770, 1.1758, 1.4766, 1.9141, 2.4063, 2.7305, 3.3223, 3.9023, 4.5234,
        5.1152, 5.5547)  # fmt: skip
"""Spectral efficiency of each CQI, bit/s/Hz (3GPP TS 38.214, table 5.2.2.1-2); 0: out of range."""


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

    Args:
        path: also ``archive.zip/path/in/it.csv``, or a folder in it: archives are read directly.

    Raises:
        ConfigError: nothing there, no CSV file in it, or a file that is not of the dataset's layout; the message
            names file, line and column.
    """
    archive = next((p for p in (path, *path.parents) if p.suffix == ".zip" and p.is_file()), None)
    if not path.exists() and archive is None:
        raise ConfigError(
            f"{path}: there is no such file or folder; give a trace, or a folder or ZIP archive of traces"
        )
    if archive is not None:
        traces = _load_archive(archive, path.relative_to(archive).as_posix())
    else:
        files = sorted(path.rglob("*.csv")) if path.is_dir() else [path]
        traces = [parse(file.read_bytes(), str(file)) for file in files]
    if not traces:
        raise ConfigError(f"{path}: holds no CSV file")
    return traces


def _load_archive(path: Path, member: str) -> list[Trace]:
    """The CSV files of an archive whose name is `member`, or begins with it as a folder; ".": all."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(n for n in archive.namelist() if n.endswith(".csv") and not n.startswith("__MACOSX/"))
            chosen = [n for n in names if member == "." or n == member or n.startswith(f"{member}/")]
            if names and not chosen:
                near = difflib.get_close_matches(member, names, n=1) or names[:1]
                raise ConfigError(f"{path}: there is no {member} in it; its CSV files are such as {near[0]}")
            return [parse(archive.read(name), f"{path}/{name}") for name in chosen]
    except zipfile.BadZipFile:
        raise ConfigError(f"{path}: is not a ZIP archive") from None


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


@dataclass(frozen=True)
class LinkTrace:
    """A trace as the link of a robot: a value for each second.

    Attributes:
        snr: [second] float64, dB.
        rate: [second] float64, bit/s of one resource block.
        loop: begin anew at the end; else the last value stays.
    """

    snr: Floats
    rate: Floats
    loop: bool

    def at(self, seconds: float) -> tuple[float, float]:
        """(SNR in dB, rate of a block in bit/s) some seconds, not negative, after the beginning."""
        index = int(seconds)
        index = index % len(self.snr) if self.loop else min(index, len(self.snr) - 1)
        return float(self.snr[index]), float(self.rate[index])


def link_trace(trace: Trace, spec: TraceSpec, carrier: Carrier) -> LinkTrace:
    """What a carrier makes of a trace. A second without a value repeats the one before.

    SNR gives the rate as a pose does (`channel.block_rate`). CQI: the spectral efficiency of its modulation and coding,
    as far as the carrier has it; 0 is out of coverage. Bit rates: that rate with all blocks of the carrier; a link
    without a bit stays in coverage, its messages wait.

    Raises:
        ConfigError: the trace holds no value of the column, or begins after its end.
    """
    try:
        values = trace.resample(spec.column, 1.0)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    first = int(spec.start)
    if first >= len(values):
        raise ConfigError(f"{trace.name}: start at {spec.start:g} s is after its end at {len(values)} s; give less")
    values = np.roll(values, -first) if spec.loop else values[first:]
    if spec.column == "SNR":
        return LinkTrace(values, channel.block_rate(carrier, values), spec.loop)
    if spec.column == "CQI":
        efficiency = np.interp(values, np.arange(len(_CQI)), _CQI)
        rate = carrier.block_bandwidth * (1.0 - carrier.overhead) * efficiency
        floor = np.where(values > 0.0, carrier.min_snr, -np.inf)
    else:
        rate = values / carrier.resource_blocks
        floor = np.full_like(values, carrier.min_snr)
    best = float(channel.block_rate(carrier, 300.0))
    rate = np.minimum(rate, best)
    return LinkTrace(np.maximum(_snr_of(carrier, rate), floor), rate, spec.loop)


def _snr_of(carrier: Carrier, rate: Floats) -> Floats:
    """The SNR at which a block has this rate, dB; -99 for a rate of 0."""
    shannon = rate / (carrier.block_bandwidth * (1.0 - carrier.overhead) * carrier.efficiency)
    return 10.0 * np.log10(np.maximum(2.0**shannon - 1.0, 10.0**-9.9))


class TracePlayer:
    """Says when which link has which quality, from the traces of the robots; for a live cell and for a batch.

    Args:
        traces: of each robot.
        begin: when the traces begin, ns.
    """

    def __init__(self, traces: Mapping[str, LinkTrace], begin: int = 0) -> None:
        self.traces, self.begin = dict(traces), begin

    def play(self, now: int, set_measured: Callable[[str, float, float], object]) -> int:
        """Sets each link to what its trace says now; returns the time of the next change, ns.

        Args:
            now: ns.
            set_measured: takes robot, SNR in dB, and rate of a resource block in bit/s, as `Cell.set_measured`.
        """
        second = max(0, now - self.begin) // _NS
        for robot, trace in self.traces.items():
            set_measured(robot, *trace.at(second))
        return self.begin + (second + 1) * _NS


def load_links(specs: Iterable[TraceSpec], folder: Path, carrier: Carrier) -> dict[str, LinkTrace]:
    """The traces of robots' links.

    Args:
        specs: what the slices file asks for.
        folder: that of the slices file.
        carrier: whose blocks they are.

    Raises:
        ConfigError: as for `load` and `link_trace`, or a path holds more than one trace.
    """
    links = {}
    for spec in specs:
        found = load(folder / spec.trace)
        if len(found) > 1:
            raise ConfigError(f"{folder / spec.trace}: holds {len(found)} traces, such as {found[0].name}; give one")
        links[spec.robot] = link_trace(found[0], spec, carrier)
    return links
