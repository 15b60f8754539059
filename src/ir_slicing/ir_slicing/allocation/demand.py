# SPDX-License-Identifier: Apache-2.0
"""Demand of a slice in resource blocks, from the load that the radio reports of it.

With r the rate of one resource block (bit/s), the need of a rate R is R / r blocks (MAFL eq. (1), eq. (5): the number
of RBs needed, phi_m, is the demand of the slice).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """The load of a slice in a report period.

    Attributes:
        offered: bit/s that came in.
        queued: bit that wait.
        missed: messages were dropped, or came after the latency bound, or none came though some wait.
    """

    offered: float
    queued: float = 0.0
    missed: bool = False


def mean_block_rate(rates: Iterable[float], otherwise: float) -> float:
    """bit/s of one resource block when bits are spread evenly over links: the harmonic mean of their ``rates``.

    Links that are unknown (NaN) or carry nothing are left out; without any other it is ``otherwise``.
    """
    usable = [rate for rate in rates if math.isfinite(rate) and rate > 0.0]
    return len(usable) / math.fsum(1.0 / rate for rate in usable) if usable else otherwise


class DemandFilter:
    """First-order low pass of the offered rates: frames of a camera arrive in bursts, shares should not follow them.

    Args:
        time_constant: s.
    """

    def __init__(self, time_constant: float) -> None:
        self.time_constant = time_constant
        self._time: float | None = None
        self._names: tuple[str, ...] = ()
        self._rates: tuple[float, ...] = ()

    def update(self, time: float, rates: Mapping[str, float]) -> dict[str, float]:
        """Filtered bit/s of each slice at ``time`` (s).

        Time that runs back starts the filter anew; a slice that was not there before starts at its own rate.
        """
        names = tuple(rates)
        return dict(zip(names, self.follow(time, names, tuple(rates.values())), strict=True))

    def follow(self, time: float, names: tuple[str, ...], rates: Sequence[float]) -> tuple[float, ...]:
        """As `update`, of ``rates`` in the order of ``names``."""
        step = 0.0 if self._time is None else time - self._time
        weight = -math.expm1(-max(step, 0.0) / self.time_constant)
        if step < 0.0:
            before: Sequence[float] = rates
        elif names == self._names:
            before = self._rates
        else:
            known = dict(zip(self._names, self._rates, strict=True))
            before = [known.get(name, rate) for name, rate in zip(names, rates, strict=True)]
        self._time, self._names = time, names
        self._rates = tuple([last + weight * (rate - last) for last, rate in zip(before, rates, strict=True)])
        return self._rates
