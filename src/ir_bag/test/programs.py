# SPDX-License-Identifier: Apache-2.0
"""The package's programs as processes."""

import subprocess
import sys
import time
from pathlib import Path


class Program:
    """`python -m ir_bag.NAME ARGUMENTS`, whose output is read while it runs."""

    def __init__(self, name: str, folder: Path, *arguments: object, **options: object) -> None:
        self.output = folder / f"{name}-output.txt"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"ir_bag.{name}", *map(str, arguments)],
                stdout=output, stderr=subprocess.STDOUT, cwd=folder, **options,
            )  # fmt: skip

    def text(self) -> str:
        """What it said; the middleware's own lines about shared memory are left out."""
        return "".join(line for line in self.output.read_text().splitlines(keepends=True) if "RTPS" not in line)

    def says(self, words: str, timeout: float = 20.0) -> None:
        """Waits until it says this."""
        end = time.monotonic() + timeout
        while words not in self.text():
            assert time.monotonic() < end and self.process.poll() is None, f"'{words}' not said: {self.text()}"
            time.sleep(0.02)

    def ends(self, timeout: float = 30.0) -> int:
        """Waits for its end; returns the exit status."""
        return self.process.wait(timeout)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
