# SPDX-License-Identifier: Apache-2.0
"""KPIs of slices under their names in 3GPP TS 28.554, of the radio's part of the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NAMES = ("UTSNSI", "DTSNSI")
"""Throughput of a slice upstream and downstream, kbit/s (TS 28.554, 6.3.2 and 6.3.3)."""

Delivered = tuple[str, bool, int]
"""Slice, whether upstream, bytes delivered since the start; a row of each flow."""


class ThroughputKpis:
    """UTSNSI and DTSNSI of every slice between two reports.

    TS 28.554 counts at the core's N3 interface; here it is what the radio delivered of the slice's flows.
    """

    def __init__(self) -> None:
        self._time = 0.0
        self._bytes: dict[tuple[str, bool], int] = {}

    def update(self, time: float, slices: Iterable[str], flows: Iterable[Delivered]) -> Mapping[str, dict[str, float]]:
        """Takes a report at ``time`` (s): slice -> KPI -> kbit/s.

        A slice has none in its first report, and where its counters or the time fell.
        """
        total: dict[tuple[str, bool], int] = {(name, up): 0 for name in slices for up in (True, False)}
        for name, up, delivered in flows:
            if (name, up) in total:
                total[name, up] += delivered
        seconds, before = time - self._time, self._bytes
        self._time, self._bytes = time, total
        out: dict[str, dict[str, float]] = {}
        for (name, up), delivered in total.items():
            if seconds > 0.0 and (name, up) in before and delivered >= before[name, up]:
                out.setdefault(name, {})[NAMES[not up]] = 8e-3 * (delivered - before[name, up]) / seconds
        return out
