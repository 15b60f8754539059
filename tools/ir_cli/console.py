# SPDX-License-Identifier: Apache-2.0
"""Plain terminal output, and programs run with their output in a log file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .errors import UserError

HEARTBEAT = 20.0  # s between progress lines where there is no terminal to redraw one
TAIL = 25  # lines of a log shown when its program failed


def say(text: str) -> None:
    """A line for the user; on stderr, so that the output of what is run stays clean."""
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds as people write them: 7 s, 1 min 05 s."""
    whole = int(seconds + 0.5)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


class Progress:
    """One line about the step at work: redrawn on a terminal, repeated now and then elsewhere."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.started = time.monotonic()
        self._live = sys.stderr.isatty()
        self._spoken = self.started
        say(f"{title} …") if not self._live else self._draw("")

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def update(self, detail: str) -> None:
        """Say how far the step is."""
        if self._live:
            self._draw(detail)
        elif time.monotonic() - self._spoken > HEARTBEAT:
            self._spoken = time.monotonic()
            say(f"{self.title}: {duration(self.elapsed)} {detail}")

    def done(self, result: str = "done") -> None:
        """Say that the step has ended."""
        end = f"{self.title}: {result} in {duration(self.elapsed)}"
        if self._live:
            sys.stderr.write("\r\x1b[2K")
        say(end)

    def _draw(self, detail: str) -> None:
        line = f"{self.title} … {duration(self.elapsed)} {detail}"
        sys.stderr.write("\r\x1b[2K" + line[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()


def run_logged(
    command: Sequence[str | Path],
    log: Path,
    environ: Mapping[str, str],
    progress: Progress,
    detail: Callable[[str], str],
    cwd: Path | None = None,
) -> int:
    """Run a program with its output in the log file, showing progress; return its exit status.

    The program has a process group of its own, which is ended as a whole when this process is interrupted or ended.

    Args:
        detail: makes the progress text from the log so far.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as file:
        file.write(f"$ {' '.join(map(str, command))}\n")
        file.flush()
        child = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=dict(environ),
            cwd=cwd,
            start_new_session=True,
        )
        try:
            while True:
                try:
                    return child.wait(timeout=0.25)
                except subprocess.TimeoutExpired:
                    progress.update(detail(_read(log)))
        finally:
            end_group(child)


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End a program and everything in its process group: first asked, then made to."""
    for sign, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 1.0)):
        try:
            os.killpg(child.pid, sign)
        except OSError:
            return  # nothing is left
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            child.poll()
            try:
                os.killpg(child.pid, 0)
            except OSError:
                return
            time.sleep(0.02)


def failure(what: str, log: Path, advice: str) -> UserError:
    """The error for a program that failed: the end of its output, where the rest is, what to do."""
    lines = _read(log).rstrip().splitlines()[-TAIL:]
    shown = "".join(f"  | {line}\n" for line in lines)
    return UserError(f"{what} failed; its output ended with\n{shown}Whole log: {log}\n{advice}", status=1)


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
