# SPDX-License-Identifier: Apache-2.0
"""The map of the radio: what a carrier's quality is over the floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.coverage import Coverage

Floats = NDArray[np.float64]
MOST_CELLS = 4_000_000
_BAND = 4096  # cells that are worked out at once: fields hold as many times the number of their waves


@dataclass(frozen=True)
class RadioMap:
    """Quality over a floor; row 0 is the southern edge, as in an OccupancyGrid.

    Attributes:
        x, y: [columns], [rows] middles of the cells, m.
        sinr: [rows, columns] dB of the strongest station. station: [rows, columns] its number.
        rate: [rows, columns] bit/s of all blocks of the carrier, in the direction that has less time.
    """

    x: Floats
    y: Floats
    sinr: Floats
    station: NDArray[np.int64]
    rate: Floats

    def decibels(self) -> NDArray[np.int8]:
        """[rows, columns] SINR in whole dB, at least 0, at most 100; -1: out of coverage."""
        return np.where(self.rate > 0.0, np.clip(np.rint(self.sinr), 0, 100), -1).astype(np.int8)


def radio_map(
    carrier: Carrier, corner: tuple[float, float], size: tuple[float, float], cell: float, height: float, seed: int
) -> RadioMap:
    """The map of a carrier, without fading.

    Args:
        carrier: the carrier.
        corner: x and y of the south-western corner, m.
        size: along x and y, m; rounded up to whole cells.
        cell: length of a cell's side, m.
        height: of the robots' antennas, m.
        seed: as of the cell whose map it is.

    Raises:
        ValueError: no or too many cells.
    """
    columns, rows = (int(np.ceil(length / cell - 1e-9)) for length in size)
    if not 0 < columns * rows <= MOST_CELLS:
        raise ValueError(f"a map of {columns} x {rows} cells; give a size and cells for 1 to {MOST_CELLS:,} of them")
    x: Floats = corner[0] + cell * (np.arange(columns, dtype=np.float64) + 0.5)
    y: Floats = corner[1] + cell * (np.arange(rows, dtype=np.float64) + 0.5)
    places = np.stack([*(axis.ravel() for axis in np.meshgrid(x, y)), np.full(columns * rows, height)], axis=1)
    coverage, sinr, station = Coverage(carrier, seed), np.empty(len(places)), np.empty(len(places), np.int64)
    for first in range(0, len(places), _BAND):
        band = slice(first, first + _BAND)
        level = coverage.at(places[band])
        station[band] = best = np.argmax(level, axis=0)
        sinr[band] = coverage.with_interference(level)[best, np.arange(len(best))]
    rate = carrier.resource_blocks * channel.block_rate(carrier, sinr)
    shape = rows, columns
    return RadioMap(x, y, sinr.reshape(shape), station.reshape(shape), rate.reshape(shape))
