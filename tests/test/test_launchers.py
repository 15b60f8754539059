# SPDX-License-Identifier: Apache-2.0
"""Whole starts by `./ir up`: beside another stack, with a full disk, killed."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from stack import Stack

from ir_common.config import EXIT_CONFIG

SMALL = ["robots:=cart", "rendering:=false", "dashboard:=off", "twin:=off"]


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.05)


def test_a_second_stack_in_the_domain_is_refused_and_the_first_runs_on(ros_domain: int, tmp_path: Path) -> None:
    first = Stack(SMALL, tmp_path)
    try:
        until(lambda: "logs: " in first.text(), 60, "the first stack")
        second = Stack([*SMALL, "duration:=2"], tmp_path)
        try:
            assert second.process.wait(60) == EXIT_CONFIG
            assert second.processes() == []
            (line,) = second.text().splitlines()
            assert line.startswith(f"error: another stack runs in ROS domain {ros_domain} on this machine; end it, or")
        finally:
            second.close()
        assert first.process.poll() is None
        assert first.interrupt(20)[0] == 0
    finally:
        first.close()


def test_nothing_is_left_of_a_killed_launcher(ros_domain: int, tmp_path: Path) -> None:
    stack = Stack(SMALL, tmp_path)
    try:
        until(lambda: len(stack.processes()) >= 7, 60, "the processes")
        stack.process.send_signal(signal.SIGKILL)
        stack.process.wait(10)
        until(lambda: not stack.processes(), 20, "their end")
    finally:
        stack.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 200 kB that can be filled."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", place]
    if os.geteuid() or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("a file system cannot be mounted here (not root, or a container without that right)")
    return place


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            pass


def test_a_run_goes_on_when_the_disk_of_its_logs_is_full(ros_domain: int, tmp_path: Path, small_disk: Path) -> None:
    report = tmp_path / "run.json"
    stack = Stack([*SMALL, "duration:=4", f"report:={report}"], tmp_path, variables={"ROS_LOG_DIR": str(small_disk)})
    try:
        until(lambda: "logs: " in stack.text(), 60, stack.text())
        fill(small_disk)
        assert stack.process.wait(90) == 0, stack.text()
        assert "Traceback" not in stack.text()
        assert json.loads(report.read_text())["simulated_seconds"] >= 4
    finally:
        stack.close()
        subprocess.run(["umount", "-l", small_disk])


def test_a_report_whose_disk_fills_during_the_run_is_kept_with_the_logs(
    ros_domain: int, tmp_path: Path, small_disk: Path
) -> None:
    stack = Stack([*SMALL, "duration:=3", f"report:={small_disk}/run.json"], tmp_path)
    try:
        status = stack.process.wait(60)
        assert status == EXIT_CONFIG and "cannot be written there (No space left on device)" in stack.text()
    finally:
        stack.close()
    subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)
    stack = Stack([*SMALL, "duration:=3", f"report:={small_disk}/run.json"], tmp_path)
    try:
        until(lambda: "logs: " in stack.text(), 60, stack.text())
        fill(small_disk)
        assert stack.process.wait(90) == 0, stack.text()
        assert f"{small_disk}/run.json cannot be written" in stack.text()
        (spare,) = tmp_path.glob("ir-*/report.json")
        assert json.loads(spare.read_text())["simulated_seconds"] >= 3
    finally:
        stack.close()
        subprocess.run(["umount", "-l", small_disk])
