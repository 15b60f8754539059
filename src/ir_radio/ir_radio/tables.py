# SPDX-License-Identifier: Apache-2.0
"""The tables of a cell: what the rows of the kernel's arrays hold, and arrays that grow."""

from __future__ import annotations

from typing import Any

import numpy as np


def _table(integers: str, floats: str = "") -> np.dtype[Any]:
    return np.dtype([(n, np.int64) for n in integers.split()] + [(n, np.float64) for n in floats.split()])


# now: ns; next: start of the next mini-slot to be served, ns; mini, slot: lengths, ns; free: first free row of the
# pool; waiting: queues that hold messages; seed: of the fading; coherence: of the fading, ns, whole slots, 0: none;
# latency: added to each message after its last bit, ns; bandwidth: of a resource block, what reaches the user, Hz;
# efficiency: greatest log2(1 + SNR), bit/s/Hz; coverage: least SNR, linear.
CELL = _table("now next mini slot free waiting seed coherence latency", "bandwidth efficiency coverage")
# era: coherence time for which the rate holds, MEASURED: it does not fade; snr: mean, linear, NaN: no pose;
# rate: of a resource block, bit/s.
LINK = _table("era", "snr rate")
# urllc: served at every mini-slot, else at every slot; lifespan: ns, 0 none; limit: bytes per queue; first: of its
# waiting queues; blocks: resource blocks allocated; used: resource blocks times ns that carried bits.
SLICE = _table("active urllc lifespan limit first", "blocks used")
# bytes: of whole messages that have not left; later: bytes behind the unsent message; next: waiting queue of the same
# slice; left: bits that remain of the unsent message; granted: resource blocks until the next scheduling;
# block: bits of the transport block (what was there when it was scheduled) that are still to be sent.
QUEUE = _table("slice link head unsent tail bytes later next waiting", "left granted block")
FLOW = _table("queue active offered offered_bytes delivered delivered_bytes queued queued_bytes delay_max", "delay_sum")
MESSAGE = _table("id flow size arrival departure fate next")
ARRIVAL = _table("id flow size time fate")
EVENT = _table("id flow time fate")


class Table:
    """Rows of one kind, in an array that doubles when it is full; released rows are used again."""

    def __init__(self, dtype: Any, shape: tuple[int, ...] = (), fill: float = 0) -> None:
        self._store = np.full((4, *shape), fill, dtype)
        self._fill, self._released = fill, list[int]()
        self.rows: Any = self._store[:0]

    def add(self) -> int:
        """Number of a fresh row."""
        if self._released:
            return self._released.pop()
        count = len(self.rows)
        if count == len(self._store):
            self._store = np.concatenate([self._store, np.full_like(self._store, self._fill)])
        self.rows = self._store[: count + 1]
        return count

    def release(self, row: int) -> None:
        """Clears a row for use by a later `add`."""
        self.rows[row] = self._fill
        self._released.append(row)
