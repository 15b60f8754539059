# SPDX-License-Identifier: Apache-2.0
"""How strong each base station of a carrier is at a place: path loss, line of sight, shadowing, interference."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from ir_radio.compiled import jit
from ir_radio.model import channel, tr38901
from ir_radio.model.carrier import Carrier
from ir_radio.model.propagation import Propagation
from ir_radio.model.random_fields import FieldStack, RandomField

Floats = NDArray[np.float64]


class Coverage:
    """The ratios of all base stations of a carrier over space; they are of the seed alone, and the same at every visit.

    In free space the gain is a field of the carrier's `shadowing`. In a scenario of TR 38.901 a place has line of
    sight to a station where a field of uniform numbers is under its probability (section 7.6.3.3), and shadowing has
    a field for each of both states.

    Args:
        carrier: the carrier; its `neighbours` are the stations after the first.
        seed: of the fields.
    """

    def __init__(self, carrier: Carrier, seed: int) -> None:
        self._carrier = carrier
        self.stations = np.array([carrier.position, *carrier.neighbours])
        self._fields = FieldStack(fields) if (fields := _fields(carrier, len(self.stations), seed)) else None
        self._alone = len(self.stations) == 1 or carrier.interference == 0.0
        self._nothing = np.zeros(len(self.stations))
        self._at_one_metre = float(channel.ratio(carrier, channel.free_space_path_loss(1.0, carrier.frequency)))

    def near(self, position: Floats) -> tuple[Floats, Floats]:
        """At one position [3], m: ([stations] SNR without interference, dB; [stations] distance, m)."""
        values, carrier = self._fields.near(position) if self._fields else None, self._carrier
        if carrier.propagation is not None:
            return self._snr(position, values)
        gain = self._nothing if values is None else values  # of shadowing
        level, distance = np.empty(len(gain)), np.empty(len(gain))
        _free_space(
            self.stations, position, carrier.min_distance, self._at_one_metre, carrier.shadowing, gain, level, distance
        )
        return level, distance

    def at(self, positions: ArrayLike) -> Floats:
        """SNR of each station at positions [..., 3], m, without interference; [stations, ...] dB."""
        positions = np.asarray(positions, np.float64)
        return self._snr(positions, self._fields.at(positions) if self._fields else None)[0]

    def sight(self, positions: ArrayLike) -> NDArray[np.bool_]:
        """Is there line of sight to each station at positions [..., 3], m? [stations, ...]; in free space always."""
        positions, p = np.asarray(positions, np.float64), self._carrier.propagation
        if p is None:
            return np.ones((len(self.stations), *positions.shape[:-1]), bool)
        values = self._fields.at(positions) if self._fields else None
        return self._sight(p, self._place(positions), values)

    def with_interference(self, snr: Floats) -> Floats:
        """SINR of each station where the others send on its frequency for `interference` of the time.

        SINR_k = S_k / (N + a sum of S_j over the others j), as if their load a were noise that is always there.

        Args:
            snr: [stations, ...] dB, as of `at`.

        Returns:
            [stations, ...] dB.
        """
        if self._alone:
            return snr
        linear = 10.0 ** (snr / 10.0)
        others = np.maximum(linear.sum(axis=0) - linear, 0.0)
        return np.asarray(snr - 10.0 * np.log10(1.0 + self._carrier.interference * others))

    def _offset(self, positions: Floats) -> tuple[Floats, Floats]:
        """([stations, ..., 3] m from each station, [stations, ..., 3] the stations)."""
        stations = self.stations.reshape(len(self.stations), *(1,) * (positions.ndim - 1), 3)
        return positions - stations, stations

    def _place(self, positions: Floats) -> tuple[Floats, Floats, Floats]:
        """(Distance in the plane, height of the station, height of the robot), m, as the formulas want it."""
        offset, stations = self._offset(positions)
        return np.sqrt((offset[..., :2] ** 2).sum(axis=-1)), stations[..., 2], positions[..., 2]

    def _sight(self, p: Propagation, place: tuple[Floats, Floats, Floats], values: Floats | None) -> NDArray[np.bool_]:
        chance = tr38901.sight_probability(p, *place)
        if p.line_of_sight != "drawn" or values is None:
            return chance > 0.5
        return np.asarray(values[: len(self.stations)] < ndtri(chance))

    def _snr(self, positions: Floats, values: Floats | None) -> tuple[Floats, Floats]:
        carrier, p, count = self._carrier, self._carrier.propagation, len(self.stations)
        distance = np.sqrt((self._offset(positions)[0] ** 2).sum(axis=-1))
        if p is None:
            gain = 0.0 if values is None else carrier.shadowing * values
            return channel.snr(carrier, distance, gain), distance
        place = self._place(positions)
        los, nlos = tr38901.path_losses(p, carrier.frequency, *place, least=carrier.min_distance)
        if values is not None and p.shadowing:
            deviations, last = tr38901.DEVIATIONS[p.scenario], len(values)
            los = los - deviations[0] * values[last - 2 * count : last - count]
            nlos = nlos - deviations[1] * values[last - count :]
        return channel.ratio(carrier, np.where(self._sight(p, place, values), los, nlos)), distance


@jit
def _free_space(
    stations: Floats, position: Floats, least: float, at_one_metre: float, deviation: float, values: Floats,
    level: Floats, distance: Floats,
) -> None:  # fmt: skip
    """As `channel.snr` of each station [stations, 3], into `level`, dB, and `distance`, m; compiled for one place."""
    for k in range(len(stations)):
        total = 0.0
        for axis in range(3):
            total += (position[axis] - stations[k, axis]) ** 2
        distance[k] = math.sqrt(total)
        level[k] = at_one_metre - 20.0 * math.log10(max(distance[k], least)) + deviation * values[k]


def _fields(carrier: Carrier, count: int, seed: int) -> list[RandomField]:
    """The fields of `count` stations: of the line of sight, of shadowing with it, of shadowing without it."""
    p = carrier.propagation
    if p is None:
        distances = [carrier.shadowing_distance] if carrier.shadowing else []
        return [RandomField(d, np.random.default_rng([seed, k])) for d in distances for k in range(count)]
    distances = [tr38901.sight_correlation(p)] if p.line_of_sight == "drawn" else []
    distances += tr38901.CORRELATIONS[p.scenario] if p.shadowing else ()
    return [
        RandomField(d, np.random.default_rng([seed, k, kind])) for kind, d in enumerate(distances) for k in range(count)
    ]
