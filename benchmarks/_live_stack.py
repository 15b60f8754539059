# SPDX-License-Identifier: Apache-2.0
"""The live stack as a process of its own, in a ROS domain of its own, for the benchmarks that need a host."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

DOMAINS = range(120, 200)  #: of which a bench takes one by its process number
PATIENCE = 60.0  #: s that a stack may take to end
_TABLE = re.compile(r"simulated ([\d.]+) s +wall ([\d.]+) s +pace ([\d.]+)")


class Pace(NamedTuple):
    """A line of the live table: s simulated, s of wall time, and the one by the other since the run began."""

    simulated: float
    wall: float
    pace: float


class LiveStack:
    """A running stack.

    Args:
        words: arguments of the bringup.
        folder: of its logs, its output and its report.
    """

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._report, self._output = folder / "report.json", folder / "output.txt"
        domain = DOMAINS[os.getpid() % len(DOMAINS)]
        environment = {**os.environ, "ROS_LOG_DIR": str(folder), "ROS_DOMAIN_ID": str(domain)}
        command = [sys.executable, "-m", "ir_twin.bringup.up", "headless:=true", "dashboard:=off",
                   f"report:={self._report}", *words]  # fmt: skip
        with self._output.open("w") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)

    def table(self) -> list[Pace]:
        """The heads of the live tables that it has printed so far."""
        return [Pace(*map(float, found.groups())) for found in _TABLE.finditer(self._output.read_text())]

    def end(self, timeout: float) -> dict[str, Any]:
        """Waits for the end, s, and gives the report."""
        status = self.process.wait(timeout)
        if status or not self._report.exists():
            raise SystemExit(f"the stack ended with status {status}:\n{self._output.read_text()[-2000:]}")
        return dict(json.loads(self._report.read_text()))


@contextmanager
def live(words: Sequence[str], folder: Path) -> Iterator[LiveStack]:
    """A stack that is ended with the block, if it has not ended by then."""
    stack = LiveStack(words, folder)
    try:
        yield stack
    finally:
        if stack.process.poll() is None:
            stack.process.send_signal(signal.SIGINT)
            stack.process.wait(PATIENCE)
