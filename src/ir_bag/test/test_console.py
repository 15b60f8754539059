# SPDX-License-Identifier: Apache-2.0
"""Programs end when they are told to, whatever they or the middleware are at."""

import signal
import subprocess
import sys

import pytest

INTERRUPTED = """
import signal
from ir_bag import bag_console
end = bag_console.told_to_end()
with end._cond:  # as `wait` holds it for moments: a handler that sets the event itself stays here
    signal.raise_signal({number})
raise SystemExit(not end.wait(10))
"""
STUCK = """
import os, threading
from ir_bag import ros_console
ros_console.LET_GO_WITHIN = 0.2
ros_console.rclpy.try_shutdown = threading.Event().wait
with ros_console.bag_node("stuck"):
    print("all is written", flush=True)
    {end}
"""


def run(program: str, **values: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", program.format(**values)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_wait_is_heard(number):
    assert run(INTERRUPTED, number=int(number)).returncode == 0


@pytest.mark.parametrize(("end", "status"), [("", 0), ("raise SystemExit(3)", 1)])
def test_a_middleware_that_does_not_end_holds_nobody_up(ros_domain, end, status):
    program = run(STUCK, end=end)
    assert program.returncode == status, program.stderr
    assert program.stdout == "all is written\n" and "did not end within 0.2 s" in program.stderr
