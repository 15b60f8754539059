# SPDX-License-Identifier: Apache-2.0
"""Processes take the scheduling that they are told, and none outlives its launcher, whatever it is."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ir_common import process_start

MODULE = [sys.executable, "-m", "ir_common.process_start"]


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not seen in time"
        threading.Event().wait(0.02)


def gone(process: int) -> bool:
    """Ended, if perhaps not yet waited for by whoever has to."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def numbers(file: Path, count: int) -> list[int]:
    until(lambda: file.exists() and file.read_text().count(".") == count)
    return [int(word) for word in file.read_text().split(".")[:count]]


def test_scheduling_is_taken_from_the_environment_once(tmp_path: Path) -> None:
    code = (
        "import os; from ir_common.process_start import enter_as_told\n"
        "enter_as_told(os.environ); enter_as_told(os.environ)\n"
        "print(os.nice(0), os.sched_getscheduler(0) == os.SCHED_BATCH, 'IR_PROCESS' in os.environ)\n"
    )
    environ = {**os.environ, **process_start.told(3, 0)}
    run = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert run.stdout.split() == [str(os.nice(0) + 3), "True", "False"], run.stderr


@pytest.mark.parametrize("text", ["", "3", "a b c", "1 2 3 4"])
def test_anything_else_in_the_variable_is_no_order(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_start, "enter", lambda *_: pytest.fail("taken"))
    process_start.enter_as_told({process_start.VARIABLE: text})


def test_a_guarded_program_ends_as_it_ends(tmp_path: Path) -> None:
    for code, status in (("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -9), ("", 0)):
        assert subprocess.run([*MODULE, sys.executable, "-c", code], timeout=60).returncode == status
    run = subprocess.run([*MODULE, "/no/such/program"], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (1, "error: /no/such/program: No such file or directory\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only a privileged user may take niceness off")
def test_a_guarded_program_that_is_told_to_end_is_preferred() -> None:
    code = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
        "print(os.nice(0), flush=True); signal.sigwait([signal.SIGINT]); print(os.nice(0))\n"
    )
    environ = {**os.environ, **process_start.told(3, 0)}
    process = subprocess.Popen([*MODULE, sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and int(process.stdout.readline()) == os.nice(0) + 3
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and int(rest) == -10


LAUNCHER = """
import os, signal, subprocess, sys
from ir_common.process_start import told
subprocess.Popen(sys.argv[1:], env={**os.environ, **told(0, 0)})
signal.pause()
"""
STUBBORN = """
import os, signal, subprocess, sys
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
open(sys.argv[1], "w").write(f"{os.getpid()}.{child.pid}.")
while True:
    signal.pause()
"""
NODE = """
import os, signal, sys
from ir_common.process_start import enter_as_told
enter_as_told(os.environ)
open(sys.argv[1], "w").write(f"{os.getpid()}.")
signal.pause()
"""


@pytest.mark.parametrize(
    ("start", "count"),
    [([*MODULE, sys.executable, "-c", STUBBORN], 2), ([sys.executable, "-c", NODE], 1)],
    ids=["a stubborn program with a child", "a node"],
)
def test_nothing_outlives_a_killed_launcher(tmp_path: Path, start: list[str], count: int) -> None:
    mark = tmp_path / "pids"
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, *start, str(mark)])
    started = numbers(mark, count)
    assert not any(map(gone, started))
    launcher.send_signal(signal.SIGKILL)
    launcher.wait(10)
    until(lambda: all(map(gone, started)))


def test_a_process_whose_launcher_is_gone_already_does_not_start(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    environ = {**os.environ, process_start.VARIABLE: f"0 0 {ended.pid}"}
    mark = tmp_path / "pids"
    run = subprocess.run([sys.executable, "-c", NODE, str(mark)], env=environ, timeout=60)
    assert run.returncode == 128 + signal.SIGTERM and not mark.exists()
