# SPDX-License-Identifier: Apache-2.0
"""The first start of a relay whose loops no build has compiled."""

from __future__ import annotations

import subprocess
import sys
import time

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.logging import get_logger

from ir_radio.compiled import FOLDER, is_complete

_LOOK = 0.05  # s


def compile_first() -> None:
    """Has the loops compiled in a process of its own where they are not yet, and waits for it.

    Raises:
        ExternalShutdownException: this process was told to end meanwhile.
    """
    if is_complete():
        return
    get_logger("radio").info(
        f"compiling the radio's loops into {FOLDER}: once, for 15 to 45 s; the relay carries nothing before"
    )
    # a session of its own: Ctrl-C in a terminal is for this process, which ends the other
    process = subprocess.Popen([sys.executable, "-m", "ir_radio.engine.warm_up"], start_new_session=True)
    try:
        while process.poll() is None:
            if not rclpy.ok():
                raise ExternalShutdownException
            time.sleep(_LOOK)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
