# SPDX-License-Identifier: Apache-2.0
"""What a process of the stack does first, under either launcher: takes its scheduling, and ends when its launcher ends.

A launcher that can run code between fork and exec calls `enter` there. One that cannot, such as ``ros2 launch``, says
it by the environment (`told`): nodes of the stack do it when they start (`enter_as_told`), other programs are started
by ``python -m ir_common.process_start PROGRAM …``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import MutableMapping
from typing import NoReturn

VARIABLE = "IR_PROCESS"
"""Environment variable: niceness, real-time priority and the launcher's process id."""
PATIENCE = 3.0
"""Seconds that a guarded program has to end once it is told to; then it and its children are killed."""
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_HURRIED = -10
"""Niceness of what was told to end: it is soon gone, and would be late beside processes that are busy for long."""


def told(nice: int, realtime: int) -> dict[str, str]:
    """What this process, a launcher, adds to the environment of a process that it starts."""
    return {VARIABLE: f"{nice} {realtime} {os.getpid()}"}


def enter(nice: int, realtime: int, launcher: int) -> None:
    """Sets this process's scheduling, and has the kernel end it (SIGTERM) when its parent ends.

    Args:
        nice: niceness; over 0, the process is also a batch to the scheduler.
        realtime: priority of real-time scheduling (round robin) where the system permits it, 0: usual scheduling.
        launcher: process id of the launcher; where it is gone already, this process ends at once.
    """
    if nice:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # waking up, it interrupts nobody
        os.nice(nice)
    if realtime:
        with contextlib.suppress(PermissionError):  # usual scheduling, then; ./ir doctor tells
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(realtime))
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if not _lives(launcher):
        os._exit(128 + signal.SIGTERM)


def enter_as_told(environ: MutableMapping[str, str]) -> None:
    """As `enter`, with what the launcher put into the environment, if it did; takes it out: it is for one process."""
    words = environ.pop(VARIABLE, "").split()
    if len(words) == 3 and all(word.isdecimal() for word in words):
        enter(*map(int, words))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def prefer(group: int) -> None:
    """Has the system prefer a process group, or at least takes its niceness off, as far as that is permitted."""
    for niceness in (_HURRIED, 0):
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpriority(os.PRIO_PGRP, group, niceness)
            return


def guard(command: list[str]) -> NoReturn:
    """Runs a program that is not ours, and exits as it does; signals go to it and to all its children.

    When this process is told to end (by a user, its launcher, or the kernel when the launcher has ended), what has not
    ended after `PATIENCE` is killed; at once, when it is told again.
    """
    enter_as_told(os.environ)
    try:
        child = subprocess.Popen(command, preexec_fn=_in_guarded)
    except OSError as error:
        sys.exit(f"error: {command[0]}: {error.strerror}")
    asked: list[int] = []

    def forward(number: int, _frame: object) -> None:
        prefer(child.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL if asked else number)
        asked.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    ended = False
    while not ended and child.poll() is None:
        ended = bool(asked)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE if asked else 0.5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)  # the program itself, or children that it left
    status = child.wait()
    if status < 0:  # as it ended, so does this
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


def _in_guarded() -> None:
    os.setpgid(0, 0)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    guard(sys.argv[1:])
