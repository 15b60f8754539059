# SPDX-License-Identifier: Apache-2.0
"""What the programs of this package have in common: errors in one line, an end in good order, sizes in words."""

from __future__ import annotations

import signal
import sys
import threading
from _thread import start_new_thread
from collections.abc import Callable

from ir_bag.writer import DiskFull
from ir_common.config import EXIT_CONFIG, ConfigError


def run(program: Callable[[], int]) -> None:
    """Runs a program and exits with its status; 78 after a mistake of the user's, 1 when the disk is full."""
    try:
        status = program()
        sys.stdout.flush()
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        status = EXIT_CONFIG
    except DiskFull as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        status = 1
    except BrokenPipeError:
        sys.stderr.close()
        status = 1
    sys.exit(status)


def told_to_end() -> threading.Event:
    """An event that SIGINT and SIGTERM set; they do nothing else from now on.

    It is set by another thread: a handler runs in the main one, in the middle of whatever that does, and would wait for
    ever for the event's own lock where that is held, in `Event.wait`.
    """
    event = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: start_new_thread(event.set, ()))
    return event


def duration_words(seconds: float) -> str:
    """A time in its largest unit, such as 1.5 hours."""
    for unit, length in (("years", 31_557_600), ("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return f"{seconds / length:.4g} {unit}"
    return f"{seconds:.4g} s"


def size(count: float) -> str:
    """A number of bytes in words, such as 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"
