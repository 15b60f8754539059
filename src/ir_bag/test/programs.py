# SPDX-License-Identifier: Apache-2.0
"""The package's programs as processes."""

import subprocess
import sys
import threading
from pathlib import Path


class Program:
    """`python -m ir_bag.NAME ARGUMENTS`, whose output is read while it runs."""

    def __init__(self, name: str, folder: Path, *arguments: object, **options: object) -> None:
        self._said, self._ended, self._news = "", False, threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"ir_bag.{name}", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, **options,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._news:
                self._said += "" if "RTPS" in line else line
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def text(self) -> str:
        """What it said; the middleware's own lines about shared memory are left out."""
        with self._news:
            return self._said

    def says(self, words: str, timeout: float = 20.0) -> None:
        """Waits until it says this."""
        with self._news:
            self._news.wait_for(lambda: words in self._said or self._ended, timeout)
            assert words in self._said, f"'{words}' not said: {self._said}"

    def ends(self, timeout: float = 30.0) -> int:
        """Waits for its end; returns the exit status."""
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.ends()
