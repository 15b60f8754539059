# SPDX-License-Identifier: Apache-2.0
"""KPIs of slices under their names in 3GPP TS 28.554, of the radio's part of the way.

| KPI | unit | here |
| --- | --- | --- |
| UTSNSI, DTSNSI (6.3.2, 6.3.3) | kbit/s | delivered bits over the time |
| DelayE2EUlNs, DelayE2EDlNs (6.3.1) | 0.1 ms | mean delay of what was delivered |
| ULRelPSR_Uu, DLRelPSR_Uu (6.8.1) | % | messages delivered, of those delivered or dropped |

All are of the time between two reports, upstream and downstream. TS 28.554 counts packets and knows the core; here they
are messages, from the sender's radio to the receiver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

THROUGHPUT, DELAY, RELIABILITY = ("UTSNSI", "DTSNSI"), ("DelayE2EUlNs", "DelayE2EDlNs"), ("ULRelPSR_Uu", "DLRelPSR_Uu")
"""Names, upstream and downstream."""


class Carried(NamedTuple):
    """What a flow, or several, carried since the start.

    Attributes:
        bytes_delivered: B.
        delivered: messages.
        dropped: messages.
        waited: s, over the messages whose delay is known.
        timed: these messages.
    """

    bytes_delivered: int = 0
    delivered: int = 0
    dropped: int = 0
    waited: float = 0.0
    timed: int = 0

    def joined(self, other: Carried, sign: int = 1) -> Carried:
        """With what another one carried; with the sign -1, without it."""
        return Carried(
            self.bytes_delivered + sign * other.bytes_delivered,
            self.delivered + sign * other.delivered,
            self.dropped + sign * other.dropped,
            self.waited + sign * other.waited,
            self.timed + sign * other.timed,
        )


class SliceKpis:
    """KPIs of every slice between two reports."""

    def __init__(self) -> None:
        self._time = 0.0
        self._total: dict[tuple[str, bool], Carried] = {}

    def update(
        self, time: float, slices: Iterable[str], flows: Iterable[tuple[str, bool, Carried]]
    ) -> Mapping[str, dict[str, float]]:
        """Takes a report at ``time`` (s): slice -> KPI -> value.

        A slice has none in its first report, and where its counters or the time fell; no delay where nothing came, and
        no reliability where nothing came or was dropped.

        Args:
            flows: slice, whether upstream, and what it carried.
        """
        total = {(name, up): Carried() for name in slices for up in (True, False)}
        for name, up, carried in flows:
            if (name, up) in total:
                total[name, up] = total[name, up].joined(carried)
        seconds, before = time - self._time, self._total
        self._time, self._total = time, total
        out: dict[str, dict[str, float]] = {}
        for (name, up), now in total.items():
            if (name, up) in before and seconds > 0.0:
                since = now.joined(before[name, up], -1)
                if min(since.bytes_delivered, since.delivered, since.dropped, since.timed) >= 0:
                    out.setdefault(name, {}).update(_kpis(since, seconds, int(not up)))
        return out


def _kpis(since: Carried, seconds: float, direction: int) -> dict[str, float]:
    made = {THROUGHPUT[direction]: 8e-3 * since.bytes_delivered / seconds}
    if since.timed:
        made[DELAY[direction]] = max(1e4 * since.waited / since.timed, 0.0)
    if since.delivered + since.dropped:
        made[RELIABILITY[direction]] = 100.0 * since.delivered / (since.delivered + since.dropped)
    return made
