# SPDX-License-Identifier: Apache-2.0
"""One `./ir` at a time changes an environment, and none works beside what a killed one left running."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = "IR_ENVIRONMENT_LOCK"  # in the environment of every program started under the lock


@contextlib.contextmanager
def hold(path: Path, waiting: Callable[[str], None], poll: float = 0.2) -> Iterator[None]:
    """Hold the lock file for the time of the block.

    The kernel drops the lock with its owner, however that ended, so no lock is ever stale. What can outlive a killed
    owner are the programs it started (pip, colcon, a compiler): they carry MARK in their environment and are ended.

    Args:
        waiting: called once, with the owner's process id, when another process has the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="ascii") as file:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if not told:
                    file.seek(0)
                    waiting(file.read().strip() or "unknown")
                    told = True
                time.sleep(poll)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        end_leftovers(path)
        yield


def end_leftovers(path: Path, proc: Path = Path("/proc")) -> list[int]:
    """Kill programs that an earlier owner of this lock started; return their process ids."""
    mark = f"{MARK}={path}".encode()
    ended = []
    for environ in proc.glob("[0-9]*/environ"):
        pid = int(environ.parent.name)
        try:
            if pid != os.getpid() and mark in environ.read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
                ended.append(pid)
        except OSError:  # gone in the meantime, or another user's
            continue
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(_runs(proc / str(pid)) for pid in ended):
        time.sleep(0.02)
    return ended


def _runs(process: Path) -> bool:
    try:
        return process.joinpath("stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
