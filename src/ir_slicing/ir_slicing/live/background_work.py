# SPDX-License-Identifier: Apache-2.0
"""Learning beside a live radio, held to a share of a core by the wall clock. The engines themselves know no clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from ir_slicing.live.live_forecaster import LiveForecaster, Observed, longest_ready


class Duty:
    """Keeps work to a share of the wall time.

    Args:
        share: of one core.
    """

    def __init__(self, share: float) -> None:
        self._share, self._free = share, 0.0

    def allows(self) -> bool:
        """Whether enough time has passed since the work that was done."""
        return time.monotonic() >= self._free

    def spent(self, seconds: float) -> None:
        """Counts work in, s of processor time."""
        self._free = max(self._free, time.monotonic()) + seconds * (1.0 / self._share - 1.0)


class BackgroundFitting:
    """Fits slice forecasters in one thread, one after the other, all together within the share of a core.

    The thread keeps the priority of its process: one of a lower priority that holds the interpreter's lock on a busy
    machine would have the others wait for it.

    Args:
        share: of one core.
    """

    def __init__(self, share: float) -> None:
        self._duty = Duty(share)
        self._thread: threading.Thread | None = None

    def offer(self, forecasters: Sequence[LiveForecaster]) -> None:
        """Begins to fit the one of them that is ready longest, where nothing is under way and the duty allows."""
        if (self._thread is not None and self._thread.is_alive()) or not self._duty.allows():
            return
        for forecaster in longest_ready(forecasters, 1):
            self._thread = threading.Thread(target=self._run, args=(forecaster, forecaster.observed()), daemon=True)
            self._thread.start()

    def _run(self, forecaster: LiveForecaster, seen: Observed) -> None:
        began = time.thread_time()
        forecaster.fit(seen)
        self._duty.spent(time.thread_time() - began)
