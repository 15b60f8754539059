# SPDX-License-Identifier: Apache-2.0
"""How far a robot went, where it may be put back meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence

FASTEST = 5.0
"""m/s; who is faster was put back."""


class NetMovement:
    """Sum of a robot's movements between looks at where it is; those in which it was put back are left out.

    Attributes:
        way: [2] m since the first look.
    """

    def __init__(self) -> None:
        self.way = (0.0, 0.0)
        self._last: tuple[float, float, float] | None = None

    def look(self, position: Sequence[float], now: float) -> None:
        """Takes where it is, m (what follows x and y does not count), at a time, s."""
        x, y = float(position[0]), float(position[1])
        if self._last is not None:
            at, before_x, before_y = self._last
            moved = x - before_x, y - before_y
            if math.hypot(*moved) < FASTEST * (now - at):
                self.way = self.way[0] + moved[0], self.way[1] + moved[1]
        self._last = now, x, y
