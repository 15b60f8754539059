# SPDX-License-Identifier: Apache-2.0
"""The recording button: the project's own recorder as a process, everything into one bag."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

PATIENCE = 20.0
"""s in which a recorder that was told to end has to."""


class Recording:
    """One recorder at a time. Not for more than one thread.

    Args:
        folder: where the bags go.
        command: of the recorder, before its arguments.
    """

    def __init__(self, folder: Path, command: tuple[str, ...] = (sys.executable, "-m", "ir_bag.record")) -> None:
        self._folder, self._command = folder, command
        self._process: subprocess.Popen[bytes] | None = None
        self._bag, self._began, self._said = "", 0.0, ""

    def start(self, now: float) -> None:
        """Begins a bag named after the date; nothing where one is being made.

        Raises:
            OSError: the recorder cannot be started.
        """
        if self.state(now)["on"]:
            return
        self._bag = str(self._folder / f"recording_{datetime.now():%Y-%m-%d_%H-%M-%S}")
        command = [*self._command, "-a", "-o", self._bag]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self._began, self._said = now, ""

    def stop(self) -> None:
        """Ends the bag; returns once it is whole."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self._said = "" if code == 0 else f"the recorder ended with status {code}"

    def state(self, now: float) -> dict[str, Any]:
        """Whether it records, the bag, for how many s, and what went wrong; a recorder that died is noticed here."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self._process, self._said = None, f"the recorder ended with status {code}; the log says why"
        on = self._process is not None
        return {"on": on, "bag": self._bag, "seconds": int(now - self._began) if on else 0, "error": self._said}
