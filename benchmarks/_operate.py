# SPDX-License-Identifier: Apache-2.0
"""A running stack and the socket of its page, for the benchmarks of operation."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 90.0  #: s that a part of the stack may take to come up


@contextmanager
def stack(arguments: Sequence[str], folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A running stack: the address of its page, with the token, and its process; logs go into the folder."""
    command = [sys.executable, "-m", "ir_twin.bringup.up", "headless:=true", *arguments]
    log = {**os.environ, "ROS_LOG_DIR": str(folder)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=log)
    try:
        assert process.stderr is not None
        found = next((m[1] for m in (re.search(r"live page: (\S+)", line) for line in process.stderr) if m), None)
        if found is None:
            raise SystemExit("the stack ended before it told the address of its page")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found, process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def page(address: str) -> tuple[str, str]:
    """Waits until the page is served; its address without the token, and the token."""
    base, _, token = address.partition("/#token=")
    host, port = base.removeprefix("http://").split(":")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((host, int(port)), 1.0).close()
            return base, token
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def socket_of(base: str) -> str:
    """Address of the page's socket."""
    return base.replace("http", "ws", 1) + "/live"
