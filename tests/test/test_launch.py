# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch ir_twin bringup.launch.py` runs the same stack; skipped where the launcher is not installed."""

import json
import shutil
from pathlib import Path

import pytest
from stack import Stack

from ir_twin.bringup.arguments import BringupArguments

pytest.importorskip("launch_ros", reason="launch_ros is not installed (it comes with a ROS installation)")
if shutil.which("ros2") is None:
    pytest.skip("the command ros2 is not installed (it comes with a ROS installation)", allow_module_level=True)

LAUNCH = ("ros2", "launch", "ir_twin", "bringup.launch.py")


def test_launch_runs_to_the_end_and_writes_the_report(ros_domain: int, tmp_path: Path) -> None:
    report = tmp_path / "run.json"
    stack = Stack(["headless:=true", "dashboard:=off", "duration:=8", f"report:={report}"], tmp_path, LAUNCH)
    try:
        assert stack.process.wait(90) == 0, stack.text()
        assert stack.processes() == []
    finally:
        stack.close()
    found = json.loads(report.read_text())
    assert found["simulated_seconds"] >= 8
    assert all(robot["verdicts"]["proposals"] > 0 for robot in found["robots"].values())
    assert all(one["balanced"] for one in found["slices"].values()) and found["slices"]


def test_launch_declares_every_argument(ros_domain: int, tmp_path: Path) -> None:
    stack = Stack(["--show-args"], tmp_path, LAUNCH)
    try:
        assert stack.process.wait(60) == 0, stack.text()
    finally:
        stack.close()
    for name in BringupArguments.model_fields:
        assert f"'{name}'" in stack.text()


def test_launch_refuses_a_wrong_argument_in_one_line(ros_domain: int, tmp_path: Path) -> None:
    stack = Stack(["robots:=unicorn"], tmp_path, LAUNCH)
    try:
        assert stack.process.wait(60) != 0
        assert stack.processes() == []
    finally:
        stack.close()
    assert "unicorn" in stack.text() and "Traceback" not in stack.text()
