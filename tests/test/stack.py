# SPDX-License-Identifier: Apache-2.0
"""A whole stack under test: started like a user starts it, watched from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

_MARK = "IR_TEST_STACK"


class Stack:
    """One run of the bringup in the present ROS domain.

    Args:
        arguments: ``name:=value`` words.
        log_directory: where the run's logs go.
        command: what starts the bringup, for another launcher.
        variables: of the environment, besides.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log_directory: Path,
        command: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._mark = uuid.uuid4().hex
        environment = {**os.environ, "ROS_LOG_DIR": str(log_directory), **(variables or {}), _MARK: self._mark}
        self.output = log_directory / f"output-{self._mark[:6]}.txt"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [*(command or (sys.executable, "-m", "ir_twin.bringup.up")), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def processes(self) -> list[psutil.Process]:
        """Every living process of this run, whoever its parent is now."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get(_MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if ours:
                found.append(process)
        return found

    def interrupt(self, timeout: float) -> tuple[int, float]:
        """Ctrl-C: (exit status, seconds until the end)."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(timeout)
        return status, time.monotonic() - began

    def text(self) -> str:
        """What it said so far."""
        return self.output.read_text(errors="replace")

    def close(self) -> None:
        """Leaves nothing behind, whatever happened in the test."""
        for process in self.processes():
            process.kill()
        self.process.wait(10)
