# SPDX-License-Identifier: Apache-2.0
"""Which base station serves a robot, and how strong its signal is there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.coverage import Coverage


@dataclass
class Place:
    """Where a robot stands towards the base stations.

    Attributes:
        station: that serves it; -1: no pose yet. distance: to it, m.
        since: for each station: ns since when it is stronger by the hysteresis; none: it is not.
        out_since: ns since when its station is out of reach; none: it is not. failed: it was for too long.
        barred: ns until which nothing of it crosses.
        headroom: resource blocks that its terminal can give the power of a single one; infinite: any number.
        handovers: changes of station. failures: of the radio link. bad_poses: poses that were refused.
    """

    station: int = -1
    distance: float = math.nan
    since: dict[int, int] = field(default_factory=dict)
    out_since: int | None = None
    failed: bool = False
    barred: int = 0
    headroom: float = math.inf
    handovers: int = 0
    failures: int = 0
    bad_poses: int = 0


class Mobility:
    """Base stations, all alike, and the robots' places.

    A robot begins at the strongest station. It changes to another one that was stronger by the hysteresis at each pose
    over the time to trigger; to the strongest of several. Strength is the mean received power with shadowing, without
    fading and interference. A link whose station is below `min_snr` at each pose over `failure_after` has failed, and
    is re-established at the strongest station once that is not (TS 38.331, 5.3.10 and 5.3.7).

    Args:
        carrier: the carrier; its `neighbours` are the stations after the first.
        seed: of shadowing.
    """

    def __init__(self, carrier: Carrier, seed: int) -> None:
        self._carrier, self._coverage = carrier, Coverage(carrier, seed)
        handover = carrier.handover
        times = handover.time_to_trigger, handover.interruption, handover.failure_after, handover.reestablishment
        self._patience, self._interruption, self._failure, self._reestablishment = (round(t * 1e9) for t in times)

    def move(self, place: Place, position: ArrayLike, time: int) -> tuple[float, float]:
        """The robot is at `position` [3], m, at `time`, ns: updates its place.

        Returns:
            (SINR of downlink, of uplink) with its station, dB; equal where uplink has no power of its own. With
            `access` that of uplink is of a single block.
        """
        level, distances = self._coverage.near(np.asarray(position, np.float64))
        sinr = self._coverage.with_interference(level)
        if place.station < 0:
            place.station = int(np.argmax(level))
        else:
            if len(level) > 1:
                self._compare(place, level, time)
            if self._failure:
                self._watch(place, sinr, time)
        place.distance = float(distances[place.station])
        down = float(sinr[place.station])
        if self._carrier.uplink is None:
            return down, down
        alone = float(level[place.station])
        if self._carrier.access is None:
            return down, float(channel.uplink_snr(self._carrier, alone))
        place.headroom = channel.uplink_headroom(self._carrier, alone)
        return down, float(channel.uplink_snr(self._carrier, alone, 1.0))

    def _compare(self, place: Place, level: NDArray[np.float64], time: int) -> None:
        stronger = np.flatnonzero(level > level[place.station] + self._carrier.handover.hysteresis).tolist()
        before = place.since
        place.since = {k: min(before.get(k, time), time) for k in stronger} if before else dict.fromkeys(stronger, time)
        due = [k for k, since in place.since.items() if time - since >= self._patience]
        if due and not place.failed:
            place.station, place.since = due[int(np.argmax(level[due]))], {}
            place.handovers += 1
            place.barred = time + self._interruption

    def _watch(self, place: Place, sinr: NDArray[np.float64], time: int) -> None:
        least, best = self._carrier.min_snr, int(np.argmax(sinr))
        if not place.failed:
            out = sinr[place.station] < least
            place.out_since = min(time if place.out_since is None else place.out_since, time) if out else None
            if place.out_since is not None and time - place.out_since >= self._failure:
                place.failed = True
                place.failures += 1
        if place.failed and sinr[best] >= least:
            place.failed, place.out_since, place.since = False, None, {}
            place.handovers += best != place.station
            place.station, place.barred = best, time + self._reestablishment
