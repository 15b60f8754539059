# SPDX-License-Identifier: Apache-2.0
"""Learning beside a live radio, held to a share of a core by the wall clock. The engines themselves know no clock."""

from __future__ import annotations

import os
import threading
import time
from weakref import WeakKeyDictionary

from ir_slicing.live.live_forecaster import Floats, LiveForecaster


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
    """Fits slice forecasters in threads, one for each of them, at the lowest priority that there is."""

    def __init__(self) -> None:
        self._work: WeakKeyDictionary[LiveForecaster, _Fitting] = WeakKeyDictionary()

    def offer(self, forecaster: LiveForecaster) -> None:
        """Begins to fit it to what it has seen, if it is ready, idle, and its `duty` allows."""
        work = self._work.setdefault(forecaster, _Fitting())
        if forecaster.ready and work.free():
            work.begin(forecaster)


class _Fitting:
    """The thread of one forecaster, and when the next one may start."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._due = 0.0

    def free(self) -> bool:
        idle = self._thread is None or not self._thread.is_alive()
        return idle and time.monotonic() >= self._due

    def begin(self, forecaster: LiveForecaster) -> None:
        self._thread = threading.Thread(target=self._run, args=(forecaster, forecaster.history()), daemon=True)
        self._thread.start()

    def _run(self, forecaster: LiveForecaster, traffic: Floats) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        began, used = time.monotonic(), time.thread_time()
        forecaster.fit(traffic)
        busy = max(time.thread_time() - used, 1e-3)
        self._due = began + busy / forecaster.config.duty
