# SPDX-License-Identifier: Apache-2.0
"""Which base station serves a robot, and how strong its signal is there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ir_radio.model import channel
from ir_radio.model.carrier import Carrier


@dataclass
class Place:
    """Where a robot stands towards the base stations.

    Attributes:
        station: that serves it; -1: no pose yet. distance: to it, m.
        since: for each station: ns since when it is stronger by the hysteresis; none: it is not.
        handovers: changes of station. bad_poses: poses that were refused.
    """

    station: int = -1
    distance: float = math.nan
    since: dict[int, int] = field(default_factory=dict)
    handovers: int = 0
    bad_poses: int = 0


class Mobility:
    """Base stations and the robots' places; all stations are alike and do not disturb each other.

    A robot begins at the strongest station. It changes to another one that was stronger by the hysteresis at each pose
    over the time to trigger; to the strongest of several. Strength is the mean ratio with shadowing, without fading.

    Args:
        carrier: the carrier; its `neighbours` are the stations after the first.
        seed: of shadowing.
    """

    def __init__(self, carrier: Carrier, seed: int) -> None:
        self._carrier = carrier
        self._stations = np.array([carrier.position, *carrier.neighbours])
        seeds = [[seed, station] for station in range(len(self._stations))]
        self._shadows = [channel.Shadowing(carrier, np.random.default_rng(words)) for words in seeds]
        self._patience = round(carrier.handover.time_to_trigger * 1e9)

    def move(self, place: Place, position: ArrayLike, time: int) -> float:
        """The robot is at `position` [3], m, at `time`, ns: updates its place; returns its station's SNR, dB."""
        position = np.asarray(position, np.float64)
        distances: NDArray[np.float64] = np.linalg.norm(position - self._stations, axis=1)
        snr = channel.snr(self._carrier, distances, self._gains(position))
        if place.station < 0:
            place.station = int(np.argmax(snr))
        elif len(snr) > 1:
            self._compare(place, snr, time)
        place.distance = float(distances[place.station])
        return float(snr[place.station])

    def _gains(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self._carrier.shadowing:
            return np.zeros(len(self._stations))
        return np.array([shadow.at(position) for shadow in self._shadows])

    def _compare(self, place: Place, snr: NDArray[np.float64], time: int) -> None:
        stronger = np.flatnonzero(snr > snr[place.station] + self._carrier.handover.hysteresis).tolist()
        place.since = {k: min(place.since.get(k, time), time) for k in stronger if k != place.station}
        due = [k for k, since in place.since.items() if time - since >= self._patience]
        if due:
            place.station, place.since = max(due, key=lambda k: float(snr[k])), {}
            place.handovers += 1
