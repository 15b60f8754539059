# SPDX-License-Identifier: Apache-2.0
"""Measured networks: links of robots that follow a trace of SNR, CQI, bit rate or delay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ir_common.config import ConfigError
from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import TraceFile, TraceSpec
from ir_radio.model.trace_files import FileLayout, Trace, load
from ir_radio.model.trace_values import COLUMNS, RATE_UNITS, TIME_UNITS, ColumnLayout

Floats = NDArray[np.float64]

_NS = 1_000_000_000
_ROUNDING = 1e-9  # s: whoever asks counts in ns

_CQI = (0.0, 0.1523, 0.2344, 0.3770, 0.6016, 0.8770, 1.1758, 1.4766, 1.9141, 2.4063, 2.7305, 3.3223, 3.9023, 4.5234,
        5.1152, 5.5547)  # fmt: skip
"""Spectral efficiency of each CQI, bit/s/Hz (3GPP TS 38.214, table 5.2.2.1-2); 0: out of range."""


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


def link_trace(trace: Trace, spec: TraceFile, carrier: Carrier) -> LinkTrace:
    """What a carrier makes of a trace. A second without a value repeats the one before.

    SNR gives the rate as a pose does (`channel.block_rate`). CQI: the spectral efficiency of its modulation and coding,
    as far as the carrier has it; 0 is out of coverage. Bit rates: that rate with all blocks of the carrier; a link
    without a bit stays in coverage, its messages wait.

    Raises:
        ConfigError: the trace holds no value of the column, or begins after its end.
    """
    kind = spec.quality
    assert kind is not None
    values = trace.resample(kind, 1.0)
    first = int(spec.start)
    if first >= len(values):
        raise _starts_late(trace, spec, len(values))
    values = np.roll(values, -first) if spec.loop else values[first:]
    if kind == "snr":
        return LinkTrace(values, channel.block_rate(carrier, values), spec.loop)
    if kind == "cqi":
        efficiency = np.interp(values, np.arange(len(_CQI)), _CQI)
        rate = carrier.block_bandwidth * (1.0 - carrier.overhead) * efficiency
        floor = np.where(values > 0.0, carrier.min_snr, -np.inf)
    else:
        rate = values / carrier.resource_blocks
        floor = np.full_like(values, carrier.min_snr)
    best = float(channel.block_rate(carrier, 300.0))
    rate = np.minimum(rate, best)
    return LinkTrace(np.maximum(_snr_of(carrier, rate), floor), rate, spec.loop)


def _starts_late(trace: Trace, spec: TraceFile, end: float) -> ConfigError:
    return ConfigError(f"{trace.name}: start at {spec.start:g} s is after its end at {end:g} s; give less")


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


@dataclass(frozen=True)
class DelayTrace:
    """Measured one-way delays of a link, each from its time until the next.

    Attributes:
        time: [n] float64, s since the first, not falling.
        delay: [n] float64, s.
        loop: begin anew at the end; else the last value stays.
        uplink, downlink: in which direction they hold.
    """

    time: Floats
    delay: Floats
    loop: bool = True
    uplink: bool = True
    downlink: bool = True

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> DelayTrace:
        """The trace that a journal holds."""
        return cls(**{**values, "time": np.array(values["time"]), "delay": np.array(values["delay"])})

    @cached_property
    def period(self) -> float:
        """Seconds after which it begins anew: to the last row, and the usual step from that to the first."""
        steps = np.diff(self.time)
        return float(self.time[-1]) + (float(np.median(steps)) if len(steps) else 1.0)

    def at(self, seconds: float) -> float:
        """The delay in s, some seconds, not negative, after the beginning."""
        if self.loop and self.period > 0.0:
            seconds %= self.period
        index = int(np.searchsorted(self.time, seconds + _ROUNDING, side="right")) - 1
        return float(self.delay[max(0, index)])


def delay_trace(trace: Trace, spec: TraceFile) -> DelayTrace:
    """The delays of a trace from `spec.start` on, without the rows that hold none; of round trips, the half of each.

    Raises:
        ConfigError: the trace holds no delay, or begins after its end.
    """
    assert spec.delay is not None
    time, delay = trace.known("delay")
    if spec.start > time[-1]:
        raise _starts_late(trace, spec, float(time[-1]))
    first = int(np.searchsorted(time, spec.start))
    if spec.loop and first:
        period = DelayTrace(time, delay).period
        time = np.concatenate([time[first:], time[:first] + period])
        delay = np.roll(delay, -first)
    else:
        time, delay = time[first:], delay[first:]
    halves = 0.5 if spec.delay.round_trip else 1.0
    way = spec.delay.direction
    return DelayTrace(time - time[0], delay * halves, spec.loop, way != "downlink", way != "uplink")


def layout_of(spec: TraceFile) -> FileLayout:
    """How the file of a trace is read: only the columns that are used."""
    time = ColumnLayout(spec.time.column, unit=spec.time.unit)
    columns: dict[str, ColumnLayout] = {}
    if spec.column and spec.quality:
        columns[spec.quality] = ColumnLayout(spec.column, COLUMNS[spec.column], kind=spec.quality)
    for kind, plain in (("snr", spec.snr), ("cqi", spec.cqi)):
        if plain:
            columns[kind] = ColumnLayout(plain.column, kind=kind)
    if spec.rate:
        columns["rate"] = ColumnLayout(spec.rate.column, RATE_UNITS[spec.rate.unit], kind="rate")
    if spec.delay:
        columns["delay"] = ColumnLayout(spec.delay.column, TIME_UNITS[spec.delay.unit], kind="delay")
    return FileLayout(time, columns, gap=spec.gap, mahimahi=spec.layout == "mahimahi")


def load_trace(spec: TraceFile, folder: Path) -> Trace:
    """The file of a trace.

    Args:
        spec: what is asked for.
        folder: that of the file that asks.

    Raises:
        ConfigError: as for `load`, or the path holds more than one trace.
    """
    found = load(folder / spec.trace, layout_of(spec))
    if len(found) > 1:
        raise ConfigError(f"{folder / spec.trace}: holds {len(found)} traces, such as {found[0].name}; give one")
    return found[0]


@dataclass(frozen=True)
class MeasuredLinks:
    """What traces say of robots' links.

    Attributes:
        rates: of those whose rate follows a trace.
        delays: of those whose delay does.
        notes: what was done about the clocks of the files, one line each, for a person.
    """

    rates: dict[str, LinkTrace]
    delays: dict[str, DelayTrace]
    notes: tuple[str, ...] = ()


def load_links(specs: Iterable[TraceSpec], folder: Path, carrier: Carrier) -> MeasuredLinks:
    """The links of robots that follow traces.

    Args:
        specs: what the slices file asks for.
        folder: that of the slices file.
        carrier: whose blocks they are.

    Raises:
        ConfigError: as for `load_trace`, `link_trace` and `delay_trace`.
    """
    rates, delays, notes = {}, {}, list[str]()
    for spec in specs:
        trace = load_trace(spec, folder)
        notes += trace.notes
        if spec.quality:
            rates[spec.robot] = link_trace(trace, spec, carrier)
        if spec.delay:
            delays[spec.robot] = delay_trace(trace, spec)
    return MeasuredLinks(rates, delays, tuple(notes))
