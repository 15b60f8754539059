# SPDX-License-Identifier: Apache-2.0
"""The links of a cell's robots: where they stand, which station serves them, what their rate is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ir_radio import cell_tables
from ir_radio.cell_tables import MEASURED, Table
from ir_radio.model import channel
from ir_radio.model.carrier import FARTHEST, Carrier
from ir_radio.model.mobility import Mobility, Place

_MOST_SNR = 1000.0  # dB


class CellLinks:
    """Links of robots by name; one row each, or one for downlink and one for uplink where terminals have own power.

    Args:
        carrier: the carrier.
        cell: the row of the table of the cell.
        seed: of shadowing and line of sight.
        moved: called with a robot and the station that serves it from now on.

    Attributes:
        table: rows of the kernel.
        rows: row of each robot's link, of downlink where the directions differ. uplinks: of uplink, where they do.
        places: where each robot stands towards the stations.
    """

    def __init__(self, carrier: Carrier, cell: NDArray[Any], seed: int, moved: Callable[[str, int], None]) -> None:
        self._carrier, self._cell, self._moved = carrier, cell, moved
        self._mobility = Mobility(carrier, seed)
        self.table = Table(cell_tables.LINK)
        self.rows: dict[str, int] = {}
        self.uplinks: dict[str, int] = {}
        self.places: dict[str, Place] = {}

    def add(self, robot: str) -> int:
        """The row of a robot's link; a new one has no pose, and nothing is let in before it has."""
        if robot not in self.rows:
            for rows in (self.rows, self.uplinks) if self._carrier.uplink else (self.rows,):
                row = rows[robot] = self.table.add()
                self.table.rows[row] = (-1, 0, 0, math.nan, math.nan, math.nan, math.inf)
            self.places[robot] = Place()
        return self.rows[robot]

    def of(self, robot: str) -> list[int]:
        """The row of a robot's link; where uplink differs, of downlink and uplink."""
        row = self.add(robot)
        return [row, self.uplinks[robot]] if self._carrier.uplink else [row]

    def set_pose(self, robot: str, position: ArrayLike, now: int) -> None:
        """As `Cell.set_pose`, at `now`, ns."""
        rows = self.of(robot)
        place, record = self.places[robot], self.table.rows[rows[0]]
        position = np.asarray(position, np.float64)
        if position.shape != (3,) or not all(abs(x) <= FARTHEST for x in position.tolist()):
            place.bad_poses += 1
            raise ValueError(
                f"pose of {robot}: {position.tolist()} is not three finite numbers of at most {FARTHEST:g} m; "
                "the last one holds"
            )
        ratios = self._mobility.move(place, position, now)
        if place.station != record["station"] or place.barred > max(now, record["barred"]):
            for row in rows:
                self.table.rows[row]["station"], self.table.rows[row]["barred"] = place.station, place.barred
            self._moved(robot, place.station)
        for row, snr in zip(rows, ratios, strict=False):
            record, linear = self.table.rows[row], 10.0 ** (snr / 10.0)
            if not self._cell["coherence"][0] or math.isnan(record["rate"]):
                record["rate"], record["faded"] = channel.air_rate(self._carrier, snr), linear
            record["barred"] = place.barred if place.barred > now else 0
            record["era"], record["snr"] = -1, linear  # -1: fading is applied to it at the next start
        if len(rows) == 2:
            record["headroom"] = place.headroom

    def set_measured(self, robot: str, snr: float, rate: float) -> None:
        """As `Cell.set_measured`."""
        if not abs(snr) <= _MOST_SNR:
            raise ValueError(f"link of {robot}: a ratio of {snr} dB is no measurement; the last one holds")
        if not (math.isfinite(rate) and rate >= 0.0):
            raise ValueError(f"link of {robot}: a rate of {rate} bit/s; give a finite number from 0 up; the last holds")
        best = float(self._cell["bandwidth"][0] * self._cell["efficiency"][0])
        rate = min(rate / self._carrier.least_share, best)  # on the air
        linear = 10.0 ** (snr / 10.0)
        for row in self.of(robot):
            record = self.table.rows[row]
            record["era"], record["snr"], record["faded"], record["rate"] = MEASURED, linear, linear, rate
            record["barred"], record["headroom"] = 0, math.inf
        self.places[robot].distance = math.nan
