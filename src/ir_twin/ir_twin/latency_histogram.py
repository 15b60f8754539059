# SPDX-License-Identifier: Apache-2.0
"""Latencies since the start in constant memory."""

from __future__ import annotations

import math

import numpy as np


class LatencyHistogram:
    """A histogram of latencies, s, in bins of 2.3 % from 1 us to 10 s; gives quantiles."""

    _PER_DECADE, _DECADES = 100, 7

    def __init__(self) -> None:
        self._bins = [0] * (self._PER_DECADE * self._DECADES)
        self.count = 0

    def add(self, seconds: float) -> None:
        """Takes one latency in, s."""
        index = int(math.log10(max(seconds, 1e-6) * 1e6) * self._PER_DECADE)
        self._bins[min(index, len(self._bins) - 1)] += 1
        self.count += 1

    def quantile(self, q: float) -> float:
        """Upper edge of the bin that holds the q-quantile, s; NaN: none yet."""
        if not self.count:
            return math.nan
        reached = np.searchsorted(np.cumsum(self._bins), q * self.count)
        return float(1e-6 * 10 ** ((int(reached) + 1) / self._PER_DECADE))
